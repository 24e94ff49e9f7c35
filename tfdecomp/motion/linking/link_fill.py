"""Tracks as arrays over all frames, and what lies between their pieces."""

import numpy as np

from tfdecomp.motion.detections import FILLED, Linked

NONE = -2  # a track that is not there


class Tracks:
    """`[T, K]` tracks on their way to `Linked`.

    Attributes:
        boxes: `[T, K, 4]`.
        sources: `[T, K]`: a detection, `FILLED`, or `NONE`.
        doubts: `[T, K]`.
        ids: `[T, K]` numbers of the tracks, from 1.
    """

    def __init__(self, num_frames, count):
        self.boxes = np.zeros((num_frames, count, 4))
        self.sources = np.full((num_frames, count), NONE, np.int64)
        self.doubts = np.zeros((num_frames, count))
        numbers = np.arange(1, count + 1, dtype=np.int64)
        self.ids = np.tile(numbers, (num_frames, 1))

    def put(self, track, piece):
        """Enters a tracklet."""
        rows = slice(piece.first, piece.last + 1)
        self.boxes[rows, track] = piece.boxes
        self.sources[rows, track] = piece.sources

    def doubted(self, first, last, track, doubt):
        """Raises the doubt of frames `[first, last]`."""
        rows = slice(max(first, 0), last + 1)
        here = self.doubts[rows, track]
        self.doubts[rows, track] = np.maximum(here, doubt)

    def linked(self, origins):
        """One `Linked` per frame; sources become detections' numbers."""
        result = []
        for time in range(len(self.boxes)):
            here = np.flatnonzero(self.sources[time] != NONE)
            sources = self.sources[time, here].copy()
            seen = sources >= 0
            sources[seen] = origins[time][sources[seen]]
            result.append(
                Linked(
                    self.ids[time, here],
                    self.boxes[time, here],
                    sources,
                    np.clip(self.doubts[time, here], 0.0, 1.0),
                )
            )
        return result


def gaps(sources):
    """`[(first, last)]` runs of frames of one track that nothing is in."""
    missing = np.concatenate([[0], np.asarray(sources) == NONE, [0]]).astype(
        int
    )
    change = np.diff(missing)
    return list(
        zip(np.flatnonzero(change == 1), np.flatnonzero(change == -1) - 1)
    )


def between(before, after, count):
    """`[count, 4]` boxes on the straight way, ends left out."""
    share = np.arange(1, count + 1)[:, None] / (count + 1)
    return (1 - share) * before + share * after


def uncertainty(count):
    """`[count]` doubt of places filled in a gap, largest in its middle."""
    depth = np.minimum(np.arange(1, count + 1), np.arange(count, 0, -1))
    return np.minimum(0.1 + 0.05 * depth, 0.9)


def fill_all(tracks: Tracks):
    """Gives every track a box in every frame, by straight ways.

    Before its first and after its last detection a track stands still.
    """
    for track in range(tracks.boxes.shape[1]):
        for first, last in gaps(tracks.sources[:, track]):
            fill(tracks, track, first, last)


def fill_inner(tracks: Tracks):
    """The same between detections only."""
    for track in range(tracks.boxes.shape[1]):
        for first, last in gaps(tracks.sources[:, track]):
            if first > 0 and last + 1 < len(tracks.boxes):
                fill(tracks, track, first, last)


def fill(tracks: Tracks, track, first, last):
    """Fills frames `[first, last]` of one track, if it is anywhere else."""
    boxes, count = tracks.boxes[:, track], last - first + 1
    has_before, has_after = first > 0, last + 1 < len(boxes)
    rows = slice(first, last + 1)
    if has_before and has_after:
        boxes[rows] = between(boxes[first - 1], boxes[last + 1], count)
        doubts = uncertainty(count)
    elif has_before or has_after:
        boxes[rows] = boxes[first - 1] if has_before else boxes[last + 1]
        far = np.arange(1, count + 1)
        doubts = np.minimum(0.1 + 0.05 * far, 0.9)
        doubts = doubts if has_before else doubts[::-1]
    else:
        return
    tracks.sources[rows, track] = FILLED
    here = tracks.doubts[rows, track]
    tracks.doubts[rows, track] = np.maximum(here, doubts)
