"""Bernoulli pixels with means beyond [0, 1]."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfdecomp.distributions import bernoulli

MEANS = (0.0, 1.0, 1.7, -1e-7, 0.3, 1e-8, 1.0 - 1e-7)


def _nll_and_gradient(x, mean, epsilon):
    mean = tf.constant(mean, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(mean)
        nll = bernoulli.negative_log_likelihood(
            tf.constant(x, tf.float32), mean, epsilon
        )
    return float(nll), float(tape.gradient(nll, mean))


@pytest.mark.parametrize("epsilon", [1e-6, 1e-4])
@pytest.mark.parametrize("x", [0.0, 1.0, 0.4])
@pytest.mark.parametrize("mean", MEANS)
def test_value_and_gradient_are_those_of_the_clipped_mean(mean, x, epsilon):
    nll, gradient = _nll_and_gradient(x, mean, epsilon)
    p = min(max(mean, epsilon), 1.0 - epsilon)
    expected = -(x * math.log(p) + (1.0 - x) * math.log1p(-p))
    slope = (p - x) / (p * (1.0 - p))
    # Near 1 float32 has steps of 6e-8, which is a share of epsilon.
    share = 1e-7 / epsilon
    assert nll == pytest.approx(expected, rel=2e-5, abs=3 * share)
    assert gradient == pytest.approx(slope, rel=max(1e-4, 3 * share))
    assert math.isfinite(nll) and gradient != 0.0


def test_a_blank_picture_costs_epsilon_for_every_value():
    blank = tf.zeros([64, 64, 1])
    for epsilon in (1e-4, 1e-6):
        nll = bernoulli.negative_log_likelihood(blank, blank, epsilon)
        assert float(tf.reduce_sum(nll)) == pytest.approx(
            -4096 * math.log1p(-epsilon), rel=1e-5
        )


def test_values_are_compared_one_by_one():
    rng = np.random.default_rng(0)
    video = (rng.random((2, 3, 4, 1)) < 0.5).astype(np.float32)
    mean = rng.random((2, 3, 4, 1)).astype(np.float32)
    nll = bernoulli.negative_log_likelihood(video, mean, 1e-6)
    expected = -np.log(np.where(video == 1, mean, 1 - mean))
    np.testing.assert_allclose(nll, expected, rtol=1e-4, atol=1e-5)
