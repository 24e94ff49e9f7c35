"""A SavedModel: its folder, what is beside it, what replaces it and what not.

That it answers as its model does, in a process that knows only TensorFlow,
the battery of `tests/models` asks of every system.
"""

import json
import resource

import numpy as np
import pytest
import tensorflow as tf
from export_models import (
    SIZE,
    Silhouettes,
    tiny_provide,
)

from tfdecomp.exporting import check, saved_model
from tfdecomp.exporting.check import ExportError, run_fresh


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """`(folder, content)` of one export that all tests share."""
    folder = tmp_path_factory.mktemp("exported") / "new" / "model"
    return folder, saved_model.export(tiny_provide(), folder, info={"step": 7})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_slots": 1}, "num_slots must be at least 2"),
        ({"num_refinements": 1}, "num_refinements must be at least 2"),
    ],
)
def test_the_exported_graph_refuses_too_few(exported, changes, message):
    asked = {
        "video": np.zeros((3, 4, SIZE, SIZE, 3), np.float32),
        "seed": np.zeros((3, 2), np.int32),
        "num_slots": np.int32(5),
        "num_refinements": np.int32(4),
    }
    changed = {name: np.int32(value) for name, value in changes.items()}
    with pytest.raises(ExportError, match=message):
        run_fresh(exported[0], {"decompose": asked | changed})


@pytest.mark.slow
def test_signatures_are_listed_beside_the_model(exported):
    folder, content = exported
    assert json.loads((folder / "signatures.json").read_text()) == content
    assert content["info"] == {"step": 7}
    decompose = content["signatures"]["decompose"]
    assert decompose["inputs"]["video"]["shape"] == ["B", "T", SIZE, SIZE, 3]
    assert decompose["outputs"]["slots"]["shape"] == ["B", "T", "K", 4]


@pytest.mark.slow
def test_nothing_but_the_model_is_left_beside_it(exported):
    folder, _ = exported
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.slow
@pytest.mark.parametrize(
    "policy, options",
    [
        ("float32", {"conditional": False, "rematerialize": True}),
        ("mixed_bfloat16", {"extra_refinement": True}),
    ],
)
def test_other_variants_survive_the_export(policy, options, tmp_path):
    from tfdecomp.storage import saving

    with saving.dtype_policy(policy):
        model = tiny_provide(**options)
    content = saved_model.export(model, tmp_path / "model")
    assert max(content["largest_difference"].values()) <= 1e-5


# ---- files, with a model that costs nothing ---------------------------------


@pytest.fixture
def output(tmp_path):
    """An output folder with an earlier export of threshold 0."""
    saved_model.export(Silhouettes(), tmp_path / "model")
    return tmp_path / "model"


def _masks(folder):
    loaded = tf.saved_model.load(str(folder))
    video = tf.zeros([1, 1, 4, 4, 1])
    return loaded.signatures["serving_default"](video=video)["masks"].numpy()


@pytest.mark.slow
def test_an_earlier_export_is_replaced_only_when_asked(output):
    model = Silhouettes()
    model.threshold.assign(1.0)
    with pytest.raises(ExportError, match="--overwrite"):
        saved_model.export(model, output)
    np.testing.assert_allclose(_masks(output), 0.5)
    saved_model.export(model, output, overwrite=True)
    np.testing.assert_allclose(_masks(output)[0, 0, 0], 0.2689414, 1e-6)
    assert [path.name for path in output.parent.iterdir()] == ["model"]


@pytest.mark.slow
def test_a_model_that_is_not_a_number_replaces_nothing(output):
    model = Silhouettes()
    model.threshold.assign(np.nan)
    with pytest.raises(ExportError, match="weights finite"):
        saved_model.export(model, output, overwrite=True)
    np.testing.assert_allclose(_masks(output), 0.5)
    assert [path.name for path in output.parent.iterdir()] == ["model"]


@pytest.mark.slow
def test_a_damaged_file_is_noticed_before_it_has_its_name(monkeypatch, output):
    write = saved_model.write

    def write_and_damage(folder, signatures):
        write(folder, signatures)
        (data,) = folder.glob("variables/*.data*")
        content = bytearray(data.read_bytes())
        content[:4] = np.float32(0.5).tobytes()
        data.write_bytes(content)

    monkeypatch.setattr(saved_model, "write", write_and_damage)
    with pytest.raises(ExportError):
        saved_model.export(Silhouettes(), output, overwrite=True)
    np.testing.assert_allclose(_masks(output), 0.5)
    assert [path.name for path in output.parent.iterdir()] == ["model"]


@pytest.mark.slow
def test_a_full_disk_replaces_nothing(output):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(ExportError, match="could not be written"):
            saved_model.export(Silhouettes(), output, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    np.testing.assert_allclose(_masks(output), 0.5)
    assert [path.name for path in output.parent.iterdir()] == ["model"]


def test_a_folder_of_other_things_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ExportError, match="holds no earlier export"):
        saved_model.export(Silhouettes(), tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(ExportError, match="is a file"):
        saved_model.export(Silhouettes(), tmp_path / "a", overwrite=True)


def test_a_place_below_a_file_is_refused(tmp_path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(ExportError, match="choose another --output"):
        saved_model.export(Silhouettes(), tmp_path / "a" / "b")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"a": np.zeros(2)}, None),
        ({"a": np.full(2, 1e-6)}, None),
        ({"a": np.full(2, 1e-4)}, "differs by 0.0001"),
        ({"a": np.full(2, np.nan)}, "differs by nan"),
        ({"a": np.zeros(3)}, "differs by inf"),
        ({"b": np.zeros(2)}, "returns"),
    ],
)
def test_answers_are_compared_by_name_shape_and_value(found, message):
    expected = {"a": np.zeros(2)}
    if message is None:
        assert check.largest_difference("it", found, expected, 1e-5) < 1e-5
        return
    with pytest.raises(ExportError, match=message):
        check.largest_difference("it", found, expected, 1e-5)
