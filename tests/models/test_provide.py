"""PROVIDE's invariants."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf

from tests.models.tiny.tiny_provide import (
    REFERENCE,
    SIZE,
    WITH_FEATURES,
    B,
    K,
    R,
    T,
    Z,
    noise,
    tiny,
    video,
)
from tests.test_case import assert_close, graph_size
from tfdecomp.layers.frame_features import FrameFeatures
from tfdecomp.models.provide import PROVIDE


def run(model, **inputs):
    inputs = {"video": video(), "noise": noise(), **inputs}
    return model(inputs)


@functools.cache
def kept(**options):
    """A model that no test changes for good; each is made once."""
    return tiny(**options)


@functools.cache
def kept_outputs():
    return run(kept())


def gradients(model, **inputs):
    inputs = {"video": video(), "noise": noise(), **inputs}
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(inputs, training=True)["loss"])
    return tape.gradient(loss, [v.value for v in model.trainable_variables])


class Recorder:
    """Counts what a model's cells compute and keeps their arguments."""

    def __init__(self, model, monkeypatch):
        self.decodes = self.refinements = 0
        self.cells = []
        decode, refine = model.decode_latents, model.refine_cell

        def decoding(*args, **kwargs):
            self.decodes += 1
            return decode(*args, **kwargs)

        def refining(arguments, saved=None):
            outputs, saved = refine(arguments, saved)
            self.refinements += 1
            self.cells.append((arguments, outputs, saved))
            return outputs, saved

        monkeypatch.setattr(model, "decode_latents", decoding)
        monkeypatch.setattr(model, "refine_cell", refining)


# ---- 2: the schedule -------------------------------------------------------

TABLE = [
    (6, 4, 18, 14, 17),
    (6, 10, 30, 20, 29),
    (6, 20, 50, 30, 49),
    (6, 30, 70, 40, 69),
    (6, 40, 90, 50, 89),
    (5, 4, 14, 10, 13),
    (5, 10, 26, 16, 25),
    (5, 20, 46, 26, 45),
    (5, 30, 66, 36, 65),
    (5, 40, 86, 46, 85),
]


def test_cell_counts_equal_the_published_table():
    plain, extra = kept(), kept(extra_refinement=True)
    for budget, frames, decodes, paper, reference in TABLE:
        assert plain.cells(frames, budget) == (decodes, paper)
        assert extra.cells(frames, budget) == (decodes, reference)


@pytest.mark.parametrize("options", [{}, REFERENCE, {"grid": False}])
@pytest.mark.parametrize("frames", [1, 4])
def test_the_loop_runs_the_counted_cells(options, frames, monkeypatch):
    model = kept(num_refinements=4, **options)
    recorder = Recorder(model, monkeypatch)
    model({"video": video(frames=frames)})
    decodes, refinements = model.cells(frames)
    assert (recorder.decodes, recorder.refinements) == (decodes, refinements)


def test_a_scheduled_number_of_refinements_stands_in_for_the_models():
    model = kept()
    inputs = {"video": video(frames=2), "seed": np.arange(2 * B).reshape(B, 2)}
    fewer = {**inputs, "num_refinements": tf.constant(2.0)}
    expected = model(inputs, num_refinements=2)
    for name in ("masks", "loss"):
        assert_close(model(fewer)[name], expected[name], 1e-6)
    more = {**inputs, "num_refinements": tf.constant(4.0)}
    given = model(more, num_refinements=2)  # what is asked for comes first
    assert_close(given["masks"], expected["masks"], 1e-6)
    assert R != 2


@pytest.mark.parametrize("name", ["num_slots", "num_refinements"])
@pytest.mark.parametrize("kind", [int, tf.constant])
def test_fewer_than_two_slots_or_refinements_are_refused(name, kind):
    error = ValueError if kind is int else tf.errors.InvalidArgumentError
    with pytest.raises(error, match=f"{name} must be at least 2"):
        kept()({"video": video()}, **{name: kind(1)})
    with pytest.raises(ValueError, match=f"{name} must be at least 2"):
        tiny(**{name: 1})


# ---- 3: the prior ----------------------------------------------------------


def test_first_prior_is_that_of_an_empty_state(monkeypatch):
    model = kept()
    recorder = Recorder(model, monkeypatch)
    run(model)
    mean, log_variance = model.prior_layer(tf.zeros([1, model.units]))
    for arguments, _, _ in recorder.cells[: R - 1]:
        cell = arguments["cell"]
        for b, k in np.ndindex(B, K):
            assert_close(cell["prior_mean"][b, k], mean[0], 1e-6)
            assert_close(
                cell["prior_log_variance"][b, k], log_variance[0], 1e-6
            )


def test_prior_is_the_same_in_all_cells_of_a_frame(monkeypatch):
    model = kept(num_refinements=4)
    recorder = Recorder(model, monkeypatch)
    model({"video": video()})
    second = [c[0]["cell"] for c in recorder.cells[3:5]]  # frame 2: 2 cells
    assert_close(second[0]["prior_mean"], second[1]["prior_mean"], 0)
    assert not np.allclose(
        second[0]["prior_mean"], recorder.cells[0][0]["cell"]["prior_mean"]
    )


# ---- 5: slots --------------------------------------------------------------


def test_permuting_the_noise_permutes_the_slots():
    order, one = [2, 0, 1], kept_outputs()
    two = run(kept(), noise=noise()[:, :, :, order])
    for name in ("masks", "components", "slots", "context"):
        assert_close(tf.gather(one[name], order, axis=2), two[name], 1e-5)
    for name in ("loss", "nll", "kl", "recon"):
        assert_close(one[name], two[name], 1e-5)


# ---- 8: gradient inputs ----------------------------------------------------


@pytest.mark.parametrize("granularity", ["channel", "pixel"])
def test_closed_form_gradients_equal_autodiff(granularity):
    model = tiny(granularity=granularity, entropy_weight=0.1)
    parameters = tf.constant(noise()[:, 0, :2].reshape(B, 2, K, Z)[:, 0])
    parameters = tf.concat([parameters, 0.1 * parameters], -1)
    rng = np.random.default_rng(0)
    cell = {
        "frame": tf.constant(video()[:, 0]),
        "noise": tf.constant(noise()[:, 0, 0]),
        "variance": tf.constant(0.3),
        "reconstruction_weight": tf.constant(100.0),
        "kl_weight": tf.constant(10.0),
        "entropy_weight": tf.constant(0.1),
        "prior_mean": tf.constant(rng.random((B, K, Z)), tf.float32),
        "prior_log_variance": tf.constant(rng.random((B, K, Z)), tf.float32),
        "context": tf.constant(rng.random((B, K, 6)), tf.float32),
    }
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(parameters)
        latents = model.sample(cell, parameters)
        means, logits = model.decode_latents(latents, cell["context"])
        terms, mixture, score = model.objective(cell, means, logits, parameters)
        total = tf.reduce_sum(terms["loss"])
    closed = model.gradients(cell, mixture, score)
    assert_close(closed["means"], tape.gradient(total, means), 1e-4)
    assert_close(closed["logits"], tape.gradient(total, logits), 1e-4)
    # As the model puts them together: one product, plus the KL's own.
    through = tape.gradient(
        (means, logits), parameters, (closed["means"], closed["logits"])
    )
    of_kl = model.posterior(parameters).kl_gradient(model.cell_prior(cell))
    expected = tape.gradient(total, parameters)
    assert_close(through + 10.0 * of_kl, expected, 1e-4)


def test_gradient_inputs_carry_no_gradient(monkeypatch):
    model = kept()
    recorder = Recorder(model, monkeypatch)
    plain = gradients(model)
    constants = iter([tf.constant(c[2].numpy()) for c in recorder.cells])
    monkeypatch.undo()
    refine = model.refine_cell
    monkeypatch.setattr(
        model, "refine_cell", lambda a, saved=None: refine(a, next(constants))
    )
    assert_close(gradients(model), plain, 1e-5)


def test_normalised_inputs_have_zero_mean_and_unit_variance(monkeypatch):
    model = kept()
    recorder = Recorder(model, monkeypatch)
    maps = []
    slot_maps = model.slot_maps
    monkeypatch.setattr(
        model, "slot_maps", lambda *a: maps.append(slot_maps(*a)) or maps[-1]
    )
    run(model)
    saved = np.asarray(recorder.cells[0][2])
    np.testing.assert_allclose(saved.mean(-1), 0, atol=1e-5)
    np.testing.assert_allclose(saved.var(-1), 1, atol=1e-2)
    values = np.asarray(maps[0])  # means 3, mask, logits, then gradients
    for channels in (slice(5, 8), slice(8, 9), slice(10, 11)):
        part = values[..., channels]
        np.testing.assert_allclose(part.mean((2, 3, 4)), 0, atol=1e-4)
        np.testing.assert_allclose(part.var((2, 3, 4)), 1, atol=1e-2)


# ---- 9: sizes --------------------------------------------------------------


@pytest.mark.parametrize("has_features", [False, True])
def test_refinement_reads_the_published_numbers_of_channels(has_features):
    options = {}
    if has_features:
        options = {
            "features": FrameFeatures(),
            "refinement_inputs": WITH_FEATURES,
        }
    model = PROVIDE(image_size=16, **options)
    model.build()
    channels = 32 if has_features else 16
    assert model.encoder.convs[0].kernel.shape == (3, 3, channels, 64)
    assert model.lstm.kernels[0].shape == (384, 5 * 128)
    if has_features:
        outputs = model({"video": np.zeros((1, 1, 16, 16, 3), np.uint8)})
        assert np.all(np.isfinite(outputs["loss"]))


# ---- 11: states ------------------------------------------------------------


def test_states_start_and_pass_as_specified(monkeypatch):
    model = kept(num_refinements=4)
    recorder = Recorder(model, monkeypatch)
    model({"video": video()})
    start = np.asarray(model.initial_parameters)
    frames = [recorder.cells[:3], recorder.cells[3:5], recorder.cells[5:6]]
    for cells in frames:
        arguments = cells[0][0]
        assert np.all(np.asarray(arguments["state"][0]) == 0)
        np.testing.assert_allclose(
            arguments["parameters"], np.broadcast_to(start, (B, K, 2 * Z))
        )
    for before, after in zip(frames, frames[1:]):
        last = before[-1][1]["state"]
        for i in range(2):
            entering = np.asarray(after[0][0]["cell"]["temporal"][i])
            np.testing.assert_allclose(entering.reshape(B * K, -1), last[i])


# ---- 13 and 14: the loss ---------------------------------------------------


@pytest.mark.parametrize("rule", ["per_frame", "global", "skip_uninformed"])
def test_loss_is_the_weighted_sum_of_all_decodes(rule, monkeypatch):
    model = tiny(num_refinements=4, step_weights=rule)
    terms = []
    objective = model.objective
    monkeypatch.setattr(
        model,
        "objective",
        lambda *a: terms.append(objective(*a)) or terms[-1],
    )
    outputs = model({"video": video()})
    expected, losses = 0.0, iter([t[0]["loss"] for t in terms])
    for number, decodes in enumerate([4, 3, 2, 2]):
        for r in range(1, decodes + 1):
            weight = r / (4 if rule == "global" else decodes)
            if rule == "skip_uninformed" and number == 0:
                weight = (r - 1) / (decodes - 1)
            expected += weight * next(losses)
    assert next(losses, None) is None
    assert_close(outputs["loss"], expected, 1e-5)


def test_last_decodes_weigh_one_in_the_paper_and_less_in_the_code():
    paper, code = kept(num_refinements=6), kept(step_weights="global")
    assert float(paper.step_weight(2, 2, 6, 9)) == 1.0
    assert float(code.step_weight(2, 2, 6, 9)) == pytest.approx(2 / 6)


def test_reported_terms_are_those_of_the_last_decodes():
    outputs = run(tiny(kl_weight=3.0, entropy_weight=0.2))
    pixels = SIZE * SIZE * 3
    constant = 0.5 * T * pixels * math.log(2 * math.pi * 0.3)
    assert_close(outputs["nll"] - outputs["nll_unnormalised"], constant, 1e-4)
    frames = video() - np.asarray(outputs["recon"])
    assert np.all(np.asarray(outputs["nll_unnormalised"]) >= 0)
    assert frames.shape == (B, T, SIZE, SIZE, 3)


def test_entropy_weight_adds_that_of_uniform_masks():
    model = tiny(num_refinements=2, step_weights="per_frame")
    # A decoder without weights in its head draws uniform masks.
    model.decoder.head.kernel.assign(tf.zeros_like(model.decoder.head.kernel))
    one = run(model, entropy_weight=tf.constant(0.0))
    two = run(model, entropy_weight=tf.constant(0.1))
    # Two decodes a frame, weighing 1/2 and 1.
    expected = 1.5 * T * 0.1 * SIZE * SIZE * math.log(K)
    assert_close(two["loss"] - one["loss"], tf.fill([B], expected), 1e-3)


def test_scheduled_weights_stand_in_for_the_attributes():
    one = run(tiny(kl_weight=2.0, variance=0.2))
    two = run(kept(), kl_weight=tf.constant(2.0), variance=tf.constant(0.2))
    assert_close(one["loss"], two["loss"], 1e-6)


# ---- 15: prediction --------------------------------------------------------


def test_prediction_decodes_and_refines_once_a_frame(monkeypatch):
    model, state = kept(), kept_outputs()["state"]
    recorder = Recorder(model, monkeypatch)
    maps, updates = [], []
    slot_maps, update = model.slot_maps, model.update
    monkeypatch.setattr(
        model,
        "slot_maps",
        lambda *a, **k: maps.append(slot_maps(*a, **k)) or maps[-1],
    )
    monkeypatch.setattr(
        model, "update", lambda *a: updates.append(a) or update(*a)
    )
    seed = np.zeros((B, 2), np.int32)
    outputs = model.predict_frames(state, seed, 3)
    assert recorder.decodes == len(updates) == 3
    assert outputs["recon"].shape == (B, 3, SIZE, SIZE, 3)
    for arguments in updates:
        assert np.all(np.asarray(arguments[2]) == 0)
    for t, values in enumerate(np.asarray(v) for v in maps):
        assert np.all(values[..., 5:9] == 0)  # by the means and the masks
        # The picture that is predicted stands in for the observed one.
        means = np.asarray(outputs["components"][:, t], np.float64)
        masks = np.asarray(outputs["masks"][:, t], np.float64)
        error = np.asarray(outputs["recon"][:, t])[:, None] - means
        shares = masks * np.exp(-0.5 * error**2 / 0.3)
        found = np.log(shares.sum(1)).sum(-1)  # [B, H, W]
        found -= found.mean((1, 2), keepdims=True)
        found /= np.sqrt(np.square(found).mean((1, 2), keepdims=True) + 1e-5)
        for k in range(K):
            assert_close(values[:, k, ..., 10], found, 1e-3)


@pytest.mark.parametrize(
    "options", [{"latent": "prior"}, {"num_refinements": 2}]
)
def test_prediction_options_give_proper_frames(options):
    outputs = kept().rollout({"video": video(frames=2)}, 2, **options)
    np.testing.assert_allclose(np.sum(outputs["masks"], axis=2), 1, atol=1e-5)


def test_unknown_prediction_latent_is_named():
    with pytest.raises(ValueError, match='"initial" or "prior"'):
        kept().rollout({"video": video(frames=1)}, 2, latent="posterior")


# ---- 17 to 20 --------------------------------------------------------------


def test_without_a_past_the_temporal_weights_do_not_matter():
    model = tiny(conditional=False)
    one = run(model, video=video(frames=1))
    model.lstm.kernels[1].assign(7.0 + 0 * model.lstm.kernels[1])
    two = run(model, video=video(frames=1))
    assert_close(one["masks"], two["masks"], 1e-6)


@pytest.mark.parametrize(
    "options, count",
    [
        ({}, 2_844_932),
        ({"conditional": False}, 2_796_676 - 1_280),
        ({"image_size": 128}, 9_137_668 - 1_280),
    ],
)
def test_parameter_counts_are_the_published_ones(options, count):
    # The published counts have three biases in the LSTM; one is enough.
    model = PROVIDE(**options)
    model.build()
    assert model.count_params() == count


def test_parameter_count_with_features_is_the_published_one():
    model = PROVIDE(features=FrameFeatures(), refinement_inputs=WITH_FEATURES)
    model.build()
    assert model.count_params() == 2_977_940 - 1_280


@pytest.mark.parametrize("options", [REFERENCE, {"rematerialize": True}])
def test_eager_and_compiled_runs_agree(options):
    model = tiny(**options)
    inputs = {"video": video(frames=2), "seed": np.int32([[1, 2], [3, 4]])}
    compiled = tf.function(lambda x: model(x), autograph=False)
    eager, again = (model(inputs)["masks"] for _ in range(2))
    assert_close(compiled(inputs)["masks"], eager, 1e-5)
    assert_close(again, eager, 0)


def test_reference_cuts_the_first_gradient_to_the_kl(monkeypatch):
    found = {}
    for name, options in {"paper": {}, "reference": REFERENCE}.items():
        model = kept(**options)
        seen = []
        recorder = Recorder(model, monkeypatch)
        gradient = model._parameter_gradient
        monkeypatch.setattr(
            model,
            "_parameter_gradient",
            lambda *a, g=gradient, s=seen: s.append(a) or g(*a),
        )
        run(model)
        arguments, _, saved = recorder.cells[0]
        prior = model.cell_prior(arguments["cell"])
        of_kl = model.posterior(arguments["parameters"]).kl_gradient(prior)
        mean = tf.reduce_mean(of_kl, -1, keepdims=True)
        spread = tf.math.reduce_std(of_kl, -1, keepdims=True)
        found[name] = np.allclose(saved, (of_kl - mean) / spread, atol=1e-3)
    assert found == {"paper": False, "reference": True}


@pytest.mark.slow
def test_rematerialised_gradients_equal_the_plain_ones():
    model = tiny(entropy_weight=0.1)
    compiled = []
    for model.rematerialize in (False, True):
        function = tf.function(lambda: gradients(model), autograph=False)
        compiled.append(function())
    assert_close(compiled[1], compiled[0], 1e-4)


def test_graph_does_not_grow_with_frames_and_refinements():
    sizes = []
    for frames, budget in ((2, 2), (9, 5)):
        model = tiny(num_refinements=budget)
        sizes.append(graph_size(model, [1, frames, SIZE, SIZE, 3]))
    assert sizes[1] <= 1.02 * sizes[0]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"step_weights": "last"}, "step_weights must be one of"),
        ({"granularity": "image"}, "granularity must be"),
        ({"refinement_inputs": ("frame", "depth")}, "unknown refinement"),
        ({"refinement_inputs": WITH_FEATURES}, "come together"),
        ({"image_size": 9}, "image_size"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        run(tiny(**options))


def test_a_traversal_may_sweep_what_the_decoder_reads_beside():
    model, inputs = kept(), {"video": video(frames=2)}
    joint = model.traverse(inputs, 1, dims=[0], values=[5.0], joint=True)
    assert not np.allclose(joint, model.traverse(inputs, 1, [0], [5.0]))


def test_without_a_memory_decode_reads_slots_alone():
    model = tiny(conditional=False)
    encoded = model.encode({"video": video()})
    drawn = model.decode(**{n: v[:, 0] for n, v in encoded.items()})
    np.testing.assert_allclose(tf.reduce_sum(drawn["masks"], 1), 1, 1e-5)
