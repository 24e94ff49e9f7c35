"""Bernoulli pixels with means beyond [0, 1]."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.bernoulli import ClippedBernoulli, LogitBernoulli

tfd = tfp.distributions

MEANS = (0.0, 1.0, 1.7, -1e-7, 0.3, 1e-8, 1.0 - 1e-7)


def _nll_and_gradient(x, mean, epsilon):
    mean = tf.constant(mean, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(mean)
        nll = -ClippedBernoulli(mean, epsilon).log_prob(x)
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
        picture = tfd.Independent(ClippedBernoulli(blank, epsilon), 3)
        assert float(-picture.log_prob(blank)) == pytest.approx(
            -4096 * math.log1p(-epsilon), rel=1e-5
        )


def test_values_are_compared_one_by_one():
    rng = np.random.default_rng(0)
    video = (rng.random((2, 3, 4, 1)) < 0.5).astype(np.float32)
    mean = rng.random((2, 3, 4, 1)).astype(np.float32)
    nll = -ClippedBernoulli(mean, 1e-6).log_prob(video)
    expected = -np.log(np.where(video == 1, mean, 1 - mean))
    np.testing.assert_allclose(nll, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("x", [0.0, 1.0, 0.4])
@pytest.mark.parametrize("mean", MEANS)
def test_the_shifted_form_adds_epsilon_to_both_probabilities(mean, x):
    epsilon = 1e-4
    p = min(max(mean, 0.0), 1.0)
    expected = x * math.log(p + epsilon) + (1 - x) * math.log(1 - p + epsilon)
    found = ClippedBernoulli(mean, epsilon, "shifted").log_prob(x)
    # Near 1 float32 has steps of 6e-8, a share of 6e-4 of epsilon.
    assert float(found) == pytest.approx(expected, rel=1e-5, abs=1e-3)


def test_the_shifted_form_has_no_gradient_beyond_its_bounds():
    mean = tf.constant([-0.5, 0.3, 1.5])
    with tf.GradientTape() as tape:
        tape.watch(mean)
        log_prob = ClippedBernoulli(mean, 1e-4, "shifted").log_prob(0.0)
    gradient = np.asarray(tape.gradient(log_prob, mean))
    np.testing.assert_allclose(gradient, [0.0, -1 / 0.7, 0.0], rtol=1e-3)


def test_unknown_form_is_named():
    with pytest.raises(ValueError, match="form must be one of.*'soft'"):
        ClippedBernoulli(0.5, 1e-4, "soft")


def test_logits_score_grey_values_as_a_cross_entropy():
    logits = np.float32([-2.0, 0.3, 30.0, -30.0])
    values = np.float32([0.2, 0.5, 0.9, 0.1])
    p = 1 / (1 + np.exp(-logits.astype(float)))
    expected = values * np.log(p) + (1 - values) * np.log1p(-p)
    found = LogitBernoulli(logits).log_prob(values)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_logits_give_all_that_tfp_gives():
    logits = np.float32([-2.0, 0.3, 4.0])
    ours, theirs = LogitBernoulli(logits), tfd.Bernoulli(logits)
    np.testing.assert_allclose(ours.mean(), theirs.mean())
    np.testing.assert_allclose(ours.entropy(), theirs.entropy())
    np.testing.assert_allclose(
        tfd.kl_divergence(ours, LogitBernoulli(logits[::-1])),
        tfd.kl_divergence(theirs, tfd.Bernoulli(logits[::-1])),
    )
