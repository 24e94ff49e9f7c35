"""A fully convolutional VAE: a grid of latents for the whole picture.

    p(z) = N(0, I)                               z on a coarse grid
    p(x | z) = prod_pixels Bernoulli(sigmoid(decoder(z)))
    q(z | x) = N(mu, v),  (mu, log v) = encoder(x)
    loss = -log p(x | z) + beta KL(q(z | x) || p(z))

The baseline of LAVAE: it draws as well, and knows of no objects. So it
returns no masks, and its one "slot" describes the scene.

References:
    Dittadi and Winther, LAVAE: Disentangling Location and Appearance. 2019,
    table 1 and appendix.
    Higgins et al., beta-VAE. ICLR 2017.
"""

import math

import gin
import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.bernoulli import LogitBernoulli
from tfdecomp.distributions.gaussians import DiagonalGaussian
from tfdecomp.layers.decoders.grid_decoder import GridDecoder
from tfdecomp.layers.encoders.grid_encoder import GridEncoder
from tfdecomp.models import base
from tfdecomp.models.iterative import sweep
from tfdecomp.models.parts.frames import FrameNoise, split_frames

tfd = tfp.distributions

LOG_VARIANCE_LIMIT = 10.0
# What a frame's noise is for; samples of the bound count on from the last.
_LATENTS, _BOUND = range(2)
_PARTS = ("encoder", "decoder")
_VALUES = ("image_size", "channels", "kl_weight")


@gin.register(module="models")
@keras.saving.register_keras_serializable(package="tfdecomp")
class ConvVAE(base.DecompositionModel):
    """A fully convolutional beta-VAE of single frames with binary pixels.

    Args:
        encoder: `layers.GridEncoder`, `[N, H, W, C] -> [N, *grid, 2 L]`.
        decoder: `layers.GridDecoder`, `[N, *grid, L] -> [N, H, W, C]` logits.
        image_size: `(H, W)` or one side; any, the layers pad to whole cells.
        channels: Colour channels, `C`.
        kl_weight: beta; 1 gives the bound. Training ramps it up from 0.
        **kwargs: Passed to `keras.Model`.

    Call arguments:
        inputs: A `tfdecomp.types.Batch`.
        training: Whether batch norm is in training mode; the posterior is
            sampled either way.

    Returns:
        A `tfdecomp.types.Decomposition` without masks: `recon`, `slots`
        `[B, T, 1, D]` with `D` all latents of the grid, row by row,
        `latent_kl`, `loss`, `nll` and `kl`.

    Raises:
        ValueError: If the sizes of encoder and decoder do not fit.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.models.conv_vae import ConvVAE
        >>> model = ConvVAE(image_size=64)  # 8 x 8 cells of 16 latents
        >>> outputs = model({"video": np.zeros([2, 1, 64, 64, 1], np.uint8)})
        >>> outputs["slots"].shape
        TensorShape([2, 1, 1, 1024])
    """

    looks_ahead = False  # a frame depends on no other
    num_slots = 1
    num_refinements = 0
    config_parts = _PARTS
    config_values = _VALUES
    scheduled_weights = ("kl_weight",)

    def __init__(
        self,
        encoder=None,
        decoder=None,
        *,
        image_size=64,
        channels=1,
        kl_weight=1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        side = (image_size,) * 2 if isinstance(image_size, int) else image_size
        self.image_size = tuple(side)
        self.channels = channels
        self.kl_weight = kl_weight
        self.encoder = encoder or GridEncoder()
        self.decoder = decoder or GridDecoder(
            self.image_size, channels=channels
        )
        self.grid = self.encoder.grid(self.image_size)
        self.latent_shape = (*self.grid, self.encoder.latent_channels)
        self.latent_dim = math.prod(self.latent_shape)
        self._check()

    def _check(self):
        ours = (*self.image_size, self.channels)
        drawn = (*self.decoder.image_size, self.decoder.channels)
        if drawn != ours:
            raise ValueError(
                f"the model's frames are {ours}, its decoder draws {drawn}; "
                "set IMAGE_SIZE and CHANNELS for both"
            )
        if self.decoder.grid != self.grid:
            raise ValueError(
                f"the encoder ends in a grid of {self.grid}, the decoder "
                f"starts from {self.decoder.grid}; set as many blocks for both"
            )

    def build(self, input_shape=None):
        """Builds all weights; no input is needed."""
        if self.built:
            return
        if not self.encoder.built:  # a reloaded child arrives built
            self.encoder.build((None, *self.image_size, self.channels))
        if not self.decoder.built:
            self.decoder.build((None, *self.latent_shape))
        self.built = True

    # ---- the generative model ----------------------------------------------

    def prior(self):
        """p(z) = N(0, I), a `DiagonalGaussian`. Event `[D]`, no batch."""
        return DiagonalGaussian.standard(self.latent_dim)

    def posterior(self, inputs):
        """q(z | x), a `DiagonalGaussian`. Event `[D]`, batch `[...]`.

        Args:
            inputs: Parameters `[..., 2 D]` of `infer`; or a batch as for
                `call`, from which they are inferred: batch `[B, T]`.
        """
        if not isinstance(inputs, dict):
            return DiagonalGaussian(inputs)
        frames, _, shape = self._frames(inputs)
        parameters = self.infer(frames)
        shape = tf.concat([shape, tf.shape(parameters)[1:]], axis=0)
        return DiagonalGaussian(tf.reshape(parameters, shape))

    def likelihood(self, latents, training=False):
        """p(x | z) of latents `[N, D]`. Event `[H, W, C]`, batch `[N]`."""
        logits = self.logits(latents, training=training)
        return tfd.Independent(LogitBernoulli(logits), 3)

    def infer(self, frames, training=False):
        """Means and log-variances of q: `[N, H, W, C]` -> `[N, 2 D]`."""
        maps = self.encoder(frames, training=training)
        mean, log_variance = tf.split(maps, 2, axis=-1)
        log_variance = tf.clip_by_value(
            log_variance, -LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT
        )
        parts = [
            tf.reshape(part, [-1, self.latent_dim])
            for part in (mean, log_variance)
        ]
        return tf.concat(parts, axis=-1)

    def logits(self, latents, training=False):
        """Of the pixels of latents `[N, D]`: `[N, H, W, C]`."""
        grid = tf.reshape(latents, [-1, *self.latent_shape])
        return self.decoder(grid, training=training)

    # ---- pictures ----------------------------------------------------------

    def call(self, inputs, training=False):
        frames, noise, shape = self._frames(inputs)
        p = self.prior()
        q = self.posterior(self.infer(frames, training=training))
        latents = self._sample(q, noise, _LATENTS)
        likelihood = self.likelihood(latents, training=training)
        nll = -likelihood.log_prob(frames)
        kl = tfd.kl_divergence(q, p)
        outputs = {
            "recon": likelihood.mean(),
            "slots": q.loc[:, None],
            "latent_kl": q.kl_terms(p)[:, None],
            "loss": nll + self.weight(inputs, "kl_weight") * kl,
            "nll": nll,
            "kl": kl,
        }
        return split_frames(outputs, shape)

    def _frames(self, inputs):
        """`(frames [B T, H, W, C], their noise, [B, T])`."""
        self.check_video(inputs["video"])
        video = base.as_float(tf.convert_to_tensor(inputs["video"]))
        frames = tf.reshape(video, [-1, *self.image_size, self.channels])
        first = tf.cast(inputs.get("first_frame", 0), tf.int32)
        numbers = first + tf.range(tf.shape(video)[1])
        noise = FrameNoise(base.clip_seeds(inputs), numbers)
        return frames, noise, tf.shape(video)[:2]

    def _sample(self, q, noise, purpose):
        """One sample of q: `[N, D]`."""
        return q.from_noise(noise.normal(purpose, (self.latent_dim,)))

    def log_likelihood_bound(self, inputs, num_samples=100):
        """Importance-weighted bound of `log p(x)`.

            log 1/S sum_s p(x | z) p(z) / q(z | x)

        Args:
            inputs: As for `call`.
            num_samples: `S`, one after the other: memory does not grow.

        Returns:
            `[B]` nats per clip, the sum over its frames.
        """
        frames, noise, shape = self._frames(inputs)
        q, p = self.posterior(self.infer(frames)), self.prior()

        def one(sample):
            z = self._sample(q, noise, _BOUND + sample)
            log_joint = self.likelihood(z).log_prob(frames) + p.log_prob(z)
            return log_joint - q.log_prob(z)

        def body(sample, total):
            both = tf.stack([total, one(sample)])
            return sample + 1, tf.reduce_logsumexp(both, axis=0)

        start = tf.fill([tf.shape(frames)[0]], -math.inf)
        _, total = tf.while_loop(
            lambda sample, _: sample < num_samples,
            body,
            (tf.constant(0), start),
            parallel_iterations=1,
        )
        bound = total - math.log(num_samples)
        return tf.reduce_sum(tf.reshape(bound, shape), axis=1)

    # ---- beyond reconstruction ---------------------------------------------

    def encode(self, inputs):
        """Posterior means `slots` `[B, T, 1, D]`."""
        frames, _, shape = self._frames(inputs)
        means = self.infer(frames)[:, None, : self.latent_dim]
        return split_frames({"slots": means}, shape)

    def decode(self, slots):
        """Draws latents `[N, 1, D]`: `recon` `[N, H, W, C]`."""
        return {"recon": tf.sigmoid(self.logits(slots))}

    def sample_prior(self, num_samples, seed=(0, 0)):
        """Draws pictures from the prior.

        Args:
            num_samples: `N`.
            seed: Two integers.

        Returns:
            As `decode`, with `slots` `[N, 1, D]`.
        """
        noise = tf.random.stateless_normal(
            [num_samples, 1, self.latent_dim], seed
        )
        latents = self.prior().from_noise(noise)
        return {**self.decode(latents), "slots": latents}

    def traverse(self, inputs, slot=0, dims=None, values=None):
        """Sweeps latents of the last frame.

        Args:
            inputs: As for `call`.
            slot: There is only slot 0.
            dims: Latent dimensions; all of them by default.
            values: Values to set; `linspace(-3, 3, 9)` by default.

        Returns:
            `[B, len(dims), len(values), H, W, C]`.

        Raises:
            ValueError: If there is no such slot.
        """
        values = np.linspace(-3, 3, 9) if values is None else values
        dims = base.check_sweep(slot, dims, 1, self.latent_dim)
        latents = self.encode(inputs)["slots"][:, -1]
        rows = []
        for dim in dims:
            swept = self.decode(sweep(latents, 0, dim, values))["recon"]
            rows.append(tf.stack(tf.split(swept, len(values)), axis=1))
        return tf.stack(rows, axis=1)
