"""Frames at a size of one's own: pictures, boxes and ids there and back."""

import numpy as np
import pytest

from tfdecomp.motion import background, scene
from tfdecomp.prediction.view import View


def _ids_pixel_by_pixel(small, frame_size):
    """Shares of every id by bilinear interpolation, a loop over pixels.

    Returns:
        `(ids [H, W], how far the decision is from a tie [H, W])`.
    """
    h, w = small.shape
    found = np.zeros(frame_size, small.dtype)
    margin = np.ones(frame_size)
    for i, j in np.ndindex(*frame_size):
        y = min(max((i + 0.5) * h / frame_size[0] - 0.5, 0), h - 1)
        x = min(max((j + 0.5) * w / frame_size[1] - 0.5, 0), w - 1)
        r, c = int(y), int(x)
        shares = {}
        for row, a in ((r, 1 - (y - r)), (min(r + 1, h - 1), y - r)):
            for column, b in ((c, 1 - (x - c)), (min(c + 1, w - 1), x - c)):
                number = int(small[row, column])
                shares[number] = shares.get(number, 0) + a * b
        for number, share in shares.items():
            if number:
                margin[i, j] = min(margin[i, j], abs(share - 0.5))
                if share > 0.5:
                    found[i, j] = number
    return found, margin


@pytest.mark.parametrize(
    "frame_size", [(9, 13), (18, 26), (31, 40), (7, 9), (45, 20)]
)
@pytest.mark.parametrize("kind", ["noise", "patches"])
def test_ids_are_those_of_a_loop_over_pixels(frame_size, kind):
    random = np.random.default_rng(3)
    small = random.integers(0, 4, (9, 13)).astype(np.uint8)
    if kind == "patches":
        small = small[::3, ::3].repeat(3, 0).repeat(3, 1)[:9, :13]
    found = View(frame_size, (9, 13)).ids(small)
    assert found.shape == frame_size and found.dtype == np.uint8
    expected, margin = _ids_pixel_by_pixel(small, frame_size)
    sure = margin > 1e-5
    assert sure.mean() > 0.7
    if frame_size != small.shape:
        np.testing.assert_array_equal(found[sure], expected[sure])


def test_enlarged_ids_keep_their_areas_and_places():
    small = np.zeros((32, 48), np.int32)
    small[4:12, 6:20] = 7
    rows, columns = np.mgrid[:32, :48] + 0.5
    disc = np.hypot(rows - 22, columns - 34) < 7
    small[disc] = 300
    large = View((160, 240), (32, 48)).ids(small)
    assert large.dtype == np.int32 and set(np.unique(large)) == {0, 7, 300}
    for number in (7, 300):
        area = np.sum(large == number) / 25
        # Corners are rounded.
        assert area == pytest.approx(np.sum(small == number), rel=0.03)
        centre = (np.argwhere(large == number) + 0.5).mean(0) / 5
        own = (np.argwhere(small == number) + 0.5).mean(0)
        np.testing.assert_allclose(centre, own, atol=0.1)


def test_outlines_are_smooth_where_the_picture_has_steps():
    rows, columns = np.mgrid[:40, :40] + 0.5
    small = (np.hypot(rows - 20, columns - 20) < 12).astype(np.uint8)
    large = View((320, 320), (40, 40)).ids(small) > 0
    blocks = small.repeat(8, 0).repeat(8, 1) > 0
    rows, columns = np.mgrid[:320, :320] + 0.5
    disc = np.hypot(rows - 160, columns - 160) < 96
    assert np.sum(large ^ disc) < 0.85 * np.sum(blocks ^ disc)


def test_what_touches_the_border_touches_it_after():
    small = np.zeros((8, 8), np.uint8)
    small[:2, :3] = 1
    small[5:, 6:] = 2
    large = View((64, 64), (8, 8)).ids(small)
    assert large[0, 0] == 1 and large[-1, -1] == 2
    assert (large[0, :24] == 1).all() and (large[40:, -1] == 2).all()


def test_neighbours_share_a_border_without_a_gap():
    small = np.repeat([[1] * 5 + [2] * 5], 10, 0).astype(np.uint8)
    large = View((30, 30), (10, 10)).ids(small)
    np.testing.assert_array_equal(large[:, :15], 1)
    np.testing.assert_array_equal(large[:, 15:], 2)


def test_the_same_size_changes_nothing():
    frame = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    view = View((20, 30), (20, 30))
    np.testing.assert_array_equal(view.small(frame), frame)
    picture, found = view.see(frame)
    np.testing.assert_array_equal(picture, frame)
    assert found is None
    ids = frame[..., 0] % 5
    np.testing.assert_array_equal(view.ids(ids), ids)
    boxes = np.array([[1.5, 2, 19, 28.5]])
    np.testing.assert_array_equal(view.boxes(boxes), boxes)


def test_a_frame_without_ids_stays_empty():
    assert not View((20, 30), (10, 15)).ids(np.zeros((10, 15), int)).any()


@pytest.mark.parametrize("size", [(24, 40), (50, 77), (97, 130)])
def test_boxes_come_back_where_they_were(size):
    view = View((97, 130), size)
    random = np.random.default_rng(1)
    corners = random.uniform(0, 0.5, (6, 5, 2)) * view.frame_size
    sides = random.uniform(0, 0.5, (6, 5, 2)) * view.frame_size
    boxes = np.concatenate([corners, corners + sides], -1)
    small = view.small_boxes(boxes)
    assert small.max() <= max(size) and small.shape == (6, 5, 4)
    np.testing.assert_allclose(view.boxes(small), boxes, rtol=1e-9)


def test_boxes_are_cut_to_the_frame():
    view = View((100, 200), (10, 40))
    found = view.boxes([[-1, -2, 11, 50], [2, 4, 5, 8]])
    assert found.tolist() == [[0, 0, 100, 200], [20, 20, 50, 40]]


def test_a_smaller_picture_has_means_over_areas():
    random = np.random.default_rng(0)
    frame = random.integers(0, 256, (32, 48, 3), np.uint8)
    small = View((32, 48), (8, 12)).small(frame)
    mean = frame.reshape(8, 4, 12, 4, 3).mean((1, 3))
    assert small.dtype == np.uint8
    assert np.abs(small - mean).max() <= 1


def test_grey_pictures_are_the_mean_of_the_channels():
    frame = np.random.default_rng(0).integers(0, 256, (6, 7, 3), np.uint8)
    picture, _ = View((6, 7), (6, 7), channels=1).see(frame)
    assert picture.shape == (6, 7, 1) and picture.dtype == np.uint8
    assert np.abs(picture[..., 0] - frame.mean(-1)).max() <= 0.5


@pytest.mark.parametrize("shows_difference", [True, False])
def test_with_a_scene_the_picture_is_what_differs(shows_difference):
    ground = np.full((10, 15, 3), 100.0)
    noise = np.ones((10, 15))
    what = scene.Scene(background.Background(ground, noise), 60.0, 4.0, 4.0)
    frame = np.full((20, 30, 3), 100, np.uint8)
    frame[4:12, 6:16] = 190
    view = View((20, 30), (10, 15), 3, what, shows_difference)
    picture, found = view.see(frame)
    inside = np.zeros((10, 15), bool)
    inside[2:6, 3:8] = True
    np.testing.assert_array_equal(found.labels > 0, inside)
    assert found.boxes.tolist() == [[2, 3, 6, 8]]
    dark, bright = (0, 255) if shows_difference else (100, 190)
    assert np.abs(picture[inside].astype(int) - bright).max() <= 1
    assert np.abs(picture[~inside].astype(int) - dark).max() <= 1
