"""Makes pictures smaller without aliasing."""

import functools

import numpy as np

_AT_ONCE = 16  # frames in memory as floats


def cubic(frames, size):
    """Cubic interpolation after a filter that widens with the reduction.

    Keys' kernel (a = -1/2), half-pixel centres; what Keras and TensorFlow call
    bicubic with antialiasing.

    Args:
        frames: `[T, H, W, C]` uint8.
        size: `(height, width)`.

    Returns:
        `[T, height, width, C]` uint8.
    """
    down = _weights(frames.shape[1], size[0])
    across = _weights(frames.shape[2], size[1])
    out = np.empty((len(frames), *size, frames.shape[3]), np.uint8)
    for t in range(0, len(frames), _AT_ONCE):
        some = frames[t : t + _AT_ONCE].astype(np.float32)
        # Rows first, as one product of matrices for each frame.
        rows = down @ some.reshape(*some.shape[:2], -1)
        rows = rows.reshape(len(some), size[0], *some.shape[2:])
        pixels = across @ rows
        out[t : t + _AT_ONCE] = np.rint(pixels.clip(0, 255))
    return out


def nearest(frames, size):
    """The pixel at the middle of each new one.

    Args:
        frames: `[T, H, W, ...]`.
        size: `(height, width)`.

    Returns:
        `[T, height, width, ...]`.
    """
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for old, new in zip(frames.shape[1:3], size)
    )
    return frames[:, rows[:, None], columns]


@functools.lru_cache(maxsize=8)
def _weights(old, new):
    """`[new, old]` weights of the old pixels in the new ones."""
    scale = max(old / new, 1.0)
    middle = (np.arange(new)[:, None] + 0.5) * old / new
    away = np.abs(np.arange(old) + 0.5 - middle) / scale
    inner = 1.5 * away**3 - 2.5 * away**2 + 1
    outer = -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2
    weights = np.where(away <= 1, inner, np.where(away < 2, outer, 0))
    weights /= weights.sum(1, keepdims=True)
    return weights.astype(np.float32)
