"""Tiny videos and pictures of many kinds, for tests."""

import fractions
import struct
import zlib

import av
import numpy as np


def frames(count, height=48, width=64):
    """Frames whose grey value is three times their number, a square on it."""
    video = np.empty((count, height, width, 3), np.uint8)
    video[:] = (30 + 3 * np.arange(count) % 200)[:, None, None, None]
    for number, frame in enumerate(video):
        left = 2 * number % (width - 8)
        frame[4:12, left : left + 8] = (250, 20, 20)
    return video


def number_of(picture):
    """The number of the frame that a picture was made of."""
    return round((float(np.median(picture)) - 30) / 3)


def write(
    path,
    count=12,
    *,
    rate=10,
    codec="libx264",
    pixel_format="yuv420p",
    times=None,
    video=None,
    options=None,
):
    """Writes a video of `frames`.

    Args:
        path: The file.
        count: Frames.
        rate: Frames per second.
        codec: Name of FFmpeg's encoder.
        pixel_format: Its pixel format.
        times: Milliseconds of each frame, for a rate that varies.
        video: Other frames.
        options: Of the container.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    video = frames(count) if video is None else video
    unit = fractions.Fraction(1, 1000 if times else rate)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = video.shape[1:3]
        stream.pix_fmt = pixel_format
        stream.bit_rate = 4_000_000
        if codec == "libx264":
            stream.options = {"crf": "10"}
        if times:
            stream.codec_context.time_base = unit
        for number, pixels in enumerate(video):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(format=pixel_format)
            frame.pts = times[number] if times else number
            frame.time_base = unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path):
    """Writes a file with sound and no video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        sound = np.zeros((1, 1024), np.float32)
        for number in range(8):
            frame = av.AudioFrame.from_ndarray(sound, "fltp", "mono")
            frame.rate, frame.pts = 8000, 1024 * number
            frame.time_base = fractions.Fraction(1, 8000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def cut(path, share):
    """Cuts a file off."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    return path


def turn(path, matrix):
    """Writes the upper left 2x2 part of the display matrix of an mp4 file."""
    data = bytearray(path.read_bytes())
    # Header, version, times, number, length, layer, volume; then 3x3 numbers.
    place = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    a, b, c, d = (int(65536 * value) for value in matrix)
    struct.pack_into(">5i", data, place, a, b, 0, c, d)
    path.write_bytes(data)


def png(pixels):
    """Bytes of a PNG of `[H, W, C]`, uint8 or uint16; C of 1 to 4."""
    height, width, channels = pixels.shape
    depth = 8 * pixels.dtype.itemsize
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = pixels.astype(f">u{depth // 8}")
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in (
            (b"IHDR", header),
            (b"IDAT", zlib.compress(lines)),
            (b"IEND", b""),
        )
    )


def write_folder(folder, video, suffix=""):
    """Writes frames as pictures `frame_8.png`, `frame_9.png`, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(video):
        (folder / f"frame_{number + 8}{suffix}.png").write_bytes(png(pixels))
    return folder
