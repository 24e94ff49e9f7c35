"""Which frames of a video are kept, and how they become small pictures."""

import dataclasses
import fractions
import functools
import math

import numpy as np

from tfdecomp.data import errors

CROPS = ("none", "center", "pad")


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Which frames are kept: those nearest to 0, 1/rate, 2/rate, ... seconds.

    Halfway between two frames the later one is taken, so of a video with a
    constant rate these are the frames `floor(n * source / rate + 1/2)`.

    Args:
        rate: Frames per second to keep; None: all frames.
        source_rate: Rate of videos that do not know theirs.

    Examples:
        >>> from tfdecomp.data.video.video_frames import Probe
        >>> from tfdecomp.data.video.video_sampling import Sampling
        >>> from fractions import Fraction
        >>> probe = Probe(frames=90, rate=Fraction(30))
        >>> Sampling(rate=10).count("clip.mp4", probe)
        30
    """

    rate: float | None = None
    source_rate: float | None = None

    def resolve(self, path, probe):
        """Rate to keep, and the rate of the source, of one video.

        Args:
            path: The video, for messages.
            probe: Its `Probe`.

        Returns:
            `(rate, source)` as `Fraction`s. `rate` is None: all frames;
            `source` is None: look at the time of each frame.

        Raises:
            LayoutError: If the video's rate is unknown or too low.
        """
        if self.rate is None:
            return None, None
        rate = _fraction(self.rate)
        source = probe.rate
        if source is None and probe.times is None:
            if self.source_rate is None:
                raise errors.LayoutError(
                    f"{path} does not say how many frames a second it has",
                    path=str(path),
                    expected="a frame rate or time stamps",
                    found="neither",
                    hint="set source_rate, or leave frame_rate out to keep "
                    "all frames",
                )
            source = _fraction(self.source_rate)
        if source is None:
            return rate, None
        if rate > source * fractions.Fraction(101, 100):
            raise errors.LayoutError(
                f"{path} has {float(source):.4g} frames a second, fewer than "
                f"frame_rate = {self.rate:g}",
                path=str(path),
                expected=f"at least {self.rate:g} frames a second",
                found=float(source),
                hint="lower frame_rate, or leave it out to keep all frames",
            )
        # 30 frames a second of 29.97 are all of them.
        near = rate > source * fractions.Fraction(99, 100)
        return (None, None) if near else (rate, source)

    def count(self, path, probe):
        """How many frames of a video are kept."""
        rate, source = self.resolve(path, probe)
        if rate is None:
            return probe.frames
        if source is not None:
            end = (probe.frames - fractions.Fraction(1, 2)) / source
        else:
            last = probe.times[-1]
            end = last + (last - probe.times[-2]) / 2 if last else 0
        return max(1, math.ceil(end * rate))

    def pick(self, path, probe, timed):
        """The frames to keep.

        Args:
            path: The video.
            probe: Its `Probe`.
            timed: Iterable of `(time, frame)`, see `decode`.

        Yields:
            `(number, frame)`: the number that the frame has in the video.
        """
        rate, source = self.resolve(path, probe)
        if rate is None:
            for number, (_, frame) in enumerate(timed):
                yield number, frame
            return
        wanted, before, gap = 0, None, 0
        for number, (time, frame) in enumerate(timed):
            if source is not None:
                time = number / source
            if before is not None:
                gap = time - before[0]
                while wanted / rate < before[0] + gap / 2:
                    yield before[1:]
                    wanted += 1
            before = time, number, frame
        while before and (not wanted or wanted / rate < before[0] + gap / 2):
            yield before[1:]
            wanted += 1


def _fraction(rate):
    rate = fractions.Fraction(rate)
    if rate < 1:  # a frame in hours is not none
        return 1 / (1 / rate).limit_denominator(100_000)
    return rate.limit_denominator(100_000)


@dataclasses.dataclass(frozen=True)
class Look:
    """How a frame becomes a picture of the dataset.

    Colours are averaged over the area of a pixel. Transparent parts are laid
    on black, 16 bits become 8, turned recordings of telephones stand upright.

    Args:
        height: Rows.
        width: Columns.
        channels: 3, or 1: the mean of the three.
        crop: `"none"`: the whole frame is squashed into the picture;
            `"center"`: its middle of the right proportions is shown;
            `"pad"`: the whole frame is shown between black bars.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_sampling import Look, frame_of
        >>> frame = frame_of(np.zeros([48, 64, 3], np.uint8))
        >>> Look(height=32, width=32, channels=1).picture(frame).shape
        (32, 32, 1)
    """

    height: int = 64
    width: int = 64
    channels: int = 3
    crop: str = "none"

    def picture(self, frame):
        """`[height, width, channels]` uint8 of one frame of PyAV."""
        turns, is_mirrored = _turned(frame)
        height, width = self.height, self.width
        if turns % 2:
            height, width = width, height
        pixels = _resized(_opaque(frame), height, width, self.crop)
        pixels = _stood(pixels, turns, is_mirrored)
        if self.channels == 1:
            mean = pixels.mean(-1, dtype=np.float32, keepdims=True)
            pixels = np.rint(mean).astype(np.uint8)
        return np.ascontiguousarray(pixels)


def _opaque(frame):
    """The same frame on black where it is transparent."""
    parts = frame.format.components
    if not (frame.format.has_palette or any(p.is_alpha for p in parts)):
        return frame
    pixels = frame.reformat(format="rgba").to_ndarray()
    alpha = pixels[..., 3:]
    if alpha.min() < 255:
        pixels = (pixels.astype(np.uint16) * alpha + 127) // 255
    return frame_of(pixels[..., :3].astype(np.uint8))


def frame_of(pixels):
    """Pixels `[H, W, 3]` uint8 as a frame of PyAV.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_sampling import frame_of
        >>> frame = frame_of(np.zeros([48, 64, 3], np.uint8))
        >>> frame.height, frame.width
        (48, 64)
    """
    import av

    return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")


def upright(frame):
    """All pixels `[H, W, 3]` uint8 of a frame of PyAV, as it is shown.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_sampling import frame_of, upright
        >>> upright(frame_of(np.full([4, 4, 3], 9, np.uint8)))[0, 0]
        array([9, 9, 9], dtype=uint8)
    """
    flags = {}
    if max(part.bits for part in frame.format.components) > 8:
        # Greys are too dark otherwise; for eight bits it only takes longer.
        flags["interpolation"] = _accurate()
    pixels = _opaque(frame).reformat(format="rgb24", **flags)
    turns, is_mirrored = _turned(frame)
    return _stood(pixels.to_ndarray(), turns, is_mirrored)


@functools.cache
def _accurate():
    from av.video import reformatter

    kinds = reformatter.Interpolation
    return int(kinds.BICUBIC | kinds.ACCURATE_RND | kinds.FULL_CHR_H_INT)


def _stood(pixels, turns, is_mirrored):
    pixels = np.rot90(pixels, turns)
    return np.ascontiguousarray(pixels[:, ::-1] if is_mirrored else pixels)


def _turned(frame):
    """How a frame is shown.

    Returns:
        `(turns, is_mirrored)`: quarter turns against the clock, and whether
        left and right change places afterwards.
    """
    from av.sidedata import sidedata

    # The attribute of the frame would hold the frame, and that its decoder
    # with all threads, until Python looks for such circles.
    data = sidedata.SideDataContainer(frame).get("DISPLAYMATRIX")
    if data is None:
        return 0, False
    # Takes (x, y) to (a x + c y, b x + d y), y downwards.
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(float)
    is_mirrored = a * d - b * c < 0
    if is_mirrored:  # undone: what is left is a turn
        a, c = -a, -c
    return round(-np.arctan2(b, a) / (np.pi / 2)) % 4, is_mirrored


def placement(size, frame_size, crop):
    """Where a scaled frame lies in a picture.

    Args:
        size: `(height, width)` of the picture.
        frame_size: `(height, width)` of the frame.
        crop: See `Look`.

    Returns:
        `(top, left, rows, columns)` in pixels of the picture; parts of the
        frame may lie outside of it.

    Examples:
        >>> from tfdecomp.data.video.video_sampling import placement
        >>> placement((32, 32), frame_size=(48, 64), crop="pad")
        (4, 0, 24, 32)
    """
    if crop == "none":
        return 0, 0, *size
    choose = max if crop == "center" else min
    scale = choose(side / own for side, own in zip(size, frame_size))
    rows, columns = (max(1, round(own * scale)) for own in frame_size)
    if crop == "center":
        rows, columns = max(size[0], rows), max(size[1], columns)
        top, left = (rows - size[0]) // 2, (columns - size[1]) // 2
        return -top, -left, rows, columns
    return (size[0] - rows) // 2, (size[1] - columns) // 2, rows, columns


def _resized(frame, height, width, crop):
    """`[height, width, 3]` uint8."""
    from av.video import reformatter

    top, left, rows, columns = placement(
        (height, width), (frame.height, frame.width), crop
    )
    enlarged = rows > frame.height or columns > frame.width
    kinds = reformatter.Interpolation
    # Without the last two, colours are off by up to 15 of 255.
    flags = (
        (kinds.BILINEAR if enlarged else kinds.AREA)
        | kinds.ACCURATE_RND
        | kinds.FULL_CHR_H_INT
    )
    small = frame.reformat(columns, rows, "rgb24", interpolation=int(flags))
    small = small.to_ndarray()
    if crop == "pad":
        picture = np.zeros((height, width, 3), np.uint8)
        picture[top : top + rows, left : left + columns] = small
        return picture
    return small[-top : height - top, -left : width - left]
