"""Lines of runs are whole, replaced by their own run, and lose nothing."""

import concurrent.futures
import json
import math

import pytest

from tfdecomp.evaluation import runs, tables
from tfdecomp.evaluation.protocol import Protocol

BALLS = "tfdecomp_bouncing_balls/color4"


def line(**changes):
    return {
        "config": "gin/quick/provide.gin",
        "seed": 0,
        "commit": None,
        "data": BALLS,
        "protocol": {"name": "default"},
        "scores": {"f_ari": 0.9},
        "minutes": 20,
        "restarts": 0,
        "machine": "two cores",
        **changes,
    }


def result(f_ari=0.9, **protocol):
    """What an evaluation returns, with values by clip and by frame."""
    protocol = Protocol(**protocol)
    return {
        "model": "PROVIDE",
        "class": "PROVIDE",
        "trained_on": BALLS,
        "protocol": protocol.describe(),
        "created": "2020-01-01T00:00:00+00:00",
        "seconds": 12.5,
        "dataset": BALLS,
        "split": "test",
        "num_clips": 10,
        "num_frames": 4,
        "num_predicted": 0,
        "image_size": [8, 8],
        "f_ari": f_ari,
        "mse": 1 / 3,
        "per_clip": {"f_ari": [f_ari] * 10},
        "per_frame": {"f_ari": [f_ari] * 4},
    }


ABOUT = {
    "config": "gin/quick/provide.gin",
    "seed": 3,
    "commit": "abc",
    "minutes": 1.5,
    "restarts": 2,
    "machine": "a machine",
}


def test_other_runs_are_appended_in_order(tmp_path):
    path = tmp_path / "new" / "runs.jsonl"
    for seed in (2, 0, 1):
        runs.record(path, line(seed=seed))
    assert [found["seed"] for found in runs.read(path)] == [2, 0, 1]
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert len(path.read_text().splitlines()) == 3


def test_the_same_run_is_replaced_in_its_place(tmp_path):
    path = tmp_path / "runs.jsonl"
    for seed in (0, 1):
        runs.record(path, line(seed=seed))
    runs.record(path, line(commit="newer", scores={"f_ari": 0.5}))
    found = runs.read(path)
    assert [entry["seed"] for entry in found] == [0, 1]
    assert found[0]["scores"] == {"f_ari": 0.5}
    assert found[0]["commit"] == "newer"


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"config": "gin/quick/silot.gin"},
        {"params": ["NUM_SLOTS = 9"]},
        {"data": "tfdecomp_tetrominoes/quick14"},
        {"split": "validation"},
        {"protocol": {"name": "table1"}},
        {"protocol": {"name": "default", "fresh_seed": 7}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_makes_another_run(other, tmp_path):
    path = tmp_path / "runs.jsonl"
    runs.record(path, line())
    runs.record(path, line(**other))
    assert len(runs.read(path)) == 2


def test_processes_that_record_at_once_lose_nothing(tmp_path):
    path = tmp_path / "runs.jsonl"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda s: runs.record(path, line(seed=s)), range(40)))
    assert sorted(found["seed"] for found in runs.read(path)) == [*range(40)]


def test_weights_that_were_scored_again_keep_what_they_cost(tmp_path):
    path = tmp_path / "runs.jsonl"
    shipped = {"weights": "balls", "step": 9}
    runs.record(path, line(note="at night", **shipped))
    unknown = {"minutes": None, "machine": None}
    runs.record(path, line(scores={"f_ari": 0.8}, **unknown, **shipped))
    (found,) = runs.read(path)
    assert (found["minutes"], found["machine"]) == (20, "two cores")
    assert (found["note"], found["scores"]["f_ari"]) == ("at night", 0.8)
    runs.record(path, line(**unknown))  # others: nothing is known of them
    assert runs.read(path)[0]["minutes"] is None


def test_a_file_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text('{"model": "m"}\n')
    with pytest.raises(runs.RunsError, match="line 1 of .* lacks config"):
        runs.record(path, line())
    assert path.read_text() == '{"model": "m"}\n'
    path.write_text(runs.as_text(line()) + "\n{half\n")
    with pytest.raises(runs.RunsError, match="line 2 of .* is not JSON"):
        runs.read(path)
    with pytest.raises(runs.RunsError, match="results.jsonl"):
        runs.record(tmp_path / "results.json", line())
    with pytest.raises(runs.RunsError, match="--record"):
        runs.read(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "unknown colour"),
        ({"config": None}, "neither a config nor a command"),
        ({"protocol": "default"}, "expected an object with its name"),
        ({"protocol": {"name": "a", "clips": 1}}, "protocol has no clips"),
    ],
)
def test_a_line_that_is_not_a_run_says_so(changes, message):
    with pytest.raises(runs.RunsError, match=message):
        runs.check(line(**changes), "the line")


def test_values_that_json_has_not_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        runs.as_text(line(scores={"f_ari": math.nan}))


def test_a_result_becomes_a_line_of_what_counts():
    found = runs.line_of(result(num_frames=4), **ABOUT)
    runs.check(found, "it")
    assert found["scores"] == {"f_ari": 0.9, "mse": 0.333333}
    assert found["protocol"] == {"name": "default", "num_frames": 4}
    assert (found["data"], found["num_clips"]) == (BALLS, 10)
    assert (found["seed"], found["minutes"], found["restarts"]) == (3, 1.5, 2)
    assert "per_clip" not in runs.as_text(found)
    assert json.loads(runs.as_text(found)) == found


def test_conditions_stay_apart_and_scores_by_objects_are_kept():
    parts = [
        {**result(f_ari=v), "num_frames": n, "by_objects": {"2": {"mota": v}}}
        for n, v in ((4, 0.8), (8, 0.7))
    ]
    conditions = [{"num_frames": 4}, {"num_frames": 8}]
    whole = {**result(name="mine", conditions=conditions), "f_ari": 0.7}
    found = runs.line_of({**whole, "conditions": parts}, **ABOUT)
    shown = runs.conditions(found)
    assert [c["scores"]["f_ari"] for c in shown] == [0.8, 0.7]
    assert [c["num_frames"] for c in shown] == [4, 8]
    assert shown[1]["by_objects"] == {"2": {"mota": 0.7}}
    assert found["scores"]["f_ari"] == 0.7


def test_lines_and_results_give_the_same_table():
    conditions = [{"num_frames": n} for n in (10, 20, 30, 40)]
    protocol = Protocol(name="table1", conditions=conditions)
    results = []
    for seed, base in enumerate((0.9, 0.94)):
        parts = [
            {**result(base - n / 1000), "num_frames": n}
            for n in (10, 20, 30, 40)
        ]
        results.append(
            {
                **result(),
                "protocol": protocol.describe(),
                "conditions": parts,
                "run": {"workdir": str(seed), "seed": seed, "config": "c"},
            }
        )
    lines = [
        runs.line_of(found, **{**ABOUT, "seed": seed})
        for seed, found in enumerate(results)
    ]
    assert tables.markdown(results) == tables.markdown(
        [runs.as_result(found) for found in lines]
    )
