"""Anything that can be decomposed, as one stream of upright RGB frames."""

import contextlib
import csv
import dataclasses
import itertools
import os
import pathlib

import numpy as np
from absl import logging

from tfdecomp.data import errors
from tfdecomp.data.video import (
    array_files,
    levels,
    video_frames,
    video_sampling,
)
from tfdecomp.prediction.files import folder

SOURCE_FPS = 10.0  # of what does not say how fast it is
INDEX_NAME = "frames.csv"


@dataclasses.dataclass
class Frame:
    """One frame that is kept.

    Attributes:
        number: Its number in the source, from 0.
        time: Seconds since the first frame.
        pixels: `[H, W, 3]` uint8, upright, on black where transparent.
        name: File of the picture that it is, in a folder; else "".
    """

    number: int
    time: float
    pixels: np.ndarray
    name: str = ""


class Footage:
    """A video file, a folder of frames, a picture or an array.

    Args:
        source: Path of a video (mp4, webm, gif, avi, ...), of a folder of
            numbered pictures, of a picture or of a `.npy` file; or an array.
            Arrays are `[T, H, W, C]`, `[T, H, W]`, `[H, W, C]` or `[H, W]`
            of uint8, uint16, bool, or floating point in `[0, 1]`; `C` is 1
            (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha). Three axes
            are one picture where the last one is 3 or 4 long.
        fps: Frames per second to keep, the nearest ones in time; by default
            every frame.
        source_fps: Frames per second of folders and arrays, which do not say.
        range: Which values are black and white where pictures have more than
            eight bits: `"auto"`, `"full"` or `(low, high)`, see
            `data.video.levels.choose`.

    Attributes:
        name: What to call it.
        notes: Sentences about what was chosen, left out or is odd; they are
            logged, too.
        num_frames: How many frames `frames` gives.
        rate: Frames per second of the kept frames, the mean if it varies.
        is_timed: Whether times between kept frames vary.
        size: `(H, W)`.

    Raises:
        DatasetInputError: If it cannot be read to its end, as far as that
            shows beforehand; or if `fps` is higher than its own rate.
    """

    def __init__(
        self, source, fps=None, source_fps=SOURCE_FPS, range=levels.AUTO
    ):
        self._array = None
        if isinstance(source, (str, os.PathLike)):
            self.path = pathlib.Path(os.path.expanduser(os.fspath(source)))
            self.name = self.path.name
            if array_files.is_array(self.path):
                self._array = array_files.read(self.path)
        else:
            self.path = pathlib.Path("the array")
            self.name = "array"
            self._array = array_files.checked(np.asarray(source), self.path)
        if self._array is None:
            self._probe = video_frames.probe(self.path, range)
        else:
            range = levels.parse(range)
            chosen = range if isinstance(range, tuple) else None
            self._probe = video_frames.Probe(len(self._array), range=chosen)
        self._set_rate(fps, source_fps)
        self.num_frames = self._sampling.count(self.path, self._probe)
        with contextlib.closing(self.frames()) as frames:
            first = next(frames)
        self.size = first.pixels.shape[:2]
        self.notes = list(self._probe.notes)
        for note in self.notes:
            logging.warning("%s", note)

    def _set_rate(self, fps, source_fps):
        for name, value in (("fps", fps), ("source_fps", source_fps)):
            if value is not None and not 0 < value < 100_000:
                raise errors.LayoutError(
                    f"{name} must be positive, got {value:g}"
                )
        probe = self._probe
        self.is_timed = fps is None and probe.times is not None
        own = probe.rate and float(probe.rate)
        if own is None and probe.times is not None:
            own = (probe.frames - 1) / probe.times[-1]
        own = own or source_fps
        if fps is not None and fps > 1.01 * own:
            raise errors.LayoutError(
                f"{self.path} has {own:.4g} frames a second, fewer than the "
                f"{fps:g} asked for",
                hint="lower fps, or leave it out to keep every frame",
            )
        self.rate = float(fps or own)
        self._own_rate = own
        self._sampling = video_sampling.Sampling(fps, source_fps)

    def frames(self):
        """Yields every kept `Frame`; may be called again.

        Raises:
            DatasetInputError: If the source ends too early.
        """
        timed = self._arrays() if self._array is not None else self._decoded()
        with contextlib.closing(timed):
            kept = self._sampling.pick(
                self.path, self._probe, ((t, (t, p)) for t, p in timed)
            )
            size = None
            for number, (time, content) in kept:
                if self._array is None:
                    content = video_sampling.upright(content)
                size = size or content.shape
                if content.shape != size:
                    raise _changed(self.path, number, size, content.shape)
                # Time stamps of a constant rate say no more than the rate,
                # and in some files they are out of order.
                if time is None or self._probe.times is None:
                    time = number / self._own_rate
                names = self._probe.names
                name = names[number] if names else ""
                yield Frame(number, float(time), content, name)

    def index(self):
        """Yields `(number, time, name)` of every kept frame, undecoded."""
        probe = self._probe
        timed = (
            (n / self._own_rate if probe.times is None else probe.times[n], ())
            for n in range(probe.frames)
        )
        kept = self._sampling.pick(self.path, probe, timed)
        for number, _ in kept:
            time = number / self._own_rate
            if probe.times is not None:
                time = float(probe.times[number])
            yield number, time, probe.names[number] if probe.names else ""

    def _decoded(self):
        yield from video_frames.decode(self.path, self._probe)

    def _arrays(self):
        for frame in self._array:
            yield None, array_files.pixels(frame, self._probe.range)


def write_index(path, footage, count):
    """Writes which frame of the source each result is of.

    Args:
        path: A CSV file: `frame`, `source_frame`, `time` in seconds, `source`.
        footage: A `Footage`.
        count: Frames that were done.
    """
    with folder.replacing(path) as file:
        writer = csv.writer(file)
        writer.writerow(["frame", "source_frame", "time", "source"])
        rows = itertools.islice(footage.index(), count)
        for n, (number, time, name) in enumerate(rows):
            row = [n, number, f"{time:.6g}", name or footage.name]
            writer.writerow(row)


def _changed(path, number, size, other):
    return errors.ResolutionError(
        f"the frames of {path} change their size: the first one has "
        f"{size[1]}x{size[0]} pixels, frame {number} has {other[1]}x{other[0]}",
        path=str(path),
        expected=size[:2],
        found=other[:2],
        hint="cut the video where its size changes",
    )
