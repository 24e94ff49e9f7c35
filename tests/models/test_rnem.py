"""R-NEM, against NumPy and by what must hold."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models.oracles import rnem_numpy
from tests.models.tiny import tiny_rnem
from tests.models.tiny.tiny_rnem import SIZE, B, D, K, T, clips, tiny
from tests.test_case import assert_close
from tfdecomp.layers.decoders.group_decoder import GroupDecoder
from tfdecomp.layers.encoders.residual_encoder import ResidualEncoder
from tfdecomp.layers.pairwise_interaction import PairwiseInteraction
from tfdecomp.models import rnem
from tfdecomp.models.rnem import RNEM

GROUPED = ("masks", "components", "slots")


@functools.cache
def model(**options):
    """A tiny model that no test changes."""
    return tiny(**options)


@functools.cache
def outputs(**options):
    """What a tiny model says of `clips()`."""
    return model(**options)(clips())


def random_psi(seed=3):
    rng = np.random.default_rng(seed)
    psi = rng.uniform(0.05, 0.95, (B, K, SIZE, SIZE, 1))
    return tf.constant(psi, tf.float32)


# ---- the whole -------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"relations": False}, {"normalize_state": True}],
    ids=["rnem", "rnn_em", "normalize_state"],
)
def test_a_clip_is_what_numpy_makes_of_it(options):
    subject, batch = model(noise=0.0, **options), clips()
    found = subject(batch)
    for b in range(B):
        video, gamma = batch["video"][b], batch["first_masks"][b]
        expected = rnem_numpy.clip(subject, np.float64(video), gamma)
        for name in GROUPED:
            assert_close(found[name][b], expected[name], 1e-4)
        for name in ("nll", "inter"):
            np.testing.assert_allclose(found[name][b], expected[name], 1e-4)
        whole = (expected["nll"] + expected["inter"]) / (T - 1)
        np.testing.assert_allclose(found["loss"][b], whole, 1e-4)
        best = expected["components"].max(1)[1:]
        cross = np.where(video[1:] > 0, np.log(best), np.log(1 - best))
        bound = -cross.sum() / (T - 1)
        np.testing.assert_allclose(found["bound"][b], bound, 1e-4)


def test_the_weight_of_the_second_term_can_be_scheduled():
    found = outputs()
    batch = {**clips(), "inter_weight": tf.constant(0.25)}
    less = model()(batch)["loss"]
    expected = (found["nll"] + 0.25 * found["inter"]) / (T - 1)
    np.testing.assert_allclose(less, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("interaction", "number"),
    [
        (PairwiseInteraction(), 4_951_978),
        (PairwiseInteraction(attention=False), 4_926_577),
        (None, 4_611_827),
    ],
    ids=["attention", "sum", "rnn_em"],
)
def test_published_sizes(interaction, number):
    subject = RNEM(interaction=interaction)
    subject.build()
    assert subject.count_params() == number


def test_size_of_rnn_em_on_small_pictures():
    subject = RNEM(
        ResidualEncoder((32, 64)),
        GroupDecoder((28, 28), filters=(64, 32)),
        interaction=None,
        image_size=28,
        state_dim=100,
    )
    subject.build()
    assert subject.count_params() == 3_403_389


# ---- groups ----------------------------------------------------------------


def test_responsibilities_are_shares_and_predictions_probabilities():
    found = outputs()
    assert np.min(found["masks"]) > 0
    np.testing.assert_allclose(np.sum(found["masks"], 2), 1.0, rtol=1e-5)
    psi = np.asarray(found["components"])
    np.testing.assert_array_equal(psi[:, 0], 0.0)
    assert np.all((psi[:, 1:] > 0) & (psi[:, 1:] < 1))
    np.testing.assert_array_equal(found["recon"][:, 0], 0.0)


def test_the_first_responsibilities_are_those_of_the_seed():
    seeds = [[1, 2], [1, 3]]

    def first(video, seeds):
        batch = {"video": video, "seed": tf.constant(seeds)}
        return np.asarray(model()(batch)["masks"][:, 0])

    both = first(tiny_rnem.video(), seeds)
    other = first(tiny_rnem.video(seed=9), seeds)
    np.testing.assert_array_equal(both, other)
    alone = first(tiny_rnem.video(batch=1), seeds[1:])
    np.testing.assert_array_equal(both[1:], alone)
    assert np.any(both[0] != both[1])


def test_permuted_groups_are_permuted_in_all_frames():
    order, found = [2, 0, 1], outputs()
    batch = clips()
    batch["first_masks"] = batch["first_masks"][:, order]
    permuted = model()(batch)
    for name in GROUPED:
        expected = tf.gather(found[name], order, axis=2)
        assert_close(permuted[name], expected, 1e-5)
    np.testing.assert_allclose(permuted["loss"], found["loss"], rtol=1e-5)


def test_groups_that_start_equal_stay_equal():
    batch = {**clips(), "first_masks": np.full((B, K, SIZE, SIZE, 1), 1 / K)}
    found = model()(batch)
    for name in GROUPED:
        first = found[name][:, :, :1]
        assert_close(found[name], tf.repeat(first, K, axis=2), 1e-5)


@pytest.mark.parametrize("relations", [True, False])
def test_groups_know_of_each_other_by_the_interaction_alone(relations):
    subject = model(relations=relations)
    rng = np.random.default_rng(0)
    h = np.float32(rng.random((B, K, D)))
    residual = np.float32(rng.standard_normal((B, K, SIZE, SIZE, 1)))
    _, before = subject.advance(tf.constant(h), tf.constant(residual))
    h[:, 0] = rng.random((B, D))
    _, after = subject.advance(tf.constant(h), tf.constant(residual))
    change = np.abs(after - before).max((0, 2, 3, 4))
    assert change[0] > 1e-4
    assert np.all(change[1:] > 1e-6) == relations
    assert np.all(change[1:] == 0) == (not relations)


# ---- the E-step and the loss -----------------------------------------------


def test_e_step_of_two_pixels_and_two_groups():
    subject = RNEM(interaction=None, image_size=8, decoder=GroupDecoder((8, 8)))
    psi = tf.constant([[0.8, 0.4], [0.2, 0.1]])[None, :, None, :, None]
    frame = tf.constant([1.0, 0.0])[None, None, :, None]
    gamma = subject.responsibilities(psi, frame)[0, :, 0, :, 0]
    expected = [[0.8, 0.6 / 1.5], [0.2, 0.9 / 1.5]]
    np.testing.assert_allclose(gamma, expected, rtol=1e-5)


@pytest.mark.parametrize("prior", [0.0, 0.3, 1.0])
def test_the_second_term_is_a_divergence_from_the_prior(prior):
    psi, frame = random_psi(), tf.constant(tiny_rnem.video()[:, 0])
    gamma = tf.constant(tiny_rnem.first_masks())
    found = model(pixel_prior=prior).losses(psi, gamma, frame)["inter"]
    p, q = (tfp.distributions.Bernoulli(probs=v) for v in (prior, psi))
    expected = (1 - gamma) * tfp.distributions.kl_divergence(p, q)
    expected = tf.reduce_sum(expected, [1, 2, 3, 4])
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    if prior == 0:
        log = tf.reduce_sum((1 - gamma) * tf.math.log(1 - psi), [1, 2, 3, 4])
        np.testing.assert_allclose(found, -log, rtol=1e-5)


def test_no_logarithm_is_infinite():
    gamma = tf.constant(tiny_rnem.first_masks())
    frame = tf.constant(tiny_rnem.video()[:, 0])
    for value in (0.0, 1.0):
        terms = model().losses(tf.fill(gamma.shape, value), gamma, frame)
        assert all(np.all(np.isfinite(term)) for term in terms.values())


def test_no_gradient_passes_through_responsibilities():
    psi, frame = random_psi(), tf.constant(tiny_rnem.video()[:, 0])
    gamma = tf.constant(tiny_rnem.first_masks())
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([psi, gamma])
        terms = model().losses(psi, gamma, frame)
        shares = model().responsibilities(psi, frame)
    for name in ("nll", "inter"):
        assert tape.gradient(terms[name], gamma) is None
        assert tape.gradient(terms[name], psi) is not None
    assert tape.gradient(shares, psi) is None


def unrolled(subject, batch, stop):
    """The loss of three frames, written out; `stop` cuts psi in residuals."""
    cut = tf.stop_gradient if stop else tf.identity
    video, gamma = tf.constant(batch["video"]), batch["first_masks"]
    h = tf.zeros([B, K, D])
    residual, loss = gamma * video[:, :1], 0.0
    for t in (1, 2):
        h, psi = subject.advance(h, residual)
        gamma = subject.responsibilities(psi, video[:, t])
        residual = gamma * (video[:, t, None] - cut(psi))
        terms = subject.losses(psi, gamma, video[:, t])
        loss += (terms["nll"] + terms["inter"]) / 2
    return tf.reduce_sum(loss)


def test_gradients_pass_through_predictions_into_residuals():
    subject, batch = model(noise=0.0), clips(frames=3)
    weights = [w.value for w in subject.decoder.trainable_variables]

    def gradients(function):
        with tf.GradientTape() as tape:
            loss = function()
        return tape.gradient(loss, weights)

    looped = gradients(lambda: tf.reduce_sum(subject(batch)["loss"]))
    whole = gradients(lambda: unrolled(subject, batch, stop=False))
    cut = gradients(lambda: unrolled(subject, batch, stop=True))
    assert_close(looped, whole, 1e-4)
    difference = tf.linalg.global_norm([a - b for a, b in zip(whole, cut)])
    assert difference > 1e-3 * tf.linalg.global_norm(whole)


def test_the_first_loss_is_that_of_predictions_of_one_half():
    subject = RNEM(interaction=PairwiseInteraction())
    found = subject({"video": np.zeros((1, 2, 64, 64, 1))})["loss"]
    np.testing.assert_allclose(found, 5 * 64**2 * math.log(2), rtol=0.3)


# ---- time ------------------------------------------------------------------


def test_a_frame_changes_no_prediction_up_to_its_own():
    found, batch, t = outputs(), clips(), 2
    batch["video"][:, t] = 1.0 - batch["video"][:, t]
    changed = model()(batch)
    for name in ("components", "slots"):
        before, after = found[name], changed[name]
        np.testing.assert_array_equal(before[:, : t + 1], after[:, : t + 1])
        assert np.any(before[:, t + 1] != after[:, t + 1])
    assert np.any(found["masks"][:, t] != changed["masks"][:, t])


def test_a_clip_in_chunks_is_the_clip_bit_for_bit():
    whole, batch = outputs(), clips()
    first = model()({**batch, "video": batch["video"][:, :1]})
    assert set(first["state"]) == {"h", "residual", "frame"}
    np.testing.assert_array_equal(first["loss"], 0.0)
    rest = {"video": batch["video"][:, 1:], "seed": batch["seed"]}
    rest = model()({**rest, "state": first["state"]})
    for name in (*GROUPED, "recon"):
        joined = tf.concat([first[name], rest[name]], axis=1)
        np.testing.assert_array_equal(joined, whole[name])
    np.testing.assert_allclose(rest["loss"], whole["loss"], rtol=1e-6)
    assert int(rest["state"]["frame"]) == T


# ---- noise -----------------------------------------------------------------


def read(subject, batch):
    """What the network reads of frames, with flipped bits."""
    video = rnem.binary(batch["video"])
    return np.asarray(subject._flipped(batch, video, 0, subject.noise))


def test_noise_flips_bits():
    batch = clips()
    np.testing.assert_array_equal(read(model(noise=0.0), batch), batch["video"])
    flipped = read(model(noise=1.0), batch)
    np.testing.assert_array_equal(flipped, 1.0 - batch["video"])
    some = np.mean(read(model(noise=0.2), batch) != batch["video"])
    assert 0.1 < some < 0.3


def test_flips_are_those_of_the_seed_and_the_frame():
    batch, subject = clips(), model(noise=0.5)
    both = read(subject, batch)
    alone = {name: value[1:] for name, value in batch.items()}
    np.testing.assert_array_equal(both[1:], read(subject, alone))
    flips = both != batch["video"]
    assert np.any(flips[0] != flips[1]) and np.any(flips[:, 0] != flips[:, 1])


def test_noise_outside_training_can_be_left_out():
    quiet = tiny(noise=0.3, eval_noise=False)
    expected = tiny(noise=0.0)(clips())["masks"]
    np.testing.assert_array_equal(quiet(clips())["masks"], expected)
    assert np.any(quiet(clips(), training=True)["masks"] != expected)


def test_bytes_are_black_or_white():
    batch = clips()
    grey = np.where(batch["video"] > 0, 128, 127).astype(np.uint8)
    found = model()({**batch, "video": grey})
    np.testing.assert_array_equal(found["masks"], outputs()["masks"])


def test_colours_are_refused():
    video = np.zeros((1, 2, SIZE, SIZE, 3), np.uint8)
    with pytest.raises(ValueError, match="binary frames.*8, 3.; give one"):
        model()({"video": video})


def test_a_decoder_of_another_size_is_refused():
    with pytest.raises(ValueError, match="is .8, 8.*64, 64.*set IMAGE_SIZE"):
        RNEM(interaction=None, image_size=8, decoder=GroupDecoder())


# ---- what follows ----------------------------------------------------------


def test_no_predicted_frames_are_none_and_leave_the_state():
    state = outputs()["state"]
    found = model().predict_frames(state, clips()["seed"], 0)
    assert found["recon"].shape == (B, 0, SIZE, SIZE, 1)
    tf.nest.map_structure(np.testing.assert_array_equal, found["state"], state)


def test_predictions_stand_in_for_frames():
    subject, seed = model(noise=0.0), clips()["seed"]
    state = subject(clips())["state"]
    found = subject.predict_frames(state, seed, 2)
    h, residual = (np.asarray(state[n], np.float64) for n in ("h", "residual"))
    for b in range(B):
        after, left = h[b], residual[b]
        for t in range(2):
            after, psi = rnem_numpy.advance(subject, after, left)
            gamma = rnem_numpy.responsibilities(psi, psi.max(0) > 0.1)
            picture = np.sum(gamma * psi, 0)
            left = gamma * (picture - psi)
            assert_close(found["components"][b, t], psi, 1e-4)
            assert_close(found["recon"][b, t], picture, 1e-4)
            assert_close(found["slots"][b, t], after, 1e-4)


def test_states_are_drawn_as_what_they_predict():
    found = outputs()
    drawn = model().decode(found["slots"][:, 2])
    assert_close(drawn["components"], found["components"][:, 2], 1e-3)
    expected = rnem.next_frames(found)[:, 2]
    assert_close(drawn["recon"], expected, 1e-3)


def test_black_that_nobody_draws_is_background():
    found = dict(outputs())
    psi = np.zeros(found["components"].shape, np.float32)
    psi[:, 1, 2, 3, 4] = 0.2
    gamma = np.zeros(found["masks"].shape, np.float32)
    gamma[:, :, 2] = 1.0
    ids = rnem.object_ids({"components": psi, "masks": gamma})
    expected = np.zeros((B, T, SIZE, SIZE), int)
    expected[:, 1, 3, 4] = 3
    np.testing.assert_array_equal(ids, expected)


# ---- training --------------------------------------------------------------


@pytest.mark.slow
def test_black_is_learnt():
    subject = tiny(shake=0.0, noise=0.0)
    batch = {**clips(), "video": np.zeros((B, T, SIZE, SIZE, 1))}
    weights = [w.value for w in subject.trainable_variables]

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            found = subject(batch, training=True)
            loss = tf.reduce_mean(found["loss"])
        slopes = tape.gradient(loss, weights)
        for weight, slope in zip(weights, slopes):
            weight.assign_sub(0.01 * tf.sign(slope))
        return tf.reduce_mean(found["bound"])

    bounds = [float(step()) for _ in range(60)]
    assert bounds[-1] < 0.1 * bounds[0]
