"""Scenes of squares, ellipses and triangles that never overlap, for LAVAE."""

import dataclasses
import functools

import numpy as np

from tfdecomp.simulation import stills, streams
from tfdecomp.simulation.sprites import multi_dsprites

CROWD = "test7"  # the split with many sprites per image
CROWD_SIZE = 7
EXTRA_SPLITS = (CROWD,)  # in the order of their streams
SHAPES = {1: "square", 2: "ellipse", 3: "triangle"}
PATCH = 19  # side of the square that holds a sprite, in pixels
SCALES = np.linspace(0.6, 1, 6)
ANGLES = 2 * np.pi * np.arange(40) / 40
# The corners of the colour cube but black.
COLOURS = np.array(list(np.ndindex(2, 2, 2)), np.uint8)[1:]
MAX_TRIES = 100  # places tried for one sprite before a restart
MAX_RESTARTS = 1000
_CLOSED = 1e-9  # pixels on the very edge belong to the sprite


@dataclasses.dataclass(frozen=True)
class LavaeSprites:
    """What a scene looks like.

    Args:
        size: Side of the frame.
        num_sprites: Numbers of sprites; example `i` has the `i`-th, modulo
            their count. The split `test7` has 7.
        max_objects: `K`, slots of every label.
    """

    size: int = 64
    num_sprites: tuple = (0, 1, 2, 3)
    max_objects: int = 7

    def __post_init__(self):
        if not self.num_sprites or min(self.num_sprites) < 0:
            raise ValueError(
                f"num_sprites lists counts of at least 0, not "
                f"{self.num_sprites}"
            )
        most = max(*self.num_sprites, CROWD_SIZE)
        if most > self.max_objects:
            raise ValueError(
                f"max_objects is {self.max_objects}, but scenes have up to "
                f"{most} sprites"
            )
        if self.size < PATCH:
            raise ValueError(
                f"sprites need {PATCH} px, but the frame has {self.size} px; "
                "use a larger frame"
            )


def generate(look, split, start, stop, *, seed, stream, fresh=False):
    """Makes the scenes `start`, ..., `stop - 1` of a split.

    Per example, in this order: shape, scale, angle and colour of each sprite;
    then their places, one sprite after the other.

    Args:
        look: A `LavaeSprites`.
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
    count, slots = stop - start, look.max_objects
    choice = np.zeros((count, slots, 4), int)
    corner = np.zeros((count, slots, 2), int)
    masks = np.zeros((count, slots, look.size, look.size), bool)
    for n, index in enumerate(range(start, stop)):
        rng = streams.example_rng(
            seed, multi_dsprites.DATASET, stream, number, index
        )
        sprites = look.num_sprites[index % len(look.num_sprites)]
        sprites = CROWD_SIZE if split == CROWD else sprites
        limits = (len(SHAPES), len(SCALES), len(ANGLES), len(COLOURS))
        choice[n, :sprites] = rng.integers(limits, size=(sprites, 4))
        kinds = [tuple(kind[:3]) for kind in choice[n, :sprites]]
        corner[n, :sprites] = _place(rng, [_boxes()[k] for k in kinds], look)
        for slot, kind in enumerate(kinds):
            top, left = corner[n, slot]
            window = masks[n, slot, top : top + PATCH, left : left + PATCH]
            window[:] = bank()[kind]
    return _examples(masks, choice, corner)


def _examples(masks, choice, corner):
    layers = stills.stack(masks)
    shape, scale, angle, colour = np.moveaxis(choice, -1, 0)
    tints = np.zeros((len(masks), 1 + masks.shape[1], 3), np.uint8)
    tints[:, 1:] = 255 * COLOURS[colour]
    video = tints[np.arange(len(masks))[:, None, None], layers.owner]
    factors = {
        "shape": 1 + shape.astype(np.int32),
        "scale": SCALES[scale].astype(np.float32),
        "orientation": ANGLES[angle].astype(np.float32),
        "position": (corner + PATCH / 2).astype(np.float32),
        "color": COLOURS[colour].astype(np.float32),
    }
    return stills.examples(video, layers, factors)


def _place(rng, boxes, look):
    """Corners `[n, 2]` of patches whose sprites have disjoint boxes.

    Args:
        rng: Generator.
        boxes: Tight boxes `[4]` of the sprites within their patches.
        look: A `LavaeSprites`.
    """
    for _ in range(MAX_RESTARTS):
        corners, placed = [], np.zeros((0, 4), int)
        for box in boxes:
            tries = rng.integers(look.size - PATCH + 1, size=(MAX_TRIES, 2))
            moved = box + np.tile(tries, 2)  # [MAX_TRIES, 4]
            apart = (moved[:, None, :2] >= placed[:, 2:]) | (
                moved[:, None, 2:] <= placed[:, :2]
            )
            fits = apart.any(-1).all(-1)
            if not fits.any():
                break
            corners.append(tries[fits.argmax()])
            placed = np.concatenate([placed, moved[[fits.argmax()]]])
        else:
            return np.array(corners, int).reshape(-1, 2)
    raise ValueError(
        f"could not place {len(boxes)} sprites in a frame of {look.size} px "
        f"in {MAX_RESTARTS} attempts; use fewer sprites or a larger frame"
    )


@functools.cache
def bank():
    """All sprites: `[3, 6, 40, 19, 19]` bool by shape, scale and angle."""
    middle = PATCH // 2
    steps = np.arange(PATCH) - middle
    up, right = -steps[:, None], steps[None, :]
    reach = PATCH / 2 * SCALES[:, None, None, None]
    angle = ANGLES[:, None, None]
    along = right * np.cos(angle) + up * np.sin(angle)
    across = up * np.cos(angle) - right * np.sin(angle)
    ellipse = along**2 + (across * 1.5) ** 2 <= (reach + _CLOSED) ** 2
    sprites = (
        _polygon(up, right, angle, reach, 4),
        ellipse,
        _polygon(up, right, angle, reach, 3),
    )
    patches = np.stack(sprites)
    patches.setflags(write=False)
    return patches


def _polygon(up, right, angle, reach, corners):
    """A regular polygon with one corner at `angle`, `reach` from the middle."""
    inside = True
    for side in range(corners):
        normal = angle + np.pi * (2 * side + 1) / corners
        height = right * np.cos(normal) + up * np.sin(normal)
        edge = reach * np.cos(np.pi / corners) + _CLOSED
        inside = inside & (height <= edge)
    return inside


@functools.cache
def _boxes():
    """Tight boxes `[3, 6, 40, 4]` of the sprites of the bank."""
    patches = bank()
    boxes = stills.stack(patches.reshape(-1, 1, PATCH, PATCH)).boxes
    return boxes.astype(int).reshape(*patches.shape[:3], 4)
