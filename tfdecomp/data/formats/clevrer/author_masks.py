"""Labels from videos of masks that were compressed with loss.

The authors of PROVIDE rendered masks of CLEVRER's objects, each in a colour of
its own on a dark ground, and stored them as videos. Compression has blurred
the colours, so they are collected over the whole video and every pixel takes
the nearest one.
"""

import numpy as np

_RADIUS = 24  # in RGB; colours this near to each other are one
_MIN_PIXELS = 20  # of a colour, in each of
_MIN_FRAMES = 3
_EDGE = 2  # pixels this near to another colour may be a mixture
_CODES = 1 << 24


def labels(frames):
    """Which of the colours each pixel has.

    Args:
        frames: `[T, H, W, 3]` uint8.

    Returns:
        `(labels [T, H, W] uint8, count)`: 0 for the darkest colour, then the
        others by their place in RGB, and how many these are.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.formats.clevrer.author_masks import labels
        >>> frames = np.zeros([1, 20, 30, 3], np.uint8)
        >>> frames[:, :, 20:] = [250, 10, 10]  # a red mask
        >>> ids, count = labels(frames)
        >>> ids[0, 0, ::10], count
        (array([0, 0, 1], dtype=uint8), 1)
    """
    red, green, blue = np.moveaxis(frames.astype(np.int32), -1, 0)
    codes = red << 16 | green << 8 | blue
    plain = [code[_is_flat(frame)] for code, frame in zip(codes, frames)]
    centres = _centres(plain)
    if not len(centres):
        return np.zeros(codes.shape, np.uint8), 0
    brightness = centres.sum(1)
    order = np.lexsort((*centres.T[::-1], brightness != brightness.min()))
    found = np.flatnonzero(_histogram(codes))
    away = ((_rgb(found)[:, None] - centres[order]) ** 2).sum(-1)
    table = np.zeros(_CODES, np.uint8)
    table[found] = away.argmin(1)
    return table[codes], len(centres) - 1


def _rgb(codes):
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], -1)


def _histogram(codes):
    return np.bincount(codes.ravel(), None, _CODES)


def _is_flat(frame):
    """Pixels far from the edges, where colours mix, `[H, W]` bool."""
    frame = frame.astype(np.int16)
    flat = np.zeros(frame.shape[:2], bool)
    flat[_EDGE:-_EDGE, _EDGE:-_EDGE] = True
    for axis in (0, 1):
        step = np.swapaxes(frame, 0, axis)
        step = np.abs(step[_EDGE:] - step[:-_EDGE]).astype(np.int32)
        same = (step**2).sum(-1) <= _RADIUS**2
        along = np.swapaxes(flat, 0, axis)  # a view
        along[_EDGE:] &= same
        along[:-_EDGE] &= same
    return flat


def _centres(plain):
    """The most frequent colour of each cluster that is seen enough.

    Args:
        plain: For each frame the colours of its flat pixels, as codes.

    Returns:
        `[M, 3]`.
    """
    counts = _histogram(np.concatenate(plain))
    found = np.flatnonzero(counts)
    rgb = _rgb(found)
    cluster = np.full(len(found), -1)
    seeds = []
    for seed in np.argsort(-counts[found], kind="stable"):
        if cluster[seed] < 0:
            near = ((rgb - rgb[seed]) ** 2).sum(1) <= _RADIUS**2
            cluster[near & (cluster < 0)] = len(seeds)
            seeds.append(seed)
    table = np.zeros(_CODES, np.int32)
    table[found] = cluster
    seen = [np.bincount(table[codes], None, len(seeds)) for codes in plain]
    frames = (np.array(seen) >= _MIN_PIXELS).sum(0)
    enough = frames >= min(_MIN_FRAMES, len(plain))
    return rgb[np.array(seeds, int)[enough]]
