"""Tables hold what was measured, and refuse to mix protocols."""

import statistics

import pytest

from tfdecomp.evaluation import published, tables
from tfdecomp.evaluation.protocol import Protocol

BALLS = "tfdecomp_bouncing_balls"


def _result(seed=0, f_ari=0.9, dataset=f"{BALLS}/color4", config="c", **kwargs):
    fields = {
        "name": "table1",
        "conditions": [{"num_frames": n} for n in (10, 20, 30, 40)],
        **kwargs,
    }
    protocol = Protocol(**fields)
    scores = {"ari": 0.5, "f_ari": f_ari, "mse": 0.001}
    conditions = [
        {
            "dataset": p.dataset,
            "num_frames": p.num_frames,
            "num_predicted": p.num_predicted,
            "num_clips": 100,
            "image_size": [64, 64],
            **scores,
            "f_ari": f_ari - i / 100,
        }
        for i, p in enumerate(protocol.expand(dataset))
    ]
    return {
        "model": "PROVIDE",
        "trained_on": dataset,
        "protocol": protocol.describe(),
        "conditions": conditions,
        "run": {"workdir": f"runs/{seed}", "seed": seed, "config": config},
    }


def _cells(text, start):
    rows = [line.split(" | ") for line in text.splitlines()]
    return next(r for r in rows if len(r) > 1 and start in r[1])


def test_ours_stands_beside_the_paper():
    text = tables.markdown([_result()])
    head = text.splitlines()[2].split(" | ")
    ours, paper = _cells(text, "ours"), _cells(text, "PROVIDE, published")
    assert len(head) == len(ours) == len(paper)
    column = head.index("F-ARI 20")
    assert (ours[column], paper[column]) == ("0.8900", "1.0000")
    assert head[-2:] == ["clips", "seeds |"]
    assert ours[-2:] == ["100", "1 |"]
    assert "bouncing_balls/color4 at 64x64" in ours[1]
    assert "CLEVRER" not in text


def test_seeds_share_a_row_with_mean_and_deviation():
    values = [0.9, 0.94, 0.95]
    text = tables.markdown([_result(i, v) for i, v in enumerate(values)])
    ours = _cells(text, "ours")
    expected = (
        f"{statistics.fmean(values):.4f} ± {statistics.stdev(values):.4f}"
    )
    assert ours[6] == expected
    assert ours[-1] == "3 |"


def test_other_configs_have_rows_of_their_own():
    text = tables.markdown([_result(0), _result(1, config="another one")])
    assert text.count("ours**") == 2
    assert "config another " in text


def test_a_run_evaluated_twice_counts_with_its_newest_result():
    text = tables.markdown([_result(0, 0.2), _result(0, 0.9)])
    assert _cells(text, "ours")[6] == "0.9000"
    assert "0.2000" not in text


@pytest.mark.parametrize(
    "other", [{"fresh_seed": 3}, {"num_clips": 5}, {"split": "validation"}]
)
def test_different_protocols_are_not_mixed(other):
    with pytest.raises(tables.TableError, match="without the same protocol"):
        tables.markdown([_result(0), _result(1, **other)])


def test_one_table_holds_one_named_protocol():
    results = [_result(0), _result(1, name="mine")]
    with pytest.raises(tables.TableError, match="mine, table1"):
        tables.markdown(results)
    assert "ours" in tables.markdown(results, "mine")
    with pytest.raises(tables.TableError, match="no results of protocol 'x'"):
        tables.markdown(results, "x")


def test_table2_tells_its_data_apart():
    conditions = [
        {"dataset": f"{BALLS}/color678_pal{n}", "num_frames": 10}
        for n in (4, 8)
    ]
    text = tables.markdown(
        [_result(name="table2", conditions=conditions, num_slots=9)]
    )
    assert "K = 9" in text
    rows = [line for line in text.splitlines() if "ours**" in line]
    assert [r.split(" | ")[0] for r in rows] == [
        "| BB colour, 6-8 balls, 4 colours",
        "| BB colour, 6-8 balls, 8 colours",
    ]


def test_protocols_without_a_published_table_print_too():
    result = _result(
        name="velocity", num_frames=10, num_predicted=5, conditions=[]
    )
    (condition,) = result.pop("conditions")
    result |= {**condition, "velocity_cosine": 0.75}
    text = tables.markdown([result])
    assert "velocity cosine, 10 + 5 frames" in text
    assert "0.7500" in text


@pytest.mark.parametrize(
    "table", published.TABLES.values(), ids=lambda t: t.title
)
def test_published_rows_have_a_value_for_each_column(table):
    for row in table.rows:
        for values in row.scores.values():
            assert len(values) in (1, len(table.columns))
            assert all(-0.1 < v <= 1 for v in values)
    assert {r.data for r in table.rows} == set(table.data_of.values())
