"""Masks as run lengths, in COCO's notation."""

import numpy as np


def encode(mask) -> dict:
    """One mask as COCO stores it.

    Args:
        mask: `[H, W]` bool.

    Returns:
        `{"size": [H, W], "counts": text}`; runs go down the columns, the
        first one is of zeros.
    """
    pixels = np.asarray(mask, bool).T.reshape(-1)
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    ends = np.concatenate([[0], changes, [pixels.size]])
    counts = np.diff(ends).tolist()
    if pixels[0]:
        counts.insert(0, 0)
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
