"""Help for builders that read files of the user."""

import contextlib
import hashlib
import pathlib

import numpy as np

from tfdecomp.data import errors


def manual_file(dl_manager, name, *, dataset, layout, stand_in):
    """Path of a file that the user put into the manual folder.

    Args:
        dl_manager: TFDS's download manager.
        name: Name of the file.
        dataset: Name of the dataset, for messages.
        layout: Text that describes the expected files.
        stand_in: Generated config that needs no file.

    Raises:
        MissingFileError: If it is not there.

    Examples:
        >>> from types import SimpleNamespace
        >>> from tfdecomp.data.formats.manual import manual_file
        >>> words = {"dataset": "a", "layout": "a.h5", "stand_in": "b"}
        >>> manual_file(SimpleNamespace(manual_dir="."), "a.h5", **words)
        Traceback (most recent call last):
            ...
        tfdecomp.data.errors.MissingFileError: a: a.h5 is missing ...
    """
    folder, found = listing(dl_manager)
    if name in found:
        return folder / name
    stem = name.split(".")[0].lower()
    similar = [other for other in found if stem in other.lower()]
    names = found[:10] or "nothing"
    seen = f"similar names there: {similar}" if similar else f"found {names}"
    raise errors.MissingFileError(
        f"{name} is missing in the manual folder {folder}; {seen}",
        dataset=dataset,
        path=folder,
        expected=name,
        found=found,
        hint=f"put it there or pass --manual_dir; or use the generated set "
        f"{stand_in!r}, which needs no file.\n{layout}",
    )


def listing(dl_manager):
    """The manual folder and the names in it.

    Args:
        dl_manager: TFDS's download manager.

    Returns:
        `(folder, names)`; the folder may not exist, there are no names then.

    Examples:
        >>> from pathlib import Path
        >>> from types import SimpleNamespace
        >>> from tfdecomp.data.formats.manual import listing
        >>> Path("a.h5").touch()
        >>> listing(SimpleNamespace(manual_dir="."))
        (PosixPath('.'), ['a.h5'])
    """
    folder = None
    try:
        folder = pathlib.Path(dl_manager.manual_dir)
        return folder, sorted(entry.name for entry in folder.iterdir())
    except (AssertionError, FileNotFoundError, NotADirectoryError) as error:
        return folder or getattr(dl_manager, "_manual_dir", None) or error, []


@contextlib.contextmanager
def explained(dataset, layout):
    """Adds the dataset and the expected layout to errors about a file.

    Args:
        dataset: Name of the dataset.
        layout: Text that describes the expected files.

    Examples:
        >>> from tfdecomp.data.errors import LayoutError
        >>> from tfdecomp.data.formats.manual import explained
        >>> with explained("a", layout="a.h5 with pictures"):
        ...     raise LayoutError("no group", hint="fetch it again")
        Traceback (most recent call last):
            ...
        tfdecomp.data.errors.LayoutError: a: no group; fetch it again. ...
    """
    try:
        yield
    except errors.DatasetInputError as error:
        if error.dataset is not None:
            raise
        raise type(error)(
            error.problem,
            dataset=dataset,
            path=error.path,
            expected=error.expected,
            found=error.found,
            hint=f"{error.hint}.\n{layout}",
        ) from error


def describe(path):
    """Name, size and checksum of a file, for the metadata of a dataset.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.formats.manual import describe
        >>> _ = Path("a.bin").write_bytes(bytes(8))
        >>> describe("a.bin")
        {'name': 'a.bin', 'size': 8, 'sha256': 'af5570f5a1810b7af78caf4bc...'}
    """
    path = pathlib.Path(path)
    return {
        "name": path.name,
        "size": path.stat().st_size,
        "sha256": sha256(path),
    }


def sha256(path):
    """Checksum of a file as a hexadecimal string.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.formats.manual import sha256
        >>> Path("empty.bin").touch()
        >>> sha256("empty.bin")[:8]
        'e3b0c442'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def modal_boxes(segmentation, max_objects):
    """Tight boxes of what is seen of each object.

    Args:
        segmentation: `[T, H, W]` uint8.
        max_objects: `K`.

    Returns:
        `(boxes [T, K, 4] float32, visibility [T, K] uint8)`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.formats.manual import modal_boxes
        >>> labels = np.array([[[0, 1, 1]]])  # one frame of one row
        >>> boxes, visibility = modal_boxes(labels, max_objects=2)
        >>> boxes[0, 0], visibility
        (array([0., 1., 1., 3.], dtype=float32), array([[1, 0]], dtype=uint8))
    """
    frames = len(segmentation)
    boxes = np.zeros((frames, max_objects, 4), np.float32)
    visibility = np.zeros((frames, max_objects), np.uint8)
    for slot in range(max_objects):
        mask = segmentation == slot + 1
        edges = []
        for axis in (2, 1):
            line = mask.any(axis)
            edges.append(
                (line.argmax(1), line.shape[1] - line[:, ::-1].argmax(1))
            )
        (top, bottom), (left, right) = edges
        seen = mask.any((1, 2))
        box = np.stack([top, left, bottom, right], -1)
        boxes[:, slot] = np.where(seen[:, None], box, 0)
        visibility[:, slot] = seen
    return boxes, visibility
