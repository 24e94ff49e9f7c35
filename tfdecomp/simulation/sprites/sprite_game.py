"""Episodes of a game: a block of sprites marches, somebody shoots at it.

A stand-in for recordings of Space Invaders: a black frame of 210 x 160 pixels,
five rows of eight sprites in two colours, a shooter and its shots. Nothing
ever covers anything else.
"""

import dataclasses

import numpy as np

from tfdecomp.simulation import streams

DATASET = "sprite_game"
SIZE = (210, 160)
ROWS, COLUMNS = 5, 8
KINDS = ("sprite", "shooter", "shot")
_PITCH = (16, 16)  # from one sprite of the block to the next
_TOP = (24, 48)  # of the block in the first frame
_DROP = 8  # pixels that the block steps down
_EDGE = 4  # the block and the shooter keep this distance from the sides
_SHOOTER_TOP = 190
_LOWEST = _SHOOTER_TOP - 12  # the block stays above
_TURNS = 0.1  # probability that the shooter turns, per frame
_FIRES = 0.2  # and that it fires
_ALIVE = (0.5, 1.0)  # share of the sprites that are left at first

_DRAWINGS = {
    "crab": (
        "..#....#..",
        "...#..#...",
        "..######..",
        ".#oo##oo#.",
        "##########",
        "#.######.#",
        "#.#....#.#",
        "...##.##..",
    ),
    "squid": (
        "....##....",
        "...####...",
        "..######..",
        ".#oo##oo#.",
        "##########",
        "..#.##.#..",
        ".#.#..#.#.",
        "#.#....#.#",
    ),
    "octopus": (
        "...####...",
        ".########.",
        "##########",
        "#oo####oo#",
        "##########",
        "..##..##..",
        ".##.##.##.",
        "##......##",
    ),
    "shooter": (
        "......oo......",
        "......oo......",
        ".....####.....",
        ".############.",
        "##############",
        "##############",
        "##############",
        "##############",
    ),
    "shot": ("oo", "oo", "oo", "oo", "oo", "oo"),
}
# Which pixels of a drawing have the first and the second colour.
BITMAPS = {
    name: np.array([[".#o".index(mark) for mark in row] for row in rows])
    for name, rows in _DRAWINGS.items()
}
_OF_ROW = ("squid", "crab", "crab", "octopus", "octopus")
COLOURS = np.array(
    [
        (228, 76, 76),
        (84, 196, 92),
        (92, 124, 236),
        (232, 204, 72),
        (204, 96, 212),
        (80, 204, 212),
        (236, 148, 60),
        (220, 220, 220),
    ],
    np.uint8,
)


@dataclasses.dataclass(frozen=True)
class SpriteGame:
    """What an episode is like.

    Args:
        num_frames: Frames of an episode.
        max_shots: Shots of an episode.
        in_flight: Shots at the same time.
        step: Least and largest pixels that the block moves per frame.
        shooter_step: Pixels that the shooter moves per frame.
        shot_step: Pixels that a shot moves per frame.

    Raises:
        ValueError: If a value makes no sense.
    """

    num_frames: int = 64
    max_shots: int = 9
    in_flight: int = 4
    step: tuple = (1, 3)
    shooter_step: int = 2
    shot_step: int = 6

    def __post_init__(self):
        height = len(BITMAPS["shot"])
        if self.shot_step < height:
            raise ValueError(
                f"shot_step is {self.shot_step}, expected at least the "
                f"{height} px of a shot, or shots would cover each other"
            )
        low, high = self.step
        if not 0 <= low <= high < _PITCH[1]:
            raise ValueError(
                f"step is {self.step}, expected (least, most) pixels per "
                f"frame below {_PITCH[1]}"
            )
        for name in ("num_frames", "in_flight"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, expected at least 1"
                )
        if self.max_shots < 0:
            raise ValueError(
                f"max_shots is {self.max_shots}, expected at least 0"
            )

    @property
    def max_objects(self):
        """`K`: all sprites, the shooter and the shots of an episode."""
        return ROWS * COLUMNS + 1 + self.max_shots


def generate(look, split, start, stop, *, seed, stream, fresh=False):
    """Makes the episodes `start`, ..., `stop - 1` of a split.

    The order of the draws: colours, sprites that are left, place and step of
    the block, place of the shooter; then two numbers for every frame.

    Args:
        look: A `SpriteGame`.
        split: Name of the split.
        start: First index.
        stop: Index after the last one.
        seed: Seed of the dataset.
        stream: Name of the stream of episodes.
        fresh: Whether to make episodes that no stored split holds.

    Returns:
        A list of dicts with `video`, `segmentation`, `boxes`, `visibility`,
        `num_objects` and `factors`.
    """
    number = streams.split_id(split, fresh=fresh)
    return [
        _Episode(
            look, streams.example_rng(seed, DATASET, stream, number, index)
        ).film()
        for index in range(start, stop)
    ]


class _Episode:
    """A game that has been played: who was where in each frame."""

    def __init__(self, look, rng):
        self.look = look
        colours = COLOURS[
            rng.permuted(
                np.tile(np.arange(len(COLOURS)), (ROWS + 1, 1)), axis=1
            )
        ]
        share = rng.uniform(*_ALIVE)
        left = rng.random((ROWS, COLUMNS)) < share
        left[rng.integers(ROWS), rng.integers(COLUMNS)] = True
        rows, columns = np.nonzero(left)
        self.bitmaps = [BITMAPS[_OF_ROW[row]] for row in rows]
        self.colours = [colours[row, :2] for row in rows]
        self.shooter = len(rows)
        self.bitmaps.append(BITMAPS["shooter"])
        self.colours.append(colours[ROWS, :2])
        self._shot_colours = colours[ROWS, 1:3]
        self._play(rng, np.stack([rows, columns], -1) * _PITCH)

    def _play(self, rng, cells):
        look, slots = self.look, self.look.max_objects
        # A frame more, so that the last one's velocities are known.
        self.corner = np.zeros((look.num_frames + 1, slots, 2), int)
        self.exists = np.zeros((look.num_frames + 1, slots), bool)
        wide = cells[:, 1].max() + BITMAPS["crab"].shape[1]
        room = SIZE[1] - _EDGE - wide, _EDGE - cells[:, 1].min()
        block = np.array(
            [rng.integers(*_TOP), rng.integers(room[1], room[0] + 1)]
        )
        step = int(rng.integers(look.step[0], look.step[1] + 1))
        step *= int(rng.choice((-1, 1)))
        most = SIZE[1] - _EDGE - BITMAPS["shooter"].shape[1]
        gunner, way = int(rng.integers(_EDGE, most + 1)), 1
        chances = rng.random((look.num_frames + 1, 2))
        alive = np.ones(len(cells), bool)
        shots, fired = {}, 0  # slot to corner
        for t, (turns, fires) in enumerate(chances):
            if t:
                block, step = _march(block, step, cells[alive])
                way = -way if turns < _TURNS else way
                gunner += way * look.shooter_step
                if not _EDGE <= gunner <= most:
                    gunner, way = min(max(gunner, _EDGE), most), -way
                shots = {
                    slot: (top - look.shot_step, column)
                    for slot, (top, column) in shots.items()
                    if top >= look.shot_step
                }
            free = len(shots) < look.in_flight and fired < look.max_shots
            if free and fires < _FIRES:
                height, width = BITMAPS["shot"].shape
                middle = BITMAPS["shooter"].shape[1] // 2 - width // 2
                slot = self.shooter + 1 + fired
                shots[slot] = (_SHOOTER_TOP - height, gunner + middle)
                fired += 1
            self._hit(alive, shots, block + cells)
            self.corner[t, : len(cells)] = block + cells
            self.exists[t, : len(cells)] = alive
            self.corner[t, self.shooter] = _SHOOTER_TOP, gunner
            self.exists[t, self.shooter] = True
            for slot, corner in shots.items():
                self.corner[t, slot] = corner
                self.exists[t, slot] = True
        self.bitmaps += [BITMAPS["shot"]] * fired
        self.colours += [self._shot_colours] * fired

    @staticmethod
    def _hit(alive, shots, corners):
        """Takes away the shots that meet a sprite, and the sprites."""
        size, shot = BITMAPS["crab"].shape, BITMAPS["shot"].shape
        for slot, (top, column) in list(shots.items()):
            low = np.maximum(corners, (top, column))
            high = np.minimum(corners + size, (top + shot[0], column + shot[1]))
            hit = alive & (high > low).all(1)
            if hit.any():
                alive[hit] = False
                del shots[slot]

    def film(self):
        """The episode as an example."""
        look, count = self.look, len(self.bitmaps)
        frames = look.num_frames
        video = np.zeros((frames, *SIZE, 3), np.uint8)
        owner = np.zeros((frames, *SIZE), np.uint8)
        for t, k in np.argwhere(self.exists[:frames]):
            bitmap = self.bitmaps[k]
            top, left = self.corner[t, k]
            part = (
                t,
                slice(top, top + bitmap.shape[0]),
                slice(left, left + bitmap.shape[1]),
            )
            lit = bitmap > 0
            video[part][lit] = self.colours[k][bitmap[lit] - 1]
            owner[part][lit] = k + 1
        exists = self.exists[:frames]
        sizes = np.zeros((look.max_objects, 2), int)
        sizes[:count] = [bitmap.shape for bitmap in self.bitmaps]
        corner = self.corner[:frames]
        boxes = np.concatenate([corner, corner + sizes], -1)
        return {
            "video": video,
            "segmentation": owner[..., None],
            "boxes": (boxes * exists[..., None]).astype(np.float32),
            "visibility": exists.astype(np.uint8),
            "num_objects": count,
            "factors": self._factors(sizes),
        }

    def _factors(self, sizes):
        count, slots = len(self.bitmaps), self.look.max_objects
        position = (self.corner + sizes / 2) * self.exists[..., None]
        both = (self.exists[1:] & self.exists[:-1])[..., None]
        kind = np.zeros(slots, np.int32)
        kind[: self.shooter] = 1 + KINDS.index("sprite")
        kind[self.shooter] = 1 + KINDS.index("shooter")
        kind[self.shooter + 1 : count] = 1 + KINDS.index("shot")
        color = np.zeros((slots, 3), np.float32)
        color[:count] = [first / 255 for first, *_ in self.colours]
        return {
            "position": position[:-1].astype(np.float32),
            "velocity": (np.diff(position, axis=0) * both).astype(np.float32),
            "kind": kind,
            "color": color,
        }


def _march(block, step, cells):
    """Corner and step of the block after a frame."""
    if not len(cells):
        return block, step
    height, width = BITMAPS["crab"].shape
    left = block[1] + step + cells[:, 1].min()
    right = block[1] + step + cells[:, 1].max() + width
    if _EDGE <= left and right <= SIZE[1] - _EDGE:
        return block + (0, step), step
    bottom = block[0] + _DROP + cells[:, 0].max() + height
    down = _DROP if bottom <= _LOWEST else 0
    return block + (down, 0), -step
