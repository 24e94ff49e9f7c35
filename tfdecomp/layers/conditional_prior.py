"""The prior of a frame given the past."""

import gin
import keras

from tfdecomp.layers.conv import Dense


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class ConditionalPrior(keras.layers.Layer):
    """p(z_t | past) = N(mean, exp(log-variance)), from the temporal state.

    Args:
        latent_dim: Length of a slot's vector, `D`.
        units: Width of the hidden layer.
        scale: `"log_scale"` reads the second head as the logarithm of the
            standard deviation (the paper's footnote); `"softplus"` reads its
            softplus as the log-variance, as the published code does, so the
            variance is at least 1.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        hidden: `[N, U]`; zeros give the learned prior of the first frame.

    Returns:
        `(mean, log_variance)`, each `[N, D]`, float32.

    Raises:
        ValueError: If `scale` is unknown.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.conditional_prior import ConditionalPrior
        >>> prior = ConditionalPrior(latent_dim=6)
        >>> mean, log_variance = prior(tf.zeros([4, 16]))
        >>> mean.shape, log_variance.shape
        (TensorShape([4, 6]), TensorShape([4, 6]))

    References:
        PROVIDE, eq. 5.
    """

    def __init__(self, latent_dim, units=128, scale="log_scale", **kwargs):
        kwargs["dtype"] = "float32"  # parameters of a distribution
        super().__init__(**kwargs)
        if scale not in ("log_scale", "softplus"):
            raise ValueError(
                f'scale must be "log_scale" or "softplus", got {scale!r}'
            )
        self.latent_dim = latent_dim
        self.units = units
        self.scale = scale
        self.hidden = Dense(
            units, activation="relu", dtype="float32", name="hidden"
        )
        self.mean = Dense(latent_dim, dtype="float32", name="mean")
        self.spread = Dense(latent_dim, dtype="float32", name="spread")

    def build(self, hidden_shape):
        self.hidden.build((None, hidden_shape[-1]))
        self.mean.build((None, self.units))
        self.spread.build((None, self.units))

    def call(self, hidden):
        features = self.hidden(hidden)
        spread = self.spread(features)
        if self.scale == "softplus":
            return self.mean(features), keras.ops.softplus(spread)
        # Clipped far outside of anything useful, against overflow.
        log_variance = keras.ops.clip(2.0 * spread, -14.0, 14.0)
        return self.mean(features), log_variance

    def get_config(self):
        return {
            **super().get_config(),
            "latent_dim": self.latent_dim,
            "units": self.units,
            "scale": self.scale,
        }
