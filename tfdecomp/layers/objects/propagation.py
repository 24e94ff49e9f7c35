"""Known objects in the next frame: seen there, or only expected."""

import gin
import keras
import tensorflow as tf

from tfdecomp.distributions.concrete import BinaryConcrete
from tfdecomp.layers.mlp import MLP
from tfdecomp.layers.objects import object_latents
from tfdecomp.ops import object_record as records
from tfdecomp.ops import spatial_transformer

SIZE_PRIORS = ("absolute", "change")
PLACES = ("variables", "box")
STARTS = ("keras", "sonnet")
_GATES = ("update", "reset", "candidate")  # in the order of Keras
GATE_LIMIT = 0.9999  # keeps the spread of what is drawn above zero
GLIMPSE_STEP = 0.1  # of the first glimpse's change of place and size


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class Propagation(keras.layers.Layer):
    """SILOT's propagation, or its learned prior.

    Two glimpses, where, what, depth and presence follow each other; then a
    recurrent network takes note. The prior is the same without pictures: what
    glimpses would tell is zero.

    Args:
        is_prior: Whether this is the learned prior, which sees no frame.
        prune: Leaves out the networks of glimpses, which a prior never feeds
            anything.
        channels: Colour channels, `C`.
        what_dim: Length of an appearance, `A`.
        units: `D`, size of the recurrent state.
        features: Width of what attention tells.
        hidden: Hidden widths of the heads.
        glimpse_size: Side of a glimpse in samples, `G`.
        glimpse_hidden: Hidden widths of the encoders of glimpses.
        glimpse_units: Width of their output.
        move_scale: Largest change of a centre, in anchors.
        size_range: Smallest and largest side, in anchors.
        presence_temperature: Divides the logit of presence.
        relaxation: Temperature of the relaxed Bernoulli variable.
        use_position: Whether networks see the place in the scene.
        size_prior: What the static prior is of: the `"absolute"` logits of
            size, or their `"change"`.
        glimpse_align: Where a glimpse's samples lie: `"corners"`, as published,
            or `"half_pixel"`; see `ops.spatial_transformer`.
        initial_keep: Bias of the logit of presence.
        recurrent_start: How the recurrent network begins: as `"keras"` has it
            or, as in the authors' code, as `"sonnet"` has it, with kernels
            and biases of each gate by themselves as Glorot has them.
        where_input: What later heads and the recurrent network see of where:
            as in the authors' code the `"variables"` that were drawn, or as
            in the paper the `"box"`, its centre in the scene and its sides.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        objects: A record (see `ops.object_record`) of `K` objects.
        known: Features of attention, `[B, K, features]`.
        frame: `[B, H, W, C]`; None for the prior.
        geometry: See `layers.Discovery`.
        noise: `normal` `[B, K, 4 + A + 1]` and `uniform` `[B, K, 1]`, or None
            for means.
        training_wheels: 1 keeps gradients from where, depth and presence.
        given: What was drawn by another module for the same objects, as it
            returns it under `drawn`; taken in place of drawing.

    Returns:
        `(objects, distribution)`: the record after this frame, where the
        state stands under `hidden` or `prior_hidden`; and `mean`, `deviation`
        `[B, K, 4 + A + 1]` of where, what and depth, and `logit`, `sample`
        `[B, K, 1]` of staying present, before the logistic function. Means of
        what and depth are of their change. `drawn` has what was drawn, by the
        name of the variable.

    Raises:
        ValueError: If `size_prior`, `where_input` or `recurrent_start` is
            unknown, or what sees frames is pruned.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.objects.propagation import Propagation
        >>> from tfdecomp.ops import object_record
        >>> objects = object_record.null(batch=1, count=5, what_dim=8, units=16)
        >>> prior = Propagation(is_prior=True, prune=True, what_dim=8, units=16)
        >>> later, _ = prior(objects, known=tf.zeros([1, 5, 64]))
        >>> later["box"].shape
        TensorShape([1, 5, 4])

    References:
        Crawford and Pineau, SILOT. AAAI 2020, sections 3.4 and 3.8,
        supplement A.1; the update of what is that of Kosiorek et al., SQAIR.
        NeurIPS 2018.
    """

    def __init__(
        self,
        is_prior=False,
        prune=False,
        channels=3,
        what_dim=64,
        units=128,
        features=64,
        hidden=(100, 100),
        glimpse_size=14,
        glimpse_hidden=(256, 128),
        glimpse_units=64,
        move_scale=1.0,
        size_range=(0.0, 1.0),
        presence_temperature=1.0,
        relaxation=1.0,
        use_position=True,
        size_prior="absolute",
        glimpse_align="corners",
        initial_keep=0.0,
        where_input="variables",
        recurrent_start="keras",
        **kwargs,
    ):
        # Places and likelihoods are float32 under any policy.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        for name, value, known in (
            ("size_prior", size_prior, SIZE_PRIORS),
            ("where_input", where_input, PLACES),
            ("recurrent_start", recurrent_start, STARTS),
        ):
            if value not in known:
                raise ValueError(
                    f"{name} must be one of {known}, got {value!r}"
                )
        if prune and not is_prior:
            raise ValueError(
                "only a prior can be pruned: what sees frames needs glimpses; "
                "set is_prior=True or prune=False"
            )
        self.is_prior = is_prior
        self.prune = prune
        self.channels = channels
        self.what_dim = what_dim
        self.units = units
        self.features = features
        self.hidden = tuple(hidden)
        self.glimpse_size = glimpse_size
        self.glimpse_hidden = tuple(glimpse_hidden)
        self.glimpse_units = glimpse_units
        self.move_scale = move_scale
        self.size_range = tuple(size_range)
        self.presence_temperature = presence_temperature
        self.relaxation = relaxation
        self.use_position = use_position
        self.size_prior = size_prior
        self.glimpse_align = glimpse_align
        self.initial_keep = initial_keep
        self.where_input = where_input
        self.recurrent_start = recurrent_start
        base = features + 2
        area = glimpse_size**2
        where = 4 if where_input == "variables" else 2
        where += 2 * use_position
        seen = base + where + glimpse_units
        self.inputs = {
            "where": base + glimpse_units,
            "what_seen": glimpse_units,
            "what_kept": seen,
            "depth": seen + what_dim,
            "presence": seen + what_dim + 1,
        }
        outputs = {
            "where": 8,
            "what_seen": 2 * what_dim,
            "what_kept": 5 * what_dim,
            "depth": 2,
            "presence": 1,
        }
        self.heads = {
            name: self._mlp(self.hidden, width, name)
            for name, width in outputs.items()
        }
        if not prune:
            self.glimpse = self._mlp(self.hidden, 4 + 2 * area, "glimpse")
            self.encoders = [
                self._mlp(self.glimpse_hidden, glimpse_units, f"encoder_{i}")
                for i in (0, 1)
            ]
        self.cell = keras.layers.GRUCell(
            units, reset_after=False, dtype="float32", name="cell"
        )
        self.cell_width = where + what_dim + 2

    def _mlp(self, hidden, units, name):
        return MLP(hidden, units, dtype="float32", name=name)

    def build(self, objects_shape=None):
        """Creates the weights; no shape is needed."""
        for name, head in self.heads.items():
            head.build((None, self.inputs[name]))
        bias = self.heads["presence"].biases[-1]
        bias.assign(tf.fill(bias.shape, float(self.initial_keep)))
        if not self.prune:
            self.glimpse.build((None, self.features + 2))
            for encoder in self.encoders:
                encoder.build((None, self.glimpse_size**2 * self.channels))
        self.cell.build((None, self.cell_width))
        if self.recurrent_start == "sonnet":
            self._start_gates()
        self.built = True

    def _start_gates(self):
        """Draws kernels and biases of each gate as if it were alone."""
        for weight in self.cell.trainable_variables:
            shape = (*weight.shape[:-1], self.units)
            # An initialiser that is called twice draws the same twice.
            gates = [keras.initializers.GlorotUniform()(shape) for _ in _GATES]
            weight.assign(tf.concat(gates, axis=-1))

    def call(
        self,
        objects,
        known,
        frame=None,
        geometry=None,
        noise=None,
        training_wheels=None,
        given=None,
    ):
        drawn = given or {}
        flag = tf.constant([0.0, 1.0] if self.is_prior else [1.0, 0.0])
        flag = tf.broadcast_to(
            flag, tf.concat([tf.shape(known)[:2], [2]], axis=0)
        )
        base = tf.concat([known, flag], axis=-1)
        noise = records.split_noise(noise, self.what_dim)
        # First glimpse, near where the object was.
        seen, mask = self._first_glimpse(base, objects["box"], frame, geometry)
        # Where.
        raw = self.heads["where"](tf.concat([base, seen], axis=-1))
        change = object_latents.normal(raw, training_wheels)
        before = tf.pad(objects["size_logit"], [(0, 0), (0, 0), (2, 0)])
        place = change.shifted(before)
        there = drawn.get("where")
        if there is None:
            there = place.draw(noise[0])
        move = self.move_scale * tf.tanh(there[..., :2])
        position = objects["position"] + move
        size = records.squash(there[..., 2:], self.size_range)
        box = tf.concat([objects["box"][..., :2] + move, size], axis=-1)
        where = there if self.where_input == "variables" else size
        if self.use_position:
            where = tf.concat([position, where], axis=-1)
        # Second glimpse, where it is now.
        seen = self._second_glimpse(known, box, mask, frame, geometry)
        # What.
        look = self._update_what(objects["what"], base, where, seen)
        what = drawn.get("what")
        if what is None:
            what = look.draw(noise[1])
        # Depth.
        raw = self.heads["depth"](tf.concat([base, where, what, seen], -1))
        nearer = object_latents.normal(raw, training_wheels)
        depth_logit = drawn.get("depth_logit")
        if depth_logit is None:
            depth_logit = objects["depth_logit"] + nearer.draw(noise[2])
        depth = records.squash(depth_logit)
        # Presence: an object may go, never come back.
        inputs = tf.concat([base, where, what, depth, seen], axis=-1)
        logit = records.bounded_logit(
            self.heads["presence"](inputs),
            self.presence_temperature,
            training_wheels,
        )
        sample = drawn.get("sample")
        if sample is None:
            stays = BinaryConcrete(logit, self.relaxation)
            sample = stays.from_noise(noise[3])
        presence = objects["presence"] * tf.sigmoid(sample)
        field = "prior_hidden" if self.is_prior else "hidden"
        state = self._recur(
            tf.concat([where, what, depth, presence], -1), objects[field]
        )
        after = {
            **objects,
            "box": box,
            "size_logit": there[..., 2:],
            "position": position,
            "what": what,
            "depth": depth,
            "depth_logit": depth_logit,
            "presence": presence,
            field: state,
        }
        # What the static prior is of: changes, but for absolute sizes.
        sized = place if self.size_prior == "absolute" else change
        looks = look.shifted(-objects["what"])
        mean, spread = object_latents.joined(sized, looks, nearer)
        return after, {
            "mean": mean,
            "deviation": spread,
            "logit": logit,
            "sample": sample,
            "drawn": {
                "where": there,
                "what": what,
                "depth_logit": depth_logit,
                "sample": sample,
            },
        }

    def _nothing(self, like):
        shape = tf.concat([tf.shape(like)[:2], [self.glimpse_units]], axis=0)
        return tf.ensure_shape(
            tf.zeros(shape), [*like.shape[:2], self.glimpse_units]
        )

    def _first_glimpse(self, base, box, frame, geometry):
        """`(what it tells [B, K, U], mask of the second one)`."""
        if frame is None:
            return self._nothing(base), None
        area = self.glimpse_size**2
        change, first, second = tf.split(
            self.glimpse(base), [4, area, area], axis=-1
        )
        box = box + GLIMPSE_STEP * change
        return self._look(0, frame, box, first, geometry), second

    def _second_glimpse(self, known, box, mask, frame, geometry):
        if frame is None:
            return self._nothing(known)
        return self._look(1, frame, box, mask, geometry)

    def _look(self, number, frame, box, mask, geometry):
        """Encodes a masked glimpse: `[B, K, U]`."""
        scale = tf.tile(geometry["anchor"], [2])
        cut = spatial_transformer.take_glimpses(
            frame, box * scale, (self.glimpse_size,) * 2, self.glimpse_align
        )
        side = self.glimpse_size
        lead = tf.shape(cut)[:2]
        mask = tf.sigmoid(mask + 1.0)
        mask = tf.reshape(mask, tf.concat([lead, [side, side, 1]], axis=0))
        size = side * side * self.channels
        flat = tf.reshape(cut * mask, tf.concat([lead, [size]], axis=0))
        flat = tf.ensure_shape(flat, [None, None, size])
        return self.encoders[number](flat)

    def _update_what(self, what, base, where, seen):
        """Between the old appearance and two new ones, by gates."""
        mean_seen, raw_seen = tf.split(
            self.heads["what_seen"](seen), 2, axis=-1
        )
        raw = self.heads["what_kept"](tf.concat([base, where, seen], axis=-1))
        mean_kept, raw_kept, *gates = tf.split(raw, 5, axis=-1)
        forget, take, turn = (
            GATE_LIMIT * tf.sigmoid(gate + 1.0) for gate in gates
        )
        mean = forget * what
        mean += (1.0 - take) * mean_seen + (1.0 - turn) * mean_kept
        spread = (1.0 - take) * records.deviation(raw_seen)
        spread += (1.0 - turn) * records.deviation(raw_kept)
        return object_latents.Normal(mean, spread)

    def _recur(self, inputs, state):
        shape = tf.shape(state)
        _, (after,) = self.cell(
            tf.reshape(inputs, [-1, self.cell_width]),
            [tf.reshape(state, [-1, self.units])],
        )
        return tf.ensure_shape(tf.reshape(after, shape), state.shape)

    def get_config(self):
        return {
            **super().get_config(),
            "is_prior": self.is_prior,
            "prune": self.prune,
            "channels": self.channels,
            "what_dim": self.what_dim,
            "units": self.units,
            "features": self.features,
            "hidden": self.hidden,
            "glimpse_size": self.glimpse_size,
            "glimpse_hidden": self.glimpse_hidden,
            "glimpse_units": self.glimpse_units,
            "move_scale": self.move_scale,
            "size_range": self.size_range,
            "presence_temperature": self.presence_temperature,
            "relaxation": self.relaxation,
            "use_position": self.use_position,
            "size_prior": self.size_prior,
            "glimpse_align": self.glimpse_align,
            "initial_keep": self.initial_keep,
            "where_input": self.where_input,
            "recurrent_start": self.recurrent_start,
        }
