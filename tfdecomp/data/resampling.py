"""Makes pictures smaller without aliasing."""

import functools

import numpy as np
from scipy import ndimage

_AT_ONCE = 16  # frames in memory as floats


def smoothed_cubic(frames, size):
    """A Gaussian filter, then cubic interpolation.

    As scikit-image resizes with `order=3, anti_aliasing=True`: the deviation
    of the filter is half of what the reduction exceeds 1 by, both see the
    frame mirrored at its outermost pixels, and a cubic spline is read at
    half-pixel centres. What overshoots the frame's own range is cut.

    Args:
        frames: `[T, H, W, C]` uint8.
        size: `(height, width)`.

    Returns:
        `[T, height, width, C]` uint8.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.resampling import smoothed_cubic
        >>> frames = np.full([1, 8, 8, 3], 9, np.uint8)
        >>> small = smoothed_cubic(frames, size=(4, 2))
        >>> small.shape, small[0, 0, 0]
        ((1, 4, 2, 3), array([9, 9, 9], dtype=uint8))
    """
    down = _weights(frames.shape[1], size[0])
    across = _weights(frames.shape[2], size[1])
    out = np.empty((len(frames), *size, frames.shape[3]), np.uint8)
    for t in range(0, len(frames), _AT_ONCE):
        some = frames[t : t + _AT_ONCE].astype(np.float32)
        low, high = (f((1, 2, 3), keepdims=True) for f in (some.min, some.max))
        # Rows first, as one product of matrices for each frame.
        rows = down @ some.reshape(*some.shape[:2], -1)
        rows = rows.reshape(len(some), size[0], *some.shape[2:])
        pixels = across @ rows
        out[t : t + _AT_ONCE] = np.rint(pixels.clip(low, high))
    return out


def nearest(frames, size):
    """The pixel at the middle of each new one.

    Args:
        frames: `[T, H, W, ...]`.
        size: `(height, width)`.

    Returns:
        `[T, height, width, ...]`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.resampling import nearest
        >>> nearest(np.arange(6).reshape(1, 1, 6), size=(1, 2))
        array([[[1, 4]]])
    """
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for old, new in zip(frames.shape[1:3], size)
    )
    return frames[:, rows[:, None], columns]


@functools.lru_cache(maxsize=8)
def _weights(old, new):
    """`[new, old]` weights of the old pixels in the new ones."""
    # Both steps are linear: what they make of single pixels tells all.
    pixels = np.eye(old)
    deviation = max(0.0, (old / new - 1) / 2)
    if deviation:
        pixels = ndimage.gaussian_filter1d(
            pixels, deviation, axis=0, mode="mirror"
        )
    weights = ndimage.zoom(
        pixels, (new / old, 1), order=3, mode="mirror", grid_mode=True
    )
    return weights.astype(np.float32)
