"""Runs that begin with the weights of another model."""

import shutil

import keras
import numpy as np
import pytest
import tiny_model

from tfdecomp import training
from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder
from tfdecomp.layers.encoders.refinement_encoder import RefinementEncoder
from tfdecomp.models.provide import PROVIDE
from tfdecomp.storage import saving
from tfdecomp.training import initial_model

STILL = "training.Adam.learning_rate = 0.0"


def _train(folder, *bindings, steps=2, seed=0, stop=None):
    tiny_model.parse(f"training.run.num_steps = {steps}", *bindings)
    should_stop = stop and (lambda step: step >= stop)
    training.run(folder, seed=seed, devices=["CPU:0"], should_stop=should_stop)
    arrays, _, _ = saving.newest_checkpoint(folder / "checkpoints")
    return {k: v for k, v in arrays.items() if k.startswith("model/")}


def _start(name):
    return f"training.run.initial_model = '{name}'"


def _assert_same(one, other):
    assert one and one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.fixture(name="trained", scope="module")
def _fixture_trained(tmp_path_factory):
    """`(work directory, weights)` of a run."""
    from tfdecomp.storage import configs

    folder = tmp_path_factory.mktemp("trained") / "run"
    with configs.isolated():
        return folder, _train(folder)


def _model(num_slots=2):
    model = tiny_model.TinySlots(num_slots)
    model.build(None)
    return model


def test_a_run_starts_with_those_weights(trained, tmp_path, capsys):
    folder, weights = trained
    # With steps of length 0 they stay what they were.
    found = _train(tmp_path / "run", STILL, _start(folder), seed=7)
    _assert_same(found, weights)
    assert f"4 weights of {folder}, 0 new ones" in capsys.readouterr().out
    fresh = [v.numpy() for v in _model().variables]
    assert any((a != b).any() for a, b in zip(fresh, weights.values()))


@pytest.mark.slow
def test_averaged_weights_start_there_too(trained, tmp_path):
    folder, weights = trained
    _train(
        tmp_path / "run",
        STILL,
        _start(folder),
        "training.run.ema_decay = 0.5",
        seed=7,
    )
    model, info = saving.restore_model(tmp_path / "run", weights="ema")
    assert info["weights"] == "ema"
    for value, expected in zip(model.variables, weights.values()):
        np.testing.assert_allclose(value, expected, rtol=1e-6)


@pytest.mark.slow
def test_a_resumed_run_does_not_take_them_again(trained, tmp_path, capsys):
    folder = tmp_path / "other"
    shutil.copytree(trained[0], folder)
    run = tmp_path / "run"
    half = _train(run, _start(folder), steps=8, stop=4)
    capsys.readouterr()
    # They are not even looked for.
    shutil.rmtree(folder)
    rest = _train(run, _start(folder), steps=8)
    assert "weights of" not in capsys.readouterr().out
    assert any((half[name] != rest[name]).any() for name in half)

    shutil.copytree(trained[0], folder)
    whole = _train(tmp_path / "whole", _start(folder), steps=8)
    _assert_same(rest, whole)


def test_parts_that_only_one_has_are_passed_over(trained):
    folder, weights = trained
    model = _model(num_slots=3)  # with a wider head
    before = [v.numpy() for v in model.variables]
    taken, left = initial_model.assign(model, str(folder))
    assert taken == 2 and len(left) == 2
    assert all("dense" in path for path in left)
    for value, expected in zip(model.variables[:2], list(weights.values())):
        np.testing.assert_array_equal(value, expected)
    for value, old in zip(model.variables[2:], before[2:]):
        np.testing.assert_array_equal(value, old)


def test_a_folder_of_packed_weights_is_taken(trained, tmp_path):
    model, _ = saving.restore_model(trained[0])
    saving.save_model(tmp_path, model)
    model.save_weights(tmp_path / initial_model.WEIGHTS_NAME)
    other = _model()
    assert initial_model.assign(other, str(tmp_path)) == (4, [])
    for value, expected in zip(other.variables, model.variables):
        np.testing.assert_array_equal(value, expected)


def _provide(side, upsample, canvas=None):
    model = PROVIDE(
        BroadcastDecoder(
            (side, side),
            filters=(6,),
            kernel_sizes=1,
            dense=(),
            upsample=upsample,
            canvas_units=canvas,
        ),
        RefinementEncoder(
            filters=(4,), shrink=side // 8, pool="global", units=(5,)
        ),
        image_size=side,
        num_slots=2,
        latent_dim=3,
        units=4,
    )
    model.build()
    return model


def _stored(folder, model):
    saving.save_model(folder, model)
    model.save_weights(folder / initial_model.WEIGHTS_NAME)
    return str(folder)


@pytest.mark.parametrize("canvas", [None, (5,)])
def test_a_decoder_with_larger_blocks_draws_the_same_picture(canvas, tmp_path):
    small, large = _provide(16, 2, canvas), _provide(32, 4, canvas)
    if canvas:  # its last layer starts from zero
        drawn = small.decoder.canvas_layers[-1].kernel
        drawn.assign(keras.random.normal(drawn.shape))
    taken, left = initial_model.assign(large, _stored(tmp_path, small))
    assert (taken, left) == (len(large.variables), [])
    vectors = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    for coarse, fine in zip(small.decoder(vectors), large.decoder(vectors)):
        enlarged = coarse.numpy().repeat(2, axis=1).repeat(2, axis=2)
        np.testing.assert_allclose(fine, enlarged, atol=1e-5)


def test_blocks_of_any_size_are_taken_over(tmp_path):
    folder = _stored(tmp_path, _provide(16, 2))
    small, large = initial_model.load(folder), _provide(40, 5)
    taken, left = initial_model.assign(large, folder)
    assert (taken, left) == (len(large.variables), [])
    vectors = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    for coarse, fine in zip(small.decoder(vectors), large.decoder(vectors)):
        # Centres .5 1.5 2.5 3.5 4.5 of five lie in 0 0 1 1 1 of two.
        nearest = [2 * n + m for n in range(8) for m in (0, 0, 1, 1, 1)]
        expected = coarse.numpy()[:, nearest][:, :, nearest]
        np.testing.assert_allclose(fine, expected, atol=1e-5)


def test_a_shipped_model_is_found_by_its_name():
    folder = initial_model.folder("silot_quick")
    assert (folder / initial_model.WEIGHTS_NAME).is_file()


def test_a_path_that_exists_comes_before_a_name(tmp_path, monkeypatch):
    (tmp_path / "silot_quick").mkdir()
    monkeypatch.chdir(tmp_path)
    found = initial_model.folder("silot_quick").resolve()
    assert found == (tmp_path / "silot_quick").resolve()


def _message(error):
    text = str(error.value)
    assert "\n" not in text and len(text) < 600
    return text


@pytest.mark.parametrize("name", ["silot_quik", "/no/such/folder", "../x", ""])
def test_an_unknown_name_is_one_sentence(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_model.parse(_start(name))
    with pytest.raises(ValueError, match="initial_model is") as error:
        training.run(tmp_path / "run", devices=["CPU:0"])
    text = _message(error)
    assert repr(name) in text and "silot_quick" in text


def test_a_folder_without_a_model_is_one_sentence(tmp_path):
    with pytest.raises((ValueError, saving.CheckpointError)) as error:
        initial_model.assign(_model(), str(tmp_path))
    assert str(tmp_path) in _message(error)


@keras.saving.register_keras_serializable(package="tfdecomp_tests")
class Other(keras.Model):
    """Nothing of it fits."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.layer = keras.layers.Dense(3)

    def build(self, input_shape=None):
        self.layer.build((None, 5))
        self.built = True


def test_where_nothing_fits_it_is_one_sentence(trained):
    other = Other()
    other.build()
    before = [v.numpy() for v in other.variables]
    with pytest.raises(ValueError, match="no weight of .* Other") as error:
        initial_model.assign(other, str(trained[0]))
    assert "same kind" in _message(error)
    for value, old in zip(other.variables, before):
        np.testing.assert_array_equal(value, old)
