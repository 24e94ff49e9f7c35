"""What an appearance looks like."""

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.mlp import MLP


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class SlotSprites(keras.layers.Layer):
    """Draws appearances as small pictures, which may have any values.

    Args:
        size: Side of a sprite in pixels, `G`.
        channels: Colour channels, `C`.
        hidden: Hidden widths, with ELU.
        initial_scale: Of what is drawn, at first; it is learned.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        what: `[..., A]`.

    Returns:
        `[..., G, G, C]`, float32.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.tracks.slot_sprites import SlotSprites
        >>> SlotSprites(size=6)(tf.zeros([2, 5, 8])).shape
        TensorShape([2, 5, 6, 6, 3])
    """

    def __init__(
        self,
        size=14,
        channels=3,
        hidden=(256, 256),
        initial_scale=0.25,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.size = size
        self.channels = channels
        self.hidden = tuple(hidden)
        self.initial_scale = initial_scale
        self.network = MLP(
            self.hidden,
            size**2 * channels,
            "elu",
            "truncated_normal",
            dtype=self.dtype_policy,
            name="network",
        )

    def build(self, what_shape):
        self.network.build(what_shape)
        self.scale = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self.initial_scale),
            dtype="float32",
            autocast=False,
            name="scale",
        )
        self.built = True

    def call(self, what):
        drawn = tf.cast(self.network(what), tf.float32)
        drawn *= tf.convert_to_tensor(self.scale)
        picture = [self.size, self.size, self.channels]
        shape = tf.concat([tf.shape(what)[:-1], picture], axis=0)
        drawn = tf.reshape(drawn, shape)
        return tf.ensure_shape(drawn, [*what.shape[:-1], *picture])

    def get_config(self):
        return {
            **super().get_config(),
            "size": self.size,
            "channels": self.channels,
            "hidden": self.hidden,
            "initial_scale": self.initial_scale,
        }
