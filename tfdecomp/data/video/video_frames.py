"""Frames of videos, one after the other, and what is known before.

A video is a file that PyAV decodes, a folder of numbered pictures, or a
picture file of one frame or several. No more than a few of its frames are in
memory. What was chosen, left out or is odd comes in words, in `Probe.notes`.
"""

import contextlib
import dataclasses
import fractions
import itertools
import pathlib

import numpy as np

from tfdecomp.data import errors
from tfdecomp.data.video import (
    array_files,
    container_checks,
    frame_folders,
    levels,
    packet_checks,
    picture_files,
)

VIDEO_SUFFIXES = (
    ".mp4",
    ".m4v",
    ".mov",
    ".qt",
    ".avi",
    ".mkv",
    ".webm",
    ".gif",
    ".apng",
    ".mpg",
    ".mpeg",
    ".m2v",
    ".vob",
    ".ts",
    ".mts",
    ".m2ts",
    ".wmv",
    ".asf",
    ".flv",
    ".f4v",
    ".3gp",
    ".3g2",
    ".ogv",
    ".ogg",
    ".mxf",
    ".y4m",
    ".h264",
    ".264",
    ".h265",
    ".265",
    ".hevc",
    ".mjpeg",
    ".mjpg",
    ".dv",
    ".nut",
    ".ivf",
    ".obu",
)
PICTURE_SUFFIXES = picture_files.SUFFIXES
is_picture = picture_files.is_picture
pictures = frame_folders.pictures
_ATTACHED_PICTURE = 0x400  # FFmpeg's flag of a cover that is no video
_DEFAULT = 0x1
# VP8 keeps pictures that it does not show; in some avi files MPEG-4 has
# packets of a few bytes that stand for a frame of another packet.
_UNSHOWN, _UNSHOWN_SHARE, _STANDING = 4, 0.02, 10
# One frame a month, and more than any camera takes.
_SLOWEST, _FASTEST = fractions.Fraction(1, 2_700_000), 100_000
_LATEST = 1e9  # seconds; about thirty years
_LATE = 5.0  # seconds that a video may end before its file says, at most
_JUMP = 1.8  # usual gaps between frames
_SAMPLED = 9  # frames that decide which values are black and white
_SMALL = 2**14  # pixels; handing them to threads takes longer than they do
# Decoders that know of transparency where FFmpeg's own do not.
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


@dataclasses.dataclass
class Probe:
    """What is known of a video before it is decoded.

    Args:
        frames: Frames that the file holds.
        rate: Frames per second as a `Fraction`; None if variable or unknown.
        times: Seconds from the first frame on, `[frames]`, where the rate
            varies; None if it does not or is unknown.
        start: Time stamp of the first frame, in the units of the file.
        notes: Sentences about what was chosen, left out or is odd.
        names: File of each frame of a folder; None of other videos.
        range: Values that are black and white, where there are more than 256;
            else None.
        hidden: How many of the frames need not be shown.

    Examples:
        >>> from tfdecomp.data.video.video_frames import Probe
        >>> Probe(frames=90).rate is None  # not known
        True
    """

    frames: int
    rate: fractions.Fraction | None = None
    times: np.ndarray | None = None
    start: int = 0
    notes: list = dataclasses.field(default_factory=list)
    names: list | None = None
    range: tuple | None = None
    hidden: int = 0


def probe(path, range=levels.AUTO):
    """Checks a video without decoding more than its first frame.

    Args:
        path: A video file, a folder of pictures, a picture or a `.npy` file.
        range: Which values are black and white, see `levels.choose`.

    Returns:
        A `Probe`.

    Raises:
        TruncatedError: If it ends too early or is damaged.
        LayoutError: If it is no video.
        MissingFileError: If there is nothing.
        ResolutionError: If pictures of a folder differ in size.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import write_video
        >>> from tfdecomp.data.video.video_frames import probe
        >>> write_video("clip.mp4", np.zeros([3, 16, 16, 3], np.uint8), fps=25)
        >>> found = probe("clip.mp4")
        >>> found.frames, found.rate
        (3, Fraction(25, 1))
    """
    path, range = pathlib.Path(path), levels.parse(range)
    if path.is_dir():
        return _probe_folder(path, range)
    if array_files.is_array(path):
        chosen = range if isinstance(range, tuple) else None
        return Probe(len(array_files.read(path)), range=chosen)
    notes, counted = container_checks.check(path)
    if is_picture(path):
        return _probe_picture(path, range)
    found = _probe_packets(path)
    found.notes[:0] = notes
    if found.frames < (counted or 0):
        raise _truncated(path, counted, found.frames)
    with _opened(path) as (container, stream, _):
        decoder = _decoder(stream, 1)
        if next(_decoded(container, stream, decoder), None) is None:
            raise _truncated(path, found.frames, 0)
    if isinstance(range, tuple):
        found.range = range
    return found


def _probe_packets(path):
    """`Probe` of a file from its packets."""
    sizes, stamps, sums, held = [], [], [], 0.0
    with _opened(path, sizes) as (container, stream, notes):
        declared, unit = _declared(container, stream), stream.time_base
        named = stream.average_rate or stream.guessed_rate
        promised = (container.duration or 0) / 1e6
        for packet in container.demux():
            if packet.pts is not None and packet.time_base:
                end = float(packet.pts * packet.time_base)
                length = float((packet.duration or 0) * packet.time_base)
                # Some containers leave it to the next frame to say.
                if not length and packet.stream_index == stream.index:
                    length = float(1 / named) if _sane(named) else 0.0
                held = max(held, end + length)
            if packet.stream_index != stream.index:
                continue
            if packet.is_corrupt:
                raise _truncated(path, declared or None, len(sizes))
            if packet.size:
                sizes.append(packet.size)
                if stream.codec_context.name == "ffv1":
                    sums.append(packet_checks.ffv1_is_whole(bytes(packet)))
                if not packet.is_discard:
                    stamps.append(packet.pts)
        says_duration = _says_duration(container)
        is_asf = container.format.name == "asf"
        codec = stream.codec_context.name
    if len(sizes) < declared or not stamps:
        raise _truncated(path, declared or None, len(sizes))
    wrong = [n for n, is_whole in enumerate(sums) if not is_whole]
    if wrong and set(sums) != {None}:
        raise _truncated(path, len(sizes), wrong[0])
    found = _timing(path, stamps, unit, named)
    found.notes[:0] = notes
    if codec in ("mpeg4", "msmpeg4v3"):
        found.hidden = sum(size <= _STANDING for size in sizes)
    if says_duration:
        _check_duration(path, found, promised, held)
    late = found.start * float(unit or 0)
    if is_asf and late * found.frames > _JUMP * (held - late):
        found.notes.append(
            f"{path} begins at {late:.4g} seconds: frames may be missing "
            "at its start"
        )
    return found


def _check_duration(path, found, promised, held):
    """Compares how long a file says it is and how long it is.

    Args:
        path: The file.
        found: Its `Probe`.
        promised: Seconds that it says.
        held: Seconds at which its last packet ends.
    """
    gap = promised / found.frames
    late = promised - held
    if late > max(3 * gap, min(0.02 * promised, _LATE)):
        raise errors.TruncatedError(
            f"{path} is damaged: it promises {promised:.3g} seconds and holds "
            f"{held:.3g}",
            path=str(path),
            expected=promised,
            found=held,
            hint="fetch it again",
        )
    if found.rate:
        gap = 1 / float(found.rate)
    if (found.rate or found.frames == 1) and late > 0.9 * gap:
        found.notes.append(
            f"{path} promises {promised:.4g} seconds and holds {held:.4g}: "
            "frames may be missing at its end"
        )


def _says_duration(container):
    """Whether the duration is the file's word, and no estimate."""
    name = container.format.name
    kinds = "matroska", "asf", "flv", "mxf", "nut"
    return "mp4" in name or name.split(",")[0] in kinds


def _declared(container, stream):
    """How many frames the file promises; 0 if it does not say."""
    entries = getattr(stream, "index_entries", ())
    if "mp4" in container.format.name and len(entries):
        # Cut on a telephone, a video promises what its owner cut away, too.
        return min(stream.frames, len(entries))
    return stream.frames


def _timing(path, stamps, unit, named):
    """`Probe` of time stamps and of the rate that the file names."""
    named = _sane(named)
    if None in stamps or not unit:
        return Probe(len(stamps), named)
    known = sorted(stamps)
    times = (np.array(known, np.float64) - known[0]) * float(unit)
    found = Probe(len(known), None, times, known[0])
    if len(known) == 1:
        return dataclasses.replace(found, rate=named, times=None)
    rates = [named]
    mean = None
    if times[-1] > 0 and times[-1] < _LATEST:
        mean = _sane(
            fractions.Fraction(len(known) - 1)
            / ((known[-1] - known[0]) * fractions.Fraction(unit))
        )
        rates.append(mean)
    if mean is None:
        found.times, found.rate = None, named
        found.notes.append(
            f"{path}: its {len(known)} frames lie within {times[-1]:.4g} "
            "seconds, which cannot be: the time stamps are ignored and "
            + (
                f"{float(named):.4g} frames a second assumed"
                if named
                else "no rate is known"
            )
        )
        return found
    for rate in rates:
        if not rate:
            continue
        late = np.abs(times * float(rate) - np.arange(len(times)))
        if late.max() <= 0.5:
            found.rate, found.times = fractions.Fraction(rate), None
            break
    found.notes += _jumps(path, times)
    return found


def _sane(rate):
    """A rate that can be, else None."""
    return rate if rate and _SLOWEST <= rate <= _FASTEST else None


def _jumps(path, times):
    """A note if single gaps are much longer than the others."""
    gaps = np.diff(times)
    usual = float(np.median(gaps))
    others = gaps[gaps <= _JUMP * usual]
    is_even = np.mean(np.abs(others - usual) <= 0.1 * usual) > 0.9
    far = np.flatnonzero(gaps > _JUMP * usual)
    if not usual or not is_even or not 0 < len(far) <= max(1, len(gaps) / 5):
        return []
    at = int(far[0])
    return [
        f"{path}: the time stamps jump from {times[at]:.4g} to "
        f"{times[at + 1]:.4g} seconds, with {usual:.3g} between other frames: "
        "frames may be missing there"
    ]


def decode(path, probe, threads=0):
    """The frames of a video in the order in which they are shown.

    Args:
        path: A video file, a folder of pictures, a picture or a `.npy` file.
        probe: Its `Probe`.
        threads: Threads that decode; 0: one for each core.

    Yields:
        `(time, frame)`: seconds since the first frame, and a frame of PyAV,
        with square pixels.

    Raises:
        DatasetInputError: If it cannot be decoded to its end.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import write_video
        >>> from tfdecomp.data.video.video_frames import decode, probe
        >>> write_video("clip.mp4", np.zeros([3, 16, 16, 3], np.uint8), fps=10)
        >>> [time for time, frame in decode("clip.mp4", probe("clip.mp4"))]
        [0.0, 0.1, 0.2]
    """
    path = pathlib.Path(path)
    if path.is_dir():
        files = pictures(path)
        for pixels in frame_folders.read(path, files, threads or 4):
            yield None, _frame_of(levels.shown(pixels, probe.range))
        return
    if is_picture(path):
        yield from _decode_picture(path, probe)
        return
    if array_files.is_array(path):
        for pixels in array_files.read(path):
            yield None, _frame_of(array_files.pixels(pixels, probe.range))
        return
    shown = []
    with _opened(path, shown) as (container, stream, _):
        decoder = _decoder(stream, threads)
        unit = float(stream.time_base or 0)
        aspect = _aspect(stream)
        for frame in _decoded(container, stream, decoder):
            time = None
            if probe.times is not None or probe.rate is not None:
                if frame.pts is not None:
                    time = (frame.pts - probe.start) * unit
                elif probe.times is not None:
                    time = probe.times[min(len(shown), probe.frames - 1)]
            if frame.is_corrupt:
                raise _truncated(path, probe.frames, len(shown))
            shown.append(None)
            yield time, _ranged(_squared(frame, aspect), probe.range)
        least = probe.frames - probe.hidden
        if stream.codec_context.name == "vp8":
            least -= _UNSHOWN + int(_UNSHOWN_SHARE * probe.frames)
    if len(shown) < max(1, least):
        raise _truncated(path, probe.frames, len(shown))


def _decoder(stream, threads=0):
    """The codec context that decodes a stream, which notices damage."""
    import av

    context = stream.codec_context
    name = _WITH_ALPHA.get(context.name)
    if name and stream.metadata.get("alpha_mode") == "1":
        with contextlib.suppress(av.error.FFmpegError, ValueError):
            context = av.CodecContext.create(name, "r")
            context.extradata = stream.codec_context.extradata
            context.time_base = stream.time_base
    context.options = packet_checks.STRICT
    if (context.width or 0) * (context.height or 0) < _SMALL:
        threads = 1
    if context is stream.codec_context:
        context.thread_type = "AUTO"
        context.thread_count = threads
    return context


def _decoded(container, stream, decoder):
    if decoder is stream.codec_context:
        yield from container.decode(stream)
        return
    for packet in container.demux(stream):
        yield from decoder.decode(packet if packet.size else None)


def _aspect(stream):
    """Width of a pixel, its height being one."""
    ratio = stream.sample_aspect_ratio or 1
    return ratio if fractions.Fraction(1, 10) < ratio < 10 else 1


def _squared(frame, aspect):
    """The frame as it is shown where its pixels are no squares."""
    if aspect == 1:
        return frame
    from av.video import reformatter

    kinds = reformatter.Interpolation
    flags = kinds.BICUBIC | kinds.ACCURATE_RND | kinds.FULL_CHR_H_INT
    # What lies on its side has its sides changed later.
    wide = frame.reformat(
        width=max(1, round(frame.width * aspect)), interpolation=int(flags)
    )
    for name in ("pts", "time_base"):
        setattr(wide, name, getattr(frame, name))
    return wide


def _ranged(frame, chosen):
    """The frame with other values as black and white."""
    if chosen is None:
        return frame
    pixels = frame.reformat(format="rgb24").to_ndarray()
    return _frame_of(levels.shown(pixels, chosen))


def _frame_of(pixels):
    import av

    return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")


@contextlib.contextmanager
def _opened(path, frames=()):
    """`(container, stream, notes)`; what FFmpeg says is explained.

    Args:
        path: The file.
        frames: What was read of it, for messages.
    """
    import av

    try:
        # An absolute path has no colon that would name a protocol; titles
        # may be in any encoding.
        with av.open(
            str(path.absolute()), metadata_errors="replace"
        ) as container:
            stream, notes = _stream_of(path, container)
            yield container, stream, notes
    except av.error.FFmpegError as error:
        if len(frames):
            raise _truncated(path, None, len(frames), error) from error
        raise container_checks.not_a_video(path, error.strerror) from error
    except OSError as error:
        raise errors.LayoutError(
            f"{path} cannot be read ({error.strerror})",
            path=str(path),
            expected="a file that may be read",
            found=str(error),
            hint="check its rights",
        ) from error


def _stream_of(path, container):
    """The stream that players show, and notes of others and its pixels."""
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
    streams = [stream for stream in streams if stream.codec_context]
    if not streams:
        raise errors.LayoutError(
            f"{path} has a video of a kind that is not known: it is damaged "
            "or of a newer codec",
            path=str(path),
            expected="a codec that FFmpeg decodes",
            found="none",
            hint="convert it to mp4, or fetch it again",
        )
    stream = max(streams, key=_preference)
    notes = []
    if len(streams) > 1:
        size = stream.codec_context.width, stream.codec_context.height
        notes.append(
            f"{path} has {len(streams)} video streams; stream "
            f"{stream.index} of {size[0]}x{size[1]} pixels is taken"
        )
    aspect = _aspect(stream)
    if aspect != 1:
        notes.append(
            f"{path}: its pixels are {float(aspect):.4g} times as wide as "
            "high; frames are read as they are shown, with square ones"
        )
    return stream, notes


def _preference(stream):
    context = stream.codec_context
    size = (context.width or 0) * (context.height or 0)
    return bool(int(stream.disposition) & _DEFAULT), size, -stream.index


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


def _probe_folder(path, range):
    files, notes, first = frame_folders.listed(path, VIDEO_SUFFIXES)
    found = Probe(len(files), notes=notes, names=[f.name for f in files])
    if first.is_deep or isinstance(range, tuple):
        places = np.linspace(0, len(files) - 1, _SAMPLED).astype(int)
        some = [picture_files.read(files[n]) for n in np.unique(places)]
        _set_range(found, path, some, range)
    return found


def _probe_picture(path, range):
    """`Probe` of a picture file, which may hold a video."""
    known = picture_files.info(path)
    delays, some = [], []
    places = set(np.linspace(0, known.frames - 1, _SAMPLED).astype(int))
    if known.frames > 1 or known.is_deep or isinstance(range, tuple):
        for number, (pixels, delay) in enumerate(picture_files.frames(path)):
            delays.append(delay)
            if number in places:
                some.append(pixels)
    else:
        next(picture_files.frames(path))
    found = Probe(known.frames)
    if known.frames > 1 and all(delays):
        stamps = itertools.accumulate(delays[:-1], initial=0)
        # Fractions of a millisecond, of which PNGs know.
        stamps = [round(1000 * stamp) for stamp in stamps]
        found = _timing(path, stamps, fractions.Fraction(1, 10**6), None)
        found.start = 0
    found.notes += known.notes
    if known.frames > 1:
        found.notes.append(
            f"{path} holds {known.frames} frames and is read as a video"
        )
    if some:
        _set_range(found, path, some, range)
    return found


def _set_range(found, path, some, range):
    is_deep = any(picture.dtype != np.uint8 for picture in some)
    if is_deep or isinstance(range, tuple):
        found.range, note = levels.choose(path, some, range)
        found.notes += [note] if note else []


def _decode_picture(path, probe):
    time, done = 0.0, 0
    for pixels, _ in picture_files.frames(path):
        if probe.times is not None:
            time = probe.times[min(done, len(probe.times) - 1)]
        elif probe.rate is not None:
            time = done / float(probe.rate)
        else:
            time = None
        done += 1
        yield time, _frame_of(levels.shown(pixels, probe.range))
    if done < probe.frames:
        raise _truncated(path, probe.frames, done)
