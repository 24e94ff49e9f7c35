"""Files of pictures, with one frame or with several, as they are shown.

Pillow reads them, tifffile what has more than eight bits in a TIFF, and PyAV
PNGs of 16 bits in colour.
"""

import contextlib
import dataclasses
import functools
import io
import pathlib
import re
import warnings

import numpy as np

from tfdecomp.data import errors
from tfdecomp.data.video import picture_checks

SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".bmp",
    ".tif",
    ".tiff",
    ".webp",
    ".avif",
    ".pgm",
    ".ppm",
)
_TIFF = (".tif", ".tiff")
_MOST_PIXELS = 2**28  # of a frame
_REDUCED = 1  # TIFF's flag of a small copy of another page
_PLAIN = ("MINISBLACK", "MINISWHITE", "RGB")
# Turns and mirrorings by the number that EXIF gives them.
_ORIENTED = {
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: p.swapaxes(0, 1)[:, ::-1],
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: p.swapaxes(0, 1)[::-1],
}


@dataclasses.dataclass(frozen=True)
class Info:
    """What is known of a picture file before its pixels are.

    Args:
        frames: How many it holds.
        size: `(width, height)` in pixels, as it is shown.
        is_deep: Whether values may have more than eight bits.
        delays: Milliseconds that each frame is shown; None if it does not say.
        notes: Sentences about what is odd.

    Examples:
        >>> from tfdecomp.data.video.picture_files import Info
        >>> Info(frames=9, size=(64, 48)).is_deep
        False
    """

    frames: int
    size: tuple
    is_deep: bool = False
    delays: tuple | None = None
    notes: tuple = ()


def is_picture(path) -> bool:
    """Whether a file's name is that of a picture.

    Examples:
        >>> from tfdecomp.data.video.picture_files import is_picture
        >>> is_picture("a_1.png"), is_picture("clip.mp4")
        (True, False)
    """
    return pathlib.Path(path).suffix.lower() in SUFFIXES


def info(path) -> Info:
    """Looks at a file without decoding more than its head.

    Raises:
        LayoutError: If it is no picture, or one of more axes than a video.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import write_png
        >>> from tfdecomp.data.video.picture_files import info
        >>> write_png("a.png", np.zeros([8, 6], np.uint8))
        >>> info("a.png").size  # width and height
        (6, 8)
    """
    path = pathlib.Path(path)
    if path.suffix.lower() in _TIFF:
        with _explained(path), _tiff(path) as pages:
            page = pages[0]
            width, height = page.imagewidth, page.imagelength
            if _orientation(page) >= 5:
                width, height = height, width
            return Info(len(pages), (width, height), _is_deep(page))
    with _explained(path), _pillow(path) as image:
        more = picture_checks.behind(image)
        width, height = image.size
        with contextlib.suppress(SyntaxError, ValueError):
            if image.getexif().get(0x0112, 1) >= 5:
                width, height = height, width
        count = getattr(image, "n_frames", 1)
        is_deep = image.mode[0] in "IF" or _is_deep_png(path)
    notes = ()
    if more:
        notes = (f"{path} holds {more:,} bytes behind its end: ignored",)
    return Info(count, (width, height), is_deep, notes=notes)


def read(path) -> np.ndarray:
    """The first frame; see `frames`.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import write_png
        >>> from tfdecomp.data.video.picture_files import read
        >>> write_png("a.png", np.full([8, 6], 9, np.uint8))
        >>> read("a.png").shape, read("a.png")[0, 0]
        ((8, 6, 3), array([9, 9, 9], dtype=uint8))
    """
    with contextlib.closing(frames(path)) as shown:
        return next(shown)[0]


def frames(path):
    """All frames of a file.

    Yields:
        `(pixels, delay)`: `[H, W, 3]` uint8, or `[H, W, 1 or 3]` of another
        type where values have more than eight bits, upright and on black
        where transparent; and milliseconds, or None.

    Raises:
        LayoutError: If it cannot be decoded to its end.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import write_video
        >>> from tfdecomp.data.video.picture_files import frames
        >>> write_video("clip.gif", np.zeros([3, 16, 16, 3], np.uint8), fps=10)
        >>> [(pixels.shape, delay) for pixels, delay in frames("clip.gif")][0]
        ((16, 16, 3), 100)
    """
    path = pathlib.Path(path)
    if path.suffix.lower() in _TIFF:
        stack = contextlib.ExitStack()
        with _explained(path), _tiff(path) as pages, stack:
            # Opened once, as finding a page takes a walk along all before.
            image = functools.cache(lambda: stack.enter_context(_pillow(path)))
            for page in pages:
                yield _page(path, page, image), None
        return
    with _explained(path), _pillow(path) as image:
        picture_checks.check(image.fp.getvalue())
        if _is_deep_png(path) and image.mode not in ("I;16", "I"):
            yield _oriented(_deep_png(path), image.getexif()), None
            return
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            delay = image.info.get("duration")
            yield _shown(image), delay


@contextlib.contextmanager
def _explained(path):
    """What libraries raise, in words.

    Decoders of pictures raise whatever comes to them of a damaged file.
    """
    try:
        yield
    except errors.DatasetInputError:
        raise
    except Exception as error:
        if not path.exists():
            is_link = path.is_symlink()
            raise errors.MissingFileError(
                f"{path} is a link to nothing"
                if is_link
                else f"{path} does not exist",
                path=str(path),
                expected="a picture",
                found="nothing",
                hint="restore what it leads to or take it away"
                if is_link
                else "check the path",
            ) from error
        words = _words(error)
        if isinstance(error, PermissionError):
            raise errors.LayoutError(
                f"{path} cannot be read ({error.strerror})",
                path=str(path),
                hint="check its rights",
            ) from error
        raise errors.LayoutError(
            f"{path} cannot be read as a picture ({words}): it is empty, "
            "damaged or another kind of file",
            path=str(path),
            expected="a picture",
            found=words,
            hint="fetch it again or take it away",
        ) from error


def _words(error):
    """What a decoder says, without the objects that only it knows."""
    words = re.sub(r" *<[^<>]*>", "", str(error))
    return " ".join(words.split())[:200] or type(error).__name__


@contextlib.contextmanager
def _pillow(path):
    import PIL.Image

    with warnings.catch_warnings():
        # Large pictures are welcome up to Pillow's hard bound.
        warnings.simplefilter("ignore")
        with PIL.Image.open(io.BytesIO(path.read_bytes())) as image:
            yield image


@contextlib.contextmanager
def _tiff(path):
    """Pages of a TIFF: its frames, without small copies of them."""
    import logging

    import tifffile

    # Its complaints come back as errors, or do not concern the pixels.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with tifffile.TiffFile(path) as file:
        pages = [p for p in file.pages if not int(p.subfiletype) & _REDUCED]
        if not pages:
            raise ValueError("it has no page")
        _check_axes(path, file)
        size = pages[0].imagelength, pages[0].imagewidth
        if size[0] * size[1] > _MOST_PIXELS:
            raise ValueError(f"{size[1]}x{size[0]} pixels are too many")
        for number, page in enumerate(pages):
            own = page.imagelength, page.imagewidth
            if own != size:
                raise errors.ResolutionError(
                    f"the pages of {path} differ in size: the first one has "
                    f"{size[1]}x{size[0]} pixels, page {number} has "
                    f"{own[1]}x{own[0]}",
                    path=str(path),
                    expected=size,
                    found=own,
                    hint="save pages of one size",
                )
            if page.dtype != pages[0].dtype:
                raise ValueError(
                    f"page {number} is {page.dtype}, the first one "
                    f"{pages[0].dtype}"
                )
        length = path.stat().st_size
        for page in pages:
            ends = map(sum, zip(page.dataoffsets, page.databytecounts))
            if max(ends, default=0) > length:
                raise ValueError("its pixels go beyond its end")
        virtual = _virtual(file)
        yield virtual or pages


def _check_axes(path, file):
    series = file.series[0]
    many = {
        axis: length
        for axis, length in zip(series.axes, series.shape)
        if length > 1 and axis not in "YXS"
    }
    # Programs give a row of pages any name.
    if len(many) > 1:
        raise errors.LayoutError(
            f"{path} has the axes {series.axes} of {list(series.shape)}: "
            "more than frames of one picture each",
            path=str(path),
            expected="frames, rows, columns and colours",
            found=series.axes,
            hint="save one channel and one plane of it, or an RGB stack",
        )


@dataclasses.dataclass(frozen=True)
class _Plane:
    """A frame of an ImageJ stack that has no directory of its own."""

    page: object
    series: object
    number: int

    def __getattr__(self, name):
        return getattr(self.page, name)

    def asarray(self):
        whole = self.series.asarray()
        return whole.reshape(-1, *whole.shape[-2:])[self.number]


def _virtual(file):
    """Frames that ImageJ stores behind the only page; None if it did not."""
    told = (file.imagej_metadata or {}) if file.is_imagej else {}
    count = told.get("images", 1)
    series = file.series[0]
    if count <= len(file.pages) or series.size % file.pages[0].size:
        return None
    length = series.size // file.pages[0].size
    return [_Plane(file.pages[0], series, n) for n in range(length)]


def _is_deep(page):
    return page.dtype is not None and page.dtype.itemsize > 1


def _orientation(page):
    tag = page.tags.get(274)
    return int(tag.value) if tag is not None else 1


def _page(path, page, image):
    """Pixels of a page; `image` opens the file with Pillow."""
    photometric = getattr(page.photometric, "name", "")
    picture_checks.check_page(path, page)
    if not _is_deep(page) and not isinstance(page, _Plane):
        return _pillow_page(image(), page)
    try:
        if photometric not in _PLAIN:
            raise ValueError(f"{photometric} of {page.dtype}")
        pixels = page.asarray()
    except (ValueError, KeyError, ImportError):
        # Compressions that tifffile leaves to another package.
        return _pillow_page(image(), page)
    if pixels.ndim == 3 and str(page.axes).startswith("S"):
        pixels = np.moveaxis(pixels, 0, -1)
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    if photometric == "MINISWHITE" and pixels.dtype.kind in "u":
        pixels = np.iinfo(pixels.dtype).max - pixels
    pixels = _on_black(pixels)
    turn = _ORIENTED.get(_orientation(page))
    return np.ascontiguousarray(turn(pixels) if turn else pixels)


def _pillow_page(image, page):
    image.seek(page.index if isinstance(page.index, int) else page.index[0])
    image.load()
    return _shown(image)


def _on_black(pixels):
    """`[H, W, 1 or 3]` of one to four channels of a TIFF or PNG."""
    channels = pixels.shape[-1]
    if channels in (2, 4):
        top = 1.0
        if pixels.dtype.kind in "ui":
            top = float(np.iinfo(pixels.dtype).max)
        share = pixels[..., -1:] / top
        pixels = (pixels[..., :-1] * share).astype(pixels.dtype)
    elif channels > 4:
        raise ValueError(f"{channels} channels, at most 4 are colours")
    return pixels


def _shown(image):
    """Pixels of what Pillow has decoded."""
    exif = image.getexif()
    if image.mode[0] in "IF" and image.mode != "I;16B;":
        pixels = np.asarray(image)[..., None]
        if image.format == "PPM":  # stretched to 16 bits
            pixels = pixels.astype(np.uint16)
    elif image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or (
        "transparency" in image.info
    ):
        pixels = np.asarray(image.convert("RGBA"))
        alpha = pixels[..., 3:]
        pixels = pixels[..., :3].astype(np.uint16) * alpha + 127
        pixels = (pixels // 255).astype(np.uint8)
    else:
        pixels = np.asarray(image.convert("RGB"))
    return _oriented(pixels, exif)


def _oriented(pixels, exif):
    turn = _ORIENTED.get(exif.get(0x0112, 1))
    return np.ascontiguousarray(turn(pixels) if turn else pixels)


def _is_deep_png(path):
    with open(path, "rb") as file:
        head = file.read(25)
    return head.startswith(b"\x89PNG") and head[24:25] == b"\x10"


def _deep_png(path):
    import av

    data = io.BytesIO(path.read_bytes())
    with av.open(data, metadata_errors="replace") as container:
        frame = next(container.decode(container.streams.video[0]))
    names = {1: "gray16le", 2: "rgba64le", 3: "rgb48le", 4: "rgba64le"}
    name = names[len(frame.format.components)]
    pixels = frame.reformat(format=name).to_ndarray()
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    return _on_black(pixels)
