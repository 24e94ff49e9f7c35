"""A run that was stopped, however, ends as if it never had been."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tiny_model

from tfdecomp import training
from tfdecomp.storage import saving
from tfdecomp.training import workdir

PROGRAM = pathlib.Path(tiny_model.__file__)


def start(command):
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(command):
    """Runs a command to its end; returns what it printed."""
    process = start(command)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    return output


def kill_while_training(command, folder, delay):
    """Starts a command and kills it, `delay` seconds after it trains.

    Returns:
        Whether it was still running when it was killed.
    """
    process = start(command)
    # Draining the pipe keeps a talkative run from blocking on it.
    reader = threading.Thread(target=process.stdout.read, daemon=True)
    reader.start()
    while process.poll() is None and not is_training(folder, process.pid):
        time.sleep(0.01)
    time.sleep(delay)
    was_running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return was_running


def is_training(folder, pid):
    path = folder / workdir.RUN_NAME
    if not path.is_file():
        return False
    run = json.loads(path.read_text())  # whole at any moment, or this fails
    return run["pid"] == pid


def result(folder):
    """What must not depend on how often a run was stopped."""
    history = workdir.History(folder / "train" / "scalars.jsonl").read()
    for row in history:
        row.pop("seconds")
    arrays, meta, _ = saving.newest_checkpoint(folder / "checkpoints")
    meta.pop("seconds")
    return history, arrays, meta


def assert_same(one, other):
    history, arrays, meta = result(one)
    other_history, other_arrays, other_meta = result(other)
    assert len(history) > 3
    assert history == other_history
    assert meta == other_meta
    assert arrays.keys() == other_arrays.keys()
    for name, value in arrays.items():
        np.testing.assert_array_equal(value, other_arrays[name], err_msg=name)


def kill_and_compare(tmp_path, command, kills, longest, seed=0):
    """Compares a run that is killed some times with one that is not."""
    rng = random.Random(seed)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(command(whole))
    hits = 0
    for _ in range(kills):
        hits += kill_while_training(
            command(killed), killed, rng.uniform(0.0, longest)
        )
    finish(command(killed))
    assert hits, "every kill came after the end; make the run longer"
    assert_same(whole, killed)
    assert not list((killed / "checkpoints").glob(".*"))
    return hits


def tiny(*bindings):
    return lambda folder: [PROGRAM, folder, *bindings]


@pytest.mark.slow
def test_a_killed_run_ends_like_an_uninterrupted_one(tmp_path):
    command = tiny(
        "training.run.num_steps = 800",
        "training.run.log_every = 100",
        "training.run.checkpoint_every = 40",
        "training.run.clip_lengths = ((0, 1), (400, 2))",
    )
    kill_and_compare(tmp_path, command, kills=1, longest=1.0)


@pytest.mark.slow
def test_ten_kills_change_no_bit(tmp_path):
    command = tiny(
        "training.run.num_steps = 8000",
        "training.run.log_every = 100",
        "training.run.checkpoint_every = 25",
        "training.run.keep_checkpoints = 2",
        "training.run.clip_lengths = ((0, 1), (3000, 2))",
        "training.run.ema_decay = 0.99",
        "training.run.beta_schedule = @training.NllThreshold()",
        "training.NllThreshold.limits = (12.0, 8.0)",
        "training.NllThreshold.values = (2.0, 1.5)",
        "training.NllThreshold.start = 1.0",
        "tests.tiny_dataset.bad_clips = (1001, 20000)",
    )
    hits = kill_and_compare(tmp_path, command, kills=10, longest=2.5, seed=1)
    assert hits >= 5


@pytest.mark.slow
def test_provide_on_balls_is_resumed_bit_for_bit(tmp_path):
    def command(folder):
        return [
            "-m",
            "tfdecomp.train",
            "--gin_file=smoke/provide.gin",
            f"--workdir={folder}",
            f"--data_dir={tmp_path / 'data'}",
            "--gin_param=NUM_STEPS = 120",
            "--gin_param=training.run.checkpoint_every = 7",
            "--gin_param=training.run.eval_every = 40",
            "--gin_param=training.run.pictures_every = 0",
        ]

    kill_and_compare(tmp_path, command, kills=3, longest=12.0)


def test_ctrl_c_saves_and_the_same_command_goes_on(tmp_path, capsys):
    bindings = (
        "training.run.num_steps = 400",
        "training.run.checkpoint_every = 1000",
        tiny_model.ONE_GRAPH,
    )
    tiny_model.parse(*bindings)
    training.run(tmp_path / "whole")
    # Clip 300 presses Ctrl-C; that is in step 75.
    tiny_model.parse(*bindings)
    tiny_model.press_at = 300
    stopped = training.run(tmp_path / "stopped")
    assert stopped["state"] == "interrupted"
    assert 0 < stopped["step"] < 400
    assert "the same command goes on" in capsys.readouterr().out
    tiny_model.parse(*bindings)
    done = training.run(tmp_path / "stopped")
    assert (done["state"], done["step"]) == ("finished", 400)
    assert done["attempts"] == 2
    assert_same(tmp_path / "whole", tmp_path / "stopped")


def test_a_run_stops_where_its_caller_wants(tmp_path):
    bindings = ("training.run.num_steps = 40", "training.run.log_every = 10")
    for last, state in ((20, "interrupted"), (40, "finished")):
        tiny_model.parse(*bindings)
        run = training.run(tmp_path, should_stop=lambda n, m=last: n >= m)
        assert (run["state"], run["step"]) == (state, last)


@pytest.mark.slow
def test_a_damaged_newest_checkpoint_costs_only_its_steps(tmp_path):
    tiny_model.parse()
    training.run(tmp_path / "whole")
    tiny_model.parse()
    training.run(tmp_path / "cut")
    folder = tmp_path / "cut" / "checkpoints"
    newest = saving.checkpoint_path(folder, saving.checkpoint_steps(folder)[-1])
    os.truncate(newest, newest.stat().st_size // 2)
    run = json.loads((tmp_path / "cut" / "run.json").read_text())
    (tmp_path / "cut" / "run.json").write_text(
        json.dumps(run | {"state": "running"})
    )
    tiny_model.parse()
    training.run(tmp_path / "cut")
    assert_same(tmp_path / "whole", tmp_path / "cut")
