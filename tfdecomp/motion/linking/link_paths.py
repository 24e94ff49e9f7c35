"""Which tracklet goes on as which, over the whole video at once.

A cover of tracklets with paths: every tracklet has one successor, or ends,
or is left out at a price. One sparse assignment decides on all of them.
"""

import dataclasses

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from tfdecomp.motion.linking.link_measure import Scale

TAIL = 4.0  # degrees of freedom of errors of predictions
STRANGE = 4.0  # more, for a place that no motion leads to
NEVER = 2000.0  # of an identity that has no tracklet at all
NEAREST = 6  # successors beyond the gate that are weighed
LATER = 12  # starts that follow, wherever they are


@dataclasses.dataclass
class Ends:
    """Where tracklets begin and end, as arrays `[n]`, `[n, 2]`, `[n, 4]`."""

    first: np.ndarray
    last: np.ndarray
    start: np.ndarray
    end: np.ndarray
    start_velocity: np.ndarray
    end_velocity: np.ndarray
    start_box: np.ndarray
    end_box: np.ndarray
    length: np.ndarray
    score: np.ndarray
    sure: np.ndarray

    @classmethod
    def of(cls, tracklets):
        names = ("first", "last", "start", "end")
        names += ("start_velocity", "end_velocity")
        values = [np.array([getattr(t, n) for t in tracklets]) for n in names]
        boxes = [[t.boxes[n] for t in tracklets] for n in (0, -1)]
        values += [np.array(b).reshape(-1, 4) for b in boxes]
        length = np.array([len(t) for t in tracklets])
        score = np.array([t.scores.mean() for t in tracklets])
        sure = np.array([t.is_sure for t in tracklets], bool)
        return cls(*values, length, score, sure)


def motion_cost(ends: Ends, i, j, scale: Scale):
    """Cost `[k]` of the motion from `i`'s end to `j`'s start, and how far.

    Both are asked: where the one was going, and where the other came from.

    Returns:
        Costs, and distances in units of what is typical over that gap.
    """
    gap = ends.first[j] - ends.last[i]
    # Of a single frame there is no velocity: any usual one will do.
    unknown = 0.5 * ((ends.length[i] < 2) + 1.0 * (ends.length[j] < 2))
    blur = np.sqrt(unknown) * scale.travel(gap) * scale.stride
    off = misses(ends, i, j, scale)
    cost = surprise(off, gap, scale, blur)
    return cost, off / np.hypot(scale.spread(gap), blur)


def misses(ends: Ends, i, j, scale: Scale, slack=0.0):
    """How far `[k]` places are from where motion leads, pixels at usual pace.

    Args:
        ends: Of all tracklets.
        i: `[k]` numbers of those that end.
        j: `[k]` numbers of those that begin.
        scale: Of the video.
        slack: `[k, 2]` how far off is no miss.

    Returns:
        Means of both ways, squared: from `i` ahead, and from `j` back.
    """
    travel = scale.travel(ends.first[j] - ends.last[i])[:, None]
    step = ends.start[j] - ends.end[i]
    squares = [
        np.maximum(np.abs(step - travel * velocity) - slack, 0.0) ** 2
        for velocity in (ends.end_velocity[i], ends.start_velocity[j])
    ]
    off = np.sqrt(0.5 * sum(square.sum(-1) for square in squares))
    return off / scale.pace(ends.last[i], ends.first[j])


def surprise(off, gap, scale: Scale, blur=0.0):
    """Minus the log density of a prediction's error, up to a constant.

    A Student's t of two dimensions whose median is what predictions over
    that gap show: steady animals dart now and then.

    Args:
        off: `[k]` errors, pixels.
        gap: `[k]` frames.
        scale: Of the video.
        blur: `[k]` what else makes predictions worse, pixels.
    """
    spread = np.hypot(scale.spread(gap), blur)
    tail = (TAIL + 2) / 2 * np.log1p((1.18 * off / spread) ** 2 / TAIL)
    return tail + 2 * np.log(spread / scale.spread(1))


def candidates(ends: Ends, scale: Scale, max_gap, far=False):
    """Pairs `(i, j)` worth weighing, with their motion's costs.

    Args:
        ends: Of all tracklets, in the order of their first frames.
        scale: Of the video.
        max_gap: Frames that a motion may bridge.
        far: Also weigh what no motion leads to.
    """
    gate = scale.reach / scale.spread(1)
    rows, columns, costs = [], [], []
    low = np.searchsorted(ends.first, ends.last, side="right")
    high = np.searchsorted(ends.first, ends.last + max_gap, side="right")
    for i in range(len(ends.first)):
        top = high[i]
        if far:
            top = max(top, min(low[i] + LATER, len(ends.first)))
        j = np.arange(low[i], top)
        if not len(j):
            continue
        cost, off = motion_cost(ends, np.full(len(j), i), j, scale)
        inside = (off <= gate) & (j < high[i])
        chosen = inside
        if far:
            cost = np.where(inside, cost, cost + STRANGE)
            chosen = inside | (j < low[i] + LATER)
            chosen[np.argsort(cost)[:NEAREST]] = True
        rows.append(np.full(chosen.sum(), i))
        columns.append(j[chosen])
        costs.append(cost[chosen])
    if not rows:
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    return tuple(np.concatenate(v) for v in (rows, columns, costs))


def worth(ends: Ends, crowded):
    """`[n]` price of leaving a tracklet out.

    Args:
        ends: Of `n` tracklets.
        crowded: `[n]` whether there are more of them than identities, so that
            some must be left out.
    """
    length = np.minimum(ends.length, 400) * ends.score
    sure = np.where(crowded, 2.0 + length, 8.0 + 2.0 * length)
    return np.where(ends.sure, sure, 0.1 * length)


def cover_known(ends, edges, num_frames, count, crowded):
    """Successors with exactly `count` paths.

    Args:
        ends: Of `n` tracklets.
        edges: `(i, j, cost)` arrays.
        num_frames: Of the video.
        count: Paths.
        crowded: See `worth`.

    Returns:
        `[n]` successor, -1 where a path ends, -2 where a tracklet is left
        out; and `[n]` bool, whether a path starts there.
    """
    number = len(ends.first)
    i, j, cost = edges
    every = np.arange(number)
    paths = number + np.arange(count)
    born = 2.0 * np.log1p(ends.first)
    dead = 2.0 * np.log1p(num_frames - 1 - ends.last)
    rows = [i, every, np.repeat(every, count), np.tile(paths, number), paths]
    columns = [j, every, np.tile(paths, number), np.repeat(every, count), paths]
    price = [cost, worth(ends, crowded), np.repeat(dead, count)]
    price += [np.repeat(born, count), np.full(count, NEVER)]
    match = _assign(rows, columns, price, number + count)
    starts = np.zeros(number, bool)
    starts[match[number:][match[number:] < number]] = True
    successor = match[:number].copy()
    successor[successor == every] = -2
    successor[successor >= number] = -1
    return successor, starts


def cover_open(ends, edges, price):
    """Successors where paths may start and end at a price.

    Args:
        ends: Of `n` tracklets.
        edges: `(i, j, cost)` arrays.
        price: Of a start, and of an end.

    Returns:
        As `cover_known` does; no tracklet is left out.
    """
    number = len(ends.first)
    i, j, cost = edges
    good = cost < 2 * price
    every = np.arange(number)
    rows = [i[good], every, number + every]
    columns = [j[good], number + every, every]
    prices = [cost[good], np.full(number, price), np.full(number, price)]
    # What is not needed as an end is taken as a start, for nothing.
    rows.append(number + j[good])
    columns.append(number + i[good])
    prices.append(np.zeros(good.sum()))
    match = _assign(rows, columns, prices, 2 * number)
    successor = np.where(match[:number] < number, match[:number], -1)
    starts = np.ones(number, bool)
    starts[successor[successor >= 0]] = False
    return successor, starts


def room(ends: Ends, scale: Scale):
    """How many places there are that a prediction tells apart."""
    places = np.concatenate([ends.start, ends.end])
    extent = np.prod(np.ptp(places, 0) + scale.size)
    return max(extent / (2 * np.pi * (scale.spread(1) / 1.18) ** 2), 1.0)


def cover_likely(ends, edges, scale: Scale, max_gap):
    """Links that are likelier than that something else begins there.

    Returns:
        As `cover_known` does; no tracklet is left out.
    """
    num_frames = ends.last.max() + 1
    starts = np.ones(len(ends.first), bool)
    for _ in range(3):
        births = starts.sum() / num_frames
        chance = births * min(max_gap, num_frames) / room(ends, scale)
        price = max(-0.5 * np.log(min(chance, 1.0)), 1.0)
        successor, starts = cover_open(ends, edges, price)
    return successor, starts


def _assign(rows, columns, prices, size):
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    # An entry of zero would count as none.
    prices = np.concatenate(prices) + 1.0
    matrix = sparse.csr_matrix((prices, (rows, columns)), (size, size))
    return csgraph.min_weight_full_bipartite_matching(matrix)[1]


def chains(successor, starts):
    """Lists of numbers of tracklets, path by path."""
    result = []
    for first in np.flatnonzero(starts):
        chain = [int(first)]
        while successor[chain[-1]] >= 0:
            chain.append(int(successor[chain[-1]]))
        result.append(chain)
    return result


def margins(successor, edges):
    """How much dearer the best swap of each link with another is.

    Returns:
        `{i: margin}` for links `i -> successor[i]` that have a rival.
    """
    i, j, cost = edges
    table = {(int(a), int(b)): c for a, b, c in zip(i, j, cost)}
    owner = {int(b): a for a, b in enumerate(successor) if b >= 0}
    result = {}
    for (a, other), c in table.items():
        mine, rival = int(successor[a]), owner.get(other)
        if mine < 0 or rival is None or rival == a:
            continue
        back = table.get((rival, mine))
        if back is None or (a, mine) not in table:
            continue
        margin = c + back - table[a, mine] - table[rival, other]
        for link in (a, rival):
            result[link] = min(result.get(link, np.inf), margin)
    return result


def doubt(margin):
    """In `[0, 1]`: 1 for a toss of a coin, 0 for a certain choice."""
    return 2.0 / (1.0 + np.exp(np.clip(margin, 0.0, 50.0)))
