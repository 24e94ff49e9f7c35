"""Encoded pictures as text that a page can hold."""

import base64
import struct

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
# Start-of-frame markers; the other three of the range are tables.
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def data_uri(picture) -> str:
    """A PNG or JPEG file as a `data:` address.

    Args:
        picture: The file's bytes.

    Raises:
        ValueError: If it is neither.
    """
    kind = "png" if picture.startswith(_PNG) else "jpeg"
    if kind == "jpeg" and not picture.startswith(_JPEG):
        raise ValueError(
            "expected the bytes of a PNG or JPEG file, got bytes that start "
            f"with {bytes(picture[:4])!r}; encode the picture first"
        )
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def size(picture) -> tuple[int, int]:
    """`(height, width)` of a PNG or JPEG file, read from its header.

    Args:
        picture: The file's bytes.

    Raises:
        ValueError: If they are not there.
    """
    if picture.startswith(_PNG) and len(picture) >= 24:
        width, height = struct.unpack(">II", picture[16:24])
        return height, width
    place = 2
    while picture.startswith(_JPEG) and place + 9 <= len(picture):
        marker, length = picture[place + 1], picture[place + 2 : place + 4]
        if picture[place] != 0xFF:
            break
        if marker in _FRAMES:
            return struct.unpack(">HH", picture[place + 5 : place + 9])
        # Markers without a body, and the fill bytes that may precede any.
        if marker == 0xFF:
            place += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
            place += 2
        else:
            place += 2 + struct.unpack(">H", length)[0]
    raise ValueError(
        "expected the bytes of a PNG or JPEG file with its size in the "
        f"header, got {len(picture)} bytes; encode the picture again"
    )
