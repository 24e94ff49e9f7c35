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
            assert all(isinstance(v, str) or -0.1 < v <= 1 for v in values)
    assert {r.data for r in table.rows} == set(table.data_of.values())


DIGITS = "tfdecomp_multi_digits/mnist_1k"


def _counted(seed, bound, counts, model="LAVAE", dataset=DIGITS):
    """A result of the protocol "lavae"; `counts` of both splits."""
    protocol = Protocol(
        name="lavae",
        bound_samples=100,
        conditions=[{"split": "test"}, {"split": "test7", "bound_samples": 0}],
    )
    conditions = [
        {
            "dataset": p.dataset,
            "split": p.split,
            "num_frames": 1,
            "num_predicted": 0,
            "num_clips": 10000,
            "image_size": [64, 64],
            "count_accuracy": count,
            **({"nll_bound": bound} if p.bound_samples else {}),
        }
        for p, count in zip(protocol.expand(dataset), counts)
    ]
    return {
        "model": model,
        "trained_on": dataset,
        "protocol": protocol.describe(),
        "conditions": conditions,
        "run": {"workdir": f"{model}/{seed}", "seed": seed, "config": model},
    }


def test_bound_and_counts_stand_beside_the_lavae_paper():
    results = [
        _counted(0, 42.0, (0.999, 0.98)),
        _counted(1, 44.0, (0.997, 0.96)),
        _counted(0, 50.5, (None, None), model="ConvVAE"),
    ]
    text = tables.markdown(results)
    rows = [line.strip("| ").split(" | ") for line in text.splitlines()[2:]]
    assert rows[0] == [
        "data",
        "model",
        "-log p(x) ≤ (nats)",
        "count accuracy",
        "count accuracy, 7 objects",
        "clips",
        "seeds",
    ]
    by_model = {row[1].split(",")[0]: row[2:] for row in rows if row[2:]}
    paper = ["42.2 ± 1.1", "≥ 99.9 %", "≥ 99.9 %"]
    assert by_model["LAVAE"][:3] == paper
    assert by_model["VAE"][0] == "51.6 ± 0.6"
    deviation = statistics.stdev([98.0, 96.0])
    assert by_model["**LAVAE"] == [
        f"43.00 ± {statistics.stdev([42, 44]):.2f}",
        "99.80 ± 0.14 %",
        f"97.00 ± {deviation:.2f} %",
        "10000",
        "2",
    ]
    assert by_model["**ConvVAE"][:3] == ["50.50", "–", "–"]
    assert "test and test7 splits, 100 samples for the bound" in text
    assert "multi-dSprites" not in text


def test_stand_ins_for_mnist_say_what_they_are():
    text = tables.markdown(
        [
            _counted(
                0, 1.0, (1, 1), dataset="tfdecomp_multi_digits/digits_10k_x"
            ),
            _counted(1, 2.0, (1, 1), dataset="tfdecomp_multi_dsprites/lavae"),
        ]
    )
    assert "on multi_digits/digits_10k_x at 64x64" in text
    data = [line.strip("| ").split(" | ")[0] for line in text.splitlines()[4:]]
    assert data == ["multi-MNIST-10k"] * 3 + ["multi-dSprites"] * 3


def test_conditions_of_other_splits_have_columns_of_their_own():
    results = [_counted(0, 42.0, (0.9, 0.7))]
    results[0]["protocol"]["name"] = "mine"
    head, _, ours = tables.markdown(results).splitlines()[2:]
    cells = dict(zip(head.split(" | "), ours.split(" | ")))
    assert cells["count accuracy, 1 frames"] == "0.9000"
    assert cells["count accuracy, 1 frames of test7"] == "0.7000"


def test_older_results_without_the_rules_of_new_scores_go_along():
    old, new = _result(0), _result(1)
    del old["protocol"]["rules"]["nll_bound"], old["protocol"]["bound_samples"]
    assert _cells(tables.markdown([old, new]), "ours")[-1] == "2 |"
    old["protocol"]["rules"]["zero_by_zero"] = 0
    with pytest.raises(tables.TableError, match="rule of zero_by_zero: 0 and"):
        tables.markdown([old, new])
