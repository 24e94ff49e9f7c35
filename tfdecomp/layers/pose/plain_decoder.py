"""Transposed convolutions without biases, from one vector to a picture."""

import math

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.batch_norm import BatchNorm
from tfdecomp.layers.encoders.frame_encoder import GRID, check_doublings
from tfdecomp.layers.pose.plain_encoder import (
    SPREAD,
    doubling_widths,
    options,
)
from tfdecomp.ops import transposed


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class PlainDecoder(keras.layers.Layer):
    """Vector -> picture: 4x4 pixels, then 4x4 transposed convolutions.

    Each doubles the side. Batch norm and ReLU follow all but the last, which
    a sigmoid follows.

    Args:
        image_size: `(H, W)`, 4 times 2 to the number of `filters`.
        filters: Widths of all maps but the picture; by default ..., 16, 8, one
            for each doubling.
        channels: Of the picture, `C`.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        vectors: `[N, D]`.
        training: Whether in training mode.

    Returns:
        `[N, H, W, C]` in (0, 1), float32.

    Raises:
        ValueError: If sizes do not fit.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.pose.plain_decoder import PlainDecoder
        >>> decoder = PlainDecoder(image_size=(16, 16))
        >>> decoder(tf.zeros([2, 32])).shape
        TensorShape([2, 16, 16, 1])

    References:
        Hsieh et al., DDPAE. NeurIPS 2018.
    """

    def __init__(self, image_size=(32, 32), filters=None, channels=1, **kwargs):
        super().__init__(**kwargs)
        self.image_size = tuple(image_size)
        self.filters = tuple(filters or doubling_widths(self.image_size)[::-1])
        self.channels = channels
        check_doublings(self.image_size, self.filters)
        common = options(self.dtype_policy)
        # One pixel for the kernel: a product of matrices.
        self.head = keras.layers.Dense(
            GRID**2 * self.filters[0], name="head", **common
        )
        self.deconvs = [
            keras.layers.Conv2DTranspose(
                width, 4, 2, padding="same", name=f"deconv_{i}", **common
            )
            for i, width in enumerate((*self.filters[1:], channels))
        ]
        self.norms = [
            BatchNorm(
                scale_deviation=SPREAD,
                name=f"norm_{i}",
                dtype=self.dtype_policy,
            )
            for i in range(len(self.filters))
        ]

    def build(self, vectors_shape):
        self.head.build(vectors_shape)
        self.frame_flops = 2 * math.prod(self.head.kernel.shape)
        shape = (None, GRID, GRID, self.filters[0])
        for norm, deconv in zip(self.norms, self.deconvs):
            norm.build(shape)
            deconv.build(shape)
            # Each pixel that is read meets the whole kernel.
            places = shape[1] * shape[2]
            self.frame_flops += 2 * places * math.prod(deconv.kernel.shape)
            shape = deconv.compute_output_shape(shape)
        self.built = True

    def call(self, vectors, training=False):
        values = self.head(tf.cast(vectors, self.compute_dtype))
        values = tf.reshape(values, [-1, GRID, GRID, self.filters[0]])
        for norm, deconv in zip(self.norms, self.deconvs):
            values = tf.nn.relu(norm(values, training=training))
            if deconv is not self.deconvs[-1]:
                values = deconv(values)
        kernel = tf.cast(self.deconvs[-1].kernel, self.compute_dtype)
        values = transposed.double(values, kernel)
        return tf.sigmoid(tf.cast(values, tf.float32))

    def compute_output_shape(self, vectors_shape):
        return (vectors_shape[0], *self.image_size, self.channels)

    def get_config(self):
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "filters": self.filters,
            "channels": self.channels,
        }
