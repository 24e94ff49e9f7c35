"""SQAIR from frame to frame: who stays, who is new, who is whose.

    kept = propagate(state_{t-1}, x_t)          one after the other
    new = discover(x_t, kept)                   one after the other
    state_t = those present of both, in this order

Every clip is read by several particles, row `b S + s`. Where frames end the
learned prior propagates, and nothing is discovered.
"""

import tensorflow as tf

from tfdecomp.distributions import particles
from tfdecomp.distributions.gaussians import DiagonalGaussian
from tfdecomp.layers.tracks.slot_networks import decide
from tfdecomp.models import base
from tfdecomp.models.iterative import check_slots
from tfdecomp.models.parts.frames import (
    FrameNoise,
    known_size,
    scan_frames,
)
from tfdecomp.models.parts.object_scenes import with_background
from tfdecomp.models.parts.sqair_pictures import DrawnSlots
from tfdecomp.ops import frame_records, object_record, track_numbers
from tfdecomp.ops.sprites import WHERE

READ, PREDICTED = 0, 2  # purposes of a frame's normal noise; uniform follows
# Frames up to which a clip is no loop: what a loop costs is a large part of a
# short clip, and no graph grows with longer ones.
WRITTEN_OUT = 4
NAMES = ("kept", "new", "selected")


def layouts(what_dim) -> dict:
    """Record -> part -> size of its last axis; see `ops.frame_records`."""
    width = WHERE + what_dim
    drawn = {"mean": width, "deviation": width, "value": width, "logit": 1}
    chosen = {"active": 1, "presence": 1}
    prior = {"prior_mean": width, "prior_deviation": width, "prior_logit": 1}
    return {
        "kept": {**drawn, **chosen, **prior},
        "new": {**drawn, **chosen},
        "selected": {
            "where": WHERE,
            "what": what_dim,
            "presence": 1,
            "confidence": 1,
            "source": 1,
            "track_ids": 1,
        },
    }


class SlotNoise:
    """Noise of each particle's slots, frame by frame.

    Args:
        seeds: `[B, 2]` int32, one per clip.
        first: Number of the clip's first frame in the whole video.
        num_frames: `T`.
        count: `S`, particles; one's noise does not depend on how many.
        slots: Slots of a particle, possibly a tensor.
        width: Normal variables of a slot.
        purpose: Of the normal noise.
    """

    def __init__(self, seeds, first, num_frames, count, slots, width, purpose):
        noise = FrameNoise(seeds, first + tf.range(num_frames))
        lead = [known_size(seeds, 0), num_frames, count, slots]
        normal = noise.normal(purpose, (count * slots * width,))
        uniform = noise.uniform(purpose + 1, (count * slots,))
        self.normal = tf.reshape(normal, [*lead, width])
        self.uniform = tf.reshape(uniform, [*lead, 1])

    def __call__(self, t):
        """Of the clip's frame t: `[B S, slots, ...]`."""
        return {
            name: self._merged(tf.gather(value, t, axis=1))
            for name, value in (
                ("normal", self.normal),
                ("uniform", self.uniform),
            )
        }

    def _merged(self, value):
        """`[B, S, slots, D]` -> `[B S, slots, D]`."""
        batch, count, slots = (known_size(value, axis) for axis in range(3))
        rows = -1 if tf.is_tensor(batch) else batch * count
        return tf.reshape(value, [rows, slots, value.shape[3]])


class FollowedSlots(base.Predicting, DrawnSlots):
    """Follows objects from frame to frame; `SQAIR` brings parts and losses."""

    # ---- a clip ------------------------------------------------------------

    def start(self, inputs, num_slots=None):
        """The state before the first frame, by clip."""
        state = inputs.get("state")
        if state is not None:
            return {**state, "frame": tf.cast(state["frame"], tf.int32)}
        count = check_slots(num_slots, self.num_slots) - 1
        batch = known_size(inputs["video"], 0)
        sizes = {
            "what": self.what_dim,
            "where": WHERE,
            "presence": 1,
            "hidden": self.units,
            "prior_hidden": self.prior.units,
        }
        return {
            **{n: tf.zeros([batch, count, size]) for n, size in sizes.items()},
            "track_ids": tf.zeros([batch, count], tf.int32),
            "last_id": tf.zeros([batch], tf.int32),
            "frame": tf.cast(inputs.get("first_frame", 0), tf.int32),
        }

    def scan(self, inputs, video, state, count, is_sampled):
        """Runs over frames.

        Args:
            inputs: Of `call`.
            video: `[B, T, H, W, C]` float32.
            state: Before the first frame, by clip.
            count: `S`.
            is_sampled: Whether samples are drawn, or means taken.

        Returns:
            `(records, state)`, of each particle; `records` by name are parts
            by name, `[B S, T, K, D]`.
        """
        first, num_frames = state["frame"], known_size(video, 1)
        slots = known_size(state["what"], 1)
        codes = self.codes(video)
        noise = _nothing
        if is_sampled:
            width = WHERE + self.what_dim
            seeds = base.clip_seeds(inputs)
            noise = SlotNoise(
                seeds, first, num_frames, count, 2 * slots, width, READ
            )
        carry = {n: v for n, v in state.items() if n != "frame"}
        carry = {n: particles.spread(v, count) for n, v in carry.items()}
        told = self._told(inputs, count)
        is_new = inputs.get("state") is None

        def step(t, carry):
            picture = tf.stop_gradient(tf.gather(video, t, axis=1))
            frame = {
                "picture": particles.spread(picture, count),
                "code": particles.spread(tf.gather(codes, t, axis=1), count),
                "given": None,
                # Known while a graph is made: there is nothing to follow.
                "is_first": is_new and isinstance(t, int) and t == 0,
            }
            if told is not None:
                frame["given"] = tf.where(first + t > 0, 0.0 * told, told)
            return self._step(frame, _sized(carry, slots), noise(t))

        carry, packed = _run(step, num_frames, carry)
        return self.unpacked(packed), {**carry, "frame": first + num_frames}

    def codes(self, video):
        """What whole frames tell, `[B, T, E]` float32."""
        flat = tf.reshape(video, [-1, *video.shape[2:]])
        codes = tf.cast(self.image_encoder(flat), tf.float32)
        frames = [known_size(video, axis) for axis in range(2)]
        return tf.reshape(codes, [*frames, self.code_size])

    def _told(self, inputs, count):
        """How many objects there are, `[B S]`, where the model is told."""
        if not self.fixed_presence:
            return None
        number = inputs.get("num_objects")
        if number is None:
            raise ValueError(
                "fixed_presence=True reads inputs['num_objects'], [B], how "
                "many objects there are, which is not there; give it, or "
                "build the model with fixed_presence=False"
            )
        return particles.spread(tf.cast(number, tf.float32), count)

    # ---- a frame -----------------------------------------------------------

    def _step(self, frame, carry, noise):
        """One frame: `(carry, records)`."""
        names = ("what", "where", "presence", "hidden", "prior_hidden")
        before = {name: carry[name] for name in names}
        own, found = _halves(noise)

        def look(where, mask=None):
            return self.glimpse_encoder(frame["picture"], where, weights=mask)

        if frame["is_first"] or not self.propagate:
            kept, by_kept, prior = _nobody(before)
        else:
            kept, by_kept = self.propagation(
                {n: before[n] for n in names[:-1]},
                look=look,
                noise=own,
                keeps_all=self.fixed_presence,
            )
            kept["prior_hidden"], prior = self.prior(before)
        new, by_new = self.discovery(
            frame["code"], kept, look=look, noise=found, given=frame["given"]
        )
        new["prior_hidden"] = tf.zeros_like(kept["prior_hidden"])
        for group, told in ((kept, by_kept), (new, by_new)):
            group["confidence"] = tf.sigmoid(told["logit"])
        ids = tf.cast(carry["track_ids"], tf.float32)[..., None]
        kept["track_ids"], new["track_ids"] = ids, tf.zeros_like(ids)
        chosen, source = present_first(kept, new)
        ids, last, shown = track_numbers.give(
            tf.cast(tf.round(chosen.pop("track_ids")[..., 0]), tf.int32),
            carry["last_id"],
            chosen["presence"][..., 0] > 0.5,
            source >= tf.shape(ids)[1],
        )
        told = {f"prior_{name}": value for name, value in prior.items()}
        records = {
            "kept": {**by_kept, **told, "presence": kept["presence"]},
            "new": {**by_new, "presence": new["presence"]},
            "selected": {
                **chosen,
                "source": source[..., None],
                "track_ids": shown[..., None],
            },
        }
        after = {name: chosen[name] for name in names}
        tracks = {"track_ids": ids, "last_id": last}
        return {**after, **tracks}, self.packed(records)

    def packed(self, records):
        """Records as a loop over frames keeps them."""
        return {
            name: frame_records.pack(parts, self.layouts[name])
            for name, parts in records.items()
        }

    def unpacked(self, packed):
        """Inverse of `packed`."""
        return {
            name: frame_records.unpack(values, self.layouts[name])
            for name, values in packed.items()
        }

    # ---- beyond the observed frames ----------------------------------------

    def predict_frames(self, state, seed, num_frames, use_means=None):
        """Continues a video by the learned prior; nothing is discovered.

        Args:
            state: The `state` of an earlier output.
            seed: `[B, 2]`, the clip's seeds.
            num_frames: Number of frames to predict.
            use_means: Takes means and likelier choices in place of samples;
                by default unless `sample_in_evaluation`.

        Returns:
            A `Decomposition` of the predicted frames, with `state`.
        """
        if use_means is None:
            use_means = not self.sample_in_evaluation
        first, slots = (
            tf.cast(state["frame"], tf.int32),
            known_size(state["what"], 1),
        )
        noise = _nothing
        if not use_means:
            seeds, width = tf.cast(seed, tf.int32), WHERE + self.what_dim
            noise = SlotNoise(
                seeds, first, num_frames, 1, slots, width, PREDICTED
            )

        def step(t, carry):
            after = self._expect(_sized(carry, slots), noise(t))
            here = {**after, "source": 0.0 * after["presence"]}
            is_there = after["presence"][..., 0] > 0.5
            shown = tf.where(is_there, after["track_ids"], 0)
            here["track_ids"] = shown[..., None]
            after.pop("confidence")
            return after, self.packed({"selected": here})

        carry = {n: v for n, v in state.items() if n != "frame"}
        carry, packed = scan_frames(step, num_frames, carry, ["selected"])
        selected = self.unpacked(packed)["selected"]
        return {
            **self.shown(selected),
            "slots": with_background(selected["what"]),
            "recon": tf.clip_by_value(self.draw(selected), 0.0, 1.0),
            "state": {**carry, "frame": first + num_frames},
        }

    def _expect(self, carry, noise):
        """A frame that nobody saw, by the prior."""
        state, told = self.prior(carry)
        value = told["mean"]
        if noise is not None:
            normal = DiagonalGaussian.of_deviation(value, told["deviation"])
            value = normal.from_noise(noise["normal"])
        stays = decide(told["logit"], noise and noise["uniform"])
        if self.fixed_presence:
            stays = tf.ones_like(stays)
        return {
            **carry,
            "where": value[..., :WHERE],
            "what": value[..., WHERE:],
            "presence": carry["presence"] * stays,
            "prior_hidden": state,
            "confidence": tf.sigmoid(told["logit"]),
        }


def present_first(kept, new):
    """Those present of both, known ones first, in as many slots.

    Args:
        kept: Parts `[N, K, D]`, `presence` `[N, K, 1]` among them.
        new: The same.

    Returns:
        `(chosen, source)`: parts `[N, K, D]`, zero where nothing is, and which
        of the `2 K` each was, `[N, K]` int32.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.models.parts.sqair_frames import present_first
        >>> kept = {"presence": tf.constant([[[0.0], [1.0]]])}
        >>> new = {"presence": tf.constant([[[1.0], [0.0]]])}
        >>> present_first(kept, new)[1].numpy()
        array([[1, 2]], dtype=int32)
    """
    names = list(kept)
    both = object_record.join(kept, {name: new[name] for name in names})
    count = tf.shape(kept["presence"])[1]
    # Equal values keep their order.
    order = tf.argsort(both["presence"][..., 0], direction="DESCENDING")
    source = tf.ensure_shape(order[:, :count], kept["presence"].shape[:2])
    chosen = object_record.take(both, source)
    is_there = chosen["presence"]
    return {n: value * is_there for n, value in chosen.items()}, source


def _sized(carry, slots):
    """Says how many slots there are, which a loop forgets."""
    if tf.is_tensor(slots):
        return carry
    return {
        name: value
        if value.shape.rank < 2
        else tf.ensure_shape(value, [value.shape[0], slots, *value.shape[2:]])
        for name, value in carry.items()
    }


def _run(step, num_frames, carry):
    """Runs over frames: `(carry, records)`, the latter `[N, T, ...]`."""
    if tf.is_tensor(num_frames) or num_frames > WRITTEN_OUT:
        return scan_frames(step, num_frames, carry, NAMES, keeps_shapes=True)
    found = []
    for t in range(num_frames):
        carry, records = step(t, carry)
        found.append(records)
    return carry, {n: tf.stack([r[n] for r in found], 1) for n in NAMES}


def _nobody(before):
    """What is known of no objects: `(kept, posterior, prior)`."""
    there = tf.zeros_like(before["presence"])
    both = tf.concat([before["where"], before["what"]], axis=-1)
    nothing, one = tf.zeros_like(both), tf.ones_like(both)
    prior = {"mean": nothing, "deviation": one, "logit": there}
    return (
        {**before, "presence": there},
        {**prior, "value": nothing, "active": there},
        prior,
    )


def _nothing(t):
    """No noise, for means."""
    del t


def _halves(noise):
    """Noise of known slots and of new ones."""
    if noise is None:
        return None, None
    halves = {n: tf.split(value, 2, axis=1) for n, value in noise.items()}
    return tuple({n: halves[n][i] for n in halves} for i in range(2))
