"""From what a model returns for a batch to scores per clip and frame."""

import numpy as np
import tensorflow as tf

from tfdecomp.evaluation import latents
from tfdecomp.metrics import (
    counting,
    dynamics,
    localization,
    rand_index,
    segmentation,
)
from tfdecomp.types import IGNORE_ID

# Nats per clip (`elbo`: per frame) that a model may report; averaged over
# clips as they are.
TERMS = (
    "loss",
    "nll",
    "nll_unnormalised",
    "nll_last_frame",
    "nll_bound",
    "kl",
    "kl_locations",
    "kl_appearances",
    "kl_count",
    "entropy",
    "elbo",
)
# What a model says of its objects, slot by slot.
OBJECTS = ("presence", "boxes", "locations")


def summarize(video, outputs) -> dict:
    """Reduces a decomposition on the device to what scores need.

    Args:
        video: `[B, T, H, W, C]`, uint8 or floating point in `[0, 1]`.
        outputs: A `Decomposition` of the same frames.

    Returns:
        What the outputs allow of `pred_ids` `[B, T, H, W]` int32, `mse`
        `[B, T]`, the `TERMS` `[B]`, where there is a presence the
        `OBJECTS` `[B, T, K, ...]`, `track_ids` `[B, T, K]` int32, and where
        there are samples of factors `latents.READ` `[B, T, k, d]`.
    """
    summary = {
        name: tf.cast(outputs[name], tf.float32)
        for name in TERMS
        if name in outputs
    }
    if "recon" in outputs:
        video = tf.convert_to_tensor(video)
        if video.dtype.is_integer:
            video = tf.cast(video, tf.float32) / 255.0
        error = tf.cast(outputs["recon"], tf.float32) - video
        summary["mse"] = tf.reduce_mean(tf.square(error), axis=[2, 3, 4])
    if "masks" in outputs:
        summary["pred_ids"] = slot_ids(outputs["masks"])
    if "presence" in outputs:
        summary |= {
            name: tf.cast(outputs[name], tf.float32)
            for name in OBJECTS
            if name in outputs
        }
    if "track_ids" in outputs:
        summary["track_ids"] = tf.cast(outputs["track_ids"], tf.int32)
    if "samples" in outputs:
        summary |= {
            name: tf.cast(outputs[name], tf.float32)
            for name in latents.READ
            if name in outputs
        }
    return summary


def slot_ids(masks) -> tf.Tensor:
    """The slot that owns each pixel; ties go to the lower slot everywhere.

    `tf.argmax` leaves open which of several equal entries it returns.

    Args:
        masks: `[B, T, K, H, W, 1]`.

    Returns:
        `[B, T, H, W]` int32; `K` where a mask is not finite.
    """
    masks = tf.convert_to_tensor(masks)[..., 0]
    num_slots = tf.shape(masks)[2]
    is_largest = tf.equal(masks, tf.reduce_max(masks, 2, keepdims=True))
    numbers = tf.range(num_slots)[:, None, None]
    return tf.reduce_min(tf.where(is_largest, numbers, num_slots), axis=2)


def clip_scores(
    summary, segmentation_ids, first=0, last=None, objects=None
) -> dict:
    """Scores of the frames `first, ..., last - 1` of each clip.

    Args:
        summary: What `summarize` returned, as arrays.
        segmentation_ids: `[B, T, H, W]` or `[B, T, H, W, 1]` true labels, or
            None.
        first: First frame that counts.
        last: Frame after the last one that counts; by default all do.
        objects: Labels of objects, see `object_scores`; by default none.

    Returns:
        `per_clip`: name -> `[B]`, NaN where a clip has nothing to score;
        `per_frame`: name -> `[B, T']`.
    """
    frames = slice(first, last)
    per_clip, per_frame = {}, {}
    if "pred_ids" in summary and segmentation_ids is not None:
        table = rand_index.contingency(
            segmentation_ids[:, frames], summary["pred_ids"][:, frames]
        )
        per_clip |= rand_index.scores_of_table(table)
        overlaps = segmentation.overlap_scores_of_table(table)
        per_clip |= {name: v.mean(1) for name, v in overlaps.items()}
        per_frame["ari"] = rand_index.ari_of_table(table)
        per_frame["f_ari"] = rand_index.ari_of_table(table, True)
    if "mse" in summary:
        per_frame["mse"] = np.asarray(summary["mse"], np.float64)[:, frames]
        per_clip["mse"] = per_frame["mse"].mean(1)
    if "presence" in summary and objects:
        of_clips, of_frames = object_scores(
            {n: summary[n][:, frames] for n in OBJECTS if n in summary},
            {n: v if v.ndim == 1 else v[:, frames] for n, v in objects.items()},
        )
        per_clip |= of_clips
        per_frame |= of_frames
    return {"per_clip": per_clip, "per_frame": per_frame}


def object_scores(found, labels) -> tuple[dict, dict]:
    """Scores of a model that says where its objects are.

    Args:
        found: `presence` `[B, T, K]` and what there is of `boxes`
            `[B, T, K, 4]` and `locations` `[B, T, K, 2]`. A model without
            locations has the centres of its boxes.
        labels: What there is of `num_objects` `[B]`, `visibility`
            `[B, T, L]`, `position` `[B, T, L, 2]` and `boxes` `[B, T, L, 4]`.

    Returns:
        Name -> `[B]`, NaN where a clip has no object to find, and name ->
        `[B, T]`.
    """
    presence = found["presence"]
    per_clip, per_frame = {}, {}
    if "visibility" in labels:
        counts = np.sum(labels["visibility"] > 0, axis=2)
    else:
        counts = labels.get("num_objects")
    if counts is None:
        return per_clip, per_frame
    difference = counting.count_difference(presence, counts)
    per_frame["count_accuracy"] = (difference == 0).astype(np.float64)
    per_frame["count_error"] = np.abs(difference).astype(np.float64)
    per_clip |= {name: v.mean(1) for name, v in per_frame.items()}
    locations = found.get("locations")
    if locations is None and "boxes" in found:
        locations = localization.box_centres(found["boxes"])
    if locations is not None and "position" in labels:
        per_clip["location_accuracy"] = localization.location_accuracy(
            locations, presence, labels["position"], _present(labels)
        )
    if "boxes" in found and "boxes" in labels:
        per_clip["box_miou"] = localization.box_miou(
            found["boxes"], presence, labels["boxes"], _present(labels)
        )
    return per_clip, per_frame


def _present(labels):
    """`[B, T, L]`: which objects are there to be found."""
    if "visibility" in labels:
        return labels["visibility"] > 0
    places = labels["position"] if "position" in labels else labels["boxes"]
    exists = np.arange(places.shape[2]) < labels["num_objects"][:, None]
    return np.broadcast_to(exists[:, None], places.shape[:3])


def velocity_scores(observed_ids, predicted_ids, batch, num_slots, shift):
    """Velocity cosine of each pair of predicted frame and object.

    Args:
        observed_ids: `[B, T, H, W]` slots of the observed frames.
        predicted_ids: `[B, P, H, W]` slots of the predicted frames.
        batch: Has `position` `[B, T + P, L, 2]` and `visibility`
            `[B, T + P, L]`, or else `segmentation`, whose boxes' centres
            then are the true places.
        num_slots: `K`.
        shift: Frames between the two ends of a velocity.

    Returns:
        `[B, P, L]`, NaN where a pair is skipped.
    """
    if "position" in batch:
        places = np.asarray(batch["position"])
        present = np.asarray(batch["visibility"]) > 0
    else:
        ids = np.asarray(batch["segmentation"])[..., 0]
        labels = ids[ids != IGNORE_ID]
        count = 1 + int(labels.max(initial=0))
        places, present = dynamics.box_centres(ids, count)
        places, present = places[:, :, 1:], present[:, :, 1:]
    return dynamics.velocity_cosine(
        np.concatenate([observed_ids, predicted_ids], 1),
        places,
        present,
        num_slots,
        num_observed=observed_ids.shape[1],
        shift=shift,
    )
