"""Tensors of PyTorch's files, by name; PyTorch is not needed.

A file is a zip archive with one pickle of names and shapes, `data.pkl`, and
raw values below `data/` (from version 1.6 on); or, older, some pickles and
the raw values one after another.
"""

import dataclasses
import math
import pathlib
import zipfile
import zlib

import numpy as np

from tfdecomp.importing import pickles
from tfdecomp.importing.errors import ImportRefusedError

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
_PREFIX = "module."  # of models that were trained on several devices
_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_LARGEST_PICKLE = 1 << 26  # bytes; names and shapes need a few thousand
_LARGEST = 1 << 33  # bytes of all values


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
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise ImportRefusedError(
            f"{path} is damaged ({error}); fetch it again"
        ) from error
    tensors = {
        name.removeprefix(_PREFIX): _array(value, name, values_of, path)
        for name, value in _items(tree, path)
    }
    return tensors


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


def _array(value, name, values_of, path):
    """A tensor as an array."""
    if isinstance(value, pickles.Call) and value.path == _PARAMETER:
        value = value.arguments[0]
    if not isinstance(value, pickles.Call) or value.path != _TENSOR:
        raise ImportRefusedError(
            f"{name} in {path} is no tensor but {type(value).__name__}; "
            "expected a dictionary of tensors alone (a state dictionary)"
        )
    try:
        storage, offset, shape, strides = value.arguments[:4]
        storage = _storage(storage.key, path)
        shape, strides = tuple(map(int, shape)), tuple(map(int, strides))
        is_sane = len(shape) == len(strides) and min((offset, *shape)) >= 0
        is_sane = is_sane and min(strides, default=0) >= 0
    except (TypeError, ValueError, AttributeError) as error:
        raise ImportRefusedError(
            f"{name} in {path} is described in a way that is not known "
            f"({error}); expected a tensor of PyTorch"
        ) from error
    steps = zip(shape, strides)
    end = offset + 1 + sum((size - 1) * step for size, step in steps)
    # A step of zero would repeat values, without end.
    is_sane = is_sane and math.prod(shape) <= storage.count
    if not is_sane or (end > storage.count and 0 not in shape):
        raise ImportRefusedError(
            f"{name} in {path} reaches beyond its {storage.count} values: "
            f"shape {shape}, strides {strides}, offset {offset}"
        )
    values = values_of(storage, name)
    strides = tuple(step * values.itemsize for step in strides)
    view = np.lib.stride_tricks.as_strided(values[offset:], shape, strides)
    return np.array(view)


def _storage(key, path):
    """The `_Storage` of a pickle's reference."""
    kind, type_name, name, _, count = key[:5]
    dtype = _TYPES.get(getattr(type_name, "path", None))
    if kind != "storage" or dtype is None:
        raise ImportRefusedError(
            f"{path} has values of the type "
            f"{getattr(type_name, 'path', type_name)}; known: {list(_TYPES)}"
        )
    return _Storage(np.dtype(dtype), str(name), int(count))


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
        with zipfile.ZipFile(path) as archive:
            return _values(archive.read(member), storage, name, path)

    return tree, values_of


def _check_sizes(sizes, pickled, path):
    if sizes[pickled] > _LARGEST_PICKLE or sum(sizes.values()) > _LARGEST:
        raise ImportRefusedError(
            f"{path} unpacks to {sum(sizes.values()):,} bytes, "
            f"{sizes[pickled]:,} of them names and shapes; no checkpoint of "
            "these systems is as large"
        )


def _values(data, storage, name, path):
    """Raw bytes as numbers, if they are as many as promised."""
    wanted = storage.count * storage.dtype.itemsize
    if len(data) != wanted:
        raise ImportRefusedError(
            f"the values of {name} in {path} are {len(data):,} bytes; "
            f"expected {wanted:,}: fetch the file again"
        )
    return np.frombuffer(data, storage.dtype)


# ---- older files -----------------------------------------------------------


def _read_stream(path):
    """`(tree, reader of storages)` of pickles one after another."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = [_next(file, path) for _ in range(3)]
        if head[0] != _MAGIC or head[1] != _VERSION:
            raise ImportRefusedError(
                f"{path} is no file of PyTorch; expected a state dictionary "
                "such as latest_net.pth"
            )
        tree = _next(file, path)
        keys = [str(key) for key in _next(file, path)]
        begin = file.tell()
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
            return _values(file.read(length), storage, name, path)

    return tree, values_of


def _next(file, path):
    return pickles.read(file, _KNOWN, path)
