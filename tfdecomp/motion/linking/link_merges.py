"""Boxes that hold several objects for a while, where objects come and go.

Two that pass each other become one blob and part again. The blob is taken out
of the tracks; both bridge it, and bodies tell where each of them is in it.
"""

import dataclasses

import numpy as np

from tfdecomp.motion.linking.link_bodies import Follower, Pixels
from tfdecomp.motion.linking.link_fill import FILLED, NONE, Tracks, between
from tfdecomp.motion.linking.link_measure import Scale, extents, intersections
from tfdecomp.motion.linking.meetings.link_meetings import blended

LARGER = 1.2  # than the larger one that went in: it holds both
NEAR = 3  # frames before it in which those end that went in
OVERLAP = 0.3  # of their box, that lies in it
STEADY = 3  # frames of a track that is believed
AROUND = 20  # frames before and after in which sizes are learnt


def holders(tracklets, max_gap):
    """Numbers of tracklets that may hold several.

    Two end where it begins, or begin where it ends, it is larger than both,
    and short enough to be bridged.

    Args:
        tracklets: In the order of their first frames.
        max_gap: Frames that a track may be unseen for.
    """
    steady = [t for t in tracklets if len(t) >= STEADY]
    by_end, by_start = {}, {}
    for piece in steady:
        by_end.setdefault(piece.last, []).append(piece)
        by_start.setdefault(piece.first, []).append(piece)
    result = []
    for number, piece in enumerate(tracklets):
        if len(piece) >= max_gap:
            continue
        before = _touching(piece.boxes[0], by_end, piece.first, -1, piece)
        after = _touching(piece.boxes[-1], by_start, piece.last, 1, piece)
        for those in (before, after):
            if len(those) < 2:
                continue
            single = max(_bulk(t) for t in those)
            if _bulk(piece) > LARGER * single:
                result.append(number)
                break
    return result


def _bulk(piece):
    return piece.area if piece.area > 0 else piece.size**2


def _touching(box, by_frame, frame, step, itself):
    edge = -1 if step < 0 else 0
    found = []
    for offset in range(1, NEAR + 1):
        for piece in by_frame.get(frame + step * offset, []):
            there = piece.boxes[edge][None]
            shared = intersections(box[None], there)[0, 0]
            if piece is not itself and shared > OVERLAP * extents(there)[0]:
                found.append(piece)
    return found


@dataclasses.dataclass
class Passing:
    """Several in one blob.

    Attributes:
        gaps: `{chain: (last frame before, first frame after)}`.
    """

    gaps: dict


def passings(numbers, tracklets, chains):
    """Which chains bridge which of those.

    Args:
        numbers: Of tracklets that are in no chain.
        tracklets: All.
        chains: Lists of numbers.

    Returns:
        `(passings, left)`: of blobs that at least two chains bridge, those
        that share a chain's gap as one; and the numbers of the others.
    """
    bridges = [
        (c, tracklets[one], tracklets[two])
        for c, chain in enumerate(chains)
        for one, two in zip(chain, chain[1:])
        if tracklets[two].first > tracklets[one].last + 1
    ]
    groups, left = [], []
    for number in numbers:
        piece = tracklets[number]
        gaps = {
            c: (one.last, two.first)
            for c, one, two in bridges
            if one.last < piece.first
            and two.first > piece.last
            and _leads_through(one, two, piece)
        }
        if len(gaps) < 2:
            left.append(number)
            continue
        same = [g for g in groups if g.gaps.items() & gaps.items()]
        for other in same:
            gaps |= other.gaps
            groups.remove(other)
        groups.append(Passing(gaps))
    return groups, left


def _leads_through(one, two, piece):
    """Whether the straight way from one to the other meets a blob."""
    way = between(one.boxes[-1], two.boxes[0], two.first - one.last - 1)
    rows = np.arange(piece.first, piece.last + 1) - one.last - 1
    low = np.maximum(way[rows, :2], piece.boxes[:, :2])
    high = np.minimum(way[rows, 2:], piece.boxes[:, 2:])
    return (high > low).all(-1).mean() > 0.5


def place(tracks, lives, passing, pixels: Pixels, scale: Scale, frames):
    """Puts everybody where bodies find them. Changes `tracks`.

    Args:
        tracks: `Tracks`, straight ways in the gaps.
        lives: `[(column, first, last)]` of chains.
        passing: A `Passing`.
        pixels: Of the foreground.
        scale: Of the video.
        frames: Cleaned `Detections`, one per frame.
    """
    members = sorted(passing.gaps)
    first = min(g[0] for g in passing.gaps.values())
    last = max(g[1] for g in passing.gaps.values())
    low, high = max(first - AROUND, 0), min(last + AROUND + 1, len(frames))
    others = [
        n
        for n, life in enumerate(lives)
        if n not in passing.gaps and life[1] < high and life[2] >= low
    ]
    part = _part(tracks, [lives[n] for n in members + others], low, high)
    inside = range(len(members))
    seen = part.sources[[first - low, last - low]][:, list(inside)] != NONE
    if not seen.all():
        return
    for n, key in enumerate(members):
        gap = passing.gaps[key]
        part.sources[gap[0] + 1 - low : gap[1] - low, n] = NONE
    follower = Follower(
        part,
        pixels.starting(low),
        dataclasses.replace(scale, tempo=scale.tempo[low:high]),
        frames[low:high],
    )
    if follower.pixels is None:
        return
    forward = follower.run(inside, first - low, last - low)
    backward = follower.run(inside, last - low, first - low)[::-1]
    boxes, doubts = blended(forward, backward, scale)
    for n, key in enumerate(members):
        before, after = passing.gaps[key]
        rows = slice(before + 1, after)
        here = slice(before - first, after - first - 1)
        column = lives[key][0]
        tracks.boxes[rows, column] = boxes[here, n]
        tracks.sources[rows, column] = FILLED
        tracks.doubts[rows, column] = doubts[here, n]


def _part(tracks, lives, low, high):
    """Some lives in some frames, one in a column."""
    part = Tracks(high - low, len(lives))
    for n, (column, first, last) in enumerate(lives):
        rows = slice(max(first, low), min(last + 1, high))
        here = slice(rows.start - low, rows.stop - low)
        part.boxes[here, n] = tracks.boxes[rows, column]
        part.sources[here, n] = tracks.sources[rows, column]
    return part
