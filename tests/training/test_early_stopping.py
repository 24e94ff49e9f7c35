"""Early stops: when, with which weights and rate, and resumed exactly."""

import functools
import json
import operator
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tiny_model
from test_guards import run_on_two_hosts
from test_resume import assert_same

from tfdecomp import training
from tfdecomp.ops import schedules
from tfdecomp.storage import configs, saving
from tfdecomp.training import watch, workdir
from tfdecomp.training.early_stopping import EarlyStopping
from tfdecomp.training.evaluator import Evaluator, named_scores

BINDINGS = (
    "training.run.early_stopping = @training.EarlyStopping()",
    "training.EarlyStopping.metric = 'score'",
    "training.EarlyStopping.patience = 8",
    "training.EarlyStopping.num_stops = 3",
    "training.EarlyStopping.start = 20",
    "training.run.eval_every = 4",
    "training.run.checkpoint_every = 1000",
    "training.run.keep_checkpoints = 1",
    "training.run.num_steps = 200",
    "training.run.ema_decay = 0.5",
    "training.run.clip_lengths = ((0, 2),)",  # one graph
)


def row(step, **scores):
    return {"step": step, **scores}


# ---- the rule --------------------------------------------------------------


def test_the_published_run_stops_at_the_seventh_evaluation_in_vain():
    rule = EarlyStopping("mota", patience=30_000, start=160_000, num_stops=3)
    best = row(160_000, mota=0.5)
    steps = range(0, 300_000, 5000)
    over = [step for step in steps if rule.is_over(step, 0, best)]
    assert over[0] == 195_000
    # After the stop the weights that go on count as just found.
    later = [s for s in steps if s > over[0] and rule.is_over(s, 195_000, best)]
    assert later[0] == 230_000


def test_scores_before_the_start_are_forgotten_there():
    rule = EarlyStopping("mota", patience=10, start=100)
    high = row(90, mota=0.9)
    assert not rule.is_better({"mota": 0.5}, 95, high)
    assert rule.is_better({"mota": 0.5}, 100, high)
    assert not rule.is_better({"mota": 0.4}, 105, row(100, mota=0.5))
    assert rule.is_better({"mota": 0.6}, 105, row(100, mota=0.5))


def test_several_scores_are_added_and_errors_may_be_made_small():
    both = EarlyStopping(("mota", "predicted_mota"), patience=1)
    assert both.criterion({"mota": 0.5, "predicted_mota": 0.25}) == 0.75
    error = EarlyStopping("mse", mode="min", patience=1)
    assert error.is_better({"mse": 0.1}, 2, row(1, mse=0.2))
    assert not error.is_better({"mse": float("nan")}, 2, row(1, mse=0.2))
    assert not error.is_better({"mse": float("nan")}, 2, None)
    with pytest.raises(ValueError, match="names 'predicted_mota', but.*mota"):
        both.criterion({"mota": 0.5})


def test_a_stage_has_a_longest():
    rule = EarlyStopping("mota", patience=1000, longest=50)
    assert not rule.is_over(149, 100, row(149, mota=1.0))
    assert rule.is_over(150, 100, row(150, mota=1.0))


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("continue", [0.0, 5.0, 7.0, 8.0]),
        ("restart", [0.0, 5.0, 2.0, 3.0]),
        ("final", [0.0, 5.0, 10.0, 10.0]),
        (schedules.Linear(100.0, 200.0, 10), [0.0, 5.0, 120.0, 130.0]),
    ],
)
def test_schedules_after_a_stop(way, expected):
    rule = EarlyStopping("mota", patience=1, schedules={"odds": way})
    ramp = schedules.Linear(0.0, 10.0, 10)

    def value(step, stops):
        step = tf.constant(step, tf.int64)
        return float(rule.value("odds", ramp, step, tf.constant(stops), 5))

    found = [value(0, 0), value(5, 0), value(7, 1), value(8, 2)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_final_value_is_that_of_the_published_count_prior():
    rule = EarlyStopping("mota", patience=1, schedules={"odds": "final"})
    odds = schedules.Decay(1e6, 0.0125)
    found = rule.value("odds", odds, tf.constant(0, tf.int64), 1, 0)
    assert float(found) == pytest.approx(0.0125)


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("training.EarlyStopping.mode = 'high'", "'max' or 'min'"),
        ("training.EarlyStopping.num_stops = 0", "num_stops must be at least"),
        ("training.EarlyStopping.rate_factor = 2.0", "rate_factor must be"),
        ("training.EarlyStopping.start = 19", "clips grow until step 20"),
        ("training.run.eval_every = 0", "set training.run.eval_every"),
        ("training.EarlyStopping.best_of = 'all'", "best_of must be one of"),
        ("training.EarlyStopping.schedules = {'a': 'end'}", "must be one of"),
        ("training.EarlyStopping.schedules = {'a': 'final'}", "has only"),
    ],
)
def test_what_makes_no_sense_is_refused(binding, message):
    grows = "training.run.clip_lengths = ((0, 1), (20, 2))"
    tiny_model.parse(*BINDINGS, grows, binding)
    with pytest.raises(ValueError, match=message):
        training.build_settings()


# ---- runs ------------------------------------------------------------------

# Step -> score; a run evaluates every fourth one. Each stage has its best
# step, and stops more than eight steps after it.
BEST = (24, 44, 56)


class Scored(Evaluator):
    """Evaluates without clips: what matters here is what a run makes of it."""

    def _refreshed(self):
        return None

    def check(self):
        """No clip is read."""

    def evaluate(self):
        self._runner = self
        return super().evaluate()

    def run(self):
        step = self.state.step
        score = 0.1 * step if step < 20 else 0.0
        return {"score": score + sum(step == best for best in BEST) * step}


@pytest.fixture(autouse=True)
def scored(monkeypatch):
    monkeypatch.setattr("tfdecomp.training.watch.Evaluator", Scored)


def checkpoint(folder, step):
    return saving.read_checkpoint(
        saving.checkpoint_path(folder / "checkpoints", step)
    )


def learning_rates(folder):
    rows = workdir.History(folder / "train" / "scalars.jsonl").read()
    return {r["step"]: r["learning_rate"] for r in rows}


def test_a_run_goes_through_its_stages(tmp_path, capsys):
    tiny_model.parse(*BINDINGS, "training.run.log_every = 4")
    done = training.run(tmp_path)
    # 24 + 12; 44 + 12 with the best at 56, which is a stage of its own.
    assert done["state"] == "finished"
    printed = capsys.readouterr().out
    assert "early stop 1 of 3 at step 36; the best weights, of step 24" in (
        printed
    )
    assert "early stop 2 of 3 at step 68; the best weights, of step 56" in (
        printed
    )
    assert "stopped early at step 80; the weights are now the best" in printed
    assert done["step"] == 80
    rates = learning_rates(tmp_path)
    for step, expected in ((36, 0.01), (40, 0.01 / 3), (72, 0.01 / 9)):
        assert rates[step] == pytest.approx(expected, rel=1e-5)
    best, _ = checkpoint(tmp_path, 56)
    last, meta = checkpoint(tmp_path, 80)
    assert (meta["stops"], meta["best"]["step"]) == (3, 56)
    for name, value in best.items():
        if name.startswith(("model/", "ema/")):
            np.testing.assert_array_equal(last[name], value)


def test_a_stage_begins_with_the_best_weights_and_a_fresh_optimizer(tmp_path):
    tiny_model.parse(
        *BINDINGS,
        "training.run.num_steps = 37",
        "training.run.keep_checkpoints = 9",
        "training.EarlyStopping.rate_factor = 1e-9",
    )
    training.run(tmp_path)
    best, _ = checkpoint(tmp_path, 24)
    last, meta = checkpoint(tmp_path, 37)
    assert (meta["stops"], meta["resumed_at"]) == (1, 36)
    assert last["carry/updates"] == 1
    for name in (n for n in best if n.startswith("ema/")):
        weight = name.replace("ema/", "model/")  # a step at no rate at all
        np.testing.assert_allclose(last[weight], best[weight], atol=1e-7)
        average = 0.5 * (best[name] + best[weight])
        np.testing.assert_allclose(last[name], average, atol=1e-7)
        # After its first step Adam has a tenth of the gradient and a
        # thousandth of its square.
        number = 2 * int(name[-4:])
        mean, size = (last[f"optimizer/{number + i:04d}"] for i in (0, 1))
        np.testing.assert_allclose(size, 0.1 * mean**2, rtol=1e-4)


def test_a_run_stopped_in_any_stage_ends_as_if_it_had_not(tmp_path):
    """Where one ends, within one, and where the next one ends."""
    bindings = (
        *BINDINGS,
        "training.run.log_every = 4",
        "training.run.schedules = {'kl_weight': @schedules.Linear()}",
        "schedules.Linear.start = 0.0",
        "schedules.Linear.end = 0.1",
        "schedules.Linear.num_steps = 30",
        "training.EarlyStopping.schedules = {'kl_weight': 'restart'}",
    )
    tiny_model.parse(*bindings)
    training.run(tmp_path / "whole")
    for stop_at in (36, 41, 68):
        tiny_model.parse(*bindings)
        stopped = training.run(
            tmp_path / "stopped",
            should_stop=functools.partial(operator.le, stop_at),
        )
        assert stopped["state"] == "interrupted"
        assert stop_at <= stopped["step"] < 80
    tiny_model.parse(*bindings)
    done = training.run(tmp_path / "stopped")
    assert (done["state"], done["step"]) == ("finished", 80)
    assert_same(tmp_path / "whole", tmp_path / "stopped")


def test_a_stage_of_its_own_begins_by_scoring_its_first_weights(tmp_path):
    """A best score that was luck does not count against the next stage."""
    best, rows = {}, {}
    for name in ("run", "stage"):
        tiny_model.parse(
            *BINDINGS, f"training.EarlyStopping.best_of = '{name}'"
        )
        done = training.run(tmp_path / name)
        best[name] = checkpoint(tmp_path / name, done["step"])[1]["best"]
        history = workdir.History(tmp_path / name / "eval" / "scalars.jsonl")
        rows[name] = [r["step"] for r in history.read()]
    # Of all scores that of step 56 is the best; in the last stage, which
    # begins at 68, none is better than the first.
    assert (best["run"]["step"], best["stage"]["step"]) == (56, 68)
    assert rows["run"].count(68) == 1 and rows["stage"].count(68) == 2


def test_what_a_stage_begins_with_may_be_its_best(tmp_path, monkeypatch):
    """Its checkpoint then holds those weights, not the ones that stopped."""
    monkeypatch.setattr(sys.modules[__name__], "BEST", (24,))
    tiny_model.parse(*BINDINGS, "training.EarlyStopping.best_of = 'stage'")
    done = training.run(tmp_path)
    best, _ = checkpoint(tmp_path, done["step"])
    tiny_model.parse(*BINDINGS, "training.EarlyStopping.num_stops = 1")
    first = training.run(tmp_path / "first")
    assert first["step"] == 36 < done["step"]
    expected, _ = checkpoint(tmp_path / "first", 36)
    for name, value in expected.items():
        if name.startswith(("model/", "ema/")):
            np.testing.assert_array_equal(best[name], value)


def test_a_run_with_stages_of_their_own_resumes_where_one_begins(tmp_path):
    bindings = (
        *BINDINGS,
        "training.run.log_every = 4",
        "training.EarlyStopping.best_of = 'stage'",
    )
    tiny_model.parse(*bindings)
    whole = training.run(tmp_path / "whole")
    for stop_at in (36, 41):
        tiny_model.parse(*bindings)
        training.run(
            tmp_path / "stopped",
            should_stop=functools.partial(operator.le, stop_at),
        )
    tiny_model.parse(*bindings)
    done = training.run(tmp_path / "stopped")
    assert (done["state"], done["step"]) == ("finished", whole["step"])
    assert_same(tmp_path / "whole", tmp_path / "stopped")


def test_a_run_without_early_stops_resumes_from_older_checkpoints(tmp_path):
    tiny_model.parse("training.run.num_steps = 10")
    training.run(tmp_path)
    arrays, meta = checkpoint(tmp_path, 10)
    del meta["stops"], meta["resumed_at"]
    path = tmp_path / "checkpoints"
    saving.write_checkpoint(path, 10, arrays, meta)
    run = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(run | {"state": "running"}))
    tiny_model.parse("training.run.num_steps = 10")
    assert training.run(tmp_path)["state"] == "finished"


def test_scores_of_predicted_frames_have_names_of_their_own():
    results = {
        "mota": 0.5,
        "nll": 7.0,
        "conditions": [
            {"num_predicted": 5, "mota": 0.25, "mse": 0.1},
            {"num_predicted": 0, "mota": 0.5},
        ],
    }
    assert named_scores(results, ("mota", "predicted_mota")) == {
        "mota": 0.5,
        "predicted_mota": 0.25,
    }
    assert named_scores(results, ("nll",)) == {"mota": 0.5, "nll": 7.0}
    assert named_scores({"mota": None}, ("predicted_mota",)) == {}


@pytest.mark.slow
def test_two_hosts_stop_where_one_does(tmp_path):
    command = [sys.executable, __file__]
    subprocess.run(
        [*command, tmp_path / "one"], check=True, capture_output=True
    )
    run_on_two_hosts([*command, tmp_path / "two"])
    losses = []
    for name in ("one", "two"):
        path = tmp_path / name / "train" / "scalars.jsonl"
        rows = workdir.History(path).read()
        assert rows[-1]["step"] == 80
        losses.append([row["loss"] for row in rows])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


@pytest.mark.slow
def test_all_stages_of_silot_resume_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setattr("tfdecomp.training.watch.Evaluator", Evaluator)
    data = tmp_path / "data"
    configs.parse(["smoke/silot_stages.gin"])
    done = training.run(tmp_path / "whole", data_dir=data)
    assert (done["state"], done["step"]) == ("finished", 10)
    configs.parse(["smoke/silot_stages.gin"])
    training.run(
        tmp_path / "stopped",
        data_dir=data,
        should_stop=functools.partial(operator.le, 7),
    )
    configs.parse(["smoke/silot_stages.gin"])
    done = training.run(tmp_path / "stopped", data_dir=data)
    assert (done["state"], done["step"]) == ("finished", 10)
    assert_same(tmp_path / "whole", tmp_path / "stopped")


if __name__ == "__main__":
    watch.Evaluator = Scored
    tiny_model.parse(*BINDINGS)
    training.run(sys.argv[1], devices=["CPU:0"])
