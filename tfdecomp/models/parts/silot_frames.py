"""SILOT from frame to frame: who goes on, who is new, who stays whom.

    kept = propagate(state_{t-1}, x_t)
    new = discover(x_t, kept)
    state_t = the most present of both; those kept stay in their slots

Where frames end the learned prior propagates, and nothing is discovered.
"""

import functools

import tensorflow as tf

from tfdecomp.models import base
from tfdecomp.models.iterative import check_slots
from tfdecomp.models.parts import object_noise, object_scenes
from tfdecomp.models.parts.frames import known_size, scan_frames
from tfdecomp.models.parts.object_noise import ObjectNoise
from tfdecomp.models.parts.object_scenes import merge, unmerge
from tfdecomp.ops import frame_records, object_record, selection, track_numbers


class TrackedScenes(object_scenes.ObjectScenes):
    """Objects of one frame after the other; `SILOT` brings parts and losses."""

    @property
    def shows_places(self):
        """Whether others see an object's place in the scene."""
        is_shown = self.attention_position == "scene"
        return self.propagation.use_position and is_shown

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

    def _scan(self, inputs, video, state, training, prior_start):
        """Runs over frames: `(records, state)`."""
        batch, num_frames = tf.shape(video)[0], tf.shape(video)[1]
        grid = self.backbone.grid(video.shape[2:4])
        cells = grid[0] * grid[1]
        seen = self.backbone(tf.reshape(video, [-1, *video.shape[2:]]))
        width = self.backbone.features
        seen = tf.reshape(seen, [batch, num_frames, *grid, width])
        count = known_size(state["box"], 1)
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

    # ---- one frame -----------------------------------------------------------

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
        count = known_size(before["box"], 1)
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
        """Numbers of tracks to carry on, and to show, `[B, K, 1]`."""
        ids, last, shown = track_numbers.give(
            carry["track_ids"],
            carry["last_id"],
            presence[..., 0] > self.presence_threshold,
            is_new,
        )
        return {"track_ids": ids, "last_id": last}, shown[..., None]

    def _pack(self, records):
        return {
            name: frame_records.pack(parts, self._layouts[name])
            for name, parts in records.items()
        }

    def _split(self, records, name):
        """Parts of a record, by name, `[B, T, n, ...]`."""
        return frame_records.unpack(records[name], self._layouts[name])

    def _fields(self):
        return object_record.widths(self.what_dim, self.units)

    # ---- what objects and cells know of each other ---------------------------

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
        count = known_size(state["box"], 1)
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
