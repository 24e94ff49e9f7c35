"""Masks as run lengths, in COCO's notation."""

import numpy as np


def encode(mask, columns=slice(None)) -> dict:
    """One mask as COCO stores it.

    Args:
        mask: `[H, W]` bool.
        columns: A slice of columns outside of which nothing is on, where that
            is known: the others are not looked at then.

    Returns:
        `{"size": [H, W], "counts": text}`; runs go down the columns, the
        first one is of zeros.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.formats.rle import encode
        >>> encode(np.array([[0, 1], [1, 1]], bool))
        {'size': [2, 2], 'counts': '13'}
    """
    mask = np.asarray(mask, bool)
    before = columns.indices(mask.shape[1])[0] * mask.shape[0]
    part = mask[:, columns].T.reshape(-1)
    # Nothing is on before and after it.
    part = np.concatenate([[False], part, [False]])
    changes = np.flatnonzero(part[1:] != part[:-1]) + before
    ends = [0, *changes[changes < mask.size].tolist(), mask.size]
    counts = [end - start for start, end in zip(ends, ends[1:])]
    return {"size": list(mask.shape), "counts": _compress(counts)}


def _compress(counts):
    """Counts as text: five bits a letter, the lowest first.

    From the fourth on, the difference to the count two before is stored.
    """
    letters = []
    for place, count in enumerate(counts):
        rest = count - counts[place - 2] if place > 2 else count
        while True:
            bits, rest = rest & 31, rest >> 5
            # The fifth bit is the sign of what follows.
            if rest == (-1 if bits & 16 else 0):
                letters.append(chr(48 + bits))
                break
            letters.append(chr(48 + (bits | 32)))
    return "".join(letters)


def decode(counts, size) -> np.ndarray:
    """A mask from COCO's notation.

    Args:
        counts: The text.
        size: `(H, W)`.

    Returns:
        `[H, W]` bool.

    Raises:
        ValueError: If the text has a character that means nothing, ends within
            a number, or has runs that do not fill the mask.

    Examples:
        >>> from tfdecomp.data.formats.rle import decode
        >>> decode("13", size=(2, 2)).astype(int)
        array([[0, 1],
               [1, 1]])
    """
    runs = _expand(counts)
    pixels = size[0] * size[1]
    if min(runs, default=0) < 0 or sum(runs) != pixels:
        raise ValueError(
            f"the runs have {sum(runs)} pixels, expected {pixels} of "
            f"{size[0]} rows and {size[1]} columns"
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(size[1], size[0]).T


def _expand(text):
    """The counts of a text, see `_compress`."""
    counts, value, shift = [], 0, 0
    for place, code in enumerate(text.encode("utf-8")):
        code -= 48
        if not 0 <= code < 64:
            raise ValueError(
                f"character {place} is no number: expected '0' to 'o', got "
                f"{chr(code + 48)!r}"
            )
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
        value, shift = 0, 0
    if shift:
        raise ValueError("the text ends within a number")
    return counts
