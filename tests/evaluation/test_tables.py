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
    order = [row[1].split(",")[0] for row in rows[2:]]
    assert order == ["LAVAE", "**LAVAE", "VAE", "**ConvVAE"]
    assert "test and test7 splits, 100 samples for the bound" in text
    assert "multi-dSprites" not in text


def test_models_that_the_paper_lacks_come_last():
    results = [
        _counted(0, 1.0, (1, 1), model=name)
        for name in ("Another", "ConvVAE", "LAVAE")
    ]
    rows = tables.markdown(results).splitlines()[4:]
    order = [row.split(" | ")[1].split(",")[0] for row in rows]
    ours = ["**LAVAE", "**ConvVAE", "**Another"]
    assert [name for name in order if name.startswith("**")] == ours
    assert order[-1] == ours[-1]


def test_sequential_iodine_stands_below_the_paper_s():
    result = {**_result(), "model": "SequentialIODINE"}
    rows = tables.markdown([result]).splitlines()
    (place,) = [i for i, row in enumerate(rows) if "ours**" in row]
    assert "SEQ-IODINE, published" in rows[place - 1]


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
    del old["protocol"]["rules"]["nll_bound"]
    for name in ("bound_samples", "mi_samples", "mi_neighbours"):
        del old["protocol"][name]
    assert _cells(tables.markdown([old, new]), "ours")[-1] == "2 |"
    old["protocol"]["rules"]["zero_by_zero"] = 0
    with pytest.raises(tables.TableError, match="rule of zero_by_zero: 0 and"):
        tables.markdown([old, new])


def test_older_results_had_the_defaults_of_new_fields():
    old, new = _result(0), _result(1, mi_samples=500)
    del old["protocol"]["mi_samples"]
    with pytest.raises(tables.TableError, match="mi_samples: 1000 and 500"):
        tables.markdown([old, new])


MOVING = "tfdecomp_moving_digits/digits_quick"


def _factored(
    seed, same, cross, elbo, entangled=False, dataset=MOVING, pairs=1000
):
    """A result of the protocol "dvip"; `cross` is None for one factor."""
    scores = {"mi_same": same, "mi_cross": cross, "elbo": elbo}
    scores = {name: v for name, v in scores.items() if v is not None}
    return {
        "model": "DVIP",
        "trained_on": dataset,
        "protocol": Protocol(name="dvip").describe(),
        "dataset": dataset,
        "split": "test",
        "num_frames": 20,
        "num_predicted": 0,
        "num_clips": 400,
        "image_size": [32, 32],
        "mi_pairs": pairs,
        "mi_shape": [2, 5],
        **({"mi_partitions": 20} if entangled else {}),
        **scores,
        "run": {
            "workdir": f"{entangled}/{seed}",
            "seed": seed,
            "config": str(entangled),
        },
    }


def test_mutual_information_stands_beside_the_dvip_paper_in_bits():
    results = [
        _factored(0, 1.4154, 0.2445, -741.9987),
        _factored(1, 1.5, 0.2, -743.0),
        _factored(0, 2.0581, 0.2253, -739.7322, entangled=True),
    ]
    text = tables.markdown(results)
    rows = [line.strip("| ").split(" | ") for line in text.splitlines()[2:]]
    assert rows[0][2:5] == [
        "same-factor MI (bits)",
        "cross-factor MI (bits)",
        "ELBO (nats per frame)",
    ]
    on = "2 x 5 latents, on moving_digits/digits_quick at 32x32"
    assert [row[1] for row in rows[2:]] == [
        "DVIP, 2 factors, published",
        f"**DVIP, ours**, {on}",
        "DVIP entangled, published",
        f"**DVIP entangled, ours**, {on}",
    ]
    assert {row[0] for row in rows[2:]} == {"moving MNIST"}
    assert [row[2:5] for row in rows[2::2]] == [
        ["4.61", "0.75", "-2902"],
        ["4.66", "2.61", "-2896"],
    ]
    cells = [(1.4154, 1.5), (0.2445, 0.2), (-741.9987, -743.0)]
    assert rows[3][2:] == [
        *(
            f"{statistics.fmean(v):.2f} ± {statistics.stdev(v):.2f}"
            for v in cells
        ),
        "400",
        "2",
    ]
    assert rows[5][2:] == ["2.06", "0.23", "-739.73", "400", "1"]
    assert "test split, mutual information from 1000 pairs of frames" in text
    assert "5th Avenue" not in text


def test_models_with_names_stand_below_the_paper_s_of_their_class():
    result = _factored(0, 2.0581, 0.2253, -739.7322, entangled=True)
    result |= {"model": "entangled_digits_quick", "class": "DVIP"}
    rows = tables.markdown([result]).splitlines()[4:]
    assert "DVIP entangled, published" in rows[1]
    assert "**entangled_digits_quick, ours**" in rows[2]


def test_one_factor_has_no_cross_score_and_streets_are_the_paper_s():
    street = "tfdecomp_video_folder/street_mine"
    results = [
        _factored(0, 1.0, None, -700.0),
        _factored(0, 2.0, 0.5, 6800.0, dataset=street, pairs=300),
    ]
    text = tables.markdown(results)
    assert "from 300 and 1000 pairs of frames" in text
    assert "| 5th Avenue | DVIP, 8 factors, published | 2.26 | 0.28 |" in text
    ours = [line for line in text.splitlines() if "ours**" in line]
    assert "| 1.00 | – | -700.00 |" in ours[0]
    assert ours[1].startswith("| 5th Avenue |")


def test_without_a_named_protocol_the_scores_of_factors_print_too():
    result = _factored(0, 1.4154, 0.2445, -741.9987)
    result["protocol"]["name"] = "mine"
    head, _, ours = tables.markdown([result]).splitlines()[2:]
    cells = dict(zip(head.split(" | "), ours.split(" | ")))
    assert cells["same-factor MI (bits), 20 frames"] == "1.4154"
    assert cells["ELBO (nats per frame), 20 frames"] == "-741.9987"


def test_a_paper_s_whole_table_is_printed_without_results():
    for name, table in published.TABLES.items():
        rows = tables.published_markdown(name).splitlines()
        assert len(rows) == 4 + len(table.rows)  # title, gap, head and rule
        assert len({row.count(" | ") for row in rows[2:]}) == 1
    with pytest.raises(tables.TableError, match="'none'; there are table1"):
        tables.published_markdown("none")


def test_ours_stands_in_the_whole_table_too():
    rows = tables.published_markdown(
        "table1", [_result(), _result(name="mine")]
    ).splitlines()
    (place,) = [i for i, row in enumerate(rows) if "ours**" in row]
    assert rows[place - 1].startswith("| BB colour | PROVIDE, published")
    assert any("CLEVRER" in row for row in rows)


@pytest.mark.parametrize(
    ("file", "row"),
    [
        ("gin/papers/provide/provide_ablation_base.gin", "base, published"),
        (
            "gin/papers/provide/provide_ablation_cpg.gin",
            "base, grid, CP+G, published",
        ),
        (
            "gin/papers/provide/provide_binary_paper.gin",
            "CP+G, entropy, published",
        ),
        ("gin/papers/iodine/seq_iodine64.gin", None),
        (None, None),
    ],
)
def test_an_ablation_stands_below_that_of_the_paper(file, row):
    result = _result(
        name="table3",
        dataset=f"{BALLS}/binary4",
        conditions=[{"num_frames": n} for n in (20, 40)],
    )
    result["run"]["gin_file"] = file
    if file and "seq_iodine" in file:
        result["model"] = "SequentialIODINE"
    rows = tables.markdown([result]).splitlines()
    (place,) = [i for i, line in enumerate(rows) if "ours**" in line]
    # A model that the paper's table lacks comes last.
    assert (row or "CP+G, entropy, published") in rows[place - 1]
    if row == "base, published":
        assert "grid" not in rows[place - 1]


def test_pictures_stand_below_the_iodine_paper_s_of_their_kind():
    result = _result(
        name="iodine",
        dataset="tfdecomp_multi_dsprites/iodine_bin",
        conditions=[],
        num_clips=320,
    )
    result |= {"model": "IODINE", **result.pop("conditions")[0]}
    rows = tables.markdown([result]).splitlines()
    (place,) = [i for i, line in enumerate(rows) if "ours**" in line]
    assert "Multi-dSprites, binarised | IODINE, published" in rows[place - 1]
    assert "0.648 ± 0.172" in rows[place - 1]
    result["run"]["gin_file"] = "gin/papers/iodine_clevr_deconv.gin"
    result["dataset"] = "tfdecomp_raycast/clevr_like"
    rows = tables.markdown([result]).splitlines()
    (place,) = [i for i, line in enumerate(rows) if "ours**" in line]
    assert "deconvolution decoder, published | 0.67 ±" in rows[place - 1]
