"""The spatial mixture, against TFP and autodiff."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tests.test_case import assert_close
from tfdecomp.distributions import pixel_mixture
from tfdecomp.distributions.pixel_mixture import PixelMixture

tfd = tfp.distributions
SHAPE = (2, 3, 4, 5, 3)  # B K H W C
GRANULARITIES = pixel_mixture.GRANULARITIES
COMPONENTS = pixel_mixture.COMPONENTS


def draw(*shape, seed=0):
    values = np.random.default_rng(seed).random(shape)
    return tf.constant(values, tf.float32)


def of_tfp(mixture):
    """The same of TFP's own parts.

    Event `[C]`, batch `[B, H, W]` for pixels; event `[]`, batch
    `[B, H, W, C]` for channels.
    """
    deviation = mixture.pixel_variance**0.5
    family, scale = tfd.Normal, deviation
    if mixture.component == "logistic":
        family, scale = tfd.Logistic, 3**0.5 * deviation / np.pi
    means = tf.transpose(mixture.means, [0, 2, 3, 1, 4])  # [B, H, W, K, C]
    logits = tf.transpose(mixture.logits[..., 0], [0, 2, 3, 1])
    if mixture.granularity == "pixel":
        return tfd.MixtureSameFamily(
            tfd.Categorical(logits=logits),
            tfd.Independent(family(means, scale), 1),
        )
    means = tf.transpose(means, [0, 1, 2, 4, 3])  # [B, H, W, C, K]
    logits = tf.broadcast_to(logits[..., None, :], tf.shape(means))
    return tfd.MixtureSameFamily(
        tfd.Categorical(logits=logits), family(means, scale)
    )


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
    log_prob = of_tfp(mixture).log_prob(frames)
    axes = list(range(1, log_prob.shape.rank))
    expected = tf.reduce_sum(log_prob, axes)
    assert_close(mixture.log_prob(frames), expected, 1e-5)
    assert_close(score.log_prob(), expected, 1e-5)
    relative = mixture.unnormalized_log_prob(frames)
    np.testing.assert_array_equal(relative, -score.nll)
    assert_close(relative - mixture.log_constant(), expected, 1e-5)


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_mean_equals_that_of_tfp(case, granularity, component):
    means, logits, _ = case
    mixture = PixelMixture(means, logits, 0.07, granularity, component)
    assert_close(mixture.mean(), of_tfp(mixture).mean(), 1e-5)


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
    # Of one slot the mixture's variance is that of its component.
    mixture = PixelMixture(
        means[:, :1], logits[:, :1], 0.07, "pixel", component
    )
    np.testing.assert_allclose(mixture.variance(), 0.07, rtol=1e-4)
    parts = of_tfp(mixture).components_distribution
    np.testing.assert_allclose(parts.variance(), 0.07, rtol=1e-5)
    samples = mixture.sample(2000, seed=1)
    assert np.var(samples - mixture.mean()) == pytest.approx(0.07, rel=0.02)


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


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_pixel_that_no_slot_explains_belongs_to_none(case, component):
    means, logits, frames = case
    frames = tf.concat([frames[:, :1] + 1e3, frames[:, 1:]], axis=1)
    mixture = PixelMixture(means, logits, 0.05, "pixel", component)
    found = mixture.score(frames).mask_posterior(floor=1e-3)
    density = plain_density(frames, means, 0.05, component).prod(-1)
    expected = density / (density.sum(1, keepdims=True) + 1e-3)
    assert_close(found[..., 0], expected, 1e-4)
    assert np.asarray(found)[:, :, 0].max() == 0.0
    # Of log-densities near -1e4, float32 keeps three digits after the point.
    exact = tf.reduce_sum(mixture.score(frames).mask_posterior(), 1)
    np.testing.assert_allclose(exact, 1.0, rtol=1e-2)


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_gradient_of_log_prob_equals_autodiff_of_tfp(case, granularity):
    means, logits, frames = case

    def gradient(log_prob):
        with tf.GradientTape() as tape:
            tape.watch((means, logits))
            mixture = PixelMixture(means, logits, 0.3, granularity)
            total = tf.reduce_sum(log_prob(mixture))
        return tape.gradient(total, (means, logits))

    expected = gradient(lambda m: of_tfp(m).log_prob(frames))
    for value in (
        lambda m: m.log_prob(frames),
        lambda m: m.log_prob(tf.stack([frames, frames]))[0],
        lambda m: m.unnormalized_log_prob(frames),
    ):
        for one, other in zip(gradient(value), expected):
            assert_close(one, other, 1e-4)


def test_a_tape_that_starts_after_a_call_sees_the_next_one(case):
    means, logits, frames = case
    mixture = PixelMixture(means, logits, 0.3)
    before = mixture.log_prob(frames)
    with tf.GradientTape() as tape:
        tape.watch(mixture.means)
        after = mixture.log_prob(frames)
    np.testing.assert_array_equal(before, after)
    expected = -mixture.score(frames).gradient_by_means()
    assert_close(tape.gradient(after, mixture.means), expected, 1e-6)


def test_samples_take_every_slot_as_often_as_its_mask_says():
    means = tf.reshape(tf.constant([0.0, 10.0, 20.0]), [1, 3, 1, 1, 1])
    logits = tf.math.log(tf.reshape([0.2, 0.5, 0.3], [1, 3, 1, 1, 1]))
    mixture = PixelMixture(tf.tile(means, [1, 1, 1, 1, 2]), logits, 0.01)
    for granularity in GRANULARITIES:
        samples = mixture.copy(granularity=granularity).sample(20_000, seed=1)
        slots = np.round(np.reshape(samples, (-1, 2)) / 10)
        shares = [np.mean(slots == k) for k in range(3)]
        np.testing.assert_allclose(shares, [0.2, 0.5, 0.3], atol=0.02)
        # The channels of a pixel come from one slot, or each from its own.
        agree = np.mean(slots[:, 0] == slots[:, 1])
        alone = 0.2**2 + 0.5**2 + 0.3**2
        expected = 1.0 if granularity == "pixel" else alone
        assert agree == pytest.approx(expected, abs=0.02)


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


@pytest.mark.parametrize("component", COMPONENTS)
def test_likelihoods_of_pixels_are_densities(case, component):
    means, logits, frames = case
    density = plain_density(frames, means, 0.3, component).prod(-1)
    weights = np.exp(np.asarray(logits))[..., 0]
    score = PixelMixture(means, logits, 0.3, "pixel", component).score(frames)
    found = score.pixel_likelihood()
    assert found.shape == (SHAPE[0], 1, *SHAPE[2:4], 1)
    expected = (weights * density).sum(1) / weights.sum(1)
    assert_close(found[:, 0, ..., 0], expected, 1e-4)
    rest = score.leave_one_out_likelihood()
    for k in range(SHAPE[1]):
        others = [j for j in range(SHAPE[1]) if j != k]
        expected = (weights * density)[:, others].sum(1)
        expected /= weights[:, others].sum(1)
        assert_close(rest[:, k, ..., 0], expected, 1e-4)


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


# ---- a variance for each slot -----------------------------------------------

VARIANCES = (0.02, 0.07, 0.3)


def of_slots(case, granularity="pixel", component="normal"):
    means, logits, _ = case
    return PixelMixture(means, logits, VARIANCES, granularity, component)


def densities(case, component):
    """SciPy's, `[B, K, H, W, C]`, each slot with its own variance."""
    means, _, frames = case
    return np.stack(
        [
            plain_density(frames, means[:, k : k + 1], v, component)[:, 0]
            for k, v in enumerate(VARIANCES)
        ],
        axis=1,
    )


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_slots_with_their_own_variances_are_mixed(case, granularity, component):
    density = densities(case, component)
    if granularity == "pixel":
        density = density.prod(-1, keepdims=True)
    masks = np.asarray(tf.nn.softmax(case[1], axis=1))
    expected = np.log((masks * density).sum(1)).sum((1, 2, 3))
    mixture = of_slots(case, granularity, component)
    assert_close(mixture.log_prob(case[2]), expected, 1e-5)


@pytest.mark.parametrize("component", COMPONENTS)
def test_likelihoods_of_such_pixels_are_densities(case, component):
    density = densities(case, component).prod(-1)
    masks = np.asarray(tf.nn.softmax(case[1], axis=1))[..., 0]
    score = of_slots(case, component=component).score(case[2])
    expected = (masks * density).sum(1)
    assert_close(score.pixel_likelihood()[:, 0, ..., 0], expected, 1e-4)
    own = density / density.sum(1, keepdims=True)
    assert_close(score.mask_posterior()[..., 0], own, 1e-4)


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_their_closed_form_gradients_are_finite_differences(
    case, granularity, component
):
    means, logits, frames = (np.asarray(part) for part in case)

    def nll(means, logits):
        mixture = PixelMixture(means, logits, VARIANCES, granularity, component)
        return -float(tf.reduce_sum(mixture.log_prob(frames)))

    score = of_slots(case, granularity, component).score(frames)
    slopes = (score.gradient_by_means(), score.gradient_by_logits())
    for number, slope in enumerate(slopes):
        step = 1e-2 * np.asarray(draw(*slope.shape, seed=9))
        ends = []
        for sign in (1, -1):
            point = [means, logits]
            point[number] = np.float32(point[number] + sign * step)
            ends.append(nll(*point))
        expected = (ends[0] - ends[1]) / 2
        found = np.sum(step * np.asarray(slope))
        assert found == pytest.approx(expected, rel=0.02)


def test_equal_variances_of_slots_are_one_variance(case):
    means, logits, frames = case
    one = PixelMixture(means, logits, 0.07, "pixel")
    each = PixelMixture(means, logits, [0.07] * 3, "pixel")
    for name in ("log_prob", "unnormalized_log_prob"):
        found = getattr(each, name)(frames)
        assert_close(found, getattr(one, name)(frames), 1e-6)
    assert_close(each.variance(), one.variance(), 1e-6)


@pytest.mark.parametrize("component", COMPONENTS)
def test_samples_spread_as_their_slots_do(component):
    means = tf.reshape(tf.constant([0.0, 50.0, 100.0]), [3, 1, 1, 1])
    mixture = PixelMixture(
        tf.tile(means, [1, 1, 1, 2]),
        tf.zeros([3, 1, 1, 1]),
        VARIANCES,
        component=component,
    )
    samples = np.ravel(mixture.sample(20_000, seed=1))
    for k, variance in enumerate(VARIANCES):
        of_slot = samples[np.round(samples / 50) == k]
        assert np.var(of_slot) == pytest.approx(variance, rel=0.05)
    spread = np.mean(np.square([0, 50, 100])) - 50**2 + np.mean(VARIANCES)
    np.testing.assert_allclose(mixture.variance(), spread, rtol=1e-5)


def test_of_two_slots_that_fit_the_one_with_less_variance_has_the_pixel():
    means = tf.zeros([2, 1, 1, 3])
    mixture = PixelMixture(means, tf.zeros([2, 1, 1, 1]), [0.09**2, 0.11**2])
    shares = mixture.score(tf.zeros([1, 1, 3])).mask_posterior()
    ratio = np.ravel(shares[0] / shares[1])
    np.testing.assert_allclose(np.log(ratio), 3 * np.log(11 / 9), rtol=1e-5)
