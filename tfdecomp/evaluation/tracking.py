"""Scores of tracks: of all clips, of each, and by their number of objects."""

import numpy as np

from tfdecomp.metrics import (
    detection,
    dynamics,
    hota,
    identity,
    mask_tracks,
    tracking,
    tracks,
)

# What is read of a model's outputs, and of the labels.
READ = ("boxes", "presence", "track_ids", "pred_ids")
LABELS = ("boxes", "segmentation", "num_objects", "entities")
# Scores by their names in results.
SCORES = (
    "mota",
    "motp",
    "id_switches",
    "idf1",
    "hota",
    "ap",
    "count_error",
)

_PRESENT = 0.5  # presence above which a box has a track


class Tracking:
    """Counts of tracks, batch by batch.

    Holds a few numbers for each clip, and each found box's confidence and
    whether it is right.

    Args:
        protocol: The `Protocol` that says what is counted.
    """

    def __init__(self, protocol):
        self.protocol = protocol
        self.num_objects = []
        self.counts = []
        self.detections = []

    def add(self, found, labels, background=None) -> tuple[dict, dict]:
        """Takes a batch of valid clips.

        Args:
            found: What there is of `READ`, see `scores.summarize`.
            labels: What there is of `LABELS`.
            background: `[B]` slot of each clip that is no object, for a model
                that does not know it; by default the one with most pixels.

        Returns:
            Scores by clip, name -> `[B]`, and `count_error` and
            `count_accuracy` by frame, `[B, T]`.

        Raises:
            ValueError: If the model or the data lack what the protocol asks
                for.
        """
        boxes, ids, confidence = self._found(found, background)
        true_boxes, true_ids = self._true(labels)
        overlap = None
        if self.protocol.overlap == "masks":
            boxes, ids, true_boxes, true_ids, overlap = self._of_masks(
                found, labels, background
            )
            confidence = (ids > 0).astype(np.float64)
        given = boxes, ids, true_boxes, true_ids
        iou = self.protocol.iou_threshold
        counts = {
            "clear": tracking.clear_mot_counts(
                *given, iou, self.protocol.mota_drop_overfull, overlap
            ),
            "identity": identity.identity_counts(*given, iou, overlap),
            "hota": hota.hota_counts(*given, overlap),
        }
        detections = detection.detect(
            boxes, confidence, true_boxes, true_ids > 0, overlap=overlap
        )
        number = labels.get("num_objects")
        if number is None:
            number = np.sum(true_ids > 0, axis=2).max(1)
        self.num_objects.append(np.asarray(number))
        self.detections.append(detections)
        difference = np.sum(ids > 0, axis=2) - np.sum(true_ids > 0, axis=2)
        counts["frames"] = {"error": np.abs(difference).mean(1)}
        self.counts.append(counts)
        per_frame = {
            "count_error": np.abs(difference).astype(np.float64),
            "count_accuracy": (difference == 0).astype(np.float64),
        }
        per_clip = {name: v.mean(1) for name, v in per_frame.items()}
        return _scores(counts, detections) | per_clip, per_frame

    def result(self) -> dict:
        """The `SCORES` of all clips, and by number of objects.

        Returns:
            Name to number, None where there is nothing to score, and
            `ap_by_iou`, the AP at each threshold, and `by_objects`: number
            of objects, as a text, to the same and `num_clips`.
        """
        if not self.counts:
            return {}
        numbers = np.concatenate(self.num_objects)
        counts = {
            part: {
                name: np.concatenate([c[part][name] for c in self.counts])
                for name in names
            }
            for part, names in self.counts[0].items()
        }
        detections = detection.join(self.detections)
        by_objects = {
            str(int(n)): self._pooled(counts, detections, numbers == n)
            for n in np.unique(numbers)
        }
        whole = self._pooled(counts, detections, np.ones(len(numbers), bool))
        del whole["num_clips"]
        return {**whole, "by_objects": by_objects}

    @staticmethod
    def _pooled(counts, detections, clips):
        """Scores of the chosen clips together."""
        sums = {
            part: {name: v[clips].sum(0)[None] for name, v in values.items()}
            for part, values in counts.items()
        }
        chosen = detection.choose(detections, clips)
        scores = {n: v[0] for n, v in _scores(sums).items()}
        number = int(clips.sum())
        precision = detection.average_precision(chosen)
        scores |= {
            "id_switches": scores["id_switches"] / number,
            "ap": precision.mean(),
            "count_error": sums["frames"]["error"][0] / number,
        }
        thresholds = [f"{t:.1f}" for t in detection.THRESHOLDS]
        return {
            "num_clips": number,
            **{name: _number(scores[name]) for name in SCORES},
            "ap_by_iou": dict(zip(thresholds, map(_number, precision))),
        }

    def _of_masks(self, found, labels, background):
        """`mask_tracks.MaskTracks` of what the model finds and the labels."""
        limit = self.protocol.background_overlap
        if background is None:
            background = background_slots(found)
        return mask_tracks.of_masks(
            found["pred_ids"],
            labels["segmentation"],
            track_ids=found.get("track_ids"),
            background=background if limit is None else None,
            entities=labels.get("entities"),
            min_pixels=self.protocol.min_pixels,
            background_overlap=limit,
        )

    def _found(self, found, background):
        """`boxes`, `ids` and `confidence` of what the model finds."""
        source = self.protocol.tracking
        if self.protocol.overlap == "masks":
            source = "masks"
        tracked = found_tracks(found, source, background)
        if tracked is None:
            what = "boxes and no masks" if source == "auto" else source
            raise ValueError(
                f"protocol {self.protocol.name!r} scores tracks (tracking="
                f"{source!r}), but the model gives no {what}; take a protocol "
                "without tracking"
            )
        return tracked

    def _true(self, labels):
        source = self.protocol.true_boxes
        if self.protocol.overlap == "masks":
            source = "segmentation"
        true = true_tracks(labels, source)
        if true is None:
            what = "boxes and no segmentation" if source == "auto" else source
            raise ValueError(
                f"protocol {self.protocol.name!r} scores tracks (true_boxes="
                f"{source!r}), but {self.protocol.dataset} has no {what}; take "
                "a protocol without tracking"
            )
        return true


def found_tracks(found, source="auto", background=None):
    """What a model finds, as tracks.

    Args:
        found: What there is of `READ`, see `scores.summarize`.
        source: As `Protocol.tracking`.
        background: `[B]` slot of each clip that is no object, for masks; by
            default `background_slots(found)`.

    Returns:
        `(boxes, ids, confidence)`: `[B, T, K, 4]` and `[B, T, K]` twice, or
        None if the model does not give them.
    """
    if source != "masks" and "boxes" in found and "presence" in found:
        return _tracks_of_boxes(found)
    if source != "boxes" and "pred_ids" in found:
        return _tracks_of_masks(found, background)
    return None


def true_tracks(labels, source="auto"):
    """What there is to be found, as tracks.

    Args:
        labels: What there is of `LABELS`.
        source: As `Protocol.true_boxes`.

    Returns:
        `(boxes, ids)`: `[B, T, L, 4]` and `[B, T, L]`, or None if they are
        not known.
    """
    if source != "segmentation" and "boxes" in labels:
        return tracks.tracks_of_boxes(labels["boxes"])
    if source != "boxes" and "segmentation" in labels:
        return tracks.tracks_of_segmentation(labels["segmentation"])
    return None


def background_slots(found) -> np.ndarray:
    """`[B]` slot of each clip that is no object.

    Slot 0 of a model that says which slots are in use, else the slot that
    owns most pixels.

    Args:
        found: Has `pred_ids` `[B, T, H, W]`.
    """
    slots = found["pred_ids"]
    if "presence" in found:
        return np.zeros(len(slots), np.int64)
    return dynamics.largest_slot(slots, int(slots.max(initial=0)) + 1)


def _tracks_of_boxes(found):
    """Boxes of the slots but the first; without ids the slot is the track."""
    boxes, presence = found["boxes"][:, :, 1:], found["presence"][:, :, 1:]
    if "track_ids" in found:
        return boxes, found["track_ids"][:, :, 1:], presence
    numbers = np.arange(boxes.shape[2]) + 1
    return boxes, np.where(presence > _PRESENT, numbers, 0), presence


def _tracks_of_masks(found, background):
    slots = found["pred_ids"]
    if background is None:
        background = background_slots(found)
    count = int(slots.max(initial=0)) + 1
    boxes, ids = tracks.tracks_of_slots(slots, count, background)
    return boxes, ids, (ids > 0).astype(np.float64)


def _scores(counts, detections=None):
    """Scores by clip of counts by clip, `[B]` each."""
    scores = {
        "mota": tracking.mota(counts["clear"]),
        "motp": tracking.motp(counts["clear"]),
        "id_switches": counts["clear"]["switches"],
        "idf1": identity.idf1(counts["identity"]),
        "hota": hota.hota(counts["hota"]),
    }
    if detections is not None:
        clips = np.eye(len(detections.num_true), dtype=bool)
        chosen = (detection.choose(detections, clip) for clip in clips)
        precision = [detection.average_precision(one) for one in chosen]
        scores["ap"] = np.mean(precision, axis=1)
    return scores


def _number(value):
    return None if np.isnan(value) else float(value)
