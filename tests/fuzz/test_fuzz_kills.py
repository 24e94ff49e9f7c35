"""Runs and builds that are killed at random: not one bit may differ."""

import hashlib
import os
import pathlib
import random
import shutil
import signal
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "training"))

import test_resume

from tests.fuzz import forks
from tfdecomp.storage import saving

SYSTEMS = (
    "provide",
    "iodine",
    "seq_iodine",
    "lavae",
    "dvip",
    "silot",
    "conv_vae",
)
KILLS = 15  # of each system, more than a hundred together
EVERY = 3  # steps from one checkpoint to the next
FARTHEST = 3  # checkpoints that a run may write before it is killed
LONGEST = 1.0  # seconds after that
SETS = (
    "bouncing_balls/color3_quick_tiny",
    "tetrominoes/quick14_tiny",
    "moving_digits/digits_quick_tiny",
)


@pytest.fixture
def server(tmp_path):
    running = forks.Server(tmp_path / "log.txt")
    yield running
    running.close()


def command(system, folder, data):
    return (
        *("train", f"--gin_file=smoke/{system}.gin"),
        *(f"--workdir={folder}", f"--data_dir={data}"),
        f"--gin_param=NUM_STEPS = {2 * EVERY * FARTHEST * KILLS // 2}",
        f"--gin_param=training.run.checkpoint_every = {EVERY}",
        "--gin_param=training.run.eval_every = 30",
        "--gin_param=training.run.pictures_every = 0",
    )


def newest(folder):
    """Step of the newest checkpoint; 0 where there is none."""
    checkpoints = folder / "checkpoints"
    steps = saving.checkpoint_steps(checkpoints) if checkpoints.is_dir() else []
    return max(steps, default=0)


def kill(server, arguments, folder, rng, in_checkpoint):
    """Starts a run and kills it; false if it ended before.

    Args:
        server: A `forks.Server`.
        arguments: Of the command.
        folder: Of the run.
        rng: Says when.
        in_checkpoint: Whether to wait until it writes a checkpoint.
    """
    last = newest(folder) + EVERY * rng.randrange(FARTHEST + 1)
    pid = server.start(*arguments)
    while server.is_running() and not (
        test_resume.is_training(folder, pid) and newest(folder) >= last
    ):
        time.sleep(0.01)
    if in_checkpoint:
        while server.is_running():
            if list((folder / "checkpoints").glob(".*.tmp")):
                break
            time.sleep(0.0002)
    else:
        time.sleep(rng.uniform(0.0, LONGEST))
    return _end(server, pid)


def _end(server, pid):
    if server.is_running():
        os.kill(pid, signal.SIGKILL)
    return server.wait() == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_kills_change_no_bit(system, server, tmp_path, kills=KILLS):
    rng, data = random.Random(system), tmp_path / "data"
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    server.finish(*command(system, whole, data))
    hits = 0
    for number in range(kills):
        arguments = command(system, killed, data)
        hits += kill(server, arguments, killed, rng, number % 3 == 0)
        print(system, number, hits, newest(killed), flush=True)
    server.finish(*command(system, killed, data))
    assert hits, "every kill came after the end; make the run longer"
    test_resume.assert_same(whole, killed)


def contents(folder):
    """Path to the sum of what is in it, of all files of a data set."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "incomplete" not in str(path)
    }


def begin_build(server, name, folder):
    """Starts a build; returns its number once it has made its folder."""
    pid = server.start("prepare", name, f"--data_dir={folder}")
    while server.is_running() and not list(folder.glob("*/*")):
        time.sleep(0.001)
    return pid


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_killed_builds_leave_none_or_the_whole_set(
    name, server, tmp_path, kills=KILLS
):
    rng = random.Random(name)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    begin_build(server, name, whole)
    begin = time.monotonic()
    assert server.wait() == 0
    longest = time.monotonic() - begin
    wanted = contents(whole)
    hits = 0
    for number in range(kills):
        pid = begin_build(server, name, killed)
        end = time.monotonic() + rng.uniform(0.0, longest)
        while server.is_running() and time.monotonic() < end:
            time.sleep(0.001)
        hits += _end(server, pid)
        found = contents(killed)
        print(name, number, hits, len(found), flush=True)
        if any(path.endswith("dataset_info.json") for path in found):
            assert found == wanted
            shutil.rmtree(killed)  # another beginning
    server.finish("prepare", name, f"--data_dir={killed}")
    assert hits, "every kill came after the end"
    assert contents(killed) == wanted
