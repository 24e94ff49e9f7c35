"""Which part of a frame counts: a rectangle, or a picture painted for it."""

import contextlib
import os
import pathlib

import numpy as np

from tfdecomp.prediction.footage import Footage


class RegionError(ValueError):
    """A region that cannot be used; says what to do."""


def read(region, frame_size):
    """A region as a mask.

    Args:
        region: None; `(ymin, xmin, ymax, xmax)` in pixels, as numbers or
            as text with commas; or the path of a picture of the frame's size
            that is black where nothing counts.
        frame_size: `(H, W)`.

    Returns:
        `[H, W]` bool, or None.

    Raises:
        RegionError: If it is neither, or shows no pixel of the frame.
    """
    if region is None:
        return None
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


def corners(region):
    """`[ymin, xmin, ymax, xmax]` of a region; None of all but rectangles."""
    return None if region is None else _numbers(region)


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
