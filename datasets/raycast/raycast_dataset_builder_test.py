"""The builder as TFDS tests it, on small configs."""

import dataclasses
import pathlib
import re

import pytest
import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("raycast")
FOLDER = pathlib.Path(builders.folder()) / "raycast"
SIZES = {"num_train": 4, "num_validation": 3, "num_test": 2}


def _small(name, **sizes):
    config = Builder.builder_configs[name]
    return dataclasses.replace(config, name=f"{name}_test", **sizes)


@pytest.mark.slow
class GeneratedTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small(name, **SIZES)
        for name in (
            "clevr_like",
            "clevr_like_native",
            "room",
            "room_sequence",
            "clevrer_like",
        )
    ]
    SPLITS = {"train": 4, "validation": 3, "test": 2}


@pytest.mark.slow
class SlicesTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small(name, num_test=2)
        for name in ("clevrer_like_slices345", "clevrer_like_slices6")
    ]
    SPLITS = {"test": 2}


class SmallTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [_small("clevr_like_64", **SIZES)]
    SPLITS = {"train": 4, "validation": 3, "test": 2}


class TestOnlyTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small(name, num_test=3)
        for name in ("room_empty", "room_six_objects", "room_identical_color")
    ]
    SPLITS = {"test": 3}


def test_readme_gives_the_codes_that_the_metadata_give(tmp_path):
    text = (FOLDER / "README.md").read_text()
    metadata = builders.make("raycast/clevr_like", tmp_path).info.metadata
    for factor, values in metadata["value_names"].items():
        line = ", ".join(f"{code} {name}" for name, code in values.items())
        assert re.search(rf"`{factor}` \| .* \| {line} \|", text), factor


def test_every_config_has_a_tiny_sibling_of_the_same_scenes():
    configs = Builder.builder_configs
    for name, config in configs.items():
        if not name.endswith("_tiny"):
            tiny = configs[f"{name}_tiny"]
            assert tiny.split_sizes().keys() == config.split_sizes().keys()
            assert tiny.stream == config.stream
            assert max(tiny.split_sizes().values()) <= 64


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"scene": "street"}, "scene is one of"),
        ({"channels": 1}, "channels must be 3"),
        ({"scene": "clevr", "num_frames": 2}, "num_frames must be 1"),
        ({"scene": "room", "height": 32}, "must be equal"),
        ({"scene": "clevrer", "height": 32}, "must be equal"),
        ({"scene": "clevrer", "num_frames": 129}, "total_frames = 128"),
        ({"num_objects": (9,)}, "max_objects = 4"),
        ({"samples": 0}, "samples"),
        ({"window": (0, 0)}, "window"),
        ({"num_objects": (40,), "max_objects": 40}, "at most 60%"),
    ],
)
def test_impossible_configs_are_refused_when_they_are_made(fields, message):
    with pytest.raises(ValueError, match=message):
        Builder.builder_config_cls(name="wrong", **fields)
