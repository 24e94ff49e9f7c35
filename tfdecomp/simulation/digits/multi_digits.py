"""Scenes of white digits in cells that never overlap."""

import dataclasses
import functools
import re

import numpy as np

from tfdecomp.simulation import stills, streams
from tfdecomp.simulation.digits import digit_banks

DATASET = "multi_digits"
# Splits `test0`, `test1`, ... have as many digits in every image.
EXTRA_SPLITS = tuple(f"test{count}" for count in range(255))
MAX_TRIES = 100  # places tried for one digit before a restart
MAX_RESTARTS = 1000
_FULL = 0.6  # share of the frame that cells may cover at most


@dataclasses.dataclass(frozen=True)
class MultiDigits:
    """What a scene looks like.

    Args:
        size: Side of the frame.
        cell: Side of the square that a digit is scaled to.
        num_digits: Numbers of digits; example `i` has the `i`-th, modulo
            their count. The splits `test0`, `test1`, ... have their own.
        max_objects: `K`, slots of every label.
        pool_size: Digits that are shown; 0: all of the bank.
        pool_split: Who shows which of them, see `digit_banks.pools`.
    """

    size: int = 64
    cell: int = 15
    num_digits: tuple = (0, 1, 2, 3)
    max_objects: int = 7
    pool_size: int = 1000
    pool_split: str = "shared"

    def __post_init__(self):
        if not self.num_digits or min(self.num_digits) < 0:
            raise ValueError(
                f"num_digits lists counts of at least 0, not {self.num_digits}"
            )
        if not 1 <= self.cell <= self.size:
            raise ValueError(
                f"cell is {self.cell}, but must be at least 1 and at most the "
                f"{self.size} px of the frame"
            )
        digit_banks.check_pool(self.pool_split, self.pool_size)
        self.check_count(max(self.num_digits))

    def check_count(self, most):
        """Refuses scenes of so many digits if they cannot be made."""
        if most > self.max_objects:
            raise ValueError(
                f"max_objects is {self.max_objects}, but scenes have up to "
                f"{most} digits"
            )
        share = most * self.cell**2 / self.size**2
        if most > 1 and share > _FULL:
            raise ValueError(
                f"{most} cells of {self.cell} px would cover {share:.0%} of a "
                f"frame of {self.size} px, more than {_FULL:.0%}; use fewer "
                "digits, smaller cells or a larger frame"
            )


def fixed_count(split):
    """Digits in every image of a split such as `test7`; None: they vary."""
    match = re.fullmatch(r"test(\d+)", split)
    return int(match[1]) if match else None


@functools.lru_cache(maxsize=8)
def pools(look, load):
    """What each split may show.

    Args:
        look: A `MultiDigits`.
        load: Hashable function that returns a `digit_banks.Bank`.

    Returns:
        `train`, `validation` and `test` to a `digit_banks.Pool`, with cells
        of bool and at least a pixel of each digit.
    """
    bank = load()
    index = digit_banks.pools(bank, look.pool_split, look.pool_size)
    made = {}
    for split, some in index.items():
        # Rounded, so that ties are lit on every machine.
        values = digit_banks.scaled(bank, some, look.cell)
        cells = np.round(values, 9) >= 0.5
        lit = cells.any((1, 2))
        made[split] = digit_banks.Pool(
            cells[lit], bank.labels[some[lit]], some[lit]
        )
    return made


def generate(look, load, split, start, stop, *, seed, stream, fresh=False):
    """Makes the scenes `start`, ..., `stop - 1` of a split.

    Per example, in this order: one number in [0, 1) per digit that picks it
    from the pool; then their places, one digit after the other.

    Args:
        look: A `MultiDigits`.
        load: Hashable function that returns a `digit_banks.Bank`.
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
    fixed = fixed_count(split)
    pool = pools(look, load)["test" if fixed is not None else split]
    if not len(pool.cells):
        raise ValueError(
            f"the pool of {split!r} has no digit with a lit pixel at "
            f"{look.cell} px; use a larger pool or larger cells"
        )
    count, slots = stop - start, look.max_objects
    picked = np.zeros((count, slots), int)
    corner = np.zeros((count, slots, 2), int)
    masks = np.zeros((count, slots, look.size, look.size), bool)
    for n, index in enumerate(range(start, stop)):
        rng = streams.example_rng(seed, DATASET, stream, number, index)
        digits = look.num_digits[index % len(look.num_digits)]
        digits = digits if fixed is None else fixed
        picks = (rng.random(digits) * len(pool.cells)).astype(int)
        picked[n, :digits] = picks
        corner[n, :digits] = _place(rng, digits, look)
        for slot, (pick, (top, left)) in enumerate(
            zip(picks, corner[n, :digits])
        ):
            window = masks[n, slot, top : top + look.cell]
            window[:, left : left + look.cell] = pool.cells[pick]
    layers = stills.stack(masks)
    video = np.where(layers.owner > 0, np.uint8(255), np.uint8(0))
    factors = {
        "position": (corner + look.cell / 2).astype(np.float32),
        "label": pool.labels[picked].astype(np.int32),
        "source_index": pool.source_index[picked].astype(np.int32),
    }
    return stills.examples(video[..., None], layers, factors)


def _place(rng, digits, look):
    """Corners `[digits, 2]` of disjoint cells inside the frame."""
    limit = look.size - look.cell + 1
    for _ in range(MAX_RESTARTS):
        corners = np.zeros((digits, 2), int)
        for done in range(digits):
            tries = rng.integers(limit, size=(MAX_TRIES, 2))
            apart = np.abs(tries[:, None] - corners[:done]) >= look.cell
            fits = apart.any(-1).all(-1)
            if not fits.any():
                break
            corners[done] = tries[fits.argmax()]
        else:
            return corners
    raise ValueError(
        f"could not place {digits} cells of {look.cell} px in a frame of "
        f"{look.size} px in {MAX_RESTARTS} attempts; use fewer digits, smaller "
        "cells or a larger frame"
    )
