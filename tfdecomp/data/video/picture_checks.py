"""Damage of pictures that Pillow passes over in silence.

PNG and deflate have checksums, which are compared. A JPEG has none, but codes
that do not exist show; FFmpeg's decoder tells. Where lengths are known, what
comes behind the end is said. Bits of other pictures may be wrong unseen.
"""

import zlib

from tfdecomp.data.video import packet_checks

_PNG = b"\x89PNG\r\n\x1a\n"
_DEFLATE = 8, 32946  # TIFF's numbers of it
_WEBP = (
    *(b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"),
    *(b"ICCP", b"EXIF", b"XMP "),
)
_SLACK = 4  # bytes that writers add at the end
# Bytes of a pixel, or of eight where they are bits.
_WIDTHS = {"L": 8, "P": 8, "1": 1, "1;I": 1, "RGB": 24, "BGR": 24, "I;16B": 16}


def check(data):
    """Compares what a file says of itself with what it holds.

    Args:
        data: All bytes of a picture; of other kinds than PNG, JPEG and WebP
            nothing is known.

    Raises:
        ValueError: If it is damaged.

    Examples:
        >>> import numpy as np
        >>> from tfdecomp.data.video.picture_checks import check
        >>> from tfdecomp.data.video.video_io import encode_png
        >>> check(encode_png(np.zeros([8, 8], np.uint8))[:-1])
        Traceback (most recent call last):
            ...
        ValueError: it ends too early
    """
    if data.startswith(_PNG):
        _check_png(data)
    elif data.startswith(b"\xff\xd8\xff"):
        _check_jpeg(data)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        _check_webp(data)


def _check_png(data):
    """Every chunk of a PNG; the sum of its pixels is Pillow's to compare."""
    place, kind = len(_PNG), None
    while kind != b"IEND":
        length = int.from_bytes(data[place : place + 4])
        end = place + 12 + length
        if end > len(data):
            raise ValueError("it ends too early")
        kind = data[place + 4 : place + 8]
        if zlib.crc32(data[place + 4 : end - 4]) != int.from_bytes(
            data[end - 4 : end]
        ):
            raise ValueError(f"a checksum differs at byte {place:,}")
        place = end


def _check_jpeg(data):
    """Decodes a JPEG with a decoder that stops at what cannot be."""
    import av

    context = av.CodecContext.create("mjpeg", "r")
    context.options = packet_checks.STRICT
    context.thread_count = 1
    try:
        shown = context.decode(av.Packet(data))
    except av.error.InvalidDataError as error:
        raise ValueError("its data are damaged") from error
    except av.error.FFmpegError:
        return  # of a kind that this decoder does not know
    if any(frame.is_corrupt for frame in shown):
        raise ValueError("its data are damaged")


def _check_webp(data):
    """Every chunk of a WebP."""
    end, place = 8 + int.from_bytes(data[4:8], "little"), 12
    if end > len(data) + 1:  # the byte that makes it even may be missing
        raise ValueError("it ends too early")
    while place + 8 <= end:
        if data[place : place + 4] not in _WEBP:
            # Decoders leave it out, and if it was a frame, that.
            raise ValueError(f"no part of a WebP begins at byte {place:,}")
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8 + length + length % 2
    if place > end + 1:
        raise ValueError("its parts do not add up")


def behind(image):
    """How many bytes follow the pixels of a picture.

    Args:
        image: A picture that Pillow has opened in memory, but not decoded.

    Returns:
        A number; 0 where the length of the pixels is not known.

    Examples:
        >>> import io
        >>> import PIL.Image
        >>> from tfdecomp.data.video.picture_checks import behind
        >>> data = b"P5 2 2 255 " + bytes(4) + b"P5 2 2 255 " + bytes(4)
        >>> behind(PIL.Image.open(io.BytesIO(data)))
        15
    """
    data = image.fp.getvalue()
    end = len(data)
    if image.format == "WEBP":
        end = 8 + int.from_bytes(data[4:8], "little")
    tiles = getattr(image, "tile", ())
    if image.format in ("PPM", "BMP") and len(tiles) == 1:
        end = _end(tiles[0]) or end
    more = len(data) - end
    return more if more > _SLACK else 0


def _end(tile):
    """Where the pixels of a tile end that is not compressed, else None."""
    kind, (left, top, right, bottom), start, arguments = tile
    arguments = arguments if isinstance(arguments, tuple) else (arguments, 0, 1)
    bits = _WIDTHS.get(arguments[0])
    if kind != "raw" or not bits:
        return None
    stride = arguments[1] or ((right - left) * bits + 7) // 8
    return start + stride * (bottom - top)


def check_page(path, page):
    """Compares the checksums of a page of a TIFF, where it has some.

    Args:
        path: The file.
        page: A page of tifffile.

    Raises:
        ValueError: If one differs.

    Examples:
        >>> import numpy as np
        >>> import tifffile
        >>> from tfdecomp.data.video.picture_checks import check_page
        >>> pixels = np.zeros([8, 8], np.uint8)
        >>> tifffile.imwrite("a.tif", pixels, compression="zlib")
        >>> with tifffile.TiffFile("a.tif") as file:
        ...     check_page("a.tif", file.pages[0])
    """
    if int(page.compression) not in _DEFLATE:
        return
    with open(path, "rb") as file:
        for start, length in zip(page.dataoffsets, page.databytecounts):
            file.seek(start)
            try:
                zlib.decompress(file.read(length))
            except zlib.error as error:
                raise ValueError("a checksum differs in its pixels") from error
