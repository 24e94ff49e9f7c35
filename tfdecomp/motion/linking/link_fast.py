"""Objects that move by their own length in a frame, one behind the other.

Where a car was, the next one is a frame later: two frames do not tell who is
who, three do, since nobody changes speed by as much as all move.
"""

import numpy as np

from tfdecomp.motion.linking.link_measure import SIZE_JUMP, Scale, extents

SHORT = 2  # frames of a piece whose velocity is not known
FARTHEST = 2.0  # of its own sizes, that one moves in a frame
RIVAL = 2.0  # times as far off is the next best triple


def chain(pieces, scale: Scale):
    """Groups of pieces that go on as each other at a steady speed.

    Args:
        pieces: Tracklets, in the order of their first frames.
        scale: Of the video.

    Returns:
        Lists of numbers of pieces, each in the order of time; pieces that
        nothing is said of are in none.
    """
    short = [n for n, p in enumerate(pieces) if len(p) <= SHORT]
    starts, ends = {}, {}
    for number in short:
        starts.setdefault(pieces[number].first, []).append(number)
        ends.setdefault(pieces[number].last, []).append(number)
    links = {}
    for middle in short:
        triple = _best(pieces, middle, starts, ends, scale)
        if triple is not None:
            before, after = triple
            links.setdefault((before, middle), 0)
            links.setdefault((middle, after), 0)
    return _chains(_certain(links))


def _best(pieces, middle, starts, ends, scale):
    """The two that a piece lies between, or None if that is not plain."""
    piece = pieces[middle]
    before = ends.get(piece.first - 1, [])
    after = starts.get(piece.last + 1, [])
    if not before or not after:
        return None
    into = np.array([piece.centres[0] - pieces[b].centres[-1] for b in before])
    out = np.array([pieces[a].centres[0] - piece.centres[-1] for a in after])
    off = np.linalg.norm(into[:, None] - out[None], axis=-1)
    reach = max(scale.leap, FARTHEST * np.sqrt(extents(piece.boxes)).max())
    far = np.linalg.norm(into, axis=-1)[:, None] > reach
    fits = _alike([pieces[b].boxes[-1] for b in before], piece.boxes[0])
    fits = fits[:, None] & _alike(
        [pieces[a].boxes[0] for a in after], piece.boxes[-1]
    )
    off = np.where(fits & ~far, off, np.inf)
    one, two = np.unravel_index(np.argmin(off), off.shape)
    best = off[one, two]
    off[one, two] = np.inf
    if best > 0.5 * scale.reach or off.min() < RIVAL * (best + scale.step):
        return None
    return before[one], after[two]


def _alike(boxes, box):
    growth = extents(np.array(boxes)) / extents(box[None])[0]
    return (growth < SIZE_JUMP) & (growth > 1 / SIZE_JUMP)


def _certain(links):
    """`{one: two}` of links that no other one contradicts."""
    from_, to = {}, {}
    for one, two in links:
        from_.setdefault(one, set()).add(two)
        to.setdefault(two, set()).add(one)
    return {
        one: two
        for one, two in links
        if len(from_[one]) == 1 and len(to[two]) == 1
    }


def _chains(following):
    result = []
    for first in sorted(set(following) - set(following.values())):
        group = [first]
        while group[-1] in following:
            group.append(following[group[-1]])
        result.append(group)
    return result
