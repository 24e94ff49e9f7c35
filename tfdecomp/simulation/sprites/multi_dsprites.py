"""Scenes of squares, ellipses and hearts that may cover each other."""

import dataclasses

import numpy as np

from tfdecomp.simulation import stills, streams

DATASET = "multi_dsprites"
EXTRA_SPLITS = ("test_large",)  # in the order of their streams
SHAPES = {1: "square", 2: "ellipse", 3: "heart"}
BACKGROUNDS = ("black", "gray", "color")
# Lengths in pixels of a frame of side 64, at scale 1.
FRAME = 64
SQUARE_SIDE = 22.0
ELLIPSE_AXES = (15.0, 7.5)
HEART_WIDTH = 22.0
MARGIN = 11.0
# Half the width of (u^2 + v^2 - 1)^3 = u^2 v^3.
_HEART_REACH = 1.139028
MIN_SCALE = 0.5
MIN_VISIBLE = 5  # pixels that every sprite must show
MAX_REDRAWS = 1000
MAX_FILLED = 0.6  # share of the frame that all sprites together may cover


@dataclasses.dataclass(frozen=True)
class Sprites:
    """What a scene looks like.

    Args:
        size: Side of the frame; sprites grow with it.
        num_sprites: Possible numbers of sprites, drawn uniformly per scene.
        max_objects: `K`, slots of every label.
        channels: 3 for coloured sprites, 1 for white ones on black.
        background: `"black"`, `"gray"`: of random brightness, or `"color"`.
    """

    size: int = FRAME
    num_sprites: tuple = (2, 3, 4, 5)
    max_objects: int = 5
    channels: int = 3
    background: str = "gray"

    def __post_init__(self):
        if self.background not in BACKGROUNDS:
            raise ValueError(
                f"background is one of {list(BACKGROUNDS)}, not "
                f"{self.background!r}"
            )
        if self.channels == 1 and self.background != "black":
            raise ValueError(
                "with channels = 1 sprites are white and background must be "
                f"'black', not {self.background!r}"
            )
        if not self.num_sprites or min(self.num_sprites) < 1:
            raise ValueError(
                "num_sprites lists counts of at least 1, not "
                f"{self.num_sprites}"
            )
        most = max(self.num_sprites)
        if most > self.max_objects:
            raise ValueError(
                f"max_objects is {self.max_objects}, but scenes have up to "
                f"{most} sprites"
            )
        filled = most * (SQUARE_SIDE / FRAME) ** 2
        if filled > MAX_FILLED:
            raise ValueError(
                f"{most} of the largest sprites cover {filled:.0%} of a "
                f"frame; at most {MAX_FILLED:.0%} are allowed: use fewer"
            )


@dataclasses.dataclass
class Scenes:
    """Sprites of `N` scenes; rows of absent ones are 0.

    Args:
        shape: `[N, K]` ids, see `SHAPES`.
        scale: `[N, K]`, 1: the largest.
        orientation: `[N, K]` radians, counter-clockwise.
        position: `[N, K, 2]` `(y, x)` in pixels.
    """

    shape: np.ndarray
    scale: np.ndarray
    orientation: np.ndarray
    position: np.ndarray


def generate(look, split, start, stop, *, seed, stream, fresh=False):
    """Makes the scenes `start`, ..., `stop - 1` of a split.

    Per example, in this order: number of sprites; shape, scale, orientation
    and place of each, all of them again while one shows too little; colours;
    the background.

    Args:
        look: A `Sprites`.
        split: Name of the split.
        start: First index.
        stop: Index after the last one.
        seed: Seed of the dataset.
        stream: Name of the stream of scenes.
        fresh: Whether to make scenes that no stored split holds.

    Returns:
        A list of dicts with `video`, `segmentation`, `boxes`, `visibility`,
        `visible_fraction`, `num_objects` and `factors`.
    """
    number = streams.split_id(split, EXTRA_SPLITS, fresh)
    rngs = [
        streams.example_rng(seed, DATASET, stream, number, index)
        for index in range(start, stop)
    ]
    scenes, masks = arrange(rngs, look)
    layers = stills.stack(masks)
    colours = np.stack(
        [
            _colours(rng, look, count)
            for rng, count in zip(rngs, np.count_nonzero(scenes.shape, 1))
        ]
    )
    rows = np.arange(len(rngs))[:, None, None]
    return stills.examples(
        colours[rows, layers.owner], layers, _factors(scenes, colours, look)
    )


def arrange(rngs, look):
    """Draws scenes in which every sprite is seen.

    Args:
        rngs: Generator of each example.
        look: A `Sprites`.

    Returns:
        `(Scenes, masks [N, K, size, size])`, the masks of whole sprites.
    """
    counts = [
        int(look.num_sprites[rng.integers(len(look.num_sprites))])
        for rng in rngs
    ]
    uniform = np.zeros((len(rngs), look.max_objects, 5))
    shape = (len(rngs), look.max_objects, look.size, look.size)
    masks = np.zeros(shape, bool)
    exists = np.arange(look.max_objects) < np.array(counts)[:, None]
    waiting = np.arange(len(rngs))
    for _ in range(MAX_REDRAWS):
        for n in waiting:
            uniform[n, : counts[n]] = rngs[n].random((counts[n], 5))
        scenes = propose(uniform[waiting], exists[waiting], look)
        masks[waiting] = draw(scenes, look)
        visible = stills.stack(masks[waiting]).visible_pixels
        hidden = (visible < MIN_VISIBLE) & exists[waiting]
        waiting = waiting[hidden.any(1)]
        if not len(waiting):
            return propose(uniform, exists, look), masks
    raise ValueError(
        f"could not place {counts[waiting[0]]} sprites in a frame of "
        f"{look.size} px in {MAX_REDRAWS} attempts so that each shows "
        f"{MIN_VISIBLE} pixels; use fewer sprites or a larger frame"
    )


def propose(uniform, exists, look):
    """Sprites from numbers in [0, 1).

    Args:
        uniform: `[N, K, 5]`, for shape, scale, orientation and place.
        exists: `[N, K]` bool.
        look: A `Sprites`.

    Returns:
        `Scenes`.
    """
    shape = 1 + (uniform[..., 0] * len(SHAPES)).astype(np.int32)
    scale = MIN_SCALE + (1 - MIN_SCALE) * uniform[..., 1]
    orientation = 2 * np.pi * uniform[..., 2]
    low = (MARGIN * look.size / FRAME * scale)[..., None]
    position = low + (look.size - 2 * low) * uniform[..., 3:]
    return Scenes(
        np.where(exists, shape, 0),
        np.where(exists, scale, 0),
        np.where(exists, orientation, 0),
        np.where(exists[..., None], position, 0),
    )


def draw(scenes, look):
    """Masks of whole sprites: pixels whose centre lies inside.

    Args:
        scenes: `Scenes`.
        look: A `Sprites`.

    Returns:
        `[N, K, size, size]` bool.
    """
    masks = np.zeros((*scenes.shape.shape, look.size, look.size), bool)
    unit = scenes.scale * (look.size / FRAME)
    for number, name in SHAPES.items():
        chosen = scenes.shape == number
        u, v = _own_axes(
            np.round(scenes.position[chosen], 9),
            scenes.orientation[chosen],
            unit[chosen],
            look.size,
        )
        masks[chosen] = _INSIDE[name](u, v)
    return masks


def _own_axes(position, orientation, unit, size):
    """Coordinates `(u, v)` of all pixels as `M` sprites see them, `v` up.

    Args:
        position: `[M, 2]`.
        orientation: `[M]`.
        unit: `[M]` pixels per pixel of a sprite of scale 1.
        size: Side of the frame.

    Returns:
        Two arrays `[M, size, size]`.
    """
    steps = np.arange(size) + 0.5
    up = (position[:, 0, None] - steps)[:, :, None] / unit[:, None, None]
    right = (steps - position[:, 1, None])[:, None, :] / unit[:, None, None]
    cosine = np.round(np.cos(orientation), 12)[:, None, None]
    sine = np.round(np.sin(orientation), 12)[:, None, None]
    return right * cosine + up * sine, up * cosine - right * sine


def _in_square(u, v):
    return np.maximum(np.abs(u), np.abs(v)) <= SQUARE_SIDE / 2


def _in_ellipse(u, v):
    a, b = ELLIPSE_AXES
    return (u / a) ** 2 + (v / b) ** 2 <= 1


def _in_heart(u, v):
    unit = HEART_WIDTH / (2 * _HEART_REACH)
    u, v = u / unit, v / unit
    u2 = u * u
    rest = u2 + v * v - 1
    return rest * rest * rest <= u2 * v * v * v


_INSIDE = {"square": _in_square, "ellipse": _in_ellipse, "heart": _in_heart}


def _colours(rng, look, count):
    """Colours `[1 + K, C]` uint8 of the background and of the sprites."""
    colours = np.zeros((1 + look.max_objects, look.channels))
    if look.channels == 1:
        colours[1 : count + 1] = 1
    else:
        hue, rest = rng.random(count), rng.uniform(0.5, 1, (2, count))
        colours[1 : count + 1] = hsv_to_rgb(hue, *rest)
        if look.background != "black":
            tones = 1 if look.background == "gray" else 3
            colours[0] = rng.random(tones)
    return np.rint(255 * colours).astype(np.uint8)


def hsv_to_rgb(hue, saturation, value):
    """Colours `[..., 3]` in [0, 1] of `[...]` hues, saturations and values."""
    # Every channel is full for a third of the hues and empty for another.
    turn = np.array([5.0, 3.0, 1.0]) + 6 * np.asarray(hue)[..., None]
    ramp = np.clip(np.minimum(turn % 6, 4 - turn % 6), 0, 1)
    saturation = np.asarray(saturation)[..., None]
    return np.asarray(value)[..., None] * (1 - saturation * ramp)


def _factors(scenes, colours, look):
    factors = {
        "shape": scenes.shape.astype(np.int32),
        "scale": scenes.scale.astype(np.float32),
        "orientation": scenes.orientation.astype(np.float32),
        "position": scenes.position.astype(np.float32),
    }
    if look.channels == 3:
        factors["color"] = (colours[:, 1:] / 255).astype(np.float32)
    return factors
