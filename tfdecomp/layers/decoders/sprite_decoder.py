"""From an appearance to a small picture."""

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.batch_norm import BatchNorm
from tfdecomp.layers.conv import Dense
from tfdecomp.layers.residual import (
    ConvBlock,
    ResidualBlock,
    apply,
    build_in_turn,
    leaky_relu,
    plain_conv,
)


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class SpriteDecoder(keras.layers.Layer):
    """Draws sprites: dense, convolution, bilinear resize, residual blocks.

    Args:
        size: `S`, side of a sprite; odd, so that it has a centre pixel.
        channels: Colour channels, `C`.
        base_filters: Width of the grid that the dense layer fills; its side
            is `ceil(S / 4)`.
        resized_filters: Width at which the grid is resized to `[S, S]`. The
            latents are tiled and joined to it there.
        num_blocks: Residual blocks after that; the last one has no batch
            norm.
        last_block: `"inner"`: it keeps the leaky ReLU between its two
            convolutions. `"linear"`: it has none.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        latents: `[N, L]`.
        training: Whether in training mode.

    Returns:
        `[N, S, S, C]` in (0, 1), float32.

    Raises:
        ValueError: If `size` is even, or `last_block` unknown.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.decoders.sprite_decoder import SpriteDecoder
        >>> SpriteDecoder(size=9)(tf.zeros([2, 4])).shape
        TensorShape([2, 9, 9, 1])

    References:
        Dittadi and Winther, LAVAE. 2019, section 3 and appendix.
    """

    def __init__(
        self,
        size=17,
        channels=1,
        base_filters=32,
        resized_filters=16,
        num_blocks=3,
        last_block="inner",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if size % 2 == 0 or size < 1:
            raise ValueError(
                f"size must be odd, so that a sprite has a centre pixel; got "
                f"{size}"
            )
        if last_block not in ("inner", "linear"):
            raise ValueError(
                f"last_block must be 'inner' or 'linear', got {last_block!r}"
            )
        self.size = size
        self.channels = channels
        self.base_filters = base_filters
        self.resized_filters = resized_filters
        self.num_blocks = num_blocks
        self.last_block = last_block
        self.side = -(-size // 4)
        self.options = {"dtype": self.dtype_policy}
        self.dense = Dense(
            self.side**2 * base_filters,
            kernel_initializer="glorot_uniform",
            bias="zeros",
            name="dense",
            **self.options,
        )
        self.norm = BatchNorm(name="norm", **self.options)
        self.conv = ConvBlock(resized_filters, name="conv", **self.options)

    def build(self, latents_shape):
        latent_dim = latents_shape[-1]
        width = self.resized_filters + latent_dim
        last = {"inner": "inner", "linear": "none"}[self.last_block]
        self.blocks = [
            ResidualBlock(
                width,
                activation=last if i + 1 == self.num_blocks else "both",
                name=f"block_{i}",
                **self.options,
            )
            for i in range(self.num_blocks)
        ]
        self.head = plain_conv(self.channels, 3, name="head", **self.options)
        self.dense.build((None, latent_dim))
        grid = (None, self.side, self.side, self.base_filters)
        build_in_turn([self.norm, self.conv], grid)
        canvas = (None, self.size, self.size, width)
        build_in_turn([*self.blocks, self.head], canvas)
        self.built = True

    def call(self, latents, training=False):
        latents = tf.cast(latents, self.compute_dtype)
        grid = [-1, self.side, self.side, self.base_filters]
        features = leaky_relu(tf.reshape(self.dense(latents), grid))
        features = self.norm(features, training=training)
        features = self.conv(features, training=training)
        side = (self.size, self.size)
        # In TensorFlow 2: half-pixel centres, no antialiasing.
        features = tf.image.resize(features, side, "bilinear")
        features = tf.cast(features, self.compute_dtype)
        tiled = tf.broadcast_to(
            latents[:, None, None],
            [tf.shape(latents)[0], *side, latents.shape[-1]],
        )
        features = tf.concat([features, tiled], axis=-1)
        for block in self.blocks:
            features = apply(block, features, training)
        return tf.sigmoid(tf.cast(self.head(features), tf.float32))

    def compute_output_shape(self, latents_shape):
        return (latents_shape[0], self.size, self.size, self.channels)

    def get_config(self):
        return {
            **super().get_config(),
            "size": self.size,
            "channels": self.channels,
            "base_filters": self.base_filters,
            "resized_filters": self.resized_filters,
            "num_blocks": self.num_blocks,
            "last_block": self.last_block,
        }
