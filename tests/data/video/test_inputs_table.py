"""What people bring: every file is read right, or refused in one sentence.

Each case makes a file or a folder of a test card whose corners differ, with a
square that moves on by two pixels a frame, and says what comes of it: frames,
or words of the error, and words of the note if there is one.
"""

import dataclasses
import fractions
import os
import re
import shutil

import av
import numpy as np
import PIL.Image
import pytest
import tifffile

from tests.data import video_files as files
from tfdecomp.data import errors
from tfdecomp.data.video import (
    video_folders,
    video_frames,
    video_io,
    video_sampling,
)
from tfdecomp.fitting import inputs
from tfdecomp.prediction import footage as footage_lib

T, H, W = 6, 64, 96
NUMBERS = np.arange(T)


def card(t=0):
    """`[H, W, 3]`: red, green, blue and grey corners on black."""
    frame = np.zeros((H, W, 3), np.uint8)
    frame[:16, :16], frame[:16, -16:] = (220, 30, 30), (30, 200, 30)
    frame[-16:, :16], frame[-16:, -16:] = (30, 30, 220), (128, 128, 128)
    frame[28:36, 4 + 2 * t : 12 + 2 * t] = 255
    return frame


CARDS = np.stack([card(t) for t in range(T)])
GREEN = CARDS[..., 1]
DEEP = CARDS * np.uint16(257)
GREY = np.repeat(GREEN[..., None], 3, -1)


@dataclasses.dataclass
class Case:
    """A file and what comes of it.

    Args:
        name: Of the file or folder.
        make: Called with its path.
        frames: `[T, H, W, 3]` that it shows, or None: it is refused.
        tolerance: Mean difference of grey values, of the codec.
        words: Pattern of the error, or of the note; None: there is no note.
        rate: Frames per second.
    """

    name: str
    make: object
    frames: np.ndarray | None = None
    tolerance: float = 0.0
    words: str | None = None
    rate: float = 10


def pillow(frames=CARDS[:1], **options):
    """Writes pictures with Pillow."""

    def make(path):
        first, *others = (PIL.Image.fromarray(frame) for frame in frames)
        more = {"save_all": True, "append_images": others} if others else {}
        first.save(path, **more, **options)

    return make


def turned(number, **options):
    """Writes a picture that EXIF turns or mirrors."""
    exif = PIL.Image.Exif()
    exif[0x0112] = number
    return pillow(exif=exif, **options)


def tiff(pixels, **options):
    """Writes a TIFF."""
    return lambda path: tifffile.imwrite(path, pixels, **options)


def video(**options):
    """Writes a video."""
    return lambda path: files.write(path, video=CARDS, **options)


def matrix(*numbers):
    """Writes a video that its display matrix turns or mirrors."""

    def make(path):
        files.write(path, video=CARDS)
        files.turn(path, numbers)

    return make


def folder(names, frames=CARDS):
    """Writes a folder of pictures."""

    def make(path):
        path.mkdir()
        for name, frame in zip(names, frames):
            PIL.Image.fromarray(frame).save(path / name)

    return make


def both(*makers):
    """Does one after the other."""

    def make(path):
        for one in makers:
            one(path)

    return make


def beside(name, make):
    """Does something to a file in a folder."""
    return lambda path: make(path / name)


def stamped(path, stamps, unit):
    """A video of packets with time stamps as given."""
    whole = files.write(path.with_name("whole.mp4"), video=CARDS)
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        copy.time_base = unit
        packets = [p for p in source.demux(stream) if p.size]
        for packet, stamp in zip(packets, stamps):
            packet.time_base = unit
            packet.pts = packet.dts = stamp
            packet.stream = copy
            target.mux(packet)
    whole.unlink()


def spoiled(make, share=0.5, count=300):
    """Replaces bytes in the middle of a file."""

    def spoil(path):
        make(path)
        data = bytearray(path.read_bytes())
        place = int(share * len(data))
        noise = np.random.default_rng(0).integers(0, 256, count, np.uint8)
        data[place : place + count] = noise.tobytes()
        path.write_bytes(bytes(data))

    return spoil


def two_streams(path):
    """A small video first, and the default one behind it."""
    with av.open(str(path), "w") as container:
        streams = []
        for side in (2, 1):
            stream = container.add_stream("libx264", rate=10)
            stream.height, stream.width = H // side, W // side
            stream.pix_fmt, stream.options = "yuv420p", {"crf": "4"}
            streams.append(stream)
        streams[0].disposition = 0
        streams[1].disposition = av.stream.Disposition.default
        for n, pixels in enumerate(CARDS):
            for stream, frame in zip(streams, (pixels[::2, ::2], pixels)):
                picture = av.VideoFrame.from_ndarray(
                    np.ascontiguousarray(frame), format="rgb24"
                )
                picture.pts, picture.time_base = n, fractions.Fraction(1, 10)
                container.mux(stream.encode(picture.reformat(format="yuv420p")))
        for stream in streams:
            container.mux(stream.encode())


def wide_pixels(path):
    """Pixels that are twice as wide as high."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = H, W, "yuv420p"
        stream.options = {"crf": "4"}
        stream.codec_context.sample_aspect_ratio = fractions.Fraction(2)
        for pixels in CARDS:
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(picture.reformat(format="yuv420p")))
        container.mux(stream.encode())


ALPHA = np.concatenate([CARDS, np.full((T, H, W, 1), 255, np.uint8)], -1)
ALPHA[:, 24:40, -12:] = (250, 250, 0, 0)  # hidden yellow
SIX = [f"{n:03d}.png" for n in range(T)]
H264 = {"options": {"movflags": "faststart"}}
ONE = CARDS[:1]
SEVERAL = "6 frames and is read as a video"
TABLE = [
    # Several frames in one picture file.
    Case("a.png", pillow(CARDS, duration=100), CARDS, words=SEVERAL),
    Case("a.apng", pillow(CARDS, duration=100, format="PNG"), CARDS),
    Case(
        "a.webp",
        pillow(CARDS, duration=100, lossless=True),
        CARDS,
        words=SEVERAL,
    ),
    Case("pages.tif", pillow(CARDS), CARDS, words=SEVERAL),
    Case("stack.tif", tiff(GREEN), GREY, words=SEVERAL),
    Case("imagej.tif", tiff(GREEN, imagej=True), GREY, words=SEVERAL),
    Case(
        "channels.tif",
        tiff(
            GREEN.reshape(3, 2, H, W),
            imagej=True,
            metadata={"axes": "TCYX"},
        ),
        words="save one channel",
    ),
    # Pictures of many kinds.
    Case("tiled.tif", tiff(CARDS[0], photometric="rgb", tile=(32, 32)), ONE),
    Case(
        "zlib.tif",
        tiff(CARDS[0], photometric="rgb", tile=(32, 32), compression="zlib"),
        ONE,
    ),
    Case(
        "planar.tif",
        tiff(
            np.moveaxis(CARDS[0], -1, 0),
            photometric="rgb",
            planarconfig="separate",
        ),
        ONE,
    ),
    Case("lzw.tif", pillow(compression="tiff_lzw"), ONE),
    Case("white.tif", tiff(255 - GREEN[0], photometric="miniswhite"), GREY[:1]),
    Case("sixteen.tif", tiff(GREEN[0].astype(">u2") * 257), GREY[:1], 0.1),
    Case(
        "colour.tif",
        tiff(CARDS[0].astype(np.uint16) * 257, photometric="rgb"),
        ONE,
        0.1,
    ),
    Case(
        "grey.png",
        lambda p: p.write_bytes(
            files.png(np.uint16(257) * GREEN[0, ..., None])
        ),
        GREY[:1],
        0.1,
    ),
    Case(
        "colour.png",
        lambda p: p.write_bytes(files.png(DEEP[0])),
        ONE,
        0.1,
    ),
    Case("alpha.png", pillow(ALPHA[:1]), ONE),
    Case("alpha.webp", pillow(ALPHA[:1], lossless=True), ONE),
    Case("photo.avif", pillow(quality=100), ONE, 1.0),
    *(
        Case(
            f"exif{number}.{suffix}",
            turned(number, **options),
            np.asarray([turn(CARDS[0])]),
            tolerance,
        )
        for suffix, options, tolerance in (
            ("png", {}, 0),
            ("jpg", {"quality": 100, "subsampling": 0}, 0.1),
        )
        for number, turn in (
            (2, np.fliplr),
            (3, lambda p: np.rot90(p, 2)),
            (4, np.flipud),
            (5, lambda p: np.fliplr(np.rot90(p, 3))),
            (6, lambda p: np.rot90(p, 3)),
            (7, lambda p: np.fliplr(np.rot90(p))),
            (8, np.rot90),
        )
    ),
    Case("cut.png", lambda p: files.cut(_made(p, pillow()), 0.6), words="dama"),
    Case("cut.jpg", lambda p: files.cut(_made(p, pillow()), 0.6), words="dama"),
    # Ranges.
    Case(
        "twelve.tif",
        tiff(GREEN * np.uint16(16)),
        GREY,
        0.3,
        "0 to 4080 .uint16.: 0 is shown as black and 4095 as white",
    ),
    Case("float.tif", tiff(GREEN / np.float32(255)), GREY, 0.1, SEVERAL),
    Case("long.tif", tiff(GREEN.astype(np.uint32)), GREY, 0.1, "255 as white"),
    Case(
        "sliver.tif",
        tiff(np.uint16(1000) + GREEN),
        GREY,
        0.5,
        "1000 is shown as black and 1255 as white",
    ),
    Case(
        "nan.tif",
        tiff(np.where(GREEN > 250, np.nan, 0.5).astype(np.float32)),
        words="no numbers",
    ),
    # Videos that are turned or mirrored.
    Case("turned.mp4", matrix(0, 1, -1, 0), np.rot90(CARDS, 3, (1, 2)), 2),
    Case("mirrored.mp4", matrix(-1, 0, 0, 1), CARDS[:, :, ::-1], 2),
    Case("upside.mp4", matrix(1, 0, 0, -1), CARDS[:, ::-1], 2),
    Case("both.mp4", matrix(0, 1, 1, 0), CARDS.transpose(0, 2, 1, 3), 2),
    # Kinds of video files.
    *(
        Case(f"clip.{suffix}", video(codec=codec, **more), CARDS, 2)
        for suffix, codec, more in (
            ("mts", "libx264", {}),
            ("ts", "libx264", {}),
            ("wmv", "wmv2", {}),
            ("flv", "libx264", {}),
            ("3gp", "libx264", {}),
            ("mxf", "mpeg2video", {"rate": 25}),
            ("MOV", "libx264", {}),
        )
    ),
    Case(
        "ten.mkv",
        video(codec="ffv1", pixel_format="yuv420p10le"),
        CARDS,
        1.0,
    ),
    Case("streams.mp4", two_streams, CARDS, 2, "2 video streams; stream 1"),
    Case(
        "wide.mp4",
        wide_pixels,
        np.repeat(CARDS, 2, 2),
        3,
        "2 times as wide as high",
    ),
    # Time.
    Case(
        "slow.mkv",
        lambda p: stamped(p, 3_600_000 * NUMBERS, fractions.Fraction(1, 1000)),
        CARDS,
        2,
        rate=1 / 3600,
    ),
    Case(
        "still.mkv",
        lambda p: stamped(p, 0 * NUMBERS, fractions.Fraction(1, 1000)),
        CARDS,
        2,
        "time stamps are ignored",
        rate=None,
    ),
    # Damage.
    Case("bad.mkv", spoiled(video()), words="damaged"),
    Case("bad.webm", spoiled(video(codec="libvpx-vp9")), words="damaged"),
    Case(
        "bad.gif", spoiled(pillow(CARDS, duration=100), 0.3), words="end mark"
    ),
    Case("bad.mp4", spoiled(video(**H264), 0.8), words="damaged"),
    Case("link.mp4", lambda p: p.symlink_to("/nowhere"), words="link to noth"),
    Case("pipe.mp4", os.mkfifo, words="no ordinary file"),
    Case(
        "tune.mid",
        lambda p: p.write_bytes(b"MThd" * 9),
        words="by its name audio",
    ),
    Case(
        "a.npz",
        lambda p: np.savez(p, video=CARDS),
        words="an archive of arrays; write the one",
    ),
    Case("frame%04d.png", lambda p: None, words="name the folder"),
    Case("*.png", lambda p: None, words="name the folder"),
    # Folders.
    Case("plain", folder(SIX), CARDS),
    Case("unpadded", folder([f"f{n}.png" for n in range(7, 13)]), CARDS),
    Case(
        "twins",
        folder(
            [n for m in SIX for n in (m, m.replace("png", "jpg"))],
            np.repeat(CARDS, 2, 0),
        ),
        CARDS,
        words="6 pictures left out, such as 000.jpg",
    ),
    Case(
        "masks",
        folder(
            [n for m in SIX for n in (m, m.replace(".", "_mask."))],
            [p for frame in CARDS for p in (frame, 0 * frame)],
        ),
        CARDS,
        words="6 pictures left out, such as 000_mask.png",
    ),
    Case(
        "gap",
        folder([n for n in SIX if n != "003.png"], np.delete(CARDS, 3, 0)),
        np.delete(CARDS, 3, 0),
        words="missing between 002.png and 004.png",
    ),
    Case(
        "stacks",
        both(lambda p: p.mkdir(), beside("a.tif", tiff(GREEN))),
        words="a.tif holds 6 frames: it is a video of its own",
    ),
    Case(
        "videos",
        both(lambda p: p.mkdir(), beside("a.mp4", video())),
        words="but 1 video .a.mp4.; name one of them",
    ),
    Case(
        "orientations",
        both(folder(SIX), beside("003.png", turned(6))),
        words="003.png 64x96; scale or turn",
    ),
    Case(
        "one is none",
        both(folder(SIX), beside("003.png", lambda p: p.write_bytes(b"GIF"))),
        words="003.png cannot be read as a picture .cannot identify image f",
    ),
    Case(
        "broken link",
        both(folder(SIX), beside("006.png", lambda p: p.symlink_to("/no"))),
        words="link to nothing",
    ),
]


def _made(path, make):
    make(path)
    return path


@pytest.fixture(params=TABLE, ids=[case.name for case in TABLE])
def case(request, tmp_path):
    """A case and the path of its file."""
    path = tmp_path / request.param.name
    request.param.make(path)
    return request.param, path


def test_what_is_brought_is_read_right_or_refused(case):
    wanted, path = case
    if wanted.frames is None:
        with pytest.raises(errors.DatasetInputError) as caught:
            list(footage_lib.Footage(path).frames())
        message = str(caught.value)
        assert re.search(wanted.words, message), message
        assert "\n" not in message and " at 0x" not in message
        return
    footage = footage_lib.Footage(path)
    shown = np.stack([frame.pixels for frame in footage.frames()])
    assert shown.shape == wanted.frames.shape
    assert footage.num_frames == len(shown)
    difference = np.abs(shown.astype(int) - wanted.frames).mean((1, 2, 3))
    assert difference.max() <= wanted.tolerance
    notes = "\n".join(footage.notes)
    assert re.search(wanted.words or "^$", notes), notes
    is_slow = wanted.rate is not None and wanted.rate < 0.01
    if is_slow or path.suffix in (".apng", ".webp"):
        assert footage.rate == pytest.approx(wanted.rate, rel=1e-3)


def test_preparation_and_fit_read_what_prediction_reads(tmp_path):
    readable = [c for c in TABLE if c.frames is not None and len(c.frames) > 1]
    for one in readable:
        one.make(tmp_path / one.name)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "gone.mp4").symlink_to("/nowhere")
    outside = tmp_path.parent / f"{tmp_path.name} outside"
    outside.mkdir()
    files.write(outside / "linked.mp4", video=CARDS)
    (tmp_path / "link").symlink_to(outside)
    (outside / "back").symlink_to(tmp_path)
    settings = video_folders.Settings(
        video_sampling.Sampling(),
        video_sampling.Look(16, 24),
        clip_length=4,
        skip=True,
    )
    found = video_folders.VideoFolder(tmp_path, settings)
    names = {video.name for video in found.videos}
    wanted = {one.name for one in readable}
    assert names == wanted | {"link/linked.mp4"}
    assert [entry["name"] for entry in found.left_out] == ["gone.mp4"]
    assert "link to nothing" in found.left_out[0]["reason"]
    assert ("notes.txt", "it is no video or picture by its name") in (
        found.others
    )
    assert any("4095 as white" in note for note in found.notes)
    own = {os.path.basename(path) for path in inputs.videos_of(tmp_path)}
    is_file = {name for name in wanted if (tmp_path / name).is_file()}
    assert own == is_file | {"gone.mp4"}
    shutil.rmtree(outside)


@pytest.mark.parametrize(
    ("wanted", "white"), [("full", 15), ("0,4080", 255), ((0, 8160), 128)]
)
def test_a_range_says_what_is_white(wanted, white, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREEN * np.uint16(16))
    footage = footage_lib.Footage(path, range=wanted)
    frame = next(footage.frames()).pixels
    assert int(frame.max()) == pytest.approx(white, abs=1)
    said = any("less than a tenth" in n or "uses" in n for n in footage.notes)
    assert said == (wanted == "full")


@pytest.mark.parametrize("wanted", ["some", "3", "5,1", "0,inf", "1,2,3"])
def test_a_range_that_is_none_is_refused(wanted, tmp_path):
    PIL.Image.fromarray(CARDS[0]).save(tmp_path / "a.png")
    with pytest.raises(errors.LayoutError, match="auto, full or two values"):
        footage_lib.Footage(tmp_path / "a.png", range=wanted)


def test_results_name_the_picture_of_every_frame(tmp_path):
    folder([f"f{n}.png" for n in range(7, 13)])(tmp_path / "a")
    footage = footage_lib.Footage(tmp_path / "a", fps=5, source_fps=10)
    shown = [(f.number, f.time, f.name) for f in footage.frames()]
    assert shown == [(0, 0, "f7.png"), (2, 0.2, "f9.png"), (4, 0.4, "f11.png")]
    footage_lib.write_index(tmp_path / "frames.csv", footage, 2)
    assert (tmp_path / "frames.csv").read_text().splitlines() == [
        "frame,source_frame,time,source",
        "0,0,0,f7.png",
        "1,2,0.2,f9.png",
    ]


@pytest.mark.parametrize("rate", [1 / 3600, 1 / 1800, 1 / 3, 30, 29.97])
def test_a_video_is_written_at_its_own_rate(rate, tmp_path):
    video_io.write_video(tmp_path / "a.mp4", CARDS, rate)
    assert footage_lib.Footage(tmp_path / "a.mp4").rate == pytest.approx(rate)


@pytest.mark.parametrize("rate", [0, float("nan"), float("inf"), -1, 1e-9])
def test_a_rate_that_cannot_be_is_refused_before_anything_else(rate, tmp_path):
    with pytest.raises(ValueError, match="frames a second"):
        video_io.write_video(tmp_path / "a.mp4", CARDS, rate)
    assert not list(tmp_path.iterdir())


def test_every_kind_that_is_listed_is_listed_once():
    kinds = (*video_frames.VIDEO_SUFFIXES, *video_frames.PICTURE_SUFFIXES)
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p", "gray", "rgb24"])
def test_frames_of_eight_bits_are_converted_the_short_way(name):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (32, 48, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format=name)
    plain = frame.reformat(format="rgb24").to_ndarray()
    np.testing.assert_array_equal(video_sampling.upright(frame), plain)
