"""HOTA: detection and association in equal parts.

In each frame true and found boxes are matched one to one by the largest sum
of overlap times alignment, the alignment of two tracks being the share of
their boxes that overlap, softly counted over the whole clip. For each least
overlap `alpha` of .05, .10, ..., .95, with `TP(c)` the matches of the two
tracks that match `c` belongs to:

    DetA = TP / (TP + FN + FP)
    AssA = 1 / TP sum_c TP(c) / (boxes of either track - TP(c))
    HOTA = mean over alpha of sqrt(DetA AssA)

References:
    Luiten et al., HOTA: A Higher Order Metric for Evaluating Multi-Object
    Tracking. 2021.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from tfdecomp.metrics import tracks

ALPHAS = np.arange(1, 20) / 20


def hota_counts(boxes, ids, true_boxes, true_ids, overlap=None) -> dict:
    """What HOTA is made of, clip by clip.

    Args:
        boxes: `[B, T, K, 4]` found boxes.
        ids: `[B, T, K]` their tracks, see `tracks`.
        true_boxes: `[B, T, L, 4]`.
        true_ids: `[B, T, L]`.
        overlap: See `tracks.pair`.

    Returns:
        `[B, 19]` float64 each, by `ALPHAS`: `matches`, `misses`,
        `false_positives` and `association`, the sum over matches in `AssA`.

    Raises:
        ValueError: See `tracks.pair`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.hota import hota_counts
        >>> boxes, ids = np.array([[[[0, 0, 4, 4]]]]), np.array([[[7]]])
        >>> hota_counts(boxes, ids, boxes, ids)["matches"].shape
        (1, 19)
    """
    clips = tracks.pair(boxes, ids, true_boxes, true_ids, overlap)
    rows = [_clip_counts(clip) for clip in clips]
    columns = np.array(rows, np.float64).reshape(-1, 4, len(ALPHAS))
    names = ("matches", "misses", "false_positives", "association")
    return dict(zip(names, columns.swapaxes(0, 1)))


def hota(counts) -> np.ndarray:
    """HOTA `[...]` of counts `[..., 19]`; NaN where there is no true box.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.hota import hota, hota_counts
        >>> true, ids = np.array([[[[0, 0, 4, 4]]]]), np.array([[[7]]])
        >>> boxes = np.array([[[[0, 0, 4, 3.8]]]])  # overlap 0.95
        >>> hota(hota_counts(boxes, ids, true, ids))
        array([1.])
    """
    matches = counts["matches"]
    true = matches + counts["misses"]
    boxes = true + counts["false_positives"]
    detection = matches / np.maximum(boxes, 1.0)
    association = counts["association"] / np.maximum(matches, 1.0)
    score = np.sqrt(detection * association).mean(-1)
    return np.where(true[..., 0] > 0, score, np.nan)


def _clip_counts(clip):
    """`matches`, `misses`, `false_positives`, `association`, `[19]` each."""
    lengths, alignment = _alignment(clip)
    together = np.zeros((len(ALPHAS), clip.num_true, clip.num_found))
    for frame in clip.frames:
        place = np.ix_(frame.true, frame.found)
        rows, columns = linear_sum_assignment(
            alignment[place] * frame.iou, maximize=True
        )
        close = frame.iou[rows, columns] >= ALPHAS[:, None] - tracks.ROUNDING
        together[:, frame.true[rows], frame.found[columns]] += close
    matches = together.sum((1, 2))
    association = np.sum(together * together / (lengths - together), (1, 2))
    return (
        matches,
        clip.true_boxes - matches,
        clip.found_boxes - matches,
        association,
    )


def _alignment(clip):
    """`[I, J]` boxes of two tracks together, and share that overlaps."""
    true, found = np.zeros(clip.num_true), np.zeros(clip.num_found)
    shared = np.zeros((clip.num_true, clip.num_found))
    for frame in clip.frames:
        true[frame.true] += 1
        found[frame.found] += 1
        sums = frame.iou.sum(1)[:, None] + frame.iou.sum(0) - frame.iou
        share = frame.iou / np.where(sums > tracks.ROUNDING, sums, np.inf)
        shared[np.ix_(frame.true, frame.found)] += share
    lengths = true[:, None] + found
    return lengths, shared / (lengths - shared)
