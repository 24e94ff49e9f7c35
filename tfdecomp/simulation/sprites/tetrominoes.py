"""Scenes of tetrominoes: pieces of four square blocks that do not overlap."""

import dataclasses
import itertools

import numpy as np

from tfdecomp.simulation import stills, streams
from tfdecomp.simulation.sprites import polyominoes

DATASET = "tetrominoes"
EXTRA_SPLITS = ("test_large",)  # in the order of their streams
PIECES = {
    number: polyominoes.parse(text)
    for number, text in enumerate(polyominoes.TETROMINOES, 1)
}
# The paper says 17; the published file most likely holds all 19. Which two
# the paper leaves out is not known.
SHAPE_SETS = {
    "paper17": tuple(number for number in PIECES if number not in (4, 8)),
    "all19": tuple(PIECES),
}
COLOUR_NAMES = ("red", "green", "blue", "yellow", "magenta", "cyan")
COLOURS = np.array(
    [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1)], np.uint8
)
# Brightness of the pixels of a block of side 5 in the published file.
BEVEL = np.array(
    [
        (191, 255, 255, 255, 223),
        (127, 159, 159, 159, 191),
        (127, 159, 159, 159, 191),
        (127, 159, 159, 159, 191),
        (95, 63, 63, 63, 127),
    ],
    np.uint8,
)
TRIES = 32  # arrangements drawn at once
MAX_ROUNDS = 100
MAX_POLYOMINOES = 10_000  # grown for one ambiguous scene
MAX_FILLED = 0.6  # share of the frame that all pieces together may cover


@dataclasses.dataclass(frozen=True)
class Tetrominoes:
    """What a scene looks like.

    Args:
        size: Side of the frame in pixels.
        block: Side of a block in pixels.
        bevel: Whether blocks have light and dark edges, as in the published
            file, or are flat.
        shape_set: `"paper17"` or `"all19"`.
        num_pieces: Pieces per scene.
        max_objects: `K`, slots of every label.
        ambiguous: Whether the pieces of a scene share a colour and touch so
            that other pieces could cover the same pixels.
    """

    size: int = 35
    block: int = 5
    bevel: bool = True
    shape_set: str = "paper17"
    num_pieces: int = 3
    max_objects: int = 3
    ambiguous: bool = False

    def __post_init__(self):
        if self.shape_set not in SHAPE_SETS:
            raise ValueError(
                f"shape_set is one of {list(SHAPE_SETS)}, not "
                f"{self.shape_set!r}"
            )
        if min(self.block, self.num_pieces) < 1:
            raise ValueError(
                "block and num_pieces must be at least 1, not "
                f"{self.block} and {self.num_pieces}"
            )
        if self.num_pieces > self.max_objects:
            raise ValueError(
                f"max_objects is {self.max_objects}, but scenes have "
                f"{self.num_pieces} pieces"
            )
        filled = self.num_pieces * 4 * self.block**2 / self.size**2
        if filled > MAX_FILLED or 4 * self.block > self.size:
            raise ValueError(
                f"{self.num_pieces} pieces of blocks of {self.block} px cover "
                f"{filled:.0%} of a frame of {self.size} px; at most "
                f"{MAX_FILLED:.0%} can be placed: use fewer pieces, smaller "
                "blocks or a larger frame"
            )


@dataclasses.dataclass
class Scenes:
    """`N` scenes of `P` pieces.

    Args:
        shape: `[N, P]` ids of the shapes.
        corner: `[N, P, 2]` `(row, column)` of the bounding boxes, in pixels.
        colour: `[N, P]` rows of `COLOURS`.
        num_covers: `[N]` ways to cover the lit pixels with pieces; None where
            it is not known.
    """

    shape: np.ndarray
    corner: np.ndarray
    colour: np.ndarray
    num_covers: np.ndarray | None = None


def generate(look, split, start, stop, *, seed, stream, fresh=False):
    """Makes the scenes `start`, ..., `stop - 1` of a split.

    Args:
        look: A `Tetrominoes`.
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
    arrange = ambiguous_scenes if look.ambiguous else free_scenes
    return render(arrange(rngs, look), look)


def free_scenes(rngs, look):
    """Scenes of pieces anywhere; drawn anew, as a whole, until none overlap.

    Per example, in this order: `TRIES` arrangements, more of them while none
    fits, then the colours.

    Args:
        rngs: Generator of each example.
        look: A `Tetrominoes`.

    Returns:
        `Scenes`.
    """
    pieces = look.num_pieces
    shape = np.zeros((len(rngs), pieces), int)
    corner = np.zeros((len(rngs), pieces, 2), int)
    waiting = np.arange(len(rngs))
    for _ in range(MAX_ROUNDS):
        uniform = [rngs[n].random((TRIES, pieces, 3)) for n in waiting]
        shapes, corners = propose(np.stack(uniform), look)
        fits = disjoint(shapes, corners, look.block)  # [M, TRIES]
        found, first = fits.any(1), fits.argmax(1)
        placed = waiting[found]
        shape[placed] = shapes[found, first[found]]
        corner[placed] = corners[found, first[found]]
        waiting = waiting[~found]
        if not len(waiting):
            break
    else:
        raise ValueError(
            f"could not place {pieces} pieces of blocks of {look.block} px in "
            f"a frame of {look.size} px in {MAX_ROUNDS * TRIES} attempts; use "
            "fewer pieces, smaller blocks or a larger frame"
        )
    colour = [rng.integers(len(COLOURS), size=pieces) for rng in rngs]
    return Scenes(shape, corner, np.stack(colour))


def propose(uniform, look):
    """Arrangements from numbers in [0, 1).

    Args:
        uniform: `[..., P, 3]`, for shape, row and column.
        look: A `Tetrominoes`.

    Returns:
        `(shape [..., P], corner [..., P, 2])`; each piece is inside the frame.
    """
    ids = np.array(SHAPE_SETS[look.shape_set])
    shape = ids[(uniform[..., 0] * len(ids)).astype(int)]
    room = look.size - look.block * _EXTENT[shape] + 1
    return shape, (uniform[..., 1:] * room).astype(int)


def disjoint(shape, corner, block):
    """Whether no two pieces of an arrangement share a pixel.

    Args:
        shape: `[..., P]` ids.
        corner: `[..., P, 2]` in pixels.
        block: Side of a block.

    Returns:
        `[...]` bool.
    """
    blocks = corner[..., None, :] + block * _CELLS[shape]  # [..., P, 4, 2]
    free = np.ones(shape.shape[:-1], bool)
    for a, b in itertools.combinations(range(shape.shape[-1]), 2):
        gap = blocks[..., a, :, None, :] - blocks[..., b, None, :, :]
        touching = (np.abs(gap) < block).all(-1)  # [..., 4, 4]
        free &= ~touching.any((-1, -2))
    return free


def ambiguous_scenes(rngs, look):
    """Scenes of one colour that can be taken apart in several ways.

    Per example, in this order: connected sets of cells until one can be
    covered in at least two ways, which of its covers is the true one, the
    order of the pieces, the place in the frame, the colour.

    Args:
        rngs: Generator of each example.
        look: A `Tetrominoes`.

    Returns:
        `Scenes` with `num_covers`.
    """
    scenes = [_ambiguous(rng, look) for rng in rngs]
    shape, corner, colour, covers = map(np.array, zip(*scenes))
    return Scenes(shape, corner, colour, covers)


def _ambiguous(rng, look):
    pieces = {number: PIECES[number] for number in SHAPE_SETS[look.shape_set]}
    side = look.size // look.block
    for _ in range(MAX_POLYOMINOES):
        cells = polyominoes.grow(rng, 4 * look.num_pieces, side)
        covers = polyominoes.covers(cells, pieces)
        if len(covers) > 1:
            break
    else:
        raise ValueError(
            f"none of {MAX_POLYOMINOES} sets of {4 * look.num_pieces} cells "
            f"can be covered in two ways by the shapes of {look.shape_set}; "
            "use other num_pieces"
        )
    cover = covers[rng.integers(len(covers))]
    shape, corner = zip(*(cover[p] for p in rng.permutation(len(cover))))
    low = np.min(list(cells), 0)
    extent = np.max(list(cells), 0) - low + 1
    room = look.size - look.block * extent
    offset = rng.integers(room + 1)
    corner = look.block * (np.array(corner) - low) + offset
    colour = np.full(len(shape), rng.integers(len(COLOURS)))
    return shape, corner, colour, len(covers)


def render(scenes, look):
    """Draws scenes.

    Args:
        scenes: `Scenes`.
        look: A `Tetrominoes`.

    Returns:
        A list of dicts, see `generate`.
    """
    count, pieces = scenes.shape.shape
    size, slots = look.size, look.max_objects
    masks = np.zeros((count, slots, size, size), bool)
    light = np.zeros((count, size, size), np.uint8)
    drawn = {n: _bitmap(piece, look) for n, piece in PIECES.items()}
    for n, p in np.ndindex(count, pieces):
        bitmap = drawn[int(scenes.shape[n, p])]
        top, left = scenes.corner[n, p]
        rows = slice(top, top + bitmap.shape[0])
        columns = slice(left, left + bitmap.shape[1])
        masks[n, p, rows, columns] = bitmap > 0
        light[n, rows, columns] += bitmap  # pieces share no pixel
    layers = stills.stack(masks)
    colour = np.zeros((count, slots + 1, 3), np.uint8)  # 0: background
    colour[:, 1 : pieces + 1] = COLOURS[scenes.colour]
    tint = colour[np.arange(count)[:, None, None], layers.owner]
    return stills.examples(
        light[..., None] * tint, layers, _factors(scenes, layers, colour)
    )


def _factors(scenes, layers, colour):
    shape = np.zeros(layers.own_pixels.shape, np.int32)
    shape[:, : scenes.shape.shape[1]] = scenes.shape
    factors = {
        "shape": shape,
        "color": colour[:, 1:].astype(np.float32),
        "position": (layers.boxes[..., :2] + layers.boxes[..., 2:]) / 2,
        "corner": layers.boxes[..., :2],
    }
    if scenes.num_covers is not None:
        covers = np.broadcast_to(scenes.num_covers[:, None], shape.shape)
        factors["num_covers"] = covers.astype(np.int32)
    return factors


def _bitmap(piece, look):
    """Brightness `[h, w]` uint8 of a piece, 0 outside."""
    steps = (2 * np.arange(look.block) + 1) * len(BEVEL) // (2 * look.block)
    block = BEVEL[np.ix_(steps, steps)]
    if not look.bevel:
        block = np.full_like(block, 255)
    cells = np.zeros(np.max(piece, 0) + 1, np.uint8)
    cells[tuple(np.transpose(piece))] = 1
    return np.kron(cells, block)


# Row 0 is no shape.
_CELLS = np.array([((0, 0),) * 4, *PIECES.values()])  # [20, 4, 2]
_EXTENT = _CELLS.max(1) + 1  # [20, 2]
