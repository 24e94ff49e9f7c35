"""`python -m tfdecomp.publish`: a run becomes a folder that loads."""

import json
import subprocess
import sys

import numpy as np
import pytest

import tfdecomp
from tests.test_case import set_seed
from tfdecomp.evaluation import results
from tfdecomp.models.provide import PROVIDE
from tfdecomp.sharing import hub
from tfdecomp.storage import model_info, saving

CONFIG = """\
DATASET = 'tfdecomp_bouncing_balls/color3_quick'
data.make_dataset.crop = None
training.run.dataset = %DATASET
"""


@pytest.fixture
def workdir(tmp_path):
    """A work directory with two checkpoints and two results."""
    folder = tmp_path / "run"
    (folder / saving.CHECKPOINT_FOLDER).mkdir(parents=True)
    set_seed(0)
    model = saving.build(
        PROVIDE(image_size=8, num_slots=2, num_refinements=2, units=8)
    )
    saving.save_model(folder, model)
    for step, scale in ((1, 0.5), (2, 1.0)):
        arrays = saving.variable_arrays("model", model.variables)
        arrays = {name: scale * value for name, value in arrays.items()}
        saving.write_checkpoint(
            folder / saving.CHECKPOINT_FOLDER, step, arrays, {"step": step}
        )
    (folder / "config.gin").write_text(CONFIG)
    (folder / "run.json").write_text(json.dumps({"seed": 5, "command": "c"}))
    for name, value in (("table1", 0.9), ("default", 0.81239)):
        protocol = {"name": name, "split": "test"}
        results.append(
            folder,
            {"protocol": protocol, "num_clips": 3, "f_ari": value},
        )
    return folder


def publish(*flags):
    return subprocess.run(
        [sys.executable, "-m", "tfdecomp.publish", *map(str, flags)],
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_run_becomes_a_folder_with_a_card(workdir, tmp_path):
    output = tmp_path / "models" / "balls"
    done = publish(f"--workdir={workdir}", f"--output={output}")
    assert done.returncode == 0, done.stderr
    loaded = tfdecomp.load(output)
    assert loaded.info["name"] == "balls" and loaded.info["step"] == 2
    assert loaded.info["score"] == {"f_ari": 0.8124, "num_clips": 3}
    assert loaded.info["protocol"]["name"] == "default"
    assert loaded.trained_on == "bouncing_balls/color3_quick"
    card = (output / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: tfdecomp\nlicense: apache-2.0")
    for part in (
        "# balls",
        "`bouncing_balls/color3_quick`",
        "| f_ari | 0.8124 |",
        "Protocol `default`, split `test`",
        'tfdecomp.load("balls")',
        "8x8 pixels with 3 channels",
    ):
        assert part in card, part
    assert [p.name for p in output.parent.iterdir()] == ["balls"]
    again = publish(f"--workdir={workdir}", f"--output={output}")
    assert again.returncode == 1 and "not an empty folder" in again.stderr


@pytest.mark.slow
def test_checkpoint_protocol_and_name_are_chosen(workdir, tmp_path):
    done = publish(
        f"--workdir={workdir}",
        f"--output={tmp_path / 'out'}",
        "--checkpoint=1",
        "--protocol=table1",
        "--name=first",
        "--storage=float16",
    )
    assert done.returncode == 0, done.stderr
    info = tfdecomp.load(tmp_path / "out").info
    assert info["name"] == "first" and info["step"] == 1
    assert info["score"]["f_ari"] == 0.9 and info["storage"] == "float16"
    done = publish(
        f"--workdir={workdir}",
        f"--output={tmp_path / 'other'}",
        "--protocol=table2",
    )
    assert done.returncode == 1
    assert "has no result of protocol 'table2'" in done.stderr
    assert not (tmp_path / "other").exists()


def test_a_card_without_a_score_says_so(workdir, tmp_path):
    info = hub.pack(workdir, tmp_path / "out", "plain")
    loaded = tfdecomp.load(tmp_path / "out")
    card = model_info.card(info, loaded.model, "")
    assert "Not measured." in card and " on `" not in card


def test_a_folder_of_another_version_says_so(workdir, tmp_path):
    hub.pack(workdir, tmp_path / "out", "plain")
    path = tmp_path / "out" / saving.MODEL_NAME
    content = json.loads(path.read_text())
    content["model"]["config"]["units"] = 16  # other shapes
    path.write_text(json.dumps(content))
    info = json.loads((tmp_path / "out" / hub.INFO_NAME).read_text())
    info["sha256"][saving.MODEL_NAME] = saving.sha256(path)
    info["version"] = "9.9"
    (tmp_path / "out" / hub.INFO_NAME).write_text(json.dumps(info))
    with pytest.raises(
        hub.HubError, match="does not hold the.*written by tfdecomp 9.9"
    ):
        tfdecomp.load(tmp_path / "out")
    (tmp_path / "out" / hub.INFO_NAME).write_text("{half")
    with pytest.raises(hub.HubError, match="info.json cannot be read"):
        tfdecomp.load(tmp_path / "out")


@pytest.mark.parametrize("name", ["somebody/balls", "hf://somebody/balls"])
def test_a_repository_needs_the_extra(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(hub.HubError, match=r"pip install 'tfdecomp\[hub\]'"):
        tfdecomp.load(name)


def test_a_repository_is_fetched_and_checked(workdir, tmp_path, monkeypatch):
    class Client:
        """Stands for the package, which a test must not reach for."""

        @staticmethod
        def snapshot_download(repository, allow_patterns):
            assert repository == "somebody/balls"
            assert set(allow_patterns) >= {"info.json", "model.json"}
            return str(tmp_path / "cache")

    hub.pack(workdir, tmp_path / "cache", "balls")
    monkeypatch.setitem(sys.modules, "huggingface_hub", Client)
    loaded = tfdecomp.load("hf://somebody/balls")
    assert loaded.info["name"] == "balls"
    video = np.zeros((2, 8, 8, 3), np.uint8)
    assert loaded.decompose(video)["masks"].shape == (2, 2, 8, 8, 1)
    (tmp_path / "cache" / hub.INFO_NAME).unlink()
    with pytest.raises(hub.HubError, match="has no info.json"):
        tfdecomp.load("somebody/balls")


def test_a_path_that_is_mistyped_is_no_repository(workdir, monkeypatch):
    monkeypatch.chdir(workdir.parent)
    with pytest.raises(hub.HubError, match="there is no model 'run/2'"):
        tfdecomp.load("run/2")
