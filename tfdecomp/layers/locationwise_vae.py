"""A small VAE whose divergence tells where in a picture something is."""

import math

import gin
import keras
import tensorflow as tf

from tfdecomp.distributions.bernoulli import LogitBernoulli
from tfdecomp.distributions.gaussians import DiagonalGaussian
from tfdecomp.layers.location_appearance import small_head
from tfdecomp.layers.residual import (
    ConvBlock,
    ResidualBlock,
    apply,
    build_in_turn,
    plain_conv,
)

LOG_VARIANCE_LIMIT = 10.0


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class LocationwiseVAE(keras.layers.Layer):
    """A fully convolutional VAE with one small latent vector per tile.

    Where a tile is empty it costs nothing to describe, so the divergence by
    tile is a proxy for the presence of objects; LAVAE's location network
    imitates it at the start of training.

    Args:
        image_size: `(H, W)` of the frames.
        channels: Colour channels, `C`.
        latent_dim: Latents per tile.
        filters: Width of all hidden layers.
        strides: Of the convolutions between the residual blocks; a tile is a
            square whose side is their product. The picture is padded with
            zeros to whole tiles.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        frames: `[N, H, W, C]` in [0, 1].
        noise: Standard normal, `[N, *self.latent_shape]`.
        training: Whether in training mode.

    Returns:
        `(loss, kl_map)`: nats per picture `[N]`, and the divergence
        `[N, H, W]` in nats per tile, interpolated between the tiles' centres.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.locationwise_vae import LocationwiseVAE
        >>> vae = LocationwiseVAE(image_size=(12, 12), filters=8)
        >>> noise = tf.zeros([3, *vae.latent_shape])
        >>> loss, kl_map = vae(tf.zeros([3, 12, 12, 1]), noise)
        >>> vae.grid, loss.shape, kl_map.shape
        ((2, 2), TensorShape([3]), TensorShape([3, 12, 12]))

    References:
        Dittadi and Winther, LAVAE. 2019, appendix. Paddings and strides are
        ours: the paper gives the size of the latent grid, 11x11 for 64x64.
    """

    def __init__(
        self,
        image_size,
        channels=1,
        latent_dim=8,
        filters=32,
        strides=(2, 3),
        **kwargs,
    ):
        # Else half precision would round the picture that is scored.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        self.image_size = tuple(image_size)
        self.channels = channels
        self.latent_dim = latent_dim
        self.filters = filters
        self.strides = tuple(strides)
        self.tile = math.prod(self.strides)
        self.grid = tuple(-(-side // self.tile) for side in self.image_size)
        self.latent_shape = (*self.grid, latent_dim)
        options = {"dtype": self.dtype_policy}
        self.encoder = [ConvBlock(filters, name="encoder_stem", **options)]
        for i, stride in enumerate(self.strides):
            self.encoder += [
                ResidualBlock(filters, name=f"encoder_{i}", **options),
                plain_conv(
                    filters,
                    stride,
                    strides=stride,
                    padding="valid",
                    name=f"down_{i}",
                    **options,
                ),
            ]
        self.encoder += [
            ResidualBlock(filters, name="encoder_last", **options),
            small_head(2 * latent_dim, 3, self.dtype_policy),
        ]
        self.decoder = [
            ConvBlock(filters, name="decoder_stem", **options),
            ResidualBlock(filters, name="decoder_first", **options),
        ]
        for i, stride in enumerate(reversed(self.strides)):
            self.decoder += [
                keras.layers.Conv2DTranspose(
                    filters,
                    stride,
                    strides=stride,
                    padding="valid",
                    name=f"up_{i}",
                    **options,
                ),
                ResidualBlock(filters, name=f"decoder_{i}", **options),
            ]
        self.decoder.append(plain_conv(channels, 3, name="logits", **options))

    def build(self, frames_shape=None):
        height, width = (side * self.tile for side in self.grid)
        build_in_turn(self.encoder, (None, height, width, self.channels))
        build_in_turn(self.decoder, (None, *self.latent_shape))
        self.built = True

    def call(self, frames, noise, training=False):
        parameters = self._run(self.encoder, self._pad(frames), training)
        mean, log_variance = tf.split(parameters, 2, axis=-1)
        log_variance = tf.clip_by_value(
            log_variance, -LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT
        )
        q = DiagonalGaussian.of(mean, log_variance)
        latents = q.from_noise(noise)
        logits = self._crop(self._run(self.decoder, latents, training))
        log_prob = LogitBernoulli(logits).log_prob(frames)
        prior = DiagonalGaussian.standard(self.latent_dim)
        kl = q.kl_divergence(prior)  # [N, *grid]
        loss = tf.reduce_sum(kl, [1, 2]) - tf.reduce_sum(log_prob, [1, 2, 3])
        return loss, self.interpolate(kl)

    def interpolate(self, kl):
        """Values of the tiles `[N, *grid]` -> `[N, H, W]`."""
        size = [side * self.tile for side in self.grid]
        return self._crop(tf.image.resize(kl[..., None], size))[..., 0]

    def _run(self, layers, features, training):
        features = tf.cast(features, self.compute_dtype)
        for layer in layers:
            features = apply(layer, features, training)
        return tf.cast(features, tf.float32)

    def _margins(self):
        """Pixels before and after, by axis, that fill up the tiles."""
        missing = [
            tiles * self.tile - side
            for tiles, side in zip(self.grid, self.image_size)
        ]
        return [(m // 2, m - m // 2) for m in missing]

    def _pad(self, frames):
        return tf.pad(frames, [(0, 0), *self._margins(), (0, 0)])

    def _crop(self, values):
        (top, _), (left, _) = self._margins()
        height, width = self.image_size
        return values[:, top : top + height, left : left + width]

    def get_config(self):
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "channels": self.channels,
            "latent_dim": self.latent_dim,
            "filters": self.filters,
            "strides": self.strides,
        }
