"""A text file that grows with a video, and never ends within a frame."""

import os
import pathlib

_WAITING = 2**16  # bytes that are written at once


class GrowingText:
    """Grows under a hidden name; the file gets its own in `close`.

    A disk may be full in the middle of a line. What belongs together is
    therefore confirmed by `keep`, and what came after the last one is taken
    back in `close`.

    Args:
        path: The file.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self._partial = self.path.with_name(f".{self.path.name}.partial")
        # Unbuffered: a buffer that cannot be written cannot be dropped either.
        self._file = open(self._partial, "wb", buffering=0)
        self._waiting = bytearray()
        self._written = self._kept = 0

    def write(self, text):
        """Takes text; what a `csv.writer` wants of a file."""
        self._waiting += text.encode()
        if len(self._waiting) > _WAITING:
            self._flush()

    def keep(self):
        """Confirms all that was written so far."""
        self._kept = self._written + len(self._waiting)

    def close(self, end=""):
        """Completes the file with what was kept.

        Args:
            end: Text that comes last.

        Raises:
            OSError: If the disk is full; no file is left then.
        """
        try:
            with self._file:
                self._take_back()
                self._waiting += end.encode()
                self._flush()
            os.replace(self._partial, self.path)
        except OSError as error:
            # A failing write does not know its file.
            raise type(error)(
                error.errno, error.strerror, str(self.path)
            ) from error
        finally:
            self._partial.unlink(missing_ok=True)

    def _take_back(self):
        if self._kept < self._written:
            self._file.truncate(self._kept)
            self._file.seek(self._kept)
            self._written = self._kept
        del self._waiting[self._kept - self._written :]

    def _flush(self):
        while self._waiting:
            count = self._file.write(self._waiting)
            del self._waiting[:count]
            self._written += count
