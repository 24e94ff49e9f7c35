"""Studies of models that say where objects are."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.models.tiny import tiny_lavae
from tests.test_case import set_seed
from tfdecomp import builders
from tfdecomp.evaluation import clips, studies
from tfdecomp.evaluation.protocol import Protocol
from tfdecomp.evaluation.studies import (
    generation,
    objects,
    reconstructions,
    study,
)
from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder
from tfdecomp.models.vae import VAE
from tfdecomp.storage import saving

SET = "multi_digits/digits_quick_tiny"
SIZE, M, L = 36, tiny_lavae.M, tiny_lavae.L


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    builders.prepare(SET, folder, progress=False)
    return folder


@pytest.fixture(scope="module")
def model():
    # Half of a digit's strokes are enough.
    return tiny_lavae.tiny(size=SIZE, count_threshold=3.0, shake=0.3)


@pytest.fixture(scope="module")
def vae():
    set_seed(0)
    decoder = BroadcastDecoder((SIZE, SIZE), channels=1, filters=(4,), dense=())
    return saving.build(
        VAE(
            decoder,
            image_size=SIZE,
            channels=1,
            latent_dim=3,
            filters=(4,),
            units=(4,),
        )
    )


@pytest.fixture
def subject(model, data_dir):
    return _subject(model, data_dir)


def _subject(model, data_dir, **fields):
    opened = clips.opener(data_dir, builders.prepare)
    return study.Subject(model, opened, SET, **fields)


def _look(name, subject, **settings):
    findings = studies.find(name)(**settings).run(subject)
    assert json.loads(json.dumps(findings.result, allow_nan=False))
    assert findings.result["study"] == name
    assert findings.table.count("\n| ") >= 2
    for picture in findings.pictures.values():
        assert picture.dtype == np.uint8
        assert picture.ndim == 3 and picture.std() > 0
    return findings


def _found(subject, count):
    """Number of objects that the model finds in the first images."""
    condition = Protocol(dataset=SET, num_frames=1, num_clips=count)
    counts = []
    for batch, inputs in subject.batches(condition):
        presence = np.asarray(subject.model(inputs)["presence"])
        counts.extend(presence[batch["valid"], 0, 1:].sum(1).astype(int))
    return counts


def test_reconstructions_show_what_was_found(subject):
    found = _look("reconstructions", subject, num_clips=4)
    images = found.result["images"]
    assert [image["image"] for image in images] == list(range(4))
    assert [image["found"] for image in images] == _found(subject, 4)
    for image in images:
        assert len(image["locations"]) == image["found"]
        assert image["mse"] > 0 or image["objects"] == 0
    assert "| image | objects | found | MSE | NLL |" in found.table
    assert found.pictures.keys() == {""}


def test_objects_are_sprites_or_else_components(model):
    class Plain:
        """Says where objects are and draws no sprites."""

    rng = np.random.default_rng(0)
    outputs = {
        "components": rng.random((1, 1, M + 1, 4, 4, 1)),
        "slots": rng.random((1, 1, M + 1, L)).astype(np.float32),
    }
    slots = np.array([1, 3])
    drawn = reconstructions.objects_alone(Plain(), outputs, slots)
    np.testing.assert_array_equal(drawn, outputs["components"][0, 0, slots])
    drawn = reconstructions.objects_alone(model, outputs, slots)
    assert drawn.shape == (2, tiny_lavae.SPRITE, tiny_lavae.SPRITE, 1)
    assert len(reconstructions.objects_alone(model, outputs, slots[:0])) == 0


def test_swap_takes_images_with_two_objects(subject):
    found = _look("swap", subject, num_clips=3)
    images = found.result["images"]
    counts = np.array(_found(subject, images[-1]["image"] + 1))
    expected = np.flatnonzero(counts >= 2)[:3]
    assert [image["image"] for image in images] == expected.tolist()
    assert [image["objects"] for image in images] == counts[expected].tolist()
    turned = _look("swap", subject, num_clips=3, permutation=(0, 1, 2))
    assert all(i["pixels_changed"] == 0 for i in turned.result["images"])


def test_an_object_moves_along_lines_and_over_a_grid(subject):
    found = _look(
        "location_traversal", subject, num_clips=2, num_places=3, num_rows=2
    )
    images = found.result["images"]
    assert len(images) == 2
    assert all(image["slot"] == 1 for image in images)
    assert found.pictures.keys() == {
        f"{image['image']}_{name}"
        for image in images
        for name in ("lines", "grid")
    }
    other = _look("location_traversal", subject, num_clips=1, slot=2)
    assert other.result["images"][0]["objects"] >= 2


def test_appearances_are_swept_in_objects_and_never_in_the_background(subject):
    found = _look("traversals", subject, num_clips=4, num_latents=1)
    counts = _found(subject, 4)
    images = found.result["images"]
    assert [i["image"] for i in images] == np.flatnonzero(counts).tolist()
    assert all(1 <= image["slot"] <= M for image in images)
    assert found.result["values"][0] == -3 and found.result["values"][-1] == 3
    assert found.result["settings"]["values"] is None


def test_scenes_of_the_prior_are_counted(subject):
    found = _look("generation", subject, num_clips=30, num_shown=4)
    assert found.result["kinds"].keys() == found.pictures.keys() == {"prior"}
    kind = found.result["kinds"]["prior"]
    learned = np.exp(np.asarray(subject.model.log_count_prior()))
    np.testing.assert_allclose(
        list(kind["probabilities"].values()), learned, atol=1e-5
    )
    assert sum(kind["drawn"].values()) == pytest.approx(1.0, abs=1e-5)
    again = _look("generation", subject, num_clips=30, num_shown=4)
    assert again.result["kinds"] == found.result["kinds"]
    np.testing.assert_array_equal(
        again.pictures["prior"], found.pictures["prior"]
    )
    # Fewer scenes are the first of more.
    few = _look("generation", subject, num_clips=4, num_shown=4)
    np.testing.assert_array_equal(
        few.pictures["prior"], found.pictures["prior"]
    )
    other = _look("generation", subject, num_clips=4, num_shown=4, seed=1)
    assert np.any(other.pictures["prior"] != few.pictures["prior"])


@pytest.mark.parametrize("counts", ["2, 3", (2, 3), {2: 1.0, 3: 1.0}])
def test_scenes_with_other_numbers_of_objects(subject, counts):
    found = _look("generation", subject, num_clips=20, counts=counts)
    assert found.pictures.keys() == {"prior", "changed"}
    changed = found.result["kinds"]["changed"]
    assert changed["probabilities"] == {"0": 0, "1": 0, "2": 0.5, "3": 0.5}
    assert changed["drawn"]["2"] + changed["drawn"]["3"] == 1.0
    assert "| objects | prior, p(n) | prior, share drawn | changed, p(n) |" in (
        found.table
    )


def test_the_papers_numbers_are_the_default_where_there_is_room(data_dir):
    model = tiny_lavae.tiny(num_slots=7)
    found = _look("generation", _subject(model, data_dir), num_clips=10)
    changed = found.result["kinds"]["changed"]["drawn"]
    assert sum(changed.get(n, 0.0) for n in ("4", "5")) == 1.0


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((2, 4), "draws at most 3 objects, not 4"),
        ("two", "counts must be numbers"),
        ({2: -1.0}, "counts must be numbers"),
        ({2: 0.0}, "counts must be numbers"),
        (4, "counts must be numbers"),
    ],
)
def test_numbers_of_objects_that_make_no_sense(subject, counts, message):
    with pytest.raises(ValueError, match=message):
        _look("generation", subject, counts=counts)


def test_shares_are_probabilities():
    assert generation.read_counts("4,5") == {4: 0.5, 5: 0.5}
    assert generation.read_counts({1: 3, 2: 1}) == {1: 0.75, 2: 0.25}
    assert generation.read_counts(()) == generation.read_counts("") == {}


def test_models_without_objects_say_so(vae, data_dir):
    subject = _subject(vae, data_dir)
    found = _look("generation", subject, num_clips=5)
    assert found.pictures.keys() == {"prior"}
    assert "| prior | 5 |" in found.table
    for name, message in {
        "swap": "VAE cannot let objects trade places.*'swap'.*LAVAE",
        "location_traversal": "VAE cannot move an object.*'move'",
        "reconstructions": "VAE does not say where objects are",
    }.items():
        with pytest.raises(ValueError, match=message):
            _look(name, subject)
    with pytest.raises(ValueError, match="takes no count_probs"):
        _look("generation", subject, counts="4,5")

    class Model:
        image_size = (SIZE, SIZE)

    with pytest.raises(ValueError, match="cannot make up scenes"):
        _look("generation", _subject(Model(), data_dir))


@pytest.mark.slow
def test_a_model_that_finds_nothing_says_so(data_dir, monkeypatch):
    monkeypatch.setattr(objects, "_PATIENCE", 2)
    model = tiny_lavae.tiny(size=SIZE, count_threshold=1e3)
    subject = _subject(model, data_dir)
    for name, least in (("swap", 2), ("location_traversal", 1)):
        with pytest.raises(ValueError, match=f"finds {least} or more.*none"):
            _look(name, subject, num_clips=1)
    with pytest.raises(ValueError, match="finds no object.*--num_clips"):
        _look("traversals", subject, num_clips=2)
    images = _look("reconstructions", subject, num_clips=2).result["images"]
    assert [image["found"] for image in images] == [0, 0]


@pytest.mark.slow
def test_the_command_makes_up_scenes(data_dir, tmp_path):
    folder = tmp_path / "run"
    (folder / saving.CHECKPOINT_FOLDER).mkdir(parents=True)
    model = tiny_lavae.tiny(size=SIZE, finder=False)
    saving.save_model(folder, model)
    saving.write_checkpoint(
        folder / saving.CHECKPOINT_FOLDER,
        7,
        saving.variable_arrays("model", model.variables),
        {"step": 7},
    )
    (folder / "config.gin").write_text(f"training.run.dataset = {SET!r}\n")

    def command(name, *arguments):
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "tfdecomp.study",
                name,
                f"--workdir={folder}",
                f"--output={tmp_path}",
                f"--data_dir={data_dir}",
                *arguments,
            ],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            timeout=600,
        )

    done = command("generation", "--counts=3", "--num_clips=6")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "generation.json").read_text())
    assert found["kinds"]["changed"]["drawn"]["3"] == 1.0
    assert (tmp_path / "generation_prior.png").is_file()
    assert (tmp_path / "generation_changed.png").is_file()
    done = command("swap", "--counts=3")
    assert done.returncode == 1
    assert "swap takes no --counts" in done.stderr
