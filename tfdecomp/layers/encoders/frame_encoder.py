"""The DCGAN encoder: strided convolutions down to one vector per frame."""

import math

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.batch_norm import BatchNorm
from tfdecomp.layers.residual import leaky_relu, plain_conv

GRID = 4  # side of the map that the last convolution reads, or first one makes


def check_doublings(image_size, filters):
    """Raises `ValueError` unless the strides lead from `image_size` to 4x4.

    Examples:
        >>> from tfdecomp.layers.encoders.frame_encoder import check_doublings
        >>> check_doublings((48, 48), filters=(8, 8))
        Traceback (most recent call last):
            ...
        ValueError: 2 strides of 2 go with frames of 16x16, got (48, 48); ...
    """
    side = GRID * 2 ** len(filters)
    if tuple(image_size) != (side, side):
        raise ValueError(
            f"{len(filters)} strides of 2 go with frames of {side}x{side}, "
            f"got {tuple(image_size)}; change IMAGE_SIZE, or give "
            "filters one width for each halving down to 4x4"
        )


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class FrameEncoder(keras.layers.Layer):
    """Frame -> features: (convolution, batch norm, leaky ReLU) n times.

    Args:
        image_size: `(H, W)`, 4 times 2 to the number of `filters`.
        filters: Widths of the 4x4 convolutions of stride 2.
        features: `F`, size of the result.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        frames: `[N, H, W, C]` in [0, 1].
        training: Whether in training mode.

    Returns:
        `[N, F]`, float32.

    Raises:
        ValueError: If sizes do not fit.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.encoders.frame_encoder import FrameEncoder
        >>> encoder = FrameEncoder(image_size=(16, 16), filters=(8, 8))
        >>> encoder(tf.zeros([2, 16, 16, 3])).shape
        TensorShape([2, 32])

    References:
        Whitney and Fergus, Disentangling Video with Independent Prediction.
        2019, appendix. Radford et al., DCGAN. ICLR 2016.
    """

    def __init__(
        self,
        image_size=(64, 64),
        filters=(64, 128, 256, 512),
        features=32,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_size = tuple(image_size)
        self.filters = tuple(filters)
        self.features = features
        check_doublings(self.image_size, self.filters)
        options = {"dtype": self.dtype_policy}
        self.convs = [
            plain_conv(width, 4, strides=2, name=f"conv_{i}", **options)
            for i, width in enumerate(self.filters)
        ]
        self.norms = [
            BatchNorm(name=f"norm_{i}", **options)
            for i in range(len(self.filters))
        ]
        self.head = plain_conv(
            features, GRID, padding="valid", name="head", **options
        )

    def build(self, frames_shape):
        shape = frames_shape
        self.frame_flops = 0
        for conv, norm in zip(self.convs, self.norms):
            conv.build(shape)
            shape = conv.compute_output_shape(shape)
            norm.build(shape)
            self.frame_flops += (
                2 * shape[1] * shape[2] * math.prod(conv.kernel.shape)
            )
        self.head.build(shape)
        self.frame_flops += 2 * math.prod(self.head.kernel.shape)
        self.built = True

    def call(self, frames, training=False):
        features = tf.cast(frames, self.compute_dtype)
        for conv, norm in zip(self.convs, self.norms):
            features = leaky_relu(norm(conv(features), training=training))
        features = leaky_relu(self.head(features))[:, 0, 0]
        return tf.cast(features, tf.float32)

    def compute_output_shape(self, frames_shape):
        return (frames_shape[0], self.features)

    def get_config(self):
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "filters": self.filters,
            "features": self.features,
        }
