"""MNIST from its four files or from one NumPy archive.

Nothing is unpickled.
"""

import dataclasses
import functools
import gzip
import math
import pathlib
import struct
import zipfile
import zlib

import numpy as np
from absl import logging

from tfdecomp.data import errors
from tfdecomp.data.formats import downloads, manual
from tfdecomp.simulation.digits import digit_banks

BASE_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
# Size and checksum of the published files.
FILES = {
    "train-images-idx3-ubyte.gz": (
        9_912_422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "train-labels-idx1-ubyte.gz": (
        28_881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    "t10k-images-idx3-ubyte.gz": (
        1_648_877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    "t10k-labels-idx1-ubyte.gz": (
        4_542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
}
ARCHIVE = "mnist.npz"
SIDE = 28
# Axes of the arrays of the archive.
_AXES = {"x_train": 3, "y_train": 1, "x_test": 3, "y_test": 1}
LAYOUT = f"""\
Expected files, in the manual folder:
  {", ".join(FILES)}
  (with or without .gz), or
  {ARCHIVE} with x_train, y_train, x_test and y_test.
The four files come from {BASE_URL}"""


@dataclasses.dataclass(frozen=True)
class Files:
    """MNIST on the disk; called, it returns the `digit_banks.Bank`.

    Args:
        paths: The archive, or the four files in the order of `FILES`.
        dataset: Name of the dataset, for messages.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.formats.mnist_files import FILES, Files
        >>> folder = builders.folder() / "moving_digits" / "dummy_data"
        >>> bank = Files(tuple(folder / name for name in FILES), "a")()
        >>> bank.images.shape, bank.num_train
        ((80, 28, 28), 60)
    """

    paths: tuple
    dataset: str

    def __call__(self):
        return _bank(self)

    def describe(self):
        """Names, sizes and checksums, for the metadata of a dataset."""
        names = FILES if len(self.paths) == len(FILES) else (ARCHIVE,)
        return [
            # A downloaded file has a name of TFDS's making.
            {**manual.describe(path), "name": name}
            for name, path in zip(names, self.paths)
        ]


def locate(dl_manager, *, dataset, stand_in):
    """Finds the files: in the manual folder, else downloaded ones.

    Args:
        dl_manager: TFDS's download manager.
        dataset: Name of the dataset, for messages.
        stand_in: Generated set that needs no file.

    Returns:
        `Files`.

    Raises:
        MissingFileError: If one is not there and there is no network.

    Examples:
        >>> from types import SimpleNamespace
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.formats.mnist_files import locate
        >>> folder = builders.folder() / "moving_digits" / "dummy_data"
        >>> manager = SimpleNamespace(manual_dir=folder)  # in place of TFDS's
        >>> len(locate(manager, dataset="a", stand_in="b").paths)
        4
    """
    folder, seen = manual.listing(dl_manager)
    if ARCHIVE in seen:
        return Files((str(folder / ARCHIVE),), dataset)
    plain = {
        name: folder / name.removesuffix(".gz")
        for name in FILES
        if name.removesuffix(".gz") in seen and name not in seen
    }
    others = downloads.locate(
        dl_manager,
        {name: BASE_URL + name for name in FILES if name not in plain},
        dataset=dataset,
        layout=LAYOUT,
        stand_in=stand_in,
    )
    paths = {**plain, **others}
    for name, path in others.items():
        # Another packing of the same digits is no error.
        if manual.sha256(path) != FILES[name][1]:
            logging.warning("%s is not the published %s", path, name)
    return Files(tuple(str(paths[name]) for name in FILES), dataset)


def write_miniature(folder, sizes=(60, 20)):
    """Writes files as MNIST's, but with a few drawn digits.

    Args:
        folder: Where to.
        sizes: How many digits the training and the test part have.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.formats.mnist_files import write_miniature
        >>> write_miniature(Path("."), sizes=(6, 2))
        >>> len(sorted(Path(".").iterdir()))
        4
    """
    bank = digit_banks.Offline("strokes")()
    cuts = (slice(0, sizes[0]), slice(sizes[0], sum(sizes)))
    arrays = [
        array[cut] for cut in cuts for array in (bank.images, bank.labels)
    ]
    for name, array in zip(FILES, arrays):
        magic = 2048 + array.ndim
        head = struct.pack(f">{1 + array.ndim}I", magic, *array.shape)
        data = gzip.compress(head + array.astype("u1").tobytes(), 9, mtime=0)
        (pathlib.Path(folder) / name).write_bytes(data)


@functools.lru_cache(maxsize=2)
def _bank(files):
    if len(files.paths) == 1:
        arrays = _read_archive(files.paths[0], files.dataset)
    else:
        arrays = [
            _read_idx(path, magic, files.dataset)
            for path, magic in zip(files.paths, (2051, 2049) * 2)
        ]
    images, labels = arrays[::2], arrays[1::2]
    for part in range(2):
        path = files.paths[2 * part + 1 if len(files.paths) > 1 else 0]
        _check_labels(images[part], labels[part], path, files.dataset)
    return digit_banks.Bank(
        "mnist",
        np.concatenate(images),
        np.concatenate(labels).astype(int),
        255,
        len(images[0]),
    )


def _read_idx(path, magic, dataset):
    """The array of one idx file, packed or not."""
    data = _content(path, dataset)
    axes = magic % 256
    head = 4 + 4 * axes
    if len(data) < head:
        raise _error(
            errors.TruncatedError, dataset, path, "a header", f"{len(data)} B"
        )
    found, *shape = struct.unpack(f">{1 + axes}I", data[:head])
    if found != magic:
        kinds = {2051: "images", 2049: "labels"}
        what = f" ({kinds[found]})" if found in kinds else ""
        raise _error(
            errors.LayoutError,
            dataset,
            path,
            f"the magic number {magic} ({kinds[magic]})",
            f"{found}{what}",
        )
    _check_size(shape, path, dataset)
    size = head + math.prod(shape)
    if len(data) != size:
        raise _error(
            errors.TruncatedError if len(data) < size else errors.LayoutError,
            dataset,
            path,
            f"{size:,} bytes for {shape[0]:,} digits",
            f"{len(data):,}",
        )
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def _content(path, dataset):
    data = pathlib.Path(path).read_bytes()
    if data[:2] != b"\x1f\x8b":  # not packed
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _error(
            errors.TruncatedError,
            dataset,
            path,
            "a whole gzip file",
            f"{len(data):,} bytes that end early or are damaged ({error})",
        ) from error


def _read_archive(path, dataset):
    """`x_train`, `y_train`, `x_test` and `y_test` of a NumPy archive."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name in _AXES}
            found = file.files
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise _error(
            errors.TruncatedError, dataset, path, "a whole archive", error
        ) from error
    except (ValueError, TypeError) as error:  # pickled, or no archive
        raise _error(
            errors.LayoutError,
            dataset,
            path,
            "arrays of numbers (nothing is unpickled, for that could run code; "
            "save them anew with np.savez)",
            error,
        ) from error
    if arrays.keys() != _AXES.keys():
        raise _error(
            errors.LayoutError,
            dataset,
            path,
            f"arrays {', '.join(_AXES)}",
            ", ".join(found) or "none",
        )
    return [
        _bytes(arrays[name], name, axes, path, dataset)
        for name, axes in _AXES.items()
    ]


def _bytes(array, name, axes, path, dataset):
    """An array of the archive as uint8, or an error."""
    if array.dtype.kind not in "ui" or array.ndim != axes:
        raise _error(
            errors.LayoutError,
            dataset,
            path,
            f"{name} of whole numbers with axes: {axes}",
            f"{array.dtype} with axes: {array.ndim}",
        )
    _check_size(array.shape, path, dataset)
    if array.size and not 0 <= array.min() <= array.max() <= 255:
        raise _error(
            errors.LayoutError,
            dataset,
            path,
            f"{name} from 0 to 255",
            f"{array.min()} to {array.max()}",
        )
    return array.astype(np.uint8)


def _check_size(shape, path, dataset):
    if len(shape) == 3 and tuple(shape[1:]) != (SIDE, SIDE):
        raise _error(
            errors.ResolutionError,
            dataset,
            path,
            f"pictures of {SIDE}x{SIDE}",
            f"{shape[1]}x{shape[2]}",
        )


def _check_labels(images, labels, path, dataset):
    if len(images) != len(labels):
        raise _error(
            errors.LayoutError,
            dataset,
            path,
            f"a label for each of the {len(images):,} pictures",
            f"{len(labels):,}",
        )
    if labels.size and labels.max() > 9:
        raise _error(
            errors.LayoutError,
            dataset,
            path,
            "labels from 0 to 9",
            f"{labels.max()}",
        )


def _error(kind, dataset, path, expected, found):
    return kind(
        f"{path}: expected {expected}, found {found}",
        dataset=dataset,
        path=path,
        expected=expected,
        found=found,
        hint=LAYOUT,
    )
