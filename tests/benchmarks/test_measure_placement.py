"""The comparison of placements with convolutions."""

import json

import pytest
import tensorflow as tf

from tfdecomp.benchmarks import measure_placement

TINY = {
    "batch_size": 2,
    "num_slots": 3,
    "image_side": 8,
    "sprite_side": 5,
    "repeats": 2,
}


@pytest.mark.parametrize("kind", measure_placement.KINDS)
def test_placement_agrees_with_the_convolutions_it_is_timed_against(kind):
    row = measure_placement.measure(kind, channels=2, **TINY)
    json.dumps(row)
    parts = {"canvas", "sprites"} | ({"maps"} if kind != "hard" else set())
    assert set(row["difference"]) == parts
    assert max(row["difference"].values()) < 1e-5
    assert row["ratio"] > 0.0


def test_every_kind_is_measured_with_every_number_of_channels():
    rows = measure_placement.compare(channels=(1, 2), **TINY)
    measured = [(row["kind"], row["channels"]) for row in rows]
    kinds = measure_placement.KINDS
    assert measured == [(kind, count) for count in (1, 2) for kind in kinds]


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind must be one of"):
        measure_placement.measure("sharp", **TINY)


def test_a_rival_that_the_machine_cannot_do_is_left_out_and_nothing_else():
    def fails():
        raise tf.errors.InvalidArgumentError(None, None, "no such gradient")

    runs = {"placement": lambda: 1, "depthwise": lambda: 2, "grouped": fails}
    found = measure_placement._results(runs)
    assert found == {"placement": 1, "depthwise": 2}
    with pytest.raises(tf.errors.InvalidArgumentError):
        measure_placement._results({"placement": fails})
