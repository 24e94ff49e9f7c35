"""An `.npz` file whose arrays grow along their first axis."""

import os
import pathlib
import shutil
import tempfile
import zipfile

import numpy as np


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
                file = tempfile.TemporaryFile(dir=self.path.parent)
                self._arrays[name] = [file, row.shape, row.dtype, 0]
            entry = self._arrays[name]
            entry[0].write(np.ascontiguousarray(row).tobytes())
            entry[3] += 1

    def close(self):
        """Completes the file; without a row there is none."""
        if not self._arrays:
            return
        partial = self.path.with_name(f".{self.path.name}.partial")
        try:
            with zipfile.ZipFile(partial, "w") as archive:
                for name, entry in self._arrays.items():
                    with archive.open(
                        f"{name}.npy", "w", force_zip64=True
                    ) as target:
                        _copy(target, *entry)
            os.replace(partial, self.path)
        finally:
            partial.unlink(missing_ok=True)
            for file, *_ in self._arrays.values():
                file.close()


def _copy(target, file, shape, dtype, count):
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": (count, *shape),
    }
    np.lib.format.write_array_header_1_0(target, header)
    file.seek(0)
    shutil.copyfileobj(file, target)
