"""Relaxed Bernoulli variables before the logistic function."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions import concrete

tfd = tfp.distributions


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_log_prob_is_that_of_a_logistic_variable(temperature):
    value = np.linspace(-8, 8, 17).astype(np.float32)
    logit = np.float32(1.3)
    expected = tfd.Logistic(logit / temperature, 1 / temperature).log_prob(
        value
    )
    np.testing.assert_allclose(
        concrete.log_prob(value, logit, temperature), expected, rtol=1e-5
    )


def test_relaxed_variable_is_that_of_tfp():
    logit, temperature = np.float32(-0.7), 0.8
    value = np.linspace(-3, 3, 13).astype(np.float32)
    relaxed = tfd.RelaxedBernoulli(temperature, logits=logit)
    z = tf.sigmoid(value)
    # Change of variables from z to v.
    expected = relaxed.log_prob(z) + tf.math.log(z * (1 - z))
    np.testing.assert_allclose(
        concrete.log_prob(value, logit, temperature), expected, atol=1e-4
    )


def test_samples_are_on_as_often_as_the_logit_says():
    uniform = (np.arange(10_000) + 0.5) / 10_000
    value = concrete.sample(np.float32(1.0), np.float32(uniform), 0.5)
    share = np.mean(np.asarray(value) > 0)
    assert share == pytest.approx(1 / (1 + np.exp(-1.0)), abs=2e-4)


def test_without_noise_the_logit_comes_back():
    logit = np.float32([-2.0, 3.0])
    np.testing.assert_array_equal(concrete.sample(logit, None), logit)


def test_noise_of_zero_is_finite():
    assert np.isfinite(concrete.sample(np.float32(0.0), np.float32(0.0)))


def test_sampled_kl_is_never_negative_in_the_mean_and_zero_for_equals():
    uniform = np.float32((np.arange(40_000) + 0.5) / 40_000)
    for logit, prior in ((0.3, 0.3), (2.0, -1.0), (-3.0, 0.5)):
        value = concrete.sample(np.float32(logit), uniform)
        mean = np.mean(concrete.sampled_kl(value, logit, np.float32(prior)))
        q, p = tfd.Logistic(logit, 1.0), tfd.Logistic(prior, 1.0)
        grid = np.linspace(-40, 40, 80_001)
        density = np.exp(q.log_prob(grid).numpy())
        ratio = q.log_prob(grid).numpy() - p.log_prob(grid).numpy()
        integral = np.sum(density * ratio) * (grid[1] - grid[0])
        assert mean == pytest.approx(integral, abs=2e-3)
        assert mean > -1e-6


def test_bernoulli_kl_is_that_of_tfp():
    logit = np.linspace(-6, 6, 13).astype(np.float32)
    for prior in (0.01, 0.5, 0.97):
        expected = tfd.kl_divergence(
            tfd.Bernoulli(logits=logit),
            tfd.Bernoulli(probs=np.float32(prior)),
        )
        np.testing.assert_allclose(
            concrete.bernoulli_kl(logit, np.float32(prior)),
            expected,
            atol=2e-5,
        )


def test_bernoulli_kl_is_finite_where_the_prior_is_certain():
    kl = concrete.bernoulli_kl(
        np.float32([10.0, -10.0]), np.float32([0.0, 1.0])
    )
    assert np.all(np.isfinite(kl)) and np.all(kl > 15)
