"""From what is seen and what was predicted to a posterior."""

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.conv import Dense
from tfdecomp.layers.independent_dynamics import clamp
from tfdecomp.layers.residual import leaky_relu

_ACTIVATIONS = ("linear", "leaky_relu")
_READERS = ("read_features", "read_mean", "read_log_variance")


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class FilteringHead(keras.layers.Layer):
    """q(Z_t | Z_{t-1}, x_t) of a frame's features and the prediction of Z_t.

    No gradient flows back into the prediction: only the divergence may train
    the transitions.

    Args:
        latent_dim: `Z`, all factors together.
        output_activation: Of means and log-variances: `"linear"`, or
            `"leaky_relu"`, as after all other layers.
        map_prediction: Whether the predicted means and log-variances go
            through a layer each before they meet the features.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        features: `[B, F]`.
        mean: Predicted means `[B, Z]`; zeros for a first frame.
        log_variance: Predicted log-variances `[B, Z]`; zeros likewise, which
            are those of the first frame's prior N(0, I).

    Returns:
        `(mean, log_variance)`, each `[B, Z]`, float32.

    Raises:
        ValueError: If the activation is unknown.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.filtering_head import FilteringHead
        >>> predicted = tf.zeros([2, 6])
        >>> head = FilteringHead(latent_dim=6)
        >>> mean, log_variance = head(tf.zeros([2, 32]), predicted, predicted)
        >>> mean.shape
        TensorShape([2, 6])

    References:
        Whitney and Fergus, Disentangling Video with Independent Prediction.
        2019, section 3 and appendix.
    """

    def __init__(
        self,
        latent_dim,
        output_activation="linear",
        map_prediction=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if output_activation not in _ACTIVATIONS:
            raise ValueError(
                f"output_activation must be one of {_ACTIVATIONS}, got "
                f"{output_activation!r}"
            )
        self.latent_dim = latent_dim
        self.output_activation = output_activation
        self.map_prediction = map_prediction
        # Small beside the convolutions, and what follows is a likelihood.
        options = {
            "kernel_initializer": "glorot_uniform",
            "bias": "zeros",
            "dtype": "float32",
        }
        self.readers = [
            Dense(latent_dim, name=name, **options)
            for name in _READERS[: 3 if map_prediction else 1]
        ]
        self.mix = Dense(latent_dim, name="mix", **options)
        self.mean = Dense(latent_dim, name="mean", **options)
        self.log_variance = Dense(latent_dim, name="log_variance", **options)

    def build(self, features_shape, mean_shape=None, log_variance_shape=None):
        size = self.latent_dim
        for layer, width in zip(self.readers, (features_shape[-1], size, size)):
            layer.build((None, width))
        self.mix.build((None, 3 * size))
        self.mean.build((None, size))
        self.log_variance.build((None, size))
        self.built = True

    def call(self, features, mean, log_variance):
        inputs = [features, tf.stop_gradient(mean)]
        inputs.append(tf.stop_gradient(log_variance))
        inputs = [tf.cast(value, tf.float32) for value in inputs]
        for i, layer in enumerate(self.readers):
            inputs[i] = leaky_relu(layer(inputs[i]))
        hidden = leaky_relu(self.mix(tf.concat(inputs, axis=-1)))
        outputs = self.mean(hidden), self.log_variance(hidden)
        if self.output_activation == "leaky_relu":
            outputs = tuple(map(leaky_relu, outputs))
        return outputs[0], clamp(outputs[1])

    def get_config(self):
        return {
            **super().get_config(),
            "latent_dim": self.latent_dim,
            "output_activation": self.output_activation,
            "map_prediction": self.map_prediction,
        }
