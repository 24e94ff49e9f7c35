"""MONet: attention cuts a picture slot by slot, one VAE redraws the parts.

    s_0 = 1                                    the scope: what is left
    a_k = U(x, log s_k-1)                      a logit for each pixel
    log m_k = log s_k-1 + log sigmoid(a_k)     k = 1 ... K - 1
    log s_k = log s_k-1 + log sigmoid(-a_k)
    m_K = s_K-1                                the last slot takes the rest

    q(z_k | x, m_k) = N(mean, diag(deviation^2)), read from x and log m_k
    p(z_k) = N(0, I);  mu_k, log m~_k = g(z_k), normalised over k

    loss = - sum_i log sum_k m_ik N(x_i; mu_ik, s_k^2 I)
           + beta sum_k KL(q(z_k | x, m_k) || p(z_k))
           + gamma sum_i KL(m_i || m~_i)

U and the VAE have the same weights for every slot. The first slot has a
deviation s_k of its own, smaller than that of the others, whatever it holds.
The masks have no noise. As log stands outside of the sum over masks, the loss
is no bound of log p(x), whatever the weights; that of the generative model,
which draws its own masks m~, is `elbo`.

References:
    Burgess et al., MONet: Unsupervised Scene Decomposition and
    Representation. 2019 (arXiv 1901.11390).
"""

import gin
import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.gaussians import DiagonalGaussian
from tfdecomp.distributions.pixel_mixture import PixelMixture, mask_divergence
from tfdecomp.layers.attention.component_encoder import ComponentEncoder
from tfdecomp.layers.attention.scope_unet import ScopeUNet
from tfdecomp.layers.conv import Dense, initial_values
from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder
from tfdecomp.models import base
from tfdecomp.models.iterative import (
    check_slots,
    sample_scenes,
    sweep,
)
from tfdecomp.models.parts.frames import frame_noise, split_frames
from tfdecomp.models.parts.refinement import merge_slots, split_slots

tfd = tfp.distributions

_LATENTS = 0  # purpose of a frame's noise; see `frames.frame_noise`
_PARTS = ("attention", "encoder", "decoder")
_VALUES = (
    "image_size",
    "channels",
    "num_slots",
    "latent_dim",
    "background_deviation",
    "object_deviation",
    "kl_weight",
    "mask_weight",
    "granularity",
    "log_floor",
    "initializer",
)


@gin.register(module="models")
@keras.saving.register_keras_serializable(package="tfdecomp")
class MONet(base.DecompositionModel):
    """MONet; the defaults are the paper's for 64x64 where it says them.

    The frames of a video are decomposed one by one; slots are linked over
    time by the order in which attention takes them, and by nothing else.

    Args:
        attention: Layer `[N, H, W, C + 1] -> [N, H, W, 1]`, from picture and
            log-scope to logits, such as `layers.ScopeUNet`.
        encoder: Layer `[N, H, W, C + 1] -> [N, F]` that reads the picture
            and a slot's log-mask, such as `layers.ComponentEncoder`.
        decoder: Layer `[N, Z] -> (means, logits)`, such as
            `layers.BroadcastDecoder`.
        image_size: `(H, W)` of the frames, or one side.
        channels: Colour channels, `C`.
        num_slots: `K`, at least 2; a call may take another number.
        latent_dim: Length of a slot's vector, `Z`.
        background_deviation: Standard deviation of a pixel in the first slot.
        object_deviation: That in all others.
        kl_weight: beta, weight of the latents' divergence.
        mask_weight: gamma, weight of the masks' divergence.
        granularity: `"pixel"` or `"channel"`, what the mixture mixes; see
            `distributions.pixel_mixture`.
        log_floor: Logarithms of scopes and masks are not below this where
            networks read them; in the loss they are exact.
        initializer: Rule of initial values of the layer that gives the
            posterior; see `layers.conv`.
        **kwargs: Passed to `keras.Model`.

    Call arguments:
        inputs: A `tfdecomp.types.Batch`.
        training: Whether in training mode: leaves out what the loss does not
            need.
        num_slots: `K`, if not the model's.

    Returns:
        A `tfdecomp.types.Decomposition`: `masks`, those of the attention;
        `recon`, sum_k m mu; `slots`, posterior means, `samples`; `loss`, and
        its terms `nll`, `kl` and `kl_masks` without their weights. Outside
        training also `components`, mu, `latent_kl` and `elbo`, of which no
        key is in `loss`.

    Raises:
        ValueError: If `num_slots` is below 2, a deviation is not positive, or
            parts or video have other sizes.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.models.monet import MONet
        >>> model = MONet(num_slots=3, image_size=32)
        >>> outputs = model({"video": np.zeros([1, 1, 32, 32, 3], np.uint8)})
        >>> outputs["masks"].shape
        TensorShape([1, 1, 3, 32, 32, 1])
    """

    looks_ahead = False  # a frame depends on no other
    num_refinements = 0
    config_parts = _PARTS
    config_values = _VALUES
    scheduled_weights = (
        "background_deviation",
        "object_deviation",
        "kl_weight",
        "mask_weight",
    )

    def __init__(
        self,
        attention=None,
        encoder=None,
        decoder=None,
        *,
        image_size=64,
        channels=3,
        num_slots=5,
        latent_dim=16,
        background_deviation=0.09,
        object_deviation=0.11,
        kl_weight=0.5,
        mask_weight=0.5,
        granularity="pixel",
        log_floor=-10.0,
        initializer="truncated_normal",
        **kwargs,
    ):
        super().__init__(**kwargs)
        side = (image_size,) * 2 if isinstance(image_size, int) else image_size
        self.image_size = tuple(side)
        self.channels = channels
        self.num_slots = check_slots(num_slots, num_slots)
        self.latent_dim = latent_dim
        self.background_deviation = background_deviation
        self.object_deviation = object_deviation
        self.kl_weight = kl_weight
        self.mask_weight = mask_weight
        self.granularity = granularity
        self.log_floor = log_floor
        self.initializer = initializer
        self.attention = attention or ScopeUNet(name="attention")
        self.encoder = encoder or ComponentEncoder(name="encoder")
        self.decoder = decoder or default_decoder(self.image_size, channels)
        self.head = Dense(
            2 * latent_dim,
            dtype="float32",
            name="posterior",
            **initial_values(initializer),
        )
        self._check()

    def _check(self):
        if tuple(self.decoder.image_size) != self.image_size:
            raise ValueError(
                f"the model's image_size is {self.image_size}, its decoder "
                f"draws {self.decoder.image_size}; set IMAGE_SIZE for both"
            )
        deviations = self.background_deviation, self.object_deviation
        if min(deviations) <= 0:
            raise ValueError(
                "background_deviation and object_deviation must be positive, "
                f"got {deviations}; the paper has 0.09 and 0.11"
            )

    def build(self, input_shape=None):
        """Builds all weights; no input is needed."""
        if self.built:
            return
        shape = (None, *self.image_size, self.channels + 1)
        shapes = {self.attention: shape, self.encoder: shape}
        shapes[self.decoder] = (None, self.latent_dim)
        for part, shape in shapes.items():
            if not part.built:  # a reloaded child arrives built
                part.build(shape)
        self.head.build((None, self.encoder.width))
        self.built = True

    # ---- attention ---------------------------------------------------------

    def attend(self, frames, num_slots=None):
        """Cuts pictures into masks.

        Args:
            frames: `[N, H, W, C]` float32.
            num_slots: `K`, if not the model's; the graph grows with a number,
                and not with a tensor.

        Returns:
            Log-masks `[N, K, H, W, 1]`; exp of them sums to 1 over `K`.
        """
        num_slots = check_slots(num_slots, self.num_slots)
        scope = tf.zeros_like(frames[..., :1])
        if tf.is_tensor(num_slots):
            return self._attend_in_loop(frames, scope, num_slots)
        taken = []
        for _ in range(num_slots - 1):
            log_mask, scope = self.cut(frames, scope)
            taken.append(log_mask)
        return tf.stack([*taken, scope], axis=1)

    def _attend_in_loop(self, frames, scope, num_slots):
        def body(k, scope, taken):
            log_mask, scope = self.cut(frames, scope)
            return k + 1, scope, taken.write(k, log_mask)

        taken = tf.TensorArray(tf.float32, num_slots)
        steps = num_slots - 1
        _, scope, taken = tf.while_loop(
            lambda k, *_: k < steps, body, (tf.constant(0), scope, taken)
        )
        taken = taken.write(steps, scope).stack()  # [K, N, H, W, 1]
        return tf.transpose(taken, [1, 0, 2, 3, 4])

    def cut(self, frames, scope):
        """One step of attention: what a slot takes, and what it leaves.

        Args:
            frames: `[N, H, W, C]`.
            scope: log s, `[N, H, W, 1]`.

        Returns:
            `(log m, log s)` of the slot, `[N, H, W, 1]` each.
        """
        logits = self.attention(self._beside(frames, scope))
        # Never log(1 - m): a sigmoid that rounds to 1 would make it infinite.
        return (
            scope + tf.math.log_sigmoid(logits),
            scope + tf.math.log_sigmoid(-logits),
        )

    def _beside(self, frames, logarithm):
        """What networks read: a picture with a bounded logarithm beside it."""
        bounded = tf.maximum(logarithm, self.log_floor)
        return tf.concat([frames, bounded], axis=-1)

    # ---- the distributions -------------------------------------------------

    def prior(self):
        """p(z_k) = N(0, I), a `DiagonalGaussian`. Event `[Z]`, no batch."""
        return DiagonalGaussian.standard(self.latent_dim)

    def posterior(self, inputs, num_slots=None):
        """q(z | x), a `DiagonalGaussian`. Event `[Z]`, batch `[..., K]`.

        Args:
            inputs: Means and log-deviations `[..., K, 2 Z]`; or a batch as
                for `call`, from which they are inferred: batch `[B, T, K]`.
            num_slots: `K` of the latter, if not the model's.
        """
        if isinstance(inputs, dict):
            inputs = self.infer(inputs, num_slots)
        mean, log_deviation = tf.split(inputs, 2, axis=-1)
        return DiagonalGaussian.of(mean, 2.0 * log_deviation)

    def infer(self, inputs, num_slots=None):
        """Means and log-deviations of every frame, `[B, T, K, 2 Z]`."""
        frames, shape = self._frames(inputs)
        log_masks = self.attend(frames, num_slots)
        found = {"parameters": self.read(frames, log_masks)}
        return split_frames(found, shape)["parameters"]

    def read(self, frames, log_masks):
        """What the encoder says of every slot.

        Args:
            frames: `[N, H, W, C]`.
            log_masks: `[N, K, H, W, 1]`.

        Returns:
            Means and log-deviations, `[N, K, 2 Z]`.
        """
        num_slots = tf.shape(log_masks)[1]
        pictures = tf.repeat(frames, num_slots, axis=0)
        features = self.encoder(self._beside(pictures, merge_slots(log_masks)))
        parameters = self.head(tf.cast(features, tf.float32))
        return split_slots(parameters, num_slots)

    def draw(self, latents):
        """`(means, log m~)` of latents `[N, K, Z]`: `[N, K, H, W, C or 1]`."""
        num_slots = tf.shape(latents)[1]
        means, logits = self.decoder(merge_slots(latents))
        log_masks = tf.nn.log_softmax(split_slots(logits, num_slots), axis=1)
        return split_slots(means, num_slots), log_masks

    def mixture(self, means, log_masks, inputs=None):
        """Pixels of slots with these masks, a `PixelMixture`.

        Args:
            means: `[N, K, H, W, C]`.
            log_masks: `[N, K, H, W, 1]`.
            inputs: Where deviations may be scheduled.
        """
        inputs = inputs or {}
        first = self.weight(inputs, "background_deviation")
        others = self.weight(inputs, "object_deviation")
        is_first = tf.equal(tf.range(tf.shape(means)[1]), 0)
        deviations = tf.where(is_first, first, others)  # [K]
        return PixelMixture(
            means, log_masks, tf.square(deviations), self.granularity
        )

    def likelihood(self, latents):
        """p(x | z) with the masks that latents draw, a `PixelMixture`.

        Event `[H, W, C]`, batch `[N]`.

        Args:
            latents: `[N, K, Z]`.
        """
        return self.mixture(*self.draw(latents))

    # ---- pictures ----------------------------------------------------------

    def call(self, inputs, training=False, num_slots=None):
        frames, shape = self._frames(inputs)
        log_masks = self.attend(frames, num_slots)
        q = self.posterior(self.read(frames, log_masks))  # [N, K]
        latents = q.from_noise(self._noise(inputs, shape, tf.shape(q.loc)[1]))
        means, drawn = self.draw(latents)
        mixture = self.mixture(means, log_masks, inputs)
        terms = {
            "nll": -mixture.log_prob(frames),
            "kl": tf.reduce_sum(tfd.kl_divergence(q, self.prior()), axis=1),
            "kl_masks": mask_divergence(log_masks, drawn),
        }
        loss = terms["nll"] + self.weight(inputs, "kl_weight") * terms["kl"]
        loss += self.weight(inputs, "mask_weight") * terms["kl_masks"]
        outputs = {
            **terms,
            "loss": loss,
            "recon": mixture.mean(),
            "masks": mixture.masks,
            "slots": q.loc,
            "samples": latents,
        }
        if training:
            return split_frames(outputs, shape)
        own = self.mixture(means, drawn, inputs).log_prob(frames)
        outputs |= {
            "elbo": own - terms["kl"],
            "latent_kl": q.kl_terms(self.prior()),
            "components": means,
        }
        outputs = split_frames(outputs, shape)
        outputs["elbo"] /= tf.cast(shape[1], tf.float32)
        return outputs

    def _frames(self, inputs):
        """`(frames [B * T, H, W, C], [B, T])` of a batch."""
        self.check_video(inputs["video"])
        video = base.as_float(tf.convert_to_tensor(inputs["video"]))
        return tf.reshape(video, [-1, *video.shape[2:]]), tf.shape(video)[:2]

    def _noise(self, inputs, shape, num_slots):
        """Standard normal, `[B * T, K, Z]`."""
        first = tf.cast(inputs.get("first_frame", 0), tf.int32)
        numbers = first + tf.range(shape[1])
        size = (num_slots, self.latent_dim)
        return frame_noise(base.clip_seeds(inputs), numbers, _LATENTS, size)

    def encode(self, inputs, num_slots=None):
        """Posterior means `slots` `[B, T, K, Z]`."""
        return {"slots": self.posterior(inputs, num_slots).loc}

    def decode(self, slots):
        """Draws latents, with the masks that they draw themselves.

        Args:
            slots: `[N, K, Z]`.

        Returns:
            `recon` `[N, H, W, C]`, `masks` m~ and `components`.
        """
        mixture = self.likelihood(slots)
        return {
            "recon": mixture.mean(),
            "masks": mixture.masks,
            "components": mixture.means,
        }

    def sample_prior(self, num_samples, seed=(0, 0), num_slots=None):
        """Draws scenes, every slot from the prior, colours kept in [0, 1].

        Slots are independent: they fit each other by chance.

        Args:
            num_samples: `N`.
            seed: Two integers.
            num_slots: `K`, if not the model's.

        Returns:
            As `decode`, with `slots` `[N, K, Z]`.
        """
        return sample_scenes(self, num_samples, seed, num_slots)

    def traverse(self, inputs, slot=0, dims=None, values=None):
        """Sweeps latents of a slot of the last frame; masks follow them.

        Args:
            inputs: As for `call`.
            slot: Which slot.
            dims: Latent dimensions; all of them by default.
            values: Values to set; `linspace(-2, 2, 9)` by default.

        Returns:
            `[B, len(dims), len(values), H, W, C]`.
        """
        values = np.linspace(-2.0, 2.0, 9) if values is None else values
        dims = base.check_sweep(slot, dims, self.num_slots, self.latent_dim)
        latents = self.encode(inputs)["slots"][:, -1]
        rows = []
        for dim in dims:
            swept = self.decode(sweep(latents, slot, dim, values))["recon"]
            rows.append(tf.stack(tf.split(swept, len(values)), axis=1))
        return tf.stack(rows, axis=1)

    def step_flops(self, batch_size, num_frames):
        """Floating-point operations of a training step."""
        slots = self.encoder.picture_flops + self.decoder.flops()
        frame = (self.num_slots - 1) * self.attention.flops()
        frame += self.num_slots * slots
        return 3 * batch_size * num_frames * frame


def default_decoder(image_size, channels):
    """The paper's decoder, of 33,092 weights for 16 latents.

    Examples:
        >>> from tfdecomp.models.monet import default_decoder
        >>> default_decoder(image_size=(64, 64), channels=3).canvas_size
        (72, 72)
    """
    return BroadcastDecoder(
        image_size,
        filters=(32, 32, 32, 32),
        kernel_sizes=(3, 3, 3, 3, 1),
        channels=channels,
        dense=(),
        padding="valid",
        activation="relu",
        initializer="truncated_normal",
        head_initializer="truncated_normal",
        name="decoder",
    )
