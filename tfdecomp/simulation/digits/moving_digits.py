"""Videos of two digits that bounce, each on a colour plane of its own.

Or in grey: the larger of both planes.
"""

import dataclasses
import functools

import numpy as np

from tfdecomp.simulation import stills, streams
from tfdecomp.simulation.digits import digit_banks

DATASET = "moving_digits"
NUM_DIGITS = 2  # red and green; the blue plane is empty
CHANNELS = 3  # of colours; 1 is grey
SHARED_ID = 255  # label of pixels that both digits have


@dataclasses.dataclass(frozen=True)
class MovingDigits:
    """What a video looks like.

    The corner of a digit's cell moves in a box from 0 to 1, which stands for
    the `size - cell` pixels that it can move.

    Args:
        num_frames: `T`.
        size: Side of the frame.
        cell: Side of the square that a digit is scaled to.
        speed: Boxes per frame.
        speed_range: Instead of `speed`: `(low, high)`, drawn per digit.
        pool_size: Digits that are shown; 0: all of the bank.
        pool_split: Who shows which of them, see `digit_banks.pools`.
        channels: 3: each digit has a plane of its own; 1: the larger value of
            both, by which nothing tells them apart.
    """

    num_frames: int = 20
    size: int = 64
    cell: int = 28
    speed: float = 0.1
    speed_range: tuple | None = None
    pool_size: int = 0
    pool_split: str = "shared"
    channels: int = CHANNELS

    def __post_init__(self):
        if self.channels not in (1, CHANNELS):
            raise ValueError(
                f"channels must be {CHANNELS}, a plane for each digit, or 1 "
                f"for grey, not {self.channels}"
            )
        if not 1 <= self.cell < self.size:
            raise ValueError(
                f"cell is {self.cell}, but must be at least 1 and less than "
                f"the {self.size} px of the frame, or nothing could move"
            )
        if self.speed_range is not None and len(self.speed_range) != 2:
            raise ValueError(
                f"speed_range is (low, high), not {self.speed_range}"
            )
        low, high = self.speeds
        if not 0 <= low <= high <= 1:
            name = "speed" if self.speed_range is None else "speed_range"
            raise ValueError(
                f"{name} is {getattr(self, name)}, but speeds are from 0 to 1 "
                "box per frame, the lower one first"
            )
        digit_banks.check_pool(self.pool_split, self.pool_size)

    @property
    def speeds(self):
        """The lowest and the highest speed."""
        return self.speed_range or (self.speed, self.speed)


@functools.lru_cache(maxsize=4)
def pool_of(look, load, split):
    """What a split may show.

    Args:
        look: A `MovingDigits`.
        load: Hashable function that returns a `digit_banks.Bank`.
        split: `"train"`, `"validation"` or `"test"`.

    Returns:
        A `digit_banks.Pool`.

    Raises:
        ValueError: If there is no digit for the split.
    """
    bank = load()
    index = digit_banks.pools(bank, look.pool_split, look.pool_size)[split]
    return digit_banks.pool(bank, index, look.cell, split)


def generate(look, load, split, start, stop, *, seed, stream, fresh=False):
    """Makes the videos `start`, ..., `stop - 1` of a split.

    Video `i` shows entries `2 i` and `2 i + 1` of the shuffled pool, which is
    shuffled anew when it is used up. What moves is drawn per video, see
    `_motion`.

    Args:
        look: A `MovingDigits`.
        load: Hashable function that returns a `digit_banks.Bank`.
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
    pool = pool_of(look, load, split)
    picked = _pick(len(pool.cells), start, stop, seed, stream, number)
    states = [
        _motion(streams.example_rng(seed, DATASET, stream, number, index), look)
        for index in range(start, stop)
    ]
    position, velocity = np.stack(states, 1)  # [N, 2, 2] each
    position, velocity = bounce(position, velocity, look.num_frames)
    return _film(look, pool, picked, position, velocity)


def _pick(size, start, stop, seed, stream, number):
    """Which digits of a pool the videos show, `[N, 2]`."""
    places = np.arange(NUM_DIGITS * start, NUM_DIGITS * stop)
    turns, places = np.divmod(places, size)
    # No pass through the pool shares a stream with a video.
    orders = {
        turn: _order(seed, f"{stream} order", number, turn, size)
        for turn in set(turns.tolist())
    }
    picked = [orders[t][place] for t, place in zip(turns.tolist(), places)]
    return np.reshape(picked, (-1, NUM_DIGITS)).astype(int)


@functools.lru_cache(maxsize=4)
def _order(seed, stream, number, turn, size):
    rng = streams.example_rng(seed, DATASET, stream, number, turn)
    return rng.permutation(size)


def _motion(rng, look):
    """Where the digits of a video start and how they move, `[2, 2]` each.

    Four numbers in [0, 1) per digit, in this order: y and x of the corner, the
    direction and the place between the lowest and the highest speed.
    """
    y, x, turn, share = rng.random((NUM_DIGITS, 4)).T
    low, high = look.speeds
    speed = low + (high - low) * share
    angle = 2 * np.pi * turn
    velocity = [speed * np.sin(angle), speed * np.cos(angle)]
    return np.stack([y, x], -1), np.stack(velocity, -1)


def bounce(position, velocity, num_frames):
    """Moves corners in the unit box; the first frame is after one step.

    A step adds the velocity. A coordinate that reaches a wall stays there, and
    its velocity changes its sign.

    Args:
        position: `[..., 2]` corners before the first frame, in [0, 1].
        velocity: `[..., 2]` per frame.
        num_frames: `T`.

    Returns:
        Positions and velocities after each step, `[T, ..., 2]`.
    """
    positions, velocities = [], []
    for _ in range(num_frames):
        position = position + velocity
        hit = (position <= 0) | (position >= 1)
        position = position.clip(0, 1)
        velocity = np.where(hit, -velocity, velocity)
        positions.append(position)
        velocities.append(velocity)
    return np.stack(positions), np.stack(velocities)


def _film(look, pool, picked, position, velocity):
    """Examples of corners and velocities `[T, N, 2, 2]` in the unit box."""
    position, velocity = (a.swapaxes(0, 1) for a in (position, velocity))
    room = look.size - look.cell
    # Rounded, so that whole pixels are the same on every machine.
    corner = np.floor(np.round(room * position, 9)).astype(int)
    planes = _draw(look, pool.cells[picked], corner)
    video = planes
    if look.channels == 1:
        video = planes.max(-1, keepdims=True)
    factors = {
        "position": (corner + look.cell / 2).astype(np.float32),
        "velocity": (room * velocity).astype(np.float32),
        "label": pool.labels[picked].astype(np.int32),
        "source_index": pool.source_index[picked].astype(np.int32),
    }
    arrays = {"video": video, **_labels(planes)}
    return [
        {
            **{name: array[n] for name, array in arrays.items()},
            "num_objects": NUM_DIGITS,
            "factors": {name: array[n] for name, array in factors.items()},
        }
        for n in range(len(video))
    ]


def _draw(look, cells, corner):
    """Videos of cells `[N, 2, cell, cell]` at corners `[N, T, 2, 2]`."""
    shape = (*corner.shape[:2], look.size, look.size, CHANNELS)
    video = np.zeros(shape, np.uint8)
    for n, t, k in np.ndindex(corner.shape[:3]):
        top, left = corner[n, t, k]
        rows = video[n, t, top : top + look.cell]
        rows[:, left : left + look.cell, k] = cells[n, k]
    return video


def _labels(planes):
    """Labels of every frame: a digit is what is lit on its plane."""
    masks = np.moveaxis(planes[..., :NUM_DIGITS] > 0, -1, 2)
    lead, size = masks.shape[:2], masks.shape[3:]  # (N, T), (H, W)
    layers = stills.stack(masks.reshape(-1, NUM_DIGITS, *size), SHARED_ID)
    visible, own = layers.visible_pixels, layers.own_pixels
    labels = {
        "segmentation": layers.owner[..., None],
        "boxes": layers.boxes,
        "visibility": (visible > 0).astype(np.uint8),
        "visible_fraction": (visible / own).astype(np.float32),
    }
    return {
        name: values.reshape(*lead, *values.shape[1:])
        for name, values in labels.items()
    }
