"""Draws without replacement against enumeration of all orders."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.locations import (
    LocationsWithoutReplacement,
    UniformLocations,
    gumbel,
)

tfd = tfp.distributions

D, N = 5, 3
LOGITS = np.array([1.0, -0.5, 0.3, 2.0, -1.2])
ORDERS = list(itertools.permutations(range(D), N))


def _noise(shape, seed=0):
    uniform = np.random.default_rng(seed).random(shape, np.float32)
    return gumbel(tf.constant(uniform))


def draw(logits, noise):
    return LocationsWithoutReplacement(logits, noise.shape[1]).draw(noise)


def terms(open_logits):
    """Divergence of every draw from a uniform one, `[N, K]`."""
    draws, size = open_logits.shape[1:]
    q = LocationsWithoutReplacement(open_logits[:, 0], draws)
    p = UniformLocations(size, draws)
    return tfd.kl_divergence(q.conditional(open_logits), p.conditional())


def _probability(order, logits=LOGITS):
    """Product of renormalised softmaxes, in float64."""
    weights, product = np.exp(logits), 1.0
    for place in order:
        product *= weights[place] / weights.sum()
        weights = np.where(np.arange(len(weights)) == place, 0.0, weights)
    return product


def _forced(orders, logits=LOGITS):
    """`draw` with noise that leaves no other choice."""
    noise = 1e4 * tf.one_hot(orders, len(logits))
    tiled = tf.constant(np.tile(logits, (len(orders), 1)), tf.float32)
    order, open_logits = draw(tiled, noise)
    np.testing.assert_array_equal(order, orders)
    return order, open_logits


def test_probabilities_of_sequences_are_products_of_softmaxes():
    order, open_logits = _forced(ORDERS)
    q = LocationsWithoutReplacement(LOGITS, N)
    log_prob = q.log_prob(order)
    each = q.conditional(open_logits).log_prob(order)
    np.testing.assert_allclose(tf.reduce_sum(each, 1), log_prob, rtol=1e-6)
    np.testing.assert_array_equal(q.open_logits(order), open_logits)
    expected = [_probability(order) for order in ORDERS]
    np.testing.assert_allclose(np.exp(log_prob), expected, rtol=1e-5)
    assert float(tf.reduce_sum(tf.exp(log_prob))) == pytest.approx(1, abs=1e-5)


def test_sequences_are_drawn_as_often_as_their_probability_says():
    count = 400_000
    logits = tf.constant(np.tile(LOGITS, (count, 1)), tf.float32)
    order, _ = draw(logits, _noise((count, N, D)))
    codes = np.asarray(order) @ [D * D, D, 1]
    for sequence in ORDERS:
        frequency = np.mean(codes == np.dot(sequence, [D * D, D, 1]))
        assert frequency == pytest.approx(_probability(sequence), abs=0.003)


def test_gumbel_noise_has_its_mean_and_is_finite_at_the_ends():
    noise = np.asarray(_noise((200_000,)))
    # Mean: Euler's constant; variance: pi^2 / 6; 5 standard errors.
    assert noise.mean() == pytest.approx(np.euler_gamma, abs=0.015)
    assert noise.var() == pytest.approx(math.pi**2 / 6, abs=0.05)
    ends = gumbel(tf.constant([0.0, 1.0 - 2**-24, 1.0]))
    assert np.all(np.isfinite(ends))


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3, 1e6])
def test_no_location_is_drawn_twice(scale):
    logits = scale * np.random.default_rng(1).normal(size=(50, 16))
    logits = tf.constant(logits, tf.float32)
    order, open_logits = draw(logits, _noise((50, 10, 16)))
    assert order.shape == (50, 10)
    for row in np.asarray(order):
        assert len(set(row)) == 10
    # A draw sees what it may not take far below the rest.
    taken = np.asarray(open_logits[:, -1]) < -1e8
    np.testing.assert_array_equal(taken.sum(1), 9)


def test_all_locations_can_be_drawn_and_none_at_all():
    order, open_logits = draw(tf.zeros([3, 6]), _noise((3, 6, 6)))
    np.testing.assert_array_equal(np.sort(order), np.tile(np.arange(6), (3, 1)))
    assert np.all(np.isfinite(terms(open_logits)))
    order, open_logits = draw(tf.zeros([3, 6]), tf.zeros([3, 0, 6]))
    assert order.shape == (3, 0) and open_logits.shape == (3, 0, 6)


def test_no_noise_takes_the_greatest_in_order():
    logits = tf.constant(LOGITS[None], tf.float32)
    order, _ = draw(logits, tf.zeros([1, D, D]))
    np.testing.assert_array_equal(order[0], np.argsort(-LOGITS))


def test_divergence_is_between_zero_and_its_largest_value():
    rng = np.random.default_rng(2)
    logits = tf.constant(rng.normal(0, 3, (200, D)), tf.float32)
    _, open_logits = draw(logits, _noise((200, N, D)))
    found = np.asarray(terms(open_logits))
    assert found.min() > -1e-6
    assert np.all(found <= np.log([D, D - 1, D - 2]) + 1e-6)


def test_divergence_of_equal_logits_is_zero():
    _, open_logits = draw(tf.fill([4, D], 7.0), _noise((4, N, D)))
    np.testing.assert_allclose(terms(open_logits), np.zeros((4, N)), atol=1e-6)


def test_divergence_of_certain_draws_is_the_logarithm_of_what_is_left():
    # Each greater than the next by far, so every draw is certain.
    logits = tf.constant([[400.0, 300.0, 200.0, 100.0, 0.0]])
    _, open_logits = draw(logits, tf.zeros([1, N, D]))
    np.testing.assert_allclose(
        terms(open_logits)[0], np.log([5, 4, 3]), rtol=1e-6
    )
    np.testing.assert_allclose(
        UniformLocations(D, N).conditional().log_prob([0, 1, 2]),
        -np.log([5, 4, 3]),
        rtol=1e-6,
    )


def test_mean_of_the_conditional_divergences_is_that_of_the_sequence():
    _, open_logits = _forced(ORDERS)
    found = np.asarray(terms(open_logits), np.float64).sum(1)
    probs = np.array([_probability(order) for order in ORDERS])
    uniform = 1.0 / len(ORDERS)
    expected = np.sum(probs * np.log(probs / uniform))
    assert np.sum(probs * found) == pytest.approx(expected, rel=1e-5)
    q = LocationsWithoutReplacement(LOGITS, N)
    whole = tfd.kl_divergence(q, UniformLocations(D, N))
    assert float(whole) == pytest.approx(expected, rel=1e-5)


def test_gradient_of_the_divergence_is_that_of_finite_differences():
    noise = _noise((1, N, D), seed=4)

    def total(logits):
        _, open_logits = draw(logits, noise)
        return tf.reduce_sum(terms(open_logits))

    logits = tf.constant(LOGITS[None], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = total(logits)
    gradient = np.asarray(tape.gradient(value, logits))[0]
    assert np.all(np.isfinite(gradient))
    step = 1e-2
    for d in range(D):
        shift = step * np.eye(D, dtype=np.float32)[d]
        expected = (total(logits + shift) - total(logits - shift)) / (2 * step)
        assert gradient[d] == pytest.approx(float(expected), abs=2e-3)


def test_relaxed_rows_sum_to_one_and_harden_as_they_cool():
    logits = tf.constant(np.random.default_rng(3).normal(0, 30, (40, 9)))
    logits = tf.cast(logits, tf.float32)
    noise = _noise((40, 4, 9), seed=5)
    order, open_logits = draw(logits, noise)
    scores = np.sort(np.asarray(open_logits + noise), axis=-1)
    is_clear = scores[..., -1] - scores[..., -2] > 0.3
    assert is_clear.mean() > 0.9
    for temperature in (0.5, 0.1, 0.02):
        soft = LocationsWithoutReplacement.relaxed(
            open_logits, noise, temperature
        )
        np.testing.assert_allclose(tf.reduce_sum(soft, -1), 1.0, rtol=1e-5)
        np.testing.assert_array_equal(tf.argmax(soft, -1), order)
    hard = np.asarray(tf.one_hot(order, 9))
    np.testing.assert_allclose(soft[is_clear], hard[is_clear], atol=1e-4)


def test_draws_move_with_logits_and_noise():
    logits = np.random.default_rng(6).normal(size=(4, 9)).astype(np.float32)
    noise = np.asarray(_noise((4, 3, 9), seed=7))
    order, _ = draw(logits, noise)
    moved, _ = draw(np.roll(logits, 2, 1), np.roll(noise, 2, 2))
    np.testing.assert_array_equal(moved, (np.asarray(order) + 2) % 9)


def test_samples_are_sequences_without_repetition_of_the_right_chances():
    q = LocationsWithoutReplacement(LOGITS, N)
    order = np.asarray(q.sample(100_000, seed=2))
    assert order.shape == (100_000, N)
    codes = order @ [D * D, D, 1]
    for sequence in ORDERS:
        frequency = np.mean(codes == np.dot(sequence, [D * D, D, 1]))
        assert frequency == pytest.approx(_probability(sequence), abs=0.006)


def test_the_likeliest_sequence_takes_the_greatest_in_order():
    found = LocationsWithoutReplacement(LOGITS, N).mode()
    np.testing.assert_array_equal(found, np.argsort(-LOGITS)[:N])


def test_too_many_sequences_are_not_added_up():
    q = LocationsWithoutReplacement(tf.zeros([2, 1024]), 3)
    with pytest.raises(ValueError, match="3 of 1024 locations are too many"):
        tfd.kl_divergence(q, UniformLocations(1024, 3))


def test_the_divergence_asks_for_sequences_of_one_kind():
    q = LocationsWithoutReplacement(LOGITS, N)
    for other in (UniformLocations(D, 2), UniformLocations(D + 1, N)):
        with pytest.raises(ValueError, match="3 of 5 locations and"):
            tfd.kl_divergence(q, other)


def test_only_sequences_without_repetition_have_a_probability():
    p = UniformLocations(D, N)
    every = np.array(list(itertools.product(range(-1, D + 1), repeat=N)))
    chances = tf.exp(p.log_prob(every.astype(np.int32)))
    np.testing.assert_allclose(tf.reduce_sum(chances), 1.0, rtol=1e-5)
    assert np.count_nonzero(chances) == len(ORDERS)


def test_there_are_at_most_as_many_draws_as_locations():
    for make in (
        lambda: UniformLocations(3, 4),
        lambda: LocationsWithoutReplacement(tf.zeros([2, 3]), tf.constant(4)),
    ):
        with pytest.raises(ValueError, match="at most .* 3,.*got 4"):
            make()
