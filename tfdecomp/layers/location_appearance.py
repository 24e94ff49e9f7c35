"""Where and what: the two networks that read a picture for LAVAE."""

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.residual import (
    ConvBlock,
    ResidualBlock,
    apply,
    build_in_turn,
    plain_conv,
)


class _PictureNetwork(keras.layers.Layer):
    """A residual trunk, and a head that says something of every pixel.

    Args:
        filters: Width of the trunk.
        num_blocks: Residual blocks of two 3x3 convolutions each.
        kernel_size: Side of the first kernel.
        shrink: Stride of the first convolution: the trunk reads maps that
            are so many times smaller, and the head says something of each of
            `shrink * shrink` pixels at a time. 1 in the paper.
        **kwargs: Passed to `keras.layers.Layer`.
    """

    def __init__(self, filters, num_blocks, kernel_size, shrink=1, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.num_blocks = num_blocks
        self.kernel_size = kernel_size
        self.shrink = shrink
        options = {"dtype": self.dtype_policy}
        self.trunk = [
            ConvBlock(filters, kernel_size, shrink, name="stem", **options),
            *(
                ResidualBlock(filters, name=f"block_{i}", **options)
                for i in range(num_blocks)
            ),
        ]

    def build(self, frames_shape):
        if any(side % self.shrink for side in frames_shape[1:3]):
            raise ValueError(
                f"shrink = {self.shrink} does not divide the sides of frames "
                f"of {frames_shape[1]}x{frames_shape[2]}"
            )
        build_in_turn([*self.trunk, *self.head], frames_shape)
        self.built = True

    def run(self, frames, training):
        """`[N, H, W, C]` -> the head's output for every pixel, float32."""
        features = tf.cast(frames, self.compute_dtype)
        for layer in [*self.trunk, *self.head]:
            features = apply(layer, features, training)
        if self.shrink > 1:
            features = tf.nn.depth_to_space(features, self.shrink)
        return tf.cast(features, tf.float32)

    def compute_output_shape(self, frames_shape):
        width = self.head[-1].filters // self.shrink**2
        return (*frames_shape[:-1], width)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "num_blocks": self.num_blocks,
            "kernel_size": self.kernel_size,
            "shrink": self.shrink,
        }


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class LocationNet(_PictureNetwork):
    """One number per pixel: how much an object seems to be centred there.

    Args:
        filters: Width of the trunk.
        num_blocks: Residual blocks of two 3x3 convolutions each.
        kernel_size: Side of the first kernel.
        head_filters: Widths of the convolutions between trunk and output.
        shrink: Stride of the first convolution; the last one has logits for
            each of `shrink * shrink` pixels.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        frames: `[N, H, W, C]` in [0, 1].
        training: Whether in training mode.

    Returns:
        Raw logits `[N, H, W]`, float32.

    Raises:
        ValueError: If `shrink` does not divide `H` and `W`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.location_appearance import LocationNet
        >>> LocationNet(filters=8, num_blocks=1)(tf.zeros([2, 9, 9, 1])).shape
        TensorShape([2, 9, 9])

    References:
        Dittadi and Winther, LAVAE. 2019, section 3 and appendix.
    """

    def __init__(
        self,
        filters=48,
        num_blocks=4,
        kernel_size=5,
        head_filters=(16, 16),
        shrink=1,
        **kwargs,
    ):
        super().__init__(filters, num_blocks, kernel_size, shrink, **kwargs)
        self.head_filters = tuple(head_filters)
        options = {"dtype": self.dtype_policy}
        self.head = [
            ConvBlock(width, name=f"head_{i}", **options)
            for i, width in enumerate(self.head_filters)
        ]
        self.head.append(plain_conv(shrink**2, 3, name="logits", **options))

    def call(self, frames, training=False):
        return self.run(frames, training)[..., 0]

    def get_config(self):
        return {**super().get_config(), "head_filters": self.head_filters}


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class AppearanceNet(_PictureNetwork):
    """Mean and log-variance of an appearance at every pixel.

    Args:
        latent_dim: Length of an appearance, `L`.
        filters: Width of the trunk.
        num_blocks: Residual blocks of two 3x3 convolutions each.
        kernel_size: Side of the first kernel.
        shrink: Stride of the first convolution; the last one has appearances
            for each of `shrink * shrink` pixels.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        frames: `[N, H, W, C]` in [0, 1].
        training: Whether in training mode.

    Returns:
        `[N, H, W, 2 L]`, float32: means, then log-variances.

    Raises:
        ValueError: If `shrink` does not divide `H` and `W`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.location_appearance import AppearanceNet
        >>> net = AppearanceNet(latent_dim=4, filters=8, num_blocks=1)
        >>> net(tf.zeros([2, 9, 9, 1])).shape
        TensorShape([2, 9, 9, 8])

    References:
        Dittadi and Winther, LAVAE. 2019, section 3 and appendix.
    """

    def __init__(
        self,
        latent_dim=32,
        filters=48,
        num_blocks=4,
        kernel_size=5,
        shrink=1,
        **kwargs,
    ):
        super().__init__(filters, num_blocks, kernel_size, shrink, **kwargs)
        self.latent_dim = latent_dim
        width = 2 * latent_dim * shrink**2
        self.head = [small_head(width, 1, self.dtype_policy)]

    def call(self, frames, training=False):
        return self.run(frames, training)

    def get_config(self):
        return {**super().get_config(), "latent_dim": self.latent_dim}


def small_head(channels, kernel_size, dtype):
    """A convolution to means and log-variances that starts near zero.

    Pictures are almost empty, so batch norm turns the rare pixels of objects
    into values of 10 and more; the exponential of such a log-variance would
    be beyond all bounds.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.location_appearance import small_head
        >>> head = small_head(channels=8, kernel_size=1, dtype="float32")
        >>> head(tf.zeros([2, 9, 9, 4])).shape
        TensorShape([2, 9, 9, 8])
    """
    return plain_conv(
        channels,
        kernel_size,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        dtype=dtype,
        name="posterior",
    )
