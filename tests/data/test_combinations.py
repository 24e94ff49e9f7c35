"""Filters by number and properties of objects, and grey pictures."""

import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfdecomp import builders
from tfdecomp.data import pipeline, reader

NAME = "raycast/few"
LABELS = ("index", "num_objects", "shape", "color", "segmentation")
GREEN, SPHERE = 4, 2
CONFIG = {
    "name": "few",
    "base": "clevr_like_tiny",
    "height": 16,
    "width": 16,
    "samples": 1,
    "shadows": False,
    "min_visible": 0,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("combinations")
    builders.prepare(
        "raycast", folder, progress=False, config=json.dumps(CONFIG)
    )
    return folder


def _make(folder, name=NAME, **arguments):
    settings = {
        "batch_size": 8,
        "repeat": False,
        "shuffle": False,
        "drop_remainder": False,
        "labels": LABELS,
        "data_dir": folder,
    }
    return pipeline.make_dataset(name, "train", **{**settings, **arguments})


def _all(folder, **arguments):
    """Label to its values in all clips."""
    batches = list(_make(folder, **arguments).as_numpy_iterator())
    if not batches:
        return {"index": np.zeros(0, int)}
    return {k: np.concatenate([b[k] for b in batches]) for k in batches[0]}


def _has(clips, **wanted):
    """`[N]` bool: whether a clip has an object with all of these values."""
    slots = np.arange(clips["shape"].shape[1])
    found = slots < clips["num_objects"][:, None]
    for name, value in wanted.items():
        found = found & (clips[name] == value)
    return found.any(1)


@pytest.mark.parametrize("low, high", [(3, 6), (4, 4), (7, 10), (0, 2)])
def test_counts_of_the_foreground_are_kept_up_to_both_bounds(low, high, folder):
    whole = _all(folder)
    assert set(whole["num_objects"]) == set(range(3, 11))
    count = whole["num_objects"]
    wanted = whole["index"][(count >= low) & (count <= high)]
    kept = _all(folder, filter_objects=(low, high))
    assert sorted(kept["index"]) == sorted(wanted)
    for clip in kept.get("segmentation", ()):
        assert clip.max() <= high  # the background is no object


@pytest.mark.parametrize(
    "asked",
    [
        ("green", "sphere"),
        {"color": "green", "shape": "sphere"},
        {"color": GREEN, "factors/shape": SPHERE},
    ],
)
def test_a_combination_is_left_out_or_kept_alone(asked, folder):
    whole = _all(folder)
    held_out = _has(whole, color=GREEN, shape=SPHERE)
    assert 0 < held_out.sum() < len(held_out)
    # Some have a green thing and a sphere, but no green sphere.
    apart = _has(whole, color=GREEN) & _has(whole, shape=SPHERE) & ~held_out
    assert apart.any()
    for argument, wanted in (("without", ~held_out), ("only", held_out)):
        kept = _all(folder, **{argument: asked})
        assert sorted(kept["index"]) == sorted(whole["index"][wanted])


def test_filters_add_up(folder):
    whole = _all(folder)
    count = whole["num_objects"]
    wanted = (
        (count <= 8)
        & ~_has(whole, color=GREEN, shape=SPHERE)
        & _has(whole, color=1)
    )
    kept = _all(
        folder,
        filter_objects=(3, 8),
        without=("green", "sphere"),
        only=("gray",),
    )
    assert 0 < wanted.sum() < len(wanted)
    assert sorted(kept["index"]) == sorted(whole["index"][wanted])


def test_values_of_padding_are_no_objects(folder):
    assert len(_all(folder, only={"shape": 0})["index"]) == 0


def test_resuming_with_a_filter_goes_on_with_the_same_clips(folder):
    arguments = {
        "without": ("green", "sphere"),
        "repeat": True,
        "shuffle": True,
        "batch_size": 4,
        "labels": ("index",),
    }
    batches = list(_make(folder, **arguments).take(30).as_numpy_iterator())
    rest = _make(folder, start=80, **arguments).take(10).as_numpy_iterator()
    for one, other in zip(batches[20:], rest, strict=True):
        np.testing.assert_array_equal(one["index"], other["index"])


def test_grey_pictures_have_the_mean_of_the_channels_in_each(folder):
    colour, grey = _all(folder), _all(folder, grey=True)
    mean = colour["video"].mean(-1, keepdims=True)
    assert grey["video"].shape == colour["video"].shape
    assert np.abs(grey["video"] - mean).max() <= 0.5
    single = _all(folder, grey=True, channels=1)["video"]
    np.testing.assert_array_equal(single[..., 0], grey["video"][..., 1])


def test_element_spec_knows_filters_and_grey(folder):
    arguments = {"batch_size": 4, "without": ("green", "sphere"), "grey": True}
    spec = pipeline.element_spec(NAME, folder, **arguments)
    assert (
        spec
        == _make(
            folder, labels=("segmentation",), drop_remainder=True, **arguments
        ).element_spec
    )
    assert set(spec) == {"video", "segmentation", "clip_index"}


def test_examples_in_memory_are_filtered_too(folder):
    source = reader.open_source(NAME, folder)
    builder = builders.make("raycast", config=json.dumps(CONFIG))
    make = builder.make_block(builder.builder_config)
    examples = [
        {**example, "index": np.int64(n)}
        for n, example in enumerate(make("train", 0, 20))
    ]
    dataset = pipeline.from_examples(
        examples,
        source,
        batch_size=1,
        labels=("index",),
        only=("green", "sphere"),
    )
    found = [int(batch["index"][0]) for batch in dataset.as_numpy_iterator()]
    whole = _all(folder)
    held_out = whole["index"][_has(whole, color=GREEN, shape=SPHERE)]
    assert found == sorted(held_out[held_out < 20])


def test_colours_of_three_numbers_are_compared_as_one(tmp_path):
    manual = builders.folder() / "multi_object" / "dummy_data"
    sizes = {"num_train": 4, "num_test": 1, "num_validation": 1}
    config = {"name": "few", "base": "tetrominoes", **sizes}
    builders.prepare(
        "multi_object",
        tmp_path,
        progress=False,
        manual=True,
        config=json.dumps(config),
        download_config=tfds.download.DownloadConfig(manual_dir=manual),
    )
    name = "multi_object/few"
    whole = _all(tmp_path, name=name)
    blue = (whole["color"] == [0, 0, 1]).all(-1).any(1)
    assert 0 < blue.sum() < len(blue)
    for asked in ("blue", {"color": (0, 0, 1)}):
        kept = _all(tmp_path, name=name, without=asked)
        assert sorted(kept["index"]) == sorted(whole["index"][~blue])


BAD = {
    "unknown name": ({"without": ("grene",)}, "names 'grene', expected one of"),
    "name of another factor": (
        {"only": {"shape": "green"}},
        "names 'green', expected one of .*'cube', 'sphere'",
    ),
    "unknown factor": ({"only": {"mass": 1}}, "no label 'mass'"),
    "unnamed factor": (
        {"only": {"rotation": "left"}},
        "names 'left', expected a number",
    ),
    "too many numbers": (
        {"without": {"shape": (1, 2)}},
        r"factors/shape to be \(1, 2\), expected a number",
    ),
    "bounds in the wrong order": (
        {"filter_objects": (6, 3)},
        r"filter_objects is \(6, 3\)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_filters_fail_at_once_and_say_why(case, folder):
    arguments, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        _make(folder, **arguments)
