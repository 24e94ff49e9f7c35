"""From a small grid of latents to a picture, by convolutions alone."""

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.encoders.grid_encoder import (
    check_blocks,
    grid_size,
    margins,
    padded_size,
)
from tfdecomp.layers.residual import (
    ConvBlock,
    ResidualBlock,
    apply,
    build_in_turn,
    plain_conv,
)


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class GridDecoder(keras.layers.Layer):
    """Mirrors `GridEncoder`: transposed convolutions double the grid.

    The last doubling is a bilinear resize, which draws no checkerboard. What
    the encoder padded is cut off at the end.

    Args:
        image_size: `(H, W)` of the frames.
        channels: Colour channels, `C`.
        filters: Width of all hidden layers.
        blocks: Residual blocks at each resolution, from fine to coarse, as
            the encoder has them; here they run from the last to the first.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        latents: `[N, *grid, L]`.
        training: Whether in training mode.

    Returns:
        Logits `[N, H, W, C]`, float32.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.decoders.grid_decoder import GridDecoder
        >>> decoder = GridDecoder(image_size=(16, 24), filters=8)
        >>> decoder(tf.zeros([1, 2, 3, 4])).shape
        TensorShape([1, 16, 24, 1])

    References:
        Dittadi and Winther, LAVAE. 2019, appendix: the baseline. Its kernels
        are ours, the paper does not name them.
    """

    def __init__(
        self, image_size, channels=1, filters=64, blocks=(1, 1, 2), **kwargs
    ):
        super().__init__(**kwargs)
        self.image_size = tuple(image_size)
        self.channels = channels
        self.filters = filters
        self.blocks = check_blocks(blocks)
        self.grid = grid_size(self.image_size, self.blocks)
        options = {"dtype": self.dtype_policy}
        transposed = {"is_transposed": True, **options}
        self.coarse = [ConvBlock(filters, name="stem", **transposed)]
        for i, number in reversed(list(enumerate(self.blocks))):
            self.coarse += [
                ResidualBlock(filters, name=f"block_{i}_{j}", **transposed)
                for j in range(number)
            ]
            if i > 0:
                self.coarse.append(
                    keras.layers.Conv2DTranspose(
                        filters,
                        4,
                        strides=2,
                        padding="same",
                        name=f"up_{i}",
                        **options,
                    )
                )
        self.fine = [
            ConvBlock(filters, name="fine", **options),
            plain_conv(channels, 3, name="logits", **options),
        ]

    def build(self, latents_shape):
        build_in_turn(self.coarse, (None, *self.grid, latents_shape[-1]))
        size = padded_size(self.image_size, self.blocks)
        build_in_turn(self.fine, (None, *size, self.filters))
        self.built = True

    def call(self, latents, training=False):
        features = tf.cast(latents, self.compute_dtype)
        for layer in self.coarse:
            features = apply(layer, features, training)
        size = padded_size(self.image_size, self.blocks)
        # In TensorFlow 2: half-pixel centres, no antialiasing.
        features = tf.image.resize(features, size, "bilinear")
        features = tf.cast(features, self.compute_dtype)
        for layer in self.fine:
            features = apply(layer, features, training)
        return tf.cast(self._crop(features), tf.float32)

    def _crop(self, features):
        (top, _), (left, _) = margins(self.image_size, self.blocks)
        height, width = self.image_size
        return features[:, top : top + height, left : left + width]

    def compute_output_shape(self, latents_shape):
        return (latents_shape[0], *self.image_size, self.channels)

    def get_config(self):
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "channels": self.channels,
            "filters": self.filters,
            "blocks": self.blocks,
        }
