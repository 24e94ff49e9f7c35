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

import functools

import gin
import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions import object_count
from tfdecomp.distributions.bernoulli import ClippedBernoulli
from tfdecomp.distributions.concrete import BinaryConcrete, Presence
from tfdecomp.distributions.gaussians import DiagonalGaussian
from tfdecomp.distributions.object_count import ObjectCount
from tfdecomp.layers.cell_backbone import CellBackbone
from tfdecomp.layers.discovery import Discovery
from tfdecomp.layers.mlp import MLP
from tfdecomp.layers.object_renderer import ObjectRenderer
from tfdecomp.layers.propagation import Propagation
from tfdecomp.layers.spatial_attention import SpatialAttention
from tfdecomp.models import base, object_noise, object_scenes, silot_parts
from tfdecomp.models.frames import scan_frames
from tfdecomp.models.iterative import check_slots
from tfdecomp.models.object_noise import ObjectNoise
from tfdecomp.models.object_scenes import merge, unmerge, with_background
from tfdecomp.ops import (
    frame_records,
    object_record,
    selection,
    track_numbers,
)

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
class SILOT(object_scenes.ObjectScenes):
    """Spatially invariant, label-free object tracking.

    Weights do not depend on the size of frames nor on the number of slots:
    a model trained on small crops runs on whole frames.

    Args:
        backbone: `layers.CellBackbone`.
        discovery: `layers.Discovery`.
        propagation: `layers.Propagation`.
        prior: The same with `is_prior=True`.
        renderer: `layers.ObjectRenderer`.
        image_size: `(H, W)` or one side, of training.
        channels: `C`.
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

    Example:

    >>> model = SILOT(image_size=48)
    >>> model({"video": clips})["track_ids"].shape
    TensorShape([8, 8, 17])
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
    def shows_places(self):
        """Whether others see an object's place in the scene."""
        is_shown = self.attention_position == "scene"
        return self.propagation.use_position and is_shown

    @property
    def largest_box(self):
        """Side in pixels of the largest box."""
        return self.largest_side * min(self.anchor)

    def check_video(self, video):
        """Raises `ValueError` unless `video` is `[B, T, H, W, C]`.

        `H` and `W` may be any, but must be known.
        """
        shape = tuple(video.shape)
        if len(shape) != 5 or shape[4] != self.channels or None in shape[2:4]:
            raise ValueError(
                f"the model reads videos [B, T, H, W, {self.channels}] of "
                f"known size, got {list(shape)}"
            )

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
        count = ObjectCount(_size(is_on, 2), object_count.log_rate(odds))
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

        Example:

        >>> q, p = model.posterior(batch), model.priors(batch)
        >>> tfd.kl_divergence(q.discovered, p.discovered).shape
        TensorShape([8, 8, 16])
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

    def _start(self, inputs, num_slots):
        """The state before the first frame."""
        state = inputs.get("state")
        if state is not None:
            return dict(state)
        count = check_slots(num_slots, self.num_slots) - 1
        batch = tf.shape(inputs["video"])[0]
        first = tf.cast(inputs.get("first_frame", 0), tf.int32)
        return {
            **object_record.null(batch, count, self.what_dim, self.units),
            "track_ids": tf.zeros([batch, count], tf.int32),
            "last_id": tf.zeros([batch], tf.int32),
            "frame": first,
        }

    def geometry(self, inputs, batch):
        """What places mean; see `layers.Discovery`."""
        offset = inputs.get("crop_offset")
        if offset is None:
            offset = tf.zeros([batch, 2])
        offset = tf.cast(offset, tf.float32) / tf.constant(
            self.anchor, tf.float32
        )
        return {
            "cell": tf.constant([self.backbone.cell] * 2, tf.float32),
            "anchor": tf.constant(self.anchor, tf.float32),
            "offset": offset,
        }

    def _scan(self, inputs, video, state, training, prior_start):
        """Runs over frames: `(records, state)`."""
        batch, num_frames = tf.shape(video)[0], tf.shape(video)[1]
        grid = self.backbone.grid(video.shape[2:4])
        cells = grid[0] * grid[1]
        seen = self.backbone(tf.reshape(video, [-1, *video.shape[2:]]))
        width = self.backbone.features
        seen = tf.reshape(seen, [batch, num_frames, *grid, width])
        count = _size(state["box"], 1)
        first = tf.cast(state["frame"], tf.int32)
        wheels = self.weight(inputs, "training_wheels") if training else None
        noise = object_noise.none
        if training or self.sample_in_evaluation:
            seeds = base.clip_seeds(inputs)
            noise = self._noise(seeds, first, num_frames, count, cells)
        geometry = self.geometry(inputs, batch)
        places = self.backbone.places(video.shape[2:4], self.anchor)

        def step(t, carry):
            number = first + t
            frame = {
                "picture": tf.stop_gradient(tf.gather(video, t, axis=1)),
                "seen": tf.gather(seen, t, axis=1),
                "number": number,
                "geometry": geometry,
                "places": tf.tile(places, [batch, 1, 1]),
                "wheels": wheels,
                "is_driven": None
                if prior_start is None
                else number >= prior_start,
                "drops": training,
            }
            return self._step(frame, carry, noise(t))

        carry, records = scan_frames(
            step, num_frames, self._carried(state), frame_records.NAMES
        )
        return records, {**carry, "frame": first + num_frames}

    def _carried(self, state):
        """What of a state goes from frame to frame."""
        names = (*self._fields(), "track_ids", "last_id")
        return {name: state[name] for name in names}

    def _noise(self, seeds, first, num_frames, num_kept, num_new=0):
        width = 5 + self.what_dim  # where, what and depth
        return ObjectNoise(seeds, first, num_frames, num_kept, num_new, width)

    def _step(self, frame, carry, noise):
        """One frame: `(carry, records)`."""
        before = {n: carry[n] for n in self._fields()}
        geometry, wheels = frame["geometry"], frame["wheels"]
        kept, posterior = self.propagation(
            before,
            self._known(before, "hidden"),
            frame["picture"],
            geometry=geometry,
            noise=noise["propagated"],
            training_wheels=wheels,
        )
        expect = functools.partial(
            self.prior,
            before,
            self._known(before, "prior_hidden"),
            noise=noise["expected"],
            training_wheels=wheels,
        )
        is_exact = self.prior_condition == "exact"
        expected, prior = expect(given=posterior["drawn"] if is_exact else None)
        going = {**kept, "prior_hidden": expected["prior_hidden"]}
        driven = frame["is_driven"]
        if driven is not None:
            if is_exact:
                expected, _ = expect()
            own = {**expected, "hidden": kept["hidden"]}
            going = {n: tf.where(driven, own[n], going[n]) for n in going}
        new, found = self.discovery(
            frame["seen"],
            self._known_on_grid(going, frame["places"], frame["seen"]),
            frame["picture"],
            geometry=geometry,
            noise=noise["discovered"],
            training_wheels=wheels,
        )
        new["presence"] *= self._discovery_mask(frame, noise)
        candidates = object_record.join(going, new)
        count = _size(before["box"], 1)
        source, is_new = selection.select(candidates["presence"][..., 0], count)
        chosen = object_record.take(candidates, source)
        tracks, shown = self._tracks(carry, chosen["presence"], is_new)
        prior = {f"prior_{name}": value for name, value in prior.items()}
        records = {
            "propagated": {**posterior, **prior, "presence": kept["presence"]},
            "discovered": {**found, "presence": new["presence"]},
            "selected": {
                **chosen,
                "source": source[..., None],
                "track_ids": shown,
            },
        }
        return {**chosen, **tracks}, self._pack(records)

    def _pack(self, records):
        return {
            name: frame_records.pack(parts, self._layouts[name])
            for name, parts in records.items()
        }

    def _split(self, records, name):
        """Parts of a record, by name, `[B, T, n, ...]`."""
        return frame_records.unpack(records[name], self._layouts[name])

    def _tracks(self, carry, presence, is_new):
        """Numbers of tracks to carry on, and to show, `[B, K, 1]`."""
        ids, last, shown = track_numbers.give(
            carry["track_ids"],
            carry["last_id"],
            presence[..., 0] > self.presence_threshold,
            is_new,
        )
        return {"track_ids": ids, "last_id": last}, shown[..., None]

    def _fields(self):
        return object_record.widths(self.what_dim, self.units)

    def _known(self, objects, hidden):
        """What objects know of themselves and each other: `[B, K, F]`."""
        features = object_record.features(
            objects, hidden, self.propagation.use_position
        )
        known = self.object_network(features)
        if self.pair_attention is None:
            return known
        places = objects["box"][..., :2]
        weights = objects["used"] if self.mask_empty_slots else None
        shown = self._shown(objects, hidden)
        return self.pair_attention(places, places, shown, known, weights)

    def _shown(self, objects, hidden):
        """What others see of objects, `[B, K, F]`."""
        return object_record.features(objects, hidden, self.shows_places)

    def _known_on_grid(self, objects, places, seen):
        """What cells know of propagated objects: as `seen`."""
        weights = objects["used"] if self.mask_empty_slots else None
        known = self.grid_attention(
            places,
            objects["box"][..., :2],
            self._shown(objects, "hidden"),
            None,
            weights,
        )
        grid = tf.shape(seen)[:-1]
        return tf.reshape(known, tf.concat([grid, [self.features]], axis=0))

    def _overflow(self, selected, size):
        """Cells and objects that saw too few neighbours, per frame, `[B]`."""
        objects = merge(selected["box"])[..., :2]
        grid = self.backbone.places(size, self.anchor)
        grid = tf.tile(grid, [tf.shape(objects)[0], 1, 1])
        over = self.grid_attention.overflow(grid, objects)
        if self.pair_attention is not None:
            over += self.pair_attention.overflow(objects, objects)
        return tf.reduce_mean(unmerge(over, selected["box"]), axis=1)

    def _discovery_mask(self, frame, noise):
        """1 where discoveries count, `[B or 1, 1, 1]`."""
        mask = tf.ones([1, 1, 1])
        if frame["drops"]:
            drops = noise["dropout"] < self.discovery_dropout
            drops = drops & (frame["number"] > 0)
            mask *= 1.0 - tf.cast(drops, tf.float32)[:, None, None]
        if frame["is_driven"] is not None:
            mask *= 1.0 - tf.cast(frame["is_driven"], tf.float32)
        return mask

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

    # ---- beyond the observed frames ----------------------------------------

    def predict_frames(
        self, state, seed, num_frames, use_means=None, image_size=None
    ):
        """Continues a video by the learned prior; nothing is discovered.

        Args:
            state: The `state` of an earlier output.
            seed: `[B, 2]`, the clip's seeds.
            num_frames: Number of frames to predict.
            use_means: Takes means in place of samples; by default unless
                `sample_in_evaluation`.
            image_size: `(H, W)` of the frames; by default that of training.

        Returns:
            A `Decomposition` of the predicted frames, with `state`.
        """
        if use_means is None:
            use_means = not self.sample_in_evaluation
        first = tf.cast(state["frame"], tf.int32)
        count = _size(state["box"], 1)
        noise = object_noise.none
        if not use_means:
            noise = self._noise(seed, first, num_frames, count)

        def step(t, carry):
            before = {n: carry[n] for n in self._fields()}
            expected, _ = self.prior(
                before,
                self._known(before, "prior_hidden"),
                noise=noise(t)["expected"],
            )
            is_new = tf.zeros(tf.shape(carry["track_ids"]), tf.bool)
            tracks, shown = self._tracks(carry, expected["presence"], is_new)
            here = {**expected, "source": 0 * shown, "track_ids": shown}
            return {**expected, **tracks}, self._pack({"selected": here})

        carry, records = scan_frames(
            step, num_frames, self._carried(state), ["selected"]
        )
        selected = self._split(records, "selected")
        size = tuple(image_size or self.image_size)
        background, scene = self.expect_background(
            state, seed, num_frames, size, not use_means
        )
        return {
            "recon": self._draw(selected, background),
            **self._decomposition(selected, background),
            "state": {**carry, "frame": first + num_frames, **scene},
        }

    def rollout(self, inputs, num_frames, **options):
        """Predicts the frames that follow `inputs["video"]`.

        Args:
            inputs: As for `call`; the context.
            num_frames: Number of frames to predict.
            **options: See `predict_frames`.

        Returns:
            A `Decomposition` of the predicted frames alone.
        """
        state = self(inputs)["state"]
        size = tuple(inputs["video"].shape[2:4])
        return self.predict_frames(
            state,
            base.clip_seeds(inputs),
            num_frames,
            **{"image_size": size, **options},
        )

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


def _size(value, axis):
    """A number where the shape is static, a scalar elsewhere."""
    size = value.shape[axis]
    return tf.shape(value)[axis] if size is None else size
