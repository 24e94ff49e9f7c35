"""What passes is told from noise by its neighbours."""

import numpy as np
import pytest

from tfdecomp.motion import passing

SIZE = (40, 60)
EXPECTED = np.full(SIZE, 2.0, np.float32)


def noise(number=30, deviation=2.0, seed=0):
    rng = np.random.default_rng(seed)
    return np.abs(rng.normal(0, deviation, (number, *SIZE)))


def test_what_covers_a_place_together_passes_and_what_flickers_does_not():
    difference = noise()
    difference[3, 10:18, 20:40] += 12
    alone = np.random.default_rng(1).random((30, 15, 60)) < 0.25
    difference[:, 25:] += 30 * alone
    passes = passing.passes(difference, EXPECTED)
    assert passes[3, 10:18, 20:40].mean() > 0.98
    passes[3, 8:20, 18:42] = False
    assert passes.mean() < 0.002


def test_noise_alone_never_passes():
    assert not passing.passes(noise(), EXPECTED).any()


@pytest.mark.parametrize("often, found", [(12, True), (18, False)])
def test_what_is_there_half_of_the_time_is_not_said_to_pass(often, found):
    difference = noise()
    difference[:often, 10:20, 10:30] = 40
    assert passing.passes(difference, EXPECTED)[:, 12:18, 12:28].any() == found


def test_a_margin_of_rows_is_all_that_a_band_needs():
    difference = noise()
    difference[:5, 12:30, 10:50] += 20
    whole = passing.passes(difference, EXPECTED)
    part = slice(20 - passing.MARGIN, 40)
    cut = passing.passes(difference[:, part], EXPECTED[part])
    np.testing.assert_array_equal(whole[:, 20:], cut[:, passing.MARGIN :])


def test_busy_pixels_are_expected_to_be_as_noisy_as_calm_ones_alike():
    # The left half is smooth, the right one has texture and twice the noise.
    rng = np.random.default_rng(2)
    picture = np.full((*SIZE, 1), 100.0, np.float32)
    picture[:, 30:, 0] += rng.normal(0, 30, (40, 30))
    true = np.where(np.arange(60) < 30, 2.0, 4.0) * np.ones(SIZE)
    measured = true.astype(np.float32).copy()
    measured[15:25] *= 5
    found = passing.expected_noise(picture, measured, 0.4 * true)
    assert np.mean(found[:, :26] == 2.0) > 0.99
    assert np.mean(found[:, 34:] == 4.0) > 0.99
