"""One of whom more or less is seen from one frame to the next.

The centre of its box jumps, and an edge of the box stays. A thing that stands
nearly still would get another number for that: half a box is far away, for it.
"""

import numpy as np

from tfdecomp.motion.linking import link_paths
from tfdecomp.motion.linking.link_measure import Scale, extents, intersections

SEEN = 3  # frames before and after: a flicker is no change


def weigh(ends: link_paths.Ends, edges, looks, scale: Scale, frame_size=None):
    """Adds such pairs to those weighed by motion, or makes them cheaper.

    Args:
        ends: Of all tracklets.
        edges: `(i, j, cost)` arrays `[k]`, looks included.
        looks: `(i, j) -> [k]` costs of looks.
        scale: Of the video.
        frame_size: `(height, width)`, pixels, or None: at the frame's edge
            boxes change as things come in and go out.

    Returns:
        `(i, j, cost)`, each pair once, at the lower cost.
    """
    i, j = _pairs(ends)
    keep = np.minimum(ends.length[i], ends.length[j]) >= SEEN
    if frame_size is not None:
        for box in (ends.end_box[i], ends.start_box[j]):
            keep &= (box[:, :2] > 1).all(-1)
            keep &= (box[:, 2:] < np.array(frame_size) - 1).all(-1)
    i, j = i[keep], j[keep]
    if not len(i):
        return edges
    off, ratio = _misses(ends, i, j, scale)
    # One that halves at once is as strange as a place that no motion leads
    # to. Looks have judged its size already, if sizes tell who is who.
    strange = link_paths.STRANGE * np.abs(np.log2(ratio))
    cost = link_paths.surprise(off, np.ones(len(i)), scale)
    cost = cost + np.maximum(strange, looks(i, j))
    i, j, cost = (np.concatenate(v) for v in zip(edges, (i, j, cost)))
    order = np.lexsort((cost, j, i))
    i, j, cost = i[order], j[order], cost[order]
    first = np.ones(len(i), bool)
    first[1:] = (np.diff(i) != 0) | (np.diff(j) != 0)
    return i[first], j[first], cost[first]


def _pairs(ends):
    """`(i, j)` of ends and starts a frame later that lie in each other alone.

    Where several lie in one, they part or meet, and boxes change for that.
    """
    found = [(np.zeros(0, int), np.zeros(0, int))]
    for time in np.intersect1d(ends.last + 1, ends.first):
        i = np.flatnonzero(ends.last + 1 == time)
        j = np.flatnonzero(ends.first == time)
        before, after = ends.end_box[i], ends.start_box[j]
        smaller = np.minimum(extents(before)[:, None], extents(after))
        inside = intersections(before, after) > 0.5 * smaller
        alone = inside.sum(1, keepdims=True) == 1
        alone = alone & (inside.sum(0, keepdims=True) == 1) & inside
        a, b = np.nonzero(alone)
        found.append((i[a], j[b]))
    return tuple(np.concatenate(v) for v in zip(*found))


def _misses(ends, i, j, scale):
    """How far the nearer edges are from where they go, and ratios of areas."""
    before, after = ends.end_box[i], ends.start_box[j]
    sides = [box[:, 2:] - box[:, :2] for box in (before, after)]
    slack = 0.5 * np.abs(sides[0] - sides[1])
    travel = scale.travel(1)
    step = ends.start[j] - ends.end[i]
    misses = [
        np.maximum(np.abs(step - travel * velocity) - slack, 0.0)
        for velocity in (ends.end_velocity[i], ends.start_velocity[j])
    ]
    off = np.sqrt(0.5 * sum((miss**2).sum(-1) for miss in misses))
    off = off / scale.pace(ends.last[i], ends.first[j])
    areas = [np.maximum(extents(box), 1e-9) for box in (before, after)]
    return off, areas[0] / areas[1]
