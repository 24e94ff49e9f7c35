"""The comparison of the renderer with a picture for every object."""

import json

import pytest

from tfdecomp.training import measure_renderer

TINY = {
    "batch_size": 2,
    "num_objects": 3,
    "image_side": 20,
    "sprite_side": 4,
    "largest": 9.0,
    "chunk_size": 2,
    "repeats": 2,
}


def test_drawing_agrees_with_the_pictures_it_is_timed_against():
    row = measure_renderer.measure(**TINY, memory=False)
    json.dumps(row)
    assert set(row["difference"]) == set(measure_renderer.PARTS)
    assert max(row["difference"].values()) < 1e-4
    assert row["ratio"] > 0.0
    assert "bytes" not in row


@pytest.mark.slow
def test_drawing_takes_less_memory_than_a_picture_for_every_object():
    sizes = {"num_objects": 32, "image_side": 64, "repeats": 1}
    row = measure_renderer.measure(**{**TINY, **sizes})
    json.dumps(row)
    assert 0.0 < row["bytes"]["ours"] < 0.5 * row["bytes"]["plain"]
    assert row["bytes_ratio"] < 0.5
