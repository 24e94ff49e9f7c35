"""Ctrl-C in the middle of a long step, and evaluations that go wrong."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest
import test_resume
import tiny_model

from tfdecomp import training
from tfdecomp.storage import saving
from tfdecomp.training.evaluator import Evaluator

# Reading one clip takes two minutes, until Ctrl-C has been there.
PROGRAM = """
import pathlib, sys, time
sys.path.insert(0, sys.argv[2])
import tiny_model
from tfdecomp import training

fast, slow = tiny_model.clip, pathlib.Path(sys.argv[1] + ".slow")

def clip(index, seed, num_frames):
    if index == 8000 and not slow.exists():
        slow.touch()
        time.sleep(120)
    return fast(index, seed, num_frames)

tiny_model.clip = clip
tiny_model.parse(
    "training.run.checkpoint_every = 10000", "training.run.num_steps = 2400"
)
run = training.run(sys.argv[1], may_exit=True)
sys.exit(0 if run["state"] == "finished" else 130)
"""


def command(folder):
    here = pathlib.Path(tiny_model.__file__).parent
    return ["-c", PROGRAM, folder, here]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_answered_within_five_seconds_in_a_long_step(
    number, tmp_path
):
    folder, slow = tmp_path / "run", tmp_path / "run.slow"
    process = test_resume.start(command(folder))
    while not slow.exists() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(1.0)  # the step that needs the clip has begun
    begin = time.monotonic()
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert time.monotonic() - begin < 5.0
    assert process.returncode == 130, output
    assert "in the middle of a step; the same command goes on" in output
    steps = saving.checkpoint_steps(folder / "checkpoints")
    assert steps[-1] > 200, "the steps before it were lost"
    test_resume.finish(command(folder))
    (tmp_path / "whole.slow").touch()
    test_resume.finish(command(tmp_path / "whole"))
    test_resume.assert_same(tmp_path / "whole", folder)


class Failing(Evaluator):
    """Fails at step 20, as long as `fails`."""

    fails = True
    scored = []

    def check(self):
        """No clip is read."""

    def evaluate(self):
        if self.fails and self.state.step == 20:
            raise ValueError("this evaluation cannot be")
        row = {"step": self.state.step, "f_ari": 0.5}
        self.history.add(row)
        self.state.last_evaluation = row
        self.state.best = self.state.best or row
        self.scored.append(self.state.step)
        return {"f_ari": 0.5}


def test_an_evaluation_that_fails_costs_no_step_and_is_made_up_for(
    tmp_path, monkeypatch
):
    bindings = (
        "training.run.eval_every = 10",
        "training.run.checkpoint_every = 1000",
    )
    monkeypatch.setattr("tfdecomp.training.watch.Evaluator", Failing)
    monkeypatch.setattr(Failing, "scored", [])
    tiny_model.parse(*bindings)
    with pytest.raises(ValueError, match="cannot be"):
        training.run(tmp_path / "run")
    assert saving.checkpoint_steps(tmp_path / "run" / "checkpoints")[-1] == 20
    monkeypatch.setattr(Failing, "fails", False)
    tiny_model.parse(*bindings)
    training.run(tmp_path / "run")
    assert Failing.scored == [10, 20, 30, 40]
    tiny_model.parse(*bindings)
    training.run(tmp_path / "whole")
    test_resume.assert_same(tmp_path / "whole", tmp_path / "run")


@pytest.mark.slow
def test_what_an_evaluation_lacks_is_said_before_the_first_step(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tfdecomp.train"),
            *("--gin_file=smoke/provide.gin", f"--workdir={tmp_path / 'run'}"),
            f"--data_dir={tmp_path}",
            "--gin_param=evaluation.Protocol.num_clips = 64000",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "want 64000 clips" in done.stderr
    assert "evaluation.Protocol.num_clips = " in done.stderr
    assert "Traceback" not in done.stderr
    assert saving.checkpoint_steps(tmp_path / "run" / "checkpoints") == []
