"""Runs that are given up: when, what is left of them, and resumed exactly."""

import contextlib
import io
import json

import numpy as np
import pytest
import tiny_model
from test_resume import assert_same

from tfdecomp import training
from tfdecomp.sharing import recording
from tfdecomp.storage import saving
from tfdecomp.training import workdir
from tfdecomp.training.evaluator import Evaluator
from tfdecomp.training.restarts import Restarts

BINDINGS = (
    "training.run.restarts = @training.Restarts()",
    "training.Restarts.metric = 'mota'",
    "training.Restarts.mode = 'max'",
    "training.Restarts.step = 8",
    "training.Restarts.limit = 2.0",
    "training.run.eval_every = 4",
    "training.run.checkpoint_every = 4",
    "training.run.num_steps = 16",
    "training.run.log_every = 2",
    "training.run.clip_lengths = ((0, 2),)",  # one graph an attempt
)


def row(step, **scores):
    return {"step": step, **scores}


# ---- the rule --------------------------------------------------------------


def test_only_a_score_beyond_the_limit_at_the_step_gives_up():
    rule = Restarts(step=100, limit=0.02)
    assert rule.gives_up(row(100, mse=0.03), 100, 0)
    assert not rule.gives_up(row(100, mse=0.02), 100, 0)
    assert not rule.gives_up(row(90, mse=0.03), 90, 0)
    assert not rule.gives_up(row(110, mse=0.03), 110, 0)
    higher = Restarts(step=100, limit=0.5, metric="ari", mode="max")
    assert higher.gives_up(row(100, ari=0.4), 100, 0)
    assert not higher.gives_up(row(100, ari=0.6), 100, 0)


def test_a_score_that_is_not_a_number_gives_up():
    assert Restarts(10, 0.1).gives_up(row(10, mse=float("nan")), 10, 0)


def test_an_evaluation_that_is_still_to_come_does_not_count():
    rule = Restarts(step=100, limit=0.02)
    assert not rule.gives_up(row(90, mse=0.03), 100, 0)
    assert not rule.gives_up(None, 100, 0)


def test_the_last_attempt_goes_on_whatever_it_scores():
    rule = Restarts(step=100, limit=0.02, most=2)
    assert rule.gives_up(row(100, mse=1.0), 100, 1)
    assert not rule.gives_up(row(100, mse=1.0), 100, 2)


def test_a_score_that_no_evaluation_gives_is_named():
    with pytest.raises(ValueError, match="'ari', but .* give f_ari, step"):
        Restarts(8, 0.1, metric="ari").gives_up(row(8, f_ari=1.0), 8, 0)


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("training.Restarts.mode = 'most'", "must be 'max' or 'min'"),
        ("training.Restarts.most = 0", "most must be a whole number from 1"),
        ("training.Restarts.step = 1.5", "step must be a whole number"),
        ("training.Restarts.step = 6", "a multiple of .*eval_every, which is"),
        ("training.Restarts.step = 16", "below the 16 steps of the run"),
        ("training.run.eval_every = 0", "eval_every, which is 0"),
    ],
)
def test_what_makes_no_sense_is_refused(binding, message):
    tiny_model.parse(*BINDINGS, binding)
    with pytest.raises(ValueError, match=message):
        training.build_settings()


# ---- runs ------------------------------------------------------------------


class Scored(Evaluator):
    """Scores an attempt by its number, so that the third one is good."""

    def _refreshed(self):
        return None

    def check(self):
        """No clip is read."""

    def evaluate(self):
        self._runner = self
        return super().evaluate()

    def run(self):
        return {"mota": self.session.folder.run.get("restarts", 0)}


@pytest.fixture(autouse=True)
def scored(monkeypatch):
    monkeypatch.setattr("tfdecomp.training.watch.Evaluator", Scored)


def run(folder, *bindings, **options):
    tiny_model.parse(*BINDINGS, *bindings)
    return training.run(folder, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """`(work directory, what its run returned, what it printed)`."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(io.StringIO()) as printed,
    ):
        patch.setattr("tfdecomp.training.watch.Evaluator", Scored)
        return folder, run(folder), printed.getvalue()


def test_a_run_begins_anew_until_its_slots_part(whole):
    folder, done, printed = whole
    assert "mota is 0 at step 8, and training.Restarts.limit 2" in printed
    assert "with another seed, 2 of 3" in printed
    assert (done["state"], done["step"], done["restarts"]) == (
        "finished",
        16,
        2,
    )
    assert [(r["step"], r["mota"]) for r in done["given_up"]] == [
        (8, 0.0),
        (8, 1.0),
    ]
    rows = workdir.History(folder / "eval" / "scalars.jsonl").read()
    assert [(r["step"], r["mota"]) for r in rows] == [
        (step, 2.0) for step in (4, 8, 12, 16)
    ]
    assert json.loads((folder / "run.json").read_text()) == done


def test_each_attempt_has_weights_of_its_own(tmp_path):
    first = {}
    for most in (1, 2):
        run(tmp_path / f"{most}", f"training.Restarts.most = {most}")
        first[most] = first_arrays_kept(tmp_path / f"{most}")
    run(tmp_path / "none", "training.run.restarts = None")
    first[0] = first_arrays_kept(tmp_path / "none")
    names = [n for n in first[0] if n.startswith("model/")]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert any(
            np.abs(first[one][n] - first[other][n]).max() > 0.1 for n in names
        )


def first_arrays_kept(folder):
    steps = saving.checkpoint_steps(folder / "checkpoints")
    return saving.read_checkpoint(
        saving.checkpoint_path(folder / "checkpoints", steps[0])
    )[0]


def test_a_run_that_learns_is_the_run_without_the_rule(tmp_path):
    run(tmp_path / "with", "training.Restarts.limit = 0.0")
    run(tmp_path / "without", "training.run.restarts = None")
    assert_same(tmp_path / "with", tmp_path / "without")


@pytest.mark.parametrize("stop_at", [6, 8, 12])
def test_a_stopped_run_ends_as_if_it_had_not_been(whole, tmp_path, stop_at):
    """In an attempt, where one is given up, and in the last one."""
    restarts = 2 if stop_at == 12 else 1
    folder = tmp_path / "stopped"

    def should_stop(step):
        state = json.loads((folder / "run.json").read_text())
        return state.get("restarts") == restarts and step >= stop_at

    stopped = run(folder, should_stop=should_stop)
    assert (stopped["state"], stopped["restarts"]) == ("interrupted", restarts)
    done = run(folder)
    assert (done["state"], done["restarts"]) == ("finished", 2)
    assert_same(whole[0], folder)


def test_a_process_that_dies_while_an_attempt_is_dropped_loses_nothing(
    whole, tmp_path, monkeypatch
):
    folder, drop = tmp_path / "killed", workdir.WorkDir.drop_given_up

    def die(self):
        if self.run.get("is_dropping"):
            first = saving.checkpoint_steps(self.checkpoints)[0]
            saving.checkpoint_path(self.checkpoints, first).unlink()
            raise KeyboardInterrupt
        drop(self)

    monkeypatch.setattr(workdir.WorkDir, "drop_given_up", die)
    with pytest.raises(KeyboardInterrupt):
        run(folder)
    monkeypatch.setattr(workdir.WorkDir, "drop_given_up", drop)
    assert saving.checkpoint_steps(folder / "checkpoints")
    run(folder)
    assert_same(whole[0], folder)


def test_minutes_count_what_was_given_up(whole):
    folder, done, _ = whole
    seconds = [60.0, 120.0]
    run_file = done | {
        "attempts": 2,
        "given_up": [{"seconds": s} for s in seconds],
    }
    rows = workdir.History(folder / "train" / "scalars.jsonl").read()
    expected = round((rows[-1]["seconds"] + sum(seconds)) / 60, 1)
    assert recording.minutes(folder, run_file) == expected
