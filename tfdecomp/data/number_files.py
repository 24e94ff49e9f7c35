"""Rows of numbers in files of others, and what is wrong with them."""

import array
import os
import pathlib
import zipfile
import zlib

import numpy as np

from tfdecomp.data import errors

_LONGEST = 4096  # bytes of a line
_MOST_ROWS = 5_000_000
_MOST_BYTES = 2**30  # of an .npz file's arrays
_BROKEN = (ValueError, OSError, EOFError, RuntimeError, MemoryError)
_LARGEST = 2.0**31  # number of a frame or track, or place in pixels


def existing(path):
    """The path of a file that is there."""
    path = pathlib.Path(os.path.expanduser(path))
    if path.is_dir():
        raise errors.MissingFileError(
            f"{path} is a folder, expected a file of tracks", path=str(path)
        )
    if not path.is_file():
        raise errors.MissingFileError(
            f"there is no file {path}", path=str(path), hint="check its name"
        )
    return path


def lines(path):
    """Yields `(number, text)` of the lines that hold something."""
    number = 0
    with open(path, "rb") as file:
        while line := file.readline(_LONGEST + 1):
            number += 1
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                text = None
            if text is None or len(line) > _LONGEST or "\0" in text:
                raise wrong(
                    path,
                    number,
                    f"expected text in UTF-8 of at most {_LONGEST} bytes a "
                    "line",
                    repr(line[:20]),
                )
            if text := text.strip():
                yield number, text


def split(text):
    """Fields of a line, parted by commas or else by blanks."""
    if "," not in text:
        return text.split()
    fields = cells(text)
    return fields[:-1] if fields[-1] == "" else fields


def cells(text):
    """Fields of a row of a csv, without blanks and quotes around them."""
    return [field.strip().strip('"') for field in text.split(",")]


def is_number(text):
    """Whether a text is one number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def floats(path, number, fields, names):
    """Fields of a line as numbers."""
    try:
        return [float(field) for field in fields]
    except ValueError:
        pass
    for place, field in enumerate(fields):
        if not is_number(field):
            name = names[place] if place < len(names) else f"column {place + 1}"
            raise wrong(path, number, f"expected a number for {name}", field)


def named_rows(path, names, optional=None):
    """Yields `(number, values)` of the named columns, as they are asked for.

    An optional column is 1 where it is missing or blank.
    """
    header, expected = None, f"expected the columns {','.join(names)}"
    for number, text in lines(path):
        fields = cells(text)
        if header is None:
            header = fields
            if not set(names) <= set(header):
                raise wrong(path, number, expected, text)
            places = [header.index(name) for name in names]
            extra = header.index(optional) if optional in header else None
            continue
        if len(fields) != len(header):
            raise wrong(
                path,
                number,
                f"expected {len(header)} fields {','.join(header)}",
                text,
            )
        chosen = [fields[place] for place in places]
        if optional:
            chosen.append("1" if extra is None else fields[extra] or "1")
        yield number, floats(path, number, chosen, (*names, optional))
    if header is None:
        raise empty(path, f"the columns {','.join(names)}")


def table(path, rows, expected, width=None):
    """`(lines [n], table [n, c])`; without `width` there must be a row."""
    numbers, values = array.array("q"), array.array("d")
    for number, row in rows:
        numbers.append(number)
        values.extend(row)
        width = len(row)
        if len(numbers) > _MOST_ROWS:
            raise wrong(path, number, f"expected {_MOST_ROWS} rows at most")
    if width is None:
        raise empty(path, expected)
    numbers = np.array(numbers, np.int64)
    values = np.array(values, np.float64).reshape(-1, width)
    check_finite(path, numbers, values)
    return numbers, values


def check_finite(path, numbers, values):
    """Raises unless `values` `[n, c]` are finite and of a sane size."""
    bad = ~(np.abs(values) < _LARGEST)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise wrong(
            path,
            line_of(numbers, row),
            f"expected finite numbers below {_LARGEST:g}",
            f"{values[row, column]:g}",
        )


def arrays(path, names):
    """Those of the named arrays of numbers that an archive has."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {i.filename: i.file_size for i in archive.infolist()}
        chosen = [name for name in names if f"{name}.npy" in sizes]
        size = sum(sizes[f"{name}.npy"] for name in chosen)
        if size > _MOST_BYTES:
            raise ValueError(f"{size} bytes, expected {_MOST_BYTES} at most")
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in chosen}
    except (*_BROKEN, zipfile.BadZipFile, zlib.error) as error:
        raise errors.LayoutError(
            f"{path}: expected an .npz file of arrays of numbers, got {error}",
            path=str(path),
        ) from error
    for name, values in found.items():
        if values.dtype.kind not in "iuf" or not values.ndim:
            raise errors.LayoutError(
                f"{path}: expected an array of numbers for {name}, got "
                f"{values.dtype} {values.shape}",
                path=str(path),
            )
    return found


def line_of(numbers, row):
    """The line a row stands in; `-1, -2, ...` for rows without lines."""
    return int(numbers[row]) if numbers is not None else -1 - int(row)


def words(line):
    """What `line_of` returned, for a message."""
    return f"line {line}" if line > 0 else f"row {-1 - line}"


def wrong(path, line, expected, found=None, hint=""):
    """The error about a line."""
    if found is not None:
        found = found if len(found) <= 80 else found[:77] + "..."
        expected += f", got {found!r}"
    return errors.LayoutError(
        f"{path}, {words(line)}: {expected}", path=str(path), hint=hint
    )


def empty(path, expected):
    """The error about a file that holds nothing."""
    return errors.LayoutError(
        f"{path} is empty, expected {expected}", path=str(path)
    )
