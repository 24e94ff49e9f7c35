"""Scenes of digits as they are stored and handed out."""

import json

import numpy as np
import pytest

from tfdecomp import builders, data

BUILDER = builders.builder_cls("multi_digits")
NAME = "multi_digits/digits_quick_tiny"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    builders.prepare(NAME, folder, progress=False)
    return folder


@pytest.mark.parametrize("split", ["test", "test7"])
def test_the_pipeline_hands_out_counts_places_and_classes(split, prepared):
    builder = builders.make(NAME, prepared)
    made = builder.make_block(builder.builder_config)(split, 0, 16)
    labels = ("num_objects", "position", "visibility", "label", "index")
    batches = data.make_dataset(
        NAME,
        split,
        data_dir=prepared,
        batch_size=5,
        labels=labels,
        channels=1,
        shuffle=False,
        repeat=False,
        pad_last=True,
        max_objects=10,
    )
    seen = []
    for batch in batches.as_numpy_iterator():
        assert batch["video"].shape == (5, 1, 36, 36, 1)
        assert batch["position"].shape == (5, 1, 10, 2)
        for n in np.flatnonzero(batch["valid"]):
            example = made[batch["index"][n]]
            count = example["num_objects"]
            assert batch["num_objects"][n] == count
            assert batch["visibility"][n, 0].tolist() == (
                [1] * count + [0] * (10 - count)
            )
            factors = example["factors"]
            np.testing.assert_array_equal(
                batch["position"][n, :, :7], factors["position"]
            )
            np.testing.assert_array_equal(
                batch["label"][n, :7], factors["label"]
            )
            assert not batch["position"][n, :, count:].any()
            np.testing.assert_array_equal(batch["video"][n], example["video"])
            seen.append(batch["index"][n])
    assert sorted(seen) == list(range(16))


def test_blank_images_alone_make_a_batch(prepared):
    batches = data.make_dataset(
        NAME,
        "train",
        data_dir=prepared,
        batch_size=4,
        labels=("num_objects", "segmentation", "boxes"),
        filter_objects=(0, 0),
        repeat=False,
    )
    count = 0
    for batch in batches.as_numpy_iterator():
        for values in (batch["video"], batch["boxes"], batch["num_objects"]):
            assert not values.any()
        count += len(batch["video"])
    assert count == 16  # a quarter of 64


def test_published_sizes_and_names():
    configs = BUILDER.builder_configs
    full = {"train": 190_000, "test": 10_000, "test7": 10_000}
    for name in ("mnist_1k", "mnist_10k", "digits_1k", "strokes_1k"):
        assert configs[name].split_sizes() == full
        assert configs[name].pool_size == (10_000 if "10k" in name else 1_000)
        assert configs[name].digit_source == name.split("_")[0]
    quick = configs["digits_quick"]
    assert quick.split_sizes() == {
        "train": 50_000,
        "validation": 512,
        "test": 2_000,
        "test7": 1_000,
    }
    for name, config in configs.items():
        if "heldout" in name:
            base = configs[name.replace("_heldout", "")]
            assert config.pool_split == "heldout"
            assert config.split_sizes() == base.split_sizes()
            assert config.stream == base.stream


def _from_json(tmp_path, **fields):
    fields = {"name": "own", "base": "digits_quick_tiny", **fields}
    return builders.make("multi_digits", tmp_path, json.dumps(fields))


def test_a_config_of_ones_own_may_have_other_counts_and_tests(tmp_path):
    builder = _from_json(
        tmp_path, num_digits=[2], extra_splits={"test5": 4}, max_objects=5
    )
    make = builder.make_block(builder.builder_config)
    assert [e["num_objects"] for e in make("train", 0, 3)] == [2, 2, 2]
    assert [e["num_objects"] for e in make("test5", 0, 4)] == [5] * 4
