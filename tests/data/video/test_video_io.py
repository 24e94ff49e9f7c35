"""Files that are written are read back; files that are cut are noticed."""

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tfdecomp.data import errors, fake
from tfdecomp.data.video import video_frames, video_io, video_writer


@pytest.fixture(scope="module")
def frames():
    return fake.fake_batch(1, 9, 48, 64)["video"][0]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_video_comes_back_nearly_the_same(suffix, frames, tmp_path):
    path = tmp_path / f"clip{suffix}"
    video_io.write_video(path, frames, fps=7.5)
    back, fps = video_io.read_video(path, expected_frames=9)
    assert back.shape == frames.shape and back.dtype == np.uint8
    assert fps == pytest.approx(7.5)
    assert np.abs(back.astype(int) - frames).mean() < 4
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_gif_with_few_colours_comes_back_exactly(frames, tmp_path):
    video_io.write_video(tmp_path / "clip.gif", frames, fps=10)
    back, fps = video_io.read_video(tmp_path / "clip.gif")
    np.testing.assert_array_equal(back, frames)
    assert fps == pytest.approx(10)


def test_odd_sizes_are_filled_up_at_the_edge(frames, tmp_path):
    odd = frames[:, :47, :63]
    video_io.write_video(tmp_path / "odd.mp4", odd)
    back, _ = video_io.read_video(tmp_path / "odd.mp4")
    assert back.shape == (9, 48, 64, 3)
    assert np.abs(back[:, :47, :63].astype(int) - odd).mean() < 4


def test_grey_frames_are_written_in_three_channels(frames, tmp_path):
    video_io.write_video(tmp_path / "grey.gif", frames[..., :1])
    back, _ = video_io.read_video(tmp_path / "grey.gif")
    np.testing.assert_array_equal(back, frames[..., :1].repeat(3, -1))


@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_what_tensorflow_decodes(channels, tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (13, 21, channels), dtype=np.uint8)
    video_io.write_png(tmp_path / "a.png", image)
    decoded = tf.io.decode_png((tmp_path / "a.png").read_bytes(), channels)
    np.testing.assert_array_equal(decoded, image)
    np.testing.assert_array_equal(
        video_io.read_image(tmp_path / "a.png"), image + np.zeros(3, np.uint8)
    )


def test_a_folder_is_read_in_the_order_of_its_numbers(frames, tmp_path):
    for number in (8, 9, 10, 11):
        image = frames[number - 8]
        video_io.write_png(tmp_path / f"frame_{number}.png", image)
    (tmp_path / "notes.txt").touch()
    back, _ = video_io.read_video(tmp_path)
    np.testing.assert_array_equal(back, frames[:4])


@pytest.mark.parametrize("keep", [0.3, 0.7])
def test_a_cut_video_is_noticed(keep, tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (60, 64, 64, 3), dtype=np.uint8)
    path = tmp_path / "cut.mp4"
    video_io.write_video(path, noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(errors.TruncatedError, match="cut.mp4") as caught:
        video_io.read_video(path)
    assert caught.value.path == str(path)


def test_another_number_of_frames_is_an_error(frames, tmp_path):
    video_io.write_video(tmp_path / "a.mp4", frames)
    with pytest.raises(errors.TruncatedError, match="expected 128 .* got 9"):
        video_io.read_video(tmp_path / "a.mp4", expected_frames=128)


def test_an_empty_file_is_truncated(tmp_path):
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(errors.TruncatedError, match="empty"):
        video_io.read_video(tmp_path / "empty.mp4")


def test_what_is_no_video_is_said_to_be_none(tmp_path):
    (tmp_path / "notes.txt").write_text("no video " * 100)
    with pytest.raises(errors.LayoutError, match="notes.txt"):
        video_io.read_video(tmp_path / "notes.txt")
    with pytest.raises(errors.MissingFileError, match="does not exist"):
        video_io.read_video(tmp_path / "nothing.mp4")
    (tmp_path / "folder").mkdir()
    with pytest.raises(errors.MissingFileError, match="no picture"):
        video_io.read_video(tmp_path / "folder")


def test_pictures_of_several_sizes_are_named(frames, tmp_path):
    for number, height in enumerate((48, 48, 40, 30)):
        video_io.write_png(tmp_path / f"{number}.png", frames[0][:height])
    with pytest.raises(errors.ResolutionError) as caught:
        video_io.read_video(tmp_path)
    assert "2.png 64x40" in str(caught.value)
    assert "3.png 64x30" in str(caught.value)


@pytest.mark.parametrize(
    "bad",
    [np.zeros((2, 8, 8, 3), np.float32), np.zeros((0, 8, 8, 3), np.uint8)],
)
def test_wrong_frames_write_nothing(bad, tmp_path):
    with pytest.raises(ValueError, match="uint8"):
        video_io.write_video(tmp_path / "a.mp4", bad)
    with pytest.raises(ValueError, match="suffix"):
        video_io.write_video(
            tmp_path / "a.avi", np.zeros((2, 8, 8, 3), np.uint8)
        )
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(frames, tmp_path, monkeypatch):
    path = tmp_path / "a.gif"
    video_io.write_video(path, frames)
    before = path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(video_writer.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        video_io.write_video(path, frames)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.gif"]


def test_frames_are_written_one_by_one_at_their_own_times(frames, tmp_path):
    path = tmp_path / "slow.mp4"
    times = [0.0, 0.1, 0.9, 1.0]
    with video_writer.VideoWriter(path, is_timed=True) as writer:
        for frame, time in zip(frames, times):
            writer.add(frame, time)
        assert not path.exists()
    found = video_frames.probe(path)
    np.testing.assert_allclose(found.times, times, atol=2e-3)
    back, _ = video_io.read_video(path, expected_frames=4)
    assert np.abs(back.astype(int) - frames[:4]).mean() < 4


def test_a_writer_that_gives_up_leaves_no_file(frames, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with video_writer.VideoWriter(tmp_path / "a.mp4") as writer:
            writer.add(frames[0])
            raise KeyboardInterrupt
    video_writer.VideoWriter(tmp_path / "none.mp4").close()
    assert not list(tmp_path.iterdir())


def test_a_writer_refuses_frames_of_another_size(frames, tmp_path):
    with pytest.raises(ValueError, match="frame 1 of .* the first one had"):
        with video_writer.VideoWriter(tmp_path / "a.mp4") as writer:
            writer.add(frames[0])
            writer.add(frames[0, :24])


def test_a_png_with_a_palette_keeps_its_values(tmp_path):
    ids = np.array([[0, 1, 2], [2, 1, 3]], np.uint8)
    palette = np.array([[128] * 3, [255, 0, 0], [0, 255, 0], [0, 0, 255]])
    video_io.write_png(tmp_path / "ids.png", ids, palette.astype(np.uint8))
    with PIL.Image.open(tmp_path / "ids.png") as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(picture, ids)
        np.testing.assert_array_equal(picture.convert("RGB"), palette[ids])
    with pytest.raises(ValueError, match=r"\[H, W, 1\]"):
        video_io.encode_png(np.zeros((2, 2, 3), np.uint8), palette)
