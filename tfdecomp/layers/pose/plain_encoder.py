"""Strided convolutions without biases, down to one vector a picture."""

import math

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.batch_norm import BatchNorm
from tfdecomp.layers.encoders.frame_encoder import GRID, check_doublings

FIRST = 8  # width of the first convolution
SPREAD = 0.02  # deviation of initial weights
SLOPE = 0.2  # of the leaky ReLU


def doubling_widths(image_size):
    """8, 16, ...: a width for each halving of a square down to 4x4.

    Raises:
        ValueError: If halving does not lead there.

    Examples:
        >>> from tfdecomp.layers.pose.plain_encoder import doubling_widths
        >>> doubling_widths((32, 32))
        (8, 16, 32)
    """
    sides = tuple(image_size)
    halvings = int(sides[0]).bit_length() - GRID.bit_length()
    if sides != (GRID * 2 ** max(halvings, 1),) * 2:
        raise ValueError(
            f"halving leads from 8x8, 16x16, 32x32, ... to {GRID}x{GRID}, got "
            f"pictures of {sides[0]}x{sides[-1]}; resize them, or change "
            "IMAGE_SIZE"
        )
    return tuple(FIRST * 2**i for i in range(halvings))


def options(policy):
    """What all layers of the two networks have in common.

    Examples:
        >>> from tfdecomp.layers.pose.plain_encoder import options
        >>> options("float32")["use_bias"]
        False
    """
    return {
        "use_bias": False,
        "kernel_initializer": keras.initializers.RandomNormal(stddev=SPREAD),
        "dtype": policy,
    }


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class PlainEncoder(keras.layers.Layer):
    """Picture -> features: 4x4 convolutions of stride 2, and one of 4x4 pixels.

    The first has no norm, the last neither norm nor activation; between them
    are batch norm and leaky ReLU.

    Args:
        image_size: `(H, W)`, 4 times 2 to the number of `filters`.
        filters: Widths; by default 8, 16, ... for each halving.
        features: `F`, size of the result.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        pictures: `[N, H, W, C]` in [0, 1].
        training: Whether in training mode.

    Returns:
        `[N, F]`, float32.

    Raises:
        ValueError: If sizes do not fit.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.pose.plain_encoder import PlainEncoder
        >>> encoder = PlainEncoder(image_size=(16, 16), features=32)
        >>> encoder(tf.zeros([2, 16, 16, 1])).shape
        TensorShape([2, 32])

    References:
        Hsieh et al., DDPAE. NeurIPS 2018.
    """

    def __init__(
        self, image_size=(64, 64), filters=None, features=256, **kwargs
    ):
        super().__init__(**kwargs)
        self.image_size = tuple(image_size)
        self.filters = tuple(filters or doubling_widths(self.image_size))
        self.features = features
        check_doublings(self.image_size, self.filters)
        common = options(self.dtype_policy)
        self.convs = [
            keras.layers.Conv2D(
                width, 4, 2, padding="same", name=f"conv_{i}", **common
            )
            for i, width in enumerate(self.filters)
        ]
        self.norms = [
            BatchNorm(
                scale_deviation=SPREAD,
                name=f"norm_{i}",
                dtype=self.dtype_policy,
            )
            for i in range(1, len(self.filters))
        ]
        # One place for the kernel: a product of matrices.
        self.head = keras.layers.Dense(features, name="head", **common)

    def build(self, pictures_shape):
        shape, self.frame_flops = pictures_shape, 0
        for conv, norm in zip(self.convs, [None, *self.norms]):
            conv.build(shape)
            shape = conv.compute_output_shape(shape)
            places = shape[1] * shape[2]
            self.frame_flops += 2 * places * math.prod(conv.kernel.shape)
            if norm is not None:
                norm.build(shape)
        self.head.build((None, math.prod(shape[1:])))
        self.frame_flops += 2 * math.prod(self.head.kernel.shape)
        self.built = True

    def call(self, pictures, training=False):
        values = tf.cast(pictures, self.compute_dtype)
        for conv, norm in zip(self.convs, [None, *self.norms]):
            values = conv(values)
            if norm is not None:
                values = norm(values, training=training)
            values = tf.nn.leaky_relu(values, SLOPE)
        flat = tf.reshape(values, [-1, math.prod(values.shape[1:])])
        return tf.cast(self.head(flat), tf.float32)

    def compute_output_shape(self, pictures_shape):
        return (pictures_shape[0], self.features)

    def get_config(self):
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "filters": self.filters,
            "features": self.features,
        }
