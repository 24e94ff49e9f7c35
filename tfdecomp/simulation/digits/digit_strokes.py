"""Digits drawn with a pen, for scenes that need no file."""

import numpy as np

SIDE = 28
HEIGHT = 16.0  # of a glyph at scale 1, in pixels
_CHUNK = 512  # pictures drawn at once
# Strokes on a lattice of 3 x 5 points (x, y), y downwards.
_GLYPHS = (
    ((0, 0), (2, 0), (2, 4), (0, 4), (0, 0)),
    ((0, 1), (1, 0), (1, 4)),
    ((0, 0), (2, 0), (2, 2), (0, 2), (0, 4), (2, 4)),
    ((0, 0), (2, 0), (2, 2), (1, 2), (2, 2), (2, 4), (0, 4)),
    ((2, 4), (2, 0), (0, 3), (2, 3)),
    ((2, 0), (0, 0), (0, 2), (2, 2), (2, 4), (0, 4)),
    ((2, 0), (0, 0), (0, 4), (2, 4), (2, 2), (0, 2)),
    ((0, 0), (2, 0), (1, 4)),
    ((0, 2), (0, 0), (2, 0), (2, 2), (0, 2), (0, 4), (2, 4), (2, 2)),
    ((2, 2), (0, 2), (0, 0), (2, 0), (2, 4), (0, 4)),
)
_COLUMNS, _ROWS = 3, 5


def draw(count, seed=0):
    """Draws digits; the first ones do not depend on how many there are.

    Points of a glyph move by N(0, 0.04), it is sheared by U(-0.25, 0.25),
    turned by U(-12, 12) degrees and scaled by U(0.8, 1); half the width of the
    pen is U(0.05, 0.09). Lengths are in units of the height. The middle of the
    stroke is put into the middle of the picture.

    Args:
        count: How many; digit `i` shows `i mod 10`.
        seed: Seed of all of them.

    Returns:
        `(images [count, 28, 28] uint8, labels [count])`.
    """
    labels = np.arange(count) % len(_GLYPHS)
    # Two streams: each is read in order, whatever the count.
    moves, looks = (
        np.random.Generator(np.random.Philox(child))
        for child in np.random.SeedSequence(seed).spawn(2)
    )
    shift = 0.04 * moves.standard_normal((count, _ROWS, _COLUMNS, 2))
    low = [-0.25, -np.deg2rad(12), 0.8, 0.05]
    high = [0.25, np.deg2rad(12), 1, 0.09]
    look = looks.uniform(low, high, (count, 4))
    images = np.empty((count, SIDE, SIDE), np.uint8)
    for begin in range(0, count, _CHUNK):
        part = slice(begin, begin + _CHUNK)
        images[part] = _render(labels[part], shift[part], look[part])
    return images, labels


def _render(labels, shift, look):
    shear, angle, scale, half = look.T
    lattice = np.stack(np.indices((_ROWS, _COLUMNS))[::-1], -1) / (_ROWS - 1)
    lattice = lattice + shift  # [N, 5, 3, 2] as (x, y)
    longest = max(map(len, _GLYPHS))
    path = [glyph + glyph[-1:] * (longest - len(glyph)) for glyph in _GLYPHS]
    column, row = np.moveaxis(np.array(path)[labels], -1, 0)  # [N, P]
    points = lattice[np.arange(len(labels))[:, None], row, column]
    x, y = points[..., 0], points[..., 1]
    x = x - shear[:, None] * y  # to the right at the top if positive
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    size = HEIGHT * scale[:, None]
    points = np.stack([cos * x - sin * y, sin * x + cos * y], -1)
    points = _centred(points * size[..., None])
    away = _distance(points) - (HEIGHT * half)[:, None, None]
    return np.round(255 * np.clip(0.5 - away, 0, 1)).astype(np.uint8)


def _centred(points):
    """Moves paths `[N, P, 2]` so that their middle is the picture's."""
    start, end = points[:, :-1], points[:, 1:]
    length = np.linalg.norm(end - start, axis=-1, keepdims=True)
    middle = (length * (start + end) / 2).sum(1) / length.sum(1)
    return points + (SIDE / 2 - middle)[:, None]


def _distance(points):
    """Distance `[N, 28, 28]` of each pixel's centre to a path."""
    rows, columns = np.indices((SIDE, SIDE)) + 0.5
    nearest = np.inf
    for start, end in zip(
        points[:, :-1].swapaxes(0, 1), points[:, 1:].swapaxes(0, 1)
    ):
        (x, y), (dx, dy) = (
            start.T[..., None, None],
            (end - start).T[..., None, None],
        )
        square = np.maximum(dx**2 + dy**2, 1e-12)
        along = ((columns - x) * dx + (rows - y) * dy) / square
        along = along.clip(0, 1)
        away = np.hypot(columns - x - along * dx, rows - y - along * dy)
        nearest = np.minimum(nearest, away)
    return nearest
