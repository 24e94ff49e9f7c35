"""Pictures as vectors, pixel by pixel."""

import math

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.mlp import MLP


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class PictureMLP(keras.layers.Layer):
    """All pixels of a picture through ELU layers and a linear one.

    Args:
        hidden: Widths of the hidden layers.
        features: Width of the output.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        pictures: `[N, H, W, C]` of known size.

    Returns:
        `[N, features]`, in the layer's compute type.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.tracks.picture_mlp import PictureMLP
        >>> PictureMLP(hidden=(16,), features=8)(tf.zeros([2, 6, 6, 3])).shape
        TensorShape([2, 8])
    """

    def __init__(self, hidden=(256,), features=256, **kwargs):
        super().__init__(**kwargs)
        self.hidden = tuple(hidden)
        self.features = features
        self.network = MLP(
            self.hidden,
            features,
            "elu",
            "truncated_normal",
            dtype=self.dtype_policy,
            name="network",
        )

    def build(self, pictures_shape):
        self.network.build((None, math.prod(pictures_shape[1:])))
        self.built = True

    def call(self, pictures):
        size = math.prod(pictures.shape[1:])
        return self.network(tf.reshape(pictures, [-1, size]))

    def compute_output_shape(self, pictures_shape):
        return (pictures_shape[0], self.features)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden": self.hidden,
            "features": self.features,
        }
