"""Pictures of textured digits before textured ground: no colour tells them.

A texture is one plane wave; see `textures`. A digit lies over what is behind
it by its grey value:

    v <- a texture + (1 - a) v
"""

import dataclasses
import functools

import numpy as np

from tfdecomp.simulation import stills, streams
from tfdecomp.simulation.digits import digit_banks

DATASET = "textured_digits"
SOLID = 128  # least grey value of pixels that count as a digit's in masks
PERIOD = 38  # pixels in which a wave repeats
MOVES = 11  # places, along each axis, of a window on its texture
# Waves along the height and the width in a period, a pair for each texture.
FREQUENCIES = tuple(
    (along, across + number)
    for number, along in enumerate((4, 10, 21, 32, 37))
    for across in (0, 4, 8, 12)
)
MOST = 2  # digits


@dataclasses.dataclass(frozen=True)
class TexturedDigits:
    """What a picture looks like.

    Args:
        size: Side of the frame.
        cell: Side of the square that a digit is scaled to, in the middle of
            the frame.
        num_digits: 1, or 2: one of them moved up and to the left, the other
            down and to the right.
        shift: By how many pixels.
        max_objects: `K`, slots of every label.
        texture_seed: Seed of the phases of the textures.
        pool_size: Digits that are shown; 0: all of the bank.
        pool_split: Who shows which of them, see `digit_banks.pools`.
    """

    size: int = 28
    cell: int = 28
    num_digits: int = 1
    shift: int = 2
    max_objects: int = 2
    texture_seed: int = 0
    pool_size: int = 0
    pool_split: str = "disjoint"

    def __post_init__(self):
        if not 1 <= self.num_digits <= min(MOST, self.max_objects):
            raise ValueError(
                f"num_digits is {self.num_digits}, but must be 1 or 2 and at "
                f"most the {self.max_objects} of max_objects"
            )
        if not 1 <= self.cell <= self.size:
            raise ValueError(
                f"cell is {self.cell}, but must be at least 1 and at most the "
                f"{self.size} px of the frame"
            )
        if not 0 <= 2 * self.shift < self.cell:
            raise ValueError(
                f"shift is {self.shift}, but must be at least 0 and less than "
                f"half of the {self.cell} px of a cell"
            )
        digit_banks.check_pool(self.pool_split, self.pool_size)


@functools.lru_cache(maxsize=4)
def textures(size, seed):
    """Waves from 0 to 1, one for each pair of `FREQUENCIES`.

        cos(2 pi (f y + g x) / PERIOD + phase), then scaled to [0, 1]:

    the real part of the inverse Fourier transform of a single coefficient.

    Args:
        size: Side of the windows that are cut from them.
        seed: Seed of the phases.

    Returns:
        `[20, size + 10, size + 10]` float64.
    """
    rng = streams.example_rng(seed, DATASET, "textures", 0, 0)
    place = np.arange(size + MOVES - 1)
    made = []
    for (along, across), phase in zip(
        FREQUENCIES, 2 * np.pi * rng.random(len(FREQUENCIES))
    ):
        turns = (along * place[:, None] + across * place) / PERIOD
        wave = np.cos(2 * np.pi * turns + phase)
        wave = (wave - wave.min()) / (wave.max() - wave.min())
        made.append(np.round(wave, 9))  # the same on every machine
    return np.stack(made)


@functools.lru_cache(maxsize=4)
def pool_of(look, load, split):
    """What a split may show, each with a solid pixel wherever it is moved.

    Args:
        look: A `TexturedDigits`.
        load: Hashable function that returns a `digit_banks.Bank`.
        split: `"train"`, `"validation"` or `"test"`.

    Returns:
        A `digit_banks.Pool`.

    Raises:
        ValueError: If there is no digit for the split.
    """
    bank = load()
    index = digit_banks.pools(bank, look.pool_split, look.pool_size)[split]
    pool = digit_banks.pool(bank, index, look.cell, split, least=SOLID)
    inner = slice(look.shift, look.cell - look.shift)
    stays = (pool.cells[:, inner, inner] >= SOLID).any((1, 2))
    if not stays.any():
        raise ValueError(
            f"no digit of {split!r} has a pixel that stays in the frame when "
            f"moved by {look.shift} px; use a smaller shift or larger cells"
        )
    return digit_banks.Pool(
        pool.cells[stays], pool.labels[stays], pool.source_index[stays]
    )


def generate(look, load, split, start, stop, *, seed, stream, fresh=False):
    """Makes the pictures `start`, ..., `stop - 1` of a split.

    Per example, in this order: one number in [0, 1) per digit that picks it
    from the pool; a permutation of the textures, the first for the ground;
    for each of those that are used the corner of its window; and whether the
    digit behind is moved up and to the left.

    Args:
        look: A `TexturedDigits`.
        load: Hashable function that returns a `digit_banks.Bank`.
        split: Name of the split.
        start: First index.
        stop: Index after the last one.
        seed: Seed of the dataset.
        stream: Name of the stream of scenes.
        fresh: Whether to make pictures that no stored split holds.

    Returns:
        A list of dicts with `video`, `segmentation`, `boxes`, `visibility`,
        `visible_fraction`, `num_objects` and `factors`.
    """
    number = streams.split_id(split, fresh=fresh)
    pool = pool_of(look, load, split)
    waves = textures(look.size, look.texture_seed)
    count, slots, size = stop - start, look.max_objects, look.size
    video = np.zeros((count, size, size))
    masks = np.zeros((count, slots, size, size), bool)
    picked, texture = np.zeros((2, count, slots), int)
    middle = np.zeros((count, slots, 2), np.float32)
    for n, index in enumerate(range(start, stop)):
        rng = streams.example_rng(seed, DATASET, stream, number, index)
        picks = (rng.random(look.num_digits) * len(pool.cells)).astype(int)
        order = rng.permutation(len(waves))[: look.num_digits + 1]
        corners = rng.integers(MOVES, size=(len(order), 2))
        windows = [
            waves[wave, top : top + size, left : left + size]
            for wave, (top, left) in zip(order, corners)
        ]
        moves = _moves(look, rng.random() < 0.5)
        video[n] = windows[0]
        for slot, (pick, move) in enumerate(zip(picks, moves)):
            cell = _framed(pool.cells[pick], move, size)
            share = cell / 255
            video[n] = share * windows[slot + 1] + (1 - share) * video[n]
            masks[n, slot] = cell >= SOLID
            middle[n, slot] = size // 2 - look.cell // 2 + look.cell / 2 + move
        picked[n, : len(picks)] = picks
        texture[n, : len(picks)] = order[1:]
    # Rounded twice, so that ties are the same on every machine.
    grey = np.round(np.round(255 * video, 6)).astype(np.uint8)
    factors = {
        "position": middle,
        "label": pool.labels[picked].astype(np.int32),
        "source_index": pool.source_index[picked].astype(np.int32),
        "texture": texture.astype(np.int32),
    }
    return stills.examples(grey[..., None], stills.stack(masks), factors)


def _moves(look, is_up):
    """By how many pixels each digit is moved, along both axes."""
    if look.num_digits == 1:
        return (0,)
    return (-look.shift, look.shift) if is_up else (look.shift, -look.shift)


def _framed(cell, move, size):
    """A cell in the middle of a frame, moved; what leaves it is cut off."""
    side = len(cell)
    first = size // 2 - side // 2 + move
    frame = np.zeros((size, size), np.uint8)
    begin, end = max(first, 0), min(first + side, size)
    part = slice(begin - first, end - first)
    frame[begin:end, begin:end] = cell[part, part]
    return frame
