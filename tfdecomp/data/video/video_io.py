"""Reads and writes video files, pictures and folders of frames.

Videos go through PyAV, which notices a file that ends too early. The number
of frames is counted, never taken from the file's own word. Pictures are read
by `picture_files`.
"""

import os
import pathlib
import struct
import zlib

import numpy as np

from tfdecomp.data import errors
from tfdecomp.data.video import (
    frame_folders,
    levels,
    picture_files,
    video_writer,
)

IMAGE_SUFFIXES = picture_files.SUFFIXES
_MAX_IN_MEMORY = 8 * 2**30  # bytes of decoded frames


def write_video(path, frames, fps=10):
    """Writes a video; the suffix says which kind.

    It is written under another name and renamed when it is complete.

    Args:
        path: With suffix `.mp4`, `.mkv`, `.webm` or `.gif`.
        frames: `[T, H, W, 3]` uint8.
        fps: Frames per second.

    Raises:
        ValueError: If the frames or the suffix are not as above.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import write_video
        >>> write_video("clip.mp4", np.zeros([3, 16, 24, 3], np.uint8), fps=25)
    """
    with video_writer.VideoWriter(path, fps) as writer:
        for frame in _checked_frames(frames):
            writer.add(frame)


def _expand(path):
    return pathlib.Path(os.path.expanduser(os.fspath(path)))


def _checked_frames(frames):
    frames = np.asarray(frames)
    if frames.ndim == 4 and frames.shape[-1] == 1:
        frames = np.repeat(frames, 3, axis=-1)
    shape_fits = frames.ndim == 4 and frames.shape[-1] == 3
    if not shape_fits or frames.dtype != np.uint8 or not frames.size:
        raise ValueError(
            "expected frames as uint8 [T, H, W, 3] with T >= 1, got "
            f"{frames.dtype} {frames.shape}"
        )
    return np.ascontiguousarray(frames)


def read_video(path, expected_frames=None):
    """Reads a video file or a folder of pictures.

    Args:
        path: A video file, or a folder of equally large pictures, which are
            taken in the order of the numbers in their names.
        expected_frames: Number of frames that it must have.

    Returns:
        `(frames, fps)`: `[T, H, W, 3]` uint8 and a float.

    Raises:
        MissingFileError: If there is nothing at the path.
        TruncatedError: If the file ends too early or has another number of
            frames than expected.
        LayoutError: If it is no video.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import read_video, write_video
        >>> write_video("clip.mp4", np.zeros([3, 16, 24, 3], np.uint8), fps=25)
        >>> frames, fps = read_video("clip.mp4")
        >>> frames.shape, fps
        ((3, 16, 24, 3), 25.0)
    """
    path = _expand(path)
    if path.is_dir():
        frames, fps = read_folder(path), 10.0
    else:
        frames, fps = _decode(path, expected_frames)
    if expected_frames is not None and len(frames) != expected_frames:
        raise _truncated(path, expected_frames, len(frames))
    return frames, fps


def _truncated(path, expected, found, cause=""):
    return errors.TruncatedError(
        f"{path} ends too early or is another file: expected "
        f"{expected if expected is not None else 'more'} frames, got {found}"
        + (f" ({cause})" if cause else ""),
        path=str(path),
        expected=expected,
        found=found,
        hint="fetch or write the file again",
    )


def _decode(path, expected):
    import av

    if not path.exists():
        raise errors.MissingFileError(
            f"{path} does not exist",
            path=str(path),
            expected="a video file or a folder of pictures",
            found="nothing",
            hint="check the path",
        )
    if path.stat().st_size == 0:
        raise _truncated(path, expected, 0, "the file is empty")
    frames, size = [], 0
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            # FFmpeg would draw a text file as a terminal shows it.
            if not container.streams.video or container.format.name == "tty":
                raise errors.LayoutError(
                    f"{path} has no video in it",
                    path=str(path),
                    expected="a video stream",
                    found="none",
                    hint="give a video file",
                )
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            rate = stream.average_rate or stream.guessed_rate or 10
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise _truncated(path, expected, len(frames))
                frames.append(frame.to_ndarray(format="rgb24"))
                size += frames[-1].nbytes
                if size > _MAX_IN_MEMORY:
                    raise errors.ResolutionError(
                        f"{path} is too long to decode at once: more than "
                        f"{_MAX_IN_MEMORY >> 30} GiB of pixels",
                        path=str(path),
                        expected=_MAX_IN_MEMORY,
                        found=size,
                        hint="cut it into parts or scale it down",
                    )
    except av.error.FFmpegError as error:
        if frames or _looks_like_video(path):
            raise _truncated(path, expected, len(frames), error) from error
        raise errors.LayoutError(
            f"{path} cannot be read as a video ({error})",
            path=str(path),
            expected="a video file",
            found=str(error),
            hint="give an mp4, webm, mkv, avi, mov or gif file",
        ) from error
    if not frames:
        raise _truncated(path, expected, 0)
    return np.stack(frames), float(rate)


def _looks_like_video(path):
    return path.suffix.lower() in (*video_writer.CODECS, ".avi", ".mov", ".m4v")


def read_folder(path):
    """Reads a folder of pictures as a video.

    Args:
        path: Folder; its pictures are sorted by the numbers in their names,
            and of several series one is taken, see `frame_folders.chosen`.

    Returns:
        `[T, H, W, 3]` uint8.

    Raises:
        MissingFileError: If there is no picture in it.
        ResolutionError: If the pictures differ in size.
        LayoutError: If one cannot be read.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import read_folder, write_png
        >>> for number in range(3):
        ...     write_png(f"a_{number}.png", np.zeros([16, 24], np.uint8))
        >>> read_folder(".").shape
        (3, 16, 24, 3)
    """
    path = _expand(path)
    files, _, _ = frame_folders.listed(path)
    frames = frame_folders.read(path, files)
    return np.stack([levels.shown(frame, None) for frame in frames])


def read_image(path):
    """Reads a picture as `[H, W, 3]` uint8; of several frames the first.

    Raises:
        MissingFileError: If there is none.
        LayoutError: If it is no picture.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import read_image, write_png
        >>> write_png("a.png", np.full([16, 24], 9, np.uint8))
        >>> image = read_image("a.png")
        >>> image.shape, image[0, 0]
        ((16, 24, 3), array([9, 9, 9], dtype=uint8))
    """
    return levels.shown(picture_files.read(_expand(path)), None)


def write_png(path, image, palette=None, level=9):
    """Writes a picture without loss.

    Args:
        path: Where to; an existing file is replaced when this is complete.
        image: `[H, W]`, `[H, W, 1]` or `[H, W, 3]` uint8.
        palette: See `encode_png`.
        level: The same.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import read_image, write_png
        >>> palette = np.array([[0, 0, 0], [255, 128, 0]], np.uint8)
        >>> write_png("a.png", np.array([[0, 1]], np.uint8), palette)
        >>> read_image("a.png")[0, 1]
        array([255, 128,   0], dtype=uint8)
    """
    path, content = _expand(path), encode_png(image, palette, level)
    try:
        _put(path, content)
    except FileNotFoundError:  # to ask first takes long on some disks
        path.parent.mkdir(parents=True, exist_ok=True)
        _put(path, content)


def _put(path, content):
    """Writes a file, which is whole or not there."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def encode_png(image, palette=None, level=9):
    """The bytes of a PNG file.

    Args:
        image: `[H, W]`, `[H, W, 1]` or `[H, W, 3]` uint8.
        palette: `[N, 3]` uint8, the colours in which values 0, ..., N - 1 of
            a picture with one channel are shown; the values stay as they are.
        level: Effort of the compression, 1 (fast) to 9. Of a picture with a
            palette, which has few values, runs of equal ones are stored
            instead: a third larger than with the most effort, in a fifteenth
            of the time.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import encode_png
        >>> encode_png(np.zeros([16, 24], np.uint8))[1:4]
        b'PNG'
    """
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    channels = (1,) if palette is not None else (1, 3)
    shape_fits = image.ndim == 3 and image.shape[-1] in channels
    if not shape_fits or image.dtype != np.uint8 or not image.size:
        raise ValueError(
            "expected a picture as uint8 [H, W, "
            f"{' or '.join(map(str, channels))}], got "
            f"{image.dtype} {image.shape}"
        )
    height, width, channels = image.shape
    kind = 3 if palette is not None else {1: 0, 3: 2}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    rows = image.reshape(height, width * channels)
    # Every row begins with the number of its filter; 0 is none.
    lines = np.concatenate([np.zeros((height, 1), np.uint8), rows], 1)
    colours = b""
    packer = zlib.compressobj(level)
    if palette is not None:
        packer = zlib.compressobj(level, strategy=zlib.Z_RLE)
        colours = np.asarray(palette, np.uint8).tobytes()
        colours = _png_chunk(b"PLTE", colours)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _png_chunk(b"IHDR", header),
            colours,
            _png_chunk(
                b"IDAT", packer.compress(lines.tobytes()) + packer.flush()
            ),
            _png_chunk(b"IEND", b""),
        ]
    )


def _png_chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", checksum)
    )
