"""Videos of sprites that are scattered over a black frame and bounce off it.

What digits and shapes share: where sprites start, how they move, how they are
drawn one over the other, and the labels that follow from it.
"""

import dataclasses
import functools
import re

import numpy as np

from tfdecomp.simulation import streams

CHANNELS = 3
COUNTS = range(255)
# Splits `test_n05`, `validation_n05` have as many sprites in every video.
EXTRA_SPLITS = tuple(
    f"{split}_n{count:02d}"
    for split in ("test", "validation")
    for count in COUNTS
)
MAX_TRIES = 1000  # places tried for one sprite before a restart
MAX_RESTARTS = 10_000
_AT_ONCE = 25  # places drawn together


@dataclasses.dataclass(frozen=True)
class Scatter:
    """How many sprites there are and how they move.

    Args:
        num_frames: `T`.
        size: Side of the frame.
        num_objects: `(least, most)` sprites, both included. The splits
            `test_n05`, ... have their own numbers.
        max_objects: `K`, slots of every label.
        speed: Of every sprite, in pixels per frame.
        max_overlap: How much of the rectangle of a new sprite those before it
            may cover in the first frame, summed over them, in pixels.
        window: Side of the square that is shown of a scene; 0: all of it.
        num_windows: Windows of one scene, consecutive examples.
    """

    num_frames: int = 8
    size: int = 48
    num_objects: tuple = (1, 6)
    max_objects: int = 12
    speed: float = 2.0
    max_overlap: float = 98.0
    window: int = 0
    num_windows: int = 1

    def __post_init__(self):
        if (
            len(self.num_objects) != 2
            or not 0 <= self.num_objects[0] <= self.num_objects[1]
        ):
            raise ValueError(
                "num_objects is (least, most), the lower number first, not "
                f"{self.num_objects}"
            )
        self.check_count(self.num_objects[1])
        if not 0 <= self.speed < self.size:
            raise ValueError(
                f"speed is {self.speed}, but must be at least 0 and less than "
                f"the {self.size} px of the frame, in pixels per frame"
            )
        if self.max_overlap < 0:
            raise ValueError(
                f"max_overlap must be at least 0, not {self.max_overlap}"
            )
        if not 0 <= self.window <= self.size or self.num_windows < 1:
            raise ValueError(
                f"window is {self.window} and num_windows {self.num_windows}, "
                f"but a scene of {self.size} px has one or more windows of at "
                "most this side"
            )

    def check_count(self, most):
        """Refuses scenes of more sprites than the labels have slots."""
        if most > self.max_objects:
            raise ValueError(
                f"max_objects is {self.max_objects}, but scenes have up to "
                f"{most} objects"
            )

    def check_splits(self, names):
        """Refuses names of extra splits that no rule covers."""
        for name in names:
            if name not in EXTRA_SPLITS:
                raise ValueError(
                    f"extra_splits has {name!r}, but its names are 'test_n' or "
                    "'validation_n' and a number of objects in two digits, "
                    "such as 'test_n07'"
                )
            self.check_count(fixed_count(name))

    @property
    def shown(self):
        """Side of what is shown of a scene."""
        return self.window or self.size


@dataclasses.dataclass(frozen=True, eq=False)
class Sprite:
    """What moves.

    Args:
        alpha: `[h, w]` uint8, how much of a pixel it covers.
        color: `[3]` uint8.
        solid: Least alpha of pixels that count as the sprite's in masks.
    """

    alpha: np.ndarray
    color: np.ndarray
    solid: int = 128

    @property
    def size(self):
        """`(h, w)`, the rectangle that stays inside the frame."""
        return self.alpha.shape

    @functools.cached_property
    def mask(self):
        """`[h, w]` bool, pixels that count as the sprite's."""
        return self.alpha >= self.solid

    @functools.cached_property
    def box(self):
        """`[4]` tight box of what is not transparent at all."""
        rows = np.flatnonzero(self.alpha.any(1))
        columns = np.flatnonzero(self.alpha.any(0))
        low, high = (rows[0], columns[0]), (rows[-1], columns[-1])
        return np.array([*low, high[0] + 1, high[1] + 1])


def fixed_count(split):
    """Sprites in every video of `test_n05`, ...; None: they vary."""
    match = re.fullmatch(r"(?:test|validation)_n(\d+)", split)
    return int(match[1]) if match else None


def base_split(split):
    """`train`, `validation` or `test`: whose sprites a split shows."""
    return split if fixed_count(split) is None else split.split("_")[0]


def generate(
    scatter, draw, dataset, split, start, stop, *, seed, stream, fresh
):
    """Makes the videos `start`, ..., `stop - 1` of a split.

    Per scene, in this order: one number in [0, 1) for the count, unless the
    split has its own; what `draw` needs; the places, one sprite after the
    other; two normal numbers per sprite for its direction; the corners of the
    windows.

    Args:
        scatter: A `Scatter`.
        draw: Function of a random generator and a count; returns as many
            `Sprite`s and their factors `[n, ...]` by name.
        dataset: Name of the dataset.
        split: Name of the split.
        start: First index.
        stop: Index after the last one.
        seed: Seed of the dataset.
        stream: Name of the stream of scenes.
        fresh: Whether to make videos that no stored split holds.

    Returns:
        A list of dicts with `video`, `segmentation`, `boxes`, `visibility`,
        `visible_fraction`, `num_objects`, `factors` and, of windows,
        `crop_offset`, `(y, x)` of their corner in the scene.
    """
    number = streams.split_id(split, EXTRA_SPLITS, fresh)
    scenes, examples = {}, []
    for index in range(start, stop):
        scene, window = divmod(index, scatter.num_windows)
        if scene not in scenes:
            rng = streams.example_rng(seed, dataset, stream, number, scene)
            scenes = {scene: _scene(rng, scatter, draw, fixed_count(split))}
        examples.append(scenes[scene].example(scatter, window))
    return examples


@dataclasses.dataclass
class _Scene:
    """A drawn scene, from which windows are cut."""

    video: np.ndarray  # [T, H, W, 3] uint8
    owner: np.ndarray  # [T, H, W] uint8
    sprites: list
    position: np.ndarray  # [T, n, 2] corners
    velocity: np.ndarray  # [T, n, 2]
    factors: dict
    windows: np.ndarray  # [num_windows, 2] corners

    def example(self, scatter, window):
        """What is seen through a window, as an example."""
        corner, side = self.windows[window], scatter.shown
        (top, left), slots = corner, scatter.max_objects
        cut = (
            slice(None),
            slice(top, top + side),
            slice(left, left + side),
        )
        owner = self.owner[cut]
        visible = [np.bincount(o.ravel(), None, slots + 1) for o in owner]
        visible = np.stack(visible)[:, 1:]  # [T, K]
        boxes, own = self._labels(corner, side, slots)
        middle = np.array([s.size for s in self.sprites]).reshape(-1, 2) / 2
        factors = {
            "position": (self.position + middle - corner).astype(np.float32),
            "velocity": self.velocity.astype(np.float32),
        }
        factors = {name: _pad(a, slots, 1) for name, a in factors.items()}
        factors |= {n: _pad(a, slots, 0) for n, a in self.factors.items()}
        fraction = visible / np.maximum(own, 1)
        place = {"crop_offset": corner.astype(np.int32)}
        return {
            **(place if scatter.window else {}),
            "video": self.video[cut],
            "segmentation": owner[..., None],
            "boxes": boxes,
            "visibility": (visible > 0).astype(np.uint8),
            "visible_fraction": fraction.astype(np.float32),
            "num_objects": len(self.sprites),
            "factors": factors,
        }

    def _labels(self, corner, side, slots):
        """Boxes `[T, K, 4]` and pixels `[T, K]` of the sprites alone."""
        pixels = whole(self.position) - corner
        frames = len(pixels)
        boxes = np.zeros((frames, slots, 4), np.float32)
        own = np.zeros((frames, slots), int)
        for k, sprite in enumerate(self.sprites):
            boxes[:, k] = np.tile(pixels[:, k], 2) + sprite.box
            own[:, k] = np.count_nonzero(sprite.mask)
            inside = (pixels[:, k] >= 0) & (pixels[:, k] + sprite.size <= side)
            for t in np.flatnonzero(~inside.all(1)):
                low, high = (
                    (-pixels[t, k]).clip(0),
                    (side - pixels[t, k]).clip(0),
                )
                mask = sprite.mask[low[0] : high[0], low[1] : high[1]]
                own[t, k] = np.count_nonzero(mask)
        boxes = boxes.clip(0, side)
        empty = (boxes[..., 2:] - boxes[..., :2]).min(-1) <= 0
        boxes[empty] = 0
        return boxes, own


def _scene(rng, scatter, draw, count):
    least, most = scatter.num_objects
    if count is None:
        count = least + int(rng.random() * (most + 1 - least))
    sprites, factors = draw(rng, count)
    sizes = np.array([sprite.size for sprite in sprites], int).reshape(-1, 2)
    corner = place(rng, sizes, scatter.size, scatter.max_overlap)
    turn = rng.standard_normal((count, 2))
    turn /= np.sqrt((turn**2).sum(1, keepdims=True))
    position, velocity = bounce(
        corner, scatter.speed * turn, scatter.size - sizes, scatter.num_frames
    )
    windows = rng.integers(
        scatter.size - scatter.shown + 1, size=(scatter.num_windows, 2)
    )
    video, owner = _draw(sprites, whole(position), scatter)
    return _Scene(video, owner, sprites, position, velocity, factors, windows)


def place(rng, sizes, side, max_overlap):
    """Starts sprites, one after the other, without much overlap.

    A place is uniform over those inside the frame and is taken if the
    rectangles before it cover at most `max_overlap` pixels of its own, each of
    them counted by itself. After 1,000 places in vain all start again.

    Args:
        rng: Random generator.
        sizes: `[n, 2]` heights and widths of the rectangles.
        side: Of the frame.
        max_overlap: In pixels.

    Returns:
        `[n, 2]` corners, whole pixels.

    Raises:
        ValueError: If there is no room.
    """
    if len(sizes) and sizes.max() > side:
        raise ValueError(
            f"sprites of up to {sizes.max()} px do not fit into a frame of "
            f"{side} px; use smaller sprites or a larger frame"
        )
    for _ in range(MAX_RESTARTS):
        corners = np.zeros((len(sizes), 2), int)
        for done, size in enumerate(sizes):
            corner = _place_one(
                rng, size, corners[:done], sizes[:done], side, max_overlap
            )
            if corner is None:
                break
            corners[done] = corner
        else:
            return corners
    raise ValueError(
        f"could not place {len(sizes)} sprites of about "
        f"{sizes.mean():.0f} px, {sizes.prod(1).sum() / side**2:.0%} of a "
        f"frame of {side} px, in {MAX_RESTARTS:,} attempts; use fewer or "
        "smaller sprites, a larger frame or a larger max_overlap"
    )


def _place_one(rng, size, corners, sizes, side, max_overlap):
    for _ in range(MAX_TRIES // _AT_ONCE):
        tries = rng.integers(side - size + 1, size=(_AT_ONCE, 2))
        low = np.maximum(tries[:, None], corners)  # [_AT_ONCE, done, 2]
        high = np.minimum((tries + size)[:, None], corners + sizes)
        overlap = (high - low).clip(0).prod(-1).sum(-1)
        fits = overlap <= max_overlap
        if fits.any():
            return tries[fits.argmax()]
    return None


def bounce(corner, velocity, room, num_frames):
    """Moves corners in straight lines between walls that reflect exactly.

    A corner that meets a wall within a frame spends the rest of the frame on
    its way back.

    Args:
        corner: `[n, 2]` in the first frame, each from 0 to `room`.
        velocity: `[n, 2]` in the first frame, in pixels per frame.
        room: `[n, 2]` pixels that a corner can move.
        num_frames: `T`.

    Returns:
        Positions and velocities, `[T, n, 2]`.
    """
    time = np.arange(num_frames)[:, None, None]
    room = np.maximum(room, 1e-9)
    unfolded = (corner + velocity * time) % (2 * room)
    there = unfolded <= room
    position = np.where(there, unfolded, 2 * room - unfolded)
    return position, np.where(there, velocity, -velocity)


def whole(position):
    """The pixels of corners, rounded down."""
    # Rounded, so that whole pixels are the same on every machine.
    return np.floor(np.round(position, 9)).astype(int)


def _draw(sprites, corner, scatter):
    """Video and owners of sprites at corners `[T, n, 2]`, in their order."""
    shape = (scatter.num_frames, scatter.size, scatter.size)
    # Whole numbers are the same on every machine.
    video = np.zeros((*shape, CHANNELS), np.uint16)
    owner = np.zeros(shape, np.uint8)
    time = np.arange(scatter.num_frames)[:, None, None]
    for k, sprite in enumerate(sprites):
        height, width = sprite.size
        top, left = corner[:, k].T[..., None, None]
        rows = top + np.arange(height)[:, None]
        columns = left + np.arange(width)
        alpha = sprite.alpha.astype(np.uint16)[..., None]
        front = alpha * sprite.color
        back = video[time, rows, columns]  # [T, h, w, 3]
        video[time, rows, columns] = (front + (255 - alpha) * back) // 255
        behind = owner[time, rows, columns]
        owner[time, rows, columns] = np.where(sprite.mask, k + 1, behind)
    return video.astype(np.uint8), owner


def _pad(values, slots, axis):
    """Zeros in the slots of objects that do not exist."""
    widths = [(0, 0)] * values.ndim
    widths[axis] = (0, slots - values.shape[axis])
    return np.pad(values, widths)
