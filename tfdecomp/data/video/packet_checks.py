"""What decoders are told to notice, and checksums that they do not mind."""

import zlib

# Wrong pixels of a damaged file would else be guessed by the decoder.
STRICT = {"err_detect": "crccheck+bitstream+buffer+explode"}
_FOOTERS = 8, 3  # bytes behind a slice, with and without a checksum
# FFV1 computes its sums with the highest bit first, zlib with the lowest.
_REVERSED = bytes(int(f"{n:08b}"[::-1], 2) for n in range(256))


def ffv1_is_whole(data):
    """Whether the checksums of a frame of FFV1 are right.

    Each slice of it ends with its length, three bytes, a byte of flags and
    the sum (RFC 9043, 4.9).

    Args:
        data: Bytes of the frame.

    Returns:
        A bool; None where there are no checksums.

    Examples:
        >>> from tfdecomp.data.video.packet_checks import ffv1_is_whole
        >>> ffv1_is_whole(b"old, without any") is None
        True
    """
    for footer in _FOOTERS:
        slices = _slices(data, footer)
        if slices:
            break
    if not slices or footer != _FOOTERS[0]:
        return None
    # A slice and its sum together have the sum zero.
    return all(
        zlib.crc32(data[start:end].translate(_REVERSED), 0xFFFFFFFF)
        == 0xFFFFFFFF
        for start, end in slices
    )


def _slices(data, footer):
    """Begin and end of each slice; none if they do not add up."""
    found, end = [], len(data)
    while end >= footer:
        length = int.from_bytes(data[end - footer : end - footer + 3])
        start = end - footer - length
        found.append((start, end))
        end = start
    return found if end == 0 else []
