"""IODINE's invariants."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.iodine_numpy import Refinement, sigmoid
from tests.models.tiny_iodine import (
    SIZE,
    UNITS,
    B,
    K,
    R,
    Recorder,
    Z,
    gradients,
    noise,
    tiny,
    video,
)
from tests.test_case import assert_close
from tfdecomp.distributions.gaussians import PARAMETERIZATIONS
from tfdecomp.layers.broadcast_decoder import BroadcastDecoder
from tfdecomp.layers.deconv_decoder import DeconvDecoder
from tfdecomp.layers.refinement_encoder import RefinementEncoder
from tfdecomp.metrics import rand_index
from tfdecomp.models.iodine import IODINE, PICTURE_INPUTS, VECTOR_INPUTS

REFERENCE_INPUTS = ("constant", *PICTURE_INPUTS)
COSINE_INPUTS = (*REFERENCE_INPUTS[:-1], "cosine_coordinates")


def run(model, **inputs):
    return model({"video": video(), "noise": noise(), **inputs})


def loss_gradients(model, **inputs):
    return gradients(model, {"video": video(), "noise": noise(), **inputs})


# ---- 1 to 3: masks and slots -----------------------------------------------


def test_mask_posteriors_sum_to_one(monkeypatch):
    model = tiny()
    recorder = Recorder(model, monkeypatch)
    run(model)
    for _, _, score in recorder.objectives:
        total = tf.reduce_sum(score.mask_posterior(), axis=1)
        np.testing.assert_allclose(total, 1, atol=1e-5)


def test_permuting_the_noise_permutes_the_slots():
    model, order = tiny(), [2, 0, 1]
    one = run(model)
    two = run(model, noise=noise()[:, :, :, order])
    for name in ("masks", "components", "slots", "latent_kl"):
        assert_close(tf.gather(one[name], order, axis=2), two[name], 1e-5)
    for name in ("loss", "nll", "kl", "recon"):
        assert_close(one[name], two[name], 1e-5)


def test_fewer_than_two_slots_are_refused():
    with pytest.raises(ValueError, match="num_slots must be at least 2"):
        tiny(num_slots=1)


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
        tiny()({"video": video()}, num_refinements=0)


# ---- 5 to 7: gradient inputs -----------------------------------------------


def test_stopped_inputs_carry_no_gradient(monkeypatch):
    model = tiny()
    plain = loss_gradients(model)
    recorder = Recorder(model, monkeypatch)
    loss_gradients(model)
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


def loose_cell(slots=K):
    """A cell away from every special value, and lambda."""
    rng = np.random.default_rng(3)
    cell = {
        "frame": tf.constant(video()[:, 0]),
        "noise": tf.constant(noise(slots=slots)[:, 0, 0]),
        "is_first": tf.constant(1.0),
        "variance": tf.constant(0.3),
        "reconstruction_weight": tf.constant(1.0),
        "kl_weight": tf.constant(1.0),
        "entropy_weight": tf.constant(0.0),
        "prior_mean": tf.zeros([B, slots, Z]),
        "prior_log_variance": tf.zeros([B, slots, Z]),
    }
    parameters = rng.standard_normal((B, slots, 2 * Z))
    return cell, tf.constant(parameters, tf.float32)


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
    keras.utils.set_random_seed(0)
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


# ---- 8 and 16: sizes -------------------------------------------------------


def published(name, **options):
    """The models of the paper's three image sets."""
    if name == "clevr":
        return IODINE(**options)
    side, latent, units = {
        "multi_dsprites": (64, 16, 128),
        "tetrominoes": (35, 32, None),
    }[name]
    decoder = BroadcastDecoder(
        (side, side),
        filters=(32,) * 4,
        kernel_sizes=5,
        dense=(),
        mean_activation="linear",
    )
    options = {
        "encoder": RefinementEncoder((32,) * 3, 5, pool="global", units=(128,)),
        **options,
    }
    return IODINE(
        decoder, image_size=side, latent_dim=latent, units=units, **options
    )


def reference(name):
    """The same as the published code has them."""
    constants = {"latent_constant": 5.0, "vector_constant": 0.5}
    if name == "clevr":
        return published(
            name,
            encoder=RefinementEncoder(
                strides=2,
                pool="global",
                units=(256, 256),
                code_activation="linear",
            ),
            refinement_inputs=REFERENCE_INPUTS,
            **constants,
        )
    return published(
        name,
        encoder=RefinementEncoder(
            (32,) * 3,
            5,
            strides=2,
            pool="global",
            units=(128,),
            code_activation="linear",
        ),
        refinement_inputs=COSINE_INPUTS,
        **constants,
    )


@pytest.mark.parametrize(
    "make, name, count, channels, width",
    [
        (published, "clevr", 1_109_200, 17, 512),
        (published, "multi_dsprites", 332_240, 17, 192),
        (published, "tetrominoes", 193_104, 17, 256),
        (reference, "clevr", 1_177_168, 18, 513),
        (reference, "multi_dsprites", 339_152, 24, 193),
        (reference, "tetrominoes", 199_568, 24, 257),
    ],
)
def test_sizes_are_the_published_ones(make, name, count, channels, width):
    model = make(name)
    model.build()
    assert model.count_params() == count
    assert model.encoder.convs[0].kernel.shape[2] == channels
    latents = 2 * model.latent_dim
    if name == "tetrominoes":
        assert model.lstm is None
        assert model.head.kernel.shape == (width, latents)
    else:
        units = model.units
        assert model.lstm.kernel.shape == (width + units, 4 * units)
        assert model.head.kernel.shape == (units, latents)


def test_deconvolution_decoder_has_the_published_count():
    decoder = DeconvDecoder((128, 128))
    model = IODINE(decoder)
    model.build()
    assert decoder.count_params() == 725_060
    assert model.count_params() == 1_109_200 - 151_172 + 725_060


def test_a_model_with_deconvolutions_runs():
    decoder = DeconvDecoder((SIZE, SIZE), dense=(5,), grid=4, filters=3)
    model = IODINE(decoder, image_size=SIZE, latent_dim=Z, num_slots=K)
    outputs = model({"video": video()})
    assert outputs["masks"].shape == (B, 1, K, SIZE, SIZE, 1)
    assert np.all(np.isfinite(outputs["loss"]))


@pytest.mark.parametrize("make", [published, reference])
def test_a_published_model_takes_a_step(make):
    model = make("tetrominoes")
    pictures = np.zeros((1, 1, 35, 35, 3), np.uint8)
    outputs = model({"video": pictures}, num_refinements=1)
    assert outputs["masks"].shape == (1, 1, 7, 35, 35, 1)
    assert np.all(np.isfinite(outputs["loss"]))


def test_constant_and_cosine_inputs_reach_the_encoder(monkeypatch):
    model = tiny(refinement_inputs=COSINE_INPUTS)
    seen = []
    shared = model.encoder.shared
    monkeypatch.setattr(
        model.encoder, "shared", lambda m: seen.append(m) or shared(m)
    )
    run(model)
    maps = np.asarray(seen[0])  # constant, frame, cosines
    assert np.all(maps[..., 0] == 0.5)
    assert_close(maps[..., 1:4], video()[:, 0], 1e-6)
    ramp = np.linspace(0, 1, SIZE)
    for channel, (fx, fy) in ((4, (0, 1)), (6, (1, 0)), (10, (2, 1))):
        wave = np.outer(np.cos(fy * np.pi * ramp), np.cos(fx * np.pi * ramp))
        assert_close(maps[0, ..., channel], wave, 1e-5)


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
    keras.utils.set_random_seed(0)
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
    keras.utils.set_random_seed(0)
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
    model = tiny()
    drawn = np.zeros((B, 1, 8, K, Z), np.float32)
    inputs = {"video": video(), "noise": drawn}
    outputs = model(inputs, num_refinements=7)
    for name in ("masks", "components", "slots"):
        values = outputs[name]
        # Refinements amplify the rounding of single slots.
        assert_close(values, tf.repeat(values[:, :, :1], K, axis=2), 1e-3)


# ---- 15: more refinements --------------------------------------------------


def test_thrice_the_refinements_stay_finite():
    model = tiny()
    count = len(model.variables)
    history = model.refinement_history({"video": video()}, 3 * R)
    assert history["recon"].shape == (B, 3 * R + 1, SIZE, SIZE, 3)
    for name in ("recon", "nll_by_step", "kl_by_step", "parameters"):
        assert np.all(np.isfinite(history[name]))
    assert len(model.variables) == count


def test_history_ends_with_what_a_call_returns():
    model = tiny()
    inputs = {"video": video(), "seed": np.array([[3, 1], [4, 1]], np.int32)}
    history, outputs = model.refinement_history(inputs), model(inputs)
    for name in ("recon", "masks", "components", "slots"):
        assert history[name].shape[1] == R + 1
        assert_close(history[name][:, -1:], outputs[name], 1e-5)
    assert_close(history["nll_by_step"][:, -1], outputs["nll_last_frame"], 1e-5)
    assert_close(history["kl_by_step"][:, -1], outputs["kl"], 1e-5)


def test_history_of_a_later_frame_draws_that_frames_noise():
    model = tiny()
    inputs = {"video": video(), "first_frame": tf.constant(3)}
    history, outputs = model.refinement_history(inputs), model(inputs)
    assert_close(history["masks"][:, -1:], outputs["masks"], 1e-5)


# ---- options ---------------------------------------------------------------


def test_gated_update_equals_its_equations(monkeypatch):
    model = tiny(update_rule="predictor_corrector")
    recorder = Recorder(model, monkeypatch)
    run(model)

    def dense(layer, values):
        return values @ np.asarray(layer.kernel) + np.asarray(layer.bias)

    gate, hidden, predictor = model.corrector
    for (arguments, result), (_, outputs, _) in zip(
        recorder.updates, recorder.refinements
    ):
        before = np.asarray(arguments[1])
        h = np.asarray(result[0][0])
        share = sigmoid(dense(gate, h))
        corrected = share * dense(model.head, h) + (1 - share) * before
        inner = dense(hidden, before)
        inner = np.where(inner > 0, inner, np.expm1(inner))
        p, q = np.split(dense(predictor, inner), 2, axis=-1)
        after = sigmoid(q) * p + (1 - sigmoid(q)) * corrected
        after = after.reshape(B, K, 2 * Z)
        assert_close(outputs["parameters"], after, 1e-5)
    assert hidden.units == 64
    assert len(recorder.updates) == R


ONLY_SECOND, ONLY_LAST = (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)


def gradient_paths(step_weights, truncate_bptt):
    model = tiny(step_weights=step_weights, truncate_bptt=truncate_bptt)
    paths = [v.path.split("/", 1)[1] for v in model.trainable_variables]
    return dict(zip(paths, loss_gradients(model)))


def test_truncation_changes_no_value():
    one, two = run(tiny()), run(tiny(truncate_bptt=2))
    for name in ("loss", "masks", "slots"):
        assert_close(one[name], two[name], 0)


def test_truncation_hides_the_start_from_later_decodes():
    plain = gradient_paths(ONLY_LAST, 0)
    cut = gradient_paths(ONLY_LAST, 2)
    assert np.any(plain["initial_parameters"] != 0)
    assert np.all(cut["initial_parameters"] == 0)
    learning = [path for path in cut if "lstm" in path or "update" in path]
    assert len(learning) == 4
    for path in learning:  # from the refinement since the cut
        assert np.any(cut[path] != 0)
        assert not np.allclose(cut[path], plain[path])


def test_truncation_leaves_decodes_before_the_cut_alone():
    plain = gradient_paths(ONLY_SECOND, 0)
    cut = gradient_paths(ONLY_SECOND, 2)
    assert_close(list(cut.values()), list(plain.values()), 1e-6)
    assert np.any(cut["initial_parameters"] != 0)


def test_truncated_gradient_equals_one_with_a_constant_in_between():
    # Three refinements of which the first two came from elsewhere.
    model = tiny(step_weights=ONLY_LAST, truncate_bptt=2)
    inputs = {"video": video(), "noise": noise()}
    cut = loss_gradients(model)
    history = model.refinement_history(inputs)
    plain = tiny(step_weights=ONLY_LAST)
    frame = tf.constant(video()[:, 0])
    weights = plain.trainable_variables
    parameters, state = plain.start(B, K)
    shared = {**plain.cell(inputs, B, K), "frame": frame}
    with tf.GradientTape() as tape:
        read = plain.read_weights()
        for j in range(R):
            if j == 2:
                parameters, *state = map(tf.stop_gradient, (parameters, *state))
            cell = {
                **shared,
                "noise": tf.constant(noise()[:, 0, j]),
                "is_first": tf.constant(float(j == 0)),
                "shared": plain.shared_maps(frame),
            }
            outputs, _ = plain.refine_cell(
                {
                    "weights": read,
                    "cell": cell,
                    "parameters": parameters,
                    "state": tuple(state),
                }
            )
            parameters, state = outputs["parameters"], outputs["state"]
        assert_close(history["parameters"][:, -1], parameters, 1e-5)
        cell["noise"] = tf.constant(noise()[:, 0, R])
        last, _ = plain.decode_cell(
            {"weights": read, "cell": cell, "parameters": parameters}
        )
        loss = tf.reduce_mean(last["loss"])
    expected = tape.gradient(
        loss,
        [v.value for v in weights],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    assert_close(cut, expected, 1e-5)


@pytest.fixture(scope="module")
def whole():
    """A model that is given everything, and its masks."""
    model = tiny(num_refinements=1)
    return model, run(model)["masks"]


@pytest.mark.parametrize("name", [*PICTURE_INPUTS, *VECTOR_INPUTS])
def test_every_input_can_be_left_out(name, whole):
    whole, masks = whole
    model = tiny(without=(name,), num_refinements=1)
    outputs = run(model)
    assert np.all(np.isfinite(outputs["loss"]))
    assert not np.allclose(outputs["masks"], masks)
    channels = model.encoder.convs[0].kernel.shape[2]
    width = model.lstm.kernel.shape[0]
    if name in VECTOR_INPUTS:
        assert channels == 17
        assert width == whole.lstm.kernel.shape[0] - 2 * Z
    else:
        size = {"frame": 3, "means": 3, "mean_gradient": 3, "coordinates": 2}
        assert channels == 17 - size.get(name, 1)
        assert width == whole.lstm.kernel.shape[0]
    assert name not in model.norms


def test_an_unknown_input_left_out_is_named():
    with pytest.raises(ValueError, match=r"names \['depth'\], which are no"):
        tiny(without=("depth", "masks"))


def test_deterministic_runs_draw_the_first_sample_alone():
    model = tiny(deterministic=True)
    later, first = noise(), noise()
    later[:, :, 1:] = noise(seed=8)[:, :, 1:]
    first[:, :, :1] = noise(seed=8)[:, :, :1]
    one = run(model)
    assert_close(run(model, noise=later)["masks"], one["masks"], 0)
    assert not np.allclose(run(model, noise=first)["masks"], one["masks"])
    decoded = model.decode(one["slots"][:, 0])
    assert_close(decoded["recon"], one["recon"][:, 0], 1e-5)
    slots = np.asarray(one["slots"])
    assert not np.allclose(slots[:, :, 0], slots[:, :, 1])


@pytest.mark.slow
def test_rematerialised_gradients_equal_the_plain_ones():
    options = {"update_rule": "predictor_corrector", "truncate_bptt": 2}
    model = tiny(**options)
    plain = loss_gradients(model)
    model.rematerialize = True
    assert_close(loss_gradients(model), plain, 1e-5)
    compiled = tf.function(lambda: loss_gradients(model), autograph=False)()
    assert_close(compiled, plain, 1e-4)


def test_latent_constant_stands_behind_every_latent():
    model = tiny(latent_constant=5.0)
    slots = tf.constant(noise()[:, 0, 0])
    tail = tf.fill([B * K, 1], 5.0)
    means, _ = model.decoder(tf.concat([tf.reshape(slots, [-1, Z]), tail], 1))
    decoded = model.decode(slots)["components"]
    assert_close(decoded, tf.reshape(means, decoded.shape), 1e-6)
    assert np.all(np.isfinite(run(model)["loss"]))


def test_vector_constant_is_read_by_the_update_as_a_bias_is():
    model = tiny(units=0, vector_constant=0.5)
    before = run(model)
    model.head.bias.assign(model.head.bias + 0.5 * model.head.kernel[-1])
    model.head.kernel.assign(
        tf.concat([model.head.kernel[:-1], tf.zeros([1, 2 * Z])], axis=0)
    )
    assert_close(run(model)["slots"], before["slots"], 1e-4)


def test_scenes_from_the_prior_are_pictures():
    model = tiny(prior_variance=0.25)
    one, two = (model.sample_prior(50, (1, 2), num_slots=5) for _ in range(2))
    assert one["masks"].shape == (50, 5, SIZE, SIZE, 1)
    assert one["slots"].shape == (50, 5, Z)
    assert np.asarray(one["slots"]).std() == pytest.approx(0.5, rel=0.1)
    for name in ("recon", "components"):
        values = np.asarray(one[name])
        assert values.min() >= 0 and values.max() <= 1
    assert_close(one["recon"], two["recon"], 0)
    other = model.sample_prior(50, (1, 3), num_slots=5)
    assert not np.allclose(one["slots"], other["slots"])


def test_latent_kl_sums_to_the_kl():
    outputs = run(tiny())
    assert outputs["latent_kl"].shape == (B, 1, K, Z)
    assert_close(
        tf.reduce_sum(outputs["latent_kl"], [1, 2, 3]), outputs["kl"], 1e-5
    )


def test_likelihood_of_latents_scores_as_the_objective_does():
    model = tiny()
    cell, parameters = loose_cell()
    cell["variance"] = tf.constant(0.1)
    latents = model.sample(cell, parameters)
    decoded = model.decode_latents(latents)
    terms, _, _ = model.objective(cell, *decoded, parameters)
    score = model.likelihood(latents).score(cell["frame"])
    assert_close(score.nll, terms["nll"], 1e-6)


def test_training_and_inference_have_the_same_loss():
    model = tiny()
    inputs = {"video": video(), "noise": noise()}
    assert_close(model(inputs, training=True)["loss"], run(model)["loss"], 1e-6)


def test_a_scheduled_number_of_refinements_stands_in_for_the_models():
    model = tiny()
    inputs = {"video": video(), "noise": noise(decodes=6)}
    scheduled = model({**inputs, "num_refinements": tf.constant(5.0)})
    assert_close(
        scheduled["masks"], model(inputs, num_refinements=5)["masks"], 0
    )
    given = model(
        {**inputs, "num_refinements": tf.constant(5.0)}, num_refinements=2
    )
    assert_close(given["masks"], model(inputs, num_refinements=2)["masks"], 0)


def test_scheduled_weights_stand_in_for_the_attributes():
    one = run(tiny(kl_weight=2.0, variance=0.2))
    two = run(tiny(), kl_weight=tf.constant(2.0), variance=tf.constant(0.2))
    assert_close(one["loss"], two["loss"], 1e-6)


# ---- configs, precision, graphs --------------------------------------------

UNUSUAL = {
    "component": "logistic",
    "parameterization": "log_variance",
    "without": ("masks", "parameters"),
    "affine_norm": False,
    "step_weights": (0.0, 0.5, 0.5, 1.0),
    "update_rule": "predictor_corrector",
    "prior_variance": 0.7,
    "latent_constant": 5.0,
    "vector_constant": 0.5,
    "deterministic": True,
    "truncate_bptt": 2,
    "units": None,
    "update_bias": (0.0, -1.0),
    "rematerialize": True,
    "refinement_inputs": COSINE_INPUTS,
}


@pytest.fixture
def half_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def test_half_precision_keeps_the_posterior_in_full(
    half_precision, monkeypatch
):
    model = tiny()
    assert model.decoder.compute_dtype == "bfloat16"
    recorder = Recorder(model, monkeypatch)
    outputs = run(model)
    for arguments, after, saved in recorder.refinements:
        values = (arguments["parameters"], after["parameters"], saved)
        for value in (*values, *after["state"]):
            assert value.dtype == tf.float32
    for name in ("loss", "slots", "masks", "components"):
        assert outputs[name].dtype == tf.float32
    keras.config.set_dtype_policy("float32")
    # Eight bits of mantissa in the convolutions of four cells.
    assert_close(outputs["loss"], run(tiny())["loss"], 0.02)


def test_eager_and_compiled_runs_agree_with_unusual_options():
    model = tiny(**UNUSUAL)
    inputs = {"video": video(), "noise": noise()}
    compiled = tf.function(lambda x: model(x), autograph=False)
    assert_close(compiled(inputs)["masks"], model(inputs)["masks"], 1e-5)


def test_graph_does_not_grow_with_frames_and_refinements():
    sizes = []
    for frames, budget in ((1, 1), (9, 5)):
        model = tiny(num_refinements=budget)
        function = tf.function(
            lambda x, m=model: m({"video": x})["masks"], autograph=False
        )
        graph = function.get_concrete_function(
            tf.TensorSpec([1, frames, SIZE, SIZE, 3])
        ).graph
        library = graph.as_graph_def().library.function
        total = sum(len(f.node_def) for f in library)
        sizes.append(total + len(graph.get_operations()))
    assert sizes[1] <= 1.02 * sizes[0]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"step_weights": "last"}, "step_weights must be one of"),
        ({"step_weights": (0.0, 1.0)}, "each of the 4 decodes"),
        ({"update_rule": "gated"}, "update_rule must be one of"),
        ({"granularity": "image"}, "granularity must be one of"),
        ({"component": "laplace"}, "component must be one of"),
        ({"parameterization": "exp"}, "parameterization must be one of"),
        ({"lstm_initializer": "zeros"}, "initializer must be"),
        ({"refinement_inputs": ("frame", "depth")}, "unknown refinement"),
        ({"refinement_inputs": ("frame", "features")}, "come together"),
        ({"truncate_bptt": 1}, "use at least 2, or 0"),
        ({"image_size": 9}, "set IMAGE_SIZE for both"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        run(tiny(**options))


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
    keras.utils.set_random_seed(0)
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
