"""Convolution, leaky ReLU, batch norm; and residual blocks of two of them."""

import keras
import tensorflow as tf

from tfdecomp.layers.batch_norm import BatchNorm
from tfdecomp.layers.conv import Conv2D

SLOPE = 0.01  # of the leaky ReLU
# Convolutions here start as Keras has them, not as `layers.conv` has them.
INITIAL = {"kernel_initializer": "glorot_uniform", "bias": "zeros"}


def plain_conv(filters, kernel_size, **kwargs):
    """A convolution with nothing after it.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.residual import plain_conv
        >>> plain_conv(8, 3, strides=2)(tf.zeros([1, 16, 16, 3])).shape
        TensorShape([1, 8, 8, 8])
    """
    return Conv2D(filters, kernel_size, **{**INITIAL, **kwargs})


def leaky_relu(features):
    """Leaky ReLU of slope `SLOPE`.

    Examples:
        >>> from tfdecomp.layers.residual import leaky_relu
        >>> leaky_relu([-100.0, 1.0]).numpy()
        array([-1.,  1.], dtype=float32)
    """
    return tf.nn.leaky_relu(features, SLOPE)


def build_in_turn(layers, shape):
    """Builds layers that follow each other; returns the last shape.

    Examples:
        >>> from tfdecomp.layers.residual import build_in_turn, plain_conv
        >>> layers = [plain_conv(8, 3, strides=2), plain_conv(4, 1)]
        >>> build_in_turn(layers, (None, 16, 16, 3))
        (None, 8, 8, 4)
    """
    for layer in layers:
        layer.build(shape)
        shape = layer.compute_output_shape(shape)
    return shape


@keras.saving.register_keras_serializable(package="tfdecomp")
class ConvBlock(keras.layers.Layer):
    """Convolution -> leaky ReLU -> batch norm, in this order.

    Args:
        filters: Width.
        kernel_size: Side of the kernel.
        strides: Of the convolution.
        is_transposed: Whether the convolution is a transposed one.
        normalize: Whether there is a batch norm.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, H, W, C]`.
        training: Whether in training mode.

    Returns:
        `[N, H / strides, W / strides, filters]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.residual import ConvBlock
        >>> ConvBlock(filters=8, strides=2)(tf.zeros([1, 16, 16, 3])).shape
        TensorShape([1, 8, 8, 8])
    """

    def __init__(
        self,
        filters,
        kernel_size=3,
        strides=1,
        is_transposed=False,
        normalize=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.is_transposed = is_transposed
        self.normalize = normalize
        options = {"strides": strides, "dtype": self.dtype_policy}
        if is_transposed:
            self.conv = keras.layers.Conv2DTranspose(
                filters, kernel_size, padding="same", name="conv", **options
            )
        else:
            self.conv = plain_conv(filters, kernel_size, name="conv", **options)
        self.norm = None
        if normalize:
            self.norm = BatchNorm(name="norm", dtype=self.dtype_policy)

    def build(self, input_shape):
        self.conv.build(input_shape)
        if self.norm is not None:
            self.norm.build(self.conv.compute_output_shape(input_shape))
        self.built = True

    def call(self, inputs, training=False):
        features = leaky_relu(self.conv(inputs))
        if self.norm is None:
            return features
        return self.norm(features, training=training)

    def compute_output_shape(self, input_shape):
        return self.conv.compute_output_shape(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "is_transposed": self.is_transposed,
            "normalize": self.normalize,
        }


@keras.saving.register_keras_serializable(package="tfdecomp")
class ResidualBlock(keras.layers.Layer):
    """`x + f(x)`, f two `ConvBlock`s; nothing after the sum.

    Args:
        filters: Width of input and output.
        kernel_size: Side of the kernels.
        is_transposed: Whether the convolutions are transposed ones.
        activation: `"both"`: f is two `ConvBlock`s. `"inner"`: a leaky ReLU
            between two convolutions and no batch norm, for what only a
            linear layer follows. `"none"`: two convolutions alone.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, H, W, filters]`.
        training: Whether in training mode.

    Returns:
        As `inputs`.

    Raises:
        ValueError: If `activation` is unknown.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.residual import ResidualBlock
        >>> ResidualBlock(filters=3)(tf.zeros([1, 16, 16, 3])).shape
        TensorShape([1, 16, 16, 3])
    """

    def __init__(
        self,
        filters,
        kernel_size=3,
        is_transposed=False,
        activation="both",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if activation not in ("both", "inner", "none"):
            raise ValueError(
                "activation must be 'both', 'inner' or 'none', got "
                f"{activation!r}"
            )
        self.filters = filters
        self.kernel_size = kernel_size
        self.is_transposed = is_transposed
        self.activation = activation
        options = {"dtype": self.dtype_policy}
        block = {"is_transposed": is_transposed, **options}
        plain = "inner none".split()
        first = second = None
        if activation == "none":
            first = plain_conv(filters, kernel_size, name="conv_0", **options)
        if activation in plain:
            second = plain_conv(filters, kernel_size, name="conv_1", **options)
        self.first = first or ConvBlock(
            filters,
            kernel_size,
            normalize=activation == "both",
            name="block_0",
            **block,
        )
        self.second = second or ConvBlock(
            filters, kernel_size, name="block_1", **block
        )

    def build(self, input_shape):
        self.first.build(input_shape)
        self.second.build(input_shape)
        self.built = True

    def call(self, inputs, training=False):
        features = apply(self.first, inputs, training)
        return inputs + apply(self.second, features, training)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "is_transposed": self.is_transposed,
            "activation": self.activation,
        }


def apply(layer, inputs, training):
    """Calls a layer, with `training` if it reads that.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.residual import ConvBlock, apply
        >>> apply(ConvBlock(8), tf.zeros([1, 4, 4, 3]), training=False).shape
        TensorShape([1, 4, 4, 8])
    """
    if isinstance(layer, (ConvBlock, ResidualBlock, BatchNorm)):
        return layer(inputs, training=training)
    return layer(inputs)
