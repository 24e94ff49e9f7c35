"""One of whom more or less is seen from one frame to the next.

The centre of its box jumps, and an edge of the box stays. A thing that stands
nearly still would get another number for that: half a box is far away, for it.
"""

import numpy as np

from tfdecomp.motion import sightings
from tfdecomp.motion.linking import link_paths
from tfdecomp.motion.linking.link_measure import Scale, extents, intersections

SEEN = 3  # frames before and after: a flicker is no change
EDGE = np.array([-1.0, -1.0, 1.0, 1.0])  # pixels that a box may fall short


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
            keep &= ~sightings.is_cut(box + EDGE, frame_size)
    i, j = i[keep], j[keep]
    before, after = ends.end_box[i], ends.start_box[j]
    sides = [box[:, 2:] - box[:, :2] for box in (before, after)]
    off = link_paths.misses(
        ends, i, j, scale, 0.5 * np.abs(np.subtract(*sides))
    )
    areas = [np.maximum(extents(box), 1e-9) for box in (before, after)]
    # One that halves at once is as strange as a place that no motion leads
    # to. Looks have judged its size already, if sizes tell who is who.
    strange = link_paths.STRANGE * np.abs(np.log2(np.divide(*areas)))
    cost = link_paths.surprise(off, np.ones(len(i)), scale)
    cost = cost + np.maximum(strange, looks(i, j))
    i, j, cost = (np.concatenate(v) for v in zip(edges, (i, j, cost)))
    order = np.argsort(cost, kind="stable")
    pairs = np.stack([i, j])[:, order]
    (i, j), first = np.unique(pairs, axis=1, return_index=True)
    return i, j, cost[order][first]


def _pairs(ends):
    """`(i, j)` of ends and starts a frame later that lie in each other alone.

    Where several lie in one, they part or meet, and boxes change for that.
    """
    found = [(np.zeros(0, int), np.zeros(0, int))]
    order = np.argsort(ends.last, kind="stable")
    last = ends.last[order]
    for time in np.intersect1d(last + 1, ends.first):
        i = order[slice(*np.searchsorted(last, [time - 1, time]))]
        j = np.arange(*np.searchsorted(ends.first, [time, time + 1]))
        before, after = ends.end_box[i], ends.start_box[j]
        smaller = np.minimum(extents(before)[:, None], extents(after))
        inside = intersections(before, after) > 0.5 * smaller
        alone = inside.sum(1, keepdims=True) == 1
        alone = alone & (inside.sum(0, keepdims=True) == 1) & inside
        a, b = np.nonzero(alone)
        found.append((i[a], j[b]))
    return tuple(np.concatenate(v) for v in zip(*found))
