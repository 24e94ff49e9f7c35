"""The convolutional VAE: its bound, its sizes, its grid."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models.tiny import tiny_vaes
from tests.models.tiny.tiny_vaes import GRID_SIZE, L
from tfdecomp import training
from tfdecomp.layers.decoders.grid_decoder import GridDecoder
from tfdecomp.models.conv_vae import ConvVAE
from tfdecomp.storage import configs, saving

D = 2 * 3 * L  # a grid of 2x3 cells


def _repeated(picture, count):
    """One picture `[H, W, C]` under `count` seeds."""
    seeds = np.stack([np.full(count, 7), np.arange(count)], axis=1)
    video = np.broadcast_to(picture, (count, 1, *picture.shape))
    return {"video": tf.constant(video), "seed": tf.constant(seeds, tf.int32)}


def _bound(model, inputs, num_samples):
    """Compiled: there are many clips."""
    run = tf.function(
        lambda: model.log_likelihood_bound(inputs, num_samples), autograph=False
    )
    return np.asarray(run())


def _elbo(model, inputs):
    return -np.asarray(
        tf.function(lambda: model(inputs)["loss"], autograph=False)()
    )


def _parameters(model, video):
    frames = video.reshape(-1, *video.shape[2:]).astype(np.float32) / 255
    return np.asarray(model.infer(tf.constant(frames)))


def _count(variables):
    return sum(int(np.prod(v.shape)) for v in variables)


@pytest.mark.parametrize(
    ("channels", "encoder", "decoder"),
    [(1, 521_632, 474_689), (3, 524_832, 475_843)],
)
def test_published_sizes(channels, encoder, decoder):
    model = saving.build(ConvVAE(image_size=64, channels=channels))
    assert model.latent_shape == (8, 8, 16)
    assert _count(model.encoder.trainable_variables) == encoder
    assert _count(model.decoder.trainable_variables) == decoder
    assert _count(model.trainable_variables) == encoder + decoder
    assert encoder + decoder == {1: 996_321, 3: 1_000_675}[channels]
    video = tiny_vaes.binary(1, 1, (64, 64), channels)
    outputs = model({"video": video})
    assert outputs["recon"].shape == (1, 1, 64, 64, channels)
    assert outputs["slots"].shape == (1, 1, 1, 1024)


def test_nll_is_that_of_independent_binary_pixels():
    model, video = tiny_vaes.grid(channels=3), tiny_vaes.binary(channels=3)
    outputs = model({"video": video})
    x = video.astype(np.float64) / 255
    p = np.asarray(outputs["recon"], np.float64)
    expected = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum((1, 2, 3, 4))
    np.testing.assert_allclose(outputs["nll"], expected, rtol=1e-5)


def test_nll_is_finite_where_the_decoder_is_certain_and_wrong():
    model = tiny_vaes.grid()
    last = model.decoder.fine[-1]
    last.kernel.assign(tf.zeros_like(last.kernel))
    last.bias.assign(200.0 + tf.zeros_like(last.bias))
    size = (*model.image_size, model.channels)
    frames = np.stack([np.zeros(size, np.float32), np.ones(size, np.float32)])
    latents = tf.zeros([2, model.latent_dim])
    nll = -model.likelihood(latents).log_prob(frames)
    np.testing.assert_allclose(nll, [200.0 * np.prod(size), 0.0], atol=1e-6)


def test_kl_is_that_of_two_normals():
    model, video = tiny_vaes.grid(), tiny_vaes.binary()
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
    joint = tfp.distributions.kl_divergence(
        model.posterior(_parameters(model, video)), model.prior()
    )
    joint = tf.reduce_sum(tf.reshape(joint, [2, 3]), axis=1)
    np.testing.assert_allclose(outputs["kl"], joint, rtol=1e-5)


def test_log_variances_are_bounded():
    model = tiny_vaes.grid()
    head = model.encoder.stages[-1]
    head.bias.assign([1e3] * L + [1e3, -1e3])
    log_variance = _parameters(model, tiny_vaes.binary())[:, D:].reshape(
        -1, 2, 3, L
    )
    np.testing.assert_array_equal(log_variance[..., 0], 10.0)
    np.testing.assert_array_equal(log_variance[..., 1], -10.0)


def test_loss_weighs_the_divergence_and_a_schedule_replaces_the_weight():
    model, video = tiny_vaes.grid(kl_weight=3.0), tiny_vaes.binary()
    outputs = model({"video": video})
    expected = outputs["nll"] + 3 * outputs["kl"]
    np.testing.assert_allclose(outputs["loss"], expected, rtol=1e-6)
    outputs = model({"video": video, "kl_weight": tf.constant(0.0)})
    np.testing.assert_allclose(outputs["loss"], outputs["nll"], rtol=1e-6)


def test_published_weight_of_the_divergence_rises_for_100k_steps():
    with configs.parsed(["papers/lavae/lavae_baseline_mnist.gin"]):
        schedule = training.build_settings().schedules["kl_weight"]
    values = [float(schedule(k * 1000)) for k in (0, 25, 50, 100, 150)]
    np.testing.assert_allclose(values, [0.0, 0.25, 0.5, 1.0, 1.0], rtol=1e-6)


# ---- the bound --------------------------------------------------------------


@pytest.mark.slow
def test_bound_of_one_sample_is_the_elbo_on_average():
    model, picture = tiny_vaes.grid(), tiny_vaes.binary(1, 1)[0, 0]
    inputs = _repeated(picture, 600)
    bound, elbo = _bound(model, inputs, 1), _elbo(model, inputs)
    error = np.sqrt((bound.var() + elbo.var()) / len(bound))
    assert abs(bound.mean() - elbo.mean()) < 4 * error


@pytest.mark.slow
def test_bound_rises_with_the_number_of_samples():
    model, picture = tiny_vaes.grid(), tiny_vaes.binary(1, 1)[0, 0]
    inputs = _repeated(picture, 200)
    means = [np.mean(_bound(model, inputs, n)) for n in (1, 3, 9, 27)]
    assert np.all(np.diff(means) > 0)


def test_bound_meets_the_integral_over_a_single_latent():
    model = tiny_vaes.grid((3, 4), (0, 0), latents=1, shake=0.5)
    assert model.latent_dim == 1
    picture = tiny_vaes.binary(1, 1, (3, 4))[0, 0]
    z = np.linspace(-8.0, 8.0, 4001, dtype=np.float32)[:, None]
    logits = np.asarray(model.logits(z), np.float64)
    x = picture / 255.0
    log_p = (x * logits - np.logaddexp(0, logits)).sum((1, 2, 3))
    log_p -= 0.5 * z[:, 0] ** 2 + 0.5 * np.log(2 * np.pi)
    marginal = np.log(np.sum(np.exp(log_p)) * (z[1, 0] - z[0, 0]))
    inputs = _repeated(picture, 20)
    elbo = np.mean(_elbo(model, inputs))
    bound = _bound(model, inputs, 400)
    weights = np.exp(bound - marginal)  # unbiased: 1 on average
    error = weights.std() / np.sqrt(len(weights))
    assert abs(weights.mean() - 1.0) < 4 * error + 1e-4
    assert abs(np.mean(bound) - marginal) < 0.05 < marginal - elbo


def test_bound_of_a_clip_is_the_sum_over_its_frames_in_any_batch():
    model, video = tiny_vaes.grid(), tiny_vaes.binary()
    seed = tf.constant([[3, 4], [5, 6]])
    inputs = {"video": video, "seed": seed}
    whole = model.log_likelihood_bound(inputs, num_samples=4)
    alone = {"video": video[1:], "seed": seed[1:]}
    np.testing.assert_allclose(
        model.log_likelihood_bound(alone, num_samples=4), whole[1:], rtol=1e-5
    )
    frames = [
        model.log_likelihood_bound(
            {
                "video": video[:, t : t + 1],
                "seed": seed,
                "first_frame": tf.constant(t),
            },
            num_samples=4,
        )
        for t in range(3)
    ]
    np.testing.assert_allclose(tf.add_n(frames), whole, rtol=1e-5)
    compiled = tf.function(model.log_likelihood_bound)
    np.testing.assert_allclose(compiled(inputs, 4), whole, rtol=1e-5)


# ---- the contract -----------------------------------------------------------


def test_batch_norm_learns_in_training_alone():
    model, video = tiny_vaes.grid(), tiny_vaes.binary()

    def statistics():
        return [np.array(v) for v in model.non_trainable_variables]

    before = statistics()
    model({"video": video})
    model.encode({"video": video})
    model.log_likelihood_bound({"video": video}, num_samples=2)
    for a, b in zip(before, statistics()):
        np.testing.assert_array_equal(a, b)
    model({"video": video}, training=True)
    for a, b in zip(before, statistics()):
        assert np.any(a != b)


def test_a_latent_is_drawn_near_its_cell():
    model = tiny_vaes.grid((64, 64), (0, 0, 0), latents=1)
    grid = np.zeros((2, 8, 8, 1), np.float32)
    grid[1, 2, 5] = 3.0
    blank, drawn = model.logits(grid.reshape(2, 64))
    change = np.abs(drawn - blank)[..., 0]
    # Rows: 3x3, two transposed 4x4, a resize and two 3x3 draw on the cells
    # 1...3, and from these on 1...8, 1...18, 1...38, 0...40. So for columns.
    change[0:41, 23:64] = 0.0
    assert np.all(change < 1e-6)


def test_empty_pictures_leave_every_weight_finite():
    model = tiny_vaes.grid()
    video = tf.zeros([2, 1, *GRID_SIZE, 1], tf.uint8)
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model({"video": video}, training=True)["loss"])
    for gradient in tape.gradient(loss, variables):
        assert np.all(np.isfinite(gradient))
    for variable in model.variables:
        assert np.all(np.isfinite(variable))


def test_a_decoder_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="IMAGE_SIZE and CHANNELS for both"):
        ConvVAE(decoder=GridDecoder((64, 32)), image_size=64)
    with pytest.raises(ValueError, match="IMAGE_SIZE and CHANNELS for both"):
        ConvVAE(decoder=GridDecoder((64, 64), channels=3), image_size=64)
    with pytest.raises(ValueError, match="as many blocks"):
        ConvVAE(decoder=GridDecoder((64, 64), blocks=(1, 1)), image_size=64)
