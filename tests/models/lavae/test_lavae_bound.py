"""LAVAE: the bound of log p(x), against sums and integrals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.tiny.tiny_lavae import seeded
from tfdecomp.layers.locationwise_vae import LocationwiseVAE
from tfdecomp.models import lavae

SIDE, PIXELS = 3, 9
HEIGHTS = np.array([[2.0, 0.2, 1.5], [0.1, 0.3, -0.4], [0.5, -1.0, 0.4]])
THRESHOLDS = {0: 3.0, 1: 1.7, 2: 1.0}  # peaks of HEIGHTS above
MEANS = np.random.default_rng(0).normal(0, 0.7, PIXELS)
LOG_VARIANCES = np.random.default_rng(1).normal(-0.3, 0.3, PIXELS)
SLOPES = np.random.default_rng(2).normal(0, 1.5, (SIDE, SIDE))
OFFSETS = np.random.default_rng(3).normal(0, 1.0, (SIDE, SIDE))
COUNT_LOGITS = np.array([0.3, -0.5, 0.9])
PICTURE = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0]], np.float64)


class Heights(keras.layers.Layer):
    def call(self, frames, training=False):
        shape = [tf.shape(frames)[0], SIDE, SIDE]
        return tf.broadcast_to(tf.constant(HEIGHTS, tf.float32), shape)


class Codes(keras.layers.Layer):
    latent_dim = 1

    def call(self, frames, training=False):
        codes = np.stack([MEANS, LOG_VARIANCES], -1).reshape(SIDE, SIDE, 2)
        shape = [tf.shape(frames)[0], SIDE, SIDE, 2]
        return tf.broadcast_to(tf.constant(codes, tf.float32), shape)


class Sprites(keras.layers.Layer):
    size, channels = SIDE, 1

    def call(self, latents, training=False):
        values = latents[:, None] * SLOPES.astype(np.float32)
        values += OFFSETS.astype(np.float32)
        return 0.45 * tf.sigmoid(values)[..., None]

    def compute_output_shape(self, shape):
        return (shape[0], SIDE, SIDE, 1)


def _toy(count):
    """Everything about it is known: see the constants."""
    model = lavae.LAVAE(
        Heights(),
        Codes(),
        Sprites(),
        LocationwiseVAE((SIDE, SIDE), latent_dim=1, filters=2),
        image_size=SIDE,
        num_slots=3,
        logit_scale=1.0,
        count_threshold=THRESHOLDS[count],
    )
    model.build()
    model.count_logits.assign(COUNT_LOGITS.astype(np.float32))
    return model


def _bound(model, num_samples):
    """Of pictures, one clip each; compiled, as there are many."""
    return tf.function(
        lambda i: model.log_likelihood_bound(i, num_samples), autograph=False
    )


def _values(bound, picture, repeats):
    video = np.tile(picture[None, None, ..., None], (repeats, 1, 1, 1, 1))
    return np.asarray(bound(seeded(video)), np.float64)


class _Exact:
    """Sums over locations and Gauss-Hermite quadrature over appearances."""

    def __init__(self, count, nodes=24):
        self.count = count
        self.log_a = (COUNT_LOGITS - np.log(np.exp(COUNT_LOGITS).sum()))[count]
        points, weights = np.polynomial.hermite_e.hermegauss(nodes)
        self.points, self.weights = points, weights / weights.sum()

    def orders(self):
        """Every order of places, with log q and log p."""
        places = [()]
        for _ in range(self.count):
            places = [
                (*some, d)
                for some in places
                for d in range(PIXELS)
                if d not in some
            ]
        weights = np.exp(HEIGHTS.ravel())
        for some in places:
            left, log_q = weights.copy(), 0.0
            for place in some:
                log_q += np.log(left[place] / left.sum())
                left[place] = 0.0
            log_p = -sum(np.log(PIXELS - i) for i in range(self.count))
            yield some, log_q, log_p

    def likelihoods(self, places, latents):
        """log p(x | places, latents) on the grid `[V, V]` or `[V]` or []."""
        padded = np.zeros((*(len(z) for z in latents), 5, 5))
        for i, (place, z) in enumerate(zip(places, latents)):
            sprites = 0.45 / (
                1 + np.exp(-(z[:, None, None] * SLOPES + OFFSETS))
            )
            shape = [1] * len(latents)
            shape[i] = len(z)
            row, column = divmod(place, SIDE)
            padded[..., row : row + 3, column : column + 3] += sprites.reshape(
                *shape, SIDE, SIDE
            )
        p = np.clip(padded[..., 1:4, 1:4], 1e-6, 1 - 1e-6)
        terms = PICTURE * np.log(p) + (1 - PICTURE) * np.log1p(-p)
        return terms.sum((-2, -1))

    def mean(self, values):
        for _ in range(self.count):
            values = values @ self.weights
        return float(values)

    def evidence(self):
        """log p(x, n)."""
        total = 0.0
        for places, _, log_p in self.orders():
            grid = self.likelihoods(places, [self.points] * self.count)
            total += np.exp(log_p) * self.mean(np.exp(grid))
        return self.log_a + np.log(total)

    def elbo(self):
        total = 0.0
        for places, log_q, log_p in self.orders():
            latents, divergence = [], 0.0
            for place in places:
                mean, log_v = MEANS[place], LOG_VARIANCES[place]
                latents.append(mean + np.exp(log_v / 2) * self.points)
                divergence += 0.5 * (mean**2 + np.exp(log_v) - 1 - log_v)
            value = self.mean(self.likelihoods(places, latents))
            total += np.exp(log_q) * (value - divergence + log_p - log_q)
        return self.log_a + total


@pytest.mark.parametrize("count", [1, 2])
def test_the_bound_is_that_of_sums_and_integrals(count):
    model, exact = _toy(count), _Exact(count)
    evidence, elbo = exact.evidence(), exact.elbo()
    assert elbo < evidence - 0.05
    one = _values(_bound(model, 1), PICTURE, 1500)
    error = one.std() / np.sqrt(len(one))
    # Its mean is the ELBO; the mean of its exponential is the evidence.
    assert one.mean() == pytest.approx(elbo, abs=4 * error)
    ratio = np.exp(one - evidence)
    error = ratio.std() / np.sqrt(len(ratio))
    assert error < 0.1
    assert ratio.mean() == pytest.approx(1.0, abs=4 * error)
    # It rises with the samples, and ends at the evidence.
    means = [one.mean()]
    for num_samples, repeats in ((4, 300), (32, 60), (400, 8)):
        some = _values(_bound(model, num_samples), PICTURE, repeats)
        means.append(some.mean())
    assert means == sorted(means)
    assert means[-1] == pytest.approx(evidence, abs=0.1)


def test_the_loss_of_evaluation_has_the_elbo_as_its_mean():
    model, exact = _toy(2), _Exact(2)
    video = np.tile(PICTURE[None, None, ..., None], (1500, 1, 1, 1, 1))
    loss = np.asarray(
        tf.function(model, autograph=False)(seeded(video))["loss"]
    )
    error = loss.std() / np.sqrt(len(loss))
    assert -loss.mean() == pytest.approx(exact.elbo(), abs=4 * error)


@pytest.mark.parametrize("num_samples", [1, 7])
def test_the_bound_of_a_blank_picture_is_known(num_samples):
    model, exact = _toy(0), _Exact(0)
    blank = np.zeros((SIDE, SIDE))
    bound = _bound(model, num_samples)
    np.testing.assert_allclose(
        _values(bound, blank, 2),
        exact.log_a + PIXELS * np.log1p(-1e-6),
        rtol=1e-5,
    )
    found = _values(bound, PICTURE, 2)
    np.testing.assert_allclose(found, exact.evidence(), rtol=1e-5)
