"""IODINE's invariants."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.tiny.tiny_iodine import (
    SIZE,
    B,
    K,
    R,
    Recorder,
    Z,
    kept,
    kept_outputs,
    noise,
    run,
    tiny,
    video,
)
from tests.test_case import assert_close, set_seed
from tfdecomp.distributions.gaussians import PARAMETERIZATIONS
from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder
from tfdecomp.layers.encoders.refinement_encoder import RefinementEncoder
from tfdecomp.metrics import rand_index
from tfdecomp.models.iodine import IODINE

# ---- 1 to 3: masks and slots -----------------------------------------------


def test_mask_posteriors_sum_to_one(monkeypatch):
    model = kept()
    recorder = Recorder(model, monkeypatch)
    run(model)
    for _, _, score in recorder.objectives:
        total = tf.reduce_sum(score.mask_posterior(), axis=1)
        np.testing.assert_allclose(total, 1, atol=1e-5)


def test_permuting_the_noise_permutes_the_slots():
    order, one = [2, 0, 1], kept_outputs()
    two = run(kept(), noise=noise()[:, :, :, order])
    for name in ("masks", "components", "slots", "latent_kl"):
        assert_close(tf.gather(one[name], order, axis=2), two[name], 1e-5)
    for name in ("loss", "nll", "kl", "recon"):
        assert_close(one[name], two[name], 1e-5)


def test_fewer_than_two_slots_are_refused():
    with pytest.raises(ValueError, match="num_slots must be at least 2"):
        tiny(num_slots=1)


# ---- 10: the prior ---------------------------------------------------------


def test_kl_is_zero_where_the_posterior_is_the_prior():
    model = tiny()
    raw = math.log(math.e - 1)
    model.initial_parameters.assign(np.repeat([0.0, raw], Z))
    history = model.refinement_history({"video": video()})
    np.testing.assert_allclose(history["kl_by_step"][:, 0], 0, atol=1e-6)
    assert np.all(np.asarray(history["kl_by_step"][:, 1:]) > 0)


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
def test_initial_log_variance_starts_at_that_variance(parameterization):
    set_seed(0)
    model = IODINE(
        image_size=16,
        parameterization=parameterization,
        initial_log_variance=-1.0,
    )
    model.build()
    posterior = model.posterior(tf.convert_to_tensor(model.initial_parameters))
    assert np.all(np.asarray(posterior.mean()) == 0)
    np.testing.assert_allclose(posterior.variance(), math.exp(-1), rtol=1e-4)


def test_initial_parameters_fill_the_interval_of_their_number():
    set_seed(0)
    model = IODINE(image_size=16)
    model.build()
    values, limit = np.asarray(model.initial_parameters), (3 / 128) ** 0.5
    assert 0.9 * limit < np.abs(values).max() <= limit


def test_prior_variance_enters_the_kl():
    model = tiny(prior_variance=math.log(2))
    history = model.refinement_history({"video": video()})
    exact = model.posterior(history["parameters"]).kl_divergence(model.prior())
    assert_close(history["kl_by_step"], tf.reduce_sum(exact, -1), 1e-5)


# ---- 13: noise -------------------------------------------------------------


def test_without_noise_all_slots_stay_the_same():
    model = kept()
    drawn = np.zeros((B, 1, 8, K, Z), np.float32)
    inputs = {"video": video(), "noise": drawn}
    outputs = model(inputs, num_refinements=7)
    for name in ("masks", "components", "slots"):
        values = outputs[name]
        # Refinements amplify the rounding of single slots.
        assert_close(values, tf.repeat(values[:, :, :1], K, axis=2), 1e-3)


# ---- 15: more refinements --------------------------------------------------


def test_thrice_the_refinements_stay_finite():
    model = kept()
    count = len(model.variables)
    history = model.refinement_history({"video": video()}, 3 * R)
    assert history["recon"].shape == (B, 3 * R + 1, SIZE, SIZE, 3)
    for name in ("recon", "nll_by_step", "kl_by_step", "parameters"):
        assert np.all(np.isfinite(history[name]))
    assert len(model.variables) == count


def test_history_ends_with_what_a_call_returns():
    model = kept()
    inputs = {"video": video(), "seed": np.array([[3, 1], [4, 1]], np.int32)}
    history, outputs = model.refinement_history(inputs), model(inputs)
    for name in ("recon", "masks", "components", "slots"):
        assert history[name].shape[1] == R + 1
        assert_close(history[name][:, -1:], outputs[name], 1e-5)
    assert_close(history["nll_by_step"][:, -1], outputs["nll_last_frame"], 1e-5)
    assert_close(history["kl_by_step"][:, -1], outputs["kl"], 1e-5)


def test_history_of_a_later_frame_draws_that_frames_noise():
    model = kept()
    inputs = {"video": video(), "first_frame": tf.constant(3)}
    history, outputs = model.refinement_history(inputs), model(inputs)
    assert_close(history["masks"][:, -1:], outputs["masks"], 1e-5)


# ---- recovery --------------------------------------------------------------


def two_squares(count, seed):
    """Two squares of different colours, far apart on black, and their ids."""
    rng = np.random.default_rng(seed)
    pictures = np.zeros((count, 1, SIZE, SIZE, 3), np.float32)
    ids = np.zeros((count, 1, SIZE, SIZE), np.int32)
    for b in range(count):
        colors = rng.permutation(np.eye(3, dtype=np.float32))
        for number, left in enumerate((0, SIZE - 3)):
            top = rng.integers(0, SIZE - 2)
            square = (b, 0, slice(top, top + 3), slice(left, left + 3))
            pictures[square], ids[square] = colors[number], number + 1
    return pictures, ids


def squares_model():
    set_seed(0)
    decoder = BroadcastDecoder(
        (SIZE, SIZE),
        filters=(24, 24),
        kernel_sizes=1,
        dense=(),
        mean_activation="linear",
        activation="leaky_relu",
        initializer="he_normal",
        coordinate_scale=2.0,
        vector_scale=0.35,
    )
    encoder = RefinementEncoder(
        (16, 16), strides=2, pool=1, units=(32,), initializer="he_normal"
    )
    model = IODINE(
        decoder,
        encoder,
        image_size=SIZE,
        num_slots=3,
        num_refinements=3,
        latent_dim=8,
        units=32,
        variance=0.1,
        parameterization="log_variance",
        kl_weight=0.5,
        initial_log_variance=0.0,
        update_bias=(0.0, -1.5),
    )
    model.build()
    return model


@pytest.mark.slow
def test_two_far_apart_squares_are_told_apart():
    model, (pictures, _) = squares_model(), two_squares(512, seed=0)
    optimizer = keras.optimizers.Adam(3e-3)
    weights, batch = model.trainable_variables, 16
    optimizer.build(weights)

    @tf.function(autograph=False)
    def step(i):
        rows = (tf.range(batch) + batch * i) % len(pictures)
        seeds = tf.stack([tf.fill([batch], i), tf.range(batch)], axis=-1)
        inputs = {"video": tf.gather(pictures, rows), "seed": seeds}
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(inputs, training=True)["loss"])
        by_weights, _ = tf.clip_by_global_norm(tape.gradient(loss, weights), 5)
        optimizer.apply(by_weights, weights)

    for i in tf.range(1300):
        step(i)
    unseen, ids = two_squares(64, seed=1)
    found = rand_index.hard_ids(model({"video": unseen})["masks"])
    assert rand_index.rand_scores(ids, found)["f_ari"].mean() > 0.9
