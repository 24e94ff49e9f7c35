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
    """The path of a file that is there.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.formats.number_files import existing
        >>> Path("tracks.csv").touch()
        >>> existing("tracks.csv")
        PosixPath('tracks.csv')
    """
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
    """Yields `(number, text)` of the lines that hold something.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.formats.number_files import lines
        >>> _ = Path("a.txt").write_text("one, ,two".replace(",", chr(10)))
        >>> list(lines("a.txt"))
        [(1, 'one'), (3, 'two')]
    """
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
    """Fields of a line, parted by commas or else by blanks.

    Examples:
        >>> from tfdecomp.data.formats.number_files import split
        >>> split("1, 7, 2.5"), split("1 7 2.5")
        (['1', '7', '2.5'], ['1', '7', '2.5'])
    """
    if "," not in text:
        return text.split()
    fields = cells(text)
    return fields[:-1] if fields[-1] == "" else fields


def cells(text):
    """Fields of a row of a csv, without blanks and quotes around them.

    Examples:
        >>> from tfdecomp.data.formats.number_files import cells
        >>> cells('frame, "id", y')
        ['frame', 'id', 'y']
    """
    return [field.strip().strip('"') for field in text.split(",")]


def is_number(text):
    """Whether a text is one number.

    Examples:
        >>> from tfdecomp.data.formats.number_files import is_number
        >>> is_number("-1e3"), is_number("frame")
        (True, False)
    """
    try:
        float(text)
    except ValueError:
        return False
    return True


def floats(path, number, fields, names):
    """Fields of a line as numbers.

    Examples:
        >>> from tfdecomp.data.formats.number_files import floats
        >>> floats("a.csv", 2, ["1", "x"], names=["frame", "id"])
        Traceback (most recent call last):
            ...
        tfdecomp.data.errors.LayoutError: a.csv, line 2: expected a number ...
    """
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

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.formats.number_files import named_rows
        >>> _ = Path("a.csv").write_text("y,id;2.5,7".replace(";", chr(10)))
        >>> list(named_rows("a.csv", ["id", "y"]))
        [(2, [7.0, 2.5])]
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
    """`(lines [n], table [n, c])`; without `width` there must be a row.

    Examples:
        >>> from tfdecomp.data.formats.number_files import table
        >>> lines, values = table("a.csv", [(2, [0.0, 7.0])], expected="rows")
        >>> lines, values
        (array([2]), array([[0., 7.]]))
    """
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
    """Raises unless `values` `[n, c]` are finite and of a sane size.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.formats.number_files import check_finite
        >>> check_finite("a.csv", np.array([2]), np.array([[0.0, np.nan]]))
        Traceback (most recent call last):
            ...
        tfdecomp.data.errors.LayoutError: a.csv, line 2: expected finite ...
    """
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
    """Those of the named arrays of numbers that an archive has.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.formats.number_files import arrays
        >>> np.savez("a.npz", id=np.array([7, 7]))
        >>> arrays("a.npz", names=["id", "y"])
        {'id': array([7, 7])}
    """
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
    """The line a row stands in; `-1, -2, ...` for rows without lines.

    Examples:
        >>> from tfdecomp.data.formats.number_files import line_of
        >>> line_of([2, 3], row=1), line_of(None, row=1)
        (3, -2)
    """
    return int(numbers[row]) if numbers is not None else -1 - int(row)


def words(line):
    """What `line_of` returned, for a message.

    Examples:
        >>> from tfdecomp.data.formats.number_files import words
        >>> words(3), words(-2)
        ('line 3', 'row 1')
    """
    return f"line {line}" if line > 0 else f"row {-1 - line}"


def wrong(path, line, expected, found=None, hint=""):
    """The error about a line.

    Examples:
        >>> from tfdecomp.data.formats.number_files import wrong
        >>> print(wrong("a.csv", 3, "expected a number", "x"))
        a.csv, line 3: expected a number, got 'x'
    """
    if found is not None:
        found = found if len(found) <= 80 else found[:77] + "..."
        expected += f", got {found!r}"
    return errors.LayoutError(
        f"{path}, {words(line)}: {expected}", path=str(path), hint=hint
    )


def empty(path, expected):
    """The error about a file that holds nothing.

    Examples:
        >>> from tfdecomp.data.formats.number_files import empty
        >>> print(empty("a.csv", "rows of numbers"))
        a.csv is empty, expected rows of numbers
    """
    return errors.LayoutError(
        f"{path} is empty, expected {expected}", path=str(path)
    )
