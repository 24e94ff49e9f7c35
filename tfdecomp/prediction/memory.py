"""What a first pass over a video finds, kept on disk for the second."""

import tempfile
import zlib

import numpy as np


class FrameMaps:
    """Small maps of frames, compressed in a file that nobody sees.

    Args:
        folder: On which disk; None: where temporary files go.
    """

    def __init__(self, folder=None):
        self._file = tempfile.TemporaryFile(dir=folder)
        self._places = []

    def __len__(self):
        return len(self._places)

    def add(self, **maps):
        """Takes the maps of the next frame, arrays or None."""
        entry = {}
        for name, value in maps.items():
            if value is None:
                continue
            value = np.ascontiguousarray(value)
            data = zlib.compress(value.tobytes(), 1)
            start = self._file.seek(0, 2)
            self._file.write(data)
            entry[name] = start, len(data), value.dtype, value.shape
        self._places.append(entry)

    def get(self, number, name):
        """A map of a frame; None if there is none."""
        entry = self._places[number].get(name)
        if entry is None:
            return None
        start, length, dtype, shape = entry
        self._file.seek(start)
        data = zlib.decompress(self._file.read(length))
        return np.frombuffer(data, dtype).reshape(shape)

    def close(self):
        """Gives the disk back."""
        self._file.close()
