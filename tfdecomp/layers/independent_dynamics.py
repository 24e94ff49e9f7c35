"""Transitions of factors that know nothing of each other."""

import gin
import keras
import tensorflow as tf

LOG_VARIANCE_LIMIT = 10.0
_ACTIVATIONS = ("linear", "selu")


def clamp(log_variance):
    """Keeps a log-variance where its exponential is finite.

    Examples:
        >>> from tfdecomp.layers.independent_dynamics import clamp
        >>> clamp([99.0, 1.0]).numpy()
        array([10.,  1.], dtype=float32)
    """
    return tf.clip_by_value(
        log_variance, -LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT
    )


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class IndependentDynamics(keras.layers.Layer):
    """One SELU network per factor, evaluated together.

        p(z_t^i | z_{t-1}^i) = N(mu_i(z_{t-1}^i), diag exp lv_i(z_{t-1}^i))

    Weights are stacked to `[k, in, out]`, so that a layer is one batched
    matrix product whatever the number of factors.

    Args:
        units: Width of the hidden layers.
        depth: Number of hidden layers.
        output_activation: `"linear"`, or `"selu"`, which keeps means and
            log-variances above -1.76.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        factors: `[B, k, d]`, float32.

    Returns:
        `(mean, log_variance)`, each `[B, k, d]`, float32.

    Raises:
        ValueError: If the activation is unknown.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.independent_dynamics import IndependentDynamics
        >>> dynamics = IndependentDynamics(units=8)
        >>> mean, log_variance = dynamics(tf.zeros([2, 5, 3]))  # five factors
        >>> mean.shape, log_variance.shape
        (TensorShape([2, 5, 3]), TensorShape([2, 5, 3]))

    References:
        Whitney and Fergus, Disentangling Video with Independent Prediction.
        2019, section 3 and appendix (four layers of 128 units).
    """

    def __init__(
        self, units=128, depth=4, output_activation="linear", **kwargs
    ):
        # float32 at any policy: what follows is a divergence.
        super().__init__(autocast=False, **kwargs)
        self.units = units
        self.depth = depth
        if output_activation not in _ACTIVATIONS:
            raise ValueError(
                f"output_activation must be one of {_ACTIVATIONS}, got "
                f"{output_activation!r}"
            )
        self.output_activation = output_activation

    def build(self, factors_shape):
        num_factors, dim = factors_shape[-2:]
        widths = [dim, *[self.units] * self.depth, 2 * dim]
        self.kernels, self.biases = [], []
        for i, sizes in enumerate(zip(widths, widths[1:])):
            self.kernels.append(
                self.add_weight(
                    shape=(num_factors, *sizes),
                    initializer=Stacked("lecun_normal"),
                    autocast=False,
                    name=f"kernel_{i}",
                )
            )
            self.biases.append(
                self.add_weight(
                    shape=(num_factors, sizes[1]),
                    initializer="zeros",
                    autocast=False,
                    name=f"bias_{i}",
                )
            )
        self.built = True

    def call(self, factors):
        features = tf.transpose(factors, [1, 0, 2])  # [k, B, d]
        for i, (kernel, bias) in enumerate(zip(self.kernels, self.biases)):
            features = tf.matmul(features, tf.convert_to_tensor(kernel))
            features += tf.convert_to_tensor(bias)[:, None]
            if i < self.depth or self.output_activation == "selu":
                features = tf.nn.selu(features)
        features = tf.transpose(features, [1, 0, 2])
        mean, log_variance = tf.split(features, 2, axis=-1)
        return mean, clamp(log_variance)

    def compute_output_shape(self, factors_shape):
        return factors_shape, factors_shape

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "depth": self.depth,
            "output_activation": self.output_activation,
        }


@keras.saving.register_keras_serializable(package="tfdecomp")
class Stacked(keras.initializers.Initializer):
    """Initial values of `[k, in, out]`, each of the k matrices by itself.

    A rule that looks at the fan of the whole shape would take k for the side
    of a kernel and make the weights too small by its root.

    Args:
        initializer: Name of a Keras initializer for one matrix.

    Examples:
        >>> from tfdecomp.layers.independent_dynamics import Stacked
        >>> Stacked("identity")((5, 2, 2))[4].numpy()
        array([[1., 0.],
               [0., 1.]], dtype=float32)
    """

    def __init__(self, initializer):
        self.initializer = initializer

    def __call__(self, shape, dtype=None, **kwargs):
        # A new object each time: Keras initializers with a fixed seed return
        # the same values whenever they are called.
        return tf.stack(
            [
                keras.initializers.get(self.initializer)(shape[1:], dtype=dtype)
                for _ in range(shape[0])
            ]
        )

    def get_config(self):
        return {"initializer": self.initializer}
