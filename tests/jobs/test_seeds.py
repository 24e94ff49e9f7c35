"""Sweeps: every combination once, and a table that leaves nothing out."""

import json
import re
import statistics
import subprocess
import sys

import numpy as np
import pytest

from tfdecomp.jobs import seeds


@pytest.mark.parametrize(
    ("text", "found"),
    [("0:3", [0, 1, 2]), ("4:6", [4, 5]), ("7", [7]), ("1,3", [1, 3])],
)
def test_seeds_are_a_range_or_numbers(text, found):
    assert seeds.parse_seeds(text) == found


@pytest.mark.parametrize("text", ["", "3:3", "a", "-1:2", "1,1", "0:2:1"])
def test_other_seeds_are_refused_with_what_was_given(text):
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        seeds.parse_seeds(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("NUM_SLOTS = 4, 5", ("NUM_SLOTS", [4, 5])),
        ("DATASET='a/b'", ("DATASET", ["a/b"])),
        ("layers.Net.filters = (8, 8), (4,)", None),
    ],
)
def test_values_of_a_grid_are_literals(text, found):
    found = found or ("layers.Net.filters", [(8, 8), (4,)])
    assert seeds.parse_grid(text) == found


@pytest.mark.parametrize(
    "text", ["NUM_SLOTS", "= 3", "A =", "A = print(1)", "A = __import__('os')"]
)
def test_what_is_no_literal_is_refused_and_not_run(text):
    with pytest.raises(ValueError, match="a name and its values"):
        seeds.parse_grid(text)


def test_runs_are_every_combination_in_folders_of_their_own():
    grid = [("NUM_SLOTS", [4, 5]), ("a.B.units", [(8,), (9,)])]
    planned = seeds.runs([0, 1], grid)
    assert len(planned) == len({run.folder for run in planned}) == 8
    assert planned[0].setting == "NUM_SLOTS=4,units=(8,)"
    assert planned[0].bindings == ("NUM_SLOTS = 4", "a.B.units = (8,)")
    assert [r.folder for r in seeds.runs([3], [])] == ["seed_3"]


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ([("A", [1]), ("A", [2])], "names something twice"),
        ([("A", ["x/y", "x y"])], "one work directory"),
        ([("A", range(200)), ("B", range(200))], "more than 10000"),
    ],
)
def test_grids_that_cannot_be_are_refused(grid, said):
    with pytest.raises(ValueError, match=said):
        seeds.runs([0], grid)


def row(setting, seed, value=None):
    scores = {} if value is None else {"f_ari": value}
    state = "failed" if value is None else "finished"
    return {"setting": setting, "seed": seed, "scores": scores, "state": state}


def test_the_table_has_mean_deviation_success_and_what_failed():
    values = [0.9, 0.7, 0.95]
    rows = [row("K=4", seed, value) for seed, value in enumerate(values)]
    rows += [row("K=4", 3), row("K=5", 0, 0.5)]
    lines = seeds.table(rows, "f_ari", least=0.9).splitlines()
    mean, spread = statistics.mean(values), statistics.stdev(values)
    assert lines[2] == (
        f"| K=4 | 4 | {mean:.4f} ± {spread:.4f} | 2 of 4 | seed 3 |"
    )
    assert lines[3] == "| K=5 | 1 | 0.5000 | 0 of 1 | none |"


def test_a_score_that_no_run_has_is_said():
    with pytest.raises(ValueError, match="there are f_ari"):
        seeds.table([row("", 0, 0.5)], "mota")


def sweep(folder, *flags):
    command = [sys.executable, "-m", "tfdecomp.sweep"]
    command += ["--gin_file=gin/smoke/provide.gin", f"--output={folder}/out"]
    command += ["--gin_param=NUM_STEPS = 2", "--num_clips=2", *flags]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_one_failed_run_does_not_stop_the_others_and_the_sweep_goes_on(
    tmp_path,
):
    # A file where a work directory belongs makes one seed fail.
    (tmp_path / "out" / "seed_1").mkdir(parents=True)
    (tmp_path / "out" / "seed_1" / "checkpoints").write_text("no folder")
    process = sweep(tmp_path, "--seeds=0:3", "--workers=2", "--success=-1")
    assert process.returncode == 1
    assert "| as it is | 3 |" in process.stdout
    assert "| 2 of 3 | seed 1 |" in process.stdout
    assert process.stderr.startswith("error: seed 1: train: ")
    (tmp_path / "out" / "seed_1" / "checkpoints").unlink()
    process = sweep(tmp_path, "--seeds=0:3", "--success=-1")
    assert process.returncode == 0, process.stderr
    assert "| 3 of 3 | none |" in process.stdout
    rows = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert [r["state"] for r in rows] == ["finished"] * 3


@pytest.mark.slow
def test_a_run_of_a_sweep_is_that_of_train(tmp_path):
    assert sweep(tmp_path, "--seeds=4").returncode == 0
    subprocess.run(
        [
            *(sys.executable, "-m", "tfdecomp.train"),
            "--gin_file=gin/smoke/provide.gin",
            "--gin_param=NUM_STEPS = 2",
            "--seed=4",
            f"--workdir={tmp_path}/alone",
        ],
        check=True,
        capture_output=True,
    )
    last = "checkpoints/step_000000002.npz"
    one = np.load(tmp_path / "alone" / last)
    other = np.load(tmp_path / "out" / "seed_4" / last)
    for name in one.files:
        if name.startswith("model/"):
            np.testing.assert_array_equal(one[name], other[name])
