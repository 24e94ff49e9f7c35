"""Videos of white digits, scattered over a frame, that pass each other."""

import dataclasses
import functools

import numpy as np

from tfdecomp.simulation import scattered
from tfdecomp.simulation.digits import digit_banks

DATASET = "scattered_digits"
SOLID = 64  # least grey value of pixels that count as a digit's in masks
_WHITE = np.full(scattered.CHANNELS, 255, np.uint8)


@dataclasses.dataclass(frozen=True)
class ScatteredDigits:
    """What a video looks like.

    Args:
        scatter: A `scattered.Scatter`.
        cell: Side of the square that a digit is scaled to. What moves is the
            part of it that is not black.
        pool_size: Digits that are shown; 0: all of the bank.
        pool_split: Who shows which of them, see `digit_banks.pools`.
    """

    scatter: scattered.Scatter = scattered.Scatter()
    cell: int = 14
    pool_size: int = 0
    pool_split: str = "disjoint"

    def __post_init__(self):
        if not 1 <= self.cell <= self.scatter.size:
            raise ValueError(
                f"cell is {self.cell}, but must be at least 1 and at most the "
                f"{self.scatter.size} px of the frame"
            )
        digit_banks.check_pool(self.pool_split, self.pool_size)


@functools.lru_cache(maxsize=4)
def pool_of(look, load, split):
    """What a split may show, no digit of it without a solid pixel.

    Args:
        look: A `ScatteredDigits`.
        load: Hashable function that returns a `digit_banks.Bank`.
        split: `"train"`, `"validation"` or `"test"`.

    Returns:
        A `digit_banks.Pool`.

    Raises:
        ValueError: If there is no digit for the split.
    """
    bank = load()
    # As in the reference: half a pixel of blur where the side is halved.
    sigma = max(0.0, (bank.images.shape[1] / look.cell - 1) / 2)
    index = digit_banks.pools(bank, look.pool_split, look.pool_size)[split]
    return digit_banks.pool(bank, index, look.cell, split, sigma, SOLID)


def generate(look, load, split, start, stop, *, seed, stream, fresh=False):
    """Makes the videos `start`, ..., `stop - 1` of a split.

    What is drawn per video and in which order: see `scattered.generate`; of a
    digit one number in [0, 1) that picks it from the pool, with replacement.

    Args:
        look: A `ScatteredDigits`.
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
    pool = pool_of(look, load, scattered.base_split(split))

    def draw(rng, count):
        picked = (rng.random(count) * len(pool.cells)).astype(int)
        sprites = [_sprite(pool.cells[pick]) for pick in picked]
        return sprites, {
            "label": pool.labels[picked].astype(np.int32),
            "source_index": pool.source_index[picked].astype(np.int32),
        }

    return scattered.generate(
        look.scatter,
        draw,
        DATASET,
        split,
        start,
        stop,
        seed=seed,
        stream=stream,
        fresh=fresh,
    )


def _sprite(cell):
    """A digit without the black around it."""
    whole = scattered.Sprite(cell, _WHITE, SOLID)
    top, left, bottom, right = whole.box
    return dataclasses.replace(whole, alpha=cell[top:bottom, left:right])
