"""Writes files as PyTorch writes state dictionaries, without PyTorch.

The instructions of the pickles are put down one by one, so that they owe
nothing to the reader.
"""

import io
import struct
import zipfile

import numpy as np

_STORAGES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
MAGIC = 0x1950A86A20F9469CFC6C


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def integer(value):
    return b"J" + struct.pack("<i", value)


def long_integer(value):
    data = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def tuple_of(*items):
    return b"(" + b"".join(items) + b"t"


def call(function, arguments):
    return function + arguments + b"R"


def program(value):
    """A whole pickle of protocol 2."""
    return b"\x80\x02" + value + b"."


def ordered_dict(items=()):
    made = call(name("collections", "OrderedDict"), b")")
    if not items:
        return made
    pairs = b"".join(text(key) + value for key, value in items)
    return made + b"(" + pairs + b"u"


def tensor(array, key, is_old=False, offset=0, strides=None, shape=None):
    """The instructions that make a tensor of a storage."""
    array = np.asarray(array)
    count = array.size + offset
    storage = [
        text("storage"),
        name("torch", _STORAGES[array.dtype.name]),
        text(key),
        text("cpu"),
        integer(count),
    ]
    if is_old:
        storage.append(b"N")
    shape = array.shape if shape is None else shape
    if strides is None:
        strides = [int(s) // array.itemsize for s in array.strides]
    arguments = tuple_of(
        tuple_of(*storage) + b"Q",
        integer(offset),
        tuple_of(*map(integer, shape)),
        tuple_of(*map(integer, strides)),
        b"\x89",
        ordered_dict(),
    )
    return call(name("torch._utils", "_rebuild_tensor_v2"), arguments)


def tree(arrays, **options):
    """The pickle of a state dictionary, with its notes as PyTorch adds them."""
    items = [
        (key, tensor(array, str(i), **options))
        for i, (key, array) in enumerate(arrays.items())
    ]
    notes = b"}" + text("_metadata") + ordered_dict() + b"s"
    return program(ordered_dict(items) + notes + b"b")


def write_zip(path, arrays, pickled=None, leave_out=()):
    """An archive as `torch.save` writes it since version 1.6."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("latest_net/data.pkl", pickled or tree(arrays))
        archive.writestr("latest_net/byteorder", "little")
        for i, array in enumerate(arrays.values()):
            if i not in leave_out:
                data = np.ascontiguousarray(array).tobytes()
                archive.writestr(f"latest_net/data/{i}", data)
        archive.writestr("latest_net/version", "3\n")
    return path


def write_stream(path, arrays):
    """A file as older versions wrote it: pickles, then raw values."""
    file = io.BytesIO()
    for value in (long_integer(MAGIC), integer(1001)):
        file.write(program(value))
    file.write(program(b"}" + text("little_endian") + b"\x88s"))
    file.write(tree(arrays, is_old=True))
    keys = b"".join(text(str(i)) for i in range(len(arrays)))
    file.write(program(b"](" + keys + b"e"))
    for array in arrays.values():
        file.write(struct.pack("<q", np.size(array)))
        file.write(np.ascontiguousarray(array).tobytes())
    path.write_bytes(file.getvalue())
    return path
