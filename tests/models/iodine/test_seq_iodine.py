"""SEQ-IODINE's invariants."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.models.tiny.tiny_iodine import (
    SIZE,
    B,
    K,
    Recorder,
    Z,
    gradients,
    noise,
    tiny,
    video,
)
from tests.test_case import assert_close
from tfdecomp.models.seq_iodine import SequentialIODINE

T = 4


@functools.cache
def sequential(**options):
    """A model that no test changes for good; each is made once."""
    return tiny(SequentialIODINE, num_refinements=1, **options)


def clip(frames=T, seed=0):
    return video(frames=frames, seed=seed)


def clip_noise(frames=T, slots=K, seed=1):
    return noise(frames=frames, decodes=2, slots=slots, seed=seed)


def run(model, **inputs):
    return model({"video": clip(), "noise": clip_noise(), **inputs})


@functools.cache
def outputs(**options):
    """What a model says of the clips."""
    return run(sequential(**options))


SEED = np.array([[3, 1], [4, 1]], np.int32)


# ---- the image model on a still clip ---------------------------------------


def test_a_still_clip_is_iodine_with_a_refinement_per_frame(monkeypatch):
    still = np.repeat(clip(1), T, axis=1)
    model = sequential(masks_from="predictive")
    recorder = Recorder(model, monkeypatch)
    found = run(model, video=still)
    image = tiny(num_refinements=T - 1)
    inputs = {"video": still[:, :1], "noise": clip_noise()[:, None, :, 0]}
    history = image.refinement_history(inputs)
    for name in ("masks", "recon", "components", "slots"):
        assert_close(found[name], history[name], 1e-5)
    nll = tf.stack([terms["nll"] for terms in recorder.terms], axis=1)
    assert_close(nll, history["nll_by_step"], 1e-5)
    assert_close(found["loss"], image(inputs)["loss"], 1e-5)


# ---- causality -------------------------------------------------------------


@pytest.mark.parametrize(
    "masks_from, first", [("predictive", 3), ("filtered", 2)]
)
def test_a_frame_changes_only_what_comes_after_it(masks_from, first):
    changed, options = clip(), {"masks_from": masks_from}
    changed[:, 2] = clip(seed=5)[:, 2]
    one, two = outputs(**options), run(sequential(**options), video=changed)
    for name in ("masks", "recon", "slots", "components"):
        assert_close(one[name][:, :first], two[name][:, :first], 1e-6)
        for t in range(first, T):
            assert not np.allclose(one[name][:, t], two[name][:, t])


def test_filtered_slots_are_the_next_frames_predictive_ones():
    filtered = outputs()["slots"]
    predictive = outputs(masks_from="predictive")["slots"]
    assert_close(filtered[:, :-1], predictive[:, 1:], 1e-6)
    start = sequential().initial_parameters[:Z]
    assert_close(predictive[:, 0], tf.tile(start[None, None], [B, K, 1]), 1e-6)


def test_losses_do_not_depend_on_where_masks_come_from():
    filtered, predictive = sequential(), sequential(masks_from="predictive")
    one, two = outputs(), outputs(masks_from="predictive")
    for name in ("loss", "nll", "kl", "nll_last_frame"):
        assert_close(one[name], two[name], 1e-6)
    assert not np.allclose(one["masks"], two["masks"])
    other = clip_noise()
    other[:, :, 1] = clip_noise(seed=9)[:, :, 1]
    assert_close(run(filtered, noise=other)["loss"], one["loss"], 0)
    assert_close(run(predictive, noise=other)["masks"], two["masks"], 0)


# ---- the loss --------------------------------------------------------------


@pytest.mark.parametrize(
    "rule, weights",
    [
        ("linspace", [0, 1 / 3, 2 / 3, 1]),
        ("per_decode", [1 / 4, 2 / 4, 3 / 4, 1]),
        ("constant", [1, 1, 1, 1]),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_loss_weighs_the_frames(rule, weights, training, monkeypatch):
    model = sequential(step_weights=rule)
    recorder = Recorder(model, monkeypatch)
    inputs = {"video": clip(), "noise": clip_noise()}
    loss = model(inputs, training=training)["loss"]
    terms = [t["nll"] + t["kl"] for t in recorder.terms]
    assert len(terms) == T
    assert_close(loss, sum(w * t for w, t in zip(weights, terms)), 1e-5)


def test_training_decodes_and_refines_once_a_frame(monkeypatch):
    model = sequential()
    recorder = Recorder(model, monkeypatch)
    model({"video": clip()}, training=True)
    assert (recorder.decodes, len(recorder.refinements)) == model.cells(T)
    assert model.cells(T) == (T, T)


def test_filtering_decodes_every_frame_once_more(monkeypatch):
    model = sequential()
    recorder = Recorder(model, monkeypatch)
    run(model)
    assert (recorder.decodes, len(recorder.refinements)) == (2 * T, T)


def test_lambda_and_state_are_carried_through_the_clip(monkeypatch):
    model = sequential()
    recorder = Recorder(model, monkeypatch)
    run(model)
    cells = recorder.refinements
    assert np.all(np.asarray(cells[0][0]["state"][0]) == 0)
    for (_, before, _), (after, _, _) in zip(cells, cells[1:]):
        assert_close(after["parameters"], before["parameters"], 0)
        assert_close(after["state"], before["state"], 0)


# ---- chunks, batches, slots ------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"masks_from": "predictive"}, {"deterministic": True}], ids=str
)
def test_chunks_of_a_video_give_what_the_whole_gives(options):
    model = sequential(**options)
    whole = model({"video": clip(), "seed": SEED})
    parts, state = [], {}
    for chunk in (slice(0, 1), slice(1, 3), slice(3, 4)):
        part = model({"video": clip()[:, chunk], "seed": SEED, **state})
        state = {"state": part["state"]}
        parts.append(part)
    for name in ("masks", "slots", "recon"):
        joined = tf.concat([part[name] for part in parts], axis=1)
        assert_close(joined, whole[name], 1e-5)
    for name in ("nll", "kl"):
        assert_close(sum(part[name] for part in parts), whole[name], 1e-5)
    assert int(part["state"]["frame"]) == T
    assert_close(part["state"], whole["state"], 1e-5)


def test_permuting_the_noise_permutes_the_slots():
    order, one = [2, 0, 1], outputs()
    two = run(sequential(), noise=clip_noise()[:, :, :, order])
    for name in ("masks", "components", "slots", "latent_kl"):
        assert_close(tf.gather(one[name], order, axis=2), two[name], 1e-5)
    for name in ("loss", "recon"):
        assert_close(one[name], two[name], 1e-5)


def test_without_noise_all_slots_stay_the_same():
    found = run(sequential(), noise=np.zeros_like(clip_noise()))
    for name in ("masks", "components", "slots"):
        values = found[name]
        # Refinements amplify the rounding of single slots.
        assert_close(values, tf.repeat(values[:, :, :1], K, axis=2), 1e-3)


# ---- options ---------------------------------------------------------------


def test_deterministic_runs_draw_the_first_sample_alone():
    model = sequential(deterministic=True)
    later, first = clip_noise(seed=8), clip_noise()
    later[:, 0, 0] = clip_noise()[:, 0, 0]
    first[:, 0, 0] = clip_noise(seed=8)[:, 0, 0]
    one = outputs(deterministic=True)
    assert_close(run(model, noise=later)["masks"], one["masks"], 0)
    assert not np.allclose(run(model, noise=first)["masks"], one["masks"])


def frame_gradients(model, monkeypatch):
    """Gradients of the last frame's loss by lambda_0 and the LSTM."""
    monkeypatch.setattr(
        model, "frame_weight", lambda t, n: tf.cast(t == n - 1, tf.float32)
    )
    found = gradients(model, {"video": clip(), "noise": clip_noise()})
    paths = [v.path.split("/", 1)[1] for v in model.trainable_variables]
    return dict(zip(paths, found))


def test_truncation_counts_frames_and_changes_no_value(monkeypatch):
    plain, cut = sequential(), sequential(truncate_bptt=2)
    found = run(cut)
    for name in ("loss", "masks"):
        assert_close(outputs()[name], found[name], 0)
    for model, learns in ((plain, True), (cut, False)):
        found = frame_gradients(model, monkeypatch)
        assert np.any(found["initial_parameters"] != 0) == learns
        assert np.any(found["lstm/kernel"] != 0)


def test_truncation_within_the_first_frames_leaves_their_gradient():
    inputs = {"video": clip(2), "noise": clip_noise(2)}
    plain = gradients(sequential(), inputs)
    assert_close(gradients(sequential(truncate_bptt=2), inputs), plain, 1e-6)


def test_rematerialised_gradients_equal_the_plain_ones():
    model = sequential.__wrapped__(update_rule="predictor_corrector")
    inputs = {"video": clip(3), "noise": clip_noise(3)}
    plain = gradients(model, inputs)
    model.rematerialize = True
    assert_close(gradients(model, inputs), plain, 1e-5)
    compiled = tf.function(lambda: gradients(model, inputs), autograph=False)
    assert_close(compiled(), plain, 1e-4)


def test_a_clip_of_one_frame_is_decomposed_but_not_learnt_from():
    model = sequential()
    found = model({"video": clip(1)})
    assert found["masks"].shape == (B, 1, K, SIZE, SIZE, 1)
    assert np.all(np.asarray(found["loss"]) == 0)
    with pytest.raises(ValueError, match="at least 2 frames, got 1"):
        model({"video": clip(1)}, training=True)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"masks_from": "smoothed"}, "masks_from must be one of"),
        ({"step_weights": (0.0, 1.0)}, "step_weights must be a name"),
        ({"step_weights": "last"}, "step_weights must be one of"),
        ({"num_slots": 1}, "num_slots must be at least 2"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        sequential(**options)
