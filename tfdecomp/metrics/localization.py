"""Where a model finds objects: points and boxes.

Decided once, for every function here:

* A slot is in use where its presence is above a half; slot 0 is the
  background and matched to nothing.
* Scores are shares or means over the true objects of all frames of a clip. A
  clip without any has no score: NaN, to be left out of means over clips.
* Where nothing is found the score is 0. Finding more than there is costs
  nothing here; `count_error` tells.
* Positions are `(y, x)` in pixels, boxes `(ymin, xmin, ymax, xmax)` pixel
  edges: pixel `(r, c)` has its centre at `(r + 0.5, c + 0.5)`.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from tfdecomp.metrics.counting import used_slots

RADIUS = 2.0  # pixels


def location_accuracy(
    locations, presence, true_centres, true_present, radius=RADIUS
) -> np.ndarray:
    """Share of true centres that have a location close by.

    Not a matching: one location close to two centres serves both.

    Args:
        locations: `[B, T, K, 2]`; slot 0 is the background.
        presence: `[B, T, K]` probabilities.
        true_centres: `[B, T, L, 2]`.
        true_present: `[B, T, L]` bool; others are padding, or out of sight.
        radius: Euclidean distance in pixels that is still close.

    Returns:
        `[B]` float64, NaN for a clip without objects.

    Raises:
        ValueError: If the shapes do not belong together.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.localization import location_accuracy
        >>> locations = np.array([[[[0, 0], [3, 4]]]])  # background, an object
        >>> true = np.array([[[[3, 5], [9, 9]]]])
        >>> location_accuracy(locations, np.ones([1, 1, 2]), true, [[[1, 1]]])
        array([0.5])
    """
    locations, true_centres = _pair(
        "locations", locations, "true_centres", true_centres, 2
    )
    used, present = _flags(locations, presence, true_centres, true_present)
    offsets = locations[:, :, 1:, None] - true_centres[:, :, None]
    distance = np.sqrt(np.sum(np.square(offsets), -1))  # [B, T, K - 1, L]
    close = np.any((distance <= radius) & used[..., None], axis=2)
    return _mean_over_objects(close, present)


def box_miou(boxes, presence, true_boxes, true_present) -> np.ndarray:
    """IoU of one-to-one matched boxes, averaged over true objects.

    In each frame boxes are matched so that the sum of IoUs is largest; an
    object without a box scores 0.

    Args:
        boxes: `[B, T, K, 4]`; slot 0 is the background.
        presence: `[B, T, K]` probabilities.
        true_boxes: `[B, T, L, 4]`.
        true_present: `[B, T, L]` bool; others are padding, or out of sight.

    Returns:
        `[B]` float64, NaN for a clip without objects.

    Raises:
        ValueError: If the shapes do not belong together.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.metrics.localization import box_miou
        >>> boxes = np.array([[[[0, 0, 8, 8], [0, 0, 4, 3]]]])
        >>> true = np.array([[[[0, 0, 4, 4]]]])
        >>> box_miou(boxes, np.ones([1, 1, 2]), true, [[[True]]])
        array([0.75])
    """
    boxes, true_boxes = _pair("boxes", boxes, "true_boxes", true_boxes, 4)
    used, present = _flags(boxes, presence, true_boxes, true_present)
    iou = box_iou(boxes[:, :, 1:], true_boxes)
    matched = np.zeros(present.shape)
    for place in np.ndindex(present.shape[:2]):
        slots = np.flatnonzero(used[place])
        objects = np.flatnonzero(present[place])
        table = iou[place][np.ix_(slots, objects)]
        rows, columns = linear_sum_assignment(table, maximize=True)
        matched[place][objects[columns]] = table[rows, columns]
    return _mean_over_objects(matched, present)


def box_iou(boxes, true_boxes) -> np.ndarray:
    """Intersection over union of each pair of boxes.

    Args:
        boxes: `[..., K, 4]`.
        true_boxes: `[..., L, 4]`.

    Returns:
        `[..., K, L]` float64; 0 for pairs of empty boxes.

    Examples:
        >>> from tfdecomp.metrics.localization import box_iou
        >>> box_iou([[0, 0, 4, 3], [8, 8, 9, 9]], [[0, 0, 4, 4]])
        array([[0.75],
               [0.  ]])
    """
    first = np.asarray(boxes, np.float64)[..., :, None, :]
    second = np.asarray(true_boxes, np.float64)[..., None, :, :]
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=-1)
    union = _area(first) + _area(second) - shared
    return np.where(union > 0, shared / np.where(union > 0, union, 1.0), 0.0)


def box_centres(boxes) -> np.ndarray:
    """Centres `[..., 2]` of boxes `[..., 4]`.

    Examples:
        >>> from tfdecomp.metrics.localization import box_centres
        >>> box_centres([0, 0, 4, 2])
        array([2., 1.])
    """
    boxes = np.asarray(boxes, np.float64)
    return 0.5 * (boxes[..., :2] + boxes[..., 2:])


def _area(boxes):
    return np.prod(np.maximum(boxes[..., 2:] - boxes[..., :2], 0.0), axis=-1)


def _mean_over_objects(values, present):
    """`[B, T, L]` -> `[B]`, NaN where no object is present."""
    count = present.sum((1, 2))
    total = np.where(present, values, 0.0).sum((1, 2))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _pair(name, found, true_name, true, size):
    """Both as floats, of the same clips and frames, or what is wrong."""
    found, true = np.asarray(found, np.float64), np.asarray(true, np.float64)
    for label, value in ((name, found), (true_name, true)):
        if value.ndim != 4 or value.shape[3] != size:
            raise ValueError(
                f"{label} must be [B, T, number, {size}], got {value.shape}"
            )
    if found.shape[:2] != true.shape[:2]:
        raise ValueError(
            f"{name} and {true_name} must be of the same clips and frames, "
            f"got {found.shape} and {true.shape}"
        )
    return found, true


def _flags(found, presence, true, true_present):
    """Slots in use and objects present, checked against their values."""
    used = used_slots(presence)
    present = np.asarray(true_present, bool)
    for name, flags, wanted in (
        ("presence", np.asarray(presence), found.shape[:3]),
        ("true_present", present, true.shape[:3]),
    ):
        if flags.shape != wanted:
            raise ValueError(f"{name} must be {wanted}, got {flags.shape}")
    return used, present
