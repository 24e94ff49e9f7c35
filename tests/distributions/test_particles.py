"""Bounds of several samples, and what their choices learn."""

import itertools

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tfdecomp.distributions import particles
from tfdecomp.distributions.truncated_count import TruncatedCount

LOG_WEIGHTS = np.float32([-1.0, -2.0, -4.0])


def test_three_particles_have_the_bound_and_the_signals_of_the_sum():
    bound = particles.log_mean_exp(LOG_WEIGHTS)
    np.testing.assert_allclose(bound, -1.749600, atol=1e-5)
    np.testing.assert_allclose(
        particles.signals(LOG_WEIGHTS),
        [0.941406, 0.107701, -0.331257],
        atol=1e-5,
    )
    weights = tf.nn.softmax(LOG_WEIGHTS)
    np.testing.assert_allclose(
        particles.effective(LOG_WEIGHTS), 1 / np.sum(np.square(weights))
    )


def test_equal_particles_have_nothing_to_learn():
    equal = np.full((2, 4), -3.0, np.float32)
    np.testing.assert_allclose(particles.log_mean_exp(equal), -3.0, atol=1e-6)
    np.testing.assert_allclose(particles.signals(equal), 0.0, atol=1e-6)
    np.testing.assert_allclose(particles.effective(equal), 4.0, rtol=1e-6)


def test_of_two_particles_the_other_is_the_baseline():
    pair = np.float32([[-1.0, -7.0]])
    bound = np.float64(particles.log_mean_exp(pair))[:, None]
    expected = bound - pair[:, ::-1]
    np.testing.assert_allclose(particles.signals(pair), expected, rtol=1e-5)


def test_the_surrogate_has_the_value_of_the_bound():
    log_q = np.float32([-0.3, -2.0, -9.0])
    np.testing.assert_array_equal(
        particles.vimco(LOG_WEIGHTS, log_q), particles.log_mean_exp(LOG_WEIGHTS)
    )


def test_signals_are_clipped_where_asked():
    log_q = tf.constant([0.0, 0.0, 0.0])
    with tf.GradientTape() as tape:
        tape.watch(log_q)
        found = particles.vimco(LOG_WEIGHTS, log_q, signal_clip=0.2)
    np.testing.assert_allclose(
        tape.gradient(found, log_q), [0.2, 0.107701, -0.2], atol=1e-5
    )


def test_one_particle_cannot_teach_choices():
    with pytest.raises(ValueError, match="at least 2 are needed, got 1; set"):
        particles.signals(LOG_WEIGHTS[:1])


def toy_log_weight(choice, logit):
    """log p(x, c) - log q(c) of one Bernoulli choice, any numbers."""
    log_q = np.where(
        choice, -np.log1p(np.exp(-logit)), -np.log1p(np.exp(logit))
    )
    return np.where(choice, -0.7, -2.4) - log_q, log_q


def exact_bound(logit, count):
    """E L by enumeration."""
    total = 0.0
    for choices in itertools.product((0, 1), repeat=count):
        log_w, log_q = toy_log_weight(np.array(choices), logit)
        bound = scipy.special.logsumexp(log_w) - np.log(count)
        total += np.exp(log_q.sum()) * bound
    return total


@pytest.mark.parametrize("count", [2, 3, 5])
def test_on_average_the_surrogate_has_the_gradient_of_the_bound(count):
    """All choices of all particles, weighed by how likely they are."""
    every = np.array(list(itertools.product((0, 1), repeat=count)))
    logit = tf.constant(0.4, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(logit)
        on, off = tf.math.log_sigmoid(logit), tf.math.log_sigmoid(-logit)
        log_q = tf.where(every > 0, on, off)
        log_w = tf.where(every > 0, tf.constant(-0.7, tf.float64), -2.4) - log_q
        likely = tf.stop_gradient(tf.exp(tf.reduce_sum(log_q, 1)))
        mean = tf.reduce_sum(likely * particles.vimco(log_w, log_q))
    found = tape.gradient(mean, logit)
    step = 1e-5
    ends = [exact_bound(0.4 + s * step, count) for s in (1, -1)]
    np.testing.assert_allclose(mean, exact_bound(0.4, count), rtol=1e-9)
    expected = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def mixed_log_weight(xp, choice, eps, theta):
    """A choice beside a Gaussian whose mean the choice moves; `xp` computes."""
    logit, mean = theta
    log_q = xp.where(
        choice > 0, -xp.log1p(xp.exp(-logit)), -xp.log1p(xp.exp(logit))
    )
    z = mean + 0.5 * eps
    log_p = 1.7 * choice - 2.4 - 0.5 * (z - choice) ** 2
    log_q_z = -0.5 * eps**2 - np.log(0.5)
    return log_p - log_q - log_q_z, log_q


def test_a_gaussian_beside_the_choice_learns_through_its_samples():
    """Two particles, by quadrature over both of their noises."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    weights = weights / weights.sum()
    grid = np.array(list(itertools.product(range(24), repeat=2)))
    eps = np.concatenate([nodes[grid]] * 4)  # [4 * 576, 2]
    choices = np.repeat(list(itertools.product((0.0, 1.0), repeat=2)), 576, 0)
    mass = np.tile(weights[grid].prod(1), 4)

    def exact(theta):
        log_w, log_q = mixed_log_weight(np, choices, eps, theta)
        bound = scipy.special.logsumexp(log_w, axis=1) - np.log(2)
        return np.sum(mass * np.exp(log_q.sum(1)) * bound)

    class XP:
        where, exp = tf.where, tf.exp
        log1p = tf.math.log1p

    theta = tf.constant([0.4, 0.3], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(theta)
        one = tf.constant(1.0, tf.float64)
        log_w, log_q = mixed_log_weight(
            XP, one * choices, one * eps, tf.unstack(theta)
        )
        likely = tf.stop_gradient(tf.exp(tf.reduce_sum(log_q, 1)))
        mean = tf.reduce_sum(mass * likely * particles.vimco(log_w, log_q))
    found = tape.gradient(mean, theta)
    step = np.eye(2) * 1e-5
    at = np.array([0.4, 0.3])
    expected = [(exact(at + s) - exact(at - s)) / 2e-5 for s in step]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_more_particles_bound_better():
    rng = np.random.default_rng(0)
    log_w = rng.normal(size=(20_000, 6)).astype(np.float32)
    bounds = [
        np.mean(particles.log_mean_exp(log_w[:, :s])) for s in (1, 2, 3, 6)
    ]
    assert np.all(np.diff(bounds) > 0.02)


def test_rows_of_particles_come_back_by_clip():
    values = np.arange(6).reshape(3, 2)
    rows = particles.spread(values, 4)
    assert rows.shape == (12, 2)
    clips = particles.by_clip(rows, 4)
    np.testing.assert_array_equal(clips, np.repeat(values[:, None], 4, 1))
    each = np.arange(12)
    np.testing.assert_array_equal(
        particles.pick(each, [3, 0, 2], 4), [3, 4, 10]
    )
    np.testing.assert_array_equal(particles.pick(values, None, 1), values)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.516, [0.520930, 0.268800, 0.138701, 0.071570]),
        (0.4, [0.615764, 0.246305, 0.098522, 0.039409]),
    ],
)
def test_a_geometric_count_is_renormalised_to_what_there_is_room_for(
    ratio, expected
):
    for most in range(4):
        p = TruncatedCount.geometric(ratio, 3, float(most))
        np.testing.assert_allclose(tf.reduce_sum(p.probs()), 1.0, rtol=1e-6)
        assert np.all(p.probs()[most + 1 :] == 0.0)
    np.testing.assert_allclose(p.probs(), expected, atol=1e-6)
