"""The prior on the number of objects, against sums over all cases."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.object_count import ObjectCount, log_rate


def table(num_variables, rho):
    return ObjectCount(num_variables, math.log(rho)).conditionals().numpy()


def in_sequence(bits, rho):
    """The published procedure: beliefs in counts, variable by variable."""
    total = len(bits)
    belief = rho ** np.arange(total + 1)
    belief /= belief.sum()
    probs, ones = [], 0
    for i, bit in enumerate(bits):
        left = np.clip((np.arange(total + 1) - ones) / (total - i), 0, 1)
        p = np.sum(belief * left)
        probs.append(p)
        belief = belief * (left if bit else 1 - left)
        belief /= belief.sum()
        ones += bit
    return np.array(probs)


def test_values_are_those_of_the_published_procedure():
    found = table(4, 0.5)
    expected = [
        [0.2097],
        [0.1565, 0.4103],
        [0.1290, 0.3043, 0.5625],
        [0.1111, 0.25, 0.4286, 0.6667],
    ]
    for row, values in zip(found, expected):
        np.testing.assert_allclose(row[: len(values)], values, atol=1e-4)


@pytest.mark.parametrize("rho", [0.0124, 0.3, 0.999])
def test_probabilities_are_those_of_the_sequence(rho):
    rng = np.random.default_rng(0)
    bits = (rng.random((20, 14)) < 0.2).astype(int)
    prior = ObjectCount(14, math.log(rho))
    probs = prior.conditional_probs(bits)
    np.testing.assert_array_equal(prior.conditional(bits).probs, probs)
    for row, values in zip(bits, np.asarray(probs)):
        np.testing.assert_allclose(
            values, in_sequence(row, rho), rtol=2e-5, atol=1e-9
        )


@pytest.mark.parametrize("num_variables", [1, 3, 6])
def test_all_cases_sum_to_one_and_count_as_the_prior_says(num_variables):
    rho = 0.4
    prior = ObjectCount(num_variables, math.log(rho))
    cases = np.array(list(itertools.product([0, 1], repeat=num_variables)))
    probs = np.asarray(prior.conditional_probs(cases), np.float64)
    joint = np.prod(np.where(cases == 1, probs, 1 - probs), axis=1)
    counts = cases.sum(1)
    norm = sum(rho**c for c in range(num_variables + 1))
    expected = [rho**c / (norm * math.comb(num_variables, c)) for c in counts]
    np.testing.assert_allclose(joint, expected, rtol=1e-5)
    np.testing.assert_allclose(
        np.exp(prior.log_prob(cases)), expected, rtol=1e-5
    )
    assert joint.sum() == pytest.approx(1.0, rel=1e-5)


def test_many_variables_and_a_small_rate_do_not_underflow():
    found = table(380, 0.0124)
    assert np.all(np.isfinite(found))
    # With all before it on, the last one's odds are rho times their number.
    odds = 0.0124 * 380
    assert found[379, 379] == pytest.approx(odds / (1 + odds), rel=1e-4)


@pytest.mark.parametrize(
    ("odds", "log_odds", "mean"),
    [(1e6, 13.816, 16.0), (1.0125, 0.012, 1.01), (0.0125, -4.382, 0.013)],
)
def test_rate_of_the_published_schedule(odds, log_odds, mean):
    log_rho = float(log_rate(odds))
    rho = math.exp(log_rho)
    assert math.log(rho / -math.expm1(log_rho)) == pytest.approx(
        log_odds, abs=2e-3
    )
    weights = rho ** np.arange(33.0)
    found = np.sum(np.arange(33) * weights) / weights.sum()
    assert found == pytest.approx(mean, rel=0.05)
    assert float(ObjectCount(32, log_rho).mean_count()) == pytest.approx(found)


def test_the_number_of_variables_may_be_a_tensor():
    bits = np.float32([[0, 1, 1, 0, 0]])

    @tf.function
    def evaluate(size):
        prior = ObjectCount(size, -0.7)
        return prior.conditionals(), prior.log_prob(bits), prior.sample(7, 1)

    found, log_prob, samples = evaluate(tf.constant(5))
    np.testing.assert_allclose(found, table(5, math.exp(-0.7)), rtol=1e-5)
    expected = ObjectCount(5, -0.7).log_prob(bits)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-6)
    assert samples.shape == (7, 5)


def test_samples_have_the_number_of_ones_that_the_prior_says():
    prior = ObjectCount(6, math.log(0.4))
    count = np.asarray(prior.sample(50_000, seed=1)).sum(1)
    expected = 0.4 ** np.arange(7.0)
    expected /= expected.sum()
    for c, p in enumerate(expected):
        assert np.mean(count == c) == pytest.approx(p, abs=0.01)


def test_a_divergence_asks_for_as_many_variables():
    q, p = ObjectCount(4, -0.7), ObjectCount(5, -0.7)
    with pytest.raises(ValueError, match="as many variables, got 4 and 5"):
        tfp.distributions.kl_divergence(q, p)
