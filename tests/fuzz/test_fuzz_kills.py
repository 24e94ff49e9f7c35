"""Runs of all systems, killed at random: not one bit may differ."""

import pathlib
import random
import signal
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "training"))

import test_resume

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
LONGEST = 12.0  # seconds of training before a kill


def command(system, data):
    return lambda folder: [
        *("-m", "tfdecomp.train", f"--gin_file=smoke/{system}.gin"),
        *(f"--workdir={folder}", f"--data_dir={data}"),
        "--gin_param=NUM_STEPS = 150",
        "--gin_param=training.run.checkpoint_every = 3",
        "--gin_param=training.run.eval_every = 50",
        "--gin_param=training.run.pictures_every = 0",
    ]


def kill_inside_a_checkpoint(arguments, folder, patience):
    """Kills a run while it writes one; false if it ended before."""
    process = test_resume.start(arguments)
    while process.poll() is None and not test_resume.is_training(
        folder, process.pid
    ):
        time.sleep(0.01)
    end = time.monotonic() + patience
    while process.poll() is None and time.monotonic() < end:
        if list((folder / "checkpoints").glob(".*.tmp")):
            break
    was_running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return was_running


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_kills_change_no_bit(system, tmp_path, kills=KILLS):
    rng = random.Random(system)
    run = command(system, tmp_path / "data")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    test_resume.finish(run(whole))
    hits = 0
    for number in range(kills):
        kill = (
            kill_inside_a_checkpoint
            if number % 3 == 0
            else test_resume.kill_while_training
        )
        hits += kill(run(killed), killed, rng.uniform(0.0, LONGEST))
    test_resume.finish(run(killed))
    assert hits, "every kill came after the end; make the run longer"
    test_resume.assert_same(whole, killed)
