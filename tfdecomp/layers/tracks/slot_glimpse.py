"""What is seen where an object may be."""

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.mlp import MLP
from tfdecomp.ops import spatial_transformer, sprites

FLOOR = 0.01  # of all standard deviations


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class SlotGlimpse(keras.layers.Layer):
    """Cuts windows out of frames, and reads an appearance off each.

        loc, raw = encoder(weights * cut(frame, where))
        scale = softplus(raw) + .01

    Args:
        what_dim: Length of an appearance, `A`.
        size: Side of a glimpse in samples, `G`.
        hidden: Hidden widths of the encoder, with ELU.
        channels: Colour channels, `C`.
        size_range: Least and largest side of a window, as a share of the
            frame.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        frames: `[N, H, W, C]` of known size.
        where: `[N, K, 4]`; see `ops.sprites.boxes_of`.
        weights: Of pixels, `[N, K, G * G]`; None for ones.

    Returns:
        `(loc, scale)`, `[N, K, A]` each, float32.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.tracks.slot_glimpse import SlotGlimpse
        >>> look = SlotGlimpse(what_dim=8, size=6)
        >>> look(tf.zeros([2, 24, 24, 3]), tf.zeros([2, 5, 4]))[0].shape
        TensorShape([2, 5, 8])
    """

    def __init__(
        self,
        what_dim=50,
        size=14,
        hidden=(256, 256),
        channels=3,
        size_range=(0.0, 1.0),
        **kwargs,
    ):
        # Places are fractions of pixels; the encoder alone rounds.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        self.what_dim = what_dim
        self.size = size
        self.hidden = tuple(hidden)
        self.channels = channels
        self.size_range = tuple(size_range)
        self.encoder = MLP(
            self.hidden,
            2 * what_dim,
            "elu",
            "truncated_normal",
            dtype=self.dtype_policy,
            name="encoder",
        )

    def build(self, *shapes):
        self.encoder.build((None, None, self.size**2 * self.channels))
        self.built = True

    def call(self, frames, where, weights=None):
        boxes = sprites.boxes_of(
            where, tuple(frames.shape[1:3]), self.size_range
        )
        cut = spatial_transformer.take_glimpses(
            frames, boxes, (self.size,) * 2, "half_pixel"
        )
        count, area = tf.shape(where)[1], self.size**2
        if weights is not None:
            cut = tf.reshape(cut, [-1, count, area, self.channels])
            cut *= weights[..., None]
        flat = tf.reshape(cut, [-1, count, area * self.channels])
        flat = tf.ensure_shape(
            flat, [None, where.shape[1], area * self.channels]
        )
        loc, raw = tf.split(tf.cast(self.encoder(flat), tf.float32), 2, -1)
        return loc, tf.nn.softplus(raw) + FLOOR

    def get_config(self):
        return {
            **super().get_config(),
            "what_dim": self.what_dim,
            "size": self.size,
            "hidden": self.hidden,
            "channels": self.channels,
            "size_range": self.size_range,
        }
