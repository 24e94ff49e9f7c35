"""First and last moments of tracks: what comes into view grows.

At the frame's edge a box grows or shrinks by half from frame to frame, and
its centre moves at another speed than the object. Pieces of tracks end there;
but what lies where the object is expected, and is nobody's, is the object.
"""

import numpy as np

from tfdecomp.motion.linking.link_fill import NONE
from tfdecomp.motion.linking.link_measure import (
    KEEP_SCORE,
    extents,
    intersections,
)

INSIDE = 0.5  # of the smaller box, that it shares with the expected one
RECENT = 3  # frames that a velocity is of


def extend(tracks, lives, frames):
    """Lets tracks begin earlier and end later. Changes `tracks`.

    Args:
        tracks: `Tracks`.
        lives: `[(column, first, last)]` of them.
        frames: Cleaned `Detections`, one per frame.

    Returns:
        The new lives, in the same order.
    """
    counted = any((found.areas > 0).any() for found in frames)
    # A box on nothing is not where something comes into view.
    free = [
        (f.scores >= KEEP_SCORE) & ((f.areas > 0) | (not counted))
        for f in frames
    ]
    for time, sources in enumerate(tracks.sources):
        free[time][sources[sources >= 0]] = False
    result = []
    for column, first, last in lives:
        number = tracks.ids[first, column]
        first = _grown(tracks, column, first, -1, last, frames, free)
        last = _grown(tracks, column, last, 1, first, frames, free)
        tracks.ids[first : last + 1, column] = number
        result.append((column, first, last))
    return result


def _grown(tracks, column, end, step, other, frames, free):
    """The frame that one end of a track reaches."""
    before = end - step * min(RECENT, abs(end - other))
    shift = np.zeros(4)
    if before != end:
        boxes = tracks.boxes[[before, end], column]
        shift = (boxes[1] - boxes[0]) / abs(end - before)
    while 0 <= end + step < len(frames):
        time = end + step
        if tracks.sources[time, column] != NONE:
            break  # another track is in this column
        numbers = np.flatnonzero(free[time])
        here = tracks.boxes[end, column]
        chosen = _nearest(here + shift, frames[time].boxes[numbers])
        if chosen is None:
            break
        found = numbers[chosen]
        free[time][found] = False
        tracks.boxes[time, column] = frames[time].boxes[found]
        tracks.sources[time, column] = found
        shift = tracks.boxes[time, column] - here
        end = time
    return end


def _nearest(expected, boxes):
    """Number of the box that shares most with the expected one, or None."""
    if not len(boxes) or (expected[2:] <= expected[:2]).any():
        return None
    shared = intersections(expected[None], boxes)[0]
    area = extents(expected[None])[0]
    part = shared / np.minimum(area, extents(boxes))
    best = int(np.argmax(part))
    return best if part[best] > INSIDE else None
