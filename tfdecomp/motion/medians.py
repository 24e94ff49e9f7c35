"""Medians of a few numbers, thousands of times."""

import numpy as np


def median(values):
    """The median of numbers `[n]`, to the last bit that of `np.median`.

    That one spends a tenth of a millisecond on what it is given, whatever
    that is; here it is a few microseconds.
    """
    count = len(values)
    if not count:
        return np.median(values)
    ordered = np.sort(values)
    if ordered[-1] != ordered[-1]:  # a NaN is sorted to the end
        return ordered[-1]
    low, high = ordered[(count - 1) // 2], ordered[count // 2]
    return low / 1 if count % 2 else (low + high) / 2
