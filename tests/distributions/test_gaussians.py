"""Gaussians by raw parameters, against TFP and autodiff."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.test_case import assert_close
from tfdecomp.distributions import gaussians
from tfdecomp.distributions.gaussians import DiagonalGaussian, NormalPixels

tfd = tfp.distributions
KINDS = gaussians.PARAMETERIZATIONS


def draw(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return tf.constant(values, tf.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_kl_equals_that_of_tfp(kind):
    parameters, mean, log_variance = draw(4, 6), draw(4, 3), draw(4, 3, seed=2)
    q = DiagonalGaussian(parameters, kind)
    p = DiagonalGaussian.of(mean, log_variance)
    expected = tfd.kl_divergence(
        tfd.MultivariateNormalDiag(q.mean(), q.stddev()),
        tfd.MultivariateNormalDiag(mean, tf.exp(0.5 * log_variance)),
    )
    assert_close(tfd.kl_divergence(q, p), expected, 1e-5)
    assert_close(tf.reduce_sum(q.kl_terms(p), -1), expected, 1e-5)


def test_kl_is_zero_at_the_prior():
    mean, log_variance = draw(4, 3), draw(4, 3, seed=2)
    parameters = tf.concat([mean, log_variance], -1)
    q, p = DiagonalGaussian(parameters), DiagonalGaussian.of(mean, log_variance)
    kl = tfd.kl_divergence(q, p)
    np.testing.assert_allclose(kl, 0, atol=1e-6)


def deviations(*shape):
    return tf.concat([draw(*shape), 0.5 + draw(*shape, seed=5) ** 2], -1)


@pytest.mark.parametrize("kind", [*KINDS, "deviation"])
@pytest.mark.parametrize("other_kind", KINDS)
def test_kl_gradient_equals_autodiff(kind, other_kind):
    raw = deviations(4, 3) if kind == "deviation" else draw(4, 6)
    p = DiagonalGaussian(draw(4, 6, seed=2), other_kind)
    with tf.GradientTape() as tape:
        tape.watch(raw)
        kl = tfd.kl_divergence(DiagonalGaussian(raw, kind), p)
    closed = DiagonalGaussian(raw, kind).kl_gradient(p)
    assert_close(closed, tape.gradient(kl, raw), 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_moments_of_the_distribution(kind):
    parameters = tf.repeat(draw(1, 4), 40_000, axis=0)
    noise = draw(40_000, 2, seed=3)
    samples = DiagonalGaussian(parameters, kind).from_noise(noise)
    q = DiagonalGaussian(parameters[0], kind)
    np.testing.assert_allclose(
        np.mean(samples, 0), q.mean(), atol=4 * 2 / 200
    )  # four standard errors at a scale below two
    np.testing.assert_allclose(np.std(samples, 0), q.stddev(), rtol=0.03)


def test_unknown_parameterization_is_named():
    with pytest.raises(ValueError, match="parameterization must be one of"):
        gaussians.check_parameterization("variance")
    with pytest.raises(ValueError, match="parameterization must be one of"):
        DiagonalGaussian(tf.zeros([2]), "variance")


@pytest.mark.parametrize(
    "given",
    [{}, {"loc": [0.0]}, {"raw": [0.0, 0.0], "loc": [0.0], "raw_scale": [0.0]}],
)
def test_one_vector_or_two_halves_are_asked_for(given):
    with pytest.raises(ValueError, match="either raw.* or both of loc"):
        DiagonalGaussian(**given)


@pytest.mark.parametrize("kind", KINDS)
def test_the_raw_vector_comes_back(kind):
    raw = draw(4, 6)
    np.testing.assert_array_equal(DiagonalGaussian(raw, kind).raw, raw)


def test_the_same_gaussian_by_deviations_and_by_log_variances():
    mean, deviation = draw(4, 3), np.exp(draw(4, 3, seed=1))
    one = DiagonalGaussian.of_deviation(mean, deviation)
    two = DiagonalGaussian.of(mean, 2 * np.log(deviation))
    value = draw(4, 3, seed=2)
    for name in ("mean", "variance", "stddev", "log_variance", "entropy"):
        assert_close(getattr(one, name)(), getattr(two, name)(), 1e-6)
    assert_close(one.log_prob(value), two.log_prob(value), 1e-5)
    assert_close(one.from_noise(value), two.from_noise(value), 1e-5)


def test_the_floor_is_that_of_a_softplus_variance():
    raw = tf.constant([0.0, -30.0])
    for floor in (0.0, 1e-5):
        variance = DiagonalGaussian(raw, "softplus", floor).variance()
        np.testing.assert_allclose(variance, [np.exp(-30) + floor], rtol=1e-4)
    assert float(DiagonalGaussian(raw, floor=1.0).variance()[0]) < 1e-12


def test_entropy_is_that_of_tfp():
    q = DiagonalGaussian(draw(4, 6))
    expected = tfd.MultivariateNormalDiag(q.mean(), q.stddev()).entropy()
    assert_close(q.entropy(), expected, 1e-5)


def test_the_standard_gaussian_is_standard():
    p = DiagonalGaussian.standard(3)
    value = draw(5, 3)
    expected = tfd.MultivariateNormalDiag(tf.zeros([3])).log_prob(value)
    assert_close(p.log_prob(value), expected, 1e-6)


def test_pixels_are_normal_by_themselves_and_summed_over_a_clip():
    means, video = draw(2, 3, 4, 4, 1), draw(2, 3, 4, 4, 1, seed=1)
    each = tfd.Normal(means, 0.3**0.5).log_prob(video)
    for axes in (3, 4):
        found = NormalPixels(means, 0.3, event_ndims=axes).log_prob(video)
        assert_close(found, tf.reduce_sum(each, list(range(-axes, 0))), 1e-5)


def test_raw_parameters_have_two_halves():
    with pytest.raises(ValueError, match=r"as many raw scales.*\(4, 5\)"):
        DiagonalGaussian(tf.zeros([4, 5]))


def test_the_divergence_of_pixels_asks_for_events_of_as_many_axes():
    q, p = (NormalPixels(draw(2, 4, 4, 1), 0.3, axes) for axes in (3, 4))
    with pytest.raises(ValueError, match="event_ndims of 3 and 4"):
        tfd.kl_divergence(q, p)
