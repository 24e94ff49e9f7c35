"""Banks of handwritten digits that scenes take theirs from.

A bank keeps its pictures as they come; `scaled` makes the pictures of a scene
of them, and `pools` says which of them the splits may show.
"""

import dataclasses
import functools

import numpy as np

from tfdecomp.simulation.digits import digit_strokes

# Digits of the training part of each source.
SIZES = {"mnist": 60_000, "digits": 1_797, "strokes": 10_000}
POOL_SPLITS = ("shared", "heldout", "disjoint")
_CHUNK = 2048  # pictures resized at once


@dataclasses.dataclass(frozen=True, eq=False)
class Bank:
    """Pictures of digits.

    Args:
        name: Where they come from.
        images: `[N, h, w]` uint8, from 0 to `white`; the training part first.
        labels: `[N]` which digit each of them shows, 0 to 9.
        white: Value of a white pixel.
        num_train: Size of the training part.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    white: int
    num_train: int


@dataclasses.dataclass(frozen=True, eq=False)
class Pool:
    """Digits that the scenes of a split may show, none of them blank.

    Args:
        cells: `[N, side, side]` at the size of a scene.
        labels: `[N]` which digits they are.
        source_index: `[N]` their places in the bank.
    """

    cells: np.ndarray
    labels: np.ndarray
    source_index: np.ndarray


@dataclasses.dataclass(frozen=True)
class Offline:
    """A bank that needs no file; called, it returns the `Bank`.

    Args:
        name: `"digits"`: the 1,797 digits of 8x8 px that scikit-learn carries,
            or `"strokes"`: 10,000 drawn ones of 28x28 px.
    """

    name: str

    def __post_init__(self):
        if self.name not in _OFFLINE:
            raise ValueError(
                f"digits without a file come from one of {list(_OFFLINE)}, "
                f"not from {self.name!r}"
            )

    def __call__(self):
        return _OFFLINE[self.name]()


@functools.cache
def _digits():
    from sklearn import datasets

    found = datasets.load_digits()
    images = found.images.astype(np.uint8)
    return Bank("digits", images, found.target, 16, len(images))


@functools.cache
def _strokes():
    images, labels = digit_strokes.draw(SIZES["strokes"])
    return Bank("strokes", images, labels, 255, len(images))


_OFFLINE = {"digits": _digits, "strokes": _strokes}


def pools(bank, pool_split="shared", size=0):
    """Which digits of a bank each split may show.

    Args:
        bank: A `Bank`.
        pool_split: `"shared"`: all splits show the first `size` digits of the
            training part. `"heldout"`: the test shows all others of the bank
            instead. `"disjoint"`: of the first `size` digits of the bank,
            training has the first 80 % of each class, validation the next
            10 % and the test the rest.
        size: 0: as many as there are.

    Returns:
        `train`, `validation` and `test` to an array of indices.

    Raises:
        ValueError: If the bank is too small.
    """
    check_pool(pool_split, size)
    total = len(bank.images)
    available = total if pool_split == "disjoint" else bank.num_train
    size = size or available
    if size > available:
        raise ValueError(
            f"{size:,} digits asked, {bank.name!r} has {available:,}"
        )
    if pool_split == "disjoint":
        return _by_class(bank.labels[:size])
    first = np.arange(size)
    test = first if pool_split == "shared" else np.arange(size, total)
    if not len(test):
        raise ValueError(
            f"{size:,} digits asked, {bank.name!r} has {total:,}: none of them "
            "is left for the test"
        )
    return {"train": first, "validation": first, "test": test}


def check_pool(pool_split, size):
    """Refuses what no bank could do."""
    if pool_split not in POOL_SPLITS:
        raise ValueError(
            f"pool_split is one of {list(POOL_SPLITS)}, not {pool_split!r}"
        )
    if size < 0:
        raise ValueError(f"pool_size must be at least 0, not {size}")


def _by_class(labels):
    parts = {"train": [], "validation": [], "test": []}
    for label in np.unique(labels):
        index = np.flatnonzero(labels == label)
        cuts = [len(index) * tenths // 10 for tenths in (8, 9)]
        for part, some in zip(parts.values(), np.split(index, cuts)):
            part.append(some)
    return {name: np.sort(np.concatenate(p)) for name, p in parts.items()}


def scaled(bank, index, side, sigma=0.0):
    """Digits at the size of a scene.

    Args:
        bank: A `Bank`.
        index: `[n]` which digits.
        side: Their new side in pixels.
        sigma: Standard deviation of the blur before, in pixels of the bank.

    Returns:
        `[n, side, side]` float64, 0 to 1. Bilinear between half-pixel centres
        without anti-aliasing.
    """
    out = np.empty((len(index), side, side))
    for begin in range(0, len(index), _CHUNK):
        part = bank.images[index[begin : begin + _CHUNK]] / bank.white
        part = blurred(part, sigma) if sigma else part
        out[begin : begin + _CHUNK] = resized(part, side)
    return out


def pool(bank, index, side, split, sigma=0.0, least=1):
    """Grey digits at the size of a scene, without those that are blank there.

    Args:
        bank: A `Bank`.
        index: `[n]` which digits, see `pools`.
        side: Their new side in pixels.
        split: Name of the split, for messages.
        sigma: See `scaled`.
        least: Value that a pixel must have, or the digit is blank.

    Returns:
        A `Pool` of uint8 cells, 0 to 255.

    Raises:
        ValueError: If there is no digit for the split.
    """
    cells = np.empty((len(index), side, side), np.uint8)
    for begin in range(0, len(index), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        values = scaled(bank, index[part], side, sigma)
        # Rounded twice, so that ties are the same on every machine.
        cells[part] = np.round(np.round(255 * values.clip(0, 1), 6))
    lit = (cells >= least).any((1, 2))
    if not lit.any():
        raise ValueError(
            f"the pool of {split!r} has no digit that is not blank at "
            f"{side} px; use a larger pool or larger cells"
        )
    return Pool(cells[lit], bank.labels[index[lit]], index[lit])


def resized(images, side):
    """Pictures `[N, h, w]` as `[N, side, side]`, bilinear, half-pixel."""
    for axis in (1, 2):
        size = images.shape[axis]
        place = (np.arange(side) + 0.5) * size / side - 0.5
        place = place.clip(0, size - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, size - 1)
        shape = [1, 1, 1]
        shape[axis] = side
        share = (place - low).reshape(shape)
        # One product after the other, the same on every machine.
        images = images.take(low, axis) * (1 - share) + (
            images.take(high, axis) * share
        )
    return images


def blurred(images, sigma):
    """Pictures `[N, h, w]` after a Gaussian blur on black, cut at 4 sigma."""
    radius = int(4 * sigma + 0.5)
    steps = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (steps / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (1, 2):
        widths = [(0, 0)] * 3
        widths[axis] = (radius, radius)
        wide, size = np.pad(images, widths), images.shape[axis]
        images = sum(
            weight * wide.take(np.arange(start, start + size), axis)
            for start, weight in enumerate(kernel)
        )
    return images
