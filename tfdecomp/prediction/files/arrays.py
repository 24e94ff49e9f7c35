"""Videos that are handed over as arrays, of any kind of number."""

import os

import numpy as np

from tfdecomp.data import errors
from tfdecomp.prediction.footage import Footage

KINDS = (
    "uint8 (0 to 255), uint16 (0 to 65535), bool (black and white), or "
    "floating point in [0, 1]"
)
_BLOCK = 64  # frames that are checked at once


class ArrayError(errors.LayoutError):
    """What was handed over is no video."""


def source(given):
    """What was handed over for a video: a path, a `Footage`, or an array.

    Args:
        given: Any of these; lists of frames and tensors become arrays.

    Returns:
        The path or the `Footage` as it is, or an array of a kind in `KINDS`.

    Raises:
        ArrayError: If it is none of these.
    """
    if isinstance(given, (str, os.PathLike, Footage)):
        return given
    try:
        array = np.asarray(given)
    except (ValueError, TypeError) as error:
        raise ArrayError(
            f"a {type(given).__name__} is no video ({error})",
            hint="pass a path, or an array [T, H, W, C] whose frames have one "
            "size",
        ) from error
    if array.dtype not in (np.uint8, np.uint16, np.bool_):
        if not np.issubdtype(array.dtype, np.floating):
            raise ArrayError(
                f"a video is {KINDS}; got {array.dtype}",
                hint="cast what is between 0 and 255 with .astype('uint8')"
                if np.issubdtype(array.dtype, np.integer)
                else "pass a path, or an array [T, H, W, C]",
            )
        _check_range(array)
    return array


def for_model(array) -> np.ndarray:
    """An array of a kind in `KINDS` as models read it.

    Returns:
        uint8, or float32 in `[0, 1]`.
    """
    if array.dtype == np.bool_:
        return 255 * array.astype(np.uint8)
    if array.dtype == np.uint16:
        return array / np.float32(65535)
    return array if array.dtype == np.uint8 else array.astype(np.float32)


def _check_range(array):
    """Refuses floats that are not in [0, 1], a few frames at a time."""
    rows = array if array.ndim else array[None]
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        if not block.size:
            return
        low, high = float(np.min(block)), float(np.max(block))
        if not (low >= 0.0 and high <= 1.0):
            raise ArrayError(
                "a floating point video is in [0, 1]; got values from "
                f"{low:g} to {high:g}",
                hint="divide by 255 or pass uint8",
            )
