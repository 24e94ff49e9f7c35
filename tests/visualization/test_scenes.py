"""What pictures of scenes show, read back from their pixels."""

import numpy as np
import pytest

from tfdecomp.visualization import scenes

SIZE = 6


def _flat(*values):
    """Pictures of one grey value each."""
    return np.stack([np.full((SIZE, SIZE, 1), v, np.float32) for v in values])


def _places(picture, value):
    """Where pixels have a grey value: `(rows, columns)` that have some."""
    is_value = np.all(picture == value, axis=-1)
    return np.flatnonzero(is_value.any(1)), np.flatnonzero(is_value.any(0))


def test_gallery_goes_from_left_to_right_and_then_down():
    grey = [0.1, 0.2, 0.3, 0.4, 0.5]
    picture = scenes.gallery(_flat(*grey), columns=3, min_side=12)
    assert picture.dtype == np.uint8 and picture.shape == (28, 44, 3)
    corners = [_places(picture, round(255 * g)) for g in grey]
    assert [r[0] for r, _ in corners] == [0, 0, 0, 16, 16]
    assert [c[0] for _, c in corners] == [0, 16, 32, 0, 16]
    assert all(len(r) == len(c) == 12 for r, c in corners)


def test_captions_stand_above_the_pictures():
    plain = scenes.gallery(_flat(0.1, 0.2), min_side=12)
    written = scenes.gallery(_flat(0.1, 0.2), captions=["4", "5"], min_side=12)
    assert written.shape[0] > plain.shape[0]
    top = written.shape[0] - plain.shape[0]
    np.testing.assert_array_equal(written[top:], plain)
    assert written[:top].min() < 128
    with pytest.raises(ValueError):
        scenes.gallery(_flat(0.1, 0.2), captions=["4"])


def test_versions_are_rows_with_their_names():
    rows = {"input": _flat(0.1, 0.2), "swapped": _flat(0.2, 0.1)}
    picture = scenes.compare(rows, ["3", "7"], min_side=12)
    corners = [picture[i, j, 0] for i in (-28, -12) for j in (-28, -12)]
    assert corners == [26, 51, 51, 26]
    for value in (26, 51):
        assert np.all(picture == value, axis=-1).sum() >= 2 * 144
    assert np.any(picture[:-28] < 128) and np.any(picture[:, :-28] < 128)


def test_dots_are_white_where_the_points_are():
    points = [(0.5, 0.5), (3.2, 5.9), (6.0, -1.0)]
    picture = scenes.dots(points, (SIZE, SIZE))
    assert picture.shape == (SIZE, SIZE, 1) and picture.dtype == np.uint8
    expected = np.zeros((SIZE, SIZE))
    expected[[0, 3, 5], [0, 5, 0]] = 255
    np.testing.assert_array_equal(picture[..., 0], expected)
    assert not scenes.dots(np.zeros((0, 2)), (SIZE, SIZE)).any()


def test_a_row_shows_the_picture_its_places_and_its_objects():
    sprites = [np.full((2, 3, 3, 1), 0.9), []]
    picture = scenes.decompositions(
        _flat(0.1, 0.2),
        _flat(0.3, 0.4),
        [np.array([[1.5, 1.5], [4.5, 2.5]]), np.zeros((0, 2))],
        sprites,
        ["image 0", "image 1"],
        min_side=12,
    )
    assert picture.dtype == np.uint8
    for value in (26, 51, 76, 102):
        # Letters may have some pixels of the same grey.
        assert np.all(picture == value, axis=-1).sum() >= 144
    # Two places, enlarged by two.
    black = np.all(picture == 0, axis=-1)
    assert black.sum() >= 2 * 144 - 2 * 4
    # Two sprites of three pixels fill their cells, four times as large; one
    # of five is twice as large, on grey.
    assert np.all(picture[-28:] == 230, axis=-1).sum() == 2 * 144
    odd = scenes.decompositions(
        _flat(0.1),
        _flat(0.3),
        [np.array([[1.5, 1.5]])],
        [np.full((1, 5, 5, 1), 0.9)],
        min_side=12,
    )
    assert np.all(odd[-12:, -12:] == 230, axis=-1).sum() == 100
    assert np.all(odd[-12:, -12:] == 128, axis=-1).sum() == 44
