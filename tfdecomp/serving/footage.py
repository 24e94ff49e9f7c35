"""An upload as footage: bounded before it is decoded, and left when told."""

import contextlib
import pathlib
import string

from tfdecomp.data.video import array_files, picture_files, video_frames
from tfdecomp.prediction.footage import Footage
from tfdecomp.serving.refusals import Refused

# Text that names other files, which FFmpeg would open.
_PLAYLISTS = b"ffconcat", b"#EXTM3U", b"<MPD", b"<SmoothStreamingMedia"
_LETTERS = frozenset(string.printable.encode())
_HEAD = 4096  # bytes in which a playlist shows
# Text that is a video or a picture all the same.
_PLAIN = b"YUV4MPEG2", b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"P7", b"BM"


class Abandoned(Exception):
    """Nobody waits for the rest of a video any more."""


class UploadedFootage(Footage):
    """Footage of an upload.

    Args:
        path: The file.
        name: What its owner calls it.
        max_frames: Most frames that it may have.
        max_pixels: Most pixels of a frame.
        is_abandoned: Asked before every frame; true ends the reading.
        **options: `fps` and `source_fps`, as of `Footage`.

    Raises:
        Refused: If it is larger than that, or no video by its first bytes.
        DatasetInputError: If it cannot be read.
        Abandoned: While frames are read, if nobody waits any more.
    """

    def __init__(
        self,
        path,
        name,
        max_frames,
        max_pixels,
        is_abandoned=lambda: False,
        **options,
    ):
        self._is_abandoned = is_abandoned
        path = pathlib.Path(path)
        check_kind(path, name)
        check_size(size_of(path), name, max_pixels)
        super().__init__(path, **options)
        self.name = name
        self.notes = [note.replace(str(path), name) for note in self.notes]
        check_size(self.size, name, max_pixels)
        check_count(self.num_frames, name, max_frames)

    def frames(self):
        """Yields every kept `Frame` while somebody waits for it."""
        with contextlib.closing(super().frames()) as frames:
            for frame in frames:
                if self._is_abandoned():
                    raise Abandoned
                yield frame


def check_kind(path, name):
    """Refuses text, which could name other files.

    Args:
        path: The file.
        name: What its owner calls it.

    Raises:
        Refused: If it is text, or a list of videos.
    """
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    is_list = any(mark in head for mark in _PLAYLISTS)
    start = head[:64]
    is_text = bool(start) and not set(start) - _LETTERS
    if is_list or (is_text and not start.startswith(_PLAIN)):
        raise Refused(
            422, f"{name} is text and no video; send the video itself"
        )


def check_size(size, name, max_pixels):
    """Refuses frames that are too large.

    Args:
        size: `(H, W)`.
        name: What the owner of the video calls it.
        max_pixels: Most pixels.

    Raises:
        Refused: If there are more.

    Examples:
        >>> from tfdecomp.serving.footage import check_size
        >>> check_size((48, 64), "a.png", max_pixels=1000)
        Traceback (most recent call last):
            ...
        tfdecomp.serving.refusals.Refused: the frames of a.png have 64x48 ...
    """
    height, width = size
    if height * width > max_pixels:
        raise Refused(
            413,
            f"the frames of {name} have {width}x{height} pixels, and this "
            f"server takes {max_pixels:,} at most; send smaller ones",
        )


def check_count(count, name, max_frames):
    """Refuses too many frames; the same."""
    if count > max_frames:
        raise Refused(
            413,
            f"{name} has {count:,} frames, and this server takes "
            f"{max_frames:,} at most; cut it, or keep fewer with fps",
        )


def size_of(path) -> tuple[int, int]:
    """`(H, W)` that a file declares, before any of it is decoded.

    Args:
        path: A video, a picture or an array.

    Raises:
        DatasetInputError: If it cannot be read.
    """
    if array_files.is_array(path):
        return array_files.read(path).shape[1:3]
    if picture_files.is_picture(path):
        width, height = picture_files.info(path).size
        return height, width
    return _declared(path)


def _declared(path):
    """The largest size of the streams of a container; zeros if it is none."""
    import av

    largest = (0, 0)
    # What cannot be opened is explained by the reader.
    with contextlib.suppress(av.error.FFmpegError, OSError):
        with av.open(str(path), metadata_errors="replace") as container:
            for stream in container.streams.video:
                context = stream.codec_context
                size = (context.height or 0, context.width or 0)
                largest = max(largest, size, key=lambda s: s[0] * s[1])
    return largest


SUFFIXES = (
    *video_frames.VIDEO_SUFFIXES,
    *video_frames.PICTURE_SUFFIXES,
    array_files.SUFFIX,
)
