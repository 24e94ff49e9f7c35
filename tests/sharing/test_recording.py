"""A trained run becomes a line: its config, what it took, what it scored."""

import json
import subprocess
import sys

import pytest

from tfdecomp.evaluation import runs
from tfdecomp.evaluation.protocol import Protocol
from tfdecomp.sharing import recording

TRAIN = "python -m tfdecomp.train --workdir=runs/a"


def result(seed=2, **run):
    return {
        "model": "PROVIDE",
        "class": "PROVIDE",
        "trained_on": "tfdecomp_bouncing_balls/color3_quick",
        "protocol": Protocol().describe(),
        "dataset": "tfdecomp_bouncing_balls/color3_quick",
        "split": "test",
        "num_clips": 5,
        "num_frames": 4,
        "f_ari": 0.75,
        "run": {"seed": seed, "step": 9, **run},
    }


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content) + "\n")


def run_file(**changes):
    return {
        "command": f"{TRAIN} --gin_file=gin/quick/provide.gin --seed=2",
        "commit": "abc",
        "machine": "a machine, 2 cores",
        "attempts": 1,
        "state": "finished",
        "started": "2020-01-01T10:00:00+00:00",
        "updated": "2020-01-01T10:19:30+00:00",
        "seed": 2,
        **changes,
    }


def test_a_run_is_recorded_with_what_it_took(tmp_path):
    write(tmp_path / "run.json", run_file(restarts=1))
    path = recording.record(tmp_path / "r.jsonl", tmp_path, result())
    (line,) = runs.read(path)
    assert line["config"] == "gin/quick/provide.gin"
    assert (line["seed"], line["commit"]) == (2, "abc")
    assert (line["minutes"], line["restarts"]) == (19.5, 1)
    assert line["machine"] == "a machine, 2 cores"
    assert line["scores"] == {"f_ari": 0.75}
    assert "params" not in line


def test_what_is_not_known_is_null(tmp_path):
    write(tmp_path / "run.json", {"seed": 2, "command": "c"})
    path = recording.record(tmp_path / "r.jsonl", tmp_path, result())
    (line,) = runs.read(path)
    assert line["config"] is None and line["command"] == "c"
    assert line["minutes"] is line["commit"] is line["machine"] is None


def test_of_a_resumed_run_the_steps_count(tmp_path):
    folder = tmp_path / "a"
    for row in ({"step": 1, "seconds": 60.0}, {"step": 2, "seconds": 126.0}):
        (folder / "train").mkdir(parents=True, exist_ok=True)
        with open(folder / "train" / "scalars.jsonl", "a") as file:
            file.write(json.dumps(row) + "\n")
    assert recording.minutes(folder, run_file(attempts=2)) == 2.1
    assert recording.minutes(folder, run_file()) == 19.5
    assert recording.minutes(tmp_path, run_file(attempts=2)) is None


def test_a_folder_of_weights_has_the_command_on_its_card(tmp_path):
    info = {"name": "balls", "command": f"{TRAIN} --gin_file=quick/provide"}
    write(tmp_path / "info.json", info)
    path = recording.record(tmp_path / "r.jsonl", tmp_path, result())
    (line,) = runs.read(path)
    assert line["config"] == "gin/quick/provide.gin"
    assert (line["weights"], line["step"]) == ("balls", 9)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--gin_file=gin/quick/silot.gin", ("gin/quick/silot.gin", [])),
        ("--gin_file quick/silot", ("gin/quick/silot.gin", [])),
        ("--gin_file=mine.gin", ("mine.gin", [])),
        (
            "--gin_file=quick/silot --gin_file=mine.gin",
            ("gin/quick/silot.gin + mine.gin", []),
        ),
        (
            "--gin_file=quick/silot '--gin_param=NUM_SLOTS = 8'",
            ("gin/quick/silot.gin", ["NUM_SLOTS = 8"]),
        ),
        (  # as runs before wrote it, without quotes
            "--gin_file=quick/silot --gin_param=A = -1 --gin_param=B = 'x",
            ("gin/quick/silot.gin", ["A = -1", "B = 'x"]),
        ),
        ("--seed=1", (None, [])),
    ],
)
def test_config_and_bindings_are_read_from_the_command(words, expected):
    assert recording.asked(f"{TRAIN} {words}") == expected


@pytest.mark.parametrize("command", [None, "", 1e308, ["train"], {}, True])
def test_no_command_has_no_config(command):
    assert recording.asked(command) == (None, [])


@pytest.mark.parametrize(
    ("jobs", "kind", "index", "writes"),
    [
        (None, None, None, True),
        (["worker"], "worker", 0, True),
        (["worker"], "worker", 1, False),
        (["chief", "worker"], "chief", 0, True),
        (["chief", "worker"], "worker", 0, False),
    ],
)
def test_one_host_scores(jobs, kind, index, writes, tmp_path, monkeypatch):
    cluster = {job: ["a:1", "b:1"] for job in jobs or ()}
    hosts = {"cluster": cluster, "task": {"type": kind, "index": index}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(hosts) if jobs else "")
    asked = []

    def call(command, env):
        asked.append(command)
        assert "TF_CONFIG" not in env
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(subprocess, "run", call)
    status = recording.score_and_record(tmp_path / "r.jsonl", tmp_path)
    assert (status, len(asked)) == ((3, 1) if writes else (0, 0))


def test_runs_are_scored_by_the_protocol_of_their_setting():
    assert recording.protocol_of("gin/quick/silot.gin") == "silot"
    assert recording.protocol_of("mine.gin") == "default"


@pytest.mark.slow
def test_training_records_its_run(tmp_path):
    path = tmp_path / "runs.jsonl"
    command = [sys.executable, "-m", "tfdecomp.train"]
    command += ["--gin_file=gin/smoke/provide.gin", "--seed=4"]
    command += ["--gin_param=NUM_STEPS = 2", f"--record={path}"]
    command += [f"--workdir={tmp_path / 'a'}", f"--data_dir={tmp_path}"]
    for _ in range(2):  # the second time it is finished, and scored again
        subprocess.run(command, check=True)
        (line,) = runs.read(path)
        assert line["config"] == "gin/smoke/provide.gin"
        assert line["params"] == ["NUM_STEPS = 2"]
        assert line["seed"] == 4
        assert line["minutes"] > 0
        assert "cores" in line["machine"]
        assert 0 <= line["scores"]["mse"] < 1


@pytest.mark.slow
def test_a_file_that_cannot_be_written_is_named_before_training(tmp_path):
    command = [sys.executable, "-m", "tfdecomp.train"]
    command += ["--gin_file=gin/smoke/provide.gin", "--record=runs.json"]
    command += [f"--workdir={tmp_path / 'a'}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "name runs.json runs.jsonl" in done.stderr
    assert not (tmp_path / "a").exists()
