"""Pictures made smaller, against SciPy's filters and closed forms."""

import numpy as np
import pytest
from scipy import ndimage

from tfdecomp.data import resampling


def _scikit_image(frame, size):
    """`skimage.transform.resize(order=3, anti_aliasing=True)`, restated.

    Its "reflect" is SciPy's "mirror"; channels are left alone.
    """
    frame = frame.astype(float)
    factors = np.divide(frame.shape[:2], size)
    deviations = (*np.maximum(0, (factors - 1) / 2), 0)
    smooth = ndimage.gaussian_filter(frame, deviations, mode="mirror")
    small = ndimage.zoom(
        smooth, (*(1 / factors), 1), order=3, mode="mirror", grid_mode=True
    )
    return small.clip(frame.min(), frame.max())


@pytest.mark.parametrize("size", [(64, 64), (13, 40), (100, 7), (130, 90)])
def test_frames_are_resized_as_scikit_image_does(size):
    rng = np.random.default_rng(0)
    frames = rng.integers(20, 200, (17, 80, 60, 3)).astype(np.uint8)
    frames[:, 20:50, 10:30] //= 4
    wanted = [_scikit_image(frame, size) for frame in frames]
    found = resampling.smoothed_cubic(frames, size)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found, wanted, atol=0.51)


def test_a_fifth_of_the_size_is_a_blur_of_two_pixels_read_in_the_middle():
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (1, 320, 320, 3)).astype(np.uint8)
    steps = np.arange(-8, 9)
    kernel = np.exp(-0.5 * (steps / 2.0) ** 2)
    kernel /= kernel.sum()
    found = resampling.smoothed_cubic(frames, (64, 64))
    for row, column in ((10, 30), (2, 61), (40, 40)):
        rows, columns = 5 * row + 2 + steps, 5 * column + 2 + steps
        patch = frames[0, rows[:, None], columns]
        wanted = np.einsum("i,j,ijc->c", kernel, kernel, patch)
        np.testing.assert_allclose(found[0, row, column], wanted, atol=0.51)


def test_plain_areas_stay_as_they_are():
    frames = np.full((1, 320, 320, 3), (255, 7, 0), np.uint8)
    small = resampling.smoothed_cubic(frames, (64, 64))
    assert (small == (255, 7, 0)).all()


def test_nearest_takes_the_pixel_in_the_middle():
    labels = np.arange(2 * 320 * 320).reshape(2, 320, 320)
    wanted = labels[:, 2::5, 2::5]
    np.testing.assert_array_equal(resampling.nearest(labels, (64, 64)), wanted)
    np.testing.assert_array_equal(
        resampling.nearest(labels, (320, 320)), labels
    )
