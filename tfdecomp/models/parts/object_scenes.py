"""Scenes of objects in boxes before a background, drawn and drawn again."""

import keras
import numpy as np
import tensorflow as tf

from tfdecomp.models import base
from tfdecomp.models.parts.frames import FrameNoise, clip_noise
from tfdecomp.ops import sprites

BACKGROUNDS = ("fixed", "learned", "given")
_CLIP, _MOVES = -1, 2  # purposes of a background's noise


class ObjectScenes(base.DecompositionModel):
    """Base of models whose objects have a box, an appearance and a depth.

    A subclass has the attributes `renderer` (`layers.ObjectRenderer`),
    `anchor` `(h, w)`, `largest_side` of a box in anchors, `image_size`,
    `channels`, `num_slots`, `what_dim`, `background` and `background_color`,
    and a method `encode`.
    """

    # ---- backgrounds -------------------------------------------------------

    def check_background(self):
        """Refuses what is no background."""
        is_layer = isinstance(self.background, keras.layers.Layer)
        if not is_layer and self.background not in BACKGROUNDS:
            raise ValueError(
                f"background must be one of {BACKGROUNDS} or a layer such as "
                f"@layers.ColorBackground(), got {self.background!r}"
            )

    def build_background(self):
        """Creates the weights of the background."""
        if self.background == "learned":
            self.background_logits = self.add_weight(
                shape=(self.channels,),
                initializer="zeros",
                dtype="float32",
                autocast=False,
                name="background_logits",
            )
        elif not isinstance(self.background, str):
            if not self.background.built:  # a reloaded child arrives built
                self.background.build()

    def background_picture(self, batch, image_size):
        """`[N, H, W, C]` of a background that is always the same."""
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

    @property
    def is_background_constant(self):
        """Whether the background is the same in all clips."""
        return self.background in ("fixed", "learned")

    def see_background(self, inputs, video, before, is_sampled):
        """The background of a clip.

        Args:
            inputs: Of `call`.
            video: `[B, T, H, W, C]` float32.
            before: The state before the clip.
            is_sampled: Whether latents are sampled.

        Returns:
            `(pictures [B T, H, W, C], terms, state)`: the latter two are
            empty unless there is a `kl_background` `[B]`, and a `background`
            to go on from.
        """
        shape, size = tf.shape(video)[:2], tuple(video.shape[2:4])
        if self.is_background_constant:
            batch = shape[0] * shape[1]
            return self.background_picture(batch, size), {}, {}
        state = before.get("background")
        if self.background == "given":
            pictures, state = self._given(inputs, video, state)
            terms = {}
        else:
            noise = None
            if is_sampled:
                first = tf.cast(before["frame"], tf.int32)
                seeds = base.clip_seeds(inputs)
                noise = self._background_noise(seeds, first, shape[1])
            pictures, kl, state = self.background(video, state, noise)
            terms = {"kl_background": kl}
        return merge(pictures), terms, {"background": state}

    def expect_background(self, state, seed, num_frames, size, is_sampled):
        """The background of frames that nobody saw; as `see_background`.

        Args:
            state: The state after the frames that were seen.
            seed: `[B, 2]`.
            num_frames: `T`.
            size: `(H, W)`.
            is_sampled: Whether latents are sampled.

        Returns:
            `(pictures [B T, H, W, C], state)`.
        """
        if self.is_background_constant:
            batch = tf.shape(state["box"])[0] * num_frames
            return self.background_picture(batch, size), {}
        after = state["background"]
        if self.background == "given":
            last = after["picture"]
            pictures = tf.repeat(last[:, None], num_frames, axis=1)
        else:
            noise = None
            if is_sampled:
                first = tf.cast(state["frame"], tf.int32)
                noise = self._background_noise(seed, first, num_frames)
            pictures, after = self.background.predict(
                after, num_frames, size, noise
            )
        return merge(pictures), {"background": after}

    def _given(self, inputs, video, state):
        given = inputs.get("background")
        if given is None and state is not None:
            given = state["picture"]
        if given is None:
            raise ValueError(
                "background='given' reads inputs['background'], pictures "
                "[B, H, W, C] or [B, T, H, W, C], which this dataset does not "
                "have; hand it out, or take background='fixed', 'learned' or "
                "@layers.ColorBackground()"
            )
        pictures = base.as_float(tf.convert_to_tensor(given))
        if pictures.shape.rank == 4:
            pictures = pictures[:, None]
        pictures = tf.broadcast_to(pictures, tf.shape(video))
        pictures = tf.ensure_shape(pictures, video.shape)
        return pictures, {"picture": pictures[:, -1]}

    def _background_noise(self, seeds, first, num_frames):
        """Of the clip, and of its frames where the background moves."""
        noise = {
            "clip": clip_noise(seeds, _CLIP, (self.background.clip_noise,))
        }
        width = self.background.frame_noise
        if width:
            frames = FrameNoise(seeds, first + tf.range(num_frames))
            drawn = frames.normal(_MOVES, (width,))
            noise["frames"] = tf.reshape(drawn, [-1, num_frames, width])
        return noise

    # ---- drawing -----------------------------------------------------------

    def _largest(self):
        return tuple(self.largest_side * side for side in self.anchor)

    def _merged(self, selected):
        """What the renderer reads, frames of all clips in one axis."""
        objects = {n: merge(selected[n]) for n in ("what", "depth", "presence")}
        scale = tf.constant([*self.anchor] * 2, tf.float32)
        return {**objects, "boxes": merge(selected["box"]) * scale}

    def _draw(self, selected, background):
        """`recon` `[B, T, H, W, C]` before pictures `[B T, H, W, C]`."""
        recon = self.renderer(
            self._merged(selected), background, largest=self._largest()
        )
        return unmerge(recon, selected["box"])

    def _shares(self, objects, background):
        """`(masks, components)` `[N, K + 1, H, W, ...]`, background first."""
        size = tuple(background.shape[1:3])
        masks, placed = self.renderer.shares(objects, size)
        # Rounding must leave the background no less than nothing.
        rest = tf.maximum(1.0 - tf.reduce_sum(masks, 1, keepdims=True), 0.0)
        return (
            tf.concat([rest, masks], axis=1),
            tf.concat([background[:, None], placed], axis=1),
        )

    def _decomposition(self, selected, background):
        """The rest of the contract, the background in slot 0."""
        masks, components = self._shares(self._merged(selected), background)
        presence = selected["presence"]
        size = tuple(background.shape[1:3])
        boxes = self._edges(selected["box"], size) * tf.cast(
            presence > 0.0, tf.float32
        )
        ids = tf.cast(selected["track_ids"][..., 0], tf.int32)
        return {
            "masks": unmerge(masks, presence),
            "components": unmerge(components, presence),
            "slots": with_background(selected["what"]),
            "presence": with_background(presence, 1.0)[..., 0],
            "boxes": with_background(boxes),
            "track_ids": tf.pad(ids, [(0, 0), (0, 0), (1, 0)]),
        }

    def _edges(self, box, size=None):
        """Boxes in anchors -> `(ymin, xmin, ymax, xmax)` in pixels.

        Cut to the frame where its size is given.
        """
        anchor = tf.constant([*self.anchor] * 2, tf.float32)
        edges = sprites.edges_of(box * anchor)
        if size is None:
            return edges
        return tf.clip_by_value(
            edges, 0.0, tf.constant([*size] * 2, tf.float32)
        )

    # ---- drawing again -----------------------------------------------------

    def decode(
        self, slots, boxes, depth, presence, background=None, image_size=None
    ):
        """Draws scenes.

        Args:
            slots: Appearances `[N, K + 1, A]`; slot 0, the background, is
                not read, here and below.
            boxes: `[N, K + 1, 4]`, edges in pixels.
            depth: `[N, K + 1]` in (0, 1).
            presence: `[N, K + 1]` in [0, 1].
            background: Pictures `[N, H, W, C]`; by default the model's, which
                those that differ from clip to clip have not.
            image_size: `(H, W)` where no background is given; by default that
                of training.

        Returns:
            `recon`, `masks`, `components`, by frame.

        Raises:
            ValueError: If a background is needed.
        """
        low, high = boxes[:, 1:, :2], boxes[:, 1:, 2:]
        objects = {
            "what": slots[:, 1:],
            "depth": depth[:, 1:, None],
            "presence": presence[:, 1:, None],
            "boxes": tf.concat([0.5 * (low + high), high - low], axis=-1),
        }
        if background is None:
            if not self.is_background_constant:
                raise ValueError(
                    "the background differs from clip to clip; give decode "
                    "the one that encode returned"
                )
            background = self.background_picture(
                tf.shape(slots)[0], tuple(image_size or self.image_size)
            )
        masks, components = self._shares(objects, background)
        return {
            "recon": self.renderer(
                objects, background, largest=self._largest()
            ),
            "masks": masks,
            "components": components,
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
        size = tuple(inputs["video"].shape[2:4])
        return sweep_objects(self, inputs, slot, dims, values, image_size=size)


def sweep_objects(model, inputs, slot, dims, values, **options):
    """Sweeps the appearance of one object in the last frame.

    Args:
        model: Has `encode`, `decode`, `num_slots` and `what_dim`; slot 0 is the
            background.
        inputs: As for `model.call`.
        slot: See `ObjectScenes.traverse`.
        dims: The same.
        values: The same.
        **options: Of `decode`.

    Returns:
        `[B, len(dims), len(values), H, W, C]`.

    Raises:
        ValueError: If there is no such object.
    """
    if not 1 <= slot < model.num_slots:
        raise ValueError(
            f"objects have the slots 1...{model.num_slots - 1}, got {slot}; "
            "slot 0 is the background, which has no appearance"
        )
    values = np.linspace(-2, 2, 7) if values is None else values
    dims = base.check_sweep(slot, dims, model.num_slots, model.what_dim)
    scene = {n: v[:, -1] for n, v in model.encode(inputs).items()}
    rows = []
    for dim in dims:
        chosen = np.zeros([model.num_slots, model.what_dim], bool)
        chosen[slot, dim] = True
        swept = []
        for value in values:
            slots = tf.where(chosen, float(value), scene["slots"])
            drawn = model.decode(**{**scene, "slots": slots}, **options)
            swept.append(drawn["recon"])
        rows.append(tf.stack(swept, axis=1))
    return tf.stack(rows, axis=1)


def with_background(values, fill=0.0):
    """`[B, T, K, D]` -> `[B, T, K + 1, D]`, slot 0 filled."""
    return tf.pad(
        values, [(0, 0), (0, 0), (1, 0), (0, 0)], constant_values=fill
    )


def merge(values):
    """`[B, T, ...]` -> `[B * T, ...]`."""
    shape = tf.concat([[-1], tf.shape(values)[2:]], axis=0)
    return tf.ensure_shape(tf.reshape(values, shape), [None, *values.shape[2:]])


def unmerge(values, like):
    """`[B * T, ...]` -> `[B, T, ...]`, as `like` has them."""
    tail = values.shape[1:]
    shape = tf.concat([tf.shape(like)[:2], tf.shape(values)[1:]], axis=0)
    return tf.ensure_shape(tf.reshape(values, shape), [*like.shape[:2], *tail])
