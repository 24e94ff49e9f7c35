"""A background that is painted once and then looked at from moving places."""

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.conv import Conv2D
from tfdecomp.layers.mlp import MLP
from tfdecomp.layers.objects import object_latents
from tfdecomp.ops import spatial_transformer

_GRID = 5  # side of the latent; the encoder divides by 12
_STRIDES = (3, 2, 2)
_MOVES = 4  # y, x, h, w


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class MovingBackground(keras.layers.Layer):
    """Draws windows of a painting.

        z ~ N(0, 1)  [5, 5, A],   painting = sigmoid(g(z))  [60, 60, C]
        l_t = l_{t-1} + d_t,      d_t ~ N(0, move_deviation^2)  [4]
        h, w = 0.5 + 0.4 sigmoid(l),   y, x = (1 - (h, w)) tanh(l)

    where the window of frame t has the centre (y, x) and half the sides
    (h, w), the painting reaching from -1 to 1. The first frame tells z; every
    frame, beside z, its own d. Convolutions are ours, the rest is as
    published.

    Args:
        channels: Colour channels, `C`.
        latent_dim: Length of the vector of each of 25 places, `A`.
        filters: Width of the convolutions.
        hidden: Hidden widths of the network of movements.
        move_deviation: Prior deviation of a movement.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        video: `[B, T, H, W, C]` of known size.
        state: Of the frames before, or None.
        noise: `clip` `[B, 25 A]` and `frames` `[B, T, 4]`, or None for means.

    Returns:
        `(pictures [B, T, H, W, C], kl [B] nats, state)`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.objects import moving_background
        >>> background = moving_background.MovingBackground(filters=4)
        >>> pictures, kl, _ = background(tf.zeros([1, 2, 16, 16, 3]))
        >>> pictures.shape, kl.shape
        (TensorShape([1, 2, 16, 16, 3]), TensorShape([1]))

    References:
        An option of the code of Crawford and Pineau, SILOT. AAAI 2020.
    """

    frame_noise = _MOVES  # numbers per frame that are drawn

    def __init__(
        self,
        channels=3,
        latent_dim=8,
        filters=32,
        hidden=(100, 100),
        move_deviation=1.0,
        **kwargs,
    ):
        # Places and likelihoods are float32 under any policy.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        self.channels = channels
        self.latent_dim = latent_dim
        self.filters = filters
        self.hidden = tuple(hidden)
        self.move_deviation = move_deviation
        options = {
            "kernel_initializer": "glorot_uniform",
            "bias": "zeros",
            "dtype": "float32",
        }
        self.encoder = [
            Conv2D(
                filters,
                4,
                strides=stride,
                activation="relu",
                name=f"encoder_{i}",
                **options,
            )
            for i, stride in enumerate(_STRIDES)
        ]
        self.painter = Conv2D(2 * latent_dim, 1, name="painter", **options)
        self.mover = MLP(self.hidden, 2 * _MOVES, dtype="float32", name="mover")
        self.decoder = [
            Conv2D(
                filters, 3, activation="relu", name=f"decoder_{i}", **options
            )
            for i in range(len(_STRIDES))
        ]
        self.last = Conv2D(channels, 3, name="last", **options)

    @property
    def clip_noise(self):
        """Numbers per clip that are drawn."""
        return _GRID**2 * self.latent_dim

    @property
    def side(self):
        """Of the painting."""
        side = _GRID
        for stride in _STRIDES:
            side *= stride
        return side

    def build(self, video_shape=None):
        """Creates the weights; no shape is needed."""
        grid, width = (None, None, None), self.channels
        for conv in self.encoder:
            conv.build((*grid, width))
            width = self.filters
        self.painter.build((*grid, width))
        self.mover.build((None, _GRID**2 * width + self.clip_noise))
        width = self.latent_dim
        for conv in self.decoder:
            conv.build((*grid, width))
            width = self.filters
        self.last.build((*grid, width))
        self.built = True

    def call(self, video, state=None, noise=None):
        noise = noise or {}
        batch, count = tf.shape(video)[0], tf.shape(video)[1]
        seen = self._encode(tf.reshape(video, [-1, *video.shape[2:]]))
        kl = tf.zeros([batch])
        if state is None:
            first = tf.reshape(seen, [batch, count, *seen.shape[1:]])[:, 0]
            q = self._flat(object_latents.normal(self.painter(first)))
            kl += object_latents.kl_from_zero(q)
            state = {
                "latent": q.draw(noise.get("clip")),
                "place": tf.zeros([batch, _MOVES]),
            }
        size = _GRID**2 * self.filters
        seen = tf.reshape(seen, [batch, count, size])
        known = tf.tile(state["latent"][:, None], [1, count, 1])
        raw = self.mover(tf.concat([seen, known], axis=-1))
        q = object_latents.normal(raw)
        of_moves = object_latents.kl_from_zero(q, self.move_deviation)
        kl += tf.reduce_sum(of_moves, axis=1)
        moves = q.draw(noise.get("frames"))
        pictures, state = self._look(state, moves, video.shape[2:4])
        return pictures, kl, state

    def _flat(self, q):
        """The latents of all places of the painting as one event."""
        size = [-1, self.clip_noise]
        return object_latents.Normal(*(tf.reshape(part, size) for part in q))

    def predict(self, state, num_frames, image_size, noise=None):
        """Pictures of more frames, as the prior has them.

        Args:
            state: As of `call`.
            num_frames: `T`.
            image_size: `(H, W)`.
            noise: `frames` `[B, T, 4]`, or None: nothing moves.

        Returns:
            `(pictures [B, T, H, W, C], state)`.
        """
        batch = tf.shape(state["place"])[0]
        moves = tf.zeros([batch, num_frames, _MOVES])
        if noise is not None:
            moves += self.move_deviation * noise["frames"]
        return self._look(state, moves, image_size)

    def painting(self, state):
        """`[B, 60, 60, C]`."""
        values = tf.reshape(
            state["latent"], [-1, _GRID, _GRID, self.latent_dim]
        )
        for conv, stride in zip(self.decoder, reversed(_STRIDES)):
            values = conv(values)
            values = tf.repeat(tf.repeat(values, stride, 1), stride, 2)
        return tf.sigmoid(self.last(values))

    def windows(self, places):
        """Boxes `(y, x, h, w)` in pixels of the painting, of `[..., 4]`."""
        half = 0.5 + 0.4 * tf.sigmoid(places[..., 2:])
        centre = (1.0 - half) * tf.tanh(places[..., :2])
        return self.side * tf.concat([0.5 * (centre + 1.0), half], axis=-1)

    def _look(self, state, moves, image_size):
        places = state["place"][:, None] + tf.cumsum(moves, axis=1)
        pictures = spatial_transformer.take_glimpses(
            self.painting(state),
            self.windows(places),
            tuple(image_size),
            "half_pixel",
        )
        return pictures, {**state, "place": places[:, -1]}

    def _encode(self, frames):
        values = spatial_transformer.resample(frames, self.side)
        for conv in self.encoder:
            values = conv(values)
        return values

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "latent_dim": self.latent_dim,
            "filters": self.filters,
            "hidden": self.hidden,
            "move_deviation": self.move_deviation,
        }
