"""The VAE: its bound against closed forms, its contract, its learning."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp import saving
from tfdecomp.layers.broadcast_decoder import BroadcastDecoder
from tfdecomp.layers.deconv_decoder import DeconvDecoder
from tfdecomp.models.vae import VAE

SIZE, D = (8, 8), 4


def _vae(decoder=None, **options):
    keras.utils.set_random_seed(0)
    model = VAE(
        decoder or BroadcastDecoder(SIZE, filters=(6,), dense=()),
        **{
            "image_size": SIZE,
            "latent_dim": D,
            "filters": (6, 8),
            "units": (10,),
            "variance": 0.2,
            **options,
        },
    )
    return saving.build(model)


def _video(batch=2, frames=3, seed=0):
    shape = (batch, frames, *SIZE, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def _parameters(model, video):
    frames = video.reshape(-1, *SIZE, 3).astype(np.float32) / 255
    return np.asarray(model.infer(tf.constant(frames)))


def test_nll_is_that_of_a_normal_with_its_constant():
    model, video = _vae(), _video()
    outputs = model({"video": video})
    likelihood = tfp.distributions.Normal(outputs["recon"], 0.2**0.5)
    terms = likelihood.log_prob(video.astype(np.float32) / 255)
    expected = -tf.reduce_sum(terms, [1, 2, 3, 4])
    np.testing.assert_allclose(outputs["nll"], expected, rtol=1e-5)


def test_kl_is_that_of_two_normals():
    model, video = _vae(), _video()
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
    model, video = _vae(reconstruction_weight=2.0, kl_weight=3.0), _video()
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

    model, video = _vae(Linear(), variance=variance), _video(1, 1)
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


@pytest.mark.parametrize("decoder", ["broadcast", "deconv"])
def test_outputs_keep_the_contract(decoder):
    if decoder == "deconv":
        decoder = DeconvDecoder(SIZE, dense=(8,), grid=4, filters=6)
    else:
        decoder = None
    model, video = _vae(decoder), _video()
    outputs = model({"video": video})
    assert "masks" not in outputs
    assert outputs["recon"].shape == video.shape
    assert outputs["slots"].shape == (2, 3, 1, D)
    assert outputs["latent_kl"].shape == (2, 3, 1, D)
    for name in ("loss", "nll", "kl"):
        assert outputs[name].shape == (2,)
    compiled = tf.function(model)({"video": video})
    for name, value in outputs.items():
        np.testing.assert_allclose(compiled[name], value, rtol=1e-4, atol=1e-5)


def test_a_clip_is_the_same_alone_and_its_frames_in_chunks():
    model, video = _vae(), _video()
    seed = tf.constant([[3, 4], [5, 6]])
    whole = model({"video": video, "seed": seed})
    alone = model({"video": video[1:], "seed": seed[1:]})
    rest = model(
        {"video": video[:, 2:], "seed": seed, "first_frame": tf.constant(2)}
    )
    for name in ("recon", "slots"):
        np.testing.assert_allclose(whole[name][1:], alone[name], atol=1e-5)
        np.testing.assert_allclose(whole[name][:, 2:], rest[name], atol=1e-5)
    other = model({"video": video, "seed": seed + 1})
    np.testing.assert_allclose(other["slots"], whole["slots"], atol=1e-6)
    assert np.abs(other["recon"] - whole["recon"]).max() > 1e-3


def test_prior_samples_are_pictures_that_a_seed_repeats():
    model = _vae()
    samples = model.sample_prior(5, seed=(1, 2))
    assert samples["recon"].shape == (5, *SIZE, 3)
    assert np.min(samples["recon"]) >= 0 and np.max(samples["recon"]) <= 1
    again = model.sample_prior(5, seed=(1, 2))
    np.testing.assert_array_equal(samples["recon"], again["recon"])
    decoded = tf.clip_by_value(model.decode(samples["slots"])["recon"], 0, 1)
    np.testing.assert_allclose(decoded, samples["recon"], atol=1e-6)


def test_a_traversal_changes_one_latent_of_the_mean():
    model, video = _vae(), _video()
    swept = model.traverse({"video": video}, dims=[2], values=[-1.0, 0.5])
    assert swept.shape == (2, 1, 2, *SIZE, 3)
    slots = np.array(model({"video": video})["slots"][:, -1])
    slots[:, 0, 2] = 0.5
    expected = model.decode(slots)["recon"]
    np.testing.assert_allclose(swept[:, 0, 1], expected, atol=1e-5)
    with pytest.raises(ValueError, match="one slot"):
        model.traverse({"video": video}, slot=1)


def test_loss_falls_on_a_fixed_batch():
    model, video = _vae(), tf.constant(_video(4, 1))
    optimizer = keras.optimizers.Adam(1e-2)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                model({"video": video}, training=True)["loss"]
            )
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    first = float(step())
    for _ in range(50):
        last = float(step())
    assert last < 0.85 * first  # noise: little of it can be learned


def test_a_saved_model_is_the_same(tmp_path):
    model, video = _vae(), _video()
    saving.save_model(tmp_path, model)
    again = saving.load_model(tmp_path)
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(
        again({"video": video})["recon"], model({"video": video})["recon"]
    )
    for name, value in model.get_config().items():
        found = again.get_config()[name]
        if name == "decoder":  # beside it stands how it was built
            value, found = value["config"], found["config"]
        assert found == value, name


def test_a_decoder_of_another_size_is_refused():
    with pytest.raises(ValueError, match="set IMAGE_SIZE for both"):
        VAE(BroadcastDecoder((16, 16), filters=(4,)), image_size=8)
