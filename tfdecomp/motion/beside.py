"""Parts from something large what stands beside it: a car from a lorry.

Shadows and halos join the two, as bright as the car itself, so that no level
of brightness cuts them apart. Their shape does: what no disc reaches that
hardly fits into the large thing is no part of it if it is as large as a
typical object is.
"""

import numpy as np
from scipy import ndimage

from tfdecomp.motion import blobs as blobs_lib

_DISC = 0.7  # of the largest one that fits in
_LEAST = 0.5  # of a typical object's pixels
_COMPACT = 0.5  # share of its box that such a part fills
_ROUND = 0.35  # of the root of its area: the largest disc in it


def part(found, difference, large_area, typical_area) -> blobs_lib.Blobs:
    """Blobs of which each large one has lost what stands beside it.

    Args:
        found: `Blobs` of one frame.
        difference: `[H, W]` in which they were found.
        large_area: Pixels from which on a blob is looked at.
        typical_area: Pixels of a typical object.

    Example:
        >>> import numpy as np
        >>> from tfdecomp.motion import beside, blobs
        >>> grey = np.zeros((60, 60))
        >>> grey[10:50, 10:40], grey[38:48, 40:54] = 9, 9
        >>> len(beside.part(blobs.find(grey, 1), grey, 900, 140))
        2
    """
    labels, count = None, len(found)
    for n in np.flatnonzero(found.areas > large_area):
        top, left, bottom, right = found.boxes[n].astype(int)
        place = slice(top, bottom), slice(left, right)
        inside = found.labels[place] == n + 1
        limits = found.labels.shape
        at_edge = (
            (top == 0, bottom == limits[0]),
            (left == 0, right == limits[1]),
        )
        for other in _beside(inside, _LEAST * typical_area, at_edge):
            labels = found.labels.copy() if labels is None else labels
            count += 1
            labels[place][other] = count
    if labels is None:
        return found
    return blobs_lib.measured(labels, count, difference)


def _beside(inside, least, at_edge):
    """Masks of what stands beside the core of a mask.

    Args:
        inside: `[h, w]` bool, cut to its box.
        least: Pixels of what counts.
        at_edge: `((top, bottom), (left, right))`, whether the frame ends
            there, and the thing perhaps does not.
    """
    size = max(inside.shape) // 2 + 1  # no disc in it is larger
    whole = ndimage.binary_fill_holes(inside)
    for axis, sides in enumerate(at_edge):
        room = [(0, 0), (0, 0)]
        room[axis] = tuple(size if beyond else 0 for beyond in sides)
        whole = np.pad(whole, room, mode="edge")
    whole = np.pad(whole, 1)
    depth = ndimage.distance_transform_edt(whole)
    start = [1 + size * beyond[0] for beyond in at_edge]
    window = tuple(
        slice(first, first + side) for first, side in zip(start, inside.shape)
    )
    core = _core(depth, _DISC * depth[window].max())[window]
    labels, _ = ndimage.label(inside & ~core)
    enough = np.bincount(labels.ravel())[1:] >= least
    if not enough.any():
        return []
    to_core = ndimage.distance_transform_edt(~core)
    parts = [_own(labels == n, to_core) for n in 1 + np.flatnonzero(enough)]
    return [
        part
        for part in parts
        if not _meets(part, at_edge) and _is_thing(part, least)
    ]


def _core(depth, radius):
    """What discs of a radius reach that fit into a mask of such depths."""
    return ndimage.distance_transform_edt(depth < radius) < radius


def _own(part, to_large):
    """A part without corners of the large thing, to which they are nearer.

    Args:
        part: `[h, w]` bool.
        to_large: `[h, w]` distance to the large thing's core.
    """
    depth = ndimage.distance_transform_edt(np.pad(part, 1))
    core = _core(depth, _DISC * depth.max())[1:-1, 1:-1]
    nearer = ndimage.distance_transform_edt(~core)
    return part & (nearer <= to_large)


def _meets(part, at_edge):
    """Whether a mask reaches the frame's edge: nobody sees all of it."""
    (top, bottom), (left, right) = at_edge
    return (
        (top and part[0].any())
        or (bottom and part[-1].any())
        or (left and part[:, 0].any())
        or (right and part[:, -1].any())
    )


def _is_thing(part, least):
    """Whether a mask is as round and large as an object."""
    area = part.sum()
    if area < least:
        return False
    (place,) = ndimage.find_objects(part.astype(np.int32))
    if part[place].mean() < _COMPACT:
        return False
    depth = ndimage.distance_transform_edt(np.pad(part, 1)).max()
    return depth > _ROUND * area**0.5
