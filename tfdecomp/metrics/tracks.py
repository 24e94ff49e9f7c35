"""Tracks: boxes that keep an identity, and how found and true ones overlap.

Decided once, for all metrics of tracks:

* Tracks are `boxes` `[B, T, N, 4]`, `(ymin, xmin, ymax, xmax)` pixel edges,
  with `ids` `[B, T, N]`: integers above 0 that stay the same along a track,
  and 0 where there is no box. The place on the third axis says nothing.
* An id is at most once in a frame. Ids of found tracks have nothing to do with
  those of true ones.
* Each clip is scored by itself and counts are added up over clips, so the
  score of many clips is not the mean of theirs.
* Where nothing is there to be found the score is NaN, to be left out of means
  over clips; boxes found there are false positives of all clips together.
"""

from typing import NamedTuple

import numpy as np

from tfdecomp.metrics.localization import box_iou
from tfdecomp.types import IGNORE_ID

# An overlap that equals a threshold but for rounding reaches it.
ROUNDING = np.finfo(np.float64).eps


class Frame(NamedTuple):
    """Tracks of one frame, by their numbers within the clip, from 0.

    Attributes:
        true: `[I]` true tracks.
        found: `[J]` found tracks.
        iou: `[I, J]` overlap of their boxes.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.tracks import pair
        >>> true, ids = np.array([[[[0, 0, 4, 4]]]]), np.array([[[1]]])
        >>> clips = pair(np.array([[[[0, 0, 4, 3]]]]), ids, true, ids)
        >>> clips[0].frames[0].iou  # of the first Frame
        array([[0.75]])
    """

    true: np.ndarray
    found: np.ndarray
    iou: np.ndarray


class Clip(NamedTuple):
    """Frames of a clip and how many different tracks there are in it.

    Examples:
        >>> from tfdecomp.metrics.tracks import Clip
        >>> clip = Clip(frames=[], num_true=0, num_found=0)
        >>> clip.true_boxes
        0
    """

    frames: list
    num_true: int
    num_found: int

    @property
    def true_boxes(self) -> int:
        """Number of true boxes in all frames."""
        return sum(len(frame.true) for frame in self.frames)

    @property
    def found_boxes(self) -> int:
        """Number of found boxes in all frames."""
        return sum(len(frame.found) for frame in self.frames)


def pair(boxes, ids, true_boxes, true_ids, overlap=None) -> list[Clip]:
    """Overlaps of found and true boxes, frame by frame.

    Args:
        boxes: `[B, T, K, 4]` found boxes.
        ids: `[B, T, K]` their tracks; 0 is none.
        true_boxes: `[B, T, L, 4]`.
        true_ids: `[B, T, L]`.
        overlap: `[B, T, L, K]` of true and found ones, such as that of masks;
            by default that of the boxes.

    Returns:
        A `Clip` for each of the `B` clips.

    Raises:
        ValueError: If the shapes do not belong together, an id is below 0 or
            twice in a frame, or a box in use is not finite or ends before it
            begins.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.tracks import pair
        >>> boxes = np.tile([0, 0, 4, 4], [1, 2, 1, 1])  # stands for two frames
        >>> ids, true_ids = np.array([[[1], [2]]]), np.array([[[1], [1]]])
        >>> clip = pair(boxes, ids, boxes, true_ids)[0]
        >>> clip.num_true, clip.num_found, clip.true_boxes
        (1, 2, 2)
    """
    boxes, ids = _tracks("boxes", boxes, "ids", ids)
    true_boxes, true_ids = _tracks(
        "true_boxes", true_boxes, "true_ids", true_ids
    )
    if ids.shape[:2] != true_ids.shape[:2]:
        raise ValueError(
            "found and true tracks must be of the same clips and frames, got "
            f"ids {ids.shape} and true_ids {true_ids.shape}"
        )
    if overlap is None:
        overlap = box_iou(true_boxes, boxes)  # [B, T, L, K]
    expected = (*true_ids.shape, ids.shape[2])
    if np.shape(overlap) != expected:
        raise ValueError(
            f"expected overlap [B, T, L, K] {expected}, got {np.shape(overlap)}"
        )
    clips = []
    for b in range(len(ids)):
        found, num_found = _numbers(ids[b])
        true, num_true = _numbers(true_ids[b])
        frames = []
        for t in range(ids.shape[1]):
            rows, columns = true[t] >= 0, found[t] >= 0
            iou = overlap[b, t][np.ix_(rows, columns)]
            frames.append(Frame(true[t][rows], found[t][columns], iou))
        clips.append(Clip(frames, num_true, num_found))
    return clips


def label_boxes(labels, num_labels) -> tuple[np.ndarray, np.ndarray]:
    """Tight boxes around the pixels of each label.

    Args:
        labels: `[B, T, H, W]` integers; those from `num_labels` on are left
            out.
        num_labels: Number of labels `N`.

    Returns:
        `(boxes, present)`: `[B, T, N, 4]` float64, zeros where a label has no
        pixel, and `[B, T, N]` bool.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.tracks import label_boxes
        >>> labels = np.array([[[[0, 1, 1]]]])  # a row of three pixels
        >>> boxes, present = label_boxes(labels, num_labels=2)
        >>> boxes[0, 0, 1]
        array([0., 1., 1., 3.])
    """
    labels = np.asarray(labels)
    boxes = np.zeros((*labels.shape[:2], num_labels, 4))
    present = np.zeros((*labels.shape[:2], num_labels), bool)
    for label in range(num_labels):
        owned = labels == label
        present[:, :, label] = owned.any((2, 3))
        for axis, other in ((0, 3), (1, 2)):
            line = owned.any(other)  # [B, T, H] or [B, T, W]
            boxes[:, :, label, axis] = line.argmax(-1)
            last = line.shape[-1] - line[..., ::-1].argmax(-1)
            boxes[:, :, label, axis + 2] = last
    return np.where(present[..., None], boxes, 0.0), present


def tracks_of_slots(slot_ids, num_slots, background) -> tuple:
    """Tracks of a model that gives masks alone.

    A slot is a track with the tight box of the pixels that it owns; the
    background is none.

    Args:
        slot_ids: `[B, T, H, W]` slot that owns each pixel.
        num_slots: `K`.
        background: `[B]` slot of each clip that is no object.

    Returns:
        `(boxes, ids)`: `[B, T, K, 4]`, and `[B, T, K]` where slot `k` has
        the id `k + 1`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.tracks import tracks_of_slots
        >>> slots = np.array([[[[0, 1, 1]]]])
        >>> boxes, ids = tracks_of_slots(slots, num_slots=2, background=[0])
        >>> ids
        array([[[0, 2]]])
    """
    boxes, present = label_boxes(slot_ids, num_slots)
    numbers = np.arange(num_slots)
    objects = numbers != np.asarray(background)[:, None]  # [B, K]
    return boxes, np.where(present & objects[:, None], numbers + 1, 0)


def tracks_of_segmentation(segmentation) -> tuple:
    """True tracks of labelled pixels: what is seen of each object.

    Args:
        segmentation: `[B, T, H, W]` or `[B, T, H, W, 1]`; 0 is the
            background, 255 (ignore) no object.

    Returns:
        `(boxes, ids)`: `[B, T, L, 4]` and `[B, T, L]`, the labels themselves.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.tracks import tracks_of_segmentation
        >>> boxes, ids = tracks_of_segmentation(np.array([[[[0, 1, 2]]]]))
        >>> boxes[0, 0, 1], ids
        (array([0., 2., 1., 3.]), array([[[1, 2]]]))
    """
    labels = np.asarray(segmentation)
    labels = labels[..., 0] if labels.ndim == 5 else labels
    last = int(labels[labels != IGNORE_ID].max(initial=0))
    boxes, present = label_boxes(labels, last + 1)
    ids = np.where(present, np.arange(last + 1), 0)
    return boxes[:, :, 1:], ids[:, :, 1:]


def tracks_of_boxes(boxes) -> tuple:
    """True tracks of stored boxes, an object's always at its own place.

    Args:
        boxes: `[B, T, L, 4]`; empty ones are padding, or out of sight.

    Returns:
        `(boxes, ids)`: as given, and `[B, T, L]` where object `l` has the id
        `l + 1`.

    Examples:
        >>> from tfdecomp.metrics.tracks import tracks_of_boxes
        >>> boxes, ids = tracks_of_boxes([[[[0, 0, 4, 4], [0, 0, 0, 0]]]])
        >>> ids
        array([[[1, 0]]])
    """
    boxes = np.asarray(boxes, np.float64)
    there = np.all(boxes[..., 2:] > boxes[..., :2], axis=-1)
    return boxes, np.where(there, np.arange(boxes.shape[2]) + 1, 0)


def _numbers(ids):
    """Ids `[T, N]` of a clip -> numbers from 0, -1 for none, and how many."""
    known = np.unique(ids[ids > 0])
    return np.where(ids > 0, np.searchsorted(known, ids), -1), len(known)


def _tracks(name, boxes, ids_name, ids):
    boxes, ids = np.asarray(boxes, np.float64), np.asarray(ids)
    if boxes.ndim != 4 or boxes.shape[3] != 4 or ids.shape != boxes.shape[:3]:
        raise ValueError(
            f"expected {name} [B, T, N, 4] and {ids_name} [B, T, N], got "
            f"{boxes.shape} and {ids.shape}"
        )
    if not np.issubdtype(ids.dtype, np.integer) or ids.min(initial=0) < 0:
        raise ValueError(
            f"{ids_name} must be integers from 0, where 0 is no box, got "
            f"{ids.dtype} from {ids.min(initial=0)}"
        )
    ordered = np.sort(ids, axis=2)
    twice = (ordered[..., 1:] == ordered[..., :-1]) & (ordered[..., 1:] > 0)
    if twice.any():
        b, t, n = np.argwhere(twice)[0]
        raise ValueError(
            f"{ids_name} has {ordered[b, t, n]} more than once in frame {t} of "
            f"clip {b}; a track has one box in a frame"
        )
    used = boxes[ids > 0]
    good = np.isfinite(used).all(-1) & (used[:, 2:] >= used[:, :2]).all(-1)
    if not good.all():
        raise ValueError(
            f"{name} must be (ymin, xmin, ymax, xmax) with ymin <= ymax and "
            f"xmin <= xmax, got {used[np.argmin(good)].tolist()}"
        )
    return boxes, ids
