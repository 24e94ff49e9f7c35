"""Thresholds of connected components: chosen on validation clips, then used.

As in the SILOT paper, each score of each number of objects has thresholds of
its own, the best of validation clips with as many objects. This favours the
baseline: the other systems know neither the number nor the score.
"""

import numpy as np

from tfdecomp.evaluation import tracking
from tfdecomp.metrics import detection
from tfdecomp.metrics import tracking as clear_mot
from tfdecomp.models import base

MASK_THRESHOLDS = np.linspace(1e-4, 3.0001, 52)
COLOR_THRESHOLDS = np.linspace(1e-4, 1.0001, 27)
START = 0.96  # similarity at which a search begins
# Scores that thresholds are chosen for, and those that follow from them.
CHOSEN = {
    "mota": ("mota", "motp", "id_switches", "idf1", "hota"),
    "ap": ("ap", "ap_by_iou"),
    "count_error": ("count_error",),
}
_SIGN = {"mota": 1.0, "ap": 1.0, "count_error": -1.0}


def read(model, batches) -> tuple[list, dict]:
    """Prepares clips for any thresholds.

    Args:
        model: A `models.ConnectedComponents`.
        batches: Of an opener, see `evaluation.clips`.

    Returns:
        `(maps, labels)`: a `components.Maps` for each clip, and `[N, ...]`
        arrays of `tracking.LABELS`.
    """
    maps, parts = [], []
    for batch in batches:
        valid = np.asarray(batch["valid"], bool)
        video = np.asarray(base.as_float(batch["video"][valid]))
        maps += [model.compare(clip) for clip in video]
        parts.append(
            {n: batch[n][valid] for n in tracking.LABELS if n in batch}
        )
    names = parts[0] if parts else ()
    return maps, {n: np.concatenate([p[n] for p in parts]) for n in names}


def of_count(batches, count, wanted):
    """Of an opener's batches the clips with a number of objects.

    Args:
        batches: Of an opener, see `evaluation.clips`.
        count: The number.
        wanted: How many such clips are enough.

    Yields:
        The batches; clips that are not wanted are marked as not valid.
    """
    for batch in batches:
        valid = batch["valid"] & (batch["num_objects"] == count)
        valid &= np.cumsum(valid) <= wanted
        wanted -= np.count_nonzero(valid)
        yield {**batch, "valid": valid}
        if wanted <= 0:
            return


def found(model, maps, thresholds) -> dict:
    """What a model finds with thresholds for each clip.

    Args:
        model: A `models.ConnectedComponents`.
        maps: Of `N` clips.
        thresholds: `N` pairs `(mask_threshold, color_threshold)`.

    Returns:
        `boxes` `[N, T, K, 4]`, `track_ids` and `presence` `[N, T, K]`.
    """
    rows = [
        model.decide(one, model.num_slots, pair)[:2]
        for one, pair in zip(maps, thresholds, strict=True)
    ]
    ids, boxes = map(np.stack, zip(*rows))
    return {
        "boxes": boxes,
        "track_ids": ids,
        "presence": (ids > 0).astype(np.float32),
    }


def tune(
    model,
    maps,
    labels,
    protocol,
    *,
    mask_thresholds=MASK_THRESHOLDS,
    color_thresholds=COLOR_THRESHOLDS,
    whole_grid=False,
) -> dict:
    """The best thresholds for each score.

    Args:
        model: A `models.ConnectedComponents`.
        maps: From `read`, of validation clips.
        labels: From `read`.
        protocol: Says how tracks are scored.
        mask_thresholds: Candidates.
        color_thresholds: Candidates, for a model with colours.
        whole_grid: Whether to try all pairs. Else the best similarity is
            sought with the first mask threshold, or for a start beside
            `START`, then the best mask threshold, in turn until neither
            changes: a tenth of the time.

    Returns:
        Score to `(mask_threshold, color_threshold, value)`. Of equally good
        ones the lowest.

    Raises:
        ValueError: If there is no clip.
    """
    if not maps:
        raise ValueError("thresholds are chosen on clips, and there are none")
    if not model.colors:
        color_thresholds = (model.color_threshold,)
    true = tracking.true_tracks(labels, protocol.true_boxes)
    outputs, values = {}, {}

    def value(pair, name):
        if pair not in outputs:
            outputs[pair] = found(model, maps, [pair] * len(maps))
        if (pair, name) not in values:
            tracks = tracking.found_tracks(outputs[pair])
            values[pair, name] = _VALUES[name](tracks, true, protocol)
        return _SIGN[name] * values[pair, name]

    def best(pairs, name):
        return max(pairs, key=lambda pair: value(pair, name))

    masks = [float(v) for v in mask_thresholds]
    colors = [float(v) for v in color_thresholds]
    chosen = {}
    for name in CHOSEN:
        if whole_grid:
            pair = best([(m, c) for m in masks for c in colors], name)
        else:
            pair = masks[0], min(colors, key=lambda c: abs(c - START))
            before = None
            while pair != before:
                before = pair
                pair = best([(pair[0], c) for c in colors], name)
                pair = best([(m, pair[1]) for m in masks], name)
        chosen[name] = (*pair, values[pair, name])
    return chosen


def _mota(tracks, true, protocol):
    counts = clear_mot.clear_mot_counts(
        *tracks[:2], *true, protocol.iou_threshold, protocol.mota_drop_overfull
    )
    return float(clear_mot.mota({n: v.sum() for n, v in counts.items()}))


def _ap(tracks, true, protocol):
    boxes, _, confidence = tracks
    detections = detection.detect(boxes, confidence, true[0], true[1] > 0)
    return float(detection.average_precision(detections).mean())


def _count_error(tracks, true, protocol):
    difference = np.sum(tracks[1] > 0, axis=2) - np.sum(true[1] > 0, axis=2)
    return float(np.abs(difference).mean())


_VALUES = {"mota": _mota, "ap": _ap, "count_error": _count_error}


def evaluate(model, batches, protocol, thresholds_of, progress=None) -> dict:
    """Scores test clips with the thresholds of their number of objects.

    Args:
        model: A `models.ConnectedComponents`.
        batches: Of an opener, see `evaluation.clips`.
        protocol: Says how tracks are scored.
        thresholds_of: Function of a number of objects; returns what `tune`
            does for clips with as many.
        progress: Called with the number of clips done.

    Returns:
        As `tracking.Tracking.result`, each score with its own thresholds;
        those of each number of objects are under `thresholds`. Beside it
        `num_clips`, `num_frames` and the like.
    """
    records = {name: tracking.Tracking(protocol) for name in CHOSEN}
    used, done = {}, 0
    for batch in batches:
        maps, labels = read(model, [batch])
        counts = [int(n) for n in labels["num_objects"]]
        for count in counts:
            if count not in used:
                used[count] = thresholds_of(count)
        for name, record in records.items():
            pairs = [used[count][name][:2] for count in counts]
            record.add(found(model, maps, pairs), labels)
        done += len(maps)
        if progress is not None:
            progress(done)
    results = {name: record.result() for name, record in records.items()}
    by_objects = {}
    for count, part in results["mota"]["by_objects"].items():
        parts = {n: r["by_objects"][count] for n, r in results.items()}
        by_objects[count] = {
            "num_clips": part["num_clips"],
            **_own(parts),
            "thresholds": {n: list(v) for n, v in used[int(count)].items()},
        }
    return {
        "num_clips": done,
        "num_frames": len(maps[0].difference),
        "num_predicted": 0,
        "image_size": list(model.image_size),
        **_own(results),
        "by_objects": by_objects,
    }


def _own(results):
    """Each score from the results of its own thresholds."""
    return {
        name: results[chosen][name]
        for chosen, names in CHOSEN.items()
        for name in names
    }
