"""Which part of a frame counts: a rectangle, or a picture painted for it."""

import base64
import contextlib
import os
import pathlib
import zlib

import numpy as np

from tfdecomp.prediction.footage import Footage

_MASK = "mask"  # what begins a mask that `kept` made


class RegionError(ValueError):
    """A region that cannot be used; says what to do."""


def read(region, frame_size):
    """A region as a mask.

    Args:
        region: None; `(ymin, xmin, ymax, xmax)` in pixels, as numbers or
            as text with commas; the path of a picture of the frame's size
            that is black where nothing counts; or what `kept` gave.
        frame_size: `(H, W)`.

    Returns:
        `[H, W]` bool, or None.

    Raises:
        RegionError: If it is neither, or shows no pixel of the frame.
    """
    if region is None:
        return None
    if _is_kept_mask(region):
        return _unpacked(region, frame_size)
    try:
        numbers = _numbers(region)
    except (TypeError, ValueError):
        raise RegionError(
            f"region is {region!r}; expected four numbers "
            "ymin,xmin,ymax,xmax or the path of a picture"
        ) from None
    if numbers is not None:
        return _rectangle(numbers, frame_size)
    path = pathlib.Path(os.path.expanduser(os.fspath(region)))
    if not path.is_file():
        raise RegionError(
            f"region is {str(region)!r}, which is neither four numbers "
            "ymin,xmin,ymax,xmax nor a picture that is there"
        )
    with contextlib.closing(Footage(path).frames()) as frames:
        mask = next(frames).pixels.max(-1) > 127  # transparent is black
    if mask.shape != tuple(frame_size):
        raise RegionError(
            f"the picture {path.name} has {mask.shape[1]}x{mask.shape[0]} "
            f"pixels, the frames have {frame_size[1]}x{frame_size[0]}; paint "
            "the region on a frame of the video"
        )
    if not mask.any():
        raise RegionError(
            f"the picture {path.name} is black; paint white what counts"
        )
    return mask


def kept(region, frame_size):
    """A region in a form that needs no other file, for `read` and for JSON.

    Args:
        region: As for `read`.
        frame_size: `(H, W)`.

    Returns:
        None; `[ymin, xmin, ymax, xmax]`; or of a picture its mask, packed.

    Raises:
        RegionError: As `read`.
    """
    mask = read(region, frame_size)
    if mask is None or _is_kept_mask(region):
        return region
    numbers = _numbers(region)
    if numbers is not None:
        return numbers
    bits = zlib.compress(np.packbits(mask).tobytes(), 9)
    return [_MASK, list(mask.shape), base64.b64encode(bits).decode()]


def _is_kept_mask(region):
    return isinstance(region, (list, tuple)) and region[:1] in (
        [_MASK],
        (_MASK,),
    )


def _unpacked(region, frame_size):
    """The mask of what `kept` gave, which may be a stranger's."""
    size = tuple(frame_size)
    count = int(np.prod(size))
    try:
        _, own, text = region
        unpack = zlib.decompressobj()
        data = unpack.decompress(base64.b64decode(text), count // 8 + 2)
        bits = np.unpackbits(np.frombuffer(data, np.uint8))
        is_right = tuple(own) == size and len(data) == -(-count // 8)
    except (TypeError, ValueError, zlib.error):
        is_right = False
    if not is_right or not bits[:count].any():
        raise RegionError(
            f"the region that is kept is no mask of {size[1]}x{size[0]} "
            "pixels; give the region anew"
        )
    return bits[:count].reshape(size).astype(bool)


def _numbers(region):
    if isinstance(region, str):
        parts = region.split(",")
        try:
            return [float(part) for part in parts]
        except ValueError:
            return None
    if isinstance(region, os.PathLike):
        return None
    return [float(value) for value in region]


def _rectangle(numbers, frame_size):
    height, width = frame_size
    if len(numbers) != 4 or not np.isfinite(numbers).all():
        raise RegionError(
            f"a rectangle has four numbers ymin,xmin,ymax,xmax, got {numbers}"
        )
    top, left, bottom, right = numbers
    if not (top < bottom and left < right):
        raise RegionError(
            f"the region {numbers} is empty: ymin < ymax and xmin < xmax "
            "is wanted"
        )
    if top < 0 or left < 0 or bottom > height or right > width:
        raise RegionError(
            f"the region {numbers} reaches out of the frame, which has "
            f"{height} rows and {width} columns: ymin,xmin,ymax,xmax are "
            f"within 0,0,{height},{width}"
        )
    mask = np.zeros(frame_size, bool)
    mask[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = 1
    return mask
