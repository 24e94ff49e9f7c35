"""Reads TFRecord files and `tf.train.Example` messages without TensorFlow.

Made for files that store images as lists of one-byte strings: TensorFlow
makes an object of every pixel, here a view of the message is enough.
"""

import gzip
import struct
import zlib

import numpy as np

MAX_RECORD = 1 << 28  # bytes; a length beyond it is no length
_KINDS = {1: "bytes", 2: "float", 3: "int64"}


class CutError(Exception):
    """A file that ends inside a record or inside its compression.

    Examples:
        >>> import io
        >>> from tfdecomp.data.formats.multi_object.wire import (
        ...     CutError,
        ...     read_record,
        ... )
        >>> try:
        ...     read_record(io.BytesIO(bytes(3)))
        ... except CutError as error:
        ...     print(error)
        it ends inside the length of a record
    """


def read_record(file):
    """The next record of an open TFRecord file, or None at its end.

    Args:
        file: Binary file, already decompressed by its reader.

    Raises:
        CutError: If the file ends too early or its compression is damaged.
        ValueError: If these are no records.

    Examples:
        >>> import io
        >>> from tfdecomp.data.formats.multi_object.wire import read_record
        >>> record = (2).to_bytes(8, "little") + bytes(4) + b"ab" + bytes(4)
        >>> read_record(io.BytesIO(record))
        b'ab'
    """
    head = _read(file, 12)  # length and its checksum
    if not head:
        return None
    if len(head) < 12:
        raise CutError("it ends inside the length of a record")
    (length,) = struct.unpack("<Q", head[:8])
    if length > MAX_RECORD:
        raise ValueError(f"a record cannot have {length:,} bytes")
    body = _read(file, length + 4)  # and its checksum
    if len(body) < length + 4:
        raise CutError("it ends inside a record")
    return body[:length]


def _read(file, size):
    try:
        return file.read(size)
    except (EOFError, zlib.error) as error:
        raise CutError(str(error)) from error
    except gzip.BadGzipFile as error:
        if "Not a gzipped file" in str(error):
            raise
        raise CutError(str(error)) from error


def parse_example(record):
    """The features of a serialized `tf.train.Example`.

    Args:
        record: Bytes.

    Returns:
        Name to `(kind, list)`: `"bytes"`, `"float"` or `"int64"`, and the
        serialized list of values.

    Raises:
        ValueError: If the bytes are no such message.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.data.formats.multi_object.wire import parse_example
        >>> example = tf.train.Example()
        >>> example.features.feature["x"].float_list.value.append(0.5)
        >>> parse_example(example.SerializeToString())["x"][0]
        'float'
    """
    found = {}
    for number, features in _fields(memoryview(record)):
        if number != 1:
            raise ValueError("no tf.train.Example: unknown field")
        for _, entry in _fields(features):
            name, feature = None, b""
            for number, value in _fields(entry):
                if number == 1:
                    name = bytes(value).decode()
                else:
                    feature = value
            for number, values in _fields(feature):
                found[name] = (_KINDS[number], values)
    return found


def byte_values(values):
    """A list of one-byte strings as an array.

    Args:
        values: Serialized list.

    Returns:
        `[N]` uint8, or None if some string is not of one byte.

    Examples:
        >>> from tfdecomp.data.formats.multi_object.wire import byte_values
        >>> byte_values(bytes([10, 1, 7, 10, 1, 9]))  # field, length, value
        array([7, 9], dtype=uint8)
    """
    if len(values) % 3:
        return None
    # Each string takes three bytes: the field, its length and the value.
    triples = np.frombuffer(values, np.uint8).reshape(-1, 3)
    if not ((triples[:, 0] == 10) & (triples[:, 1] == 1)).all():
        return None
    return triples[:, 2]


def float_values(values):
    """A list of floats, packed or not, as an array `[N]` float32.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.data.formats.multi_object.wire import float_values
        >>> floats = tf.train.FloatList(value=[0.5, 2.0]).SerializeToString()
        >>> float_values(memoryview(floats))
        array([0.5, 2. ], dtype=float32)
    """
    parts = [bytes(value) for _, value in _fields(values)]
    return np.frombuffer(b"".join(parts), "<f4").astype(np.float32)


def count_values(kind, values):
    """How many values a serialized list has.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.data.formats.multi_object.wire import count_values
        >>> floats = tf.train.FloatList(value=[0.5, 2.0]).SerializeToString()
        >>> count_values("float", memoryview(floats))
        2
    """
    if kind == "float":
        return len(float_values(values))
    if kind == "bytes":
        quick = byte_values(values)
        if quick is not None:
            return len(quick)
    if kind == "int64":  # numbers end with a byte below 128
        return sum(byte < 128 for _, value in _fields(values) for byte in value)
    return sum(1 for _ in _fields(values))


def _fields(view):
    """Yields `(number, value)` of a message; scalars as their bytes."""
    position, end = 0, len(view)
    while position < end:
        key, position = _varint(view, position)
        begin, number, kind = position, key >> 3, key & 7
        if kind == 0:
            _, position = _varint(view, position)
        elif kind == 1:
            position += 8
        elif kind == 2:
            size, begin = _varint(view, position)
            position = begin + size
        elif kind == 5:
            position += 4
        else:
            raise ValueError(f"no tf.train.Example: wire type {kind}")
        if position > end:
            raise ValueError("no tf.train.Example: a field is too long")
        yield number, view[begin:position]


def _varint(view, position):
    value, shift = 0, 0
    while True:
        if position >= len(view) or shift > 63:
            raise ValueError("no tf.train.Example: a number has no end")
        byte = view[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
