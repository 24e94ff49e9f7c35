"""SILOT: videos as objects that are discovered once and then tracked.

    state_0 = nothing
    for every frame t:
        kept = propagate(state_{t-1}, x_t)          K objects, may only vanish
        new = discover(x_t, kept)                   one for every grid cell
        state_t = the K most present of both; those kept stay in their slots
        x_t ~ Bernoulli(render(state_t))

An object is a box, an appearance ("what"), a depth and a presence. The
presences have a prior on their number, the rest static normal ones. A copy
of the propagation that sees no frame is a second, learned prior; it can go on
where frames end.

    loss = -log p(x | z) + sum_objects presence [
               KL(q_discovered || p_discovered)
               + KL(q_propagated || p_propagated)
               + KL(q_propagated || p_expected) ]
           + KL(q_presences || p_presences) + KL(q_stays || p_stays)

with p_propagated the static prior and p_expected the learned one.

References:
    Crawford and Pineau, Exploiting Spatial Invariance for Scalable
    Unsupervised Object Tracking. AAAI 2020.
"""

import gin
import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions import object_count
from tfdecomp.distributions.bernoulli import ClippedBernoulli
from tfdecomp.distributions.concrete import BinaryConcrete, Presence
from tfdecomp.distributions.gaussians import DiagonalGaussian
from tfdecomp.distributions.object_count import ObjectCount
from tfdecomp.layers.mlp import MLP
from tfdecomp.layers.objects.cell_backbone import CellBackbone
from tfdecomp.layers.objects.discovery import Discovery
from tfdecomp.layers.objects.object_renderer import ObjectRenderer
from tfdecomp.layers.objects.propagation import Propagation
from tfdecomp.layers.objects.spatial_attention import SpatialAttention
from tfdecomp.models import base
from tfdecomp.models.parts import silot_frames, silot_parts
from tfdecomp.models.parts.frames import known_size
from tfdecomp.models.parts.object_scenes import unmerge, with_background
from tfdecomp.ops import frame_records

tfd = tfp.distributions

PRESENT = 0.5  # presence above which the prior on their number counts one
_CONDITIONS = ("own_sample", "exact")
_POSITIONS = ("scene", "relative")
_PARTS = (
    "backbone",
    "discovery",
    "propagation",
    "prior",
    "renderer",
    "background",
)
_VALUES = (
    "image_size",
    "channels",
    "num_slots",
    "anchor",
    "attention_scale",
    "attention_hidden",
    "attention_position",
    "attention_peak",
    "max_neighbours",
    "independent_propagation",
    "mask_empty_slots",
    "background_color",
    "size_mean",
    "size_deviation",
    "move_deviation",
    "what_deviation",
    "discovery_dropout",
    "sample_in_evaluation",
    "presence_threshold",
    "epsilon",
    "count_odds",
    "training_wheels",
    "prior_condition",
)


@gin.register(module="models")
@keras.saving.register_keras_serializable(package="tfdecomp")
class SILOT(silot_frames.TrackedScenes):
    """Spatially invariant, label-free object tracking.

    Weights do not depend on the size of frames nor on the number of slots:
    a model trained on small crops runs on whole frames.

    Args:
        backbone: What reads frames, a `layers.CellBackbone`.
        discovery: What finds new objects, a `layers.Discovery`.
        propagation: What follows those known, a `layers.Propagation`.
        prior: A `layers.Propagation` with `is_prior=True`, which sees no frame.
        renderer: What draws them, a `layers.ObjectRenderer`.
        image_size: `(H, W)` or one side, of training.
        channels: Colour channels, `C`.
        num_slots: One for the background and `K` for objects.
        anchor: Side in pixels of the unit of boxes, or `(h, w)`.
        attention_scale: Deviation of attention's kernel, in anchors.
        attention_hidden: Hidden widths of attention's networks.
        attention_position: What attention knows of where objects are:
            `"scene"`: as in the authors' code, their places in the scene
            beside those relative to whom they are seen from; `"relative"`:
            as in the paper, the latter alone. What an object knows of itself
            is the same.
        attention_peak: See `layers.SpatialAttention.initial_peak`.
        max_neighbours: See `layers.SpatialAttention`. Combine it with
            `mask_empty_slots`: empty slots, all in one corner, would exceed it.
        independent_propagation: Whether an object's propagation looks at no
            other object.
        mask_empty_slots: Whether attention leaves out slots that never held
            an object; published as False, which lets them leave a trace in
            the top left corner.
        background: `"fixed"`: `background_color`; `"learned"`: one colour
            for all videos that training finds; `"given"`: that of the inputs;
            or a layer that finds each video's, `layers.ColorBackground` or
            `layers.MovingBackground`.
        background_color: Of a fixed background, one number per channel or
            one for all.
        size_mean: Prior mean of the logit of a box' sides.
        size_deviation: Prior deviation of the same.
        move_deviation: Prior deviation of a move, before the hyperbolic
            tangent, between two frames.
        what_deviation: Prior deviation of the change of appearance.
        discovery_dropout: Probability that a frame of training, other than
            the first, discovers nothing.
        sample_in_evaluation: Whether to sample outside of training, and in
            rollouts; else means and noiseless presences are used.
        presence_threshold: Presence above which an object counts and has a
            track.
        epsilon: Added to the probabilities of pixels, inside of logarithms.
        count_odds: Odds of one more object under the count's prior.
        training_wheels: 1 keeps gradients from where, depth and presence, 0
            does not.
        prior_condition: What the learned prior's what, depth and presence,
            and its recurrent state, follow on: its `"own_sample"`, as
            published, or the posterior's (`"exact"`). Only the latter makes
            `kl_learned_prior` the divergence of the joint distributions.
        **kwargs: Passed to `keras.Model`.

    Call arguments:
        inputs: A `tfdecomp.types.Batch`, possibly with the `state` of an
            earlier chunk, `crop_offset` and `background`.
        training: Whether in training mode: masks, components and boxes are
            then left out.
        num_slots: As above; by default the model's.
        prior_start: Number of the frame from which on the learned prior
            stands in for what is seen, and nothing is discovered.

    Returns:
        A `tfdecomp.types.Decomposition` with the background in slot 0:
        `slots` are appearances. `nll`, `kl` and `loss` of one sample, or of
        the means; `kl_discovery`, `kl_propagation`, `kl_learned_prior`,
        `kl_count`, `kl_presence_prior` and, where a layer finds it,
        `kl_background`; `state`. With `max_neighbours` also
        `attention_overflow`, cells and objects per frame that had more.

    Raises:
        ValueError: If sizes do not fit, or an option is unknown.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.models.silot import SILOT
        >>> model = SILOT(image_size=48, num_slots=5)
        >>> outputs = model({"video": np.zeros([1, 2, 48, 48, 3], np.uint8)})
        >>> outputs["track_ids"].shape
        TensorShape([1, 2, 5])
    """

    looks_ahead = False
    num_refinements = 0
    background_slot = 0
    any_size = True
    config_parts = _PARTS
    config_values = _VALUES
    scheduled_weights = ("count_odds", "training_wheels", "epsilon")

    def __init__(
        self,
        backbone=None,
        discovery=None,
        propagation=None,
        prior=None,
        renderer=None,
        *,
        image_size=48,
        channels=3,
        num_slots=17,
        anchor=48,
        attention_scale=0.1,
        attention_hidden=(64, 64),
        attention_position="scene",
        attention_peak=None,
        max_neighbours=None,
        independent_propagation=True,
        mask_empty_slots=False,
        background="fixed",
        background_color=0.0,
        size_mean=-2.1972246,
        size_deviation=0.5,
        move_deviation=0.3,
        what_deviation=0.4,
        discovery_dropout=0.5,
        sample_in_evaluation=False,
        presence_threshold=0.5,
        epsilon=1e-9,
        count_odds=0.0125,
        training_wheels=0.0,
        prior_condition="own_sample",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_size = _pair(image_size)
        self.channels = channels
        self.num_slots = num_slots
        self.anchor = _pair(anchor)
        self.attention_scale = attention_scale
        self.attention_hidden = tuple(attention_hidden)
        self.attention_position = attention_position
        self.attention_peak = attention_peak
        self.max_neighbours = max_neighbours
        self.independent_propagation = independent_propagation
        self.mask_empty_slots = mask_empty_slots
        self.background = background
        self.background_color = background_color
        self.size_mean = size_mean
        self.size_deviation = size_deviation
        self.move_deviation = move_deviation
        self.what_deviation = what_deviation
        self.discovery_dropout = discovery_dropout
        self.sample_in_evaluation = sample_in_evaluation
        self.presence_threshold = presence_threshold
        self.epsilon = epsilon
        self.count_odds = count_odds
        self.training_wheels = training_wheels
        self.prior_condition = prior_condition
        self.backbone = backbone or CellBackbone()
        self.discovery = discovery or Discovery(channels=channels)
        self.propagation = propagation or Propagation(channels=channels)
        self.prior = prior or Propagation(is_prior=True, channels=channels)
        self.renderer = renderer or ObjectRenderer(channels=channels)
        self.what_dim = self.discovery.what_dim
        self.units = self.discovery.units
        self.features = self.discovery.features
        self.latent_dim = self.what_dim
        self.largest_side = self.discovery.size_range[1]
        self._layouts = frame_records.layouts(self.what_dim)
        if prior_condition not in _CONDITIONS:
            raise ValueError(
                f"prior_condition must be one of {_CONDITIONS}, got "
                f"{prior_condition!r}"
            )
        if not 0.0 <= presence_threshold < 1.0:
            raise ValueError(
                "presence_threshold must be from 0 to below 1, got "
                f"{presence_threshold}"
            )
        if attention_position not in _POSITIONS:
            raise ValueError(
                f"attention_position must be one of {_POSITIONS}, got "
                f"{attention_position!r}"
            )
        self.check_background()
        silot_parts.check(self)
        # Of propagated objects on the grid, and of objects on each other.
        self.grid_attention = SpatialAttention(
            attention_scale,
            self.features,
            self.attention_hidden,
            max_neighbours,
            attention_peak,
            name="grid_attention",
        )
        self.object_network = MLP(
            self.attention_hidden,
            self.features,
            dtype="float32",
            name="object_network",
        )
        self.pair_attention = None
        if not independent_propagation:
            self.pair_attention = SpatialAttention(
                attention_scale,
                self.features,
                self.attention_hidden,
                max_neighbours,
                attention_peak,
                name="pair_attention",
            )

    def build(self, input_shape=None):
        """Builds all weights; no input is needed."""
        if self.built:
            return
        frames = (None, *self.image_size, self.channels)
        places = (None, None, 2)
        width = 2 + self.what_dim + 2 + self.units
        own = (None, None, width + 2 * self.propagation.use_position)
        others = (None, None, width + 2 * self.shows_places)
        parts = {
            self.backbone: (frames,),
            self.discovery: (),
            self.propagation: (),
            self.prior: (),
            self.renderer: ({"what": (None, None, self.what_dim)},),
            self.object_network: (own,),
            self.grid_attention: (places, places, others),
        }
        if self.pair_attention is not None:
            known = (None, None, self.features)
            parts[self.pair_attention] = (places, places, others, known)
        for part, shapes in parts.items():
            if not part.built:  # a reloaded child arrives built
                part.build(*shapes)
        self.build_background()
        self.built = True

    @property
    def largest_box(self):
        """Side in pixels of the largest box."""
        return self.largest_side * min(self.anchor)

    # ---- the generative model ----------------------------------------------

    def likelihood(self, recon, epsilon=None):
        """p(x | z): Bernoulli pixels, event `[T, H, W, C]`, batch `[B]`.

        Args:
            recon: Pictures that were drawn, `[B, T, H, W, C]`.
            epsilon: By default the model's.
        """
        epsilon = self.epsilon if epsilon is None else epsilon
        pixels = ClippedBernoulli(recon, epsilon, form="shifted")
        return tfd.Independent(pixels, 4)

    def static_priors(self):
        """p of `discovered` and `propagated` objects, without a batch."""
        return silot_parts.static_priors(self)

    def priors(self, inputs, training=False, num_slots=None):
        """p(z): what latents of a clip follow, given those before them.

        Those before are what `posterior` draws of the same inputs. The part
        `prior` is the network of the learned one.

        Args:
            inputs: As of `call`.
            training: As of `call`.
            num_slots: As of `call`.

        Returns:
            `silot_parts.Latents`.
        """
        records = self._infer(inputs, training, num_slots)
        return self._priors(inputs, records)

    def _priors(self, inputs, records):
        kept = self._split(records, "propagated")
        new = self._split(records, "discovered")
        odds = self.weight(inputs, "count_odds")
        is_on = tf.concat([kept["presence"], new["presence"]], axis=2) > PRESENT
        count = ObjectCount(known_size(is_on, 2), object_count.log_rate(odds))
        is_on = tf.cast(is_on[..., 0], tf.float32)
        relaxation = self.propagation.relaxation
        return self.static_priors()._replace(
            expected=DiagonalGaussian.of_deviation(
                kept["prior_mean"], kept["prior_deviation"]
            ),
            presences=count.conditional(is_on),
            stays=BinaryConcrete(kept["prior_logit"][..., 0], relaxation),
        )

    # ---- inference ---------------------------------------------------------

    def posterior(self, inputs, training=False, num_slots=None):
        """q(z | x): what latents of a clip are, given those before them.

        Args:
            inputs: As of `call`.
            training: As of `call`.
            num_slots: As of `call`.

        Returns:
            `silot_parts.Latents`.

        Examples:
            >>> import numpy as np
            >>> from tfdecomp.models.silot import SILOT
            >>> model = SILOT(image_size=48, num_slots=5)
            >>> batch = {"video": np.zeros([1, 2, 48, 48, 3], np.uint8)}
            >>> q, p = model.posterior(batch), model.priors(batch)
            >>> q.discovered.kl_divergence(p.discovered).shape  # 4 x 4 cells
            TensorShape([1, 2, 16])
        """
        return self._posterior(self._infer(inputs, training, num_slots))

    def _posterior(self, records):
        kept = self._split(records, "propagated")
        new = self._split(records, "discovered")
        logits = tf.concat([kept["logit"], new["logit"]], axis=2)[..., 0]
        propagated = DiagonalGaussian.of_deviation(
            kept["mean"], kept["deviation"]
        )
        return silot_parts.Latents(
            discovered=DiagonalGaussian.of_deviation(
                new["mean"], new["deviation"]
            ),
            propagated=propagated,
            expected=propagated,
            presences=Presence(logits=logits),
            stays=BinaryConcrete(
                kept["logit"][..., 0], self.propagation.relaxation
            ),
        )

    def _infer(self, inputs, training, num_slots):
        """The records of a clip; see `ops.frame_records`."""
        self.check_video(inputs["video"])
        video = base.as_float(tf.convert_to_tensor(inputs["video"]))
        state = self._start(inputs, num_slots)
        return self._scan(inputs, video, state, training, None)[0]

    def call(self, inputs, training=False, num_slots=None, prior_start=None):
        self.check_video(inputs["video"])
        video = base.as_float(tf.convert_to_tensor(inputs["video"]))
        before = self._start(inputs, num_slots)
        background, terms, scene = self.see_background(
            inputs, video, before, training or self.sample_in_evaluation
        )
        records, after = self._scan(
            inputs, video, before, training, prior_start
        )
        selected = self._split(records, "selected")
        recon = self._draw(selected, background)
        epsilon = self.weight(inputs, "epsilon")
        nll = -self.likelihood(recon, epsilon).log_prob(video)
        terms = {**self._divergences(inputs, records), **terms}
        kl = tf.add_n(list(terms.values()))
        is_there = selected["presence"][..., 0] > self.presence_threshold
        count = tf.cast(is_there, tf.float32)
        outputs = {
            "recon": recon,
            "loss": nll + kl,
            "nll": nll,
            "kl": kl,
            **terms,
            "count": tf.reduce_mean(tf.reduce_sum(count, 2), 1),
            "state": {**after, **scene},
        }
        if self.max_neighbours is not None:
            size = video.shape[2:4]
            outputs["attention_overflow"] = self._overflow(selected, size)
        if not training:
            outputs |= self._decomposition(selected, background)
            outputs["latent_kl"] = self._latent_kl(records, selected)
        return outputs

    # ---- the objective -----------------------------------------------------

    def _divergences(self, inputs, records):
        """The KL terms, nats per clip, `[B]` each."""
        q, p = self._posterior(records), self._priors(inputs, records)
        kept = self._split(records, "propagated")
        new = self._split(records, "discovered")
        is_kept, is_new = kept["presence"][..., 0], new["presence"][..., 0]
        stays = kept["sample"][..., 0]
        kl = tfd.kl_divergence
        terms = {
            "kl_discovery": is_new * kl(q.discovered, p.discovered),
            "kl_propagation": is_kept * kl(q.propagated, p.propagated),
            "kl_learned_prior": is_kept * kl(q.expected, p.expected),
            "kl_count": kl(q.presences, p.presences),
            "kl_presence_prior": q.stays.kl_sampled(p.stays, stays),
        }
        return {
            name: tf.reduce_sum(value, axis=[1, 2])
            for name, value in terms.items()
        }

    def _latent_kl(self, records, selected):
        """KL of the appearance from its static prior, `[B, T, K + 1, A]`."""
        q, p = self._posterior(records), self.static_priors()
        kl = [
            q.propagated.kl_terms(p.propagated),
            q.discovered.kl_terms(p.discovered),
        ]
        kl = tf.concat(kl, axis=2)[..., 4 : 4 + self.what_dim]
        source = tf.cast(selected["source"][..., 0], tf.int32)
        kl = tf.gather(kl, source, batch_dims=2)
        return with_background(kl * selected["presence"])

    # ---- beyond decomposition ----------------------------------------------

    def encode(self, inputs, num_slots=None):
        """What `decode` draws.

        Returns:
            `slots` `[B, T, K + 1, A]` appearances, `boxes` `[B, T, K + 1, 4]`
            edges in pixels, not cut to the frame, `depth` and `presence`
            `[B, T, K + 1]`; slot 0 is the background. Where that differs from
            clip to clip also `background` `[B, T, H, W, C]`.
        """
        self.check_video(inputs["video"])
        video = base.as_float(tf.convert_to_tensor(inputs["video"]))
        state = self._start(inputs, num_slots)
        records, _ = self._scan(inputs, video, state, False, None)
        selected = self._split(records, "selected")
        encoded = {
            "slots": with_background(selected["what"]),
            "boxes": with_background(self._edges(selected["box"])),
            "depth": with_background(selected["depth"])[..., 0],
            "presence": with_background(selected["presence"], 1.0)[..., 0],
        }
        if not self.is_background_constant:
            pictures, _, _ = self.see_background(
                inputs, video, state, self.sample_in_evaluation
            )
            encoded["background"] = unmerge(pictures, selected["box"])
        return encoded


def _pair(value):
    return (value,) * 2 if isinstance(value, (int, float)) else tuple(value)
