"""Which signatures a model gets, and what they say when misused."""

import numpy as np
import pytest
import tensorflow as tf
from export_models import Silhouettes

from tests.models.tiny import tiny_dvip, tiny_lavae
from tfdecomp.exporting import signatures as lib


@pytest.fixture(scope="module")
def silhouettes():
    return lib.make_signatures(Silhouettes())


def _inputs(**changes):
    video = np.random.default_rng(0).random((2, 3, 4, 4, 1), np.float32)
    inputs = {"video": video, "seed": np.zeros((2, 2), np.int32)} | changes
    return {n: tf.constant(value) for n, value in inputs.items()}


def test_a_model_gets_signatures_for_what_it_can_do_alone(silhouettes):
    names = ["serving_default", "decompose", "decompose_uint8"]
    assert list(silhouettes) == names
    assert list(silhouettes["decompose"].inputs) == ["video", "seed"]


def test_outputs_are_those_of_the_model_alone(silhouettes):
    assert set(silhouettes["decompose"].outputs) == {"masks", "presence"}


def test_shapes_are_described_by_axis_letters(silhouettes):
    described = silhouettes["decompose"].describe()
    assert described["inputs"]["video"]["shape"] == ["B", "T", 4, 4, 1]
    assert described["outputs"]["masks"]["shape"] == ["B", "T", 2, 4, 4, 1]
    assert described["outputs"]["presence"]["dtype"] == "float32"


@pytest.mark.parametrize(
    "make", [tiny_dvip.tiny, tiny_lavae.tiny], ids=["DVIP", "LAVAE"]
)
def test_every_output_of_a_decomposition_has_a_meaning(make):
    described = lib._Maker(make()).decompose().describe()["outputs"]
    for name, output in described.items():
        assert output["meaning"] and output["meaning"] != lib._OTHER, name
        if not name.startswith("state_"):
            assert output["shape"][0] == "B", name


def test_the_default_signature_equals_the_explicit_one(silhouettes):
    inputs = _inputs()
    by_default = silhouettes["serving_default"].function(
        {"video": inputs["video"]}
    )
    explicit = silhouettes["decompose"].function(inputs)
    np.testing.assert_array_equal(by_default["masks"], explicit["masks"])


def test_bytes_and_fractions_give_the_same(silhouettes):
    pixels = np.random.default_rng(1).integers(0, 256, (2, 3, 4, 4, 1))
    of_bytes = silhouettes["decompose_uint8"].function(
        _inputs(video=pixels.astype(np.uint8))
    )
    of_floats = silhouettes["decompose"].function(
        _inputs(video=(pixels / 255).astype(np.float32))
    )
    np.testing.assert_allclose(of_bytes["masks"], of_floats["masks"], 1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"video": np.full((2, 3, 4, 4, 1), 255.0, np.float32)}, "in .0, 1"),
        ({"video": np.full((2, 3, 4, 4, 1), np.nan, np.float32)}, "in .0, 1"),
        ({"video": np.zeros((2, 0, 4, 4, 1), np.float32)}, "one frame"),
        ({"seed": np.zeros((3, 2), np.int32)}, "one row per clip"),
    ],
)
def test_bad_inputs_are_refused_by_the_graph(silhouettes, changes, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        silhouettes["decompose"].function(_inputs(**changes))


def test_nested_states_survive_flattening():
    state = {"h": 1, "of": {"slots": [2, 3]}, "pair": (4, 5)}
    flat = lib.flatten(state, "state")
    assert flat == {
        "state_h": 1,
        "state_of_slots_0": 2,
        "state_of_slots_1": 3,
        "state_pair_0": 4,
        "state_pair_1": 5,
    }
    assert lib.unflatten(state, flat, "state") == state
