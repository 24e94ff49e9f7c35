"""Which objects move with a factor, on squares whose ways are known."""

import itertools

import numpy as np
import pytest

from tfdecomp.metrics import factor_motion

SIZE = 12
CORNERS = np.array([[[1, 2], [6, 7]], [[8, 0], [2, 5]]])  # [B, L, 2]
COLORS = np.array([[1.0, 0, 0], [0, 0.5, 0]])


def _draw(corners, colors=COLORS, blur=1.0):
    """`[B, L, 2]` -> frames `[B, H, W, 3]` and labels `[B, H, W]`."""
    frames = np.zeros((len(corners), SIZE, SIZE, 3))
    ids = np.zeros(frames.shape[:3], int)
    for b, label in np.ndindex(corners.shape[:2]):
        y, x = corners[b, label]
        where = (b, slice(y, y + 3), slice(x, x + 3))
        frames[where] += blur * colors[label]
        ids[where] = np.where(ids[where] > 0, 255, label + 1)
    return frames, ids


def _moved(*ways):
    """Videos in which objects go `ways`, `[T, L, 2]`, from where they are."""
    frames = [_draw(CORNERS + np.array(way))[0] for way in ways]
    return np.stack(frames, 1)


def _colors():
    frames, ids = _draw(CORNERS)
    return factor_motion.object_colors(frames[:, None], ids[:, None], 2)


def test_colours_are_read_off_the_masks():
    np.testing.assert_allclose(_colors()[0], [[1, 0, 0], [0, 1, 0]])
    frames, ids = _draw(CORNERS)
    as_bytes = np.rint(255 * frames).astype(np.uint8)[:, None]
    found = factor_motion.object_colors(as_bytes, ids[:, None], 2)
    np.testing.assert_allclose(found, _colors())


def test_shared_pixels_have_no_say_in_colours():
    corners = np.array([[[2, 2], [4, 4]]])
    frames, ids = _draw(corners)
    assert np.sum(ids == 255) == 1
    found = factor_motion.object_colors(frames[:, None], ids[:, None], 2)
    np.testing.assert_allclose(found[0], [[1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize(
    ("colors", "channels", "message"),
    [
        (np.array([[1.0, 0.5, 0], [1.0, 0.5, 0]]), 3, "told apart by colour"),
        (np.array([[1.0, 0, 0], [0.3, 0, 0]]), 1, "told apart by colour"),
        (np.array([[1.0, 0, 0], [0.0, 0, 0]]), 3, "object 2 of clip 0"),
    ],
)
def test_objects_of_one_colour_cannot_be_told_apart(colors, channels, message):
    frames, ids = _draw(CORNERS, colors)
    frames = frames[:, None, ..., :channels]
    with pytest.raises(ValueError, match=message):
        factor_motion.object_colors(frames, ids[:, None], 2)


def test_mixtures_are_taken_apart():
    rng = np.random.default_rng(0)
    colors = rng.random((2, 2, 3)) + 0.1
    colors /= np.linalg.norm(colors, axis=-1, keepdims=True)
    amounts = rng.standard_normal((2, 4, 5, 2))
    mixed = np.einsum("bhwl,blc->bhwc", amounts, colors)
    np.testing.assert_allclose(factor_motion.unmix(mixed, colors), amounts)


def test_change_is_that_of_each_plane():
    rng = np.random.default_rng(0)
    still, varied = rng.random((2, 6, 6, 3)), rng.random((2, 4, 6, 6, 3))
    found = factor_motion.object_changes(still, varied, _colors())
    expected = np.square(varied - still[:, None]).sum((1, 2, 3))[:, :2]
    np.testing.assert_allclose(found, expected)


def test_shares_of_one_moving_object():
    still = _draw(CORNERS)[0]
    red = _moved([[1, 1], [0, 0]], [[-1, 2], [0, 0]])
    both = _moved([[1, 1], [1, 1]])
    colors = _colors()
    changes = [factor_motion.object_changes(still, v, colors) for v in (red,)]
    np.testing.assert_allclose(factor_motion.shares(changes[0]), [[1, 0]] * 2)
    # Red is twice as bright as green.
    together = factor_motion.object_changes(still, both, colors)
    np.testing.assert_allclose(factor_motion.shares(together), [[0.8, 0.2]] * 2)
    nothing = factor_motion.object_changes(still, still[:, None], colors)
    assert np.isnan(factor_motion.shares(nothing)).all()


@pytest.mark.parametrize(("k", "objects"), [(2, 2), (3, 2), (2, 4)])
def test_the_best_assignment_is_that_of_all_permutations(k, objects):
    shares = np.random.default_rng(k).dirichlet(np.ones(objects), k)
    chosen, score = factor_motion.assign(shares)
    few = min(k, objects)
    expected = max(
        np.mean([shares[i, j] for i, j in zip(rows, columns)])
        for rows in itertools.permutations(range(k), few)
        for columns in itertools.permutations(range(objects), few)
    )
    assert score == pytest.approx(expected)
    pairs = [(i, j) for i, j in enumerate(chosen) if j >= 0]
    assert len({j for _, j in pairs}) == len(pairs) == few
    assert np.mean([shares[i, j] for i, j in pairs]) == pytest.approx(score)


def test_factors_that_move_all_alike_score_as_chance():
    for objects in (2, 4):
        shares = np.full((objects, objects), 1 / objects)
        assert factor_motion.assign(shares)[1] == pytest.approx(1 / objects)


def test_clips_without_change_count_in_no_mean():
    shares = np.array([[[0.9, 0.1]], [[np.nan, np.nan]], [[0.3, 0.7]]])
    mean = factor_motion.mean_over_clips(shares)
    np.testing.assert_allclose(mean, [[0.6, 0.4]])
    assert factor_motion.dominant(shares) == pytest.approx(0.8)
    nothing = np.full((3, 1, 2), np.nan)
    assert factor_motion.dominant(nothing) == 0
    np.testing.assert_array_equal(
        factor_motion.mean_over_clips(nothing), [[0, 0]]
    )


@pytest.mark.parametrize("blur", [1.0, 0.3])
def test_centres_are_those_of_squares(blur):
    frames, _ = _draw(CORNERS, blur=blur)
    found = factor_motion.centres(frames[:, None], _colors())
    np.testing.assert_allclose(found[:, 0], CORNERS + 1.5)


def test_the_slope_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    whole = rng.standard_normal((50, 2, 2))
    slopes = rng.random((3, 2, 2))
    moves = slopes * whole[:, None] + 0.1 * rng.standard_normal((50, 3, 2, 2))
    found = factor_motion.follows(moves, whole)
    for i, label, axis in np.ndindex(found.shape):
        x, y = whole[:, label, axis], moves[:, i, label, axis]
        (expected,), *_ = np.linalg.lstsq(x[:, None], y, rcond=None)
        assert found[i, label, axis] == pytest.approx(expected)
    still = factor_motion.follows(moves, np.zeros_like(whole))
    np.testing.assert_array_equal(still, 0)
