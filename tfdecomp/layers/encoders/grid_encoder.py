"""From a picture to a small grid of latents, by convolutions alone."""

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.location_appearance import small_head
from tfdecomp.layers.residual import (
    ConvBlock,
    ResidualBlock,
    apply,
    build_in_turn,
    plain_conv,
)


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class GridEncoder(keras.layers.Layer):
    """Mean and log-variance of latents on a coarse grid.

    A convolution halves the picture, then residual blocks alternate with
    plain convolutions that halve it further. A picture whose sides are no
    multiples of the total stride is padded with zeros on all sides alike
    (where the number of missing pixels is odd, the last side gets one more).

    Args:
        filters: Width of all hidden layers.
        latent_channels: Latents per cell of the grid.
        blocks: Residual blocks at each resolution, from fine to coarse; a
            cell has the side `2 ** len(blocks)`.
        kernel_size: Side of the kernels that halve the picture.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        frames: `[N, H, W, C]` in [0, 1].
        training: Whether in training mode.

    Returns:
        `[N, *grid, 2 L]`, float32: means, then log-variances.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.encoders.grid_encoder import GridEncoder
        >>> encoder = GridEncoder(filters=8, latent_channels=4)
        >>> encoder(tf.zeros([1, 16, 24, 1])).shape  # cells of 8 x 8 pixels
        TensorShape([1, 2, 3, 8])

    References:
        Dittadi and Winther, LAVAE. 2019, appendix: the baseline. Its kernels
        are ours, the paper does not name them.
    """

    def __init__(
        self,
        filters=64,
        latent_channels=16,
        blocks=(1, 1, 2),
        kernel_size=5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.latent_channels = latent_channels
        self.blocks = check_blocks(blocks)
        self.kernel_size = kernel_size
        options = {"dtype": self.dtype_policy}
        half = {"kernel_size": kernel_size, "strides": 2, **options}
        self.stages = []
        for i, number in enumerate(self.blocks):
            down = plain_conv if i else ConvBlock
            self.stages.append(down(filters, name=f"down_{i}", **half))
            self.stages += [
                ResidualBlock(filters, name=f"block_{i}_{j}", **options)
                for j in range(number)
            ]
        self.stages.append(
            small_head(2 * latent_channels, 3, self.dtype_policy)
        )

    def build(self, frames_shape):
        height, width = padded_size(frames_shape[1:3], self.blocks)
        build_in_turn(self.stages, (None, height, width, frames_shape[-1]))
        self.built = True

    def call(self, frames, training=False):
        features = tf.cast(frames, self.compute_dtype)
        around = margins(frames.shape[1:3], self.blocks)
        features = tf.pad(features, [(0, 0), *around, (0, 0)])
        for layer in self.stages:
            features = apply(layer, features, training)
        return tf.cast(features, tf.float32)

    def grid(self, image_size):
        """Cells along each side of a picture: two numbers."""
        return grid_size(image_size, self.blocks)

    def compute_output_shape(self, frames_shape):
        grid = self.grid(frames_shape[1:3])
        return (frames_shape[0], *grid, 2 * self.latent_channels)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "latent_channels": self.latent_channels,
            "blocks": self.blocks,
            "kernel_size": self.kernel_size,
        }


def check_blocks(blocks):
    """`blocks` as a tuple, or `ValueError` if there are none.

    Examples:
        >>> from tfdecomp.layers.encoders.grid_encoder import check_blocks
        >>> check_blocks([1, 1, 2])
        (1, 1, 2)
    """
    blocks = tuple(blocks)
    if not blocks or min(blocks) < 0:
        raise ValueError(
            "blocks must be the numbers of residual blocks at each "
            f"resolution, such as (1, 1, 2), got {blocks}"
        )
    return blocks


def grid_size(image_size, blocks):
    """Cells along each side of a picture.

    Examples:
        >>> from tfdecomp.layers.encoders.grid_encoder import grid_size
        >>> grid_size((20, 16), blocks=(1, 1, 2))  # cells of 8 x 8 pixels
        (3, 2)
    """
    cell = 2 ** len(blocks)
    return tuple(-(-side // cell) for side in image_size)


def padded_size(image_size, blocks):
    """Sides of a picture padded to whole cells.

    Examples:
        >>> from tfdecomp.layers.encoders.grid_encoder import padded_size
        >>> padded_size((20, 16), blocks=(1, 1, 2))  # cells of 8 x 8 pixels
        (24, 16)
    """
    cell = 2 ** len(blocks)
    return tuple(cell * number for number in grid_size(image_size, blocks))


def margins(image_size, blocks):
    """Pixels before and after, by axis, that fill up the cells.

    Examples:
        >>> from tfdecomp.layers.encoders.grid_encoder import margins
        >>> margins((21, 16), blocks=(1, 1, 2))  # three rows are missing
        [(1, 2), (0, 0)]
    """
    missing = [
        padded - side
        for padded, side in zip(padded_size(image_size, blocks), image_size)
    ]
    return [(m // 2, m - m // 2) for m in missing]
