"""From what is seen and what was predicted to a posterior."""

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.conv import Dense
from tfdecomp.layers.independent_dynamics import clamp
from tfdecomp.layers.residual import leaky_relu


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class FilteringHead(keras.layers.Layer):
    """q(Z_t | Z_{t-1}, x_t) of a frame's features and the prediction of Z_t.

    No gradient flows back into the prediction: only the divergence may train
    the transitions.

    Args:
        latent_dim: `Z`, all factors together.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        features: `[B, F]`.
        mean: Predicted means `[B, Z]`; zeros for a first frame.
        log_variance: Predicted log-variances `[B, Z]`; zeros likewise, which
            are those of the first frame's prior N(0, I).

    Returns:
        `(mean, log_variance)`, each `[B, Z]`, float32.

    References:
        Whitney and Fergus, Disentangling Video with Independent Prediction.
        2019, section 3 and appendix.
    """

    def __init__(self, latent_dim, **kwargs):
        super().__init__(**kwargs)
        self.latent_dim = latent_dim
        # Small beside the convolutions, and what follows is a likelihood.
        options = {
            "kernel_initializer": "glorot_uniform",
            "bias": "zeros",
            "dtype": "float32",
        }
        self.readers = [
            Dense(latent_dim, name=name, **options)
            for name in ("read_features", "read_mean", "read_log_variance")
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
        inputs = (
            features,
            tf.stop_gradient(mean),
            tf.stop_gradient(log_variance),
        )
        read = [
            leaky_relu(layer(value))
            for layer, value in zip(self.readers, inputs)
        ]
        hidden = leaky_relu(self.mix(tf.concat(read, axis=-1)))
        return self.mean(hidden), clamp(self.log_variance(hidden))

    def get_config(self):
        return {**super().get_config(), "latent_dim": self.latent_dim}
