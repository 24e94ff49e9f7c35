"""Animals in a dish, as a fixed camera would film them: one long video.

What people bring, with the truth that theirs has not: a ground with a texture,
animals darker than it that bend, turn, rest, meet and cross, light that
changes a little, and noise. `moving_things` shows the same animals without the
ground, in many short clips to learn from.
"""

import dataclasses

import numpy as np

from tfdecomp.simulation import streams
from tfdecomp.simulation.fixed_camera import moving_things

DATASET = "dish"
_GROUND, _WAVES = 150.0, 30.0  # grey levels
_DARK = 90.0  # how much darker an animal's middle is
_LIGHT = 0.02  # how much the light changes
_PACE = (0.05, 0.2)  # lengths a frame
_REST = 0.02  # probability of a rest to begin, and to end, in a frame


@dataclasses.dataclass(frozen=True)
class Dish:
    """What a video is like.

    Args:
        num_frames: `T`.
        size: `(H, W)`.
        num_animals: How many, all of them in every frame.
        kind: One of `moving_things.KINDS`.
        length: Of an animal, in pixels.
        noise: Deviation of a pixel, in grey levels.

    Raises:
        ValueError: If the dish is too small for its animals.
    """

    num_frames: int = 200
    size: tuple = (240, 320)
    num_animals: int = 4
    kind: str = "fish"
    length: float = 36.0
    noise: float = 3.0

    def __post_init__(self):
        if self.kind not in moving_things.KINDS:
            raise ValueError(
                f"kind must be one of {', '.join(moving_things.KINDS)}, got "
                f"{self.kind!r}"
            )
        if self.num_frames < 1 or min(self.size) < 2 * self.length:
            raise ValueError(
                f"num_frames is {self.num_frames} and size {self.size}, "
                f"expected at least 1 and twice the length {self.length:g}"
            )


def film(look, seed=0):
    """Makes one video.

    Args:
        look: A `Dish`.
        seed: Of everything.

    Returns:
        `video` `[T, H, W, 3]` uint8 and `boxes` `[T, n, 4]` float32, tight
        around all of each animal, seen or not, in pixel edges.
    """
    rng = streams.example_rng(seed, DATASET, look.kind, 0, 0)
    animals = _animals(rng, look)
    ground = _ground(rng, look.size)
    place, heading = _walk(rng, look)
    bends = [
        moving_things.bends(rng, animal, look.num_frames) for animal in animals
    ]
    phase = rng.uniform(0, 2 * np.pi)
    video = np.empty((look.num_frames, *look.size, 3), np.uint8)
    boxes = np.zeros((look.num_frames, len(animals), 4), np.float32)
    for t in range(look.num_frames):
        cover = np.zeros(look.size)
        for n, animal in enumerate(animals):
            mask = np.zeros(look.size, bool)
            spine = moving_things.spine(
                animal, place[t, n], heading[t, n], bends[n][t]
            )
            moving_things.paint(cover, mask, animal, spine)
            boxes[t, n] = _box(mask)
        light = 1 + _LIGHT * np.sin(phase + 0.05 * t)
        grey = light * (ground - _DARK * cover)
        grey = grey + rng.normal(0, look.noise, look.size)
        video[t] = np.clip(np.rint(grey), 0, 255).astype(np.uint8)[..., None]
    return {"video": video, "boxes": boxes}


def _animals(rng, look):
    return [
        moving_things.Thing(
            look.kind,
            look.length * rng.uniform(0.9, 1.1),
            rng.uniform(0.9, 1.2),
            rng.uniform(0.8, 1.0),
            np.clip(1 + rng.normal(0, 0.1, moving_things.JOINTS), 0.7, 1.2),
        )
        for _ in range(look.num_animals)
    ]


def _ground(rng, size):
    """Plane waves on grey, `[H, W]`."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    total = np.zeros(size)
    for _ in range(5):
        angle, phase = rng.uniform(0, 2 * np.pi, 2)
        length = rng.uniform(8, 80)
        way = rows * np.sin(angle) + columns * np.cos(angle)
        total += np.cos(2 * np.pi * way / length + phase)
    return _GROUND + _WAVES * total / 5


def _walk(rng, look):
    """Places `[T, n, 2]` and headings `[T, n]`; the wall turns them."""
    count, size = look.num_animals, np.array(look.size, float)
    margin = 0.6 * look.length
    place = rng.uniform(margin, size - margin, (count, 2))
    heading = rng.uniform(0, 2 * np.pi, count)
    pace = look.length * rng.uniform(*_PACE, count)
    turn, rests = np.zeros(count), np.zeros(count, bool)
    places, headings = [], []
    for _ in range(look.num_frames):
        places.append(place.copy())
        headings.append(heading.copy())
        turn = 0.8 * turn + rng.normal(0, 0.05, count)
        # Near the wall it looks to the middle.
        near = (place < margin) | (place > size - margin)
        home = size / 2 - place
        off = np.angle(
            np.exp(1j * (np.arctan2(home[:, 0], home[:, 1]) - heading))
        )
        turn = np.where(near.any(1), np.clip(off, -0.25, 0.25), turn)
        rests ^= rng.random(count) < _REST
        step = np.where(rests & ~near.any(1), 0.05, 1.0) * pace
        heading = heading + turn
        ahead = np.stack([np.sin(heading), np.cos(heading)], -1)
        place = np.clip(place + step[:, None] * ahead, 0, size)
    return np.array(places), np.array(headings)


def _box(mask):
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return np.zeros(4)
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1])
