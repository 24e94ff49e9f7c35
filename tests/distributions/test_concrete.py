"""Relaxed Bernoulli variables before the logistic function."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.concrete import BinaryConcrete, Presence

tfd = tfp.distributions


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_log_prob_is_that_of_a_logistic_variable(temperature):
    value = np.linspace(-8, 8, 17).astype(np.float32)
    logit = np.float32(1.3)
    expected = tfd.Logistic(logit / temperature, 1 / temperature).log_prob(
        value
    )
    np.testing.assert_allclose(
        BinaryConcrete(logit, temperature).log_prob(value), expected, rtol=1e-5
    )


def test_relaxed_variable_is_that_of_tfp():
    logit, temperature = np.float32(-0.7), 0.8
    value = np.linspace(-3, 3, 13).astype(np.float32)
    relaxed = tfd.RelaxedBernoulli(temperature, logits=logit)
    z = tf.sigmoid(value)
    # Change of variables from z to v.
    expected = relaxed.log_prob(z) + tf.math.log(z * (1 - z))
    np.testing.assert_allclose(
        BinaryConcrete(logit, temperature).log_prob(value), expected, atol=1e-4
    )


def test_samples_are_on_as_often_as_the_logit_says():
    uniform = (np.arange(10_000) + 0.5) / 10_000
    value = BinaryConcrete(1.0, 0.5).from_noise(np.float32(uniform))
    share = np.mean(np.asarray(value) > 0)
    assert share == pytest.approx(1 / (1 + np.exp(-1.0)), abs=2e-4)


def test_without_noise_the_logit_comes_back():
    logit = np.float32([-2.0, 3.0])
    found = BinaryConcrete(logit, temperature=0.5).from_noise(None)
    np.testing.assert_array_equal(found, logit)


def test_noise_of_zero_is_finite():
    assert np.isfinite(BinaryConcrete(0.0).from_noise(np.float32(0.0)))


def test_sampled_kl_is_never_negative_in_the_mean_and_zero_for_equals():
    uniform = np.float32((np.arange(40_000) + 0.5) / 40_000)
    for logit, prior in ((0.3, 0.3), (2.0, -1.0), (-3.0, 0.5)):
        ours, other = BinaryConcrete(logit), BinaryConcrete(prior)
        value = ours.from_noise(uniform)
        mean = np.mean(ours.kl_sampled(other, value))
        q, p = tfd.Logistic(logit, 1.0), tfd.Logistic(prior, 1.0)
        grid = np.linspace(-40, 40, 80_001)
        density = np.exp(q.log_prob(grid).numpy())
        ratio = q.log_prob(grid).numpy() - p.log_prob(grid).numpy()
        integral = np.sum(density * ratio) * (grid[1] - grid[0])
        assert mean == pytest.approx(integral, abs=2e-3)
        assert mean > -1e-6
        closed = float(tfd.kl_divergence(ours, other))
        assert closed == pytest.approx(integral, abs=1e-4)


def test_bernoulli_kl_is_that_of_tfp():
    logit = np.linspace(-6, 6, 13).astype(np.float32)
    for prior in (0.01, 0.5, 0.97):
        expected = tfd.kl_divergence(
            tfd.Bernoulli(logits=logit),
            tfd.Bernoulli(probs=np.float32(prior)),
        )
        np.testing.assert_allclose(
            tfd.kl_divergence(
                Presence(logits=logit), Presence(probs=np.float32(prior))
            ),
            expected,
            atol=2e-5,
        )


def test_bernoulli_kl_is_finite_where_the_prior_is_certain():
    kl = tfd.kl_divergence(
        Presence(logits=np.float32([10.0, -10.0])),
        Presence(probs=np.float32([0.0, 1.0])),
    )
    assert np.all(np.isfinite(kl)) and np.all(kl > 15)


def test_closed_divergence_is_that_of_float64():
    distance = np.concatenate([np.linspace(1e-3, 4, 400), [30.0, 1e4]])
    expected = distance / np.tanh(distance / 2) - 2
    # Where float64 itself has no digits left.
    expected[:20] = distance[:20] ** 2 / 6 - distance[:20] ** 4 / 360
    q, p = BinaryConcrete(distance), BinaryConcrete(0.0)
    np.testing.assert_allclose(tfd.kl_divergence(q, p), expected, rtol=5e-6)
    np.testing.assert_allclose(tfd.kl_divergence(p, q), expected, rtol=5e-6)


def test_closed_divergence_is_smooth_where_its_formula_changes():
    logits = tf.constant([0.0, 1e-4, 0.999, 1.001, 80.0])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        kl = tfd.kl_divergence(BinaryConcrete(logits), BinaryConcrete(0.0))
    gradient = np.asarray(tape.gradient(kl, logits))
    x = np.array([0.999, 1.001])
    middle = 1 / np.tanh(x / 2) - x / 2 / np.sinh(x / 2) ** 2
    np.testing.assert_allclose(
        gradient, [0.0, 1e-4 / 3, *middle, 1.0], rtol=1e-4, atol=1e-9
    )


def test_two_temperatures_have_no_closed_divergence():
    with pytest.raises(ValueError, match="only at one.*0.5 and 1.0"):
        tfd.kl_divergence(BinaryConcrete(0.0, 0.5), BinaryConcrete(0.0, 1.0))


@pytest.mark.parametrize("given", [{}, {"logits": 0.0, "probs": 0.5}])
def test_presence_takes_logits_or_probabilities(given):
    with pytest.raises(ValueError, match="either logits or probs"):
        Presence(**given)
