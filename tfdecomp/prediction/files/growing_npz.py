"""An `.npz` file whose arrays grow along their first axis."""

import os
import pathlib
import tempfile
import zipfile

import numpy as np

_PIECE = 2**20  # bytes that are copied at once


class GrowingNpz:
    """Writes rows to the disk at once; `numpy.load` reads the result.

    Args:
        path: The file. It appears in `close`.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self._arrays = {}  # name -> (temporary file, shape and type of a row)

    def add(self, rows):
        """Takes the next row of every array.

        Args:
            rows: Name -> array or number, the same names in every call.
        """
        for name, row in rows.items():
            row = np.asarray(row)
            if name not in self._arrays:
                # A buffer that cannot be written cannot be dropped either.
                file = tempfile.TemporaryFile(dir=self.path.parent, buffering=0)
                self._arrays[name] = [file, row.shape, row.dtype, 0]
            entry = self._arrays[name]
            _write(entry[0], np.ascontiguousarray(row).tobytes())
            entry[3] += 1

    def close(self, count=None):
        """Completes the file; without a row there is none.

        Args:
            count: Rows that are wanted, from the first; by default those that
                all arrays have.

        Raises:
            OSError: If the disk is full; no file is left then.
        """
        counts = [entry[3] for entry in self._arrays.values()]
        if count is not None:
            counts = [min(count, rows) for rows in counts]
        if not any(counts):
            self._forget()
            return
        partial = self.path.with_name(f".{self.path.name}.partial")
        try:
            with zipfile.ZipFile(partial, "w") as archive:
                for name, (file, shape, dtype, _) in self._arrays.items():
                    with archive.open(
                        f"{name}.npy", "w", force_zip64=True
                    ) as target:
                        _copy(target, file, shape, dtype, min(counts))
            os.replace(partial, self.path)
        finally:
            partial.unlink(missing_ok=True)
            self._forget()

    def _forget(self):
        for file, *_ in self._arrays.values():
            file.close()


def _write(file, data):
    """Writes all of it to a file without a buffer."""
    while data:
        data = data[file.write(data) :]


def _copy(target, file, shape, dtype, count):
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": (count, *shape),
    }
    np.lib.format.write_array_header_1_0(target, header)
    file.seek(0)
    left = count * int(np.prod(shape)) * dtype.itemsize
    while left:
        data = file.read(min(left, _PIECE))
        target.write(data)
        left -= len(data)
