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
    """Name, size and checksum of a file, for the metadata of a dataset."""
    path = pathlib.Path(path)
    return {
        "name": path.name,
        "size": path.stat().st_size,
        "sha256": sha256(path),
    }


def sha256(path):
    """Checksum of a file as a hexadecimal string."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def modal_boxes(segmentation, max_objects):
    """Tight boxes of what is seen of each object.

    Args:
        segmentation: `[T, H, W]` uint8.
        max_objects: `K`.

    Returns:
        `(boxes [T, K, 4] float32, visibility [T, K] uint8)`.
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
