"""Pictures of what a model makes of the clips of a protocol."""

import os
import pathlib

import numpy as np
import tensorflow as tf

from tfdecomp.evaluation import clips as clips_lib
from tfdecomp.evaluation import runner, tracking
from tfdecomp.evaluation import scores as scores_lib
from tfdecomp.visualization import (
    overlays,
    palette,
    rollout,
    slot_grid,
    tracks,
    traversal,
    video_panels,
)

TRAVERSED = 10  # latents, those that say most
VALUES = tuple(np.linspace(-2.5, 2.5, 7).tolist())
FPS = 8


class Painter:
    """Draws the first clips of a protocol, as often as asked.

    Takes the protocol's headline condition. Under a protocol that predicts
    nothing the rollout predicts the second half of a clip from the first.

    Args:
        model: Has the call of `tfdecomp.models.DecompositionModel`.
        protocol: A `Protocol`.
        trained_on: Dataset the model was trained on.
        num_clips: Clips to draw.
        open_clips: As for `runner.Evaluator`.
    """

    def __init__(
        self,
        model,
        protocol,
        *,
        trained_on=None,
        num_clips=4,
        open_clips=clips_lib.open_stored,
    ):
        self.model = model
        self.condition = protocol.headline(protocol.expand(trained_on))
        self.num_clips = num_clips
        self.open_clips = open_clips
        self._batch = None
        self._decompose = tf.function(self._forward, autograph=False)
        self._predict = tf.function(self._forward_and_on, autograph=False)

    def draw(self, videos=True, latents=True) -> dict:
        """Pictures by name, such as `slot_grid_0` for the first clip.

        Args:
            videos: Whether to make videos too.
            latents: Whether to sweep the latents of a slot of the first
                clip, which takes many decodes.

        Returns:
            Name -> `[h, w, 3]` picture or `[T, h, w, 3]` video, uint8. What
            the model cannot give has no picture.
        """
        batch = self._clips()
        inputs = runner.model_inputs(self.condition, batch)
        outputs = _arrays(self._decompose(inputs))
        rolled = self._rolled(inputs)
        pictures = {}
        for clip in range(len(batch["video"])):
            drawn = draw_clip(batch, outputs, clip, videos)
            drawn |= draw_rollout(batch, rolled, clip, videos)
            if videos:
                source = self.condition.tracking or "boxes"
                drawn |= draw_tracks(batch, outputs, clip, source)
                drawn |= draw_tracks(batch, rolled, clip, source)
            if clip == 0 and latents and self._can_traverse():
                drawn["traversal"] = self._traversal(inputs, outputs, clip)
            pictures |= {f"{name}_{clip}": p for name, p in drawn.items()}
        return pictures

    def _clips(self):
        """The first clips; read once."""
        if self._batch is None:
            batches = self.open_clips(
                self.condition, self.model, self.num_clips
            )
            batch = next(iter(batches))
            valid = np.asarray(batch["valid"], bool)
            self._batch = {k: np.asarray(v)[valid] for k, v in batch.items()}
        return self._batch

    def _forward(self, inputs):
        arguments = runner.model_arguments(self.condition)
        return self.model(inputs, training=False, **arguments)

    def _forward_and_on(self, inputs, num_predicted):
        outputs = self._forward(inputs)
        after = runner.predict(self.model, inputs, outputs, num_predicted)
        return {
            name: tf.concat([outputs[name], after[name]], axis=1)
            for name in ("recon", "masks", *tracking.READ)
            if name in outputs and name in after
        }

    def _rolled(self, inputs):
        """Observed and predicted frames, or None if there can be none."""
        total = inputs["video"].shape[1]
        can = hasattr(self.model, "rollout")
        can = can or hasattr(self.model, "predict_frames")
        if not can or total < 2:
            return None
        count = self.condition.num_predicted or total // 2
        context = {**inputs, "video": inputs["video"][:, : total - count]}
        outputs = _arrays(self._predict(context, count))
        return {**outputs, "num_observed": total - count}

    def _can_traverse(self):
        # `traverse` decomposes again, with the model's own settings.
        changed = runner.model_arguments(self.condition)
        return hasattr(self.model, "traverse") and not changed

    def _traversal(self, inputs, outputs, clip):
        """Sweeps the latents of the largest slot that is no background."""
        one = {name: value[clip : clip + 1] for name, value in inputs.items()}
        slot = 0
        if "masks" in outputs:
            masks = outputs["masks"][clip]
            areas = masks[-1].sum((1, 2, 3))
            background = getattr(self.model, "background_slot", None)
            if background is None:
                background = palette.background_slot(masks)
            areas[background] = -1.0
            slot = int(areas.argmax())
        weight, measure = latent_weight(outputs, clip, slot)
        dims = np.argsort(-weight, kind="stable")[:TRAVERSED]
        swept = self.model.traverse(one, slot, dims=dims, values=VALUES)
        return traversal.traversal(
            np.asarray(swept)[0],
            weight[dims],
            values=VALUES,
            dims=dims,
            measure=measure,
            max_rows=TRAVERSED,
        )


def latent_weight(outputs, clip, slot):
    """How much each latent of a slot says, and the name of that measure.

    The KL of the last frame in nats where the model gives `latent_kl`
    `[B, T, K, D]`. Otherwise the variance of the posterior means over all
    slots, frames and clips at hand: a latent that follows its prior hardly
    moves (Burda et al., Importance Weighted Autoencoders, 2016).

    Args:
        outputs: A `Decomposition` as arrays.
        clip: Which clip.
        slot: Which slot.

    Returns:
        `([D], name)`.
    """
    if "latent_kl" in outputs:
        return np.asarray(outputs["latent_kl"])[clip, -1, slot], "KL"
    slots = np.asarray(outputs["slots"])
    return slots.reshape(-1, slots.shape[-1]).var(0), "variance"


def draw_clip(batch, outputs, clip=0, videos=True) -> dict:
    """The standard pictures of one clip.

    Args:
        batch: Arrays `video` and, if known, `segmentation`.
        outputs: A `Decomposition` as arrays.
        clip: Which clip of the batch.
        videos: Whether to make videos too.

    Returns:
        `slot_grid`, and `panels` and `overlay` as videos.
    """
    video = np.asarray(batch["video"])[clip]
    given = {
        name: outputs[name][clip]
        for name in ("recon", "masks", "components")
        if name in outputs
    }
    if "segmentation" in batch:
        given["segmentation"] = np.asarray(batch["segmentation"])[clip]
    pictures = {"slot_grid": slot_grid.slot_grid(video, **given)}
    if videos:
        given.pop("components", None)
        given.pop("segmentation", None)
        pictures["panels"] = video_panels.video_panels(video, **given)
        if "masks" in given:
            pictures["overlay"] = overlays.overlay(video, given["masks"])
    return pictures


def draw_rollout(batch, rolled, clip=0, videos=True) -> dict:
    """Context and prediction of one clip, `rollout` and `rollout_video`.

    Args:
        batch: Has the true `video`.
        rolled: `recon` and, where given, `masks` of observed and predicted
            frames, and `num_observed`; None for no pictures.
        clip: Which clip of the batch.
        videos: Whether to make the video too.
    """
    if rolled is None or "recon" not in rolled:
        return {}
    arguments = (
        np.asarray(batch["video"])[clip],
        rolled["recon"][clip],
        rolled["num_observed"],
        rolled["masks"][clip] if "masks" in rolled else None,
    )
    pictures = {"rollout": rollout.rollout(*arguments)}
    if videos:
        pictures["rollout_video"] = rollout.rollout_video(*arguments)
    return pictures


def draw_tracks(batch, outputs, clip=0, source="boxes") -> dict:
    """Tracks of one clip as a video, `tracking`, or `rollout_tracking`.

    Args:
        batch: Has the true `video` and, if known, `boxes` or `segmentation`.
        outputs: A `Decomposition` as arrays, or observed and predicted frames
            of one as for `draw_rollout`; None for no pictures.
        clip: Which clip of the batch.
        source: As `Protocol.tracking`.
    """
    one = {n: np.asarray(v)[clip : clip + 1] for n, v in batch.items()}
    outputs = outputs or {}
    found = {
        name: outputs[name][clip : clip + 1]
        for name in (*tracking.READ, "masks", "recon")
        if name in outputs
    }
    if "masks" in found:
        found["pred_ids"] = np.asarray(scores_lib.slot_ids(found["masks"]))
    tracked = tracking.found_tracks(found, source)
    if tracked is None:
        return {}
    boxes, ids, _ = tracked
    given = {"recon": found["recon"][0]} if "recon" in found else {}
    true = tracking.true_tracks(one)
    if true is not None:
        given |= {"true_boxes": true[0][0], "true_ids": true[1][0]}
    num_observed = outputs.get("num_observed")
    video = tracks.tracks(
        one["video"][0], boxes[0], ids[0], num_observed=num_observed, **given
    )
    name = "tracking" if num_observed is None else "rollout_tracking"
    return {name: video}


def write(folder, pictures, prefix="") -> list[pathlib.Path]:
    """Writes pictures as png, videos as mp4 and gif.

    Args:
        folder: Where to; made if missing.
        pictures: Name -> `[h, w, 3]` or `[T, h, w, 3]` uint8.
        prefix: Goes before every name, such as a step's number.

    Returns:
        The files.
    """
    from tfdecomp.data.video import video_io

    folder = pathlib.Path(os.path.expanduser(folder))
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, picture in pictures.items():
        path = folder / f"{prefix}{name}"
        if picture.ndim == 3:
            files.append(path.with_name(path.name + ".png"))
            video_io.write_png(files[-1], picture)
            continue
        for suffix in (".mp4", ".gif"):
            files.append(path.with_name(path.name + suffix))
            video_io.write_video(files[-1], picture, fps=FPS)
    return files


def _arrays(outputs):
    return tf.nest.map_structure(np.asarray, outputs)
