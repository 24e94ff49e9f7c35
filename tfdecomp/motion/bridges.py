"""Cuts apart what only something faint joins: shadows, halos of compression.

The threshold of a busy scene is low enough for its faintest objects, and so
for the shadow between two bright ones. What falls apart at a small share of
its own contrast, into parts that leave most of its box free, was joined by
that.
"""

import numpy as np
from scipy import ndimage

from tfdecomp.motion import blobs as blobs_lib

_LEVELS = 0.15, 0.2, 0.25, 0.3  # shares of a blob's contrast
_CONTRAST = 0.95  # quantile of a blob's differences that is its contrast
_FULL = 0.65  # share of its box from which on a blob is one thing
_FREE = 0.75  # share of its box that the boxes of its parts take at most
_LEAST = 0.1  # share of what is bright that a part has at least
_ALL_AROUND = np.ones((3, 3), bool)


def cut(found, difference, min_area=1, width=None) -> blobs_lib.Blobs:
    """Blobs of which each that faint pixels alone join is several.

    The faint pixels are nobody's then, but for those at the rim of a part.

    Args:
        found: `Blobs` of one frame.
        difference: `[H, W]` in which they were found.
        min_area: Least pixels of a part.
        width: How narrow a typical object is, in pixels; up to an eighth of
            it is a rim.

    Example:
        >>> import numpy as np
        >>> from tfdecomp.motion import blobs, bridges
        >>> grey = np.kron([[9, 2, 0, 0], [0, 0, 2, 9]], np.ones((8, 8)))
        >>> found = blobs.find(grey, 1)
        >>> len(found), len(bridges.cut(found, grey))
        (1, 2)
    """
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    open_ones = found.areas < _FULL * sides.prod(-1)
    open_ones &= found.areas >= 2 * min_area
    rim = max(1, int((width or 0) / 8 + 0.5))
    labels, count = None, len(found)
    for n in np.flatnonzero(open_ones):
        top, left, bottom, right = found.boxes[n].astype(int)
        place = slice(top, bottom), slice(left, right)
        parts = _parts(
            difference[place], found.labels[place] == n + 1, min_area, rim
        )
        if len(parts) > 1:
            labels = found.labels.copy() if labels is None else labels
            here = labels[place]  # a view
            here[here == n + 1] = 0
            here[parts[0]] = n + 1
            for part in parts[1:]:
                count += 1
                here[part] = count
    if labels is None:
        return found
    return blobs_lib.measured(_in_order(labels), count, difference)


def _in_order(labels):
    """Numbers from 1 on in the order of their first pixels."""
    numbers, first = np.unique(labels, return_index=True)
    order = np.argsort(np.where(numbers > 0, first, -1))
    table = np.zeros(numbers.max() + 1, np.int32)
    table[numbers[order]] = np.arange(len(order))
    return table[labels]


def _parts(difference, inside, min_area, rim):
    """Masks of the parts of a blob; of a blob that is one, its own."""
    (place,) = ndimage.find_objects(inside.astype(np.int32))
    area, box = inside.sum(), _size(place)
    if area < 2 * min_area or area >= _FULL * box:
        return [inside]
    contrast = np.quantile(difference[inside], _CONTRAST)
    for level in _LEVELS:
        bright = inside & (difference > level * contrast)
        labels, count = ndimage.label(bright, _ALL_AROUND)
        if count < 2:
            continue
        areas = np.bincount(labels.ravel())
        areas[0] = 0
        cores = np.flatnonzero(areas >= max(min_area, _LEAST * areas.sum()))
        if len(cores) < 2:
            continue
        places = ndimage.find_objects(labels)
        taken = sum(_size(places[core - 1]) for core in cores)
        if taken > _FREE * box:
            continue
        owner = _with_rims(labels, cores, inside, rim)
        parts = (
            _parts(difference, owner == core, min_area, rim) for core in cores
        )
        return [part for several in parts for part in several]
    return [inside]


def _size(place):
    """Pixels of two slices."""
    return np.prod([side.stop - side.start for side in place])


def _with_rims(labels, cores, inside, rim):
    """`[h, w]` which core has a pixel: the next one, if it is near."""
    cores = np.where(np.isin(labels, cores), labels, 0)
    far, near = ndimage.distance_transform_edt(cores == 0, return_indices=True)
    return np.where(inside & (far <= rim), cores[tuple(near)], 0)
