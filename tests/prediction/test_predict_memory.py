"""What the first pass keeps for the second comes back."""

import numpy as np
import pytest

from tfdecomp.prediction.memory import FrameMaps


@pytest.fixture(name="maps")
def _fixture_maps(tmp_path):
    maps = FrameMaps(tmp_path)
    yield maps
    maps.close()


def test_maps_come_back_as_they_were_in_any_order(maps):
    random = np.random.default_rng(0)
    kept = [
        {
            "ids": random.integers(0, 9, (7, 5 + t)).astype(np.uint8),
            "foreground": random.random((4, 6)) < 0.5,
            "level": random.normal(size=(3, 2, 2)).astype(np.float32),
            "numbers": random.integers(-9, 9, t),
        }
        for t in range(6)
    ]
    for entry in kept:
        maps.add(**entry)
    assert len(maps) == 6
    for t in (3, 0, 5, 1, 4, 2, 0):
        for name, value in kept[t].items():
            back = maps.get(t, name)
            assert back.dtype == value.dtype and back.shape == value.shape
            np.testing.assert_array_equal(back, value)


def test_reading_between_frames_does_not_disturb_writing(maps):
    for t in range(5):
        maps.add(ids=np.full((3, 3), t))
        for earlier in range(t + 1):
            assert (maps.get(earlier, "ids") == earlier).all()


def test_a_frame_may_have_no_map(maps):
    maps.add(ids=np.ones((2, 2)), foreground=None)
    maps.add()
    assert maps.get(0, "foreground") is None
    assert maps.get(1, "ids") is None
    assert len(maps) == 2


def test_a_view_of_an_array_is_kept_as_it_looks(maps):
    whole = np.arange(48).reshape(6, 8)
    maps.add(ids=whole[::2, ::-1].T)
    np.testing.assert_array_equal(maps.get(0, "ids"), whole[::2, ::-1].T)


def test_nobody_sees_the_file_and_maps_of_one_value_are_small(tmp_path):
    maps = FrameMaps(tmp_path)
    for _ in range(20):
        maps.add(ids=np.zeros((400, 400), np.uint8))
    assert not list(tmp_path.iterdir())
    assert maps._file.seek(0, 2) < 20 * 400 * 400 / 50
    maps.close()
