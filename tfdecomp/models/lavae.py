"""LAVAE: scenes as a number of objects, their places and their appearances.

    p(n) = Cat(a)                                n in {0...M}, a is learned
    p(l_i | l_<i)  uniform over the pixels not used yet, i = 1...n
    p(z_i) = N(0, I)
    lambda = sum_i  sprite(z_i) placed at l_i
    p(x | lambda) = prod_pixels Bernoulli(lambda)

    q(n | x) = delta(n - peaks(h))               h = gamma location_net(x)
    q(l_i | l_<i, x) ~ exp h over the pixels not used yet
    q(z_i | l_i, x) = N(mu, v),  (mu, v) = appearance_net(x) at l_i

    loss = -log p(x | lambda)
           + KL(q(l | n, x) || p(l | n)) + KL(q(z | l, x) || p(z)) - log p(n)
           + weight (|u - divergence map of an auxiliary VAE|^2),  h = gamma u

References:
    Dittadi and Winther, LAVAE: Disentangling Location and Appearance. 2019.
"""

import math

import gin
import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions import locations
from tfdecomp.distributions.bernoulli import ClippedBernoulli
from tfdecomp.layers.decoders.sprite_decoder import SpriteDecoder
from tfdecomp.layers.location_appearance import AppearanceNet, LocationNet
from tfdecomp.layers.locationwise_vae import LocationwiseVAE
from tfdecomp.models import base
from tfdecomp.models.parts import lavae_editing, scenes
from tfdecomp.models.parts.frames import FrameNoise, split_frames
from tfdecomp.models.parts.scene_distributions import ScenePosterior, ScenePrior
from tfdecomp.ops import peaks, placement

tfd = tfp.distributions

LOG_VARIANCE_LIMIT = 10.0
# What a frame's noise is for; see `frames.frame_noise`. The auxiliary VAE has
# noise of its own, and samples of the bound count on from the last number.
_GUMBEL, _APPEARANCE, _FORCE, _AUXILIARY, _BOUND = range(5)
_PARTS = ("location_net", "appearance_net", "sprite_decoder", "auxiliary_vae")
_VALUES = (
    "image_size",
    "channels",
    "num_slots",
    "logit_scale",
    "count_threshold",
    "peak_window",
    "count_reference",
    "estimator",
    "auxiliary_target",
    "temperature",
    "forced_share",
    "auxiliary_weight",
    "train_epsilon",
    "epsilon",
)


@gin.register(module="models")
@keras.saving.register_keras_serializable(package="tfdecomp")
class LAVAE(lavae_editing.EditableScenes):
    """The location-appearance VAE.

    Args:
        location_net: Layer `[N, H, W, C] -> [N, H, W]`, raw logits u.
        appearance_net: Layer `[N, H, W, C] -> [N, H, W, 2 L]`.
        sprite_decoder: Layer `[A, L] -> [A, S, S, C]` in (0, 1).
        auxiliary_vae: `layers.LocationwiseVAE`, for the warm-up alone.
        image_size: `(H, W)` of the frames, or one side.
        channels: Colour channels, `C`.
        num_slots: `K`, one for the background and `M = K - 1` for objects.
        logit_scale: gamma; `ln(H W) / 2` suits other sizes.
        count_threshold: In units of gamma: peaks of h above it count.
        peak_window: Side of the square in which a peak is the largest.
        count_reference: `"zero"`, or `"median"` to count peaks by their
            height above the median of h: the softmax does not see a constant
            that is added to h, but the threshold does.
        estimator: Of gradients through locations: `"soft"` (Gumbel-softmax)
            or `"straight_through"`.
        auxiliary_target: Whether the `"raw"` logits u or the `"scaled"` h
            imitate the auxiliary VAE's divergence.
        temperature: Of the Gumbel-softmax.
        forced_share: Share of training pictures on which one object is
            forced, whatever was counted.
        auxiliary_weight: Weight of the auxiliary term; at 0 the auxiliary VAE
            is not run at all.
        train_epsilon: Bound of pixel means away from 0 and 1 in training.
        epsilon: The same in evaluation.
        **kwargs: Passed to `keras.Model`.

    Call arguments:
        inputs: A `tfdecomp.types.Batch`.
        training: Whether in training mode: locations are then relaxed and
            only losses and `recon` are returned.

    Returns:
        A `tfdecomp.types.Decomposition` with `K` slots: the
        background, then the objects by the height of their peaks. `nll`,
        `kl` and `loss` are one sample's; further terms are
        `kl_locations`, `kl_appearances`, `kl_count`.

    Raises:
        ValueError: If sizes do not fit, or an option is unknown.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.models.lavae import LAVAE
        >>> model = LAVAE(image_size=32)
        >>> outputs = model({"video": np.zeros([2, 1, 32, 32, 1], np.uint8)})
        >>> outputs["presence"].shape  # a background and ten objects
        TensorShape([2, 1, 11])
    """

    looks_ahead = False  # a frame depends on no other
    num_refinements = 0
    background_slot = 0
    traversal_values = tuple(np.linspace(-3.0, 3.0, 9).tolist())
    config_parts = _PARTS
    config_values = _VALUES
    scheduled_weights = (
        "temperature",
        "forced_share",
        "auxiliary_weight",
        "train_epsilon",
    )

    def __init__(
        self,
        location_net=None,
        appearance_net=None,
        sprite_decoder=None,
        auxiliary_vae=None,
        *,
        image_size=64,
        channels=1,
        num_slots=11,
        logit_scale=4.0,
        count_threshold=4.0,
        peak_window=3,
        count_reference="zero",
        estimator="soft",
        auxiliary_target="raw",
        temperature=0.5,
        forced_share=0.0,
        auxiliary_weight=0.0,
        train_epsilon=1e-4,
        epsilon=1e-6,
        **kwargs,
    ):
        super().__init__(**kwargs)
        side = (image_size,) * 2 if isinstance(image_size, int) else image_size
        self.image_size = tuple(side)
        self.channels = channels
        self.num_slots = num_slots
        self.max_objects = num_slots - 1
        self.logit_scale = logit_scale
        self.count_threshold = count_threshold
        self.peak_window = peak_window
        self.count_reference = count_reference
        self.estimator = estimator
        self.auxiliary_target = auxiliary_target
        self.temperature = temperature
        self.forced_share = forced_share
        self.auxiliary_weight = auxiliary_weight
        self.train_epsilon = train_epsilon
        self.epsilon = epsilon
        self.location_net = location_net or LocationNet()
        self.appearance_net = appearance_net or AppearanceNet()
        self.sprite_decoder = sprite_decoder or SpriteDecoder(channels=channels)
        self.auxiliary_vae = auxiliary_vae or LocationwiseVAE(
            self.image_size, channels=channels
        )
        self.latent_dim = self.appearance_net.latent_dim
        self._check()

    def _check(self):
        known = {
            "count_reference": ("zero", "median"),
            "estimator": ("soft", "straight_through"),
            "auxiliary_target": ("raw", "scaled"),
        }
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ValueError(
                    f"{name} must be one of {values}, got "
                    f"{getattr(self, name)!r}"
                )
        if not 1 <= self.max_objects <= self._num_pixels:
            raise ValueError(
                f"num_slots must be one for the background and at least one "
                f"for objects, at most one for each pixel; got "
                f"{self.num_slots}"
            )
        if self.sprite_decoder.size > min(self.image_size):
            raise ValueError(
                f"sprites have a side of {self.sprite_decoder.size} px, the "
                f"frame {self.image_size}; set layers.SpriteDecoder.size to a "
                "smaller odd number"
            )
        for part in (self.sprite_decoder, self.auxiliary_vae):
            if part.channels != self.channels:
                raise ValueError(
                    f"the model has {self.channels} channels, its "
                    f"{type(part).__name__} {part.channels}; set CHANNELS for "
                    "all"
                )

    def build(self, input_shape=None):
        """Builds all weights; no input is needed."""
        if self.built:
            return
        frames = (None, *self.image_size, self.channels)
        parts = {
            self.location_net: frames,
            self.appearance_net: frames,
            self.sprite_decoder: (None, self.latent_dim),
            self.auxiliary_vae: frames,
        }
        for part, shape in parts.items():
            if not part.built:  # a reloaded child arrives built
                part.build(shape)
        self.count_logits = self.add_weight(
            shape=(self.max_objects + 1,),
            initializer="zeros",
            dtype="float32",
            autocast=False,
            name="count_logits",
        )
        self.built = True

    # ---- the generative model ----------------------------------------------

    def prior(self, count_probs=None):
        """p(n, l, z), a `ScenePrior`.

        Args:
            count_probs: Probabilities of 0...M objects in place of a.
        """
        log_count = self.log_count_prior()
        if count_probs is not None:
            log_count = tf.math.log(self._check_probs(count_probs))
        return ScenePrior(log_count, self._num_pixels, self.latent_dim)

    def likelihood(self, scene, epsilon=None):
        """p(x | l, z). Event `[H, W, C]`, batch `[N]`.

        Args:
            scene: A `scenes.Scene`, such as one that a prior or a posterior
                samples.
            epsilon: Bound of pixel means away from 0 and 1; by default that
                of evaluation.
        """
        sprites = self.draw_sprites(scene.latents, scene.present)
        intensity = placement.place_hard(
            sprites, scene.order, self.image_size, scene.present
        )
        return self.pixels(
            intensity, self.epsilon if epsilon is None else epsilon
        )

    def pixels(self, intensity, epsilon):
        """p(x | lambda), independent pixels. Event `[H, W, C]`."""
        return tfd.Independent(ClippedBernoulli(intensity, epsilon), 3)

    def log_count_prior(self):
        """`log a` `[M + 1]`, nats."""
        return tf.nn.log_softmax(tf.convert_to_tensor(self.count_logits))

    def draw_sprites(self, latents, present, training=False):
        """Decodes the latents of objects that are there, and no others.

        Empty slots would cost as much and enter the statistics of batch norm.

        Args:
            latents: `[N, K, L]`.
            present: `[N, K]` bool.
            training: Whether in training mode.

        Returns:
            `[N, K, S, S, C]`, zero where there is no object.
        """
        if self.without_branches:
            return self._draw_all(latents, present)
        where = tf.cast(tf.where(present), tf.int32)  # [A, 2]
        chosen = tf.gather_nd(latents, where)
        shape = self.sprite_decoder.compute_output_shape(chosen.shape)[1:]
        # Convolutions refuse an empty batch.
        sprites = tf.cond(
            tf.shape(where)[0] > 0,
            lambda: self.sprite_decoder(chosen, training=training),
            lambda: tf.zeros([0, *shape]),
        )
        full = tf.concat([tf.shape(present), shape], axis=0)
        sprites = tf.scatter_nd(where, sprites, full)
        return tf.ensure_shape(sprites, [None, None, *shape])

    def _draw_all(self, latents, present):
        """The same in a graph without branches; no batch norm is trained."""
        sprites = self.sprite_decoder(
            tf.reshape(latents, [-1, self.latent_dim])
        )
        shape = tf.concat([tf.shape(present), tf.shape(sprites)[1:]], axis=0)
        return placement.hide_absent(tf.reshape(sprites, shape), present)

    # ---- inference ---------------------------------------------------------

    def posterior(self, frames, training=False):
        """q(n, l, z | x), a `ScenePosterior`.

        Args:
            frames: `[N, H, W, C]`; or a batch as for `call`, `N = B T`.
            training: Whether in training mode.
        """
        if isinstance(frames, dict):
            frames = self._frames(frames)[0]
        logits, maps = self.read(frames, training)
        return ScenePosterior(_flat(logits), maps, *self.count(logits))

    def count(self, logits):
        """Peaks of the location logits.

        Args:
            logits: h, `[N, H, W]`.

        Returns:
            `(count, order)`: `[N]` and `[N, M]` int32; flat indices of
            pixels, the first `count` are objects. No gradient passes.
        """
        logits = tf.stop_gradient(logits)
        threshold = self.count_threshold * self.logit_scale
        if self.count_reference == "median":
            threshold += median(_flat(logits))[..., None]
        return peaks.find_peaks(
            logits, threshold, self.max_objects, self.peak_window
        )

    def read(self, frames, training=False):
        """Runs both networks: `(h [N, H, W], [N, H W, 2 L])`."""
        logits = self.logit_scale * self.location_net(frames, training=training)
        maps = self.appearance_net(frames, training=training)
        mean, log_variance = tf.split(maps, 2, axis=-1)
        log_variance = tf.clip_by_value(
            log_variance, -LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT
        )
        maps = tf.concat([mean, log_variance], axis=-1)
        return logits, _flat(maps)

    def _gumbel(self, noise, purpose):
        """Gumbel noise for `M` draws: `[N, M, H W]`."""
        shape = (self.max_objects, self._num_pixels)
        return locations.gumbel(noise.uniform(purpose, shape))

    # ---- training ----------------------------------------------------------

    def call(self, inputs, training=False):
        frames, noise, shape = self._frames(inputs)
        if training:
            outputs = self._train(inputs, frames, noise)
        else:
            outputs = self._decompose(frames, noise)
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

    def _train(self, inputs, frames, noise):
        """One relaxed sample of the loss, by frame."""
        q = self.posterior(frames, training=True)
        share = self.weight(inputs, "forced_share")
        is_forced = noise.uniform(_FORCE, ()) < share
        number = tf.where(is_forced, 1, q.count)
        draws = tf.maximum(tf.reduce_max(number), 1)
        present = tf.sequence_mask(number, draws)
        gumbel = self._gumbel(noise, _GUMBEL)
        gumbel = gumbel[:, :draws]
        places = q.locations(draws)
        order, open_logits = places.draw(gumbel)
        weights = places.relaxed(
            open_logits, gumbel, self.weight(inputs, "temperature")
        )
        is_hard = self.estimator == "straight_through"
        if is_hard:
            hard = tf.one_hot(order, self._num_pixels)
            weights += tf.stop_gradient(hard - weights)
        appearance = q.blended_appearance(weights)
        normal = noise.normal(_APPEARANCE, self._latent_shape)[:, :draws]
        latents = appearance.from_noise(normal)
        sprites = self.draw_sprites(latents, present, training=True)
        weights = tf.reshape(weights, [-1, draws, *self.image_size])
        intensity = (
            placement.place_straight_through(sprites, order, weights, present)
            if is_hard
            else placement.place_soft(sprites, weights, present)
        )
        p = self.pixels(intensity, self.weight(inputs, "train_epsilon"))
        nll = -p.log_prob(frames)
        terms = self._divergences(
            q.count, present, places.conditional(open_logits), appearance
        )
        auxiliary = self._auxiliary(inputs, frames, q.logits, noise)
        kl = tf.add_n(list(terms.values()))
        return {
            "recon": tf.clip_by_value(intensity, 0.0, 1.0),
            "loss": nll + kl + auxiliary["auxiliary_loss"],
            "nll": nll,
            "kl": kl,
            **terms,
            **auxiliary,
            "count": tf.cast(q.count, tf.float32),
            "median_logit": median(q.logits)[:, 0],
            "largest_logit": tf.reduce_max(q.logits, axis=1),
        }

    def _divergences(self, count, present, places, appearance):
        """The KL terms of every frame, `[N]` each.

        Args:
            count: `[N]`, what was counted. `kl_count` uses it also where one
                object is forced, so that `a` learns the distribution of the
                data; the posterior of n is a point.
            present: `[N, K]`, which objects there are.
            places: q(l_i | l_<i, x) of the draws.
            appearance: q(z_i | l_i, x) of the draws.
        """
        p = self.prior()
        uniform = p.locations(tf.shape(present)[1]).conditional()
        by_slot = {
            "kl_locations": tfd.kl_divergence(places, uniform),
            "kl_appearances": tfd.kl_divergence(appearance, p.appearance),
        }
        terms = {
            name: tf.reduce_sum(tf.where(present, value, 0.0), axis=1)
            for name, value in by_slot.items()
        }
        return {**terms, "kl_count": -p.count.log_prob(count)}

    def _auxiliary(self, inputs, frames, logits, noise):
        """The warm-up: the logits imitate where a plain VAE pays nats."""
        weight = self.weight(inputs, "auxiliary_weight")
        normal = noise.normal(_AUXILIARY, self.auxiliary_vae.latent_shape)

        def run():
            loss, target = self.auxiliary_vae(frames, normal, training=True)
            scale = (
                1.0
                if self.auxiliary_target == "scaled"
                else (1.0 / self.logit_scale)
            )
            error = scale * logits - tf.stop_gradient(_flat(target))
            distance = tf.reduce_sum(tf.square(error), axis=1)
            return loss + weight * distance, distance

        zeros = tf.zeros([tf.shape(frames)[0]])
        loss, distance = tf.cond(weight > 0.0, run, lambda: (zeros, zeros))
        return {"auxiliary_loss": loss, "auxiliary_distance": distance}

    # ---- decomposition -----------------------------------------------------

    def _decompose(self, frames, noise):
        """The common contract, by frame; see the class."""
        q = self.posterior(frames)
        scene = q.mode()
        drawn = self.draw(scene)
        latent_kl = q.appearance(scene.order).kl_terms(self.prior().appearance)
        latent_kl = tf.where(scene.present[..., None], latent_kl, 0.0)
        return {
            **drawn,
            **scenes.public(scene, self.image_size),
            "latent_kl": tf.pad(latent_kl, [(0, 0), (1, 0), (0, 0)]),
            **self._elbo(frames, q, noise),
        }

    def draw(self, scene):
        """Draws a scene: `recon`, `masks`, `components`, `boxes`."""
        sprites = self.draw_sprites(scene.latents, scene.present)
        return scenes.draw(sprites, scene, self.image_size)

    def _elbo(self, frames, q, noise):
        """One sample of the bound, with hard locations."""
        gumbel, normal = self._noise(noise, q, _GUMBEL, _APPEARANCE)
        scene = q.from_noise(gumbel, normal)
        nll = -self.likelihood(scene).log_prob(frames)
        places = q.locations(tf.shape(scene.order)[1])
        places = places.conditional(places.open_logits(scene.order))
        appearance = q.appearance(scene.order)
        terms = self._divergences(q.count, scene.present, places, appearance)
        kl = tf.add_n(list(terms.values()))
        return {"loss": nll + kl, "nll": nll, "kl": kl, **terms}

    def _noise(self, noise, q, of_locations, of_appearances):
        """Noise for as many objects as there are in any frame."""
        draws = tf.maximum(tf.reduce_max(q.count), 1)
        gumbel = self._gumbel(noise, of_locations)[:, :draws]
        normal = noise.normal(of_appearances, self._latent_shape)[:, :draws]
        return gumbel, normal

    def log_likelihood_bound(self, inputs, num_samples=100):
        """Importance-weighted bound of `log p(x)`.

            log 1/S sum_s p(x | l, z) p(l) p(z) a[n] / (q(l | x) q(z | l, x))

        Args:
            inputs: As for `call`.
            num_samples: `S`, one after the other: memory does not grow.

        Returns:
            `[B]` nats per clip, the sum over its frames.
        """
        frames, noise, shape = self._frames(inputs)
        p, q = self.prior(), self.posterior(frames)

        def one(sample):
            purpose = _BOUND + 2 * sample
            drawn = self._noise(noise, q, purpose, purpose + 1)
            scene = q.from_noise(*drawn)
            log_ratio = p.log_prob(scene) - q.log_prob(scene)
            return log_ratio + self.likelihood(scene).log_prob(frames)

        def body(sample, total):
            return sample + 1, logaddexp(total, one(sample))

        start = tf.fill([tf.shape(frames)[0]], -math.inf)
        _, total = tf.while_loop(
            lambda sample, _: sample < num_samples,
            body,
            (tf.constant(0), start),
            parallel_iterations=1,
        )
        bound = total - math.log(num_samples)
        return tf.reduce_sum(tf.reshape(bound, shape), axis=1)

    @property
    def _num_pixels(self):
        return math.prod(self.image_size)

    @property
    def _latent_shape(self):
        return (self.max_objects, self.latent_dim)


def median(logits):
    """The median of every map: `[N, H W]` -> `[N, 1]`."""
    logits = tf.stop_gradient(logits)
    half = (logits.shape[1] + 1) // 2
    return tf.math.top_k(logits, half).values[:, -1:]


def _flat(maps):
    """`[N, H, W, ...]` -> `[N, H W, ...]`."""
    pixels = maps.shape[1] * maps.shape[2]
    return tf.reshape(maps, [-1, pixels, *maps.shape[3:]])


def logaddexp(a, b):
    """`log(exp a + exp b)`, also where `a` is minus infinity."""
    return tf.reduce_logsumexp(tf.stack([a, b]), axis=0)
