"""Whether the camera itself moves."""

import numpy as np
from scipy import ndimage

_DETAIL = 2**16  # pixels that frames are reduced to, about
_PARTS = 3  # of the view, along each axis, that are followed by themselves


def shift(first, second, moving=None):
    """How far the view moved from one frame to another.

    Phase correlation, and then a check: edges of the first frame are found
    in the second where it says, much better than where they were. What only
    some objects do, passes no such check.

    Args:
        first: `[H, W, C]`.
        second: `[H, W, C]`.
        moving: `[H, W]` bool, what moves by itself: it is no part of the
            view; by default nothing is known.

    Returns:
        `(y, x)` pixels, zeros where the view stands still or cannot be found
        again.
    """
    factor = max(1, int((first.shape[0] * first.shape[1] / _DETAIL) ** 0.5))
    one, other = (_reduced(frame, factor) for frame in (first, second))
    if min(one.shape) < 16:
        return np.zeros(2)
    view = np.ones(one.shape, bool)
    if moving is not None:
        view = _reduced(moving[..., None], factor) == 0
    moved = _correlate(_detail(one), _detail(other))
    if not np.abs(moved).max() >= 0.3 or not _fits(one, other, moved, view):
        return np.zeros(2)
    return factor * moved


def shifts(first, second, moving=None):
    """The same of each of nine parts of the view.

    A camera that drives forwards, turns about its axis or zooms has no one
    shift, but parts of its view have.

    Args:
        first: As for `shift`, and so on.
        second: The same.
        moving: The same.

    Returns:
        `[9, 2]` pixels.
    """
    rows, columns = (
        np.linspace(0, side, _PARTS + 1).astype(int) for side in first.shape[:2]
    )
    result = []
    for top, bottom in zip(rows[:-1], rows[1:]):
        for left, right in zip(columns[:-1], columns[1:]):
            part = np.s_[top:bottom, left:right]
            known = None if moving is None else moving[part]
            result.append(shift(first[part], second[part], known))
    return np.array(result)


def _reduced(frame, factor):
    grey = np.asarray(frame, np.float32).mean(-1)
    height, width = (side // factor for side in grey.shape)
    grey = grey[: height * factor, : width * factor]
    return grey.reshape(height, factor, width, factor).mean((1, 3))


def _detail(grey):
    """Without what is smooth, and fading towards the frame's edge."""
    fine = grey - ndimage.gaussian_filter(grey, 4)
    return fine * np.outer(*(np.hanning(side + 2)[1:-1] for side in grey.shape))


def _correlate(one, other):
    """`[2]` shift with the highest phase correlation, to a part of a pixel."""
    product = np.conj(np.fft.rfft2(one)) * np.fft.rfft2(other)
    size = np.abs(product)
    surface = np.fft.irfft2(product / (size + 1e-3 * size.mean() + 1e-9))
    surface = ndimage.gaussian_filter(surface, 1, mode="wrap")
    peak = np.unravel_index(np.argmax(surface), surface.shape)
    moved = []
    for axis, place in enumerate(peak):
        side = surface.shape[axis]
        line = np.take(surface, peak[1 - axis], axis=1 - axis)
        low, middle, high = line[[place - 1, place, (place + 1) % side]]
        bend = low - 2 * middle + high
        part = 0.5 * (low - high) / bend if bend < 0 else 0.0
        moved.append((place + part + side / 2) % side - side / 2)
    return np.array(moved)


def _fits(one, other, moved, view):
    """Whether edges are where the shift says, and no longer where they were."""
    back = ndimage.shift(other, -moved, order=1, mode="nearest")
    margin = np.minimum(np.ceil(np.abs(moved)).astype(int) + 2, 40)
    inside = tuple(slice(m, side - m) for m, side in zip(margin, one.shape))
    edges = np.where(view, np.hypot(*np.gradient(one)), -1)[inside]
    if (edges >= 0).sum() < 64:
        return False
    strong = edges >= np.quantile(edges[edges >= 0], 0.8)
    before = np.abs(other - one)[inside][strong]
    after = np.abs(back - one)[inside][strong]
    return np.median(after) < 0.6 * np.median(before) and (
        (after < before).mean() > 0.6
    )
