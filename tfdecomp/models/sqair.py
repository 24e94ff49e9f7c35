"""SQAIR: objects that are attended to one after the other, and followed.

    p(x, z, D) = p(D_1, z_1)
                 prod_{t >= 2} p(z_t^P | z_{t-1}) p(D_t, z_t^D | z_t^P)
                 prod_t N(x_t; sum_k sprite(what_k) in where_k, s^2)

In each frame objects that are known are propagated, one after the other, and
then D_t new ones are discovered, one after the other, in what room there is.
An object has a place ("where"), an appearance ("what") and a presence, which
is discrete: it may go, and never comes back.

    q(z^P_t) of each known object: look near where it was, say where it is, look
             there, say what it looks like now and whether it stays
    q(z^D_t) of each new one: say where, look there, say what it looks like and
             whether there is one more

    w_s = p(x, z_s, D_s) / q(z_s, D_s | x),   S particles s of each clip
    loss = -log(1/S sum_s w_s) / T

Gradients pass through where and what; choices of presence learn by how much a
particle's bound is better than that of the others (VIMCO).

References:
    Kosiorek, Kim, Posner and Teh, Sequential Attend, Infer, Repeat: Generative
    Modelling of Moving Objects. NeurIPS 2018.
"""

import math

import gin
import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions import particles
from tfdecomp.distributions.gaussians import NormalPixels
from tfdecomp.distributions.truncated_count import TruncatedCount
from tfdecomp.layers.tracks.picture_mlp import PictureMLP
from tfdecomp.layers.tracks.place_prior import PlacePrior
from tfdecomp.layers.tracks.slot_discovery import SlotDiscovery
from tfdecomp.layers.tracks.slot_glimpse import SlotGlimpse
from tfdecomp.layers.tracks.slot_prior import SlotPrior
from tfdecomp.layers.tracks.slot_propagation import SlotPropagation
from tfdecomp.layers.tracks.slot_sprites import SlotSprites
from tfdecomp.models import base
from tfdecomp.models.parts import sqair_frames, sqair_scores
from tfdecomp.models.parts.frames import known_size
from tfdecomp.models.parts.object_scenes import (
    merge,
    unmerge,
    with_background,
)
from tfdecomp.ops import sprites

tfd = tfp.distributions

COUNT_PRIORS = ("geometric", "categorical")
_PARTS = (
    "image_encoder",
    "glimpse_encoder",
    "propagation",
    "discovery",
    "prior",
    "decoder",
)
_VALUES = (
    "image_size",
    "channels",
    "num_slots",
    "num_particles",
    "evaluation_particles",
    "deviation",
    "success_prob",
    "count_prior",
    "where_mean",
    "mean_image",
    "propagate",
    "fixed_presence",
    "sample_in_evaluation",
    "signal_clip",
)


@gin.register(module="models")
@keras.saving.register_keras_serializable(package="tfdecomp")
class SQAIR(sqair_frames.FollowedSlots):
    """Sequential attend, infer, repeat.

    Args:
        image_encoder: Layer that reads whole frames, `[N, H, W, C]` to any
            shape: a `layers.PictureMLP` or `layers.CellBackbone`.
        glimpse_encoder: What reads windows of them, a `layers.SlotGlimpse`.
        propagation: What follows known objects, a `layers.SlotPropagation`.
        discovery: What finds new ones, a `layers.SlotDiscovery`.
        prior: What objects do unseen, a `layers.SlotPrior`.
        decoder: What draws them, a `layers.SlotSprites`.
        image_size: `(H, W)` of the frames, or the side.
        channels: Colour channels, `C`.
        num_slots: One for the background and `K` for objects.
        num_particles: `S` of training, at least 2.
        evaluation_particles: Particles outside of training, where samples are
            drawn; of more than one, the one with the largest weight in a clip
            is shown and goes on.
        deviation: Of a pixel.
        success_prob: Ratio of the probabilities of one more new object and of
            none more, if the count's prior is geometric.
        count_prior: `"geometric"`, or `"categorical"`: learned, for the first
            frame and by how many are known; for one number of slots.
        where_mean: Prior mean of a new object's where, at first: logits of
            height and width, and the arguments of the centre's tangents.
        mean_image: Whether a picture that is learned shows where objects are,
            and nowhere else.
        propagate: Whether objects are known from frame to frame; else every
            frame finds its own, as AIR does.
        fixed_presence: Whether the model is told how many objects there are,
            `inputs["num_objects"]`, all from the first frame on.
        sample_in_evaluation: Whether to sample outside of training, too; else
            means and likelier choices are taken.
        signal_clip: Largest signal that choices learn by, in nats; by default
            any.
        **kwargs: Passed to `keras.Model`.

    Call arguments:
        inputs: A `tfdecomp.types.Batch`, possibly with the `state` of an
            earlier chunk.
        training: Whether in training mode: pictures, boxes and tracks are then
            left out.
        num_slots: As above; by default the model's.

    Returns:
        A `tfdecomp.types.Decomposition` with the background in slot 0: `slots`
        are means of appearances, `samples` what was drawn. `nll` and `kl`, mean
        over particles; `kl_discovery` and `kl_propagation`; `elbo`, nats a
        frame of the importance-weighted bound, and `loss`, that with another
        sign; `count`, objects in a frame; `effective_particles`; `state`.

    Raises:
        ValueError: If sizes do not fit, or an option is unknown.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.models.sqair import SQAIR
        >>> model = SQAIR(image_size=24, num_slots=4)
        >>> outputs = model({"video": np.zeros([1, 2, 24, 24, 3], np.uint8)})
        >>> outputs["track_ids"].shape
        TensorShape([1, 2, 4])
    """

    looks_ahead = False
    num_refinements = 0
    background_slot = 0
    config_parts = _PARTS
    config_values = _VALUES
    scheduled_weights = ("deviation", "success_prob")

    def __init__(
        self,
        image_encoder=None,
        glimpse_encoder=None,
        propagation=None,
        discovery=None,
        prior=None,
        decoder=None,
        *,
        image_size=48,
        channels=3,
        num_slots=7,
        num_particles=2,
        evaluation_particles=1,
        deviation=0.3,
        success_prob=0.516,
        count_prior="geometric",
        where_mean=(-2.0, -2.0, 0.0, 0.0),
        mean_image=True,
        propagate=True,
        fixed_presence=False,
        sample_in_evaluation=False,
        signal_clip=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        side = (image_size,) * 2 if isinstance(image_size, int) else image_size
        self.image_size = tuple(side)
        self.channels = channels
        self.num_slots = num_slots
        self.num_particles = num_particles
        self.evaluation_particles = evaluation_particles
        self.deviation = deviation
        self.success_prob = success_prob
        self.count_prior = count_prior
        self.where_mean = tuple(where_mean)
        self.mean_image = mean_image
        self.propagate = propagate
        self.fixed_presence = fixed_presence
        self.sample_in_evaluation = sample_in_evaluation
        self.signal_clip = signal_clip
        self.image_encoder = image_encoder or PictureMLP()
        self.glimpse_encoder = glimpse_encoder or SlotGlimpse(channels=channels)
        self.propagation = propagation or SlotPropagation()
        self.discovery = discovery or SlotDiscovery()
        self.prior = prior or SlotPrior()
        self.decoder = decoder or SlotSprites(channels=channels)
        self._check()
        self.what_dim = self.latent_dim = self.glimpse_encoder.what_dim
        self.units = self.propagation.units
        self.layouts = sqair_frames.layouts(self.what_dim)
        self.place_prior = PlacePrior(
            self.prior.units, self.where_mean, name="place_prior"
        )

    def _check(self):
        if self.count_prior not in COUNT_PRIORS:
            raise ValueError(
                f"count_prior must be one of {COUNT_PRIORS}, got "
                f"{self.count_prior!r}"
            )
        if self.num_slots < 2:
            raise ValueError(
                "num_slots must be at least 2, one for the background and one "
                f"for an object, got {self.num_slots}"
            )
        if self.num_particles < 2:
            raise ValueError(
                "num_particles must be at least 2, got "
                f"{self.num_particles}: choices learn from what other "
                "particles have"
            )
        if self.evaluation_particles < 1:
            raise ValueError(
                "evaluation_particles must be at least 1, got "
                f"{self.evaluation_particles}"
            )
        if self.success_prob <= 0 or self.deviation <= 0:
            raise ValueError(
                "success_prob and deviation must be above 0, got "
                f"{self.success_prob} and {self.deviation}"
            )
        if len(self.where_mean) != sprites.WHERE:
            raise ValueError(
                "where_mean has four numbers, height, width, y and x, got "
                f"{len(self.where_mean)}"
            )
        self._check_parts()

    def _check_parts(self):
        look, follow = self.glimpse_encoder, self.propagation
        alike = {
            "what_dim": (look, follow, self.discovery, self.prior),
            "units": (follow, self.discovery),
            "channels": (look, self.decoder),
        }
        for name, parts in alike.items():
            found = {type(p).__name__: getattr(p, name) for p in parts}
            if name == "channels":
                found["SQAIR"] = self.channels
            if len(set(found.values())) > 1:
                raise ValueError(
                    f"{name} must be the same everywhere, got {found}; set one "
                    "for all"
                )
        if look.size != follow.glimpse_size:
            raise ValueError(
                "masks and glimpses must have one side, got glimpse_size = "
                f"{follow.glimpse_size} of SlotPropagation and size = "
                f"{look.size} of SlotGlimpse; set one for both"
            )

    def build(self, input_shape=None):
        """Builds all weights; no input is needed."""
        if self.built:
            return
        frames = (None, *self.image_size, self.channels)
        shapes = {
            self.image_encoder: frames,
            self.glimpse_encoder: frames,
            self.propagation: (None,),
            self.discovery: (None, self.code_size),
            self.prior: (None,),
            self.place_prior: (None, None, sprites.WHERE),
            self.decoder: (None, None, self.what_dim),
        }
        for part, shape in shapes.items():
            if not part.built:  # a reloaded child arrives built
                part.build(shape)
        if self.mean_image:
            self.mean_picture = self._weight(frames[1:], "mean_picture")
        if self.count_prior == "categorical":
            n = self.num_slots
            self.first_counts = self._weight((n,), "first_counts")
            self.later_counts = self._weight((n, n), "later_counts")
        self.built = True

    def _weight(self, shape, name):
        return self.add_weight(
            shape=shape,
            initializer="zeros",
            dtype="float32",
            autocast=False,
            name=name,
        )

    @property
    def code_size(self):
        """Numbers of what a whole frame tells."""
        frames = (None, *self.image_size, self.channels)
        return math.prod(self.image_encoder.compute_output_shape(frames)[1:])

    def check_video(self, video):
        """See `DecompositionModel`; says how colours become grey."""
        shape = tuple(video.shape)
        if len(shape) == 5 and (self.channels, shape[-1]) == (1, 3):
            raise ValueError(
                f"the model reads grey frames [B, T, H, W, 1], got "
                f"{list(shape)}; give one channel, such as the largest, or "
                "build the model with channels=3"
            )
        super().check_video(video)

    # ---- the generative model ----------------------------------------------

    def likelihood(self, recon, deviation=None):
        """p(x | z). Event `[H, W, C]`, batch as of `recon`.

        Args:
            recon: Pictures that were drawn, `[..., H, W, C]`.
            deviation: Of a pixel; by default the model's.
        """
        deviation = self.deviation if deviation is None else deviation
        return NormalPixels(recon, deviation**2)

    def counts(self, inputs, kept, first):
        """p(D_t): how many are new, batch `[N, T]`.

        Args:
            inputs: Of `call`.
            kept: Presence of the objects that stay, `[N, T, K, 1]`.
            first: Number of the clip's first frame in the whole video.
        """
        there = tf.reduce_sum(kept, axis=[2, 3])
        slots = known_size(kept, 2)
        room = tf.cast(slots, tf.float32) - there
        if self.count_prior == "geometric":
            ratio = self.weight(inputs, "success_prob")
            return TruncatedCount.geometric(ratio, slots, room)
        if slots != self.num_slots - 1:
            raise ValueError(
                "a learned prior of counts holds for one number of slots, "
                f"{self.num_slots}; leave num_slots out, or build the model "
                "with count_prior='geometric'"
            )
        by_known = tf.convert_to_tensor(self.later_counts)
        logits = tf.gather(by_known, tf.cast(there, tf.int32))
        frames = first + tf.range(tf.shape(kept)[1])
        is_first = (frames == 0)[None, :, None]
        at_first = tf.convert_to_tensor(self.first_counts)
        return TruncatedCount(tf.where(is_first, at_first, logits), room)

    def priors(self, inputs, training=False, num_slots=None):
        """p(z): what latents of a clip follow, given those before them.

        Those before are what `posterior` draws of the same inputs. The part
        `prior` is the network of those that stay.

        Args:
            inputs: As of `call`.
            training: As of `call`.
            num_slots: As of `call`.

        Returns:
            `sqair_scores.Latents`.
        """
        records, state = self._infer(inputs, training, num_slots)
        return self._priors(inputs, records, state["frame"])

    def _priors(self, inputs, records, end):
        kept, new = records["kept"], records["new"]
        where = merge(new["value"][..., : sprites.WHERE])
        places = [unmerge(v, new["value"]) for v in self.place_prior(where)]
        first = end - tf.shape(new["value"])[1]
        count = self.counts(inputs, kept["presence"], first)
        return sqair_scores.priors(kept, places, count)

    # ---- inference ---------------------------------------------------------

    def posterior(self, inputs, training=False, num_slots=None):
        """q(z | x): what latents of a clip are, given those before them.

        Args:
            inputs: As of `call`.
            training: As of `call`.
            num_slots: As of `call`.

        Returns:
            `sqair_scores.Latents`, of as many particles as `call` has.
        """
        records, _ = self._infer(inputs, training, num_slots)
        return self._posterior(records)

    def _posterior(self, records):
        mixing = self.propagation.mixing()
        return sqair_scores.posterior(records["kept"], records["new"], mixing)

    def _latents(self, inputs, records, state):
        """q and p of the latents in the records of a clip."""
        return (
            self._posterior(records),
            self._priors(inputs, records, state["frame"]),
        )

    def _infer(self, inputs, training, num_slots, count=None):
        """The records of a clip and the state after it; see `scan`."""
        self.check_video(inputs["video"])
        video = base.as_float(tf.convert_to_tensor(inputs["video"]))
        is_sampled = training or self.sample_in_evaluation or count is not None
        count = count or self._count(training)
        state = self.start(inputs, num_slots)
        return self.scan(inputs, video, state, count, is_sampled)

    def _count(self, training):
        """Particles of a clip."""
        if training:
            return self.num_particles
        return self.evaluation_particles if self.sample_in_evaluation else 1

    def call(self, inputs, training=False, num_slots=None):
        count = self._count(training)
        records, state = self._infer(inputs, training, num_slots)
        selected = records["selected"]
        recon = self.draw(selected)
        q, p = self._latents(inputs, records, state)
        outputs, log_weights, choices = self._scores(
            inputs, records, (q, p), recon, count
        )
        frames = tf.cast(tf.shape(recon)[1], tf.float32)
        outputs |= self._bound(log_weights, choices, frames, training)
        chosen = tf.argmax(log_weights, axis=-1)

        def shown(values):
            return particles.pick(values, chosen, count)

        outputs["recon"] = tf.clip_by_value(shown(recon), 0.0, 1.0)
        outputs["state"] = {
            name: value if name == "frame" else shown(value)
            for name, value in state.items()
        }
        there = tf.reduce_sum(selected["presence"], axis=[2, 3])
        outputs["count"] = shown(tf.reduce_mean(there, axis=1))
        outputs["slots"] = with_background(shown(self._means(records)))
        if not training:
            terms = sqair_scores.what_terms(
                q, p, records["kept"], records["new"]
            )
            terms = shown(self._of_slots(terms, selected))
            selected = tf.nest.map_structure(shown, selected)
            outputs |= self.shown(selected)
            outputs["samples"] = with_background(selected["what"])
            outputs["latent_kl"] = with_background(terms)
        return outputs

    # ---- the objective -----------------------------------------------------

    def _scores(self, inputs, records, latents, recon, count):
        """Nats of clips, log-weights of particles, and log q of choices.

        Returns:
            `(terms, log_weights, choices)`: by name `[B]`, and `[B, S]` each.
        """
        video = base.as_float(tf.convert_to_tensor(inputs["video"]))
        deviation = self.weight(inputs, "deviation")
        drawn = particles.by_clip(recon, count)
        log_pixels = self.likelihood(drawn, deviation).log_prob(video[:, None])
        costs = sqair_scores.ratios(*latents, records["kept"], records["new"])
        costs = {
            name: particles.by_clip(tf.reduce_sum(value, axis=1), count)
            for name, value in costs.items()
        }
        choices = costs.pop("choices")
        if self.fixed_presence:  # nothing is chosen
            zero = tf.zeros_like(choices)
            choices, costs = zero, {**costs, "stays": zero, "count": zero}
        pixels = tf.reduce_sum(log_pixels, axis=-1)
        kl = tf.add_n(list(costs.values()))
        terms = {
            "nll": -pixels,
            "kl": kl,
            "kl_discovery": costs["new"] + costs["count"],
            "kl_propagation": costs["kept"] + costs["stays"],
        }
        terms = {n: tf.reduce_mean(v, axis=-1) for n, v in terms.items()}
        return terms, pixels - kl, choices

    def _bound(self, log_weights, choices, frames, training):
        """The objective, of log-weights `[B, S]`."""
        count = log_weights.shape[-1]
        bound = particles.log_mean_exp(log_weights)
        surrogate = bound
        if training and not self.fixed_presence:
            surrogate = particles.vimco(log_weights, choices, self.signal_clip)
        found = {"elbo": bound / frames, "loss": -surrogate / frames}
        if count > 1:
            found["effective_particles"] = particles.effective(log_weights)
        return found

    def log_likelihood_bound(self, inputs, num_samples=100):
        """Importance-weighted bound of `log p(x)`, of samples.

            log 1/S sum_s p(x, z_s) / q(z_s | x)

        Args:
            inputs: As for `call`.
            num_samples: `S`, all at once.

        Returns:
            `[B]` nats per clip, the sum over its frames.
        """
        records, state = self._infer(inputs, False, None, num_samples)
        recon = self.draw(records["selected"])
        latents = self._latents(inputs, records, state)
        found = self._scores(inputs, records, latents, recon, num_samples)
        return particles.log_mean_exp(found[1])

    def _means(self, records):
        """Means of appearances of the slots, `[B, T, K, A]`."""
        means = [records[name]["mean"] for name in ("kept", "new")]
        means = tf.concat(means, axis=2)[..., sprites.WHERE :]
        return self._of_slots(means, records["selected"])

    def _of_slots(self, values, selected):
        """Of known and new ones, `[B, T, 2 K, D]`, those that slots hold."""
        source = tf.cast(selected["source"][..., 0], tf.int32)
        values = tf.gather(values, source, batch_dims=2)
        return values * selected["presence"]

    # ---- beyond decomposition ----------------------------------------------

    def encode(self, inputs, num_slots=None):
        """What `decode` draws.

        Returns:
            `slots` `[B, T, K + 1, A]` means of appearances, `boxes`
            `[B, T, K + 1, 4]` edges in pixels, not cut to the frame, and
            `presence` `[B, T, K + 1]`; slot 0 is the background.
        """
        count = self._count(False)
        records, state = self._infer(inputs, False, num_slots)
        if count > 1:
            recon = self.draw(records["selected"])
            latents = self._latents(inputs, records, state)
            found = self._scores(inputs, records, latents, recon, count)
            chosen = tf.argmax(found[1], axis=-1)
            records = tf.nest.map_structure(
                lambda v: particles.pick(v, chosen, count), records
            )
        selected = records["selected"]
        edges = sprites.edges_of(self.boxes(selected["where"]))
        return {
            "slots": with_background(self._means(records)),
            "boxes": with_background(edges * selected["presence"]),
            "presence": with_background(selected["presence"], 1.0)[..., 0],
        }
