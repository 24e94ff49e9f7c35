"""A plain convolutional VAE: one latent vector for the whole picture.

    p(z) = N(0, I)
    p(x | z) = N(x; mu(z), s I)
    q(z | x) = N(m(x), diag v(x))
    loss = -beta log p(x | z) + psi KL(q(z | x) || p(z))

The baseline of object-centred models: it has no slots to assign pixels to,
so it returns no masks, and its one "slot" describes the scene.

References:
    Kingma and Welling, Auto-Encoding Variational Bayes. ICLR 2014.
    Greff et al., Multi-Object Representation Learning with Iterative
    Variational Inference. ICML 2019, section 4.2.
"""

import math

import gin
import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.gaussians import DiagonalGaussian, NormalPixels
from tfdecomp.layers.conv import Conv2D, Dense, initial_values
from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder
from tfdecomp.models import base
from tfdecomp.models.iterative import sweep
from tfdecomp.models.parts.frames import clip_noise

tfd = tfp.distributions


@gin.register(module="models")
@keras.saving.register_keras_serializable(package="tfdecomp")
class VAE(base.DecompositionModel):
    """A variational autoencoder of single frames.

    Args:
        decoder: Layer `[N, D] -> (means, logits)`, of which the means are
            used: `layers.BroadcastDecoder` by default, or
            `layers.DeconvDecoder`.
        image_size: `(H, W)` of the frames, or one side.
        channels: Colour channels, `C`.
        latent_dim: Length of the frame's vector, `D`.
        filters: Widths of the encoder's convolutions.
        kernel_size: Side of their kernels.
        strides: Strides of each.
        units: Widths of the encoder's dense layers.
        variance: Pixel variance of the likelihood.
        reconstruction_weight: Weight of the likelihood, beta.
        kl_weight: Weight of the divergence from the prior, psi.
        initializer: Of the encoder; see `layers.conv`.
        **kwargs: Passed to `keras.Model`.

    Call arguments:
        inputs: A `tfdecomp.types.Batch`.
        training: Not read; the posterior is sampled either way.

    Returns:
        A `tfdecomp.types.Decomposition` without masks: `recon`, `slots`
        `[B, T, 1, D]`, `latent_kl`, `loss`, `nll` and `kl`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.models.vae import VAE
        >>> model = VAE(image_size=32, latent_dim=16)
        >>> outputs = model({"video": np.zeros([2, 1, 32, 32, 3], np.uint8)})
        >>> outputs["slots"].shape, outputs["recon"].shape
        (TensorShape([2, 1, 1, 16]), TensorShape([2, 1, 32, 32, 3]))
    """

    looks_ahead = False  # a frame depends on no other
    num_slots = 1
    num_refinements = 0
    scheduled_weights = ("reconstruction_weight", "kl_weight")

    def __init__(
        self,
        decoder=None,
        *,
        image_size=64,
        channels=3,
        latent_dim=64,
        filters=(32, 32, 64, 64),
        kernel_size=3,
        strides=2,
        units=(256,),
        variance=0.01,
        reconstruction_weight=1.0,
        kl_weight=1.0,
        initializer="he_normal",
        **kwargs,
    ):
        super().__init__(**kwargs)
        side = (image_size,) * 2 if isinstance(image_size, int) else image_size
        self.image_size = tuple(side)
        self.channels = channels
        self.latent_dim = latent_dim
        self.filters = tuple(filters)
        self.kernel_size = kernel_size
        self.strides = strides
        self.units = tuple(units)
        self.variance = variance
        self.reconstruction_weight = reconstruction_weight
        self.kl_weight = kl_weight
        self.initializer = initializer
        self.decoder = decoder or BroadcastDecoder(
            self.image_size, channels=channels, dense=()
        )
        if tuple(self.decoder.image_size) != self.image_size:
            raise ValueError(
                f"the model's image_size is {self.image_size}, its decoder "
                f"draws {self.decoder.image_size}; set IMAGE_SIZE for both"
            )
        options = {"activation": "elu", **initial_values(initializer)}
        self.convs = [
            Conv2D(
                width, kernel_size, strides=strides, name=f"conv_{i}", **options
            )
            for i, width in enumerate(self.filters)
        ]
        self.dense_layers = [
            Dense(width, name=f"dense_{i}", **options)
            for i, width in enumerate(self.units)
        ]
        self.head = Dense(2 * latent_dim, dtype="float32", name="posterior")

    def build(self, input_shape=None):
        """Builds all weights; no input is needed."""
        if self.built:
            return
        shape = (None, *self.image_size, self.channels)
        self.encoder_flops = 0
        for conv in self.convs:
            conv.build(shape)
            shape = conv.compute_output_shape(shape)
            pixels = math.prod(shape[1:3])
            self.encoder_flops += 2 * pixels * math.prod(conv.kernel.shape)
        width = math.prod(shape[1:])
        for layer in [*self.dense_layers, self.head]:
            layer.build((None, width))
            width = layer.units
            self.encoder_flops += 2 * math.prod(layer.kernel.shape)
        if not self.decoder.built:  # a reloaded child arrives built
            self.decoder.build((None, self.latent_dim))
        self.built = True

    # ---- the generative model ----------------------------------------------

    def prior(self):
        """p(z) = N(0, I), a `DiagonalGaussian`. Event `[D]`, no batch."""
        return DiagonalGaussian.standard(self.latent_dim)

    def posterior(self, inputs):
        """q(z | x), a `DiagonalGaussian`. Event `[D]`, batch `[...]`.

        Args:
            inputs: Parameters `[..., 2 D]`; or a batch as for `call`, from
                which they are inferred: batch `[B, T]`.
        """
        if not isinstance(inputs, dict):
            return DiagonalGaussian(inputs)
        self.check_video(inputs["video"])
        video = base.as_float(tf.convert_to_tensor(inputs["video"]))
        parameters = self.infer(tf.reshape(video, [-1, *video.shape[2:]]))
        shape = [*_leading(video), 2 * self.latent_dim]
        return DiagonalGaussian(tf.reshape(parameters, shape))

    def likelihood(self, latents):
        """p(x | z), `NormalPixels`. Event `[H, W, C]`, batch `[...]`.

        Args:
            latents: `[..., D]`.
        """
        recon = self.decode(latents)["recon"]
        lead = tf.shape(latents)[:-1]
        recon = tf.reshape(recon, tf.concat([lead, tf.shape(recon)[1:]], 0))
        size = (*self.image_size, self.channels)
        recon = tf.ensure_shape(recon, [*latents.shape[:-1], *size])
        return NormalPixels(recon, self.variance)

    def infer(self, frames):
        """Means and log-variances of q: `[N, H, W, C]` -> `[N, 2 D]`."""
        features = frames
        for conv in self.convs:
            features = conv(features)
        features = tf.reshape(features, [-1, math.prod(features.shape[1:])])
        for layer in self.dense_layers:
            features = layer(features)
        return self.head(tf.cast(features, tf.float32))

    def decode(self, slots):
        """Draws latents `[N, 1, D]`: `recon` `[N, H, W, C]`."""
        means, _ = self.decoder(tf.reshape(slots, [-1, self.latent_dim]))
        return {"recon": means}

    def sample_prior(self, num_samples, seed=(0, 0)):
        """Draws pictures from the prior, clipped to [0, 1].

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
        recon = tf.clip_by_value(self.decode(latents)["recon"], 0.0, 1.0)
        return {"recon": recon, "slots": latents}

    # ---- pictures ----------------------------------------------------------

    def call(self, inputs, training=False):
        del training
        q, p = self.posterior(inputs), self.prior()  # [B, T], then []
        video = base.as_float(tf.convert_to_tensor(inputs["video"]))
        latents = q.from_noise(self._noise(inputs, tf.shape(video)[1]))
        likelihood = self.likelihood(latents)
        nll = -tf.reduce_sum(likelihood.log_prob(video), axis=1)
        kl = tf.reduce_sum(tfd.kl_divergence(q, p), axis=1)
        loss = self.weight(inputs, "reconstruction_weight") * nll
        loss += self.weight(inputs, "kl_weight") * kl
        return {
            "recon": likelihood.mean(),
            "slots": q.loc[:, :, None],
            "latent_kl": q.kl_terms(p)[:, :, None],
            "loss": loss,
            "nll": nll,
            "kl": kl,
        }

    def _noise(self, inputs, num_frames):
        """Standard normal, `[B, T, D]`."""
        seeds = base.clip_seeds(inputs)
        first = tf.cast(inputs.get("first_frame", 0), tf.int32)
        noise = tf.map_fn(
            lambda t: clip_noise(seeds, t, (self.latent_dim,)),
            first + tf.range(num_frames),
            fn_output_signature=tf.float32,
        )
        return tf.transpose(noise, [1, 0, 2])

    def encode(self, inputs):
        """Posterior means `slots` `[B, T, 1, D]`."""
        return {"slots": self.posterior(inputs).loc[:, :, None]}

    def traverse(self, inputs, slot=0, dims=None, values=None):
        """Sweeps latents of the last frame.

        Args:
            inputs: As for `call`.
            slot: There is only slot 0.
            dims: Latent dimensions; all of them by default.
            values: Values to set; `linspace(-1.25, 1.25, 9)` by default.

        Returns:
            `[B, len(dims), len(values), H, W, C]`.
        """
        values = np.linspace(-1.25, 1.25, 9) if values is None else values
        dims = base.check_sweep(slot, dims, 1, self.latent_dim)
        latents = self(inputs)["slots"][:, -1]
        rows = []
        for dim in dims:
            swept = self.decode(sweep(latents, 0, dim, values))["recon"]
            rows.append(tf.stack(tf.split(swept, len(values)), axis=1))
        return tf.stack(rows, axis=1)

    def step_flops(self, batch_size, num_frames):
        """Floating-point operations of a training step."""
        forward = self.encoder_flops + self.decoder.flops()
        return 3 * batch_size * num_frames * forward

    def get_config(self):
        return {
            **super().get_config(),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "image_size": self.image_size,
            "channels": self.channels,
            "latent_dim": self.latent_dim,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "units": self.units,
            "variance": self.variance,
            "reconstruction_weight": self.reconstruction_weight,
            "kl_weight": self.kl_weight,
            "initializer": self.initializer,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["decoder"] = keras.saving.deserialize_keras_object(
            config["decoder"]
        )
        return cls(**config)


def _leading(values):
    """`[B, T]` of `[B, T, ...]`, numbers where they are known."""
    shape = tf.shape(values)
    return [n or shape[i] for i, n in enumerate(values.shape[:2])]
