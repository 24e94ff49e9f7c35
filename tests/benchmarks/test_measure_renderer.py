"""The comparison of the renderer with a picture for every object."""

import json

import pytest

from tfdecomp.benchmarks import measure_renderer
from tfdecomp.storage import configs

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


@pytest.mark.slow
def test_whole_steps_with_either_renderer_have_the_same_loss():
    configs.parse(["smoke/silot.gin"])
    row = measure_renderer.compare_steps(2, repeats=1)
    json.dumps(row)
    assert row["loss_difference"] < 1e-4
    seconds = row["min_seconds"]
    assert row["ratio"] == pytest.approx(seconds["plain"] / seconds["ours"])


@pytest.mark.parametrize(
    ("config", "bindings", "message"),
    [
        ("dvip", [], "SILOT's, but the config trains DVIP"),
        (
            "silot",
            ["layers.ObjectRenderer.composition = 'softmax'"],
            "composition 'linear' alone, the config has 'softmax'",
        ),
    ],
)
def test_what_the_plain_renderer_does_not_draw_is_refused(
    config, bindings, message
):
    configs.parse([f"smoke/{config}.gin"], bindings)
    with pytest.raises(ValueError, match=message):
        measure_renderer.compare_steps(2)
