"""Frames to try a model with: of a video, or of what it was trained on."""

import types

import numpy as np
import pytest

from tfdecomp.console import real_clips
from tfdecomp.storage import catalogue


def model(side, channels=3):
    """What is asked of a model: the size of its frames."""
    return types.SimpleNamespace(image_size=(side, side), channels=channels)


def test_frames_of_a_video_have_the_size_of_the_model(tmp_path):
    pixels = np.zeros((6, 16, 32, 3), np.uint8)
    pixels[:, :, 8:24] = np.arange(10, 70, 10, np.uint8)[:, None, None, None]
    np.save(tmp_path / "clip.npy", pixels)
    found = real_clips.first_frames(
        model(16), tmp_path, tmp_path / "clip.npy", num_frames=4
    )
    assert [frame.shape for frame in found] == [(16, 16, 3)] * 4
    # Half as large between black bars: the middle is one value.
    assert [frame[8, 8, 0] for frame in found] == [10, 20, 30, 40]
    assert all(frame[0].max() == 0 for frame in found)


def test_a_clip_that_is_too_short_is_gone_through_again(tmp_path):
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    pixels[1] = 200
    np.save(tmp_path / "clip.npy", pixels)
    found = real_clips.first_frames(
        model(8, channels=1), tmp_path, tmp_path / "clip.npy"
    )
    assert [frame.max() for frame in found] == [0, 200, 0, 200]
    assert found[0].shape == (8, 8, 1)


def test_without_a_video_a_new_clip_of_its_data_is_made():
    folder = catalogue.resolve("provide_balls_quick")
    one, again = (real_clips.first_frames(model(20), folder) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert np.asarray(one).shape == (4, 20, 20, 3)
    assert np.asarray(one).std() > 10, "something is on it"


def test_a_model_whose_data_are_not_known_asks_for_a_video(tmp_path):
    with pytest.raises(ValueError, match="give a video with --warmup"):
        real_clips.first_frames(model(8), tmp_path)
