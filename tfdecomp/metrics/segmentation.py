"""Pixel error and overlap scores.

The overlap scores compare true objects with predicted slots through the
intersection over union (IoU) of their pixels. Decided once, for all of them:

* Pixels of true label 255 (ignore) are not counted, neither in an
  intersection nor in a union.
* With `foreground_only` (the default) only objects, not the background, must
  be found; any slot may find them.
* Where there is nothing to find the score is 1.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from tfdecomp.metrics.rand_index import contingency
from tfdecomp.types import BACKGROUND_ID


def mse(video, recon) -> np.ndarray:
    """Mean squared error per frame, over all pixels and channels.

    Args:
        video: `[B, T, H, W, C]`, floating point in `[0, 1]` or uint8.
        recon: `[B, T, H, W, C]`, likewise.

    Returns:
        `[B, T]` float64.

    Raises:
        ValueError: If the shapes differ.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.segmentation import mse
        >>> video = np.zeros([1, 2, 4, 4, 3], np.float32)
        >>> mse(video, video + 0.5)
        array([[0.25, 0.25]])
    """
    video, recon = np.asarray(video), np.asarray(recon)
    if video.shape != recon.shape or video.ndim != 5:
        raise ValueError(
            "video and recon must both be [B, T, H, W, C], got "
            f"{video.shape} and {recon.shape}"
        )
    error = _as_float(recon) - _as_float(video)
    return np.mean(np.square(error), axis=(2, 3, 4), dtype=np.float64)


def mean_iou(
    true_ids, pred_ids, foreground_only=True, per_frame=True
) -> np.ndarray:
    """IoU of one-to-one matched objects, averaged over true objects (mIoU).

    Objects and slots are matched so that the sum of IoUs is largest; an
    object without a slot scores 0.

    Args:
        true_ids: `[B, T, H, W]` or `[B, T, H, W, 1]` integers.
        pred_ids: `[B, T, H, W]` integers.
        foreground_only: Whether the background needs no match.
        per_frame: Whether each frame is matched and scored by itself.

    Returns:
        `[B, T]` float64 per frame, `[B]` with a clip's pixels taken at once.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.segmentation import mean_iou
        >>> true, pred = np.array([[[[1, 1, 1, 2]]]]), np.array([[[[0] * 4]]])
        >>> mean_iou(true, pred)  # only one object may take the slot
        array([[0.375]])
    """
    table = _table(true_ids, pred_ids, per_frame)
    return overlap_scores_of_table(table, foreground_only)["miou"]


def mean_best_overlap(
    true_ids, pred_ids, foreground_only=True, per_frame=True
) -> np.ndarray:
    """Best IoU of any slot, averaged over true objects (mBO).

    Args:
        true_ids: `[B, T, H, W]` or `[B, T, H, W, 1]` integers.
        pred_ids: `[B, T, H, W]` integers.
        foreground_only: Whether the background is left out.
        per_frame: Whether each frame is scored by itself.

    Returns:
        `[B, T]` float64 per frame, `[B]` with a clip's pixels taken at once.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.segmentation import mean_best_overlap
        >>> true, pred = np.array([[[[1, 1, 1, 2]]]]), np.array([[[[0] * 4]]])
        >>> mean_best_overlap(true, pred)  # 3 / 4 and 1 / 4
        array([[0.5]])
    """
    table = _table(true_ids, pred_ids, per_frame)
    return overlap_scores_of_table(table, foreground_only)["mbo"]


def covering(
    true_ids, pred_ids, foreground_only=True, per_frame=True
) -> np.ndarray:
    """Best IoU of any slot, averaged over true objects by their area.

    Args:
        true_ids: `[B, T, H, W]` or `[B, T, H, W, 1]` integers.
        pred_ids: `[B, T, H, W]` integers.
        foreground_only: Whether the background is left out.
        per_frame: Whether each frame is scored by itself.

    Returns:
        `[B, T]` float64 per frame, `[B]` with a clip's pixels taken at once.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.segmentation import covering
        >>> true, pred = np.array([[[[1, 1, 1, 2]]]]), np.array([[[[0] * 4]]])
        >>> covering(true, pred)  # the same by area
        array([[0.625]])
    """
    table = _table(true_ids, pred_ids, per_frame)
    return overlap_scores_of_table(table, foreground_only)["covering"]


def overlap_scores_of_table(table, foreground_only=True) -> dict:
    """All overlap scores from one count.

    Args:
        table: `[..., I, J]` pixels of true label `i` and slot `j`, as
            `rand_index.contingency` counts them; row 0 is the background.
        foreground_only: Whether the background need not be found.

    Returns:
        `miou`, `mbo` and `covering`, `[...]` float64 each.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.segmentation import overlap_scores_of_table
        >>> scores = overlap_scores_of_table(np.array([[0], [3], [1]]))
        >>> scores["miou"], scores["mbo"], scores["covering"]
        (array(0.375), array(0.5), array(0.625))
    """
    pred_areas = table.sum(-2, keepdims=True)
    if foreground_only:
        table = table[..., BACKGROUND_ID + 1 :, :]
    areas = table.sum(-1)
    union = areas[..., None] + pred_areas - table
    iou = table / np.maximum(union, 1)
    best = iou.max(-1)
    matched = np.zeros(areas.shape[:-1])
    for place in np.ndindex(matched.shape):
        pairs = linear_sum_assignment(iou[place], maximize=True)
        matched[place] = iou[place][pairs].sum()
    count = np.sum(areas > 0, -1)
    return {
        "miou": _share(matched, count),
        "mbo": _share(best.sum(-1), count),
        "covering": _share(np.sum(areas * best, -1), areas.sum(-1)),
    }


def _table(true_ids, pred_ids, per_frame):
    table = contingency(true_ids, pred_ids)
    return table if per_frame else table.sum(1)


def _share(sums, counts):
    """`sums / counts`, and 1 where there is nothing to find."""
    return np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)


def _as_float(picture):
    if picture.dtype == np.uint8:
        return picture.astype(np.float32) / 255.0
    return picture.astype(np.float32)
