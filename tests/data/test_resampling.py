"""Pictures made smaller, against TensorFlow's own resizing."""

import numpy as np
import pytest
import tensorflow as tf

from tfdecomp.data import resampling


@pytest.mark.parametrize("size", [(64, 64), (13, 40), (100, 7), (130, 90)])
def test_cubic_is_bicubic_with_antialiasing(size):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (17, 80, 60, 3)).astype(np.uint8)
    frames[:, 20:50, 10:30] //= 4
    wanted = tf.image.resize(frames, size, "bicubic", antialias=True)
    wanted = np.clip(wanted.numpy(), 0, 255)
    found = resampling.cubic(frames, size)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found, wanted, atol=0.51)


def test_plain_areas_stay_as_they_are():
    frames = np.full((1, 320, 320, 3), (255, 7, 0), np.uint8)
    assert (resampling.cubic(frames, (64, 64)) == (255, 7, 0)).all()


def test_nearest_takes_the_pixel_in_the_middle():
    labels = np.arange(2 * 320 * 320).reshape(2, 320, 320)
    wanted = labels[:, 2::5, 2::5]
    np.testing.assert_array_equal(resampling.nearest(labels, (64, 64)), wanted)
    np.testing.assert_array_equal(
        resampling.nearest(labels, (320, 320)), labels
    )
