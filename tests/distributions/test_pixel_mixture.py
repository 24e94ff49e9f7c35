"""The spatial mixture, against TFP and autodiff."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests.test_case import assert_close
from tfdecomp.distributions import pixel_mixture
from tfdecomp.distributions.pixel_mixture import PixelMixture

SHAPE = (2, 3, 4, 5, 3)  # B K H W C
GRANULARITIES = pixel_mixture.GRANULARITIES
COMPONENTS = pixel_mixture.COMPONENTS


def draw(*shape, seed=0):
    values = np.random.default_rng(seed).random(shape)
    return tf.constant(values, tf.float32)


@pytest.fixture
def case():
    means, logits = draw(*SHAPE), 3 * draw(*SHAPE[:-1], 1, seed=1)
    return means, logits, draw(*SHAPE[:1], *SHAPE[2:], seed=2)


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_log_likelihood_equals_that_of_tfp(case, granularity, component):
    means, logits, frames = case
    mixture = PixelMixture(means, logits, 0.07, granularity, component)
    score = mixture.score(frames)
    log_prob = mixture.distribution().log_prob(frames)
    axes = list(range(1, log_prob.shape.rank))
    expected = -tf.reduce_sum(log_prob, axes)
    assert_close(score.nll + score.nll_constant, expected, 1e-5)


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_mean_equals_that_of_tfp(case, granularity, component):
    means, logits, _ = case
    mixture = PixelMixture(means, logits, 0.07, granularity, component)
    assert_close(mixture.mean(), mixture.distribution().mean(), 1e-5)


def plain_density(frames, means, variance, component):
    """SciPy's density, `[B, K, H, W, C]`, of a component."""
    frames = np.asarray(frames)[:, None]
    if component == "normal":
        return scipy.stats.norm.pdf(frames, means, variance**0.5)
    scale = (3 * variance) ** 0.5 / np.pi
    return scipy.stats.logistic.pdf(frames, means, scale)


@pytest.mark.parametrize("component", COMPONENTS)
def test_components_have_the_variance_that_is_asked_for(case, component):
    means, logits, _ = case
    mixture = PixelMixture(means, logits, 0.07, "pixel", component)
    parts = mixture.distribution().components_distribution
    np.testing.assert_allclose(parts.variance(), 0.07, rtol=1e-5)


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_one_slot_is_the_plain_density(case, granularity, component):
    means, logits, frames = case
    mixture = PixelMixture(
        means[:, :1], logits[:, :1], 0.07, granularity, component
    )
    score = mixture.score(frames)
    density = plain_density(frames, means[:, :1], 0.07, component)
    expected = -np.log(density).sum((1, 2, 3, 4))
    assert_close(score.nll + score.nll_constant, expected, 1e-5)


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_masks_of_equal_slots_do_not_matter(case, granularity, component):
    means, logits, frames = case
    means = tf.repeat(means[:, :1], 3, axis=1)
    one, two = (
        PixelMixture(means, values, 0.07, granularity, component).score(frames)
        for values in (logits, -2 * logits)
    )
    assert_close(one.nll, two.nll, 1e-5)
    assert_close(one.pixel_log_likelihood, two.pixel_log_likelihood, 1e-5)


def nll_by_masks(means, masks, frames, variance, granularity, component):
    """The likelihood of free masks, written plainly."""
    if component == "normal":
        squares = tf.square(frames[:, None] - means) / (2 * variance)
        density = tf.exp(-squares)
    else:  # over its value at the mode
        scale = (3 * variance) ** 0.5 / np.pi
        density = 1 / tf.cosh((frames[:, None] - means) / (2 * scale)) ** 2
    if granularity == "pixel":
        density = tf.reduce_prod(density, -1, keepdims=True)
    total = tf.reduce_sum(masks * density, axis=1)
    return -tf.reduce_sum(tf.math.log(total))


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_closed_form_gradients_equal_autodiff(case, granularity, component):
    means, logits, frames = case
    mixture = PixelMixture(means, logits, 0.3, granularity, component)
    score = mixture.score(frames)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch((means, logits))
        masks = tf.nn.softmax(logits, axis=1)
        tape.watch(masks)
        nll = nll_by_masks(means, masks, frames, 0.3, granularity, component)
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


@pytest.mark.parametrize("component", COMPONENTS)
def test_leave_one_out_ratio_is_what_a_slot_adds(case, component):
    means, logits, frames = case
    density = plain_density(frames, means, 0.3, component).prod(-1)
    weights = np.exp(np.asarray(logits))[..., 0]

    def log_likelihood(slots):
        total = (weights * density)[:, slots].sum(1)
        return np.log(total / weights[:, slots].sum(1))

    mixture = PixelMixture(means, logits, 0.3, "pixel", component)
    ratio = np.asarray(mixture.score(frames).leave_one_out_ratio())
    assert ratio.shape == (*SHAPE[:-1], 1)
    for k in range(SHAPE[1]):
        rest = [j for j in range(SHAPE[1]) if j != k]
        expected = log_likelihood([*rest, k]) - log_likelihood(rest)
        assert_close(ratio[:, k, ..., 0], expected, 1e-4)


def test_a_slot_that_owns_its_pixel_adds_what_the_others_miss():
    # The first slot fits exactly, the second misses by 5 deviations.
    means = tf.reshape(tf.constant([0.5, 1.0]), [1, 2, 1, 1, 1])
    logits = tf.reshape(tf.constant([20.0, 0.0]), [1, 2, 1, 1, 1])
    score = PixelMixture(means, logits, 0.01, "pixel").score(means[:, 0])
    ratio = np.ravel(score.leave_one_out_ratio())
    np.testing.assert_allclose(ratio, [12.5, 0.0], atol=1e-3)


def test_a_slot_like_the_others_adds_nothing(case):
    means, logits, frames = case
    means = tf.repeat(means[:, :1], 3, axis=1)
    score = PixelMixture(means, logits, 0.01, "pixel").score(frames)
    np.testing.assert_allclose(score.leave_one_out_ratio(), 0, atol=1e-4)


@pytest.mark.parametrize("component", COMPONENTS)
def test_vanishing_masks_give_finite_gradients(case, component):
    means, logits, frames = case
    score = PixelMixture(means, 1e4 * logits, 1e-3, component=component).score(
        frames
    )
    for value in (
        score.leave_one_out_ratio(),
        score.nll,
        score.gradient_by_means(),
        score.gradient_by_masks(),
        score.gradient_by_logits(),
    ):
        assert np.all(np.isfinite(value))


def test_unknown_granularity_is_named(case):
    with pytest.raises(ValueError, match="granularity must be one of"):
        PixelMixture(*case[:2], 0.3, "image")


def test_unknown_component_is_named(case):
    with pytest.raises(ValueError, match="component must be one of"):
        PixelMixture(*case[:2], 0.3, component="laplace")
