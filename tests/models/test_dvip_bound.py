"""DVIP: closed forms of its bound and its terms."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from tests.models.tiny import tiny_dvip
from tests.models.tiny.tiny_dvip import (
    PREDICTED,
    SAMPLED,
    GivenNoise,
    LinearDVIP,
    T,
    filtered,
)

tfd = tfp.distributions


@pytest.fixture(scope="module")
def model():
    return tiny_dvip.tiny()


@pytest.fixture(scope="module")
def inputs():
    return tiny_dvip.clips()


@pytest.fixture(scope="module")
def outputs(model, inputs):
    found = model(inputs)
    return tf.nest.map_structure(np.asarray, found)


# ---- closed forms ----------------------------------------------------------


def sigma_points(frames, latents):
    """Noise `[2n, T, Z]` over which quadratic functions have their mean."""
    n = frames * latents
    points = np.sqrt(n) * np.concatenate([np.eye(n), -np.eye(n)])
    return points.reshape(2 * n, frames, latents)


def mean_bound(system, video, monkeypatch):
    """The expected ELBO of one clip `[T, P]`, nats for all frames."""
    noise = sigma_points(len(video), len(system.r))
    GivenNoise(noise).use(monkeypatch)
    frames = video.reshape(1, len(video), *system.IMAGE_SIZE, 1)
    clip = tf.constant(np.tile(frames, (len(noise), 1, 1, 1, 1)), tf.float32)
    return len(video) * np.mean(system.model()({"video": clip})["elbo"])


def closed_form(system, video):
    """The same, by moments of the posterior instead of samples."""
    s, v, identity = system.s, system.v, np.eye(len(system.r))
    bound, mean, spread = 0.0, None, None
    for x in video:
        own = system.G @ x + system.c
        if mean is None:
            prior, pull = np.ones_like(v), np.zeros_like(identity)
            mean, spread = np.zeros_like(v), np.zeros_like(identity)
        else:
            prior, pull = system.r, system.A
        # mu_q - mu_p is linear in the latents of the frame before.
        by_latents = (system.H - identity) @ pull
        error = own + by_latents @ mean
        error = error**2 + np.diag(by_latents @ spread @ by_latents.T)
        bound -= 0.5 * np.sum((v + error) / prior - 1 + np.log(prior / v))
        step = system.H @ pull
        mean, spread = own + step @ mean, step @ spread @ step.T + np.diag(v)
        miss = np.sum((x - system.b - system.W @ mean) ** 2)
        miss += np.trace(system.W @ spread @ system.W.T)
        bound -= 0.5 * (len(x) * np.log(2 * np.pi * s) + miss / s)
    return bound


def log_evidence(system, video):
    """log p(x_1, ..., x_T) of a linear system."""
    frames, latents = len(video), len(system.r)
    # Covariance of all latents: rows of z_t by z_u.
    steps = [np.eye(latents)]
    for _ in range(frames - 1):
        steps.append(system.A @ system.A @ steps[-1] + np.diag(system.r))
    blocks = [
        [
            np.linalg.matrix_power(system.A, max(t - u, 0))
            @ steps[min(t, u)]
            @ np.linalg.matrix_power(system.A, max(u - t, 0))
            for u in range(frames)
        ]
        for t in range(frames)
    ]
    W = np.kron(np.eye(frames), system.W)
    covariance = W @ np.block(blocks) @ W.T + system.s * np.eye(len(W))
    mean = np.tile(system.b, frames)
    return stats.multivariate_normal(mean, covariance).logpdf(video.ravel())


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_bound_of_a_linear_system_has_its_closed_form(
    frames, seed, monkeypatch
):
    system = LinearDVIP(seed)
    video = np.random.default_rng(seed).uniform(0, 1, (frames, 4))
    expected = closed_form(system, video)
    assert mean_bound(system, video, monkeypatch) == pytest.approx(
        expected, rel=1e-5
    )
    assert expected < log_evidence(system, video)


def test_the_bound_is_tight_with_the_exact_posterior(monkeypatch):
    system = LinearDVIP()
    system.W = 1.5 * np.linalg.qr(system.W)[0]  # so that it is diagonal
    system.v = np.full(2, 1 / (1 + 1.5**2 / system.s))
    system.G = np.diag(system.v) @ system.W.T / system.s
    system.c = -system.G @ system.b
    video = np.random.default_rng(0).uniform(0, 1, (1, 4))
    assert mean_bound(system, video, monkeypatch) == pytest.approx(
        log_evidence(system, video), rel=1e-5
    )


@pytest.mark.parametrize(
    ("variance", "expected"), [(0.25, -2774.524), (0.05, 7113.862)]
)
def test_a_perfect_reconstruction_has_the_published_likelihood(
    variance, expected
):
    model = tiny_dvip.tiny(variance=variance)
    video = tf.random.stateless_uniform([2, 3, 64, 64, 3], [0, 1])
    found = model.pixels(video).log_prob(video)
    np.testing.assert_allclose(found, np.full((2, 3), expected), atol=0.01)


def test_terms_are_those_of_normal_distributions(model, inputs, outputs):
    records = filtered(model, inputs)
    posterior, prior = (
        tfd.Normal(records[mean], np.exp(0.5 * records[log_variance]))
        for mean, log_variance in (SAMPLED[1:], PREDICTED)
    )
    kl = np.asarray(tfd.kl_divergence(posterior, prior))
    assert np.all(outputs["latent_kl"] >= -1e-6)
    np.testing.assert_allclose(
        outputs["latent_kl"].reshape(kl.shape), kl, rtol=1e-4, atol=1e-6
    )
    frames = tfd.Normal(outputs["recon"], model.variance**0.5)
    nll = -np.sum(frames.log_prob(inputs["video"]), axis=(1, 2, 3, 4))
    kl = kl.sum((1, 2))
    np.testing.assert_allclose(outputs["nll"], nll, rtol=1e-5)
    np.testing.assert_allclose(outputs["kl"], kl, rtol=1e-4)
    np.testing.assert_allclose(outputs["loss"], (nll + kl) / T, rtol=1e-5)
    np.testing.assert_array_equal(outputs["elbo"], -outputs["loss"])


def test_a_posterior_that_is_the_prior_costs_nothing():
    model = tiny_dvip.tiny()
    for layer in (model.head.mean, model.head.log_variance):
        for weight in layer.weights:
            weight.assign(tf.zeros_like(weight))
    for weight in (model.dynamics.kernels[-1], model.dynamics.biases[-1]):
        weight.assign(tf.zeros_like(weight))
    found = model(tiny_dvip.clips())
    np.testing.assert_array_equal(found["latent_kl"], 0.0)


def test_the_divergence_can_weigh_less(model, inputs, outputs):
    found = model({**inputs, "kl_weight": tf.constant(0.3)})
    np.testing.assert_allclose(
        found["loss"], (outputs["nll"] + 0.3 * outputs["kl"]) / T, rtol=1e-5
    )
    np.testing.assert_array_equal(found["elbo"], outputs["elbo"])
