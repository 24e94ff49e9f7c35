"""Writes videos of any length, frame by frame."""

import contextlib
import fractions
import math
import os
import pathlib

import numpy as np

# Suffix to (codec, pixel format, codec options).
CODECS = {
    ".mp4": ("libx264", "yuv420p", {"crf": "18", "preset": "ultrafast"}),
    ".mkv": ("libx264", "yuv420p", {"crf": "18", "preset": "ultrafast"}),
    ".webm": ("libvpx-vp9", "yuv420p", {"crf": "24", "b": "0"}),
    ".gif": ("gif", "pal8", {}),
}
_SLOWEST = {
    ".gif": fractions.Fraction(1, 655),
    None: fractions.Fraction(1, 10**7),
}
_FASTEST = 100_000
_TICKS = 1000  # time stamps a second, where the rate varies


class VideoWriter:
    """A video that grows; only a complete one gets its name.

    Frames go to the encoder at once. Only a GIF keeps them all until the end,
    as its palette is chosen for the whole of it.

    Args:
        path: With suffix `.mp4`, `.mkv`, `.webm` or `.gif`.
        fps: Frames per second.
        is_timed: Whether each frame comes with its own time instead.

    Raises:
        ValueError: If the suffix is another one.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_writer import VideoWriter
        >>> with VideoWriter("clip.mp4", fps=25) as writer:
        ...     for brightness in range(3):
        ...         writer.add(np.full([16, 16, 3], brightness, np.uint8))
    """

    def __init__(self, path, fps=10, is_timed=False):
        self.path = pathlib.Path(os.path.expanduser(os.fspath(path)))
        suffix = self.path.suffix.lower()
        if suffix not in CODECS:
            raise ValueError(
                f"cannot write {self.path}: the suffix {suffix!r} is none of "
                f"{', '.join(CODECS)}"
            )
        self._codec, self._pixel_format, self._options = CODECS[suffix]
        self._rate = _rate(fps, self.path)
        self._unit = fractions.Fraction(1, _TICKS) if is_timed else None
        self._partial = self.path.with_name(
            f".{self.path.stem}.partial{self.path.suffix}"
        )
        self._container = self._stream = self._size = None
        self._count, self._stamp = 0, -1
        self._waiting = []  # frames of a GIF

    def add(self, frame, time=None):
        """Takes the next frame.

        Args:
            frame: `[H, W, 3]` uint8, of the size of the first one. Odd sides
                are filled up at the edge where the codec wants even ones.
            time: Seconds since the start, if the writer is timed.
        """
        if self._pixel_format == "yuv420p":
            # Colour is stored at half the size, so sides must be even.
            height, width = frame.shape[:2]
            padding = [(0, height % 2), (0, width % 2), (0, 0)]
            frame = np.pad(frame, padding, mode="edge")
        if self._container is None:
            self._open(*frame.shape[:2])
        if frame.shape[:2] != self._size:
            raise ValueError(
                f"frame {self._count} of {self.path} has {frame.shape[:2]} "
                f"pixels, the first one had {self._size}"
            )
        picture = self._picture(np.ascontiguousarray(frame), time)
        self._count += 1
        if self._pixel_format == "pal8":
            self._waiting.append(picture)
        else:
            try:
                self._container.mux(self._stream.encode(picture))
            except Exception:
                self.discard()  # nobody knows which frames are in it
                raise

    def close(self):
        """Completes the file; without a frame there is none."""
        if self._container is None:
            return
        container, self._container = self._container, None
        try:
            with container:
                for picture in _with_palette(self._waiting, self._rate):
                    container.mux(self._stream.encode(picture))
                container.mux(self._stream.encode())
            os.replace(self._partial, self.path)
        finally:
            self._partial.unlink(missing_ok=True)

    def discard(self):
        """Gives up; what was at the path before stays."""
        if self._container is not None:
            container, self._container = self._container, None
            with contextlib.suppress(OSError):  # of a disk that is full
                container.close()
        self._partial.unlink(missing_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *error):
        if kind is None:
            self.close()
        else:
            self.discard()

    def _open(self, height, width):
        import av

        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._size = height, width
        self._container = av.open(str(self._partial), "w")
        self._stream = self._container.add_stream(self._codec, rate=self._rate)
        self._stream.height, self._stream.width = height, width
        self._stream.pix_fmt = self._pixel_format
        self._stream.options = self._options
        if self._unit is not None:
            self._stream.codec_context.time_base = self._unit

    def _picture(self, frame, time):
        import av

        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        if self._unit is None:
            picture.pts, picture.time_base = self._count, 1 / self._rate
        else:
            self._stamp = max(self._stamp + 1, round(time * _TICKS))
            picture.pts, picture.time_base = self._stamp, self._unit
        return picture


def _rate(fps, path):
    """A rate that encoders take, down to one frame in weeks."""
    rate = fractions.Fraction(fps) if math.isfinite(fps) else 0
    if rate >= 1:
        rate = rate.limit_denominator(1000)
    elif rate > 0:
        rate = 1 / (1 / rate).limit_denominator(1000)
    slowest = _SLOWEST.get(path.suffix.lower(), _SLOWEST[None])
    if not slowest <= rate <= _FASTEST:
        raise ValueError(
            f"cannot write {path} with {fps:g} frames a second: expected "
            f"{float(slowest):.3g} to {_FASTEST:,}; take another rate"
        )
    return rate


def _with_palette(pictures, rate):
    """The same pictures in 256 colours chosen for this video."""
    import av

    if not pictures:
        return []
    graph = av.filter.Graph()
    first = pictures[0]
    source = graph.add_buffer(
        width=first.width,
        height=first.height,
        format="rgb24",
        time_base=1 / rate,
    )
    split = graph.add("split")
    palette = graph.add("palettegen", "reserve_transparent=0")
    use = graph.add("paletteuse", "dither=none")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    for picture in pictures:
        source.push(picture)
    source.push(None)
    result = []
    for _ in pictures:
        result.append(sink.pull())
        result[-1].time_base = 1 / rate
    return result
