"""IODINE: the loop, gradient inputs, parity with NumPy."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.models.oracles.iodine_numpy import Refinement
from tests.models.tiny.tiny_iodine import (
    SIZE,
    UNITS,
    R,
    Recorder,
    kept,
    loose_cell,
    loss_gradients,
    noise,
    run,
    tiny,
    video,
)
from tests.test_case import assert_close, set_seed
from tfdecomp.models.iodine import IODINE

# ---- 4: the loop and its weights -------------------------------------------


@pytest.mark.parametrize("refinements", [1, 4])
def test_a_frame_takes_one_decode_more_than_refinements(
    refinements, monkeypatch
):
    model = tiny(num_refinements=refinements)
    recorder = Recorder(model, monkeypatch)
    model({"video": video(frames=2)})
    counts = recorder.decodes, len(recorder.refinements)
    assert counts == (2 * (refinements + 1), 2 * refinements)
    assert counts == model.cells(2)


@pytest.mark.parametrize(
    "rule, weights",
    [
        ("linspace", [0, 1 / 3, 2 / 3, 1]),
        ("per_decode", [1 / 4, 2 / 4, 3 / 4, 1]),
        ("constant", [1, 1, 1, 1]),
        ((0.5, 0.0, 2.0, 1.0), [0.5, 0, 2, 1]),
    ],
)
def test_loss_is_the_weighted_sum_of_all_decodes(rule, weights, monkeypatch):
    model = tiny(step_weights=rule)
    recorder = Recorder(model, monkeypatch)
    loss = run(model)["loss"]
    terms = [t["nll"] + t["kl"] for t in recorder.terms]
    assert len(terms) == R + 1
    assert_close(loss, sum(w * t for w, t in zip(weights, terms)), 1e-5)


def test_more_decodes_than_given_weights_take_the_last_one(monkeypatch):
    model = tiny(step_weights=(0.0, 0.0, 0.0, 2.0))
    recorder = Recorder(model, monkeypatch)
    loss = model({"video": video()}, num_refinements=R + 2)["loss"]
    terms = [t["loss"] for t in recorder.terms]
    assert_close(loss, 2 * sum(terms[R:]), 1e-5)


def test_no_refinement_at_all_is_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        tiny(num_refinements=0)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        kept()({"video": video()}, num_refinements=0)


# ---- 5 to 7: gradient inputs -----------------------------------------------


def test_stopped_inputs_carry_no_gradient(monkeypatch):
    model = kept()
    recorder = Recorder(model, monkeypatch)
    plain = loss_gradients(model)
    monkeypatch.undo()

    def constant(values):
        return tf.nest.map_structure(lambda v: tf.constant(v.numpy()), values)

    cells = iter([constant(saved) for _, _, saved in recorder.refinements])
    pictures = iter([constant(values) for values in recorder.gradients])
    scores = iter(
        constant((s.pixel_log_likelihood, s.leave_one_out_ratio()))
        for _, _, s in recorder.objectives
    )
    refine, objective = model.refine_cell, model.objective

    def scoring(*args):
        terms, mixture, score = objective(*args)
        score.pixel_log_likelihood, ratio = next(scores)
        score.leave_one_out_ratio = lambda: ratio
        return terms, mixture, score

    monkeypatch.setattr(model, "objective", scoring)
    monkeypatch.setattr(model, "gradients", lambda *a: next(pictures))
    monkeypatch.setattr(
        model, "refine_cell", lambda a, saved=None: refine(a, next(cells))
    )
    assert_close(loss_gradients(model), plain, 1e-5)


@pytest.mark.parametrize("granularity", ["channel", "pixel"])
@pytest.mark.parametrize("component", ["normal", "logistic"])
def test_closed_form_gradients_equal_autodiff(granularity, component):
    model = tiny(granularity=granularity, component=component)
    cell, parameters = loose_cell()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(parameters)
        latents = model.sample(cell, parameters)
        means, logits = model.decode_latents(latents)
        terms, mixture, score = model.objective(cell, means, logits, parameters)
        total = tf.reduce_sum(terms["loss"])
    closed = model.gradients(cell, mixture, score)
    assert_close(closed["means"], tape.gradient(total, means), 1e-4)
    assert_close(closed["logits"], tape.gradient(total, logits), 1e-4)
    with tf.GradientTape() as product:
        product.watch(parameters)
        decoded = model.decode_latents(model.sample(cell, parameters))
    normed = model._parameter_gradient(
        product, cell, parameters, decoded, closed
    )
    expected = np.asarray(tape.gradient(total, parameters))
    expected = expected - expected.mean(-1, keepdims=True)
    expected = expected / expected.std(-1, keepdims=True)
    assert_close(normed, expected, 1e-4)


def test_normalised_inputs_have_zero_mean_and_unit_variance(monkeypatch):
    model = tiny(variance=0.01)
    for scale, offset in model.norms.values():  # as training starts
        scale.assign(tf.ones_like(scale))
        offset.assign(tf.zeros_like(offset))
    recorder = Recorder(model, monkeypatch)
    run(model)
    for (_, _, saved), maps in zip(recorder.refinements, recorder.maps):
        saved, maps = np.asarray(saved), np.asarray(maps)
        np.testing.assert_allclose(saved.mean(-1), 0, atol=1e-5)
        np.testing.assert_allclose(saved.var(-1), 1, atol=1e-2)
        # means 3, mask, logits, posterior; then gradients 3 + 1, two scores
        for part in np.split(maps[..., 6:], [3, 4, 5], axis=-1):
            np.testing.assert_allclose(part.mean((2, 3, 4)), 0, atol=1e-4)
            np.testing.assert_allclose(part.var((2, 3, 4)), 1, atol=1e-2)


def test_layer_norms_start_as_the_identity():
    set_seed(0)
    model = IODINE(image_size=16)
    model.build()
    normed = {
        "mean_gradient": 3,
        "mask_logit_gradient": 1,
        "pixel_log_likelihood": 1,
        "leave_one_out_ratio": 1,
        "parameter_gradient": 128,
    }
    assert {n: v[0].shape[0] for n, v in model.norms.items()} == normed
    for scale, offset in model.norms.values():
        assert np.all(np.asarray(scale) == 1)
        assert np.all(np.asarray(offset) == 0)


# ---- parity with NumPy -----------------------------------------------------


def numpy_weights(model):
    """The model's weights, as `iodine_numpy.Refinement` names them."""

    def pair(layer):
        return [np.asarray(w, np.float64) for w in (layer.kernel, layer.bias)]

    return {
        "decoder": [
            pair(c) for c in [*model.decoder.convs, model.decoder.head]
        ],
        "encoder": [pair(c) for c in model.encoder.convs],
        "dense": pair(model.encoder.dense_layers[0]),
        "lstm": pair(model.lstm) if model.lstm else None,
        "head": pair(model.head),
        "norms": {
            name: [np.asarray(w, np.float64) for w in pair_]
            for name, pair_ in model.norms.items()
        },
    }


@pytest.mark.parametrize(
    "component, units", [("normal", UNITS), ("normal", 0), ("logistic", UNITS)]
)
def test_two_refinements_equal_those_of_numpy(component, units):
    model = tiny(component=component, units=units)
    history = model.refinement_history(
        {"video": video(), "noise": noise()[:, :, :3]}, num_refinements=2
    )
    step = Refinement(
        numpy_weights(model), 0.1, 2, logistic=component == "logistic"
    )
    frame, state = video()[:, 0].astype(np.float64), None
    for j in range(2):
        drawn = noise()[:, 0, j].astype(np.float64)
        parameters = np.asarray(history["parameters"][:, j], np.float64)
        loss = step.loss(frame, parameters, drawn)
        constant = SIZE * SIZE * 3 * 0.5 * math.log(2 * math.pi * 0.1)
        if component == "logistic":
            constant = SIZE * SIZE * 3 * math.log(4 * math.sqrt(0.3) / math.pi)
        model_loss = history["nll_by_step"] + history["kl_by_step"]
        assert_close(model_loss[:, j] + constant, loss, 1e-5)
        refined, state = step(frame, parameters, drawn, state)
        assert_close(history["parameters"][:, j + 1], refined, 1e-4)
