"""Videos that are one array: in memory, or a `.npy` file."""

import pathlib

import numpy as np

from tfdecomp.data import errors
from tfdecomp.data.video import levels

SUFFIX = ".npy"
_LAYOUTS = (
    "[T, H, W, C], [T, H, W], [H, W, C] or [H, W] with C of 1 to 4 (grey, "
    "grey and alpha, RGB, RGB and alpha)"
)
_BLOCK = 64  # frames that are checked at once


def is_array(path) -> bool:
    """Whether a file is an array by its name.

    Examples:
        >>> from tfdecomp.data.video.array_files import is_array
        >>> is_array("clip.npy"), is_array("clip.mp4")
        (True, False)
    """
    return pathlib.Path(path).suffix.lower() == SUFFIX


def is_stack(path) -> bool:
    """Whether a file holds an array of the shape of several frames.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.array_files import is_stack
        >>> np.save("clip.npy", np.zeros([5, 16, 24, 3], np.uint8))
        >>> is_stack("clip.npy")
        True
    """
    try:
        array = _with_axes(_stored(path))
    except errors.DatasetInputError:
        return False
    return _is_video(array) and len(array) > 1


def read(path) -> np.ndarray:
    """The frames `[T, H, W, C]` of a file, left on the disk.

    Raises:
        MissingFileError: If there is no such file.
        LayoutError: If it is no array, or no video.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.array_files import read
        >>> np.save("clip.npy", np.zeros([5, 16, 24], np.uint8))
        >>> read("clip.npy").shape
        (5, 16, 24, 1)
    """
    return checked(_stored(path), path)


def _stored(path):
    path = pathlib.Path(path)
    if not path.exists():
        raise errors.MissingFileError(
            f"{path} does not exist", path=str(path), hint="check the path"
        )
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.memmap):
            raise ValueError("it is an archive")
        more = path.stat().st_size - array.offset - array.nbytes
        if more:
            raise ValueError(f"{more:,} bytes follow its only array")
        return array
    except Exception as error:  # the header is parsed as if it were Python
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise errors.LayoutError(
            f"{path} cannot be read as an array ({words})",
            path=str(path),
            hint="write it with numpy.save",
        ) from error


def checked(array, path):
    """The array as `[T, H, W, C]`.

    Args:
        array: `[T, H, W, C]`, `[T, H, W]`, `[H, W, C]` or `[H, W]` of uint8,
            uint16, bool, or floating point in `[0, 1]`. Three axes are one
            picture where the last one is 3 or 4 long.
        path: What it is called in messages.

    Raises:
        LayoutError: If it is none of these.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.array_files import checked
        >>> checked(np.zeros([16, 24, 3], np.uint8), path="a picture").shape
        (1, 16, 24, 3)
    """
    shape = array.shape
    array = _with_axes(array)
    if not _is_video(array):
        raise errors.LayoutError(
            f"{path} has the shape {list(shape)}; expected {_LAYOUTS}"
        )
    if not array.size:
        raise errors.LayoutError(f"{path} is empty: its shape is {list(shape)}")
    if array.dtype in (np.uint8, np.uint16, np.bool_):
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise errors.LayoutError(
            f"{path} is {array.dtype}; a video is uint8, uint16, or floating "
            "point in [0, 1]",
            hint="cast it with .astype('uint8')",
        )
    for start in range(0, len(array), _BLOCK):
        block = array[start : start + _BLOCK]
        low, high = float(np.min(block)), float(np.max(block))
        if not (low >= 0.0 and high <= 1.0):
            raise errors.LayoutError(
                f"{path} has values from {low:g} to {high:g}; floating point "
                "videos are in [0, 1]",
                hint="divide by 255 or pass uint8",
            )
    return array


def _with_axes(array):
    """The array with those axes of `[T, H, W, C]` that go without saying."""
    if array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (3, 4)):
        array = array[None]  # one picture
    return array[..., None] if array.ndim == 3 else array


def _is_video(array):
    return array.ndim == 4 and array.shape[-1] in (1, 2, 3, 4)


def pixels(frame, range=None):
    """`[H, W, C]` of any type and kind -> `[H, W, 3]` uint8.

    Args:
        frame: The frame; what is transparent is laid on black.
        range: Values shown as black and white; None: all that the type holds,
            or `[0, 1]`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.array_files import pixels
        >>> pixels(np.array([[[0.0], [1.0]]], np.float32))[0, :, 0]
        array([  0, 255], dtype=uint8)
    """
    if frame.shape[-1] not in (2, 4):
        return levels.shown(frame, range)
    colour = levels.shown(frame[..., :-1], range)
    alpha = levels.shown(frame[..., -1:], None).astype(np.uint16)
    return ((colour * alpha + 127) // 255).astype(np.uint8)
