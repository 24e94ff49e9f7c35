"""DDPAE, against NumPy and by what must hold."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models.oracles import ddpae_numpy
from tests.models.tiny import tiny_ddpae
from tests.models.tiny.tiny_ddpae import SIZE, B, K, N, T, Z, clips, tiny
from tests.test_case import assert_close
from tfdecomp.layers.pose.plain_encoder import PlainEncoder
from tfdecomp.models.ddpae import DDPAE
from tfdecomp.ops import poses

tfd = tfp.distributions


@functools.cache
def model(**options):
    """A tiny model that no test changes."""
    return tiny(**options)


@functools.cache
def outputs(**options):
    """What a tiny model says of `clips()`."""
    return model(**options)(clips())


def raw_poses(subject, batch, training=False):
    return np.asarray(subject.infer(batch, training)["raw"])


def count(subject):
    return sum(int(np.prod(v.shape)) for v in subject.trainable_variables)


# ---- the whole -------------------------------------------------------------


@pytest.mark.parametrize("independent", [False, True])
def test_a_clip_is_what_numpy_makes_of_it(independent):
    subject = model(independent_components=independent)
    batch, more = clips(), 2
    found = subject(batch)
    after = subject.predict_frames(found["state"], batch["seed"], more)
    for b in range(B):
        video = np.float64(batch["video"][b])
        expected = ddpae_numpy.clip(subject, video, more)
        for name in ("recon", "components"):
            read = found[name][b]
            read = read if name == "recon" else read[:, 1:]
            assert_close(read, expected[name][:T], 1e-4)
            read = after[name][b]
            read = read if name == "recon" else read[:, 1:]
            assert_close(read, expected[name][T:], 1e-4)
        slots = np.asarray(found["slots"][b, :, 1:])
        assert_close(slots[..., :3], expected["raw"][:T], 1e-4)
        assert_close(slots[0, :, 3:], expected["content"], 1e-4)
        for name in ("nll", "kl_pose", "kl_initial", "kl_content"):
            np.testing.assert_allclose(found[name][b], expected[name], 1e-4)


def test_the_loss_is_the_sum_of_its_parts():
    found = outputs()
    parts = [found[f"kl_{name}"] for name in ("pose", "initial", "content")]
    np.testing.assert_allclose(found["kl"], sum(parts), rtol=1e-5)
    whole = np.sum(found["latent_kl"], (1, 2, 3))
    np.testing.assert_allclose(found["kl"], whole, rtol=1e-5)
    loss = found["nll"] + found["kl"]
    np.testing.assert_allclose(found["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(found["elbo"], -loss / T, rtol=1e-5)
    batch = {**clips(), "kl_weight": tf.constant(0.5)}
    less = found["nll"] + 0.5 * found["kl"]
    np.testing.assert_allclose(model()(batch)["loss"], less, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "number"),
    [
        ({}, 705_340),
        ({"image_size": 128, "num_slots": 5, "units": 128}, 1_805_372),
        ({"image_size": 64, "num_slots": 5, "units": 128}, 1_215_036),
        ({"image_size": 32, "features": 128, "content_dim": 32}, 274_812),
    ],
    ids=["digits", "balls", "small balls", "quick"],
)
def test_published_sizes(options, number):
    subject = DDPAE(**options)
    subject.build()
    assert count(subject) == number


def test_published_sizes_of_recurrences():
    subject = DDPAE()
    subject.build()
    parts = subject.reading, subject.predicting, subject.first, subject.looking
    assert [count(part) for part in parts] == [98_560, 49_408, 33_024, 49_408]
    heads = subject.increment_head, subject.first_head, subject.content_head
    assert [count(head) for head in heads] == [390, 390, 16_640]


def test_independent_components_read_less():
    subject = DDPAE(independent_components=True)
    subject.build()
    assert count(subject) == 705_340 - 64 * 4 * 64


# ---- what is drawn ---------------------------------------------------------


def test_frames_are_sums_of_components_up_to_one():
    found = outputs()
    total = np.sum(found["components"], 2)
    assert np.max(total) > 1
    assert_close(found["recon"], np.minimum(total, 1), 1e-6)
    assert not np.any(np.asarray(found["components"])[:, :, 0])


def test_a_perfect_picture_has_the_likelihood_of_its_constant():
    means = tf.constant(clips()["video"])
    nll = -model().likelihood(means).log_prob(means) / SIZE**2
    np.testing.assert_allclose(nll, 0.5 * math.log(2 * math.pi * 0.09), 1e-5)
    np.testing.assert_allclose(nll, -0.2850, atol=1e-4)


def test_masks_are_shares_and_black_is_background():
    subject = tiny()
    found = outputs()
    np.testing.assert_allclose(np.sum(found["masks"], 2), 1, rtol=1e-5)
    assert np.min(found["masks"]) >= 0
    drawn = found["components"][:, :, 1:]
    total = tf.reduce_sum(drawn, 2, keepdims=True)
    assert_close(found["masks"][:, :, 1:], drawn / tf.maximum(total, 1), 1e-6)
    black = subject._shown(tf.zeros([1, 1, N, 4, 4, 1]), tf.ones([1, 1, N, 3]))
    np.testing.assert_array_equal(black["masks"][:, :, 0], 1)


def test_permuted_components_give_the_same_frame():
    slots = outputs()["slots"][:, -1]
    drawn = model().decode(slots)
    other = model().decode(tf.gather(slots, [0, 2, 1], axis=1))
    assert_close(other["recon"], drawn["recon"], 1e-6)
    order = tf.gather(drawn["components"], [0, 2, 1], axis=1)
    assert_close(other["components"], order, 1e-6)


def test_a_look_drawn_once_is_that_drawn_for_every_frame():
    subject = tiny()
    rng = np.random.default_rng(0)
    content = np.float32(rng.standard_normal((B, N, Z)))
    raw = np.float32(rng.normal([2, 0, 0], 0.5, (B, T, N, 3)))
    once = subject.draw(raw, content, training=True)
    copies = np.repeat(content[:, None], T, 1).reshape(-1, Z)
    pictures = subject.decoder(copies, training=True)
    pictures = tf.reshape(pictures, [B * T, N, *pictures.shape[1:]])
    pose = poses.constrain(tf.reshape(raw, [B * T, 1, N, 3]), 2.0)
    each = poses.place(pictures, pose, SIZE)
    assert_close(tf.reshape(each, once.shape), once, 1e-5)


def test_locations_are_where_components_are():
    """The mass of a window drawn evenly is in its middle."""
    subject = model()
    raw = tf.constant([[[[2.0, 0.4, -0.8], [2.3, -0.2, 0.1]]]])
    shown = subject._shown(tf.zeros([1, 1, N, SIZE, SIZE, 1]), raw)
    even = tf.ones([1, N, subject.object_size, subject.object_size, 1])
    placed = poses.place(even, poses.constrain(raw, 2.0), SIZE)[0, 0, ..., 0]
    for i in range(N):
        mass, centres = np.asarray(placed[i]), np.arange(SIZE) + 0.5
        place = [mass.sum(1) @ centres, mass.sum(0) @ centres] / mass.sum()
        np.testing.assert_allclose(shown["locations"][0, 0, i + 1], place, 0.1)
        box = np.asarray(shown["boxes"][0, 0, i + 1])
        np.testing.assert_allclose((box[:2] + box[2:]) / 2, place, atol=0.5)


def test_tracks_have_the_numbers_of_components():
    found = outputs()
    ids = np.asarray(found["track_ids"])
    assert np.all(ids == np.arange(K))
    assert found["boxes"].shape == (B, T, K, 4)
    assert np.all(np.asarray(found["presence"]) == 1)


# ---- poses -----------------------------------------------------------------


def test_without_increments_a_pose_stays():
    subject = tiny()
    for weight in subject.increment_head.weights:
        weight.assign(tf.zeros_like(weight))
    found = subject.infer(clips())
    first = np.asarray(found["q"]["pose"].loc)[:, None]
    assert_close(found["raw"], np.repeat(first, T, 1), 1e-6)


def test_the_first_frame_has_an_increment():
    found = model().infer(clips())
    first = found["q"]["pose"].loc + found["q"]["increments"].loc[:, 0]
    assert_close(found["raw"][:, 0], first, 1e-6)


def test_later_frames_change_no_increment():
    batch = clips()
    before = model().infer(batch)["q"]["increments"].loc
    batch["video"] = batch["video"].copy()
    batch["video"][:, 2] = 1 - batch["video"][:, 2]
    after = model().infer(batch)["q"]["increments"].loc
    np.testing.assert_array_equal(before[:, :2], after[:, :2])
    assert np.any(before[:, 2] != after[:, 2])


def test_training_predicts_from_what_it_read_alone():
    subject, batch = tiny(num_input=2), clips()
    moving = [w.numpy() for w in subject.non_trainable_variables]
    before = subject(batch, training=True)
    other = {**batch, "video": batch["video"].copy()}
    other["video"][:, 2:] = 1 - other["video"][:, 2:]
    for weight, value in zip(subject.non_trainable_variables, moving):
        weight.assign(value)
    after = subject(other, training=True)
    np.testing.assert_array_equal(before["recon"], after["recon"])
    assert np.all(before["nll"] != after["nll"])


def test_training_goes_on_as_prediction_does():
    subject, batch = tiny(num_input=2), clips()
    subject._noise = lambda *_: dict.fromkeys(
        ("increments", "pose", "content"), 0.0
    )  # means, in training too
    trained = subject.infer(batch, training=True)
    zeros = tf.zeros([B, N, 5])
    _, (h, c) = subject._read(batch["video"][:, :2], (zeros, zeros), True)
    state = {"h": h, "c": c, "pose": trained["raw"][:, 1], "frame": 2}
    state["content"] = trained["content"]
    after = subject.predict_frames(state, batch["seed"], T - 2)
    assert_close(after["slots"][:, :, 1:, :3], trained["raw"][:, 2:], 1e-5)
    assert_close(after["state"]["h"], trained["state"]["h"], 1e-5)


def test_components_know_of_those_before_them():
    subject, h = model(), np.float32(np.random.rand(1, N, 5))
    state = tf.constant(h), tf.constant(h)
    before = subject._go_on(state, 3)[0]
    for changed, reached in ((0, [True, True]), (1, [False, True])):
        other = h.copy()
        other[:, changed] += 1
        after = subject._go_on((tf.constant(other), state[1]), 3)[0]
        moved = np.any(np.asarray(before != after), (0, 1, 3))
        assert moved.tolist() == reached


def test_independent_components_know_nothing_of_each_other():
    subject = model(independent_components=True)
    h = np.float32(np.random.rand(1, N, 5))
    state = tf.constant(h), tf.constant(h)
    before = subject._go_on(state, 3)[0]
    h[:, 0] += 1
    after = subject._go_on((tf.constant(h), state[1]), 3)[0]
    moved = np.any(np.asarray(before != after), (0, 1, 3))
    assert moved.tolist() == [True, False]


def test_shorter_clips_are_read_but_for_the_last_frame():
    subject = model(num_input=9)
    assert [int(subject._num_read(n)) for n in (1, 2, 9, 10, 20)] == [
        1,
        1,
        8,
        9,
        9,
    ]
    found = tiny(num_input=9)(clips(), training=True)
    assert found["recon"].shape == (B, T, SIZE, SIZE, 1)


# ---- nats ------------------------------------------------------------------


def test_divergences_are_those_of_tensorflow_probability():
    q = model().infer(clips())["q"]
    found = outputs()
    priors = {
        "increments": ([0.0] * 3, [0.1] * 3),
        "pose": ([2.0, 0.0, 0.0], [0.2, 1.0, 1.0]),
        "content": ([0.0] * Z, [1.0] * Z),
    }
    names = {"increments": "pose", "pose": "initial", "content": "content"}
    for name, prior in priors.items():
        kl = tfd.kl_divergence(
            tfd.MultivariateNormalDiag(q[name].loc, q[name].stddev()),
            tfd.MultivariateNormalDiag(*map(tf.constant, prior)),
        )
        kl = tf.reduce_sum(kl, list(range(1, kl.shape.rank)))
        np.testing.assert_allclose(found[f"kl_{names[name]}"], kl, rtol=1e-4)


def test_posteriors_that_are_priors_cost_nothing():
    subject = model()
    p = subject.prior()
    terms = {name: p[name].kl_terms(p[name]) for name in p}
    for term in terms.values():
        np.testing.assert_allclose(term, 0.0, atol=1e-6)


def test_the_estimate_of_samples_is_right_on_average():
    exact, sampled = (
        tiny(kl_estimate=name, sample_in_evaluation=True)
        for name in ("exact", "sample")
    )
    many = 400
    video = np.repeat(clips(batch=1)["video"], many, 0)
    seed = np.stack([np.zeros(many), np.arange(many)], 1).astype(np.int32)
    one = exact({"video": video, "seed": seed})
    two = sampled({"video": video, "seed": seed})
    for name in ("kl_pose", "kl_initial"):
        spread = np.std(two[name]) / many**0.5
        assert abs(np.mean(two[name]) - np.mean(one[name])) < 4 * spread
        assert spread > 0


def test_training_may_score_predicted_frames_alone():
    subject, batch = tiny(num_input=3), clips()
    found = subject(batch, training=True)
    for share in (0.0, 0.5, 1.0):
        subject = tiny(num_input=3)
        scheduled = {**batch, "predicted_only": tf.constant(share)}
        loss = subject(scheduled, training=True)["loss"]
        log_prob = subject.likelihood(found["recon"]).log_prob(batch["video"])
        expected = found["loss"] + share * np.sum(log_prob[:, :3], 1)
        np.testing.assert_allclose(loss, expected, rtol=1e-4)


# ---- samples ---------------------------------------------------------------


def test_means_outside_training_and_samples_in_it():
    batch = clips()
    other = {**batch, "seed": batch["seed"] + 1}
    assert_close(model()(other)["recon"], outputs()["recon"], 0)
    assert "samples" not in outputs()
    recons = [tiny()(each, training=True)["recon"] for each in (batch, other)]
    assert np.any(np.asarray(recons[0]) != np.asarray(recons[1]))


def test_samples_are_spread_as_the_posterior_says():
    subject = tiny()
    noise = subject._noise(
        np.stack([np.zeros(500), np.arange(500)], 1).astype(np.int32),
        3,
        2,
        True,
    )
    for values in noise.values():
        assert abs(np.mean(values)) < 0.1 and abs(np.std(values) - 1) < 0.1
    pairs = np.reshape(noise["increments"], (500, -1))
    correlations = np.corrcoef(pairs.T) - np.eye(pairs.shape[1])
    assert np.max(np.abs(correlations)) < 0.25


def test_a_sampled_video_in_chunks_moves_as_the_video():
    subject, batch = model(sample_in_evaluation=True), clips()
    whole = subject(batch)
    first = subject({**batch, "video": batch["video"][:, :1]})
    rest = {"video": batch["video"][:, 1:], "seed": batch["seed"]}
    rest = subject({**rest, "state": first["state"]})
    for name in ("locations", "boxes"):
        joined = tf.concat([first[name], rest[name]], axis=1)
        assert_close(joined, whole[name], 1e-5)
    parts = [np.asarray(part["samples"][..., :3]) for part in (first, rest)]
    assert_close(np.concatenate(parts, 1), whole["samples"][..., :3], 1e-5)


# ---- chunks and what follows -----------------------------------------------


def test_in_chunks_poses_and_nats_are_those_of_the_whole():
    whole, batch = outputs(), clips()
    first = model()({**batch, "video": batch["video"][:, :2]})
    rest = {"video": batch["video"][:, 2:], "seed": batch["seed"]}
    rest = model()({**rest, "state": first["state"]})
    for name in ("locations", "boxes", "presence", "track_ids"):
        joined = tf.concat([first[name], rest[name]], axis=1)
        assert_close(joined, whole[name], 1e-5)
    assert_close(rest["slots"][:, -1], whole["slots"][:, -1], 1e-5)
    for name in ("kl", "kl_pose", "kl_initial", "kl_content"):
        np.testing.assert_allclose(
            first[name] + rest[name], whole[name], rtol=1e-4
        )
    assert_close(rest["state"], whole["state"], 1e-5)
    assert int(rest["state"]["frame"]) == T


def test_no_predicted_frames_are_none_and_leave_the_state():
    state = outputs()["state"]
    found = model().predict_frames(state, clips()["seed"], 0)
    assert found["recon"].shape == (B, 0, SIZE, SIZE, 1)
    tf.nest.map_structure(np.testing.assert_array_equal, found["state"], state)


def test_looks_stay_in_predicted_frames():
    state = outputs()["state"]
    found = model().predict_frames(state, clips()["seed"], 3)
    expected = np.repeat(state["content"][:, None], 3, 1)
    assert_close(found["slots"][:, :, 1:, 3:], expected, 1e-6)


def test_samples_of_the_prior_are_where_it_says():
    found = model().sample_prior(200, num_frames=2, seed=(0, 1))
    pose = np.asarray(found["slots"])[:, :, 1:, :3]
    first = pose[:, 0].reshape(-1, 3)
    np.testing.assert_allclose(first.mean(0), [2, 0, 0], atol=0.15)
    spread = np.sqrt(np.square([0.2, 1, 1]) + 0.01)
    np.testing.assert_allclose(first.std(0), spread, rtol=0.15)
    moved = (pose[:, 1] - pose[:, 0]).reshape(-1, 3)
    np.testing.assert_allclose(moved.std(0), 0.1, rtol=0.15)


# ---- what is refused -------------------------------------------------------


def test_colours_are_refused():
    video = np.zeros((1, 2, SIZE, SIZE, 3), np.uint8)
    with pytest.raises(ValueError, match="grey frames.*16, 3.; give one chan"):
        model()({"video": video})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 48}, "16x16, 32x32, ... to 4x4, got .* 48x48"),
        ({"image_size": (32, 64)}, "got pictures of 32x64"),
        ({"kl_estimate": "none"}, "kl_estimate must be one of .*got 'none'"),
        ({"scale_prior": 1.0}, "scale_prior must be above 1, got 1.0"),
        ({"num_input": 0}, "num_input must be at least 1, got 0"),
        ({"num_slots": 1}, "num_slots must be at least 2"),
        (
            {"object_encoder": PlainEncoder((64, 64))},
            "objects' .16, 16., but a PlainEncoder has .64, 64.",
        ),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DDPAE(**{"image_size": 32, **options})


def test_the_background_has_no_latents():
    with pytest.raises(ValueError, match="slot 0 is the black background"):
        model().traverse(clips(), 0)


# ---- training --------------------------------------------------------------


@pytest.mark.slow
def test_a_moving_square_is_learnt():
    """Better than black in 300 steps, in frames that were not read, too."""
    subject = tiny(shake=0.0, num_input=3)
    video = tiny_ddpae.video(batch=16, frames=5)
    batch = {"video": tf.constant(video)}
    weights = [w.value for w in subject.trainable_variables]
    moments = [[tf.Variable(tf.zeros_like(w)) for w in weights] for _ in "mv"]

    @tf.function
    def step(t):
        seeds = tf.stack([tf.fill([16], t), tf.range(16)], 1)
        with tf.GradientTape() as tape:
            found = subject({**batch, "seed": seeds}, training=True)
            loss = tf.reduce_mean(found["loss"])
        slopes = tape.gradient(loss, weights)
        for w, m, v, g in zip(weights, *moments, slopes):
            m.assign(0.5 * m + 0.5 * g)
            v.assign(0.99 * v + 0.01 * g * g)
            w.assign_sub(2e-3 * m / (tf.sqrt(v) + 1e-8))
        return tf.reduce_sum((found["recon"] - video) ** 2, [2, 3, 4])

    errors = [step(tf.constant(t)) for t in range(300)]
    black = np.sum(np.square(video), (2, 3, 4)).mean(0)
    assert np.all(np.mean(errors[-20:], (0, 1)) < 0.8 * black)
