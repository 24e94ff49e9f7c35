"""Medians of few numbers."""

import numpy as np
import pytest

from tfdecomp.motion.medians import median


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_the_median_is_that_of_numpy_to_the_last_bit(dtype):
    rng = np.random.default_rng(0)
    for count in range(1, 40):
        values = (100 * rng.normal(size=count)).astype(dtype)
        assert median(values) == np.median(values)
        assert median(values).dtype == np.median(values).dtype


def test_a_number_that_is_none_makes_the_median_none():
    assert np.isnan(median(np.array([1.0, np.nan, 0.0])))
