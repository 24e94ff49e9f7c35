"""Videos of scattered digits and shapes as they are stored and handed out."""

import json

import numpy as np
import pytest

from tfdecomp import builders, data

DIGITS = builders.builder_cls("scattered_digits")
SHAPES = builders.builder_cls("scattered_shapes")
NAME = "scattered_shapes/small"
SMALL = {
    "name": "small",
    "base": "quick_tiny",
    "extra_splits": {"test_n09": 4},
    "num_train": 24,
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scattered")
    builders.prepare(
        "scattered_shapes", folder, progress=False, config=json.dumps(SMALL)
    )
    return folder


def _read(prepared, split, **arguments):
    settings = {
        "data_dir": prepared,
        "batch_size": 4,
        "shuffle": False,
        "repeat": False,
        "drop_remainder": False,
    }
    dataset = data.make_dataset(NAME, split, **{**settings, **arguments})
    batches = list(dataset.as_numpy_iterator())
    return {k: np.concatenate([b[k] for b in batches]) for k in batches[0]}


@pytest.mark.parametrize("split, count", [("test", 16), ("test_n09", 4)])
def test_the_pipeline_hands_out_boxes_ids_and_velocities(
    split, count, prepared
):
    builder = builders.make(NAME, prepared)
    made = builder.make_block(builder.builder_config)(split, 0, count)
    labels = ("boxes", "object_ids", "visibility", "segmentation", "velocity")
    clips = _read(prepared, split, labels=(*labels, "index"))
    assert sorted(clips["index"]) == list(range(count))
    for n, index in enumerate(clips["index"]):
        example = made[index]
        for name in ("video", "boxes", "visibility", "segmentation"):
            np.testing.assert_array_equal(clips[name][n], example[name])
        np.testing.assert_array_equal(
            clips["velocity"][n], example["factors"]["velocity"]
        )
        slots = np.arange(12)
        known = slots < example["num_objects"]
        assert clips["object_ids"][n].tolist() == (
            np.where(known, slots + 1, 0).tolist()
        )


def test_shapes_are_found_by_their_names(prepared):
    labels = ("index", "shape", "color")
    whole = _read(prepared, "train", labels=labels)
    green = (np.round(255 * whole["color"]) == [0, 128, 0]).all(-1)
    stars = green & (whole["shape"] == 3)
    clips = _read(prepared, "train", labels=labels, only=("green", "star"))
    assert sorted(clips["index"]) == sorted(whole["index"][stars.any(1)])
    assert 0 < stars.any(1).sum() < 24


def test_published_sizes_and_names_of_digits():
    configs = DIGITS.builder_configs
    for source in ("mnist", "digits", "strokes"):
        for most in (6, 12):
            config = configs[f"{source}_{most}"]
            assert config.digit_source == config.stream == source
            assert config.num_objects == (1, most)
            assert config.split_sizes() == {
                "train": 60_000,
                "validation": 1_000,
                **{f"test_n{n:02d}": 1_000 for n in range(1, 13)},
            }
            assert (config.num_frames, config.height, config.cell) == (
                8,
                48,
                14,
            )
            assert (config.speed, config.max_overlap) == (2, 98)
            assert config.pool_split == "disjoint"
    assert configs["mnist_6"].pool_size == 60_000
    assert DIGITS.DEFAULT_BUILDER_CONFIG_NAME == "digits_6"


def test_published_sizes_and_names_of_shapes():
    configs = SHAPES.builder_configs
    for most in (10, 20, 30):
        full, crop = configs[f"full{most}"], configs[f"crop{most}"]
        for config in (full, crop):
            assert config.num_objects == (most - 9, most)
            assert config.stream == "full" and config.num_frames == 8
            assert (config.speed, config.shape_size) == (5, 14)
        assert full.split_sizes() == {
            "train": 60_000,
            "validation": 1_000,
            **{f"test_n{n:02d}": 1_008 for n in range(1, 36)},
        }
        assert crop.split_sizes() == {"train": 240_000, "validation": 1_000}
        assert (full.height, crop.height, crop.scene_size) == (96, 60, 96)
    quick, more = configs["quick"], configs["quick_more"]
    assert quick.split_sizes() == {
        "train": 10_000,
        "validation": 500,
        "test": 1_000,
    }
    assert more.split_sizes() == {"test": 1_000}
    assert (quick.num_objects, more.num_objects) == ((1, 6), (7, 12))
    assert quick.height == more.height == 48
    assert SHAPES.DEFAULT_BUILDER_CONFIG_NAME == "full10"


def test_windows_and_tests_are_of_the_same_scenes(tmp_path):
    def first(name, split):
        builder = builders.make(f"scattered_shapes/{name}", tmp_path)
        return builder.make_block(builder.builder_config)(split, 0, 1)[0]

    whole, window = first("full10", "train"), first("crop10", "train")
    assert whole["num_objects"] == window["num_objects"]
    np.testing.assert_array_equal(
        whole["factors"]["velocity"], window["factors"]["velocity"]
    )
    assert "crop_offset" not in whole
    top, left = window["crop_offset"]
    np.testing.assert_array_equal(
        window["video"],
        whole["video"][:, top : top + 60, left : left + 60],
    )
    one, other = first("full10", "test_n03"), first("full30", "test_n03")
    np.testing.assert_array_equal(one["video"], other["video"])


def _from_json(tmp_path, dataset, **fields):
    fields = {"name": "own", **fields}
    return builders.make(dataset, tmp_path, json.dumps(fields))


def test_a_config_of_ones_own_may_have_larger_frames(tmp_path):
    for dataset, base in (
        ("scattered_digits", "digits_quick_tiny"),
        ("scattered_shapes", "quick_tiny"),
    ):
        builder = _from_json(
            tmp_path,
            dataset,
            base=base,
            height=64,
            width=64,
            num_frames=3,
            num_objects=[2, 2],
        )
        (example,) = builder.make_block(builder.builder_config)("train", 0, 1)
        assert example["video"].shape == (3, 64, 64, 3)
        assert example["num_objects"] == 2


def test_fresh_clips_of_a_count_share_no_stream_with_the_stored_ones(tmp_path):
    name = "scattered_shapes/quick_tiny"
    clips = builders.fresh_clips(name, "validation_n04", seed=0, num_clips=2)
    fresh = list(clips)
    assert [int(e["num_objects"]) for e in fresh] == [4, 4]
    builder = builders.make(name, tmp_path)
    make = builder.make_block(builder.builder_config)
    for split in ("validation_n04", "test_n04"):
        stored = make(split, 0, 1)[0]
        assert (stored["video"] != fresh[0]["video"]).any()
