"""Layer normalisation without parameters."""

import numpy as np
import tensorflow as tf

from tfdecomp.ops.normalization import standardize


def test_each_slot_gets_zero_mean_and_unit_variance():
    values = 5 + 3 * np.random.default_rng(0).standard_normal((2, 3, 9, 7, 2))
    outputs = np.asarray(standardize(tf.constant(values), [2, 3, 4]))
    np.testing.assert_allclose(outputs.mean((2, 3, 4)), 0, atol=1e-6)
    np.testing.assert_allclose(outputs.var((2, 3, 4)), 1, rtol=1e-5)


def test_zeros_stay_exactly_zero():
    assert np.all(standardize(tf.zeros([2, 5]), [1]) == 0)
