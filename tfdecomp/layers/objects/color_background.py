"""A background of one colour per clip."""

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.mlp import MLP
from tfdecomp.layers.objects import object_latents
from tfdecomp.ops import spatial_transformer


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class ColorBackground(keras.layers.Layer):
    """Draws a colour from a latent that the first frame tells.

        q(z | x_1) = N(z | f(x_1)),   p(z) = N(0, 1),   sigmoid(g(z))

    Args:
        channels: Colour channels, `C`.
        latent_dim: Length of a clip's vector, `D`.
        hidden: Hidden widths of f and g.
        view: Side of the picture to which the first frame is reduced.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        video: `[B, T, H, W, C]` of known size.
        state: Of the frames before, or None.
        noise: `clip` `[B, D]`, or None for the mean.

    Returns:
        `(pictures [B, T, H, W, C], kl [B] nats, state)`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.objects.color_background import ColorBackground
        >>> pictures, kl, _ = ColorBackground()(tf.zeros([2, 5, 16, 16, 3]))
        >>> pictures.shape, kl.shape
        (TensorShape([2, 5, 16, 16, 3]), TensorShape([2]))

    References:
        An option of the code of Crawford and Pineau, SILOT. AAAI 2020.
    """

    frame_noise = 0  # numbers per frame that are drawn

    def __init__(
        self, channels=3, latent_dim=8, hidden=(100, 100), view=12, **kwargs
    ):
        # Likelihoods are float32 under any policy.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        self.channels = channels
        self.latent_dim = latent_dim
        self.hidden = tuple(hidden)
        self.view = view
        options = {"hidden": hidden, "dtype": "float32"}
        self.encoder = MLP(units=2 * latent_dim, name="encoder", **options)
        self.decoder = MLP(units=channels, name="decoder", **options)

    @property
    def clip_noise(self):
        """Numbers per clip that are drawn."""
        return self.latent_dim

    def build(self, video_shape=None):
        """Creates the weights; no shape is needed."""
        self.encoder.build((None, self.view**2 * self.channels))
        self.decoder.build((None, self.latent_dim))
        self.built = True

    def call(self, video, state=None, noise=None):
        kl = tf.zeros(tf.shape(video)[:1])
        if state is None:
            seen = spatial_transformer.resample(video[:, 0], self.view)
            size = self.view**2 * self.channels
            raw = self.encoder(tf.reshape(seen, [-1, size]))
            q = object_latents.normal(raw)
            drawn = q.draw((noise or {}).get("clip"))
            state = {"latent": drawn}
            kl = object_latents.kl_from_zero(q)
        pictures, state = self.predict(
            state, tf.shape(video)[1], video.shape[2:4]
        )
        return pictures, kl, state

    def predict(self, state, num_frames, image_size, noise=None):
        """Pictures of more frames.

        Args:
            state: As of `call`.
            num_frames: `T`.
            image_size: `(H, W)`.
            noise: Not used; the colour stays.

        Returns:
            `(pictures [B, T, H, W, C], state)`.
        """
        del noise
        color = tf.sigmoid(self.decoder(state["latent"]))
        pictures = color[:, None, None, None]
        shape = [tf.shape(color)[0], num_frames, *image_size, self.channels]
        return tf.broadcast_to(pictures, shape), state

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "latent_dim": self.latent_dim,
            "hidden": self.hidden,
            "view": self.view,
        }
