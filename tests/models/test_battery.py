"""Every system of the package through the same checks."""

import importlib
import inspect
import json
import pathlib
import pkgutil
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfdecomp.models
from tests.models import battery
from tests.models.battery import LEARNING, SEED, SYSTEMS, T, those_that
from tests.test_case import assert_close
from tfdecomp.exporting import saved_model
from tfdecomp.models import base
from tfdecomp.prediction.stream import PER_FRAME
from tfdecomp.storage import saving

AXES = {
    "recon": "BTHWC",
    "masks": "BTKHW1",
    "components": "BTKHWC",
    "slots": "BTKD",
    "context": "BTKU",
    "samples": "BTKD",
    "latent_kl": "BTKD",
    "presence": "BTK",
    "boxes": "BTK4",
    "locations": "BTK2",
    "track_ids": "BTK",
    "owner": "BTHW",
}
ROOT = pathlib.Path(__file__).resolve().parents[2]
WHOLE_NUMBERS = ("track_ids", "owner")
_LAST = []


@pytest.fixture
def tiny(request):
    """The `Tiny` of a system; the last one is kept, as tests come by system."""
    if not _LAST or _LAST[0].system is not request.param:
        _LAST[:] = [battery.Tiny(request.param)]
    return _LAST[0]


def each(systems):
    return pytest.mark.parametrize(
        "tiny", systems, ids=str, indirect=True, scope="module"
    )


def registered():
    """The classes of systems that a config can name."""
    for found in pkgutil.walk_packages(
        tfdecomp.models.__path__, "tfdecomp.models."
    ):
        for value in vars(importlib.import_module(found.name)).values():
            if inspect.isclass(value) and issubclass(
                value, base.DecompositionModel
            ):
                name = keras.saving.get_registered_name(value)
                if name.startswith("tfdecomp>"):
                    yield value


def test_every_system_of_the_package_is_here():
    assert {system.cls for system in SYSTEMS} == set(registered())


# ---- what comes out --------------------------------------------------------


@each(SYSTEMS)
def test_outputs_keep_the_contract(tiny):
    batch, frames, *size = tiny.inputs["video"].shape
    sizes = dict(zip("BTHWC142", (batch, frames, *size, 1, 4, 2)))
    sizes["K"] = tiny.model.num_slots
    outputs = {n: v for n, v in tiny.outputs.items() if n != "state"}
    for name, value in outputs.items():
        shape = []
        for letter, number in zip(AXES.get(name, "B"), value.shape):
            shape.append(sizes.setdefault(letter, number))
        assert value.shape == shape, name
        kind = tf.int32 if name in WHOLE_NUMBERS else tf.float32
        assert value.dtype == kind, name
        assert np.all(np.isfinite(value)), name
    learnt = {"recon", "slots", "loss", "nll"}
    assert tiny.system.learns == (learnt <= set(outputs))
    check_masks(outputs)
    if "masks" in outputs and tiny.model.background_slot is None:
        mixed = tf.reduce_sum(outputs["masks"] * outputs["components"], 2)
        assert_close(outputs["recon"], mixed, 1e-5)
    check_objects(outputs, size, tiny.model.background_slot)


def check_masks(outputs):
    if "masks" in outputs:
        assert np.min(outputs["masks"]) >= 0
        np.testing.assert_allclose(np.sum(outputs["masks"], 2), 1, rtol=1e-5)


def check_objects(outputs, size, background):
    """Presence, boxes and tracks, where there are some."""
    presence = outputs.get("presence")
    if presence is None:
        return
    presence, boxes = np.asarray(presence), np.asarray(outputs["boxes"])
    assert np.all((presence >= 0) & (presence <= 1))
    assert background == 0 and np.all(presence[..., 0] == 1)
    for name in {"boxes", "slots", "latent_kl", "locations"} & set(outputs):
        values = np.asarray(outputs[name])
        assert not np.any(values[:, :, 0]), name
    assert not np.any(boxes[presence == 0])
    assert np.all(boxes >= 0) and np.all(boxes <= [*size[:2], *size[:2]])
    assert np.all(boxes[..., 2:] >= boxes[..., :2])
    ids = np.asarray(outputs.get("track_ids", np.zeros_like(presence)))
    assert not np.any(ids[presence <= 0.5]) and not np.any(ids[..., 0])
    for frame in ids.reshape(-1, ids.shape[-1]):
        shown = frame[frame > 0]
        assert len(set(shown)) == len(shown)


@each(SYSTEMS)
def test_a_compiled_clip_of_bytes_gives_what_a_batch_of_fractions_gives(tiny):
    names = {*PER_FRAME, "loss", "nll", "kl"} & set(tiny.outputs)
    assert set(tiny.whole) == names
    for name in names:
        assert_close(tiny.whole[name], tiny.outputs[name][1], 1e-4)


@each(SYSTEMS)
def test_a_video_in_chunks_is_the_video_and_looks_not_ahead(tiny):
    found = tiny.read(0, 2, T)
    names = found.keys() - {"loss"}
    if tiny.system.cls.looks_ahead:  # looks are those of all frames so far
        names &= {"presence", "boxes", "locations", "track_ids"}
    for name in names:
        assert_close(found[name], tiny.whole[name], 1e-4)
    for function in tiny.stream._compiled.values():  # so no graph grows with T
        assert function.experimental_get_tracing_count() == 1


@each(SYSTEMS)
def test_a_seed_gives_one_result_and_another_seed_another(tiny):
    again, other = tiny.read(0, T), tiny.read(0, T, seed=SEED + 1)
    for name, value in again.items():
        np.testing.assert_array_equal(value, tiny.whole[name], err_msg=name)
    if tiny.system.learns:
        assert again["nll"] != other["nll"]


@each([system for system in SYSTEMS if system.takes("num_slots")])
def test_another_number_of_slots_needs_no_other_weights(tiny):
    model = tiny.model
    shapes = [weight.shape for weight in model.weights]
    more = model.num_slots + 2
    outputs = model(tiny.inputs, num_slots=more)
    assert outputs["masks"].shape[2] == more
    check_masks(outputs)
    assert [weight.shape for weight in model.weights] == shapes
    with pytest.raises(ValueError, match="num_slots must be at least 2"):
        model(tiny.inputs, num_slots=1)


# ---- what goes in ----------------------------------------------------------


def doors(model):
    """All that reads a video."""
    more = {"traverse": (model.num_slots - 1,), "rollout": (1,), "vary": (0,)}
    names = ("encode", "posterior", "log_likelihood_bound", "swap")
    for name in (*names, *more):
        if hasattr(model, name):
            door = getattr(model, name)
            yield lambda inputs, d=door, n=name: d(inputs, *more.get(n, ()))
    yield model


@each(SYSTEMS)
def test_a_video_of_another_kind_is_refused_in_a_sentence(tiny):
    good = np.zeros(tiny.inputs["video"].shape, np.float32)
    wrong = {
        "channels": good[..., :1].repeat(good.shape[-1] + 1, -1),
        "rank": good[:, 0],
        "frames": good[:, :0],
        "type": good.astype(np.int64),
    }
    if not tiny.model.any_size:
        wrong["size"] = np.pad(good, [(0, 0)] * 3 + [(1, 0), (0, 0)])
    for kind, video in wrong.items():
        for call in doors(tiny.model):
            came = "int64" if kind == "type" else str(list(video.shape))
            # What came; what to do. (Keras prints more around it.)
            sentence = f"(?m)^.*(reads|has|are).*got {re.escape(came)}.*; .*"
            with pytest.raises(ValueError, match=sentence):
                call({"video": video})


@each([system for system in SYSTEMS if not system.learns])
def test_what_has_no_weights_refuses_training_and_exports(tiny, tmp_path):
    reason = tiny.model.cannot_train
    assert "\n" not in reason
    with pytest.raises(ValueError, match=re.escape(reason)):
        tiny.model(tiny.inputs, training=True)
    with pytest.raises(ValueError, match=re.escape(reason)):
        battery.Settings(tiny.model, "any", num_steps=1, batch_size=1)
    with pytest.raises(saved_model.ExportError, match="silot_quick"):
        saved_model.export(tiny.model, tmp_path / "model")


# ---- what is written -------------------------------------------------------


def plain(value):
    """A config as JSON has it, without notes of how parts were built."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k != "build_config"}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def arguments(cls):
    """Those of its constructor, and of those it hands the rest to."""
    kinds = [k for k in cls.__mro__ if issubclass(k, base.DecompositionModel)]
    for maker in [vars(k)["__init__"] for k in kinds if "__init__" in vars(k)]:
        for parameter in inspect.signature(maker).parameters.values():
            if parameter.kind is not parameter.VAR_KEYWORD:
                yield parameter.name


@each(SYSTEMS)
def test_a_config_has_every_argument_and_gives_the_same_model(tiny):
    config, cls = tiny.model.get_config(), tiny.system.cls
    own = set(inspect.signature(cls).parameters) - {"kwargs"}
    assert own <= set(config)
    for name in set(arguments(cls)) & set(config):
        value = getattr(tiny.model, name)
        if not isinstance(value, keras.layers.Layer):
            assert plain(config[name]) == plain(value), name
    config = plain(json.loads(json.dumps(config)))
    again = cls.from_config(config)
    assert plain(json.loads(json.dumps(again.get_config()))) == config


@each(SYSTEMS)
def test_a_model_that_was_saved_gives_the_same(tiny, tmp_path):
    saving.save_model(tmp_path, tiny.model)
    tiny.model.save_weights(tmp_path / "model.weights.h5")
    again = saving.load_packed(tmp_path, "model.weights.h5")
    found = again(tiny.inputs)
    assert found.keys() == tiny.outputs.keys()
    assert_close(found, tiny.outputs, 1e-6)


@pytest.mark.slow
@each(LEARNING)
def test_a_saved_model_answers_as_the_model_in_a_fresh_process(tiny, tmp_path):
    """At other sizes, in chunks, and what follows: `exporting.check`."""
    content = saved_model.export(tiny.model, tmp_path / "model")
    expected = {"serving_default", "decompose", "decompose_uint8"}
    expected |= {"encode", "decode"}
    if "state" in tiny.outputs:
        expected.add("decompose_next")
    if tiny.system.can("predict_frames"):
        expected.add("predict_frames")
    assert set(content["signatures"]) == expected
    assert content["largest_difference"].keys() == expected
    assert max(content["largest_difference"].values()) <= 1e-5


# ---- what it draws ---------------------------------------------------------


def last_frame(values):
    return {name: value[:, -1] for name, value in values.items()}


@each(those_that("encode", "decode"))
def test_what_was_encoded_can_be_drawn(tiny):
    encoded = tiny.encoded
    assert_close(encoded["slots"], tiny.outputs["slots"], 1e-5)
    drawn = tiny.model.decode(**last_frame(encoded))
    assert drawn.keys() <= {"recon", "masks", "components", "boxes", "presence"}
    for name, value in drawn.items():
        if name in tiny.outputs:
            assert value.shape == tiny.outputs[name][:, -1].shape, name
    check_masks({n: v[:, None] for n, v in drawn.items()})


@each(those_that("traverse"))
def test_a_traversal_sets_one_latent_of_one_slot_of_the_last_frame(tiny):
    model, slot = tiny.model, tiny.model.num_slots - 1
    swept = model.traverse(tiny.inputs, slot, dims=[1, 0], values=[-1.0, 0.5])
    batch, _, *size = tiny.inputs["video"].shape
    assert swept.shape == (batch, 2, 2, *size)
    encoded = last_frame(tiny.encoded)
    if "context" in encoded:  # as published, what follows the frame
        encoded["context"] = tiny.outputs["state"]["h"]
    for i, dim in enumerate((1, 0)):
        for j, value in enumerate((-1.0, 0.5)):
            slots = np.array(encoded["slots"])
            slots[:, slot, dim] = value
            drawn = model.decode(**{**encoded, "slots": tf.constant(slots)})
            assert_close(swept[:, i, j], drawn["recon"], 1e-5)
    for slot in {model.num_slots, model.background_slot} - {None}:
        with pytest.raises(ValueError, match="slot"):
            model.traverse(tiny.inputs, slot)
    with pytest.raises(ValueError, match="leave dims out"):
        model.traverse(tiny.inputs, model.num_slots - 1, dims=[0, 99])


@each(those_that("sample_prior"))
def test_samples_of_the_prior_are_pictures_that_a_seed_repeats(tiny):
    one, two, other = (
        tiny.model.sample_prior(4, seed=seed)
        for seed in ((1, 2), (1, 2), (1, 3))
    )
    recon = one["recon"]
    assert (recon.shape[0], *recon.shape[-3:]) == (
        4,
        *tiny.inputs["video"].shape[-3:],
    )
    assert np.all(np.isfinite(recon))
    np.testing.assert_array_equal(recon, two["recon"])
    assert np.any(recon != other["recon"])
    read = inspect.signature(tiny.model.decode).parameters
    if recon.shape.rank == 4:  # pictures, not videos
        drawn = tiny.model.decode(**{n: one[n] for n in read if n in one})
        assert_close(np.clip(drawn["recon"], 0, 1), recon, 1e-5)


@each(those_that("rollout", "predict_frames"))
def test_predictions_go_on_where_they_ended(tiny):
    model, seed = tiny.model, tiny.inputs["seed"]
    whole = model.rollout(tiny.inputs, 3)
    first = model.rollout(tiny.inputs, 1)
    rest = model.predict_frames(first["state"], seed, 2)
    for name in [n for n in PER_FRAME if n in whole]:
        assert whole[name].shape[1] == 3
        joined = tf.concat([first[name], rest[name]], axis=1)
        assert_close(joined, whole[name], 1e-5)
    assert_close(rest["state"], whole["state"], 1e-5)
    assert int(whole["state"]["frame"]) == T + 3
    check_masks(whole)


# ---- training --------------------------------------------------------------


@each(LEARNING)
def test_a_step_in_half_precision_is_finite_and_close(tiny):
    with saving.dtype_policy("mixed_bfloat16"):
        half = tiny.system.make()
    layers = half._flatten_layers(include_self=False)
    assert "bfloat16" in {layer.compute_dtype for layer in layers}
    half.set_weights(tiny.model.get_weights())
    video = tiny.inputs["video"][:, :2]  # the first frame and one that follows
    found, gradients = battery.first_step(half, video, 0)
    moving = tiny.model.non_trainable_variables  # statistics of batch norm
    before = [variable.numpy() for variable in moving]
    expected = battery.first_outputs(tiny.model, video, 0)
    for variable, value in zip(moving, before):
        variable.assign(value)
    for gradient in gradients:
        assert gradient.dtype == tf.float32
        assert np.all(np.isfinite(gradient))
    assert "components" not in found  # nothing that only pictures need
    for name in ("loss", "nll"):
        assert found[name].dtype == tf.float32
        # Eight bits of mantissa in all convolutions.
        assert_close(found[name], expected[name], 0.05)


@pytest.mark.slow
@each(LEARNING)
def test_the_compiled_step_finds_what_an_eager_one_finds(tiny):
    model, history = tiny.system.make(), tiny.training.history
    outputs, gradients = zip(
        *(battery.first_step(model, tiny.inputs["video"], b) for b in range(2))
    )
    for name in {"loss", "nll", "kl"} & set(outputs[0]):
        value = np.mean([found[name] for found in outputs])
        np.testing.assert_allclose(history[name][0], value, rtol=1e-4)
    norm = tf.linalg.global_norm([a + b for a, b in zip(*gradients)])
    np.testing.assert_allclose(history["gradient_norm"][0], norm, rtol=1e-3)


@pytest.mark.slow
@each(LEARNING)
def test_training_learns_a_batch_by_heart(tiny):
    history = tiny.training.history
    for name, values in history.items():
        assert np.all(np.isfinite(values)), name
    assert np.all(history["is_taken"] == 1.0)
    loss = history["loss"]
    assert np.mean(loss[-5:]) < loss[0] - 0.1 * abs(loss[0])


@pytest.mark.slow
@each(LEARNING)
def test_training_moves_every_weight(tiny):
    trained = tiny.training
    assert trained.step._call.experimental_get_tracing_count() == 1
    weights = trained.model.trainable_variables
    still = {
        weight.path
        for weight, start in zip(weights, trained.start)
        if not np.any(weight.numpy() != start)
    }
    assert still == {w.path for w in tiny.system.idle(trained.model)}


@pytest.mark.slow
@each(LEARNING)
def test_a_batch_that_is_no_number_teaches_nothing(tiny):
    """Statistics of batch norm may move, which no skipped step takes back."""
    trained = tiny.training
    weights = trained.model.trainable_variables
    before = [w.numpy() for w in (*weights, *trained.state.optimizer.variables)]
    video = trained.video.copy()
    video[:, -1, 0, 0] = np.nan
    assert trained.run(1, video)["is_taken"][0] == 0.0
    after = [w.numpy() for w in (*weights, *trained.state.optimizer.variables)]
    for a, b in zip(before, after):
        np.testing.assert_array_equal(a, b)
    for name, value in trained.arrays().items():
        assert np.all(np.isfinite(value)), name


@pytest.mark.slow
@each(LEARNING)
def test_training_goes_on_from_a_checkpoint_bit_for_bit(tiny, tmp_path):
    trained = tiny.training
    step = trained.state.step
    saving.write_checkpoint(tmp_path, step, *trained.state.capture())
    expected = trained.run(3), trained.arrays()
    trained.run(2)  # somewhere else
    path = saving.checkpoint_path(tmp_path, step)
    trained.state.restore(*saving.read_checkpoint(path))
    found = trained.run(3), trained.arrays()
    for values, wanted in zip(found, expected):
        assert values.keys() == wanted.keys()
        for name, value in values.items():
            np.testing.assert_array_equal(value, wanted[name], err_msg=name)


@pytest.mark.slow
@pytest.mark.multi_device
@each(LEARNING)
def test_two_devices_train_as_one_does(tiny):
    name = str(tiny.system)
    command = [sys.executable, "-m", "tests.models.battery", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])[name]
    for scalar, values in found.items():
        expected = tiny.training.history[scalar][:3]
        np.testing.assert_allclose(
            values, expected, rtol=1e-3, atol=1e-4, err_msg=scalar
        )
