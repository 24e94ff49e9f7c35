"""Poses against bilinear sampling, pixel by pixel, and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models.oracles import ddpae_numpy
from tests.test_case import assert_close
from tfdecomp.ops import poses


def pose(*values):
    """One pose `[1, 1, 1, 3]`."""
    return tf.constant(values, tf.float32)[None, None, None]


def pictures(count=1, side=8, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    return np.float32(rng.random((1, count, side, side, channels)))


def random_poses(frames=3, count=2, seed=1):
    rng = np.random.default_rng(seed)
    raw = rng.normal([2.0, 0, 0], [0.7, 1, 1], (1, frames, count, 3))
    return poses.constrain(tf.constant(raw, tf.float32), 2.0)


def wave(side, reach):
    """A smooth bump in a picture of `side` pixels, `[side, side]`."""
    place = np.arange(side) - (side - 1) / 2
    line = np.where(abs(place) < reach, np.cos(np.pi * place / reach) + 1, 0)
    return np.float32(np.outer(line, line) / 4)


# ---- the constraint --------------------------------------------------------


@pytest.mark.parametrize("prior", [2.0, 4.0])
def test_objects_stay_in_the_frame(prior):
    rng = np.random.default_rng(0)
    raw = np.float32(rng.normal(prior, 9, (100, 3)))
    s, x, y = np.asarray(poses.constrain(raw, prior)).T
    assert np.all((s >= prior - 1) & (s <= prior + 1))
    assert np.all(np.maximum(abs(x), abs(y)) <= s - 0.5)
    assert_close(
        poses.constrain(raw, prior), ddpae_numpy.constrain(raw, prior), 1e-6
    )


def test_centres_reach_an_eighth_of_the_frame():
    raw = [[2.0, 9.0, -9.0], [2.0, -9.0, 9.0]]
    y, x, *_ = np.asarray(poses.boxes(poses.constrain(raw, 2.0), 65, 8)).T
    np.testing.assert_allclose((x - 0.5) / 64, [0.125, 0.875], atol=1e-6)
    np.testing.assert_allclose((y - 0.5) / 64, [0.875, 0.125], atol=1e-6)


def test_no_gradient_where_the_scale_is_clipped():
    raw = tf.constant([[0.0, 0.0, 0.0], [2.5, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(raw)
        scale = poses.constrain(raw, 2.0)[:, 0]
    gradient = np.asarray(tape.gradient(scale, raw))
    np.testing.assert_array_equal(gradient[:, 0], [0.0, 1.0])


# ---- placing ---------------------------------------------------------------


def test_a_picture_of_the_frames_size_stays_itself():
    picture = pictures(side=8, channels=3)
    placed = poses.place(picture, pose(1, 0, 0), 8)[0, 0]
    assert_close(placed, picture[0], 1e-6)


def test_corners_land_at_a_quarter_of_the_frame():
    size, side = 13, 7
    corner = np.zeros((1, 1, side, side, 1), np.float32)
    corner[0, 0, 0, -1] = 1  # upper right
    placed = np.asarray(poses.place(corner, pose(2, 0, 0), size))[0, 0, 0]
    row, column = np.unravel_index(placed.argmax(), (size, size))
    assert (row, column) == ((size - 1) // 4, 3 * (size - 1) // 4)
    assert placed.max() == 1


def test_placing_is_bilinear_sampling():
    picture, where = pictures(2, channels=2), random_poses()
    placed = poses.place(picture, where, 16)
    assert placed.shape == (1, 3, 2, 16, 16, 2)
    for t, i in np.ndindex(3, 2):
        expected = ddpae_numpy.place(
            picture[0, i], np.float64(where[0, t, i]), 16
        )
        assert_close(placed[0, t, i], expected, 1e-5)


def test_cutting_is_bilinear_sampling():
    rng, where = np.random.default_rng(0), random_poses()
    frames = np.float32(rng.random((1, 3, 16, 16, 2)))
    cut = poses.cut(frames, where, 8)
    assert cut.shape == (1, 3, 2, 8, 8, 2)
    for t, i in np.ndindex(3, 2):
        expected = ddpae_numpy.cut(frames[0, t], np.float64(where[0, t, i]), 8)
        assert_close(cut[0, t, i], expected, 1e-5)


def test_what_was_placed_is_cut_out_again():
    picture = wave(32, 14)[None, None, :, :, None]
    where = pose(2.2, 0.4, -0.3)
    placed = poses.place(picture, where, 64)[:, :, 0]
    again = poses.cut(placed, where, 32)[:, 0]
    np.testing.assert_allclose(again, picture, atol=0.015)


def test_a_shift_of_a_pixel_moves_by_a_pixel():
    size, picture = 65, wave(33, 12)[None, None, :, :, None]
    step = 2.0 * 2 / (size - 1)  # of t, at a scale of 2
    one = poses.place(picture, pose(2, 0.0, 0.0), size)
    two = poses.place(picture, pose(2, -step, step), size)
    moved = np.roll(one, (-1, 1), (3, 4))  # right, and up
    np.testing.assert_allclose(two, moved, atol=1e-5)


@pytest.mark.parametrize("where", [(2, 0.5, -1), (1.5, 0, 0.6), (2.7, -1, 0.3)])
def test_the_box_is_around_the_picture(where):
    size, picture = 64, wave(32, 15)[None, None, :, :, None]
    placed = np.asarray(poses.place(picture, pose(*where), size))[
        0, 0, 0, ..., 0
    ]
    y, x, height, _ = np.asarray(poses.boxes(pose(*where), size, 32))[0, 0, 0]
    centres = np.arange(size) + 0.5
    rows, columns = placed.sum(1), placed.sum(0)
    assert abs(rows @ centres / rows.sum() - y) < 0.1
    assert abs(columns @ centres / columns.sum() - x) < 0.1
    lit = np.flatnonzero(rows > 0)
    assert abs(lit[-1] + 1 - lit[0] - height * 30 / 32) <= 2


def test_gradients_of_poses_are_those_of_differences():
    rng = np.random.default_rng(0)
    target, picture = rng.random((16, 16, 1)), pictures()
    values = np.array([2.13, 0.31, -0.42])  # no pixel on a kink
    with tf.GradientTape() as tape:
        where = pose(*values)
        tape.watch(where)
        placed = poses.place(picture, where, 16)
        value = tf.reduce_sum(np.float32(target) * placed)
    slope = np.asarray(tape.gradient(value, where)).ravel()

    def off(where):
        return np.sum(target * ddpae_numpy.place(picture[0, 0], where, 16))

    for k, step in enumerate(1e-6 * np.eye(3)):
        difference = (off(values + step) - off(values - step)) / 2e-6
        np.testing.assert_allclose(slope[k], difference, rtol=1e-3)
