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
_FLOOR = 1e-4  # of probabilities in `cross_entropy`, as DDPAE's authors have it
# What a model says of its objects, slot by slot.
OBJECTS = ("presence", "boxes", "locations")
# Of frames: of all, and of predicted ones.
ERRORS = ("mse", "mse_copied", "bce")


def summarize(video, outputs, last=None) -> dict:
    """Reduces a decomposition on the device to what scores need.

    Args:
        video: `[B, T, H, W, C]`, uint8 or floating point in `[0, 1]`.
        outputs: A `Decomposition` of the same frames.
        last: `[B, 1, H, W, C]`, the frame before them, if they are predicted:
            who says that nothing moves has the error `mse_copied`.

    Returns:
        What the outputs allow of `pred_ids` `[B, T, H, W]` int32, `ERRORS`
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
        video = _fractions(video)
        recon = tf.cast(outputs["recon"], tf.float32)
        summary["mse"] = tf.reduce_mean(tf.square(recon - video), [2, 3, 4])
        if last is not None:
            off = _fractions(last) - video
            summary["mse_copied"] = tf.reduce_mean(tf.square(off), [2, 3, 4])
            summary["bce"] = cross_entropy(video, recon)
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


def cross_entropy(video, recon):
    """Of each frame, nats `[B, T]`; predictions are kept off 0 and 1.

    Args:
        video: `[B, T, H, W, C]` in `[0, 1]`, grey values being probabilities.
        recon: `[B, T, H, W, C]`.
    """
    p = tf.clip_by_value(recon, _FLOOR, 1.0 - _FLOOR)
    terms = video * tf.math.log(p) + (1.0 - video) * tf.math.log(1.0 - p)
    return -tf.reduce_sum(terms, axis=[2, 3, 4])


def _fractions(video):
    """Pixels in `[0, 1]`, float32."""
    video = tf.convert_to_tensor(video)
    if video.dtype.is_integer:
        return tf.cast(video, tf.float32) / 255.0
    return tf.cast(video, tf.float32)


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
    for name in ERRORS:
        if name in summary:
            errors = np.asarray(summary[name], np.float64)[:, frames]
            per_frame[name], per_clip[name] = errors, errors.mean(1)
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


def object_places(parts, batch, num_slots, image_size, source="masks"):
    """Where objects are, and where the slots are that were matched with them.

    Args:
        parts: What `summarize` returned of the observed frames and, if some
            are predicted, of these.
        batch: Has `position` `[B, T, L, 2]` and `visibility` `[B, T, L]`, or
            else `segmentation`, whose boxes' centres then are the true places.
        num_slots: `K`; what is of locations needs none.
        image_size: `(H, W)`.
        source: Where slots are: at their "locations", or at the centres of
            the boxes around their "masks".

    Returns:
        `(places, found, true places, true presence)`, `[B, T, L, 2]` and
        `[B, T, L]` each.

    Raises:
        ValueError: If the model does not say where its slots are.
    """
    name = "locations" if source == "locations" else "pred_ids"
    if name not in parts[0]:
        raise ValueError(
            f"the protocol compares places, which needs {source}; this model "
            "gives none"
        )
    observed = parts[0][name]
    whole = np.concatenate([part[name] for part in parts], 1)
    if source == "locations":
        presence = np.concatenate([part["presence"] for part in parts], 1)
        centres, present = whole, presence > 0.5
        background = np.zeros(len(whole), int)  # of models with locations
    else:
        centres, present = dynamics.box_centres(whole, num_slots)
        background = dynamics.largest_slot(observed, num_slots)
    true = true_places(batch)
    places = dynamics.places_of_objects(
        centres, present, *true, observed.shape[1], background, image_size
    )
    return (*places, *true)


def is_apart(places, found, true, present, distance):
    """Whether each object of a clip has a slot of its own near it.

    Args:
        places: `[B, T, L, 2]`, with the rest as `object_places` has it.
        found: `[B, T, L]`.
        true: `[B, T, L, 2]`.
        present: `[B, T, L]`.
        distance: Pixels below which the mean over frames and objects counts.

    Returns:
        `[B]`, 1 or 0; NaN where a clip has no object.
    """
    each = dynamics.object_distance(places, found, true, present)
    exists = ~np.isnan(each)
    count = exists.sum(1)
    mean = np.where(exists, each, 0.0).sum(1) / np.maximum(count, 1)
    return np.where(count > 0, np.float64(mean < distance), np.nan)


def true_places(batch):
    """`(places, present)` of objects, `[B, T, L, 2]` and `[B, T, L]`.

    Args:
        batch: As for `object_places`.
    """
    if "position" in batch:
        return np.asarray(batch["position"]), batch["visibility"] > 0
    ids = np.asarray(batch["segmentation"])[..., 0]
    labels = ids[ids != IGNORE_ID]
    count = 1 + int(labels.max(initial=0))
    places, present = dynamics.box_centres(ids, count)
    return places[:, :, 1:], present[:, :, 1:]
