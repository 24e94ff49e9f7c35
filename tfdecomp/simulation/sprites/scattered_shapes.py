"""Videos of coloured shapes scattered over a frame, that cover each other."""

import dataclasses
import functools

import numpy as np

from tfdecomp.simulation import scattered

DATASET = "scattered_shapes"
# Number of a shape is its place, counted from 1.
SHAPES = ("circle", "diamond", "star", "x", "plus")
COLORS = {
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "blue": (0, 0, 255),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
    "yellow": (255, 255, 0),
}
_SAMPLES = 8  # per pixel and axis
_BAR = 0.09  # half the width of the plus's bars
_STRIP = 0.14  # half the width of the x's strips, along an axis
_INNER = 0.382  # radius of the star's inner corners


@dataclasses.dataclass(frozen=True)
class ScatteredShapes:
    """What a video looks like.

    Args:
        scatter: A `scattered.Scatter`.
        shape_size: Side of a shape in the mean. Height and width are
            `ceil(shape_size max(0.5, N(1, size_jitter)))`, each by itself.
        size_jitter: Standard deviation of the sides, as a share.
    """

    scatter: scattered.Scatter = scattered.Scatter(
        size=96, num_objects=(1, 10), max_objects=35, speed=5.0
    )
    shape_size: int = 14
    size_jitter: float = 0.1

    def __post_init__(self):
        if not 2 <= self.shape_size <= self.scatter.size / 2:
            raise ValueError(
                f"shape_size is {self.shape_size}, but must be at least 2 and "
                f"at most half of the {self.scatter.size} px of the frame"
            )
        if not 0 <= self.size_jitter <= 0.25:
            raise ValueError(
                f"size_jitter is a share from 0 to 0.25, not {self.size_jitter}"
            )


def generate(look, split, start, stop, *, seed, stream, fresh=False):
    """Makes the videos `start`, ..., `stop - 1` of a split.

    What is drawn per video and in which order: see `scattered.generate`; of
    the shapes one number in [0, 1) each for form and colour, then two normal
    numbers each for height and width.

    Args:
        look: A `ScatteredShapes`.
        split: Name of the split.
        start: First index.
        stop: Index after the last one.
        seed: Seed of the dataset.
        stream: Name of the stream of scenes.
        fresh: Whether to make videos that no stored split holds.

    Returns:
        A list of dicts with `video`, `segmentation`, `boxes`, `visibility`,
        `visible_fraction`, `num_objects` and `factors`.
    """
    palette = np.array(list(COLORS.values()), np.uint8)

    def draw(rng, count):
        kinds = (rng.random((count, 2)) * (len(SHAPES), len(palette))).astype(
            int
        )
        scale = 1 + look.size_jitter * rng.standard_normal((count, 2))
        sides = np.ceil(look.shape_size * np.maximum(scale, 0.5)).astype(int)
        sprites = [
            scattered.Sprite(coverage(SHAPES[shape], *side), palette[color])
            for (shape, color), side in zip(kinds, sides.tolist())
        ]
        return sprites, {
            "shape": (kinds[:, 0] + 1).astype(np.int32),
            "color": (palette[kinds[:, 1]] / 255).astype(np.float32),
        }

    return scattered.generate(
        look.scatter,
        draw,
        DATASET,
        split,
        start,
        stop,
        seed=seed,
        stream=stream,
        fresh=fresh,
    )


@functools.cache
def coverage(shape, height, width):
    """How much of each pixel a shape covers that fills its rectangle.

    Args:
        shape: One of `SHAPES`.
        height: Of the rectangle, in pixels.
        width: The same.

    Returns:
        `[height, width]` uint8, 0 to 255: of 8x8 points per pixel.
    """
    y, x = (
        (np.arange(side * _SAMPLES) + 0.5) / (side * _SAMPLES)
        for side in (height, width)
    )
    inside = _INSIDE[shape](y[:, None], x)
    points = inside.reshape(height, _SAMPLES, width, _SAMPLES).sum((1, 3))
    alpha = (255 * points + _SAMPLES**2 // 2) // _SAMPLES**2
    alpha = alpha.astype(np.uint8)
    alpha.setflags(write=False)
    return alpha


def _circle(y, x):
    return (y - 0.5) ** 2 + (x - 0.5) ** 2 <= 0.25


def _diamond(y, x):
    return abs(y - 0.5) + abs(x - 0.5) <= 0.5


def _plus(y, x):
    return (abs(y - 0.5) <= _BAR) | (abs(x - 0.5) <= _BAR)


def _x(y, x):
    return (abs(x - y) <= _STRIP) | (abs(x + y - 1) <= _STRIP)


def _star(y, x):
    """Points inside a star of five that stands on two and fills the cell."""
    angle = np.pi * (np.arange(10) / 5 - 0.5)
    radius = np.where(np.arange(10) % 2, _INNER, 1.0)
    corners = radius * np.stack([np.sin(angle), np.cos(angle)])
    low, high = corners.min(1), corners.max(1)
    corners = (corners.T - low) / (high - low)
    inside = np.zeros(np.broadcast_shapes(y.shape, x.shape), bool)
    for (top, left), (bottom, right) in zip(corners, np.roll(corners, -1, 0)):
        crosses = (top > y) != (bottom > y)
        if top != bottom:
            at = left + (y - top) * (right - left) / (bottom - top)
            inside ^= crosses & (x < at)
    return inside


_INSIDE = {
    "circle": _circle,
    "diamond": _diamond,
    "star": _star,
    "x": _x,
    "plus": _plus,
}
