"""Gaussians by raw parameters, against TFP and autodiff."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.test_case import assert_close
from tfdecomp.distributions import gaussians

tfd = tfp.distributions
KINDS = gaussians.PARAMETERIZATIONS


def draw(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return tf.constant(values, tf.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_kl_equals_that_of_tfp(kind):
    parameters, mean, log_variance = draw(4, 6), draw(4, 3), draw(4, 3, seed=2)
    q = gaussians.gaussian(parameters, kind)
    p = tfd.MultivariateNormalDiag(mean, tf.exp(0.5 * log_variance))
    kl = gaussians.kl_divergence(parameters, mean, log_variance, kind)
    assert_close(kl, tfd.kl_divergence(q, p), 1e-5)


def test_kl_is_zero_at_the_prior():
    mean, log_variance = draw(4, 3), draw(4, 3, seed=2)
    parameters = tf.concat([mean, log_variance], -1)
    kl = gaussians.kl_divergence(parameters, mean, log_variance)
    np.testing.assert_allclose(kl, 0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_kl_gradient_equals_autodiff(kind):
    parameters, mean, log_variance = draw(4, 6), draw(4, 3), draw(4, 3, seed=2)
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        kl = gaussians.kl_divergence(parameters, mean, log_variance, kind)
    closed = gaussians.kl_gradient(parameters, mean, log_variance, kind)
    assert_close(closed, tape.gradient(kl, parameters), 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_moments_of_the_distribution(kind):
    parameters = tf.repeat(draw(1, 4), 40_000, axis=0)
    samples = gaussians.sample(parameters, draw(40_000, 2, seed=3), kind)
    q = gaussians.gaussian(parameters[0], kind)
    np.testing.assert_allclose(
        np.mean(samples, 0), q.mean(), atol=4 * 2 / 200
    )  # four standard errors at a scale below two
    np.testing.assert_allclose(np.std(samples, 0), q.stddev(), rtol=0.03)


def test_unknown_parameterization_is_named():
    with pytest.raises(ValueError, match="parameterization must be one of"):
        gaussians.check_parameterization("variance")
