"""Trained models by name or folder."""

import importlib.util
import json
import shutil
import subprocess
import sys

import gin
import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import tfdecomp
from tests.test_case import set_seed
from tfdecomp import training
from tfdecomp.models.provide import PROVIDE
from tfdecomp.sharing import hub
from tfdecomp.storage import catalogue, configs, saving

SIZE = 16
WITHOUT_MASKS = ("DVIP", "ConvVAE")
WITHOUT_RECON = ("ConnectedComponents", "BackgroundSubtraction")


def small_model():
    return saving.build(
        PROVIDE(
            image_size=SIZE,
            num_slots=3,
            num_refinements=2,
            latent_dim=4,
            units=8,
        )
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A work directory as training leaves one."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "checkpoints").mkdir()
    set_seed(0)
    model = small_model()
    saving.save_model(folder, model)
    arrays = saving.variable_arrays("model", model.variables)
    saving.write_checkpoint(
        folder / "checkpoints", 7, arrays, {"step": 7, "best": None}
    )
    (folder / "config.gin").write_text("NUM_SLOTS = 3\n")
    (folder / "run.json").write_text(json.dumps({"seed": 5, "command": "c"}))
    return folder, model


@pytest.fixture(scope="module")
def shared(run, tmp_path_factory):
    """A packed folder that nobody changes."""
    folder = tmp_path_factory.mktemp("shared") / "packed"
    hub.pack(run[0], folder, "small", score={"f_ari": 0.9})
    return folder


@pytest.fixture
def packed(shared, tmp_path):
    """One to spoil."""
    return shutil.copytree(shared, tmp_path / "packed")


@pytest.fixture(scope="module")
def loaded(shared):
    return tfdecomp.load(shared)


def video(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (*shape, SIZE, SIZE, 3), dtype=np.uint8)


def test_a_work_directory_loads_with_its_weights(run):
    folder, model = run
    loaded = tfdecomp.load(folder)
    assert loaded.info["step"] == 7
    for a, b in zip(loaded.model.variables, model.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_float32_storage_is_exact_and_float16_is_half_the_size(run, tmp_path):
    folder, model = run
    sizes = {}
    for storage, tolerance in (("float32", 0.0), ("float16", 2.0**-11)):
        output = tmp_path / storage
        info = hub.pack(folder, output, "small", storage=storage)
        loaded = tfdecomp.load(output)
        for a, b in zip(loaded.model.variables, model.variables, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=1e-7)
        sizes[storage] = (output / hub.WEIGHTS_NAME).stat().st_size
        assert info["storage"] == storage
    assert sizes["float16"] < 0.7 * sizes["float32"]


def test_the_packed_folder_says_where_it_comes_from(loaded, shared, run):
    info = loaded.info
    assert info["score"] == {"f_ari": 0.9}
    assert info["seed"] == 5 and info["command"] == "c" and info["step"] == 7
    assert info["parameters"] == run[1].count_params()
    assert info["licence"] == "Apache-2.0"
    for name, checksum in info["sha256"].items():
        assert saving.sha256(shared / name) == checksum


def test_a_plain_keras_reader_finds_the_weights(shared):
    with h5py.File(shared / hub.WEIGHTS_NAME) as file:
        assert "layers" in file or "vars" in file
    again = small_model()
    again.load_weights(shared / hub.WEIGHTS_NAME)


def test_decompose_takes_one_video_or_a_batch(loaded):
    batch = video(2, 3)
    parts = loaded.decompose(batch)
    assert parts["masks"].shape == (2, 3, 3, SIZE, SIZE, 1)
    assert isinstance(parts["recon"], np.ndarray)
    one = loaded.decompose(batch[0])
    assert one["masks"].shape == (3, 3, SIZE, SIZE, 1)
    np.testing.assert_allclose(one["masks"], parts["masks"][0], atol=1e-4)


def test_bytes_and_fractions_are_the_same_video(loaded):
    clip = video(2)
    a = loaded.decompose(clip)["recon"]
    b = loaded.decompose(clip / 255.0)["recon"]
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_slots_refinements_and_seed_can_be_chosen(loaded):
    clip = video(2)
    more = loaded.decompose(clip, num_slots=5, num_refinements=3)
    assert more["masks"].shape[1] == 5
    a, b = loaded.decompose(clip), loaded.decompose(clip, seed=1)
    assert np.any(a["masks"] != b["masks"])
    np.testing.assert_array_equal(
        a["masks"], loaded.decompose(clip, seed=0)["masks"]
    )


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros([1, 2, 20, SIZE, 3], np.uint8), "resize the frames"),
        (np.zeros([1, 2, SIZE, SIZE, 1], np.uint8), "grey"),
        (np.zeros([1, 1, 2, SIZE, SIZE, 3], np.uint8), "expected .T, H, W, C"),
        (np.zeros([0, SIZE, SIZE, 3], np.uint8), "empty"),
        (np.full([2, SIZE, SIZE, 3], 255.0), "divide by 255"),
        (np.full([2, SIZE, SIZE, 3], np.nan), "in \\[0, 1\\]"),
        (np.zeros([2, SIZE, SIZE, 3], np.int64), "astype"),
    ],
)
def test_a_video_that_does_not_fit_is_refused(loaded, bad, message):
    with pytest.raises(ValueError, match=message):
        loaded.decompose(bad)


def test_a_changed_file_is_refused(packed):
    with open(packed / hub.WEIGHTS_NAME, "r+b") as file:
        file.seek(1000)
        file.write(b"\x00\x01\x02")
    with pytest.raises(hub.HubError, match="damaged.*sha256"):
        tfdecomp.load(packed)


def test_a_missing_file_is_refused(packed):
    (packed / hub.WEIGHTS_NAME).unlink()
    with pytest.raises(hub.HubError, match="lacks weights"):
        tfdecomp.load(packed)


def test_an_unknown_name_says_what_there_is(monkeypatch, packed):
    monkeypatch.setattr(catalogue, "folder", lambda: packed.parent)
    assert tfdecomp.list_models()["packed"]["name"] == "small"
    assert tfdecomp.load("packed").model.num_slots == 3
    with pytest.raises(hub.HubError, match="did you mean 'packed'"):
        tfdecomp.load("pakced")


def test_unknown_storage_is_refused(run, tmp_path):
    with pytest.raises(hub.HubError, match="float32"):
        hub.pack(run[0], tmp_path, "small", storage="int8")


def test_loading_leaves_config_and_policy_alone(shared):
    with configs.parsed(["smoke/provide.gin"], ["NUM_SLOTS = 6"]):
        training.build_settings()
        before = configs.operative(), keras.config.dtype_policy().name
        loaded = tfdecomp.load(shared)
        assert loaded.model.num_slots == 3  # its own, not the config's
        assert (configs.operative(), keras.config.dtype_policy().name) == before
        assert gin.config_is_locked()


def test_a_bfloat16_model_loads_as_such(tmp_path):
    with saving.dtype_policy("mixed_bfloat16"):
        model = small_model()
        saving.save_model(tmp_path, model)
    loaded = saving.load_model(tmp_path)
    for a, b in zip(model._flatten_layers(), loaded._flatten_layers()):
        assert a.compute_dtype == b.compute_dtype, a.name
    assert {v.dtype for v in loaded.variables} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


def shipped():
    """One of each kind every day, its relatives with the slow tests."""
    models, kinds = tfdecomp.list_models(), set()
    for name in sorted(models, key=lambda name: not name.endswith("_quick")):
        kind = models[name]["model"]
        is_second = kind in kinds
        kinds.add(kind)
        marks = [pytest.mark.slow] if is_second else []
        yield pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", shipped())
def test_shipped_models_load_and_decompose(name):
    loaded = tfdecomp.load(name)
    height, width = loaded.model.image_size
    shape = (2, height, width, loaded.model.channels)
    parts = loaded.decompose(np.zeros(shape, np.uint8))
    if loaded.info["model"] not in WITHOUT_RECON:
        assert parts["recon"].shape == shape
        assert np.isfinite(parts["recon"]).all()
        assert parts["slots"].shape[:2] == (2, loaded.model.num_slots)
    # Factors and whole scenes have no place in the picture.
    assert ("masks" in parts) == (loaded.info["model"] not in WITHOUT_MASKS)
    if "masks" in parts:
        masks = parts["masks"]
        assert masks.shape == (2, loaded.model.num_slots, height, width, 1)
        np.testing.assert_allclose(tf.reduce_sum(masks, 1), 1.0, rtol=1e-5)
    assert loaded.info["licence"]


@pytest.mark.slow
def test_a_fresh_process_loads_a_model(shared):
    code = f"import tfdecomp; print(tfdecomp.load({str(shared)!r}).model.name)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith("provide")


def test_a_folder_of_predictions_does_not_hide_the_shipped_model_of_its_name(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    name = "background_subtraction"
    (tmp_path / name).mkdir()
    (tmp_path / name / "prediction.json").write_text("{}")
    assert hub.resolve(name) == hub.folder() / name
    (tmp_path / name / "model.json").write_text("{}")
    assert hub.resolve(name).resolve() == tmp_path / name


def test_a_model_whose_classes_have_moved_since_opens():
    folder = catalogue.folder() / "silot_quick"
    config = (folder / "model.json").read_text()
    assert '"tfdecomp.layers.discovery"' in config, "where it was when saved"
    assert importlib.util.find_spec("tfdecomp.layers.discovery") is None
    assert tfdecomp.load(folder).model.name
