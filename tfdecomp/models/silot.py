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

    loss = NLL + KL_discovery + KL_propagation + KL_learned_prior
           + KL_count + KL_presence_prior

where the middle three are weighted by each object's presence.

References:
    Crawford and Pineau, Exploiting Spatial Invariance for Scalable
    Unsupervised Object Tracking. AAAI 2020.
"""

import gin
import keras
import numpy as np
import tensorflow as tf

from tfdecomp.distributions import concrete, gaussians, object_count
from tfdecomp.layers.cell_backbone import CellBackbone
from tfdecomp.layers.discovery import Discovery
from tfdecomp.layers.mlp import MLP
from tfdecomp.layers.object_renderer import ObjectRenderer
from tfdecomp.layers.propagation import Propagation
from tfdecomp.layers.spatial_attention import SpatialAttention
from tfdecomp.models import base
from tfdecomp.models.frames import FrameNoise, scan_frames
from tfdecomp.models.iterative import check_slots
from tfdecomp.ops import object_record, selection

PRESENT = 0.5  # presence above which an object counts and has a track
_NORMAL, _UNIFORM = range(2)  # purposes of a frame's noise
_BACKGROUNDS = ("fixed", "learned")
_PARTS = ("backbone", "discovery", "propagation", "prior", "renderer")
_VALUES = (
    "image_size",
    "channels",
    "num_slots",
    "anchor",
    "attention_scale",
    "attention_hidden",
    "max_neighbours",
    "independent_propagation",
    "mask_empty_slots",
    "background",
    "background_color",
    "size_mean",
    "size_deviation",
    "move_deviation",
    "what_deviation",
    "discovery_dropout",
    "sample_in_evaluation",
    "epsilon",
    "count_odds",
    "training_wheels",
)
# What is recorded of a frame.
_RECORDS = ("propagated", "discovered", "selected")
_SELECTED = ("box", "what", "depth", "presence")


@gin.register(module="models")
@keras.saving.register_keras_serializable(package="tfdecomp")
class SILOT(base.DecompositionModel):
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
        max_neighbours: See `layers.SpatialAttention`. Combine it with
            `mask_empty_slots`: empty slots, all in one corner, would exceed it.
        independent_propagation: Whether an object's propagation looks at no
            other object.
        mask_empty_slots: Whether attention leaves out slots that never held
            an object; published as False, which lets them leave a trace in
            the top left corner.
        background: `"fixed"`: `background_color`; `"learned"`: one colour
            for all videos that training finds.
        background_color: Of a fixed background, one number per channel or
            one for all.
        size_mean: Prior mean of the logit of a box' sides.
        size_deviation: Prior deviation of the same.
        move_deviation: Prior deviation of a move, before the hyperbolic
            tangent, between two frames.
        what_deviation: Prior deviation of the change of appearance.
        discovery_dropout: Probability that a frame of training, other than
            the first, discovers nothing.
        sample_in_evaluation: Whether to sample outside of training; else
            means and noiseless presences are used.
        epsilon: Added to the probabilities of pixels, inside of logarithms.
        count_odds: Odds of one more object under the count's prior.
        training_wheels: 1 keeps gradients from where, depth and presence, 0
            does not.
        **kwargs: Passed to `keras.Model`.

    Call arguments:
        inputs: A `tfdecomp.types.Batch`, possibly with the `state` of an
            earlier chunk, and `crop_offset` `[B, 2]`: `(y, x)` in pixels of
            the frame's corner in the scene.
        training: Whether in training mode: masks, components and boxes are
            then left out.
        num_slots: As above; by default the model's.
        prior_start: Number of the frame from which on the learned prior
            stands in for what is seen, and nothing is discovered.

    Returns:
        A `tfdecomp.types.Decomposition` with the background in slot 0:
        `slots` are appearances. `nll`, `kl` and `loss` of one sample, or of
        the means; `kl_discovery`, `kl_propagation`, `kl_learned_prior`,
        `kl_count`, `kl_presence_prior`; `state`. With `max_neighbours` also
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
        epsilon=1e-9,
        count_odds=0.0125,
        training_wheels=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_size = _pair(image_size)
        self.channels = channels
        self.num_slots = num_slots
        self.anchor = _pair(anchor)
        self.attention_scale = attention_scale
        self.attention_hidden = tuple(attention_hidden)
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
        self.epsilon = epsilon
        self.count_odds = count_odds
        self.training_wheels = training_wheels
        self.backbone = backbone or CellBackbone()
        self.discovery = discovery or Discovery(channels=channels)
        self.propagation = propagation or Propagation(channels=channels)
        self.prior = prior or Propagation(is_prior=True, channels=channels)
        self.renderer = renderer or ObjectRenderer(channels=channels)
        self.what_dim = self.discovery.what_dim
        self.units = self.discovery.units
        self.features = self.discovery.features
        self.latent_dim = self.what_dim
        self._check()
        # Of propagated objects on the grid, and of objects on each other.
        self.grid_attention = SpatialAttention(
            attention_scale,
            self.features,
            self.attention_hidden,
            max_neighbours,
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
                name="pair_attention",
            )

    def _check(self):
        if self.background not in _BACKGROUNDS:
            raise ValueError(
                f"background must be one of {_BACKGROUNDS}, got "
                f"{self.background!r}"
            )
        if self.num_slots < 2:
            raise ValueError(
                "num_slots must be one for the background and at least one "
                f"for objects, got {self.num_slots}"
            )
        if not self.prior.is_prior or self.propagation.is_prior:
            raise ValueError(
                "propagation must see frames and prior must not: set "
                "prior/layers.Propagation.is_prior = True and no other"
            )
        if self.backbone.features != self.features:
            raise ValueError(
                f"discovery reads {self.features} features of a cell, the "
                f"backbone gives {self.backbone.features}; set both alike"
            )
        readers = (self.discovery, self.propagation, self.prior)
        for part in (*readers, self.renderer):
            if part.channels != self.channels:
                raise ValueError(
                    f"the model has {self.channels} channels, {part.name} "
                    f"{part.channels}; set CHANNELS for all"
                )
        shared = ("what_dim", "units", "features", "size_range")
        for part in readers[1:]:
            for name in shared:
                here, there = getattr(self.discovery, name), getattr(part, name)
                if here != there:
                    raise ValueError(
                        f"{name} must be the same everywhere, got {here} in "
                        f"discovery and {there} in {part.name}"
                    )
        for name in ("use_position", "size_prior", "relaxation"):
            if getattr(self.propagation, name) != getattr(self.prior, name):
                raise ValueError(
                    f"{name} must be the same in propagation and prior"
                )

    def build(self, input_shape=None):
        """Builds all weights; no input is needed."""
        if self.built:
            return
        frames = (None, *self.image_size, self.channels)
        places = (None, None, 2)
        width = 2 * self.propagation.use_position
        width += 2 + self.what_dim + 2 + self.units
        objects = (None, None, width)
        parts = {
            self.backbone: (frames,),
            self.discovery: (),
            self.propagation: (),
            self.prior: (),
            self.renderer: ({"what": (None, None, self.what_dim)},),
            self.object_network: (objects,),
            self.grid_attention: (places, places, objects),
        }
        if self.pair_attention is not None:
            known = (None, None, self.features)
            parts[self.pair_attention] = (places, places, objects, known)
        for part, shapes in parts.items():
            if not part.built:  # a reloaded child arrives built
                part.build(*shapes)
        if self.background == "learned":
            self.background_logits = self.add_weight(
                shape=(self.channels,),
                initializer="zeros",
                dtype="float32",
                autocast=False,
                name="background_logits",
            )
        self.built = True

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

    def log_count_rate(self, inputs):
        """`log rho` of the prior on the number of objects."""
        return object_count.log_rate(self.weight(inputs, "count_odds"))

    def background_picture(self, batch, image_size):
        """`[N, H, W, C]`."""
        if self.background == "learned":
            # As published: ten times faster than a plain logit.
            color = tf.sigmoid(
                10.0 * tf.convert_to_tensor(self.background_logits)
            )
        else:
            color = np.broadcast_to(
                np.float32(self.background_color), [self.channels]
            )
        return tf.broadcast_to(color, [batch, *image_size, self.channels])

    def negative_log_likelihood(self, video, recon, epsilon):
        """Nats per clip of Bernoulli pixels, `[B]`."""
        p = tf.clip_by_value(recon, 0.0, 1.0)  # rounding may leave [0, 1]
        log_p = video * tf.math.log(p + epsilon)
        log_p += (1.0 - video) * tf.math.log(1.0 - p + epsilon)
        return -tf.reduce_sum(log_p, [1, 2, 3, 4])

    # ---- inference ---------------------------------------------------------

    def call(self, inputs, training=False, num_slots=None, prior_start=None):
        self.check_video(inputs["video"])
        video = base.as_float(tf.convert_to_tensor(inputs["video"]))
        size = tuple(video.shape[2:4])
        state = self._start(inputs, num_slots)
        records, state = self._scan(inputs, video, state, training, prior_start)
        selected = self._selected(records)
        recon = self._draw(selected, size)
        epsilon = self.weight(inputs, "epsilon")
        nll = self.negative_log_likelihood(video, recon, epsilon)
        terms = self._divergences(inputs, records)
        kl = tf.add_n(list(terms.values()))
        count = tf.cast(selected["presence"][..., 0] > PRESENT, tf.float32)
        outputs = {
            "recon": recon,
            "loss": nll + kl,
            "nll": nll,
            "kl": kl,
            **terms,
            "count": tf.reduce_mean(tf.reduce_sum(count, 2), 1),
            "state": state,
        }
        if self.max_neighbours is not None:
            outputs["attention_overflow"] = self._overflow(selected, size)
        if not training:
            outputs |= self._decomposition(selected, size)
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
        seen = tf.reshape(seen, [batch, num_frames, *grid, self.features])
        count = _size(state["box"], 1)
        first = tf.cast(state["frame"], tf.int32)
        wheels = self.weight(inputs, "training_wheels") if training else None
        noise = None
        if training or self.sample_in_evaluation:
            noise = self._noise(inputs, first, num_frames, 2 * count + cells)
        geometry = self.geometry(inputs, batch)
        places = self._grid_places(grid)

        def step(t, carry):
            number = first + t
            drawn = _frame_noise(noise, t, count)
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
            return self._step(frame, carry, drawn)

        carry = {n: v for n, v in state.items() if n != "frame"}
        carry, records = scan_frames(step, num_frames, carry, _RECORDS)
        return records, {**carry, "frame": first + num_frames}

    def _noise(self, inputs, first, num_frames, num_objects):
        """Noise of all frames, `[B, T, n, D]` and `[B, T, n + 1]`."""
        seeds = base.clip_seeds(inputs)
        noise = FrameNoise(seeds, first + tf.range(num_frames))
        lead = [tf.shape(seeds)[0], num_frames]
        width = 5 + self.what_dim
        normal = noise.normal(_NORMAL, (num_objects * width,))
        uniform = noise.uniform(_UNIFORM, (num_objects + 1,))
        return {
            "normal": tf.reshape(normal, [*lead, num_objects, width]),
            "uniform": tf.reshape(uniform, [*lead, num_objects + 1]),
        }

    def _grid_places(self, grid):
        """Centres of cells in anchors, `[1, Hg Wg, 2]`."""
        rows, columns = np.meshgrid(*map(np.arange, grid), indexing="ij")
        centres = np.stack([rows.ravel(), columns.ravel()], axis=-1) + 0.5
        centres = centres * self.backbone.cell / np.array(self.anchor)
        return tf.constant(centres[None], tf.float32)

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
        expected, prior = self.prior(
            before,
            self._known(before, "prior_hidden"),
            noise=noise["expected"],
            training_wheels=wheels,
        )
        going = {**kept, "prior_hidden": expected["prior_hidden"]}
        driven = frame["is_driven"]
        if driven is not None:
            going = {
                n: tf.where(driven, expected[n], going[n])
                if n not in ("hidden", "prior_hidden")
                else going[n]
                for n in going
            }
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
        tracks = self._tracks(carry, chosen["presence"], is_new)
        records = {
            "propagated": [
                *(posterior[n] for n in ("mean", "deviation")),
                *(prior[n] for n in ("mean", "deviation")),
                posterior["logit"],
                posterior["sample"],
                prior["logit"],
                kept["presence"],
            ],
            "discovered": [
                *(found[n] for n in ("mean", "deviation", "logit")),
                new["presence"],
            ],
            "selected": [
                *(chosen[n] for n in _SELECTED),
                tf.cast(source, tf.float32)[..., None],
                tf.cast(tracks.pop("shown"), tf.float32)[..., None],
            ],
        }
        records = {n: tf.concat(v, axis=-1) for n, v in records.items()}
        return {**chosen, **tracks}, records

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
        return self.pair_attention(places, places, features, known, weights)

    def _known_on_grid(self, objects, places, seen):
        """What cells know of propagated objects: as `seen`."""
        features = object_record.features(
            objects, "hidden", self.propagation.use_position
        )
        weights = objects["used"] if self.mask_empty_slots else None
        known = self.grid_attention(
            places, objects["box"][..., :2], features, None, weights
        )
        return tf.reshape(known, tf.shape(seen))

    def _overflow(self, selected, size):
        """Cells and objects that saw too few neighbours, per frame, `[B]`."""
        objects = _merge(selected["box"])[..., :2]
        grid = self._grid_places(self.backbone.grid(size))
        grid = tf.tile(grid, [tf.shape(objects)[0], 1, 1])
        over = self.grid_attention.overflow(grid, objects)
        if self.pair_attention is not None:
            over += self.pair_attention.overflow(objects, objects)
        return tf.reduce_mean(_unmerge(over, selected["box"]), axis=1)

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

    def _tracks(self, carry, presence, is_new):
        """Numbers of tracks; a new object that is present gets the next."""
        is_present = presence[..., 0] > PRESENT
        starts = tf.cast(is_new & is_present, tf.int32)
        fresh = carry["last_id"][:, None] + tf.cumsum(starts, axis=1)
        ids = tf.where(is_new, fresh * starts, carry["track_ids"])
        # A single slot would lose its shape to broadcasting.
        ids = tf.ensure_shape(ids, carry["track_ids"].shape)
        return {
            "track_ids": ids,
            "last_id": carry["last_id"] + tf.reduce_sum(starts, axis=1),
            "shown": tf.where(is_present, ids, 0),
        }

    # ---- the objective -----------------------------------------------------

    def _split(self, records, name):
        """Parts of a record, by name, `[B, T, n, ...]`."""
        width = 5 + self.what_dim
        layout = {
            "propagated": {
                "mean": width,
                "deviation": width,
                "prior_mean": width,
                "prior_deviation": width,
                "logit": 1,
                "sample": 1,
                "prior_logit": 1,
                "presence": 1,
            },
            "discovered": {
                "mean": width,
                "deviation": width,
                "logit": 1,
                "presence": 1,
            },
            "selected": {
                "box": 4,
                "what": self.what_dim,
                "depth": 1,
                "presence": 1,
                "source": 1,
                "track_ids": 1,
            },
        }[name]
        parts = tf.split(records[name], list(layout.values()), axis=-1)
        return dict(zip(layout, parts))

    def _selected(self, records):
        return self._split(records, "selected")

    def static_priors(self):
        """`(mean, log-variance)` of discovery and of propagation.

        Of where (4), what (A) and depth (1), each `[4 + A + 1]`.
        """
        size = [self.size_mean] * 2
        zeros = [0.0] * (self.what_dim + 1)
        discovery = (
            [0.0, 0.0, *size, *zeros],
            [1.0, 1.0, *[self.size_deviation] * 2, *[1.0] * len(zeros)],
        )
        change = [self.what_deviation] * self.what_dim + [1.0]
        is_absolute = self.propagation.size_prior == "absolute"
        by_size = self.size_deviation if is_absolute else self.move_deviation
        propagation = (
            [0.0, 0.0, *(size if is_absolute else [0.0, 0.0]), *zeros],
            [*[self.move_deviation] * 2, by_size, by_size, *change],
        )
        return tuple(
            (np.float32(mean), np.float32(2.0 * np.log(deviation)))
            for mean, deviation in (discovery, propagation)
        )

    def _static_kl(self, found, prior):
        return gaussians.kl_terms(_parameters(found), *prior)

    def _divergences(self, inputs, records):
        """The KL terms, nats per clip, `[B]` each."""
        kept = self._split(records, "propagated")
        new = self._split(records, "discovered")
        of_new, of_kept = self.static_priors()
        learned = gaussians.kl_terms(
            _parameters(kept),
            kept["prior_mean"],
            2.0 * tf.math.log(kept["prior_deviation"]),
        )
        terms = {
            "kl_discovery": new["presence"] * self._static_kl(new, of_new),
            "kl_propagation": kept["presence"] * self._static_kl(kept, of_kept),
            "kl_learned_prior": kept["presence"] * learned,
            "kl_count": self._count_kl(inputs, kept, new),
            "kl_presence_prior": concrete.sampled_kl(
                kept["sample"],
                kept["logit"],
                kept["prior_logit"],
                self.propagation.relaxation,
            ),
        }
        return {
            name: tf.reduce_sum(value, axis=[1, 2, 3])
            for name, value in terms.items()
        }

    def _count_kl(self, inputs, kept, new):
        """Of all presences from the prior on their number, `[B, T, N, 1]`."""
        presence = tf.concat([kept["presence"], new["presence"]], axis=2)
        logit = tf.concat([kept["logit"], new["logit"]], axis=2)
        is_on = tf.cast(presence[..., 0] > PRESENT, tf.float32)
        table = object_count.conditionals(
            _size(presence, 2), self.log_count_rate(inputs)
        )
        prior = object_count.prior_probs(is_on, table)
        return concrete.bernoulli_kl(logit, prior[..., None])

    def _latent_kl(self, records, selected):
        """KL of the appearance from its static prior, `[B, T, K + 1, A]`."""
        parts = [
            self._static_kl(self._split(records, name), prior)
            for name, prior in zip(
                ("propagated", "discovered"), self.static_priors()[::-1]
            )
        ]
        kl = tf.concat(parts, axis=2)[..., 4 : 4 + self.what_dim]
        source = tf.cast(selected["source"][..., 0], tf.int32)
        kl = tf.gather(kl, source, batch_dims=2)
        return _with_background(kl * selected["presence"])

    # ---- drawing -----------------------------------------------------------

    def _largest(self):
        return tuple(
            self.discovery.size_range[1] * side for side in self.anchor
        )

    def _merged(self, selected):
        """What the renderer reads, frames of all clips in one axis."""
        objects = {
            n: _merge(selected[n]) for n in ("what", "depth", "presence")
        }
        scale = tf.constant([*self.anchor] * 2, tf.float32)
        return {**objects, "boxes": _merge(selected["box"]) * scale}

    def _draw(self, selected, size):
        """`recon` `[B, T, H, W, C]`."""
        objects = self._merged(selected)
        batch = tf.shape(objects["boxes"])[0]
        recon = self.renderer(
            objects,
            self.background_picture(batch, size),
            largest=self._largest(),
        )
        return _unmerge(recon, selected["box"])

    def _decomposition(self, selected, size):
        """The rest of the contract, the background in slot 0."""
        objects = self._merged(selected)
        masks, placed = self.renderer.shares(objects, size)
        batch = tf.shape(masks)[0]
        # Rounding must leave the background no less than nothing.
        rest = tf.maximum(1.0 - tf.reduce_sum(masks, 1, keepdims=True), 0.0)
        blank = self.background_picture(batch, size)[:, None]
        masks = tf.concat([rest, masks], axis=1)
        components = tf.concat([blank, placed], axis=1)
        presence = selected["presence"]
        boxes = self._edges(selected["box"], size) * tf.cast(
            presence > 0.0, tf.float32
        )
        ids = tf.cast(selected["track_ids"][..., 0], tf.int32)
        return {
            "masks": _unmerge(masks, presence),
            "components": _unmerge(components, presence),
            "slots": _with_background(selected["what"]),
            "presence": _with_background(presence, 1.0)[..., 0],
            "boxes": _with_background(boxes),
            "track_ids": tf.pad(ids, [(0, 0), (0, 0), (1, 0)]),
        }

    def _edges(self, box, size=None):
        """Boxes in anchors -> `(ymin, xmin, ymax, xmax)` in pixels.

        Cut to the frame where its size is given.
        """
        anchor = tf.constant(self.anchor, tf.float32)
        centre, side = box[..., :2] * anchor, box[..., 2:] * anchor
        edges = tf.concat([centre - 0.5 * side, centre + 0.5 * side], -1)
        if size is None:
            return edges
        return tf.clip_by_value(
            edges, 0.0, tf.constant([*size] * 2, tf.float32)
        )

    # ---- beyond the observed frames ----------------------------------------

    def predict_frames(self, state, seed, num_frames, use_means=True):
        """Continues a video by the learned prior; nothing is discovered.

        Args:
            state: The `state` of an earlier output.
            seed: `[B, 2]`, the clip's seeds.
            num_frames: Number of frames to predict.
            use_means: Takes means in place of samples.

        Returns:
            A `Decomposition` of the predicted frames, with `state`.
        """
        first = tf.cast(state["frame"], tf.int32)
        count = _size(state["box"], 1)
        noise = None
        if not use_means:
            noise = self._noise(
                {"video": seed, "seed": seed}, first, num_frames, 2 * count
            )

        def step(t, carry):
            before = {n: carry[n] for n in self._fields()}
            expected, _ = self.prior(
                before,
                self._known(before, "prior_hidden"),
                noise=_frame_noise(noise, t, count)["expected"],
            )
            is_new = tf.zeros(tf.shape(carry["track_ids"]), tf.bool)
            tracks = self._tracks(carry, expected["presence"], is_new)
            shown = tf.cast(tracks.pop("shown"), tf.float32)[..., None]
            parts = [*(expected[n] for n in _SELECTED), 0.0 * shown, shown]
            record = {"selected": tf.concat(parts, axis=-1)}
            return {**expected, **tracks}, record

        carry = {n: v for n, v in state.items() if n != "frame"}
        carry, records = scan_frames(step, num_frames, carry, ["selected"])
        selected = self._selected(records)
        return {
            "recon": self._draw(selected, self.image_size),
            **self._decomposition(selected, self.image_size),
            "state": {**carry, "frame": first + num_frames},
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
        return self.predict_frames(
            state, base.clip_seeds(inputs), num_frames, **options
        )

    def encode(self, inputs, num_slots=None):
        """What `decode` draws.

        Returns:
            `slots` `[B, T, K + 1, A]` appearances, `boxes` `[B, T, K + 1, 4]`
            edges in pixels, not cut to the frame, `depth` and `presence`
            `[B, T, K + 1]`; slot 0 is the background.
        """
        self.check_video(inputs["video"])
        video = base.as_float(tf.convert_to_tensor(inputs["video"]))
        state = self._start(inputs, num_slots)
        records, _ = self._scan(inputs, video, state, False, None)
        selected = self._selected(records)
        return {
            "slots": _with_background(selected["what"]),
            "boxes": _with_background(self._edges(selected["box"])),
            "depth": _with_background(selected["depth"])[..., 0],
            "presence": _with_background(selected["presence"], 1.0)[..., 0],
        }

    def decode(self, slots, boxes, depth, presence):
        """Draws scenes.

        Args:
            slots: Appearances `[N, K + 1, A]`; slot 0, the background, is
                not read, here and below.
            boxes: `[N, K + 1, 4]`, edges in pixels.
            depth: `[N, K + 1]` in (0, 1).
            presence: `[N, K + 1]` in [0, 1].

        Returns:
            `recon`, `masks`, `components`, by frame.
        """
        low, high = boxes[:, 1:, :2], boxes[:, 1:, 2:]
        objects = {
            "what": slots[:, 1:],
            "depth": depth[:, 1:, None],
            "presence": presence[:, 1:, None],
            "boxes": tf.concat([0.5 * (low + high), high - low], axis=-1),
        }
        batch = tf.shape(slots)[0]
        background = self.background_picture(batch, self.image_size)
        masks, placed = self.renderer.shares(objects, self.image_size)
        rest = tf.maximum(1.0 - tf.reduce_sum(masks, 1, keepdims=True), 0.0)
        return {
            "recon": self.renderer(
                objects, background, largest=self._largest()
            ),
            "masks": tf.concat([rest, masks], axis=1),
            "components": tf.concat([background[:, None], placed], axis=1),
        }

    def traverse(self, inputs, slot, dims=None, values=None):
        """Sweeps the appearance of one object in the last frame.

        Args:
            inputs: As for `call`.
            slot: Slot of the object, from 1; 0 is the background.
            dims: Dimensions of the appearance; all of them by default.
            values: Values to set; `linspace(-2, 2, 7)` by default.

        Returns:
            `[B, len(dims), len(values), H, W, C]`.

        Raises:
            ValueError: If there is no such object.
        """
        if not 1 <= slot < self.num_slots:
            raise ValueError(
                f"objects have the slots 1...{self.num_slots - 1}, got {slot}; "
                "slot 0 is the background, which has no appearance"
            )
        values = np.linspace(-2, 2, 7) if values is None else values
        dims = range(self.what_dim) if dims is None else dims
        scene = {n: v[:, -1] for n, v in self.encode(inputs).items()}
        rows = []
        for dim in dims:
            chosen = np.zeros([self.num_slots, self.what_dim], bool)
            chosen[slot, dim] = True
            swept = [
                self.decode(
                    **{
                        **scene,
                        "slots": tf.where(chosen, float(v), scene["slots"]),
                    }
                )["recon"]
                for v in values
            ]
            rows.append(tf.stack(swept, axis=1))
        return tf.stack(rows, axis=1)


def _pair(value):
    return (value,) * 2 if isinstance(value, (int, float)) else tuple(value)


def _size(value, axis):
    """A number where the shape is static, a scalar elsewhere."""
    size = value.shape[axis]
    return tf.shape(value)[axis] if size is None else size


def _parameters(found):
    """Mean and log-variance, as `distributions.gaussians` reads them."""
    return tf.concat(
        [found["mean"], 2.0 * tf.math.log(found["deviation"])], axis=-1
    )


def _frame_noise(noise, t, count):
    """The noise of a frame, for each of its users; None for none."""
    users = {"propagated": 0, "expected": count, "discovered": 2 * count}
    if noise is None:
        return dict.fromkeys([*users, "dropout"])
    normal = tf.gather(noise["normal"], t, axis=1)
    uniform = tf.gather(noise["uniform"], t, axis=1)
    last = tf.shape(normal)[1]
    drawn = {"dropout": uniform[:, -1]}
    for name, begin in users.items():
        end = last if name == "discovered" else begin + count
        drawn[name] = {
            "normal": normal[:, begin:end],
            "uniform": uniform[:, begin:end, None],
        }
    return drawn


def _with_background(values, fill=0.0):
    """`[B, T, K, D]` -> `[B, T, K + 1, D]`, slot 0 filled."""
    return tf.pad(
        values, [(0, 0), (0, 0), (1, 0), (0, 0)], constant_values=fill
    )


def _merge(values):
    """`[B, T, ...]` -> `[B * T, ...]`."""
    shape = tf.concat([[-1], tf.shape(values)[2:]], axis=0)
    return tf.ensure_shape(tf.reshape(values, shape), [None, *values.shape[2:]])


def _unmerge(values, like):
    """`[B * T, ...]` -> `[B, T, ...]`, as `like` has them."""
    tail = values.shape[1:]
    shape = tf.concat([tf.shape(like)[:2], tf.shape(values)[1:]], axis=0)
    return tf.ensure_shape(tf.reshape(values, shape), [*like.shape[:2], *tail])
