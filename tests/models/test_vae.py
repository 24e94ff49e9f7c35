"""The VAE: its bound against closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models.tiny import tiny_vaes
from tests.models.tiny.tiny_vaes import SIZE, D
from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder
from tfdecomp.layers.decoders.deconv_decoder import DeconvDecoder
from tfdecomp.models.vae import VAE


def _parameters(model, video):
    frames = video.reshape(-1, *SIZE, 3).astype(np.float32) / 255
    return np.asarray(model.infer(tf.constant(frames)))


def test_nll_is_that_of_a_normal_with_its_constant():
    model, video = tiny_vaes.vector(), tiny_vaes.video()
    outputs = model({"video": video})
    likelihood = tfp.distributions.Normal(outputs["recon"], 0.2**0.5)
    terms = likelihood.log_prob(video.astype(np.float32) / 255)
    expected = -tf.reduce_sum(terms, [1, 2, 3, 4])
    np.testing.assert_allclose(outputs["nll"], expected, rtol=1e-5)


def test_kl_is_that_of_two_normals():
    model, video = tiny_vaes.vector(), tiny_vaes.video()
    outputs = model({"video": video})
    mean, log_variance = np.split(_parameters(model, video), 2, axis=1)
    q = tfp.distributions.Normal(mean, np.exp(0.5 * log_variance))
    expected = tfp.distributions.kl_divergence(
        q, tfp.distributions.Normal(0.0, 1.0)
    ).numpy()
    expected = expected.reshape(2, 3, 1, D)
    np.testing.assert_allclose(outputs["latent_kl"], expected, atol=1e-5)
    np.testing.assert_allclose(
        outputs["kl"], expected.sum((1, 2, 3)), rtol=1e-5
    )


def test_loss_weighs_both_terms_and_schedules_replace_the_weights():
    model, video = (
        tiny_vaes.vector(reconstruction_weight=2.0, kl_weight=3.0),
        tiny_vaes.video(),
    )
    outputs = model({"video": video})
    expected = 2 * outputs["nll"] + 3 * outputs["kl"]
    np.testing.assert_allclose(outputs["loss"], expected, rtol=1e-6)
    outputs = model({"video": video, "kl_weight": tf.constant(0.0)})
    np.testing.assert_allclose(outputs["loss"], 2 * outputs["nll"], rtol=1e-6)


@pytest.mark.slow
def test_the_bound_is_tight_where_the_posterior_is_known():
    """A linear decoder has a Gaussian posterior, and log p(x) = ELBO."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(D, 192)).astype(np.float32) * 0.3
    variance = 0.2

    class Linear(keras.layers.Layer):
        image_size = SIZE
        built = True

        def call(self, z):
            means = tf.reshape(z @ weights, [-1, *SIZE, 3])
            return means, means[..., :1]

    model, video = (
        tiny_vaes.vector(Linear(), variance=variance),
        tiny_vaes.video(1, 1),
    )
    x = video.reshape(192).astype(np.float32) / 255
    # Diagonalise W W^T, so that the exact posterior is diagonal as well.
    vectors = np.linalg.eigh(weights @ weights.T)[1]
    weights[:] = vectors.T @ weights
    precision = 1.0 + np.diag(weights @ weights.T) / variance
    mean = weights @ x / variance / precision
    exact = np.concatenate([mean, -np.log(precision)])[None]
    model.infer = lambda frames: tf.constant(exact, tf.float32)
    bound = []
    for n in range(400):
        outputs = model({"video": video, "seed": tf.constant([[0, n]])})
        bound.append(-float(outputs["loss"][0]))
    marginal = tfp.distributions.MultivariateNormalFullCovariance(
        np.zeros(192), weights.T @ weights + variance * np.eye(192)
    ).log_prob(x.astype(np.float64))
    error = np.std(bound) / np.sqrt(len(bound))
    assert abs(np.mean(bound) - float(marginal)) < 5 * error


def test_a_decoder_of_another_size_is_refused():
    with pytest.raises(ValueError, match="set IMAGE_SIZE for both"):
        VAE(BroadcastDecoder((16, 16), filters=(4,)), image_size=8)


def test_a_deconvolution_draws_for_it_as_well():
    decoder = DeconvDecoder(SIZE, dense=(8,), grid=4, filters=6)
    model, video = tiny_vaes.vector(decoder), tiny_vaes.video()
    outputs = model({"video": video})
    assert outputs["recon"].shape == video.shape
    assert np.all(np.isfinite(outputs["loss"]))
