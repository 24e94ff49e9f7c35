"""Batch normalisation that a strange batch cannot spoil."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tfdecomp")
class BatchNorm(keras.layers.Layer):
    """Normalises channels over a batch of pictures, or of rows.

    As `keras.layers.BatchNormalization` with TensorFlow's fused kernel, and:
    an empty batch, or one with values that are not finite, leaves the moving
    statistics as they are. (Keras writes NaN into them; a training step
    that is skipped could not undo it.) On several devices each normalises its
    own share of the batch, and what is kept is their mean.

    Args:
        momentum: Share of the moving statistics that a batch keeps.
        epsilon: Added to the variance.
        scale_deviation: Deviation of the initial scales around 1.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, H, W, C]` or `[N, C]`.
        training: Whether to normalise by the batch's own statistics.

    Returns:
        As `inputs`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.batch_norm import BatchNorm
        >>> inputs = tf.constant([[1.0], [3.0]])
        >>> BatchNorm()(inputs, training=True).numpy().round(2)
        array([[-1.],
               [ 1.]], dtype=float32)

    References:
        Ioffe and Szegedy, Batch Normalization. ICML 2015.
    """

    def __init__(
        self, momentum=0.9, epsilon=1e-5, scale_deviation=0.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.scale_deviation = scale_deviation

    def build(self, input_shape):
        options = {
            "shape": (input_shape[-1],),
            "dtype": "float32",
            "autocast": False,
        }
        scales = "ones"
        if self.scale_deviation:
            scales = keras.initializers.RandomNormal(1.0, self.scale_deviation)
        self.gamma = self.add_weight(
            name="gamma", initializer=scales, **options
        )
        self.beta = self.add_weight(name="beta", initializer="zeros", **options)
        # Every replica keeps its own and a reader gets the mean; so nothing
        # is exchanged inside a step. (`add_weight` has no such argument.)
        kept = {
            "trainable": False,
            "synchronization": "on_read",
            "aggregation": "mean",
            **options,
        }
        self.moving_mean = keras.Variable("zeros", name="moving_mean", **kept)
        self.moving_variance = keras.Variable(
            "ones", name="moving_variance", **kept
        )
        self.built = True

    def call(self, inputs, training=False):
        rank = inputs.shape.rank
        pictures = inputs if rank == 4 else inputs[:, None, None]
        statistics = {}
        if not training:
            statistics = {
                "mean": tf.convert_to_tensor(self.moving_mean),
                "variance": tf.convert_to_tensor(self.moving_variance),
            }
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            pictures,
            tf.convert_to_tensor(self.gamma),
            tf.convert_to_tensor(self.beta),
            epsilon=self.epsilon,
            is_training=training,
            **statistics,
        )
        if training:
            self._keep(mean, variance, tf.size(inputs) > 0)
        return outputs if rank == 4 else outputs[:, 0, 0]

    def _keep(self, mean, variance, is_filled):
        """Moves the moving statistics towards those of a batch."""
        mean, variance = tf.stop_gradient(mean), tf.stop_gradient(variance)
        is_finite = tf.reduce_all(tf.math.is_finite(mean + variance))
        take = is_filled & is_finite
        for kept, value in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            before = tf.convert_to_tensor(kept)
            moved = before + (1.0 - self.momentum) * (value - before)
            kept.assign(tf.where(take, moved, before))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "scale_deviation": self.scale_deviation,
        }
