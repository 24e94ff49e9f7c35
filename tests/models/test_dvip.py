"""DVIP: closed forms, independence of factors, the contract, its uses."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models.tiny import tiny_dvip
from tests.models.tiny.tiny_dvip import (
    PREDICTED,
    SIZE,
    B,
    D,
    GivenNoise,
    K,
    T,
    filtered,
)
from tests.models.tiny.tiny_lavae import gradients
from tfdecomp import training
from tfdecomp.distributions.gaussians import DiagonalGaussian
from tfdecomp.layers.encoders.frame_encoder import FrameEncoder
from tfdecomp.models import dvip
from tfdecomp.storage import configs
from tfdecomp.training import optimizers

tfd = tfp.distributions
Z = K * D


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


def compare(found, expected, tolerance=1e-5):
    tf.nest.assert_same_structure(found, expected)
    for a, b in zip(tf.nest.flatten(found), tf.nest.flatten(expected)):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def cut(inputs, begin, end=None):
    """Frames of a batch."""
    return {**inputs, "video": inputs["video"][:, begin:end]}


# ---- independent factors ---------------------------------------------------


def test_the_prediction_of_a_factor_ignores_the_others(model):
    latents = tf.constant(
        np.random.default_rng(0).normal(size=(2, Z)), tf.float32
    )
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(latents)
        prediction = model.transition(latents)
    for values in prediction:
        jacobian = np.asarray(tape.batch_jacobian(values, latents))
        jacobian = jacobian.reshape(2, K, D, K, D)
        for i, j in np.ndindex(K, K):
            block = jacobian[:, i, :, j]
            assert np.all(block != 0.0) if i == j else np.all(block == 0.0)


def test_one_factor_is_the_entangled_model(inputs):
    one = tiny_dvip.tiny(num_factors=1, factor_dim=Z)
    entangled = tiny_dvip.tiny(entangled=True)
    assert entangled.latent_shape == one.latent_shape == (1, Z)
    assert entangled.num_slots == 1
    for a, b in zip(one.weights, entangled.weights):
        np.testing.assert_array_equal(a, b)
    few = cut(inputs, 0, 2)
    compare(entangled(few), one(few), 0.0)
    found = gradients(one, few).values()
    for a, b in zip(found, gradients(entangled, few).values()):
        np.testing.assert_array_equal(a, b)


def test_the_numbers_of_factors_do_not_matter(model, inputs, monkeypatch):
    turn = np.arange(Z).reshape(K, D)[::-1].ravel()
    noise = np.random.default_rng(0).normal(size=(B, T, Z))
    GivenNoise(noise).use(monkeypatch)
    expected = model(inputs)
    turned = tiny_dvip.tiny()
    for weight in (*turned.dynamics.kernels, *turned.dynamics.biases):
        weight.assign(np.asarray(weight)[::-1])
    _, by_mean, by_log_variance = turned.head.readers
    for layer in (by_mean, by_log_variance, turned.generator.dense):
        layer.kernel.assign(np.asarray(layer.kernel)[turn])
    for layer in (turned.head.mean, turned.head.log_variance):
        layer.kernel.assign(np.asarray(layer.kernel)[:, turn])
        layer.bias.assign(np.asarray(layer.bias)[turn])
    GivenNoise(noise[..., turn]).use(monkeypatch)
    found = turned(inputs)
    for name in ("recon", "elbo", "kl", "nll"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)
    np.testing.assert_allclose(
        found["slots"], expected["slots"][:, :, ::-1], rtol=1e-4, atol=1e-5
    )


# ---- what learns from what -------------------------------------------------


def tell(model, records, monkeypatch):
    """Lets the head read recorded predictions in place of the model's."""
    frames = iter(range(T))

    def posterior(features, prediction):
        del prediction
        t = next(frames)
        told = (records[n][:, t] for n in PREDICTED)
        return DiagonalGaussian.of(*model.head(features, *told))

    monkeypatch.setattr(model, "posterior", posterior)


def test_the_head_teaches_the_transitions_nothing(inputs, monkeypatch):
    free, told = tiny_dvip.tiny(), tiny_dvip.tiny()
    # Batch norm's statistics move with every call in training.
    records = filtered(free, inputs)
    for model in (free, told):
        model.encoder.call = lambda frames, training, layer=model.encoder: type(
            layer
        ).call(layer, frames)
    tell(told, records, monkeypatch)
    expected = gradients(free, inputs)
    for (path, a), b in zip(
        expected.items(), gradients(told, inputs).values(), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4, err_msg=path)
        assert np.any(a != 0.0), path


def divergence(model, features, frame):
    """The sum of one frame's divergence."""
    inputs = {"video": tf.zeros([*features.shape[:2], SIZE, SIZE, 3])}
    records, _ = model.filter(inputs, features)
    q, p = dvip.distributions(records)
    return tf.reduce_sum(tfd.kl_divergence(q, p)[:, frame])


def test_a_divergence_reaches_back_through_the_latents(monkeypatch):
    # So encoders learn to be predictable. Finite differences of the second
    # frame's divergence, with what the head reads held still.
    model = tiny_dvip.tiny(shake=0.3)
    features = np.random.default_rng(0).normal(size=(1, 2, 5))
    features = features.astype(np.float32)
    records, _ = model.filter({"video": tf.zeros([1, 2, 1])}, features)

    def value(features):
        tell(model, records, monkeypatch)
        return divergence(model, features, frame=1)

    with tf.GradientTape() as tape:
        watched = tf.constant(features)
        tape.watch(watched)
        total = divergence(model, watched, frame=1)
    gradient = np.asarray(tape.gradient(total, watched))
    step = 1e-2
    for t, f in ((0, 0), (0, 1), (0, 2), (1, 3)):
        moved = np.zeros_like(features)
        moved[0, t, f] = step
        slope = value(features + moved) - value(features - moved)
        assert gradient[0, t, f] == pytest.approx(
            float(slope) / (2 * step), rel=0.02, abs=1e-3
        )
    assert np.abs(gradient[0, 0]).max() > 0.01


def test_a_single_frame_teaches_the_transitions_nothing(inputs):
    found = gradients(tiny_dvip.tiny(), cut(inputs, 0, 1))
    # The head reads zeros for the first frame.
    idle = ("independent_dynamics", "read_mean/kernel", "variance/kernel")
    for path, gradient in found.items():
        moves = gradient is not None and np.any(gradient != 0.0)
        is_idle = any(name in path for name in idle)
        assert moves != is_idle or "head/log_variance" in path, path


# ---- time ------------------------------------------------------------------


def test_the_first_frame_is_predicted_to_be_standard_normal(
    model, inputs, outputs
):
    zeros = tf.zeros([B, Z])
    state = {"mean": zeros, "log_variance": zeros, "frame": tf.constant(0)}
    compare(model({**inputs, "state": state}), model(inputs), 0.0)
    records = filtered(model, inputs)
    for name in PREDICTED:
        np.testing.assert_array_equal(records[name][:, 0], 0.0)
    other = tiny_dvip.tiny()
    for weight in other.dynamics.weights:
        weight.assign(weight + 1.0)
    found = other(inputs)
    for name in ("slots", "samples", "latent_kl", "recon"):
        np.testing.assert_array_equal(found[name][:, 0], outputs[name][:, 0])
    assert np.all(np.asarray(found["slots"])[:, 1] != outputs["slots"][:, 1])
    prior = model.prior()
    assert prior.event_shape == (Z,)
    np.testing.assert_array_equal(prior.mean(), 0.0)
    np.testing.assert_array_equal(prior.stddev(), 1.0)


def test_distributions_of_clips_have_events_of_latents_and_of_pixels(
    model, inputs, outputs
):
    q, p = model.posteriors(inputs)
    np.testing.assert_array_equal(model.posterior(inputs).mean(), q.mean())
    for found in (q, p):
        assert (found.event_shape, found.batch_shape) == ((Z,), (B, T))
    np.testing.assert_allclose(
        np.reshape(outputs["slots"], (B, T, Z)), q.mean(), rtol=1e-6
    )
    pictures = model.likelihood(q.sample(seed=1))
    assert pictures.event_shape == (SIZE, SIZE, 3)
    assert pictures.batch_shape == pictures.log_prob(inputs["video"]).shape
    after = model.prior(q.mean()[:, 0])
    assert (after.event_shape, after.batch_shape) == ((Z,), (B,))
    # The expectation of the log ratio over the posterior is the divergence.
    draws = q.sample(20_000, seed=2)
    ratio = tf.reduce_mean(q.log_prob(draws) - p.log_prob(draws), axis=0)
    kl = np.asarray(tfd.kl_divergence(q, p))
    np.testing.assert_allclose(ratio, kl, rtol=0.05, atol=0.05)


# ---- one clip, one result --------------------------------------------------


def test_another_seed_is_another_sample(model, inputs, outputs):
    found = model({**inputs, "seed": inputs["seed"] + 1})
    assert np.all(np.asarray(found["samples"]) != outputs["samples"])
    np.testing.assert_array_equal(
        found["slots"][:, 0], outputs["slots"][:, 0]
    )  # means; of the first frame, as the later ones see samples


# ---- its parts -------------------------------------------------------------


def test_all_frames_go_through_the_networks_at_once(inputs):
    model = tiny_dvip.tiny()
    frames = tf.reshape(inputs["video"], [-1, SIZE, SIZE, 3])
    encoder = tiny_dvip.tiny().encoder
    expected = encoder(frames, training=True)
    _, features = model._features(inputs, training=True)
    np.testing.assert_allclose(
        features, tf.reshape(expected, features.shape), rtol=1e-5, atol=1e-6
    )
    for a, b in zip(model.encoder.weights, encoder.weights):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_few_steps_leave_the_black_picture_behind():
    model = tiny_dvip.tiny(shake=0.0, num_factors=2)
    video = np.zeros((4, 3, SIZE, SIZE, 3), np.float32)
    for clip, t in np.ndindex(4, 3):  # a red and a green square on their way
        video[clip, t, 4 : 8 + clip, 2 * t : 5 + 2 * t, 0] = 1.0
        video[clip, t, 9 - t : 13 - t, 10 - clip : 14 - clip, 1] = 1.0
    inputs = tiny_dvip.seeded(video)
    black = float(tf.reduce_mean(model.pixels(0.0 * video).log_prob(video)))
    weights = model.trainable_variables
    adam = optimizers.Adam(0.01)
    adam.build([v.value for v in weights])

    @tf.function(autograph=False)
    def step(count):
        adam.update(
            tf.distribute.get_strategy(),
            [v.value for v in weights],
            list(gradients(model, inputs).values()),
            factor=0.25,
            step=count - 1,
            count=count,
            is_taken=tf.constant(True),
        )

    before = float(tf.reduce_mean(model(inputs)["elbo"]))
    for count in range(200):
        step(tf.constant(count + 1))
    after = float(tf.reduce_mean(model(inputs)["elbo"]))
    assert before < black < after


# ---- one factor at a time --------------------------------------------------


@pytest.fixture(scope="module")
def means(model, inputs):
    """Latents of a clip that is filtered by means."""
    return filtered(model, inputs, use_means=True)["latents"]


def test_means_are_handed_on_in_place_of_samples(model, inputs, means):
    _, features = model._features(inputs)
    prediction = DiagonalGaussian.of(tf.zeros([B, Z]), tf.zeros([B, Z]))
    for t in range(T):
        mean = model.posterior(features[:, t], prediction).mean()
        np.testing.assert_allclose(means[:, t], mean, rtol=1e-5, atol=1e-6)
        prediction = model.prior(mean)


@pytest.mark.parametrize("factor", range(K))
def test_a_factor_moves_while_the_others_stand(model, inputs, means, factor):
    own = slice(factor * D, (factor + 1) * D)
    expected = np.array(means)
    expected[:, 2:] = expected[:, 1:2]
    expected[:, 2:, own] = means[:, 2:, own]
    found = model.vary(inputs, factor)
    np.testing.assert_array_equal(found, model.draw(tf.constant(expected)))
    np.testing.assert_array_equal(found[:, :2], model.draw(means)[:, :2])


def test_components_are_factors_that_move_alone(model, outputs):
    slots = outputs["slots"]
    for k in range(K):
        moving = np.repeat(slots[:, 1:2], T, axis=1)
        moving[:, :, k] = slots[:, :, k]
        drawn = model.decode(moving.reshape(-1, K, D))["recon"]
        np.testing.assert_allclose(
            outputs["components"][:, :, k],
            np.reshape(drawn, outputs["recon"].shape),
            atol=1e-6,
        )


@pytest.mark.parametrize("by", ["posterior", "transition", "prior"])
def test_a_single_factor_that_varies_is_everything(by, inputs):
    model = tiny_dvip.tiny(entangled=True)
    found = model.vary(inputs, 0, by)
    means = filtered(model, inputs, use_means=True)["latents"]
    if by == "posterior":
        np.testing.assert_array_equal(found, model.draw(means))
    np.testing.assert_array_equal(found[:, :2], model.draw(means)[:, :2])


@pytest.mark.parametrize("by", ["transition", "prior"])
def test_a_factor_can_follow_its_transition_or_the_prior(
    by, model, inputs, means, monkeypatch
):
    noise = np.random.default_rng(1).normal(size=(B, T - 2, Z))
    noise = noise.astype(np.float32)
    found = model.vary(inputs, 1, by)
    np.testing.assert_array_equal(found, model.vary(inputs, 1, by))
    monkeypatch.setattr(model, "_noise_like", lambda *_: noise)
    found = model.vary(inputs, 1, by)
    latents = np.array(means)
    latents[:, 2:] = latents[:, 1:2]
    value = latents[:, 1]
    for t in range(2, T):
        if by == "transition":
            mean, log_variance = map(np.asarray, model.transition(value))
            value = mean + np.exp(0.5 * log_variance) * noise[:, t - 2]
        else:
            value = noise[:, t - 2]
        latents[:, t, D:] = value[:, D:]
    np.testing.assert_allclose(found, model.draw(latents), atol=1e-5)


def test_a_factor_that_is_not_there_is_refused(model, inputs):
    for factor in (-1, K):
        with pytest.raises(ValueError, match=r"numbers 0\.\.\.1, got"):
            model.vary(inputs, factor)
    with pytest.raises(ValueError, match="by must be one of"):
        model.vary(inputs, 0, by="posteriors")


# ---- prediction, samples, codes --------------------------------------------


def test_means_are_predicted_by_the_transitions(model, inputs, outputs):
    found = model.rollout(inputs, 3, use_means=True)
    latents = outputs["state"]["mean"]
    for t in range(3):
        np.testing.assert_allclose(
            np.reshape(found["slots"][:, t], (B, Z)), latents, atol=1e-5
        )
        np.testing.assert_allclose(
            found["recon"][:, t], model.generator(latents), atol=1e-5
        )
        latents = np.asarray(model.transition(latents)[0])
    assert found["components"].shape == (B, 3, K, SIZE, SIZE, 3)


def test_sampled_predictions_have_the_predicted_moments(
    model, inputs, outputs, monkeypatch
):
    noise = np.random.default_rng(2).normal(size=(B, 2, Z))
    GivenNoise(noise).use(monkeypatch)
    state = {n: tf.constant(v) for n, v in outputs["state"].items()}
    found = model.predict_frames(state, inputs["seed"], 2)
    slots = np.reshape(found["slots"], (B, 2, Z))
    prediction = (state["mean"], state["log_variance"])
    for t in range(2):
        mean, log_variance = map(np.asarray, prediction)
        expected = mean + np.exp(0.5 * log_variance) * noise[:, t]
        np.testing.assert_allclose(slots[:, t], expected, rtol=1e-4, atol=1e-5)
        prediction = model.transition(slots[:, t])
    compare(
        found["state"],
        {
            "mean": prediction[0],
            "log_variance": prediction[1],
            "frame": tf.constant(T + 2),
            "still": state["still"],
        },
    )


def test_videos_of_the_prior(model):
    sample = tf.function(
        lambda seed: model.sample_prior(200, 2, seed), autograph=False
    )
    drawn = sample(tf.constant([1, 2]))
    assert drawn["recon"].shape == (200, 2, SIZE, SIZE, 3)
    first, second = np.moveaxis(np.reshape(drawn["slots"], (200, 2, Z)), 1, 0)
    # Three standard errors of the worst of six latents, and more.
    assert np.abs(first.mean(0)).max() < 0.25
    assert np.abs(first.std(0) - 1).max() < 0.2
    mean, log_variance = map(np.asarray, model.transition(first))
    noise = (second - mean) / np.exp(0.5 * log_variance)
    assert np.abs(noise.mean(0)).max() < 0.25
    assert np.abs(noise.std(0) - 1).max() < 0.2


def test_what_was_encoded_can_be_drawn(model, inputs, outputs):
    slots = model.encode(inputs)["slots"]
    np.testing.assert_allclose(slots, outputs["slots"], atol=1e-6)
    drawn = model.decode(tf.reshape(outputs["samples"], [-1, K, D]))["recon"]
    np.testing.assert_allclose(
        np.reshape(drawn, outputs["recon"].shape), outputs["recon"], atol=1e-6
    )


# ---- bad input, published sizes --------------------------------------------


def test_a_model_that_does_not_fit_together_is_refused():
    with pytest.raises(ValueError, match="its FrameEncoder .8, 8.; set"):
        tiny_dvip.tiny(encoder=FrameEncoder((8, 8), (4,)))


@pytest.mark.parametrize(
    ("path", "bindings", "latents", "parameters"),
    [
        ("dvip.gin", [], (2, 25), 6_329_285),
        ("papers/dvip/dvip_entangled.gin", [], (1, 50), 6_279_621),
        ("papers/dvip/dvip_street.gin", [], (8, 25), 8_219_819),
        (
            "papers/dvip/dvip_street.gin",
            ["models.DVIP.entangled = True"],
            (1, 200),
            7_872_171,
        ),
    ],
)
def test_published_sizes(path, bindings, latents, parameters):
    with configs.isolated():
        configs.parse([path], bindings)
        settings = training.build_settings()
    model = settings.model
    assert model.latent_shape == latents
    assert parameters == sum(
        int(np.prod(v.shape)) for v in model.trainable_variables
    )
    assert (settings.batch_size, settings.frames_at(0)) == (100, 5)
    assert model.variance == (0.05 if "street" in path else 0.25)
    forward = model.encoder.frame_flops + model.generator.frame_flops
    assert model.step_flops(100, 5) == 3 * 500 * forward
