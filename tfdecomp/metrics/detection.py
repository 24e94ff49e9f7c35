"""Average precision (AP) of boxes, each frame a picture of its own.

In a frame, boxes are taken in the order of falling confidence. One is right
if the true box that it overlaps most, ties to the first, is overlapped more
than the threshold and has not been taken; there is no second choice. Then the
boxes of all frames are put into the order of falling confidence, equal ones
staying in the order of clips, frames and slots:

    AP = mean over thresholds and recalls r = 0, .1, ..., 1 of the largest
    precision at a recall of at least r, 0 where there is none

Boxes count with any confidence above 0. Precision is one of all clips
together, so AP of many clips is not the mean of theirs.

References:
    Everingham et al., The PASCAL Visual Object Classes (VOC) Challenge. 2010.
    Crawford and Pineau, Exploiting Spatial Invariance for Scalable
    Unsupervised Object Tracking. 2020; nine thresholds.
"""

from typing import NamedTuple

import numpy as np

from tfdecomp.metrics.localization import box_iou

THRESHOLDS = np.arange(1, 10) / 10
_RECALLS = np.arange(11) / 10
_ROUNDING = 1e-9  # recalls are fractions: .3 of ten boxes are three


class Detections(NamedTuple):
    """Boxes of many clips, each found to be right or wrong.

    Attributes:
        clip: `[N]` clip of each box.
        confidence: `[N]`.
        correct: `[N, thresholds]` bool.
        num_true: `[B]` true boxes of each clip.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.detection import Detections
        >>> clip, confidence = np.array([0, 0]), np.array([0.9, 0.4])
        >>> correct = np.array([[True], [False]])  # at one threshold
        >>> found = Detections(clip, confidence, correct, np.array([1]))
        >>> found.correct.mean(0)
        array([0.5])
    """

    clip: np.ndarray
    confidence: np.ndarray
    correct: np.ndarray
    num_true: np.ndarray


def detect(
    boxes,
    confidence,
    true_boxes,
    true_present,
    thresholds=THRESHOLDS,
    overlap=None,
) -> Detections:
    """Which boxes are right, for each threshold.

    Args:
        boxes: `[B, T, K, 4]` found boxes.
        confidence: `[B, T, K]`; a box counts where it is above 0.
        true_boxes: `[B, T, L, 4]`.
        true_present: `[B, T, L]` bool; others are padding, or out of sight.
        thresholds: Of the IoU, which must be larger.
        overlap: `[B, T, L, K]`, see `tracks.pair`.

    Raises:
        ValueError: If the shapes do not belong together.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.detection import detect
        >>> boxes = np.array([[[[0, 0, 4, 4], [9, 9, 12, 12]]]])
        >>> true = np.array([[[[0, 0, 4, 3]]]])  # overlaps the first by 0.75
        >>> found = detect(boxes, [[[0.5, 0.9]]], true, [[[True]]], [0.5, 0.8])
        >>> found.correct.tolist()  # the more certain one comes first
        [[False, False], [True, False]]
    """
    boxes, confidence = _check("boxes", boxes, "confidence", confidence)
    true_boxes, present = _check(
        "true_boxes", true_boxes, "true_present", true_present
    )
    if boxes.shape[:2] != true_boxes.shape[:2]:
        raise ValueError(
            "boxes and true_boxes must be of the same clips and frames, got "
            f"{boxes.shape} and {true_boxes.shape}"
        )
    present = present.astype(bool)
    thresholds = np.asarray(thresholds, np.float64)
    if overlap is None:
        iou = box_iou(boxes, true_boxes)
    else:
        iou = np.swapaxes(overlap, 2, 3)
    iou = np.where(present[:, :, None], iou, -1.0)  # [B, T, K, L]
    clips, confidences, corrects = [], [], []
    for b, t in np.ndindex(boxes.shape[:2]):
        order = np.argsort(-confidence[b, t], kind="stable")
        order = order[confidence[b, t][order] > 0]
        clips.append(np.full(len(order), b))
        confidences.append(confidence[b, t][order])
        corrects.append(_correct(iou[b, t][order], thresholds))
    return Detections(
        np.concatenate(clips),
        np.concatenate(confidences),
        np.concatenate(corrects),
        present.sum((1, 2)),
    )


def join(parts) -> Detections:
    """The detections of all clips of several batches.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.detection import detect, join
        >>> box = np.array([[[[0, 0, 4, 4]]]])
        >>> found = detect(box, [[[0.9]]], box, [[[True]]])
        >>> join([found, found]).num_true
        array([1, 1])
    """
    first = np.cumsum([0] + [len(p.num_true) for p in parts])
    return Detections(
        np.concatenate([p.clip + n for p, n in zip(parts, first)]),
        *(np.concatenate(columns) for columns in list(zip(*parts))[1:]),
    )


def choose(detections, clips) -> Detections:
    """The detections of some clips.

    Args:
        detections: Of `B` clips.
        clips: `[B]` bool.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.detection import choose, detect
        >>> box = np.array([[[[0, 0, 4, 4]]], [[[0, 0, 2, 2]]]])  # two clips
        >>> found = detect(box, [[[0.9]], [[0.8]]], box, np.ones([2, 1, 1]))
        >>> choose(found, [False, True]).confidence
        array([0.8])
    """
    clips = np.asarray(clips, bool)
    rows = clips[detections.clip]
    return Detections(
        np.cumsum(clips)[detections.clip[rows]] - 1,
        detections.confidence[rows],
        detections.correct[rows],
        detections.num_true[clips],
    )


def average_precision(detections) -> np.ndarray:
    """AP of all clips together.

    Args:
        detections: From `detect`.

    Returns:
        `[thresholds]` float64, the AP at each; the mean is *the* AP. NaN
        where there is no true box.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.detection import average_precision, detect
        >>> boxes = np.array([[[[0, 0, 4, 4], [9, 9, 12, 12]]]])
        >>> true = np.array([[[[0, 0, 4, 3]]]])  # overlaps the first by 0.75
        >>> found = detect(boxes, [[[0.5, 0.9]]], true, [[[True]]], [0.5, 0.8])
        >>> average_precision(found)  # half of the boxes are right, or none
        array([0.5, 0. ])
    """
    num_true = detections.num_true.sum()
    order = np.argsort(-detections.confidence, kind="stable")
    correct = detections.correct[order]
    if not num_true:
        return np.full(correct.shape[1], np.nan)
    right = np.cumsum(correct, axis=0)  # [N, thresholds]
    precision = right / np.arange(1, len(right) + 1)[:, None]
    recall = right / num_true
    scores = np.zeros((len(_RECALLS), correct.shape[1]))
    for row, least in zip(scores, _RECALLS):
        reached = recall >= least - _ROUNDING
        row[:] = np.max(precision, axis=0, where=reached, initial=0.0)
    return scores.mean(0)


def _correct(iou, thresholds):
    """`[K, L]` in the order of confidence -> `[K, thresholds]` bool."""
    correct = np.zeros((len(iou), len(thresholds)), bool)
    if iou.shape[1] == 0:
        return correct
    taken = np.zeros((iou.shape[1], len(thresholds)), bool)
    for row, best in zip(range(len(iou)), iou.argmax(1)):
        correct[row] = (iou[row, best] > thresholds) & ~taken[best]
        taken[best] |= correct[row]
    return correct


def _check(name, boxes, other_name, other):
    boxes, other = np.asarray(boxes, np.float64), np.asarray(other)
    if boxes.ndim != 4 or boxes.shape[3] != 4 or other.shape != boxes.shape[:3]:
        raise ValueError(
            f"expected {name} [B, T, N, 4] and {other_name} [B, T, N], got "
            f"{boxes.shape} and {other.shape}"
        )
    return boxes, other
