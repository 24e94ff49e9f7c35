"""Damage that decoders pass over: it is refused, or a note says it."""

import gc
import io
import re

import av
import numpy as np
import PIL.Image
import pytest
import tifffile

from tests.data import video_files as files
from tfdecomp.data import errors
from tfdecomp.data.video import (
    container_checks,
    frame_folders,
    packet_checks,
    picture_files,
    video_frames,
    video_io,
)
from tfdecomp.prediction.footage import Footage

T, H, W = 8, 32, 48


@pytest.fixture(scope="module")
def video():
    """`[T, H, W, 3]` of which half is noise, so that there is data."""
    rng = np.random.default_rng(0)
    frames = files.frames(T, H, W)
    frames[:, H // 2 :] = rng.integers(0, 256, (T, H - H // 2, W, 3))
    return frames


def refused(path):
    """Whether a file is refused before its frames are used."""
    try:
        probe = video_frames.probe(path)
        for _ in video_frames.decode(path, probe):
            pass
    except errors.DatasetInputError as error:
        assert path.name in str(error)
        return True
    return False


def notes(path):
    return " ".join(video_frames.probe(path).notes)


def flipped(data, place):
    data = bytearray(data)
    data[place] ^= 1 << place % 8
    return bytes(data)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_no_changed_byte_of_a_png_passes(depth, video, tmp_path):
    path = tmp_path / "a.png"
    pixels = video[0, :8, :8].astype(depth)
    whole = files.png(pixels)
    path.write_bytes(whole)
    assert not refused(path)
    for place in range(len(whole)):
        path.write_bytes(flipped(whole, place))
        assert refused(path), place


def test_no_changed_or_doubled_bytes_of_a_png_that_moves_pass(video, tmp_path):
    path = tmp_path / "a.apng"
    first, *others = map(PIL.Image.fromarray, video[:3, :8, :8])
    first.save(path, "PNG", save_all=True, append_images=others)
    whole = path.read_bytes()
    assert not refused(path)
    for place in range(0, len(whole), 5):
        path.write_bytes(flipped(whole, place))
        assert refused(path), place
        path.write_bytes(whole[:place] + whole[max(0, place - 90) :])
        assert place < 5 or refused(path), place


@pytest.mark.parametrize("compression", ["tiff_adobe_deflate", "tiff_deflate"])
def test_no_changed_byte_in_deflated_pages_passes(compression, video, tmp_path):
    path = tmp_path / "a.tif"
    PIL.Image.fromarray(video[0]).save(path, compression=compression)
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        begin, length = page.dataoffsets[0], page.databytecounts[0]
    whole = path.read_bytes()
    assert not refused(path)
    for place in range(begin, begin + length, 7):
        path.write_bytes(flipped(whole, place))
        assert refused(path), place


def test_no_changed_byte_in_a_frame_of_ffv1_passes(video, tmp_path):
    path = files.write(tmp_path / "a.avi", video=video, codec="ffv1")
    whole = path.read_bytes()
    with av.open(str(path)) as container:
        packets = [bytes(p) for p in container.demux() if p.size]
    assert all(packet_checks.ffv1_is_whole(packet) for packet in packets)
    for number in (0, T - 1):
        begin = whole.index(packets[number])
        for place in range(begin, begin + len(packets[number]), 97):
            path.write_bytes(flipped(whole, place))
            assert refused(path), place


def test_ffv1_without_checksums_is_read(video, tmp_path):
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = H, W, "yuv420p"
        stream.options = {"level": "1"}
        for pixels in video:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode())
    assert not refused(path)


def test_some_damage_of_a_jpeg_that_pillow_takes_is_refused(video, tmp_path):
    path = tmp_path / "a.jpg"
    PIL.Image.fromarray(video[0]).save(path, quality=90)
    whole = path.read_bytes()
    assert not refused(path)
    begin = whole.index(b"\xff\xda") + 14
    taken = found = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        place = int(rng.integers(begin, len(whole) - 40))
        noise = rng.bytes(30).replace(b"\xff", b"\xfe")
        data = whole[:place] + noise + whole[place + 30 :]
        try:
            PIL.Image.open(io.BytesIO(data)).load()
        except OSError:
            continue
        path.write_bytes(data)
        taken, found = taken + 1, found + refused(path)
    assert taken > 20
    assert found > taken // 4


def test_a_frame_of_a_webp_that_lost_its_name_is_missed(video, tmp_path):
    path = tmp_path / "a.webp"
    first, *others = map(PIL.Image.fromarray, video)
    first.save(path, save_all=True, append_images=others, duration=100)
    whole = path.read_bytes()
    places = [found.start() for found in re.finditer(b"ANMF", whole)]
    assert len(places) == T
    for place in places:
        path.write_bytes(flipped(whole, place))
        assert refused(path)


@pytest.mark.parametrize("suffix", ["ppm", "bmp", "webp"])
def test_what_follows_a_picture_is_said(suffix, video, tmp_path):
    path = tmp_path / f"a.{suffix}"
    PIL.Image.fromarray(video[0]).save(path)
    assert not notes(path)
    whole = path.read_bytes()
    path.write_bytes(whole + whole)
    assert f"{len(whole):,} bytes behind its end" in notes(path)
    if suffix == "ppm":
        _, said, _ = frame_folders.listed(tmp_path)
        assert "behind its end" in said[0]


def test_a_second_array_in_a_file_is_not_passed_over(video, tmp_path):
    path = tmp_path / "a.npy"
    with open(path, "wb") as file:
        np.save(file, video)
        np.save(file, video)
    with pytest.raises(errors.LayoutError, match="follow its only array"):
        video_frames.probe(path)


def test_an_archive_of_arrays_is_no_array(video, tmp_path):
    path = tmp_path / "a.npy"
    with open(path, "wb") as file:
        np.savez(file, video)
    with pytest.raises(errors.LayoutError, match="archive"):
        video_frames.probe(path)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.y4m", {"codec": "wrapped_avframe"}),
        ("a.mxf", {"codec": "mpeg2video", "rate": 25}),
        ("a.mjpeg", {"codec": "mjpeg", "pixel_format": "yuvj444p"}),
    ],
)
def test_an_end_in_the_middle_of_a_frame_is_noticed(
    name, options, video, tmp_path
):
    path = files.write(tmp_path / name, video=video, **options)
    assert not refused(path)
    whole = path.read_bytes()
    for share in (0.3, 0.55, 0.9):
        path.write_bytes(whole[: int(share * len(whole)) | 1])
        assert refused(path)


@pytest.mark.parametrize("colour", ["yuv420p", "yuv444p", "gray", "yuv411p"])
def test_frames_of_yuv4mpeg_have_the_length_of_their_colours(colour, tmp_path):
    odd = files.frames(5, 31, 45)
    path = tmp_path / "a.y4m"
    options = {"codec": "wrapped_avframe", "pixel_format": colour}
    files.write(path, video=odd, **options)
    assert container_checks.check(path) == ([], 5)


def test_pieces_that_shift_the_frames_of_an_avi_are_said(video, tmp_path):
    path = tmp_path / "a.avi"
    files.write(path, video=video, codec="rawvideo", pixel_format="bgr24")
    assert not notes(path)
    whole = path.read_bytes()
    place = len(whole) // 2
    path.write_bytes(whole[: place + 100] + whole[place:])
    assert "frames may be missing or wrong" in notes(path)


def test_frames_that_are_missing_at_the_start_of_a_wmv_are_said(
    video, tmp_path
):
    path = files.write(tmp_path / "a.wmv", video=video, codec="wmv2")
    assert not notes(path)
    with av.open(str(path)) as container:
        packets = [bytes(p) for p in container.demux() if p.size]
    data = bytearray(path.read_bytes())
    size = 3200  # bytes of a packet of the file, of FFmpeg's
    begin = data.index(packets[0][:32]) - 100
    begin -= begin % 2
    data[begin : begin + size] = bytes(size)
    path.write_bytes(bytes(data))
    assert refused(path) or "missing" in notes(path)


def test_a_single_frame_that_is_left_of_a_video_is_said(video, tmp_path):
    path = files.write(tmp_path / "a.nut", video=video, codec="mpeg4")
    assert not notes(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:934] + whole[650:])
    assert refused(path) or "missing" in notes(path)


def test_packets_of_a_stream_that_lost_their_mark_are_said(video, tmp_path):
    path = files.write(tmp_path / "a.ts", video=video)
    assert not notes(path)
    whole = path.read_bytes()
    for number in (5, len(whole) // 188 - 1):
        path.write_bytes(flipped(whole, 188 * number))
        assert refused(path) or f"byte {188 * number:,}" in notes(path)


def test_a_frame_of_a_stream_that_lost_its_head_is_said(video, tmp_path):
    path = files.write(tmp_path / "a.ts", video=video)
    whole = path.read_bytes()
    heads = [f.start() for f in re.finditer(b"\0\0\1\xe0", whole)]
    assert len(heads) == T
    path.write_bytes(whole[: heads[-1]] + bytes(9) + whole[heads[-1] + 9 :])
    assert refused(path) or "frames may be missing" in notes(path)


@pytest.mark.parametrize("missing", [1, 4, 6])
def test_one_gap_of_a_short_video_is_said(missing, video, tmp_path):
    times = [100 * n for n in range(T) if n != missing]
    path = files.write(tmp_path / "a.mkv", video=video[1:], times=times)
    assert "the time stamps jump" in notes(path)


def test_a_page_of_another_type_is_no_frame(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((H, W), np.uint16))
        writer.write(np.zeros((H, W), bool))
    assert refused(path)


@pytest.mark.parametrize("part", [b"{'descr': ('", b"[" * 40, b"\xff" * 9])
def test_a_header_of_an_array_that_is_no_header_is_said(part, video, tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, video)
    whole = path.read_bytes()
    path.write_bytes(whole[:10] + part + whole[10 + len(part) :])
    assert refused(path)


def test_lengths_without_bounds_are_refused(tmp_path):
    path = tmp_path / "a.y4m"
    path.write_bytes(b"YUV4MPEG2 W%s H9\nFRAME\n" % (b"9" * 90))
    assert refused(path)
    path = tmp_path / "a.mxf"
    path.write_bytes(bytes.fromhex("060e2b34") + b"\xff" * 90)
    assert refused(path)


def test_lists_in_lists_of_an_avi_are_refused(tmp_path):
    path = tmp_path / "a.avi"
    path.write_bytes(b"RIFF\0\0\0\0AVI " + b"LIST\xff\0\0\0rec " * 9000)
    assert refused(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.flv"])
def test_titles_in_an_old_encoding_are_no_fault(name, video, tmp_path):
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Versuch Nr. 8: Mause"
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = H, W, "yuv420p"
        for pixels in video:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode())
    whole = path.read_bytes()
    assert b"Mause" in whole
    # As it was written before there was UTF-8; the sum of mkv is dropped.
    whole = whole.replace(b"Mause", "Mäuse".encode("latin-1"))
    path.write_bytes(whole.replace(b"\xbf\x84", b"\xec\x84"))
    assert not refused(path)
    frames, _ = video_io.read_video(path)
    assert len(frames) == T


def test_a_last_frame_that_is_missing_is_said(video, tmp_path):
    path = files.write(tmp_path / "a.wmv", video=video, codec="wmv2")
    with av.open(str(path)) as container:
        last = [bytes(p) for p in container.demux() if p.size][-1]
    data = bytearray(path.read_bytes())
    begin = data.index(last[:32])
    data[begin - 60 : begin + 60] = bytes(120)
    path.write_bytes(bytes(data))
    assert refused(path) or "missing" in notes(path)


def test_frames_that_were_read_are_freed(video, tmp_path):
    path = files.write(tmp_path / "a.mp4", video=video)
    gc.collect()
    gc.disable()  # else it would depend on what else there is
    try:
        for _ in range(10):
            for _ in Footage(path).frames():
                pass
        held = [o for o in gc.get_objects() if isinstance(o, av.VideoFrame)]
    finally:
        gc.enable()
    assert len(held) <= 2 * T


def test_pages_of_a_stack_are_read_in_their_order(video, tmp_path):
    path = tmp_path / "a.tif"
    first, *others = map(PIL.Image.fromarray, video)
    first.save(path, save_all=True, append_images=others)
    shown = [pixels for pixels, _ in picture_files.frames(path)]
    np.testing.assert_array_equal(shown, video)


def test_sound_pictures_of_odd_kinds_are_not_refused(video, tmp_path):
    path = tmp_path / "a.jpg"
    for mode in ("RGB", "L", "CMYK"):
        for options in (
            {"subsampling": 2, "quality": 1},
            {"progressive": True, "optimize": True},
            {"restart_marker_blocks": 2},
        ):
            image = PIL.Image.fromarray(video[0]).convert(mode)
            image.save(path, **options)
            # Telephones write films behind their pictures.
            path.write_bytes(path.read_bytes() + b"ftypmp42" * 300)
            assert video_io.read_image(path).shape == (H, W, 3)
