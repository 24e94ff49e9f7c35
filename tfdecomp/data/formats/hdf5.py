"""HDF5 files of the user: opened, checked and read with errors that help."""

import os
import pathlib

import h5py

from tfdecomp.data import errors


class Hdf5File:
    """One file; the first axis of its arrays is time, the second the sample.

    A class whose files have it otherwise sets `SAMPLE_AXIS`.

    Args:
        path: The file.
        dataset: Name of the dataset, for messages.
        layout: Text that describes the expected file.
        items: What a sample is called in messages.

    Examples:
        >>> import h5py
        >>> import numpy as np
        >>> from tfdecomp.data.formats.hdf5 import Hdf5File
        >>> with h5py.File("a.h5", "w") as raw:
        ...     raw["pictures"] = np.zeros([20, 3, 64, 64, 1])
        >>> file = Hdf5File("a.h5", dataset="a", layout="a.h5 with pictures")
        >>> file.read(file.open(), "pictures", start=0, stop=2).shape
        (20, 2, 64, 64, 1)
    """

    SAMPLE_AXIS = 1

    def __init__(self, path, dataset, layout, items="videos"):
        self.path = pathlib.Path(os.fspath(path))
        self.dataset = dataset
        self.layout = layout
        self.items = items

    def open(self):
        """The file, open for reading.

        Raises:
            TruncatedError: If it is not a whole HDF5 file.
        """
        try:
            return h5py.File(self.path, "r")
        except OSError as error:
            actual = self.path.stat().st_size
            raise errors.TruncatedError(
                f"{self.path} cannot be opened as HDF5 ({error}); it has "
                f"{actual:,} bytes and is probably incomplete or another "
                "kind of file",
                dataset=self.dataset,
                path=self.path,
                expected="a complete HDF5 file",
                found=f"{actual} bytes",
                hint=f"fetch it again.\n{self.layout}",
            ) from error

    def member(self, parent, name, kind):
        """A group or key of a group.

        Args:
            parent: The group.
            name: Name of the member.
            kind: `"group"` or `"key"`, for the message.

        Raises:
            LayoutError: If there is none.
        """
        if name in parent:
            return parent[name]
        inside = f" in group {parent.name}" if parent.name != "/" else ""
        raise self.error(
            f"no {kind} {name!r}{inside} in {self.path}; found {list(parent)}",
            name,
            list(parent),
        )

    def read(self, group, name, start, stop):
        """The samples `start`, ..., `stop - 1` of an array.

        Raises:
            TruncatedError: If they cannot be read.
        """
        every = (slice(None),) * self.SAMPLE_AXIS
        place = f"{group.name.rstrip('/')}/{name}"
        try:
            return group[name][(*every, slice(start, stop))]
        except OSError as error:
            raise errors.TruncatedError(
                f"{self.path} cannot be read at {self.items} {start} to "
                f"{stop - 1} of {place} ({error}); it has "
                f"{self.path.stat().st_size:,} bytes and is probably cut",
                dataset=self.dataset,
                path=self.path,
                expected=f"{stop - start} {self.items}",
                found=str(error),
                hint=f"fetch it again.\n{self.layout}",
            ) from error

    def check_shapes(self, group, names, num_frames, frame):
        """Checks that arrays are `[T, N, H, W, C]` with one `N`.

        Args:
            group: The group.
            names: Names of the arrays.
            num_frames: `T`.
            frame: `(H, W, C)`.

        Returns:
            `N`.

        Raises:
            LayoutError: If axes are wrong; a `ResolutionError` if only the
                size of the frames is.
        """
        count = None
        expected = (num_frames, "N", *frame)
        for name in names:
            shape = self.member(group, name, "key").shape
            what = f"{group.name}/{name} in {self.path} has shape {shape}"
            if len(shape) != 5 or shape[0] != num_frames:
                swapped = len(shape) == 5 and shape[1] == num_frames
                note = "; time must be the first axis" if swapped else ""
                raise self.error(
                    f"{what}, expected {expected}{note}", expected, shape
                )
            if shape[2:] != tuple(frame):
                raise self.error(
                    f"{what}, expected {expected}",
                    expected,
                    shape,
                    errors.ResolutionError,
                )
            if count not in (None, shape[1]):
                raise self.error(
                    f"{what}, but {names[0]} holds {count} {self.items}",
                    count,
                    shape,
                )
            count = shape[1]
        return count

    def error(self, problem, expected, found, kind=errors.LayoutError):
        """An error about the content of the file, to be raised."""
        return kind(
            problem,
            dataset=self.dataset,
            path=self.path,
            expected=expected,
            found=found,
            hint=f"use the original file.\n{self.layout}",
        )
