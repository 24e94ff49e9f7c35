"""Everything that can be given to a model, and what cannot."""

import re

import numpy as np
import pytest

from tests.data import video_files as files
from tfdecomp.data import errors
from tfdecomp.data.video import video_io
from tfdecomp.prediction.footage import Footage


def numbers(footage):
    """Frame numbers, read off the pictures."""
    return [files.number_of(frame.pixels) for frame in footage.frames()]


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("clip.mp4", "libx264", "yuv420p"),
        ("my clip, größer.webm", "libvpx-vp9", "yuv420p"),
        ("クリップ.avi", "mpeg4", "yuv420p"),
        ("100% {a}.gif", "gif", "rgb8"),
    ],
)
def test_videos_of_many_kinds_and_names(name, codec, pixel_format, tmp_path):
    path = tmp_path / name
    files.write(path, 9, codec=codec, pixel_format=pixel_format)
    footage = Footage(path)
    assert footage.name == name
    assert footage.num_frames == 9 and footage.size == (48, 64)
    assert footage.rate == pytest.approx(10, rel=0.02)
    assert not footage.is_timed
    frames = list(footage.frames())
    assert [frame.number for frame in frames] == list(range(9))
    np.testing.assert_allclose(
        [frame.time for frame in frames], np.arange(9) / 10, atol=0.02
    )
    colours = np.abs(frames[5].pixels.astype(int) - files.frames(9)[5])
    assert np.median(colours) <= (40 if codec == "gif" else 6)
    assert len(list(footage.frames())) == 9  # once more from the start


def test_a_folder_of_frames_and_a_picture(tmp_path):
    video = files.frames(4, 47, 63)
    files.write_folder(tmp_path / "a b", video)
    footage = Footage(str(tmp_path / "a b"), source_fps=25)
    assert footage.num_frames == 4 and footage.size == (47, 63)
    assert footage.rate == 25
    for frame, pixels in zip(footage.frames(), video):
        np.testing.assert_array_equal(frame.pixels, pixels)
    picture = tmp_path / "%05d, ö.png"
    video_io.write_png(picture, video[2])
    (frame,) = Footage(picture).frames()
    np.testing.assert_array_equal(frame.pixels, video[2])
    assert frame.number == 0 and frame.time == 0


def test_a_video_of_one_frame(tmp_path):
    footage = Footage(files.write(tmp_path / "a.mp4", 1))
    assert footage.num_frames == 1 and numbers(footage) == [0]


@pytest.mark.parametrize(
    ("array", "pixels"),
    [
        (np.full((2, 4, 6, 3), 51, np.uint8), 51),
        (np.full((2, 4, 6, 1), 51, np.uint8), 51),
        (np.full((2, 4, 6), 51, np.uint8), 51),
        (np.full((4, 6, 3), 0.2), 51),
        (np.full((4, 6), 0.2, np.float32), 51),
        (np.full((2, 4, 6, 3), 51 * 257, np.uint16), 51),
        (np.ones((2, 4, 6), bool), 255),
        (np.full((2, 4, 6, 4), 0.5, np.float16), 64),
        (np.tile(np.array([102, 128], np.uint8), (2, 4, 6, 1)), 51),
    ],
)
def test_arrays_of_many_kinds(array, pixels, tmp_path):
    np.save(tmp_path / "a.npy", array)
    for source in (array, tmp_path / "a.npy"):
        footage = Footage(source)
        frames = list(footage.frames())
        assert len(frames) == footage.num_frames
        for frame in frames:
            assert frame.pixels.shape == (4, 6, 3)
            assert frame.pixels.dtype == np.uint8
            np.testing.assert_array_equal(frame.pixels, pixels)


def test_frames_of_a_variable_rate_keep_their_times(tmp_path):
    times = [0, 100, 200, 900, 1000, 2000]
    path = files.write(tmp_path / "a.mp4", 6, times=times)
    footage = Footage(path)
    assert footage.is_timed
    assert footage.rate == pytest.approx(5 / 2)
    found = [frame.time for frame in footage.frames()]
    np.testing.assert_allclose(found, np.array(times) / 1000, atol=2e-3)
    # At one frame a second: the nearest to 0, 1 and 2 seconds.
    assert numbers(Footage(path, fps=1)) == [0, 4, 5]


def test_fewer_frames_a_second_are_the_nearest_ones(tmp_path):
    path = files.write(tmp_path / "a.mp4", 12, rate=30)
    footage = Footage(path, fps=10)
    assert footage.num_frames == 4 and footage.rate == 10
    assert numbers(footage) == [0, 3, 6, 9]
    assert [frame.number for frame in footage.frames()] == [0, 3, 6, 9]
    array = files.frames(8)
    assert numbers(Footage(array, fps=5, source_fps=20)) == [0, 4]


def test_more_frames_a_second_than_there_are_is_an_error(tmp_path):
    path = files.write(tmp_path / "a.mp4", 3)
    with pytest.raises(errors.LayoutError, match="10 frames a second.*lower"):
        Footage(path, fps=30)
    for fps in (0, -1, float("nan")):
        with pytest.raises(errors.LayoutError, match="must be positive"):
            Footage(path, fps=fps)


def broken(kind, folder):
    """A file that cannot be decomposed."""
    path = folder / {"text": "a.txt", "cut array": "a.npy"}.get(kind, "a.mp4")
    if kind == "missing":
        return path
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("no video\n" * 40)
    elif kind == "text as video":
        path.write_text("no video\n" * 40)
    elif kind == "sound":
        files.write_sound(path)
    elif kind == "cut":
        files.cut(files.write(path, 30), 0.6)
    elif kind == "cut array":
        np.save(path, np.zeros((9, 8, 8), np.uint8))
        files.cut(path, 0.6)
    elif kind == "empty folder":
        path.mkdir()
    elif kind == "sizes":
        files.write_folder(path, files.frames(1, 16, 24))
        files.write_folder(path, files.frames(1, 24, 16), "b")
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "does not exist; check the path"),
        ("empty", "0 bytes"),
        ("text", "another kind of file"),
        ("text as video", "another kind of file"),
        ("sound", "no video in it, only sound"),
        ("cut", "cut off|ends too early"),
        ("cut array", "cannot be read as an array"),
        ("empty folder", "has no picture in it"),
        ("sizes", "differ in size"),
    ],
)
def test_what_is_no_video_is_an_error(kind, message, tmp_path):
    path = broken(kind, tmp_path)
    with pytest.raises(errors.DatasetInputError) as caught:
        Footage(path)
    assert re.search(message, str(caught.value)), caught.value
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 8, 8, 3), np.uint8), "empty"),
        (np.zeros((8, 8, 8, 5), np.uint8), "expected \\[T, H, W, C\\]"),
        (np.zeros((2, 2, 8, 8, 3), np.uint8), "expected \\[T, H, W, C\\]"),
        (np.full((2, 8, 8, 3), 255.0), "divide by 255"),
        (np.full((2, 8, 8, 3), np.nan), "in \\[0, 1\\]"),
        (np.zeros((2, 8, 8, 3), np.int64), "astype"),
    ],
)
def test_arrays_that_are_no_video_are_an_error(array, message):
    with pytest.raises(errors.LayoutError, match=message):
        Footage(array)


def test_a_size_that_changes_midway_is_an_error(tmp_path):
    # Of many pictures only some are looked at beforehand.
    for number in range(503):
        size = (9, 8) if number == 401 else (8, 8)
        video_io.write_png(
            tmp_path / f"{number}.png", np.zeros((*size, 3), np.uint8)
        )
    footage = Footage(tmp_path)
    with pytest.raises(errors.ResolutionError, match="401.png 8x9"):
        list(footage.frames())
