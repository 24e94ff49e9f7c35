"""IDF1: how many boxes belong to the right track, all frames considered.

True and found tracks of a clip are matched one to one so that most boxes
agree, two boxes of a frame agreeing where they overlap enough:

    IDF1 = 2 agreeing / (true boxes + found boxes)

References:
    Ristani et al., Performance Measures and a Data Set for Multi-Target,
    Multi-Camera Tracking. 2016.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from tfdecomp.metrics import tracks
from tfdecomp.metrics.tracking import IOU


def identity_counts(
    boxes, ids, true_boxes, true_ids, threshold=IOU, overlap=None
) -> dict:
    """What IDF1 is made of, clip by clip.

    Args:
        boxes: `[B, T, K, 4]` found boxes.
        ids: `[B, T, K]` their tracks, see `tracks`.
        true_boxes: `[B, T, L, 4]`.
        true_ids: `[B, T, L]`.
        threshold: IoU from which two boxes agree.
        overlap: See `tracks.pair`.

    Returns:
        `[B]` float64 each: `true`, `found` and `agreeing` boxes.

    Raises:
        ValueError: See `tracks.pair`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.identity import identity_counts
        >>> boxes = np.tile([0, 0, 4, 4], [1, 2, 1, 1])  # stands for two frames
        >>> ids, true_ids = np.array([[[1], [2]]]), np.array([[[1], [1]]])
        >>> identity_counts(boxes, ids, boxes, true_ids)["agreeing"]
        array([1.])
    """
    rows = []
    for clip in tracks.pair(boxes, ids, true_boxes, true_ids, overlap):
        together = np.zeros((clip.num_true, clip.num_found))
        for frame in clip.frames:
            agree = frame.iou >= threshold - tracks.ROUNDING
            together[np.ix_(frame.true, frame.found)] += agree
        pairs = linear_sum_assignment(together, maximize=True)
        rows.append((clip.true_boxes, clip.found_boxes, together[pairs].sum()))
    columns = np.array(rows, np.float64).reshape(-1, 3).T
    return dict(zip(("true", "found", "agreeing"), columns))


def idf1(counts) -> np.ndarray:
    """IDF1 `[...]` of counts `[...]`; NaN where there is no true box.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.identity import idf1
        >>> counts = {"true": 2, "found": 2, "agreeing": np.array([1, 2])}
        >>> idf1(counts)
        array([0.5, 1. ])
    """
    total = counts["true"] + counts["found"]
    score = 2.0 * counts["agreeing"] / np.maximum(total, 1.0)
    return np.where(counts["true"] > 0, score, np.nan)
