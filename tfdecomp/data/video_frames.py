"""Frames of videos, one after the other, and what is known before.

A video is a file that PyAV decodes, a folder of numbered pictures, or one
picture. No more than a few of its frames are in memory.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import fractions
import io
import itertools
import pathlib

import numpy as np

from tfdecomp.data import errors, video_io

VIDEO_SUFFIXES = (
    ".mp4",
    ".m4v",
    ".mov",
    ".avi",
    ".mkv",
    ".webm",
    ".gif",
    ".mpg",
    ".mpeg",
)
PICTURE_SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".bmp",
    ".tif",
    ".tiff",
    ".webp",
    ".pgm",
    ".ppm",
)
_ATTACHED_PICTURE = 0x400  # FFmpeg's flag of a cover that is no video
_PICTURES_CHECKED = 500  # of a folder, before it is read
# Some codecs show fewer frames than the file holds packets.
_UNSHOWN, _UNSHOWN_SHARE = 4, 0.02


@dataclasses.dataclass
class Probe:
    """What is known of a video before it is decoded.

    Args:
        frames: Frames that the file holds.
        rate: Frames per second as a `Fraction`; None if variable or unknown.
        times: Seconds from the first frame on, `[frames]`, where the rate
            varies; None if it does not or is unknown.
        start: Time stamp of the first frame, in the units of the file.
    """

    frames: int
    rate: fractions.Fraction | None = None
    times: np.ndarray | None = None
    start: int = 0


def probe(path):
    """Checks a video without decoding more than its first frame.

    Args:
        path: A video file, a folder of pictures or a picture.

    Returns:
        A `Probe`.

    Raises:
        TruncatedError: If it ends too early.
        LayoutError: If it is no video.
        MissingFileError: If there is nothing.
        ResolutionError: If pictures of a folder differ in size.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        return _probe_folder(path)
    _check_ending(path)
    if is_picture(path):
        with _picture_opened(path):
            return Probe(1)
    packets, stamps = [], []
    with _opened(path, packets) as (container, stream):
        declared, unit = _declared(container, stream), stream.time_base
        named = stream.average_rate or stream.guessed_rate
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise _truncated(path, declared or None, len(packets))
            if packet.size:
                packets.append(packet.size)
                if not packet.is_discard:
                    stamps.append(packet.pts)
    if len(packets) < declared or not stamps:
        raise _truncated(path, declared or None, len(packets))
    with _opened(path) as (container, stream):
        if next(container.decode(stream), None) is None:
            raise _truncated(path, len(stamps), 0)
    return _timing(stamps, unit, named)


def _declared(container, stream):
    """How many frames the file promises; 0 if it does not say."""
    entries = getattr(stream, "index_entries", ())
    if "mp4" in container.format.name and len(entries):
        # Cut on a telephone, a video promises what its owner cut away, too.
        return min(stream.frames, len(entries))
    return stream.frames


def _timing(stamps, unit, named):
    """`Probe` of time stamps and of the rate that the file names."""
    if None in stamps or not unit:
        return Probe(len(stamps), named or None)
    known = sorted(stamps)
    times = (np.array(known) - known[0]) * float(unit)
    found = Probe(len(known), None, times, known[0])
    rates = [named]
    if times[-1]:
        mean = fractions.Fraction(len(known) - 1) / (
            (known[-1] - known[0]) * unit
        )
        rates.append(mean)
    for rate in rates:
        if not rate:
            continue
        late = np.abs(times * float(rate) - np.arange(len(times)))
        if late.max() <= 0.5:
            found.rate, found.times = fractions.Fraction(rate), None
            break
    return found


def decode(path, probe, threads=0):
    """The frames of a video in the order in which they are shown.

    Args:
        path: A video file, a folder of pictures or a picture.
        probe: Its `Probe`.
        threads: Threads that decode; 0: one for each core.

    Yields:
        `(time, frame)`: seconds since the first frame, and a frame of PyAV.

    Raises:
        DatasetInputError: If it cannot be decoded to its end.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        yield from ((None, frame) for frame in _pictures(path, threads))
        return
    if is_picture(path):
        yield None, _read_picture(path)[1]
        return
    shown = []
    with _opened(path, shown) as (container, stream):
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        unit = float(stream.time_base or 0)
        for frame in container.decode(stream):
            if frame.pts is not None:
                time = (frame.pts - probe.start) * unit
            elif probe.times is not None:
                time = probe.times[min(len(shown), probe.frames - 1)]
            else:
                time = None
            shown.append(None)
            yield time, frame
    least = probe.frames - _UNSHOWN - int(_UNSHOWN_SHARE * probe.frames)
    if len(shown) < max(1, least):
        raise _truncated(path, probe.frames, len(shown))


@contextlib.contextmanager
def _opened(path, frames=()):
    """`(container, stream)` of a video file; what FFmpeg says is explained.

    Args:
        path: The file.
        frames: What was read of it, for messages.
    """
    import av

    try:
        # An absolute path has no colon that would name a protocol.
        with av.open(str(path.absolute())) as container:
            streams = [
                stream
                for stream in container.streams.video
                if not int(stream.disposition) & _ATTACHED_PICTURE
            ]
            # FFmpeg would draw a text file as a terminal shows it.
            if not streams or container.format.name == "tty":
                sound = bool(container.streams.audio)
                raise errors.LayoutError(
                    f"{path} has no video in it"
                    + (
                        ", only sound"
                        if sound
                        else ": it is cut off or another kind of file"
                    ),
                    path=str(path),
                    expected="a video stream",
                    found="sound" if sound else "none",
                    hint="give a video file",
                )
            yield container, streams[0]
    except av.error.FFmpegError as error:
        if len(frames):
            raise _truncated(path, None, len(frames), error) from error
        raise errors.LayoutError(
            f"{path} cannot be read as a video ({error.strerror}): it is "
            "damaged, cut off or another kind of file",
            path=str(path),
            expected="a video file",
            found=str(error),
            hint="fetch it again",
        ) from error
    except OSError as error:
        raise errors.LayoutError(
            f"{path} cannot be read ({error.strerror})",
            path=str(path),
            expected="a file that may be read",
            found=str(error),
            hint="check its rights",
        ) from error


def _truncated(path, expected, found, cause=None):
    return errors.TruncatedError(
        f"{path} ends too early or is damaged: expected "
        f"{'more' if expected is None else expected} frames, got {found}"
        + (f" ({cause.strerror})" if cause else ""),
        path=str(path),
        expected=expected,
        found=found,
        hint="fetch it again",
    )


def _check_ending(path):
    """Notices files whose container says nothing of a missing end."""
    if not path.exists():
        raise errors.MissingFileError(
            f"{path} does not exist",
            path=str(path),
            expected="a video",
            found="nothing",
            hint="check the path",
        )
    size = path.stat().st_size
    if not size:
        raise errors.TruncatedError(
            f"{path} is empty: it has 0 bytes",
            path=str(path),
            expected="a video",
            found="0 bytes",
            hint="fetch it again",
        )
    with open(path, "rb") as file:
        head = file.read(128)
        if head.startswith(b"GIF8"):
            file.seek(max(0, size - 1024))
            if not file.read().rstrip(b"\0").endswith(b";"):
                raise errors.TruncatedError(
                    f"{path} ends too early: it has no end mark",
                    path=str(path),
                    expected="a GIF's last byte",
                    found="none",
                    hint="fetch it again",
                )
    wanted = _matroska_size(head)
    if wanted and size < wanted:
        raise errors.TruncatedError(
            f"{path} ends too early: expected {wanted:,} bytes, got {size:,}",
            path=str(path),
            expected=wanted,
            found=size,
            hint="fetch it again",
        )


def _matroska_size(head):
    """Bytes that an mkv or webm file should have; None if it does not say."""
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    length, begin = _variable_number(head, 4)
    segment = begin + (length or 0)
    if head[segment : segment + 4] != b"\x18\x53\x80\x67":
        return None
    length, begin = _variable_number(head, segment + 4)
    return None if length is None else begin + length


def _variable_number(data, place):
    """A number of one to eight bytes, and where the next entry begins."""
    if place >= len(data) or not data[place]:
        return None, place
    count = 9 - data[place].bit_length()
    number = int.from_bytes(data[place : place + count])
    number &= (1 << 7 * count) - 1
    unknown = number == (1 << 7 * count) - 1
    return (None if unknown else number), place + count


def is_picture(path):
    """Whether a file's name is that of a picture."""
    return pathlib.Path(path).suffix.lower() in PICTURE_SUFFIXES


def pictures(folder):
    """Pictures of a folder in the order of the numbers in their names."""
    found = [
        file
        for file in pathlib.Path(folder).iterdir()
        if file.suffix.lower() in PICTURE_SUFFIXES
        and not file.name.startswith(".")
    ]
    return sorted(found, key=video_io.natural)


def _probe_folder(path):
    files = pictures(path)
    if not files:
        raise errors.MissingFileError(
            f"the folder {path} has no picture in it",
            path=str(path),
            expected=f"files with suffix {', '.join(PICTURE_SUFFIXES)}",
            found="none",
            hint="give a folder of frames",
        )
    step = -(-len(files) // _PICTURES_CHECKED)
    sizes = {file: _picture_size(file) for file in files[::step]}
    first = sizes[files[0]]
    others = [
        f"{file.name} {width}x{height}"
        for file, (width, height) in sizes.items()
        if (width, height) != first
    ]
    if others:
        raise _mixed(path, files[0], first, others)
    return Probe(len(files))


def _mixed(path, first, size, others):
    return errors.ResolutionError(
        f"the pictures in {path} differ in size: {first.name} has "
        f"{size[0]}x{size[1]} pixels, but {', '.join(others[:3])}",
        path=str(path),
        expected=size,
        found=others[:3],
        hint="scale them to one size",
    )


def _picture_size(file):
    with _picture_opened(file) as (_, stream):
        return stream.codec_context.width, stream.codec_context.height


@contextlib.contextmanager
def _picture_opened(file):
    import av

    # From memory: FFmpeg takes a "%" in the name of a picture for a pattern.
    data = io.BytesIO(file.read_bytes())
    try:
        with av.open(data) as container:
            if not container.streams.video or container.format.name == "tty":
                raise av.error.InvalidDataError(0, "no picture")
            yield container, container.streams.video[0]
    except av.error.FFmpegError as error:
        raise errors.LayoutError(
            f"{file} cannot be read as a picture ({error.strerror}): it is "
            "empty, damaged or another kind of file",
            path=str(file),
            expected="a picture",
            found=str(error),
            hint="fetch it again or take it away",
        ) from error


def _read_picture(file):
    with _picture_opened(file) as (container, stream):
        frame = next(container.decode(stream), None)
    if frame is None:
        raise _truncated(file, 1, 0)
    return file, frame


def _pictures(path, threads):
    """Frames of a folder, a few of them decoded ahead."""
    files = iter(pictures(path))
    threads = threads or 4
    size = first = None
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        waiting = collections.deque(
            pool.submit(_read_picture, file)
            for file in itertools.islice(files, 2 * threads)
        )
        while waiting:
            file, frame = waiting.popleft().result()
            for upcoming in itertools.islice(files, 1):
                waiting.append(pool.submit(_read_picture, upcoming))
            if size is None:
                first, size = file, (frame.width, frame.height)
            if (frame.width, frame.height) != size:
                other = f"{file.name} {frame.width}x{frame.height}"
                raise _mixed(path, first, size, [other])
            yield frame
