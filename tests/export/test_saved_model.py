"""A SavedModel in a process that knows only TensorFlow.

What it is compared with is the model itself, called with Python numbers for
K and R; tolerances are 1e-5, and 1e-4 where eager and compiled rounding meet.
"""

import json
import resource

import numpy as np
import pytest
import tensorflow as tf
from export_models import (
    NUM_REFINEMENTS,
    NUM_SLOTS,
    SIZE,
    Silhouettes,
    tiny_provide,
)

from tfdecomp.exporting import check, saved_model
from tfdecomp.exporting.check import ExportError, run_fresh


def _video(batch, frames):
    shape = (batch, frames, SIZE, SIZE, 3)
    return np.random.default_rng(batch).random(shape, np.float32)


def _asked(batch=3, frames=4, num_slots=5, num_refinements=4, **more):
    seed = np.arange(2 * batch, dtype=np.int32).reshape(batch, 2)
    return {
        "video": _video(batch, frames),
        "seed": seed,
        "num_slots": np.int32(num_slots),
        "num_refinements": np.int32(num_refinements),
        **more,
    }


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """`(model, folder, content)` of one export that all tests share."""
    folder = tmp_path_factory.mktemp("exported") / "new" / "model"
    model = tiny_provide()
    return model, folder, saved_model.export(model, folder, info={"step": 7})


@pytest.fixture(scope="module")
def answers(exported):
    """What a fresh process says: one long clip, whole and in chunks."""
    _, folder, _ = exported
    whole = _asked()
    requests = {
        "decompose": {**whole, "video": whole["video"][:, :2]},
        "serving_default": {"video": _video(2, 1)},
        "encode": _asked(batch=1, frames=2),
    }
    first = run_fresh(folder, requests)
    state = {
        n: v for n, v in first["decompose"].items() if n.startswith("state_")
    }
    requests = {
        "decompose": whole,
        "decompose_next": {
            **whole,
            **state,
            "video": whole["video"][:, 2:],
        },
        "predict_frames": {
            **state,
            "seed": whole["seed"],
            "num_frames": np.int32(3),
        },
        "decode": first["encode"],
    }
    second = run_fresh(folder, requests)
    return {"first": first, **first, **second}


def _close(found, expected, tolerance=1e-4):
    for name, value in found.items():
        np.testing.assert_allclose(
            value, expected[name], tolerance, tolerance, err_msg=name
        )


@pytest.mark.slow
def test_a_fresh_process_decomposes_other_sizes_than_the_model_has(
    exported, answers
):
    model, _, _ = exported
    asked = _asked()
    assert asked["num_slots"] != NUM_SLOTS
    assert asked["num_refinements"] != NUM_REFINEMENTS
    expected = model(
        {"video": asked["video"], "seed": asked["seed"]},
        num_slots=5,
        num_refinements=4,
    )
    found = answers["decompose"]
    assert found["masks"].shape == (3, 4, 5, SIZE, SIZE, 1)
    names = ("recon", "masks", "components", "slots", "nll", "kl", "loss")
    _close({n: found[n] for n in names}, expected)


@pytest.mark.slow
def test_serving_needs_the_video_alone(exported, answers):
    model, _, _ = exported
    found = answers["serving_default"]
    assert found["masks"].shape == (2, 1, NUM_SLOTS, SIZE, SIZE, 1)
    expected = model({"video": _video(2, 1)})
    _close({n: found[n] for n in ("recon", "masks")}, expected)


@pytest.mark.slow
def test_a_long_video_in_chunks_equals_the_whole(answers):
    whole, last = answers["decompose"], answers["decompose_next"]
    for name in ("recon", "masks", "components", "slots"):
        np.testing.assert_allclose(
            last[name], whole[name][:, 2:], 1e-4, 1e-5, err_msg=name
        )
    for name in ("state_h", "state_c", "state_frame"):
        np.testing.assert_allclose(last[name], whole[name], 1e-4, 1e-5)


@pytest.mark.slow
def test_frames_are_predicted_from_a_state(exported, answers):
    model, _, _ = exported
    asked = _asked()
    inputs = {"video": asked["video"][:, :2], "seed": asked["seed"]}
    state = model(inputs, num_slots=5, num_refinements=4)["state"]
    expected = model.predict_frames(state, asked["seed"], 3)
    found = answers["predict_frames"]
    assert found["recon"].shape == (3, 3, SIZE, SIZE, 3)
    _close({n: found[n] for n in ("recon", "masks", "slots")}, expected)


@pytest.mark.slow
def test_decode_draws_what_encode_returned(exported, answers):
    model, _, _ = exported
    encoded, decoded = answers["encode"], answers["decode"]
    assert encoded["slots"].shape == (1, 2, 5, 4)
    frames = {n: v[0] for n, v in encoded.items()}
    expected = model.decode(**{n: tf.constant(v) for n, v in frames.items()})
    _close({n: v[0] for n, v in decoded.items()}, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_slots": 1}, "num_slots must be at least 2"),
        ({"num_refinements": 1}, "num_refinements must be at least 2"),
    ],
)
def test_the_exported_graph_refuses_too_few(exported, changes, message):
    _, folder, _ = exported
    with pytest.raises(ExportError, match=message):
        run_fresh(folder, {"decompose": _asked(**changes)})


@pytest.mark.slow
def test_signatures_are_listed_beside_the_model(exported):
    _, folder, content = exported
    assert json.loads((folder / "signatures.json").read_text()) == content
    assert set(content["signatures"]) == {
        "serving_default",
        "decompose",
        "decompose_uint8",
        "decompose_next",
        "encode",
        "decode",
        "predict_frames",
    }
    assert content["info"] == {"step": 7}
    decompose = content["signatures"]["decompose"]
    assert decompose["inputs"]["video"]["shape"] == ["B", "T", SIZE, SIZE, 3]
    assert decompose["outputs"]["slots"]["shape"] == ["B", "T", "K", 4]
    assert max(content["largest_difference"].values()) <= 1e-5


@pytest.mark.slow
def test_nothing_but_the_model_is_left_beside_it(exported):
    _, folder, _ = exported
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
    from tfdecomp import saving

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
