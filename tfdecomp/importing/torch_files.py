"""Tensors of PyTorch's files, by name; PyTorch is not needed.

A file is a zip archive with one pickle of names and shapes, `data.pkl`, and
raw values below `data/` (from version 1.6 on); or, older, some pickles and
the raw values one after another.
"""

import dataclasses
import lzma
import math
import operator
import pathlib
import zipfile
import zlib

import numpy as np

from tfdecomp.importing import pickles
from tfdecomp.importing.errors import ImportRefusedError
from tfdecomp.untrusted import model_files

_DICT = "collections.OrderedDict"
_TENSOR = "torch._utils._rebuild_tensor_v2"
_PARAMETER = "torch._utils._rebuild_parameter"
_KNOWN = frozenset({_DICT, _TENSOR, _PARAMETER})
# Little-endian, as PyTorch writes them.
_TYPES = {
    "torch.FloatStorage": "<f4",
    "torch.DoubleStorage": "<f8",
    "torch.HalfStorage": "<f2",
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
    "torch.ShortStorage": "<i2",
    "torch.CharStorage": "i1",
    "torch.ByteStorage": "u1",
    "torch.BoolStorage": "?",
}
_ARCHIVE = b"PK\x03\x04"  # how one begins; what is in it stands at its end
_PREFIX = "module."  # of models that were trained on several devices
_SUFFIXES = (".pth", ".pt")
_HEAD = 64  # bytes that tell a text
_TEXT = frozenset(b"\t\n\r" + bytes(range(32, 127)))
_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_LARGEST_PICKLE = 1 << 22  # bytes; names and shapes need a few thousand
_LARGEST = 1 << 30  # bytes of all values; published weights have a few million
_LARGEST_NUMBER = 1 << 40  # of values, or between two; times 8 it still fits
_MOST_AXES = 8


@dataclasses.dataclass(frozen=True)
class _Storage:
    """Where values lie: type, name and number of them."""

    dtype: np.dtype
    key: str
    count: int


def read(path):
    """The tensors of a state dictionary.

    Args:
        path: A `.pth` or `.pt` file.

    Returns:
        Name -> array. A leading `module.` is dropped.

    Raises:
        ImportRefusedError: If the file is something else, is damaged, or
            would run code.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise ImportRefusedError(f"{path} is a folder; {_inside(path)}")
    if not path.is_file():
        raise ImportRefusedError(
            f"there is no file {path}; expected a state dictionary of "
            "PyTorch, such as latest_net.pth"
        )
    try:
        if zipfile.is_zipfile(path):
            tree, values_of = _read_zip(path)
        else:
            tree, values_of = _read_stream(path)
        views = {
            name.removeprefix(_PREFIX): _view(value, name, path)
            for name, value in _items(tree, path)
        }
        _check_total(views, path)
        return {
            name: _array(view, name, values_of) for name, view in views.items()
        }
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        OSError,
        RuntimeError,  # of encrypted archives, and of unknown compression
        MemoryError,
    ) as error:
        raise ImportRefusedError(
            f"{path} is damaged ({error}); fetch it again"
        ) from error


def _inside(folder):
    """What to give instead of a folder."""
    inside = sorted(
        file.name for file in folder.iterdir() if file.suffix in _SUFFIXES
    )
    if not inside:
        return (
            "expected the file of a state dictionary of PyTorch, such as "
            "latest_net.pth, and there is none in it"
        )
    names = ", ".join(model_files.printable(name, 60) for name in inside[:5])
    return f"give one of the files in it: {names}"


def _refuse_text(head, path):
    """What begins with text is none of PyTorch's files.

    But the oldest pickles are texts as well, of which the calls are looked at.
    """
    is_text = all(byte in _TEXT for byte in head)
    if head and is_text and not head.startswith(b"("):
        begin = model_files.printable(head.decode().split("\n")[0], 40)
        raise ImportRefusedError(
            f"{path} is a text, which begins with {begin!r}; expected a state "
            "dictionary of PyTorch, such as latest_net.pth"
        )


def _items(tree, path):
    """Names and records of a state dictionary."""
    content = tree.content if isinstance(tree, pickles.Call) else tree
    is_call = isinstance(tree, pickles.Call) and tree.path != _DICT
    if is_call or not isinstance(content, dict) or not content:
        raise ImportRefusedError(
            f"{path} holds no dictionary of tensors; expected what "
            "torch.save(model.state_dict(), path) writes"
        )
    for name in content:
        if not isinstance(name, str):
            raise ImportRefusedError(
                f"{path} holds a dictionary with the key {name!r}; expected "
                "names of weights"
            )
    return content.items()


@dataclasses.dataclass(frozen=True)
class _View:
    """A tensor: where in a storage its values lie."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


def _view(value, name, path):
    """The `_View` of a tensor's record."""
    if isinstance(value, pickles.Call) and value.path == _PARAMETER:
        value = next(iter(value.arguments), None)
    if not isinstance(value, pickles.Call) or value.path != _TENSOR:
        raise ImportRefusedError(
            f"{name} in {path} is no tensor but {type(value).__name__}; "
            "expected a dictionary of tensors alone (a state dictionary)"
        )
    try:
        storage, offset, shape, strides = value.arguments[:4]
        offset = _whole(offset)
        shape, strides = tuple(map(_whole, shape)), tuple(map(_whole, strides))
        if len(shape) > _MOST_AXES:
            raise ValueError(f"{len(shape)} axes")
        key = storage.key
    except (TypeError, ValueError, AttributeError) as error:
        raise ImportRefusedError(
            f"{name} in {path} is described in a way that is not known "
            f"({error}); expected a tensor of PyTorch"
        ) from error
    view = _View(_storage(key, path), offset, shape, strides)
    if not _is_inside(view):
        raise ImportRefusedError(
            f"{name} in {path} reaches beyond its {view.storage.count} values: "
            f"shape {shape}, strides {strides}, offset {offset}"
        )
    return view


def _is_inside(view):
    """Whether a view stays within its storage."""
    shape, strides, count = view.shape, view.strides, view.storage.count
    if len(shape) != len(strides) or min((view.offset, *shape, *strides)) < 0:
        return False
    # What it would have without axes of zero counts where sizes are checked.
    if math.prod(size or 1 for size in shape) > _LARGEST_NUMBER:
        return False
    steps = zip(shape, strides)
    end = view.offset + 1 + sum((size - 1) * step for size, step in steps)
    # A step of zero would repeat values, without end.
    return math.prod(shape) <= count and (end <= count or 0 in shape)


def _whole(value):
    """A whole number of a size that files have."""
    number = operator.index(value)
    if abs(number) > _LARGEST_NUMBER:
        raise ValueError("a number beyond all sizes")
    return number


def _check_total(views, path):
    """Views of one storage are read one by one, and so counted one by one."""
    total = sum(
        view.storage.count * view.storage.dtype.itemsize
        for view in views.values()
    )
    if total > _LARGEST:
        raise ImportRefusedError(
            f"{path} has tensors of {total:,} bytes; no checkpoint of these "
            "systems is as large"
        )


def _array(view, name, values_of):
    """A tensor as an array."""
    values = values_of(view.storage, name)
    strides = tuple(step * values.itemsize for step in view.strides)
    return np.array(
        np.lib.stride_tricks.as_strided(
            values[view.offset :], view.shape, strides
        )
    )


def _storage(key, path):
    """The `_Storage` of a pickle's reference."""
    try:
        kind, type_name, name, _, count = key[:5]
        count = _whole(count)
    except (TypeError, ValueError) as error:
        raise ImportRefusedError(
            f"{path} refers to values in a way that is not known ({error}); "
            "expected a file of PyTorch"
        ) from error
    type_path = getattr(type_name, "path", type(type_name).__name__)
    dtype = _TYPES.get(type_path)
    if kind != "storage" or dtype is None:
        raise ImportRefusedError(
            f"{path} has values of the type {type_path}; known: {list(_TYPES)}"
        )
    if not isinstance(name, str) or count < 0:
        raise ImportRefusedError(
            f"{path} refers to {count} values by {type(name).__name__}; "
            "expected their number and name, as PyTorch writes them"
        )
    return _Storage(np.dtype(dtype), name, count)


# ---- archives --------------------------------------------------------------


def _read_zip(path):
    """`(tree, reader of storages)` of an archive."""
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        pickled = [n for n in sizes if n.split("/")[-1] == "data.pkl"]
        if len(pickled) != 1:
            raise ImportRefusedError(
                f"{path} is an archive with {len(pickled)} data.pkl; expected "
                f"one, as torch.save writes it. It holds {sorted(sizes)[:5]}"
            )
        folder = pickled[0].removesuffix("data.pkl")
        _check_sizes(sizes, pickled[0], path)
        if f"{folder}byteorder" in sizes:
            order = archive.read(f"{folder}byteorder").strip()
            if order != b"little":
                raise ImportRefusedError(
                    f"{path} has the byte order {order!r}; expected 'little'"
                )
        with archive.open(pickled[0]) as file:
            tree = pickles.read(file, _KNOWN, path)

    def values_of(storage, name):
        member = f"{folder}data/{storage.key}"
        if member not in sizes:
            raise ImportRefusedError(
                f"{path} lacks {member}, the values of {name}; fetch it again"
            )
        _check_length(sizes[member], storage, name, path)
        with zipfile.ZipFile(path) as archive:
            return np.frombuffer(archive.read(member), storage.dtype)

    return tree, values_of


def _check_sizes(sizes, pickled, path):
    if sizes[pickled] > _LARGEST_PICKLE or sum(sizes.values()) > _LARGEST:
        raise ImportRefusedError(
            f"{path} unpacks to {sum(sizes.values()):,} bytes, "
            f"{sizes[pickled]:,} of them names and shapes; no checkpoint of "
            "these systems is as large"
        )


def _check_length(length, storage, name, path):
    """Raises unless the bytes, not read yet, are as many as promised."""
    wanted = storage.count * storage.dtype.itemsize
    if length != wanted:
        raise ImportRefusedError(
            f"the values of {name} in {path} are {length:,} bytes; "
            f"expected {wanted:,}: fetch the file again"
        )


# ---- older files -----------------------------------------------------------


def _read_stream(path):
    """`(tree, reader of storages)` of pickles one after another."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        begin = file.read(_HEAD)
        _refuse_text(begin, path)
        if begin.startswith(_ARCHIVE):
            raise ImportRefusedError(
                f"{path} is an archive whose end is missing; fetch it again"
            )
        file.seek(0)
        head = [_next(file, path) for _ in range(3)]
        if head[0] != _MAGIC or head[1] != _VERSION:
            raise ImportRefusedError(
                f"{path} is no file of PyTorch; expected a state dictionary "
                "such as latest_net.pth"
            )
        tree = _next(file, path)
        keys = _next(file, path)
        begin = file.tell()
    if not isinstance(keys, list) or not all(
        isinstance(key, str) for key in keys
    ):
        raise ImportRefusedError(
            f"{path} has no list of the names of its values; fetch it again"
        )
    storages = {}
    for _, value in _items(tree, path):
        if isinstance(value, pickles.Call) and value.arguments:
            key = getattr(value.arguments[0], "key", None)
            if isinstance(key, tuple) and len(key) >= 5:
                storage = _storage(key, path)
                storages[storage.key] = storage
    places = {}
    for key in keys:
        if key not in storages:
            raise ImportRefusedError(
                f"{path} has values {key} that no tensor refers to; fetch it "
                "again"
            )
        length = storages[key].count * storages[key].dtype.itemsize
        places[key] = begin + 8, length
        begin += 8 + length
    if begin != size:
        raise ImportRefusedError(
            f"{path} has {size:,} bytes; expected {begin:,}: fetch it again"
        )

    def values_of(storage, name):
        if storage.key not in places:
            raise ImportRefusedError(f"{path} lacks the values of {name}")
        start, length = places[storage.key]
        with open(path, "rb") as file:
            file.seek(start - 8)
            count = int.from_bytes(file.read(8), "little")
            if count != storage.count:
                raise ImportRefusedError(
                    f"{path} has {count} values of {name}; expected "
                    f"{storage.count}"
                )
            _check_length(length, storage, name, path)
            return np.frombuffer(file.read(length), storage.dtype)

    return tree, values_of


def _next(file, path):
    return pickles.read(file, _KNOWN, path)
