"""The published multi-object files as sequences of records."""

import gzip
import itertools
import pathlib

from tfdecomp.data import errors
from tfdecomp.data.formats.multi_object import multi_object_layouts, wire


def error(kind, problem, path, dataset, expected=None, found=None):
    """An error about a file, with the layout that was expected.

    Examples:
        >>> from tfdecomp.data.errors import LayoutError
        >>> from tfdecomp.data.formats.multi_object.record_files import error
        >>> print(error(LayoutError, "no records", "a.tfrecords", dataset="a"))
        a: no records; use the original file. ...
    """
    return kind(
        problem,
        dataset=dataset,
        path=path,
        expected=expected,
        found=found,
        hint=f"use the original file.\n{multi_object_layouts.INSTRUCTIONS}",
    )


class RecordFile:
    """The records of one file, in order.

    Args:
        path: The file.
        dataset: Name of the dataset, for messages.

    Examples:
        >>> from tfdecomp import builders
        >>> from tfdecomp.data.formats.multi_object.record_files import (
        ...     RecordFile,
        ... )
        >>> folder = builders.folder() / "multi_object" / "dummy_data"
        >>> file = RecordFile(folder / "tetrominoes_train.tfrecords", "a")
        >>> len(list(file.read(start=0, stop=2)))
        2
    """

    def __init__(self, path, dataset):
        self.path = pathlib.Path(path)
        self.dataset = dataset
        self._file = None
        self._position = 0  # record that comes next

    def read(self, start, stop=None):
        """Yields the records `start`, ..., `stop - 1` as bytes.

        Going on where the last call ended costs nothing; going back means to
        read from the start.

        Args:
            start: First record.
            stop: Record after the last one; None: to the end of the file,
                which has at least one.

        Raises:
            TruncatedError: If the file ends before.
            LayoutError: If it is no GZIP-compressed TFRecord.
        """
        if self._file is None or start < self._position:
            self.close()
            self._file, self._position = gzip.open(self.path), 0
        while stop is None or self._position < stop:
            record = self._next()
            if record is None:
                break
            self._position += 1
            if self._position > start:
                yield record
        if self._position < (start + 1 if stop is None else stop):
            wanted = f"more than {start}" if stop is None else f"{stop}"
            raise self._error(
                errors.TruncatedError,
                f"{self.path} holds {self._position} records, expected "
                f"{wanted}",
                wanted,
                self._position,
            )

    def blocks(self, start, stop, size):
        """Yields `(number of the first, records)` of up to `size` records."""
        records = self.read(start, stop)
        while block := list(itertools.islice(records, size)):
            yield start, block
            start += len(block)

    def close(self):
        """Closes the file; it may be read again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _next(self):
        try:
            return wire.read_record(self._file)
        except wire.CutError as cut:
            size = self.path.stat().st_size
            raise self._error(
                errors.TruncatedError,
                f"{self.path} is incomplete or damaged after "
                f"{self._position} records ({cut}); it has {size:,} bytes",
                "a complete file",
                f"{size} bytes",
            ) from cut
        except gzip.BadGzipFile as bad:
            raise self._compression_error() from bad
        except ValueError as bad:
            raise self._error(
                errors.LayoutError,
                f"{self.path} is compressed with GZIP but holds no TFRecords "
                f"({bad})",
                "TFRecords",
                str(bad),
            ) from bad

    def _compression_error(self):
        with open(self.path, "rb") as file:
            head = file.read(12)
        found = "nothing that is known"
        if len(head) < 12:
            found = f"{len(head)} bytes"
        elif not any(head[4:8]):  # the upper half of a length
            found = "a TFRecord without compression"
        elif head[0] == 0x78 and (head[0] * 256 + head[1]) % 31 == 0:
            found = "a file compressed with ZLIB"
        return self._error(
            errors.LayoutError,
            f"{self.path} is not compressed with GZIP; it looks like {found}",
            "GZIP",
            found,
        )

    def _error(self, kind, problem, expected, found):
        return error(kind, problem, self.path, self.dataset, expected, found)
