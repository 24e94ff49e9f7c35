"""Damage of video files that decoders pass over in silence.

GIF, APNG, Matroska (mkv, webm), FLV, AVI, MXF, YUV4MPEG, transport streams,
bare JPEGs and TIFF are walked from element to element, which reads the file
once at most and decodes nothing. What lies between elements, what does not
add up and, where the file has checksums, every changed bit is noticed.
"""

import mmap
import os
import re
import zlib

import numpy as np

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
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_BROADCAST = 1  # flag of what has no end when its header is written
_CRC_LIMIT = 2**28  # bytes of an element whose checksum is looked at
_MXF_KEY = bytes.fromhex("060e2b34")
_MXF_HEADER = bytes.fromhex("060e2b34020501010d0102010102")
_BARE_JPEGS = ".mjpeg", ".mjpg"
_STREAMS = ".ts", ".mts", ".m2ts"
_AT_ONCE = 2**16  # packets
_PES = 9  # bytes that a frame in such a stream begins with
# Of a JPEG: what ends its pixels, which are no marker of a restart.
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
# Of an AVI: what may be in the list of its frames, and elsewhere.
_AVI_FRAME = re.compile(rb"[0-9A-Fa-f]{2}[a-z]{2}|ix\d\d|JUNK|idx1|LIST")
_AVI_DEPTH = 2  # of lists in lists
_AVI_NAME = re.compile(rb"[ -~]{4}")
# Of YUV4MPEG: how colour is stored, and the bits of a value beyond eight.
_COLOUR = re.compile(
    rb"(mono|420|422|444|411)(?:p?(\d\d)|jpeg|mpeg2|paldv)?", re.DOTALL
)


def walk_of(path, head):
    """How a file is walked.

    Args:
        path: The file.
        head: Its first 16 bytes.

    Returns:
        A function of a path and the open file, which returns None or `(notes,
        frames)`, see `container_checks.check`; None for other kinds of files.

    Examples:
        >>> from pathlib import Path
        >>> from tfdecomp.data.video.container_walks import walk_of
        >>> walk_of(Path("clip.mp4"), b"")
    """
    is_picture = head.startswith(b"\xff\xd8\xff")
    if is_picture and path.suffix.lower() in _BARE_JPEGS:
        return _walk_jpegs
    if _packets(path, head):
        return _walk_ts
    if path.suffix.lower() == ".apng" and head.startswith(b"\x89PNG"):
        return _walk_png
    return next((w for start, w in _WALKS if head.startswith(start)), None)


def _cut(path, expected, found):
    return errors.TruncatedError(
        f"{path} ends too early: expected {expected:,} bytes, got {found:,}",
        path=str(path),
        expected=expected,
        found=found,
        hint="fetch it again",
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
            raise _cut(path, end, size)
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
        raise _cut(path, told, size)
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


def _walk_avi(path, file):
    """Every chunk of an AVI; programs that record write odd ones."""
    size, place = os.fstat(file.fileno()).st_size, 0
    while place < size:
        file.seek(place)
        head = file.read(12)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or head[8:] not in (b"AVI ", b"AVIX"):
            break
        # What was being recorded has no length.
        end = min(size, place + 8 + length) if length else size
        odd = _odd_chunk(file, place + 12, end, _AVI_NAME)
        if odd is not None:
            return [_suspect(path, odd)], None
        place = end + end % 2
    return None


def _odd_chunk(file, place, end, names, depth=0):
    """Where in a list no chunk begins, or one goes beyond its end."""
    while place + 8 <= end:
        file.seek(place)
        head = file.read(12)
        stop = place + 8 + int.from_bytes(head[4:8], "little")
        if not names.fullmatch(head[:4]):
            return place
        is_list = head[:4] == b"LIST" and head[8:] in (b"movi", b"rec ")
        if is_list and depth < _AVI_DEPTH:
            stop = min(stop, end) if stop > place + 12 else end
            odd = _odd_chunk(file, place + 12, stop, _AVI_FRAME, depth + 1)
            if odd is not None:
                return odd
        if stop > end:
            return place
        place = stop + stop % 2
    return None


def _suspect(path, place):
    return (
        f"{path} is damaged at byte {place:,}: frames may be missing or wrong"
    )


def _packets(path, head):
    """Where packets of a transport stream have their mark, and their bytes."""
    if path.suffix.lower() in _STREAMS:
        for mark, length in ((0, 188), (4, 192)):
            if head[mark : mark + 1] == b"G":
                return mark, length
    return None


def _walk_ts(path, file):
    """The mark of every packet; what has lost it is left out by decoders."""
    file.seek(0)
    mark, length = _packets(path, file.read(16))
    size, place = os.fstat(file.fileno()).st_size, 0
    file.seek(0)
    while block := file.read(length * _AT_ONCE):
        count = len(block) // length
        packets = np.frombuffer(block, np.uint8, count * length)
        packets = packets.reshape(count, length)[:, mark:]
        wrong = np.flatnonzero((packets[:, 0] != 0x47) | _headless(packets))
        if len(wrong):
            return [_suspect(path, place + int(wrong[0]) * length)], None
        place += len(block)
    if size % length:
        note = (
            "ends in the middle of a packet: frames may be missing at its end"
        )
        return [f"{path} {note}"], None
    return None


def _headless(packets):
    """Which of the packets `[N, 188]` begin a frame that has no beginning."""
    starts = ((packets[:, 1] & 0x40) > 0) & ((packets[:, 3] & 0xC0) == 0)
    extra = np.where(packets[:, 3] & 0x20, packets[:, 4] + 1, 0)
    place = np.minimum(4 + extra, packets.shape[1] - _PES)
    rows = np.arange(len(packets))[:, None]
    head = packets[rows, place[:, None] + np.arange(_PES)]
    is_frame = (head[:, :3] == (0, 0, 1)).all(1)
    # With one time stamp or with two the head is longer.
    is_video = is_frame & ((head[:, 3] & 0xF0) == 0xE0)
    is_cut = is_video & (head[:, 8] < np.array([0, 0, 5, 10])[head[:, 7] >> 6])
    number = (packets[:, 1] & 0x1F) * np.int32(256) + packets[:, 2]
    # Tables begin otherwise, those of one number all.
    framed, some = np.unique(number[starts & is_frame], return_counts=True)
    others = np.unique(number[starts & ~is_frame], return_counts=True)
    less = dict(zip(*others))
    framed = [n for n, c in zip(framed, some) if c > less.get(n, 0)]
    return starts & (is_cut | ~is_frame & np.isin(number, framed))


def _walk_mxf(path, file):
    """Every piece of an MXF: a key, a length, a value."""
    size, place = os.fstat(file.fileno()).st_size, 0
    while place < size:
        file.seek(place)
        head = file.read(64)
        if not head.startswith(_MXF_KEY):
            raise _damaged(path, place, "no piece of an MXF begins there")
        count = head[16] & 0x7F if len(head) > 16 and head[16] & 0x80 else 0
        length = head[17 : 17 + count] if count else head[16:17]
        start = place + 17 + count
        end = start + int.from_bytes(length)
        footer = 0
        if not place and head.startswith(_MXF_HEADER):
            # Where the last part begins, once it is known.
            footer = int.from_bytes(head[start + 24 : start + 32])
        if not length or max(end, footer) > size:
            raise _cut(path, end, size)
        place = end
    return None


def _walk_png(path, file):
    """Every chunk of a PNG that moves; each has a checksum."""
    size, place, frames, kind = os.fstat(file.fileno()).st_size, 8, 0, None
    while kind != b"IEND":
        file.seek(place)
        length = int.from_bytes(file.read(4))
        end = place + 12 + length
        if end > size:
            raise _cut(path, end, size)
        content = file.read(length + 4)
        if zlib.crc32(content) != int.from_bytes(file.read(4)):
            raise _damaged(path, place, "its checksum differs")
        kind = content[:4]
        frames += kind == b"fcTL"
        place = end
    return [], frames or None


def _walk_y4m(path, file):
    """Every frame of a YUV4MPEG; all have one length."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    words = file.readline(1024).split()
    told = {word[:1]: word[1:] for word in words[1:]}
    try:
        width, height = int(told[b"W"]), int(told[b"H"])
    except (KeyError, ValueError):
        return None
    length = _y4m_frame(told.get(b"C", b"420"), width, height)
    frames, place = 0, file.tell()
    while length and place < size:
        if file.read(5) != b"FRAME":
            raise _damaged(path, place, "no frame begins there")
        file.readline(1024)
        place = file.tell() + length
        file.seek(min(place, size))
        frames += 1
    if place > size:
        raise errors.TruncatedError(
            f"{path} ends too early: it ends within frame {frames - 1}",
            path=str(path),
            expected=place,
            found=size,
            hint="fetch it again",
        )
    return [], frames or None


def _y4m_frame(colour, width, height):
    """Bytes of a frame; 0 if its kind of colour is not known."""
    kind = _COLOUR.fullmatch(colour)
    if not kind:
        return 0
    name, bits = kind.groups()
    across = {b"420": 2, b"422": 2, b"411": 4}.get(name, 1)
    down = 2 if name == b"420" else 1
    samples = width * height
    if name != b"mono":
        samples += 2 * -(-width // across) * -(-height // down)
    return samples * (2 if bits else 1)


def _walk_jpegs(path, file):
    """JPEGs one behind the other, up to the end mark of the last one."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = frames = 0
        while place < len(data):
            if data[place : place + 2] != b"\xff\xd8":
                return [_suspect(path, place)], None
            end = _jpeg_end(data, place + 2)
            if end is None:
                raise errors.TruncatedError(
                    f"{path} ends too early or is damaged: picture {frames} "
                    "has no end",
                    path=str(path),
                    expected="a picture's end mark",
                    found="none",
                    hint="fetch it again",
                )
            place, frames = end, frames + 1
    return [], frames


def _jpeg_end(data, place):
    """Where a JPEG ends of which a marker is at a place, else None."""
    while found := _MARKER.search(data, place):
        marker, place = data[found.end() - 1], found.end()
        if marker == 0xD8:  # another picture begins
            return None
        if marker == 0xD9:
            return place
        place += int.from_bytes(data[place : place + 2])
    return None


_WALKS = (
    (b"GIF8", _walk_gif),
    (b"\x1a\x45\xdf\xa3", _walk_matroska),
    (b"FLV", _walk_flv),
    (b"RIFF", _walk_avi),
    (b"YUV4MPEG2 ", _walk_y4m),
    (_MXF_KEY, _walk_mxf),
    (_ASF_HEADER, _check_asf),
    (b"II*\0", _walk_tiff),
    (b"MM\0*", _walk_tiff),
    (b"II+\0", _walk_tiff),
    (b"MM\0+", _walk_tiff),
)
