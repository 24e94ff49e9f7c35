"""Scores by number of objects: a row, and a line, for each system."""

import statistics

import numpy as np
import pytest

from tfdecomp.data.video import video_io
from tfdecomp.evaluation import by_objects, tables
from tfdecomp.evaluation.protocol import Protocol
from tfdecomp.evaluation.tracking import SCORES

DIGITS = "tfdecomp_scattered_digits/digits_6"


def result(model="SILOT", seed=0, numbers=(1, 2), mota=0.9, **fields):
    scores = dict.fromkeys(SCORES, 0.5)
    return {
        "model": model,
        "trained_on": fields.pop("trained_on", DIGITS),
        "dataset": DIGITS,
        "protocol": Protocol(name="silot", tracking="auto").describe(),
        "num_frames": 8,
        "num_clips": 10,
        "image_size": [48, 48],
        "run": {"workdir": f"runs/{model}/{seed}", "config": "c", **fields},
        "by_objects": {
            str(n): {**scores, "mota": mota / n, "num_clips": 5}
            for n in numbers
        },
    }


def _rows(text):
    cells = [line.strip("| ").split(" | ") for line in text.splitlines()]
    return {tuple(row[:2]): row[2:] for row in cells if len(row) > 2}


def test_seeds_share_a_row_with_mean_and_deviation():
    results = [result(seed=0), result(seed=1, mota=0.8)]
    rows = _rows(by_objects.markdown(results))
    label = "SILOT, scattered_digits/digits_6"
    expected = f"0.8500 ± {statistics.stdev([0.9, 0.8]):.4f}"
    assert rows[label, "MOTA"][0] == expected
    assert rows[label, "AP"] == ["0.5000 ± 0.0000"] * 2
    assert len(rows) == len(SCORES) + 2  # head and rule


def test_numbers_are_in_order_and_a_system_may_lack_some():
    results = [
        result(numbers=(1, 2, 10)),
        result("PROVIDE", numbers=(3,), trained_on="a_set"),
    ]
    rows = _rows(by_objects.markdown(results))
    assert rows["model", "number of objects"] == ["1", "2", "3", "10"]
    assert rows["PROVIDE, a_set", "MOTA"] == ["–", "–", "0.3000", "–"]


def test_scores_that_do_not_exist_are_left_out():
    first, second = result(seed=0), result(seed=1)
    first["by_objects"]["1"]["mota"] = None
    rows = _rows(by_objects.markdown([first, second]))
    assert rows["SILOT, scattered_digits/digits_6", "MOTA"][0] == "0.9000"


def test_conditions_are_put_together():
    one = result(numbers=(1, 2, 3))
    more = result(numbers=(3, 4), mota=0.3)
    one["conditions"] = [more, {**one}]
    rows = _rows(by_objects.markdown([one]))
    label = "SILOT, scattered_digits/digits_6"
    expected = ["0.9000", "0.4500", "0.3000", "0.0750"]
    assert rows[label, "MOTA"] == expected


def test_systems_that_differ_in_their_config_have_a_row_each():
    results = [result(), result(seed=1, config="another one")]
    labels = list(by_objects.systems(results))
    assert [label.split(", config ")[1] for label in labels] == [
        "c",
        "another ",
    ]


def test_results_without_tracks_have_no_table_and_no_plot():
    one = result()
    del one["by_objects"]
    assert by_objects.markdown([one]) == ""
    with pytest.raises(tables.TableError, match="--protocol=silot"):
        by_objects.plot([one])


def test_different_protocols_are_not_mixed():
    other = result("PROVIDE")
    other["protocol"]["iou_threshold"] = 0.3
    with pytest.raises(tables.TableError, match="iou_threshold: 0.5 and 0.3"):
        by_objects.markdown([result(), other])


def test_the_table_of_a_protocol_names_the_scores():
    text = tables.markdown([{**result(), "mota": 0.75, "ap": 0.5}])
    assert "MOTA" in text and "AP" in text and "0.7500" in text


def _share_of(picture, color):
    return np.mean(np.all(picture == np.array(color), axis=-1))


def test_the_plot_is_a_png_with_a_line_for_each_system(tmp_path):
    results = [
        result(numbers=range(1, 9)),
        result("PROVIDE", numbers=(2, 5), mota=0.3),
    ]
    path = by_objects.write_plot(tmp_path / "new" / "plot.png", results)
    picture = video_io.read_image(path)[..., :3]
    orange, blue, green = (230, 159, 0), (86, 180, 233), (0, 158, 115)
    # Two points of a system are joined although others lie between them.
    assert _share_of(picture, orange) > 5e-4
    assert _share_of(picture, blue) > 5e-4
    assert _share_of(picture, green) == 0


def test_plots_are_png_files(tmp_path):
    with pytest.raises(tables.TableError, match="name it plot.png"):
        by_objects.write_plot(tmp_path / "plot.pdf", [result()])


def test_the_baseline_of_the_paper_stands_below_ours_on_its_shapes():
    shapes = "tfdecomp_scattered_shapes/full10"
    ours = {**result(numbers=(1, 2)), "dataset": shapes}
    rows = _rows(by_objects.markdown([ours]))
    (name,) = {model for model, _ in rows if "connected" in model}
    head = rows["model", "number of objects"]
    assert head == ["1", "2", "5", "10", "15", "20", "25", "30", "35"]
    assert rows[name, "MOTA"][:3] == ["1.0000", "–", "0.8500"]
    assert (name, "HOTA") not in rows
    assert not [r for r in _rows(by_objects.markdown([result()])) if name in r]
    assert _rows(by_objects.published_markdown("silot"))[name, "AP"]
