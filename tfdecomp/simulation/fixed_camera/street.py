"""Videos of a street from above: cars in lanes, walkers beside them.

A stand-in for recordings of a street or a hall with a fixed camera: the ground
has a texture and does not move, the light changes slowly.
"""

import dataclasses

import numpy as np

from tfdecomp.simulation import stills, streams

DATASET = "street"
KINDS = ("car", "walker")
# In pixels of a frame of 64 x 64; larger frames show the same, larger.
_SIDE = 64
_LANES = (20, 32, 44)  # rows of their middles
_LANE_JITTER = 2.0
_LENGTH, _WIDTH = (6.0, 10.0), (4.0, 6.0)
_SPEED = (1.0, 6.0)  # per frame, of all cars of a lane
_GAP = 2.0  # between cars of a lane, at least
_TRACK = (84.0, 104.0)  # a lane's length, with the part out of view
_OUT = 10.0  # how far a lane begins out of view
_PAVEMENTS = (7, 57)
_PAVEMENT_JITTER = 4.0
_RADIUS = 1.5
_WALK = (0.3, 1.0)
_WALK_OUT = 4.0
_WAVES = 6
_GAIN = (0.7, 1.0)
_GAIN_STEP = 0.02


@dataclasses.dataclass(frozen=True)
class Street:
    """What a video is like.

    Args:
        num_frames: `T`.
        size: Side of the frame.
        num_cars: `(least, most)` cars.
        num_walkers: `(least, most)` walkers.

    Raises:
        ValueError: If a number is out of range.
    """

    num_frames: int = 20
    size: int = 64
    num_cars: tuple = (1, 6)
    num_walkers: tuple = (0, 6)

    def __post_init__(self):
        if self.num_frames < 1 or self.size < 32:
            raise ValueError(
                f"num_frames is {self.num_frames} and size {self.size}, "
                "expected at least 1 and 32"
            )
        # More cars need not fit into one lane.
        most_cars = int(_TRACK[0] / (_LENGTH[1] + _GAP))
        for name, limit in (("num_cars", most_cars), ("num_walkers", 100)):
            low, high = getattr(self, name)
            if not 0 <= low <= high <= limit:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, expected (least, most) "
                    f"from 0 to {limit}"
                )

    @property
    def max_objects(self):
        """`K`."""
        return self.num_cars[1] + self.num_walkers[1]


def generate(look, split, start, stop, *, seed, stream, fresh=False):
    """Makes the videos `start`, ..., `stop - 1` of a split.

    The order of the draws: the ground, the light, the numbers of cars and
    walkers, the lanes, the cars, the walkers.

    Args:
        look: A `Street`.
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
class _Things:
    """Cars or walkers.

    Args:
        row: `[n]` of their middles.
        column: `[T, n]` of their middles.
        speed: `[n]` to the right, per frame.
        size: `[n, 2]` height and width.
        color: `[n, 3]` in 0...1.
        lane: `[n]` from 1; 0 for walkers.
    """

    row: np.ndarray
    column: np.ndarray
    speed: np.ndarray
    size: np.ndarray
    color: np.ndarray
    lane: np.ndarray


def _video(look, rng):
    ground = _ground(rng, look.size)
    gain = _gain(rng, look.num_frames)
    cars, walkers = (
        int(rng.integers(low, high + 1))
        for low, high in (look.num_cars, look.num_walkers)
    )
    time = np.arange(look.num_frames)[:, None]
    things = [_cars(rng, cars, time), _walkers(rng, walkers, time)]
    scale = look.size / _SIDE
    masks = np.concatenate([_masks(t, look.size, scale) for t in things], 1)
    masks = np.pad(
        masks, [(0, 0), (0, look.max_objects - masks.shape[1]), (0, 0), (0, 0)]
    )
    layers = stills.stack(masks)
    color = _joined(things, "color", look.max_objects)
    table = np.concatenate([np.zeros((1, 3)), color])
    owner = layers.owner[..., None]
    pixels = np.where(owner > 0, table[layers.owner], ground)
    pixels = np.rint(255 * gain[:, None, None, None] * pixels)
    fraction = layers.visible_pixels / np.maximum(layers.own_pixels, 1)
    return {
        "video": pixels.astype(np.uint8),
        "segmentation": owner,
        "boxes": layers.boxes,
        "visibility": (layers.visible_pixels > 0).astype(np.uint8),
        "visible_fraction": fraction.astype(np.float32),
        "num_objects": cars + walkers,
        "factors": _factors(look, things, scale, color),
    }


def _factors(look, things, scale, color):
    slots = look.max_objects
    count = sum(len(some.row) for some in things)
    position = np.zeros((look.num_frames, slots, 2), np.float32)
    velocity = np.zeros((look.num_frames, slots, 2), np.float32)
    position[:, :count, 0] = np.concatenate([t.row for t in things])
    position[:, :count, 1] = np.concatenate([t.column for t in things], 1)
    velocity[..., 1] = _joined(things, "speed", slots)
    kind = np.zeros(slots, np.int32)
    kind[:count] = np.repeat([1, 2], [len(some.row) for some in things])
    return {
        "position": scale * position,
        "velocity": scale * velocity,
        "kind": kind,
        "lane": _joined(things, "lane", slots).astype(np.int32),
        "color": color.astype(np.float32),
    }


def _joined(things, name, slots):
    """A field of all things, with zeros up to `slots`."""
    values = np.concatenate([getattr(some, name) for some in things])
    widths = [(0, slots - len(values))] + [(0, 0)] * (values.ndim - 1)
    return np.pad(values, widths)


def _ground(rng, size):
    """A sum of plane waves, `[size, size, 3]` in 0...1."""
    place = (np.arange(size) + 0.5) / size
    total = np.zeros((size, size, 3))
    for _ in range(_WAVES):
        length = rng.uniform(2.0, 16.0)  # waves across the frame
        angle, phase = rng.uniform(0.0, 2 * np.pi, 2)
        shade = rng.uniform(0.3, 1.0, 3)
        down = length * np.sin(angle) * place[:, None]
        across = length * np.cos(angle) * place
        wave = np.cos(2 * np.pi * (down + across) + phase)
        total += wave[..., None] * shade
    return rng.uniform(0.3, 0.5) + 0.15 * total / _WAVES


def _gain(rng, frames):
    """The light's random walk between two walls, `[frames]`."""
    low, high = _GAIN
    steps = rng.normal(0.0, _GAIN_STEP, frames)
    steps[0] = rng.uniform(0.0, high - low)
    # Reflected by folding.
    way = np.cumsum(steps) % (2 * (high - low))
    return high - np.abs(way - (high - low))


def _cars(rng, count, time):
    """Cars of a lane are equally fast, so that none meets another."""
    lanes = rng.integers(len(_LANES), size=count)
    speeds = rng.uniform(*_SPEED, len(_LANES))
    speeds *= rng.choice((-1.0, 1.0), len(_LANES))
    tracks = rng.uniform(*_TRACK, len(_LANES))
    length, width = rng.uniform(*_LENGTH, count), rng.uniform(*_WIDTH, count)
    row = np.array(_LANES)[lanes] + rng.uniform(
        -_LANE_JITTER, _LANE_JITTER, count
    )
    place = np.zeros(count)
    for lane, track in enumerate(tracks):
        own = np.flatnonzero(lanes == lane)
        place[own] = _along(rng, length[own], track)
    speed = speeds[lanes]
    column = (place + speed * time) % tracks[lanes] - _OUT
    size = np.stack([width, length], -1)
    color = _colours(rng, count)
    return _Things(row, column, speed, size, color, 1 + lanes)


def _along(rng, lengths, track):
    """Places on a ring for cars of some lengths, with gaps between them."""
    taken = lengths + _GAP
    free = track - taken.sum()
    before = np.sort(rng.uniform(0.0, free, len(lengths)))
    middle = before + np.cumsum(taken) - taken / 2
    return middle + rng.uniform(0.0, track)


def _walkers(rng, count, time):
    row = np.array(_PAVEMENTS)[rng.integers(len(_PAVEMENTS), size=count)]
    row = row + rng.uniform(-_PAVEMENT_JITTER, _PAVEMENT_JITTER, count)
    speed = rng.uniform(*_WALK, count) * rng.choice((-1.0, 1.0), count)
    track = _SIDE + 2 * _WALK_OUT
    place = rng.uniform(0.0, track, count)
    column = (place + speed * time) % track - _WALK_OUT
    size = np.full((count, 2), 2 * _RADIUS)
    color = _colours(rng, count)
    return _Things(row, column, speed, size, color, np.zeros(count, int))


def _colours(rng, count):
    """Colours that differ from the ground, `[count, 3]`."""
    color = rng.uniform(0.0, 1.0, (count, 3))
    # One of the channels is full, another one almost empty.
    order = rng.permuted(np.tile(np.arange(3), (count, 1)), axis=1)
    rows = np.arange(count)
    color[rows, order[:, 0]] = 1.0
    color[rows, order[:, 1]] *= 0.2
    return color


def _masks(things, size, scale):
    """Pixels whose middle is inside, `[T, n, size, size]`."""
    middle = (np.arange(size) + 0.5) / scale
    # Rounded, so that pixels are the same on every machine.
    down = np.round(middle - things.row[:, None], 9)  # [n, size]
    across = np.round(middle - things.column[..., None], 9)  # [T, n, size]
    height, width = things.size.T / 2
    is_car = (things.lane > 0)[:, None, None]
    box = (np.abs(down) < height[:, None])[:, :, None] & (
        np.abs(across) < width[:, None]
    )[:, :, None]
    disc = down[:, :, None] ** 2 + across[:, :, None] ** 2 < _RADIUS**2
    return np.where(is_car, box, disc)
