"""What moves before a background that has been taken away: animals and cars.

A stand-in for difference pictures of videos of a fixed camera, in which the
ground is black and what moves is bright: fish, flies, mice, worms, cars. They
bend, turn, rest, chase and touch each other, come and go at the border, and
the picture has the noise and the remains that real differences have.
"""

import dataclasses

import numpy as np

from tfdecomp.simulation import stills, streams

DATASET = "moving_things"
KINDS = ("fish", "fly", "mouse", "worm", "car", "ball")
JOINTS = 7  # points along a body
_MARGIN = 20.0  # how far out of view things live, in pixels
_VISIBLE = 0.3  # opacity from which on a pixel belongs to a thing
# Half widths along a body from head to tail, in lengths.
_PROFILES = {
    "fish": (0.06, 0.10, 0.10, 0.08, 0.06, 0.04, 0.02),
    "fly": (0.11, 0.13, 0.15, 0.16, 0.15, 0.13, 0.08),
    "mouse": (0.10, 0.18, 0.22, 0.24, 0.22, 0.12, 0.02),
    "worm": (0.05, 0.06, 0.06, 0.06, 0.06, 0.06, 0.04),
    "car": (0.24, 0.25, 0.25, 0.25, 0.25, 0.25, 0.24),
    "ball": (0.46, 0.46, 0.46, 0.46, 0.46, 0.46, 0.46),
}
# How much a body bends, in radians over its length, and how fast it turns.
_BEND = {"fish": 0.8, "fly": 0.1, "mouse": 0.4, "worm": 1.5}
_TURN = {"fish": 0.25, "fly": 0.2, "mouse": 0.2, "worm": 0.15, "car": 0.02}
_LENGTH = (6.0, 21.0)  # pixels, of a video's things in the mean
_SPEED = (0.02, 0.45)  # lengths a frame
_REST = 0.25  # share of the things that rest for the clip


@dataclasses.dataclass(frozen=True)
class MovingThings:
    """What a video is like.

    Args:
        num_frames: `T`.
        size: Side of the frame.
        num_objects: `(least, most)` things in and around the frame.
        noise: Largest deviation of a pixel's noise, of full brightness.

    Raises:
        ValueError: If a number is out of range.
    """

    num_frames: int = 8
    size: int = 64
    num_objects: tuple = (1, 8)
    noise: float = 0.06

    def __post_init__(self):
        low, high = self.num_objects
        if self.num_frames < 1 or self.size < 32:
            raise ValueError(
                f"num_frames is {self.num_frames} and size {self.size}; "
                "expected at least 1 and at least 32"
            )
        if not (0 <= low <= high <= 99 and high):
            raise ValueError(
                f"num_objects is {self.num_objects}; expected (least, most), "
                "least from 0 and most from 1 to 99"
            )
        if not 0 <= self.noise <= 0.3:
            raise ValueError(
                f"noise is {self.noise}; expected 0 to 0.3 of full brightness"
            )


def generate(look, split, start, stop, *, seed, stream, fresh=False):
    """Makes the videos `start`, ..., `stop - 1` of a split.

    Args:
        look: A `MovingThings`.
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
    number = streams.split_id(split, fresh=fresh)
    return [
        _video(look, streams.example_rng(seed, DATASET, stream, number, index))
        for index in range(start, stop)
    ]


@dataclasses.dataclass
class Thing:
    """One thing.

    Args:
        kind: One of `KINDS`.
        length: Pixels.
        width: Factor on the profile.
        level: Brightness of its middle.
        shades: `[JOINTS]` factors on it along the body.
    """

    kind: str
    length: float
    width: float
    level: float
    shades: np.ndarray


def _video(look, rng):
    count = int(rng.integers(look.num_objects[0], look.num_objects[1] + 1))
    things = _things(rng, count)
    position, heading = _walk(rng, look, things)
    frames, size, slots = look.num_frames, look.size, look.num_objects[1]
    pixels = np.zeros((frames, size, size))
    masks = np.zeros((frames, slots, size, size), bool)
    for number, thing in enumerate(things):
        swings = bends(rng, thing, frames)
        for t in range(frames):
            points = spine(
                thing, position[t, number], heading[t, number], swings[t]
            )
            paint(pixels[t], masks[t, number], thing, points)
    layers = stills.stack(masks)
    fraction = layers.visible_pixels / np.maximum(layers.own_pixels, 1)
    full = np.zeros((frames, slots, 2), np.float32)
    full[:, :count] = position
    kinds = [1 + KINDS.index(thing.kind) for thing in things]
    return {
        "video": _develop(rng, look, pixels),
        "segmentation": layers.owner[..., None],
        "boxes": layers.boxes,
        "visibility": (layers.visible_pixels > 0).astype(np.uint8),
        "visible_fraction": fraction.astype(np.float32),
        "num_objects": count,
        "factors": {
            "position": full,
            "kind": np.pad(np.array(kinds, np.int32), (0, slots - count)),
        },
    }


def _things(rng, count):
    """Most videos show things of one kind and of about one size."""
    kind = rng.choice(KINDS)
    length = np.exp(rng.uniform(*np.log(_LENGTH)))
    spread = rng.choice([0.08, 0.3])
    level = rng.uniform(0.6, 1.0)
    is_mixed = rng.random() < 0.2
    width = rng.uniform(0.75, 1.35)
    things = []
    for _ in range(count):
        shades = 1 + 0.35 * np.cumsum(rng.normal(0, 0.4, JOINTS))
        own = rng.choice(KINDS) if is_mixed else kind
        things.append(
            Thing(
                str(own),
                float(np.clip(length * np.exp(rng.normal(0, spread)), 5, 23)),
                width * rng.uniform(0.9, 1.1),
                float(np.clip(level * rng.uniform(0.8, 1.15), 0.35, 1.0)),
                np.clip(shades, 0.45, 1.3),
            )
        )
    return things


def _walk(rng, look, things):
    """Places `[T, n, 2]` and headings `[T, n]`: walks that chase each other.

    A thing turns smoothly, towards another one where it chases it. So pairs
    touch, pass and circle each other far more often than by chance.
    """
    count, frames = len(things), look.num_frames
    low, high = -0.5 * _MARGIN, look.size + 0.5 * _MARGIN
    length = np.array([thing.length for thing in things])
    turn = np.array([_TURN.get(thing.kind, 0.3) for thing in things])
    middle = rng.uniform(0, look.size, 2)
    is_crowd = rng.random() < 0.5
    place = rng.uniform(low, high, (count, 2))
    if is_crowd and count:
        near = middle + rng.normal(0, 1.2 * length.mean(), (count, 2))
        place = np.where(rng.random((count, 1)) < 0.7, near, place)
    heading = rng.uniform(0, 2 * np.pi, count)
    fast = np.exp(rng.uniform(*np.log(_SPEED)))
    speed = fast * length * rng.uniform(0.5, 1.5, count)
    speed *= rng.random(count) > _REST
    chases = rng.random(count) < 0.4
    target = np.roll(np.arange(count), 1)
    places, headings = [], []
    for _ in range(frames):
        places.append(place.copy())
        headings.append(heading.copy())
        way = place[target] - place
        wish = np.arctan2(way[:, 0], way[:, 1])
        off = np.angle(np.exp(1j * (wish - heading)))
        step = rng.normal(0, 1, count) * turn
        step += np.where(chases, np.clip(off, -turn, turn), 0)
        heading = heading + step * np.minimum(1, 0.2 + 4 * speed / length)
        ahead = np.stack([np.sin(heading), np.cos(heading)], -1)
        place = place + speed[:, None] * ahead
        place += rng.normal(0, 0.02, (count, 2)) * length[:, None]
        speed = speed * np.exp(rng.normal(0, 0.15, count))
    return (
        np.array(places).reshape(frames, count, 2),
        np.array(headings).reshape(frames, count),
    )


def bends(rng, thing, frames):
    """Bend of a body in every frame `[T]`, radians: a swing of its own."""
    most = _BEND.get(thing.kind, 0.0)
    phase, pace = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1.5)
    swing = np.sin(phase + pace * np.arange(frames))
    return most * (rng.uniform(-0.5, 0.5) + rng.uniform(0, 1) * swing)


def spine(thing, place, heading, bend):
    """Points from head to tail, `[JOINTS, 2]` around `place`."""
    along = np.linspace(0.5, -0.5, JOINTS)
    if thing.kind == "ball":
        along = 0 * along
    elif thing.kind == "car":
        along = 0.75 * along
    angle = heading + bend * along
    steps = np.diff(along, append=along[-1:])[:-1]
    moves = steps[:, None] * np.stack([np.sin(angle), np.cos(angle)], -1)[:-1]
    points = np.concatenate([np.zeros((1, 2)), np.cumsum(moves, 0)])
    return place + thing.length * (points - points.mean(0))


def paint(pixels, mask, thing, spine):
    """Paints a body over what is there, within its window."""
    profile = np.array(_PROFILES[thing.kind]) * thing.width * thing.length
    radius = np.maximum(profile, 0.7)
    reach = radius.max() + 1.5
    low = np.maximum(np.floor(spine.min(0) - reach), 0).astype(int)
    high = np.minimum(np.ceil(spine.max(0) + reach), pixels.shape).astype(int)
    if (low >= high).any():
        return
    rows, columns = (np.arange(a, b) + 0.5 for a, b in zip(low, high))
    best = np.full((len(rows), len(columns)), -np.inf)
    shade = np.zeros_like(best)
    start, stop = spine[:-1], spine[1:]
    for n, (a, b) in enumerate(zip(start, stop)):
        way = b - a
        part = (rows[:, None] - a[0]) * way[0] + (columns - a[1]) * way[1]
        part = np.clip(part / max(way @ way, 1e-6), 0, 1)
        distance = np.hypot(
            rows[:, None] - a[0] - part * way[0],
            columns - a[1] - part * way[1],
        )
        wide = (1 - part) * radius[n] + part * radius[n + 1]
        depth = wide - distance
        mix = (1 - part) * thing.shades[n] + part * thing.shades[n + 1]
        shade = np.where(depth > best, mix, shade)
        best = np.maximum(best, depth)
    opacity = np.clip(best + 0.5, 0, 1)
    window = tuple(slice(a, b) for a, b in zip(low, high))
    color = thing.level * shade
    pixels[window] = pixels[window] * (1 - opacity) + opacity * color
    mask[window] |= opacity > _VISIBLE


def _develop(rng, look, pixels):
    """The picture as a camera and a difference leave it, uint8, grey."""
    blur = rng.uniform(0.0, 0.35)
    for axis in (1, 2):
        beside = np.roll(pixels, 1, axis) + np.roll(pixels, -1, axis)
        pixels = (1 - blur) * pixels + 0.5 * blur * beside
    level = look.noise * rng.random() ** 2
    noise = rng.normal(0, 1, pixels.shape) * level
    # A part of the noise is that of the background, and stands still.
    still = rng.normal(0, 1, pixels.shape[1:]) * level * rng.random()
    pixels = np.abs(pixels + noise + still)
    floor = rng.uniform(0.5, 2.5) * level
    pixels = np.clip((pixels - floor) / (1 - floor), 0, 1)
    grey = np.rint(255 * pixels).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)
