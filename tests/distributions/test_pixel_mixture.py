"""The spatial mixture, against TFP and autodiff."""

import numpy as np
import pytest
import tensorflow as tf

from tests.test_case import assert_close
from tfdecomp.distributions import pixel_mixture
from tfdecomp.distributions.pixel_mixture import PixelMixture

SHAPE = (2, 3, 4, 5, 3)  # B K H W C
GRANULARITIES = pixel_mixture.GRANULARITIES


def draw(*shape, seed=0):
    values = np.random.default_rng(seed).random(shape)
    return tf.constant(values, tf.float32)


@pytest.fixture
def case():
    means, logits = draw(*SHAPE), 3 * draw(*SHAPE[:-1], 1, seed=1)
    return means, logits, draw(*SHAPE[:1], *SHAPE[2:], seed=2)


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_log_likelihood_equals_that_of_tfp(case, granularity):
    means, logits, frames = case
    mixture = PixelMixture(means, logits, 0.07, granularity)
    score = mixture.score(frames)
    log_prob = mixture.distribution().log_prob(frames)
    axes = list(range(1, log_prob.shape.rank))
    expected = -tf.reduce_sum(log_prob, axes)
    assert_close(score.nll + score.nll_constant, expected, 1e-5)


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_mean_equals_that_of_tfp(case, granularity):
    means, logits, _ = case
    mixture = PixelMixture(means, logits, 0.07, granularity)
    assert_close(mixture.mean(), mixture.distribution().mean(), 1e-5)


def nll_by_masks(means, masks, frames, variance, granularity):
    """The likelihood of free masks, written plainly."""
    squares = tf.square(frames[:, None] - means) / (2 * variance)
    if granularity == "pixel":
        squares = tf.reduce_sum(squares, -1, keepdims=True)
    total = tf.reduce_sum(masks * tf.exp(-squares), axis=1)
    return -tf.reduce_sum(tf.math.log(total))


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_closed_form_gradients_equal_autodiff(case, granularity):
    means, logits, frames = case
    score = PixelMixture(means, logits, 0.3, granularity).score(frames)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch((means, logits))
        masks = tf.nn.softmax(logits, axis=1)
        tape.watch(masks)
        nll = nll_by_masks(means, masks, frames, 0.3, granularity)
    by_means = tape.gradient(nll, means)
    by_masks = tape.gradient(nll, masks)
    assert_close(score.gradient_by_means(), by_means, 1e-5)
    assert_close(score.gradient_by_masks(), by_masks, 1e-5)
    assert_close(score.gradient_by_logits(), tape.gradient(nll, logits), 1e-5)
    assert_close(
        pixel_mixture.through_softmax(masks, by_masks),
        tape.gradient(nll, logits),
        1e-5,
    )


def test_entropy_and_its_gradient_equal_autodiff():
    masks = tf.nn.softmax(3 * draw(2, 3, 4, 5, 1), axis=1)
    with tf.GradientTape() as tape:
        tape.watch(masks)
        entropy = pixel_mixture.mask_entropy(masks)
    gradient = tape.gradient(entropy, masks)
    closed = pixel_mixture.mask_entropy_gradient(masks)
    assert_close(closed, gradient, 1e-5)


def test_uniform_masks_have_the_largest_entropy():
    masks = tf.fill([1, 4, 5, 6, 1], 0.25)
    entropy = pixel_mixture.mask_entropy(masks)
    np.testing.assert_allclose(entropy, 5 * 6 * np.log(4), rtol=1e-5)


def test_mask_posterior_is_the_ratio_of_likelihoods(case):
    means, logits, frames = case
    score = PixelMixture(means, logits, 0.3).score(frames)
    squares = np.sum((frames[:, None] - means) ** 2, -1, keepdims=True)
    likelihood = np.exp(-squares / 0.6)
    expected = likelihood / likelihood.sum(1, keepdims=True)
    assert_close(score.mask_posterior(), expected, 1e-5)
    flat = np.exp(likelihood) / np.exp(likelihood).sum(1, keepdims=True)
    assert_close(score.flat_mask_posterior(), flat, 1e-5)


def test_leave_one_out_equals_a_mixture_of_the_others(case):
    means, logits, frames = case
    full = PixelMixture(means, logits, 0.3, "pixel").score(frames)
    rest = PixelMixture(means[:, 1:], logits[:, 1:], 0.3, "pixel")
    expected = rest.score(frames).pixel_log_likelihood[:, 0]
    assert_close(full.leave_one_out()[:, 0], expected, 1e-4)


def test_vanishing_masks_give_finite_gradients(case):
    means, logits, frames = case
    score = PixelMixture(means, 1e4 * logits, 1e-3).score(frames)
    for value in (
        score.nll,
        score.gradient_by_means(),
        score.gradient_by_masks(),
        score.gradient_by_logits(),
    ):
        assert np.all(np.isfinite(value))


def test_unknown_granularity_is_named(case):
    with pytest.raises(ValueError, match="granularity must be one of"):
        PixelMixture(*case[:2], 0.3, "image")
