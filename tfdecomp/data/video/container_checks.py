"""Damage of video files that decoders pass over in silence.

GIF, Matroska (mkv, webm), FLV and TIFF are walked from element to element,
which reads the file once at most and decodes nothing. What lies between
elements, what does not add up and, where the file has checksums, every changed
bit is noticed.
"""

import mimetypes
import os
import stat
import zlib

from tfdecomp.data import errors

_SEGMENT, _CLUSTER, _VOID, _CRC = 0x18538067, 0x1F43B675, 0xEC, 0xBF
_BLOCKS = 0xA3, 0xA0  # SimpleBlock, BlockGroup
# SeekHead, Info, Tracks, Cues, Attachments, Chapters, Tags.
_TOP = {
    _CLUSTER,
    _VOID,
    _CRC,
    0x114D9B74,
    0x1549A966,
    0x1654AE6B,
    0x1C53BB6B,
    0x1941A469,
    0x1043A770,
    0x1254C367,
}
# Timestamp, SilentTracks, Position, PrevSize, EncryptedBlock.
_IN_CLUSTER = {*_BLOCKS, _VOID, _CRC, 0xE7, 0x5854, 0xA7, 0xAB, 0xAF}
# Control, comment, application and text; the first is 4 bytes long.
_GIF_LABELS = b"\xf9", b"\xfe", b"\xff", b"\x01"
_TS_PACKET = 188  # bytes
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_BROADCAST = 1  # flag of what has no end when its header is written
_CRC_LIMIT = 2**28  # bytes of an element whose checksum is looked at


def check(path):
    """Notices what is missing or damaged without decoding.

    Returns:
        `(notes, frames)`: sentences about what is odd, and how many frames
        were counted; None where nothing was.

    Raises:
        MissingFileError: If there is nothing.
        LayoutError: If it is no file that can be read.
        TruncatedError: If it ends too early or is damaged.

    Examples:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from tfdecomp.data.video.video_io import write_video
        >>> from tfdecomp.data.video.container_checks import check
        >>> write_video("clip.gif", np.zeros([3, 16, 16, 3], np.uint8))
        >>> check(Path("clip.gif"))
        ([], 3)
    """
    check_file(path)
    with open(path, "rb") as file:
        head, notes, frames = file.read(16), [], None
        for start, walk in _WALKS:
            if head.startswith(start):
                notes, frames = walk(path, file) or ([], None)
    size = path.stat().st_size
    is_stream = path.suffix.lower() == ".ts" and head.startswith(b"G")
    if is_stream and size % _TS_PACKET:
        return [
            f"{path} ends in the middle of a packet: frames may be missing at "
            "its end"
        ], None
    return notes, frames


def check_file(path):
    """Notices what is no file, or none that may be read, or empty.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.video.container_checks import check_file
        >>> check_file(Path("clip.mp4"))
        Traceback (most recent call last):
            ...
        tfdecomp.data.errors.MissingFileError: clip.mp4 does not exist; ...
    """
    if not path.exists():
        raise missing(path)
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise errors.LayoutError(
            f"{path} is no ordinary file",
            path=str(path),
            expected="a file",
            found="a device or a pipe",
            hint="save the video to a file first",
        )
    if not found.st_size:
        raise errors.TruncatedError(
            f"{path} is empty: it has 0 bytes",
            path=str(path),
            expected="a video",
            found="0 bytes",
            hint="fetch it again",
        )
    if not os.access(path, os.R_OK):
        raise errors.LayoutError(
            f"{path} cannot be read (Permission denied)",
            path=str(path),
            expected="a file that may be read",
            found="no permission",
            hint="check its rights",
        )


def missing(path):
    """The error of a path where there is nothing.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.video.container_checks import missing
        >>> print(missing(Path("clip.mp4")))
        clip.mp4 does not exist; check the path
    """
    hint = "check the path"
    words = f"{path} does not exist"
    if path.is_symlink():
        words = f"{path} is a link to nothing ({os.readlink(path)})"
        hint = "restore what it leads to, or take it away"
    elif any(mark in path.name for mark in "%*?["):
        words += "; patterns of names are not read"
        hint = "name the folder of the frames"
    return errors.MissingFileError(
        words,
        path=str(path),
        expected="a video",
        found="nothing",
        hint=hint,
    )


def not_a_video(path, cause):
    """The error of a file that no decoder knows.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.video.container_checks import not_a_video
        >>> print(not_a_video(Path("song.mp3"), cause="no picture"))
        song.mp3 cannot be read as a video (no picture): it is another kind ...
    """
    kind = mimetypes.guess_type(path.name)[0] or ""
    if kind and kind.split("/")[0] not in ("video", "image"):
        words = f"it is another kind of file, by its name {kind}"
        hint = "give a video file"
    else:
        words = "it is damaged, cut off or another kind of file"
        hint = "fetch it again"
    return errors.LayoutError(
        f"{path} cannot be read as a video ({cause}): {words}",
        path=str(path),
        expected="a video file",
        found=str(cause),
        hint=hint,
    )


def _damaged(path, place, words):
    return errors.TruncatedError(
        f"{path} is damaged at byte {place:,}: {words}",
        path=str(path),
        expected="an undamaged file",
        found=words,
        hint="fetch it again",
    )


def _walk_gif(path, file):
    """Every block of a GIF up to its end mark."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    head = file.read(13)
    if len(head) < 13:
        raise _no_end(path)
    if head[10] & 0x80:
        file.seek(3 * 2 ** ((head[10] & 7) + 1), os.SEEK_CUR)
    frames = odd = 0
    while True:
        place = file.tell()
        mark = file.read(1)
        if mark == b";":
            if not frames:
                raise _damaged(path, place, "it has no frame")
            return _uneven(path, odd), frames
        if mark == b"!":
            label, length = file.read(1), file.read(1)
            is_control = label == b"\xf9"
            if label not in _GIF_LABELS or (is_control and length != b"\4"):
                raise _damaged(path, place, "no block of a GIF begins there")
            file.seek(-1, os.SEEK_CUR)
        elif mark == b",":
            frames += 1
            flags = file.read(9)[-1:]
            if flags and flags[0] & 0x80:
                file.seek(3 * 2 ** ((flags[0] & 7) + 1), os.SEEK_CUR)
            file.read(1)
        elif mark:
            raise _damaged(path, place, "no block of a GIF begins there")
        lengths, last = set(), set()
        while (length := file.read(1)) not in (b"", b"\0"):
            lengths |= last
            last = {length}
            file.seek(length[0], os.SEEK_CUR)
        odd += mark == b"," and len(lengths) > 1
        if file.tell() >= size:
            raise _no_end(path)


def _uneven(path, odd):
    """Encoders cut the data of a frame into equal blocks and a rest."""
    if not odd:
        return []
    return [
        f"{path}: the data of {odd} frames are cut unevenly, as by damage: "
        "frames may be missing or wrong"
    ]


def _no_end(path):
    return errors.TruncatedError(
        f"{path} ends too early: it has no end mark",
        path=str(path),
        expected="a GIF's last byte",
        found="none",
        hint="fetch it again",
    )


def _walk_matroska(path, file):
    """Every element of a Matroska file down to its blocks."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    _, _, length = _element(file)
    if length is None:
        return
    file.seek(length, os.SEEK_CUR)
    kind, _, length = _element(file)
    if kind != _SEGMENT:
        raise _damaged(path, file.tell(), "no segment begins there")
    end = size
    if length is not None:
        end = file.tell() + length
        if end > size:
            raise errors.TruncatedError(
                f"{path} ends too early: expected {end:,} bytes, got {size:,}",
                path=str(path),
                expected=end,
                found=size,
                hint="fetch it again",
            )
    while file.tell() < end:
        kind, place, length = _element(file)
        if kind not in _TOP and kind not in _IN_CLUSTER:
            raise _damaged(path, place, "no element begins there")
        if length is None and kind == _CLUSTER:
            continue  # of a live recording: its blocks follow
        begin = file.tell()
        if length is None or begin + length > end:
            raise _damaged(path, place, "an element goes beyond the end")
        if kind in _TOP:
            _check_sum(path, file, place, begin, length)
        if kind == _CLUSTER:
            _walk_cluster(path, file, begin, begin + length)
        file.seek(begin + length)


def _walk_cluster(path, file, begin, end):
    file.seek(begin)
    while file.tell() < end:
        kind, place, length = _element(file)
        if (
            kind not in _IN_CLUSTER
            or length is None
            or file.tell() + length > end
        ):
            raise _damaged(path, place, "no frame begins there")
        file.seek(length, os.SEEK_CUR)


def _check_sum(path, file, place, begin, length):
    """Compares the checksum of an element that begins with one."""
    if not 6 < length < _CRC_LIMIT:
        return
    file.seek(begin)
    if file.read(2) != bytes([_CRC, 0x84]):
        return
    wanted = int.from_bytes(file.read(4), "little")
    if zlib.crc32(file.read(length - 6)) != wanted:
        raise _damaged(path, place, "its checksum differs")


def _element(file):
    """`(kind, place, length)` of the element at which a file stands.

    The kind is None where there is none, the length where it is not said.
    """
    place = file.tell()
    first = file.read(1)
    count = 9 - first[0].bit_length() if first and first[0] else 9
    if count > 4:
        return None, place, None
    kind = int.from_bytes(first + file.read(count - 1))
    first = file.read(1)
    if not first or not first[0]:
        return kind, place, None
    count = 9 - first[0].bit_length()
    number = int.from_bytes(first + file.read(count - 1))
    mask = (1 << 7 * count) - 1
    number &= mask
    return kind, place, None if number == mask else number


def _walk_flv(path, file):
    """Every tag of an FLV, behind each of which its length stands again."""
    size = os.fstat(file.fileno()).st_size
    file.seek(5)
    place = int.from_bytes(file.read(4)) + 4
    while place < size:
        file.seek(place)
        head = file.read(11)
        length = 11 + int.from_bytes(head[1:4])
        end = place + length + 4
        if len(head) < 11 or end > size:
            raise errors.TruncatedError(
                f"{path} ends too early: it ends within a frame",
                path=str(path),
                expected=end,
                found=size,
                hint="fetch it again",
            )
        file.seek(place + length)
        if head[0] & 0x1F not in (8, 9, 18) or (
            int.from_bytes(file.read(4)) != length
        ):
            raise _damaged(path, place, "no frame begins there")
        place = end


def _check_asf(path, file):
    """Compares the length that a wmv or asf file says it has."""
    file.seek(0)
    place = (head := file.read(4096)).find(_ASF_FILE)
    if place < 0 or len(head) < place + 92:
        return None
    told = int.from_bytes(head[place + 40 : place + 48], "little")
    flags = int.from_bytes(head[place + 88 : place + 92], "little")
    size = os.fstat(file.fileno()).st_size
    if not flags & _ASF_BROADCAST and size < told < 2**50:
        raise errors.TruncatedError(
            f"{path} ends too early: expected {told:,} bytes, got {size:,}",
            path=str(path),
            expected=told,
            found=size,
            hint="fetch it again",
        )
    if not flags & _ASF_BROADCAST and 0 < told < size:
        note = f"{path} is longer than it says: frames may be missing or wrong"
        return [note], None
    return None


def _walk_tiff(path, file):
    """Every page of a TIFF; the last one says that it is."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    head = file.read(16)
    order = "little" if head.startswith(b"II") else "big"
    is_big = int.from_bytes(head[2:4], order) == 43
    wide, entry = (8, 20) if is_big else (4, 12)
    place = int.from_bytes(head[wide : 2 * wide], order)
    seen = set()
    while place:
        file.seek(place)
        data = file.read(8 if is_big else 2)
        end = place + len(data) + entry * int.from_bytes(data, order) + wide
        if not data or end > size or place in seen:
            raise errors.TruncatedError(
                f"{path} ends too early or is damaged: page {len(seen)} is "
                "missing",
                path=str(path),
                expected=f"page {len(seen)}",
                found="none",
                hint="fetch it again",
            )
        seen.add(place)
        file.seek(end - wide)
        place = int.from_bytes(file.read(wide), order)


_WALKS = (
    (b"GIF8", _walk_gif),
    (b"\x1a\x45\xdf\xa3", _walk_matroska),
    (b"FLV", _walk_flv),
    (_ASF_HEADER, _check_asf),
    (b"II*\0", _walk_tiff),
    (b"MM\0*", _walk_tiff),
    (b"II+\0", _walk_tiff),
    (b"MM\0+", _walk_tiff),
)
