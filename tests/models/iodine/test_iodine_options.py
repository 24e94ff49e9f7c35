"""IODINE: truncation, inputs left out, configs, precision, graphs."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.oracles.iodine_numpy import sigmoid
from tests.models.tiny.tiny_iodine import (
    COSINE_INPUTS,
    SIZE,
    B,
    K,
    R,
    Recorder,
    Z,
    kept,
    kept_outputs,
    loose_cell,
    loss_gradients,
    noise,
    run,
    tiny,
    video,
)
from tests.test_case import assert_close, graph_size
from tfdecomp.models.iodine import PICTURE_INPUTS, VECTOR_INPUTS

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


@functools.cache
def gradient_paths(**options):
    """Path -> gradient, in the order of the weights."""
    model = kept(**options)
    paths = [v.path.split("/", 1)[1] for v in model.trainable_variables]
    return dict(zip(paths, loss_gradients(model)))


def test_truncation_changes_no_value():
    one, two = kept_outputs(), run(tiny(truncate_bptt=2))
    for name in ("loss", "masks", "slots"):
        assert_close(one[name], two[name], 0)


def test_truncation_hides_the_start_from_later_decodes():
    plain = gradient_paths(step_weights=ONLY_LAST)
    cut = gradient_paths(step_weights=ONLY_LAST, truncate_bptt=2)
    assert np.any(plain["initial_parameters"] != 0)
    assert np.all(cut["initial_parameters"] == 0)
    learning = [path for path in cut if "lstm" in path or "update" in path]
    assert len(learning) == 4
    for path in learning:  # from the refinement since the cut
        assert np.any(cut[path] != 0)
        assert not np.allclose(cut[path], plain[path])


def test_truncation_leaves_decodes_before_the_cut_alone():
    plain = gradient_paths(step_weights=ONLY_SECOND)
    cut = gradient_paths(step_weights=ONLY_SECOND, truncate_bptt=2)
    assert_close(list(cut.values()), list(plain.values()), 1e-6)
    assert np.any(cut["initial_parameters"] != 0)


def test_truncated_gradient_equals_one_with_a_constant_in_between():
    # Three refinements of which the first two came from elsewhere.
    options = {"step_weights": ONLY_LAST, "truncate_bptt": 2}
    inputs = {"video": video(), "noise": noise()}
    cut = list(gradient_paths(**options).values())
    history = kept(**options).refinement_history(inputs)
    plain = kept(step_weights=ONLY_LAST)
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
    outputs = kept_outputs()
    assert outputs["latent_kl"].shape == (B, 1, K, Z)
    assert_close(
        tf.reduce_sum(outputs["latent_kl"], [1, 2, 3]), outputs["kl"], 1e-5
    )


def test_likelihood_of_latents_scores_as_the_objective_does():
    model = kept()
    cell, parameters = loose_cell()
    cell["variance"] = tf.constant(0.1)
    latents = model.sample(cell, parameters)
    decoded = model.decode_latents(latents)
    terms, _, _ = model.objective(cell, *decoded, parameters)
    score = model.likelihood(latents).score(cell["frame"])
    assert_close(score.nll, terms["nll"], 1e-6)


def test_training_and_inference_have_the_same_loss():
    inputs = {"video": video(), "noise": noise()}
    trained = kept()(inputs, training=True)
    assert_close(trained["loss"], kept_outputs()["loss"], 1e-6)


def test_a_scheduled_number_of_refinements_stands_in_for_the_models():
    model = kept()
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
    two = run(kept(), kl_weight=tf.constant(2.0), variance=tf.constant(0.2))
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
    assert_close(outputs["loss"], kept_outputs()["loss"], 0.02)


def test_eager_and_compiled_runs_agree_with_unusual_options():
    model = tiny(**UNUSUAL)
    inputs = {"video": video(), "noise": noise()}
    compiled = tf.function(lambda x: model(x), autograph=False)
    assert_close(compiled(inputs)["masks"], model(inputs)["masks"], 1e-5)


def test_graph_does_not_grow_with_frames_and_refinements():
    sizes = []
    for frames, budget in ((1, 1), (9, 5)):
        model = tiny(num_refinements=budget)
        sizes.append(graph_size(model, [1, frames, SIZE, SIZE, 3]))
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
