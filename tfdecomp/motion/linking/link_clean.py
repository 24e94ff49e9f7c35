"""One detection per object, and none of what cannot be one."""

import numpy as np

from tfdecomp.motion.detections import Detections
from tfdecomp.motion.linking.link_measure import (
    KEEP_SCORE,
    Scale,
    extents,
    intersections,
)

SHARED = 0.5  # of the smaller box: parts of one object share that much
GROWN = 1.4  # a union larger than so many typical objects holds two
GHOST = 0.3  # of its box is others': it has no place of its own
UNSURE = 0.4  # most that a detection on nothing may score


def finite(detections: Detections) -> Detections:
    """Those with finite boxes that have an extent, and their numbers."""
    boxes, scores = detections.boxes, detections.scores
    good = np.isfinite(boxes).all(-1) & np.isfinite(scores)
    good &= (boxes[:, 2:] > boxes[:, :2]).all(-1) & (scores >= KEEP_SCORE)
    return np.flatnonzero(good)


def clean(detections: Detections, scale: Scale, most=None):
    """Merges boxes that lie on one object.

    Args:
        detections: Of one frame.
        scale: Of the video.
        most: Number of objects, if known: no more boxes than that are left
            while any two of them share half of the smaller one.

    Returns:
        `Detections` `[k]` and `[k]` the numbers of those they come from; of
        merged ones, that of the surest.
    """
    numbers = finite(detections)
    if len(numbers) < len(detections):
        detections = detections.take(numbers)
    kept = np.flatnonzero(~_ghosts(detections, scale))
    detections, numbers = detections.take(kept), numbers[kept]
    detections = _doubtful_on_nothing(detections, scale)
    while len(detections) > 1:
        pair = _duplicate(detections.boxes, scale, most)
        if pair is None:
            break
        detections, kept = _merged(detections, *pair, scale)
        numbers = numbers[kept]
    return detections, numbers


def _ghosts(detections, scale):
    """`[n]` bool: without a pixel, over others that have all of them."""
    nothing = detections.areas <= 0
    if scale.area <= 0 or not nothing.any() or nothing.all():
        return np.zeros(len(nothing), bool)
    boxes = detections.boxes
    shared = intersections(boxes, boxes[~nothing]).max(1)
    return nothing & (shared > GHOST * extents(boxes))


def _doubtful_on_nothing(detections, scale):
    nothing = detections.areas <= 0
    if scale.area <= 0 or not nothing.any():
        return detections
    scores = np.where(
        nothing, np.minimum(detections.scores, UNSURE), detections.scores
    )
    return Detections(
        detections.boxes,
        scores,
        detections.areas,
        detections.features,
        detections.numbers,
    )


def _duplicate(boxes, scale, most):
    """The two that are most likely one, or None."""
    shared = intersections(boxes, boxes)
    np.fill_diagonal(shared, 0.0)
    if not shared.any():
        return None
    area = extents(boxes)
    smaller = np.minimum(area[:, None], area[None])
    either = area[:, None] + area[None] - shared
    part = shared / smaller
    # One inside the other adds nothing, however large the object is.
    larger = np.maximum(area[:, None], area[None])
    bound = np.maximum(GROWN * scale.size**2, 1.1 * larger)
    alike = (part > SHARED) & (either <= bound)
    alike |= shared / either > 0.7
    if most is not None and len(boxes) > most:
        alike |= part > 0.7
    if not alike.any():
        return None
    return np.unravel_index(np.argmax(np.where(alike, part, -1.0)), part.shape)


def _merged(detections, i, j, scale):
    """Detections without one of two, and the numbers of those kept."""
    if detections.scores[j] > detections.scores[i]:
        i, j = j, i
    kept = np.delete(np.arange(len(detections)), j)
    both = detections.boxes[[i, j]]
    union = np.concatenate([both[:, :2].min(0), both[:, 2:].max(0)])
    choice = np.stack([detections.boxes[i], union])
    off = np.abs(np.log(extents(choice) / scale.size**2))
    boxes, areas = detections.boxes.copy(), detections.areas.copy()
    boxes[i] = choice[off.argmin()]
    areas[i] = max(areas[i], areas[j])
    result = Detections(
        boxes,
        detections.scores,
        areas,
        detections.features,
        detections.numbers,
    )
    return result.take(kept), kept
