"""The cost of SILOT against the size of frames."""

import json

import pytest

from tfdecomp.benchmarks import measure_frame_sizes
from tfdecomp.storage import configs


@pytest.mark.slow
def test_cost_grows_no_faster_than_the_area():
    configs.parse(["smoke/silot.gin"], ["BATCH_SIZE = 2"])
    options = {"purposes": ("inference",), "repeats": 2}
    *rows, growth = measure_frame_sizes.compare([48, 96], **options)
    json.dumps([rows, growth])
    assert [row["num_objects"] for row in rows] == [4, 16]
    for row in rows:
        found = row["inference"]
        assert found["batch_size"] == found["num_frames"] == 2
        assert 0 < found["bytes"] < found["peak_bytes"]
        assert found["attention_overflow"] == 0.0  # 16 are fewer than 24
    assert len(growth["time_growth"]["inference"]) == 1
    assert growth["time_growth"]["inference"][0] <= 1.0
    assert growth["bytes_growth"]["inference"][0] <= 1.0


@pytest.mark.slow
def test_training_is_measured_by_whole_steps():
    configs.parse(["smoke/silot.gin"])
    found = measure_frame_sizes.measure_purpose(
        "training", [configs.asked()], 2, repeats=1, limit=None
    )
    assert found["seconds_per_frame"] > 0.0 and found["bytes"] > 0
    assert "attention_overflow" not in found


@pytest.mark.slow
def test_what_does_not_fit_is_left_out():
    configs.parse(["smoke/silot.gin"])
    options = {"purposes": ("inference",), "limit": 2**30}
    row, growth = measure_frame_sizes.compare([48], **options)
    assert row == {"side": 48, "num_objects": 4, "inference": None}
    assert growth["time_growth"] == {"inference": []}


def test_a_config_of_another_model_is_refused():
    configs.parse(["smoke/conv_vae.gin"])
    with pytest.raises(ValueError, match="silot_shapes_full"):
        measure_frame_sizes.measure_purpose(
            "inference", [configs.asked()], 2, repeats=1, limit=None
        )
