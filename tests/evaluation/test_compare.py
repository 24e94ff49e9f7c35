"""`compare` as a user runs it."""

import json
import re

import pytest

from tests.evaluation.test_commands import _error, _run
from tfdecomp.evaluation import tables
from tfdecomp.sharing import hub
from tfdecomp.storage import model_info


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "nothing to compare: give --model, --workdir or --gin_file"),
        (["--workdir=/no/such/folder"], "evaluate .* ended with exit code 1"),
        (["--gin_file=gin/no_such.gin"], "no config 'gin/no_such.gin'"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, message):
    assert re.search(message, _error("compare", *arguments))


@pytest.mark.slow
def test_models_trained_alike_stand_in_one_table(tmp_path):
    folders = []
    for name in ("provide", "seq_iodine"):
        folders.append(tmp_path / name)
        done = _run(
            "train",
            f"--gin_file=smoke/{name}.gin",
            f"--workdir={folders[-1]}",
            data_dir=tmp_path,
        )
        assert done.returncode == 0, done.stderr
    done = _run(
        "compare",
        *(f"--workdir={folder}" for folder in folders),
        "--num_clips=4",
        data_dir=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if "ours" in line]
    assert len(rows) == 2
    assert "PROVIDE" in rows[0] and "SequentialIODINE" in rows[1]
    assert "F-ARI, 12 frames" in done.stdout
    assert "The models differ in more than their method:" in done.stdout
    assert re.search(r"^\| frames of a clip \| .* \|$", done.stdout, re.M)


def _setups(*names):
    setups = {}
    for name in names:
        folder = hub.folder() / name
        content = json.loads((folder / "model.json").read_text())
        config = (folder / "config.gin").read_text()
        setups[name] = model_info.setup(content["model"], config)
    return setups


def test_what_else_differs_between_models_stands_below_their_scores():
    setups = _setups(
        "provide_balls_quick", "iodine_balls_quick", "seq_iodine_balls_quick"
    )
    lines = tables.differences(setups).splitlines()
    rows = {}
    for line in lines[4:]:
        title, *values = line.strip("| ").split(" | ")
        rows[title] = values
    assert rows["latents of a slot"] == ["8", "16", "16"]
    assert rows["steps of training"] == ["9000", "6000", "3000"]
    assert rows["frames of a clip"] == ["4", "1", "6"]
    canvas = ["canvas" in text for text in rows["decoder"]]
    assert canvas == [False, True, True]
    assert "clips of a step" not in rows  # 16 for all


def test_models_that_differ_in_their_method_alone_are_called_so():
    (setup,) = _setups("provide_balls_quick").values()
    text = tables.differences({"one": setup, "other": setup})
    assert text.startswith("The models have the same latents")
    assert tables.differences({"one": setup}) == ""


def test_settings_that_a_model_lacks_are_left_out():
    setups = _setups("connected_components", "dvip_digits_quick")
    assert "latents of a slot" not in setups["connected_components"]
    table = tables.differences(setups)
    assert "| latents of a slot | – | 5 |" in table
