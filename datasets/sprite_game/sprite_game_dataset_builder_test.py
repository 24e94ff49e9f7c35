"""The builder as TFDS tests it, on small configs."""

import dataclasses
import pathlib

import pytest
import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("sprite_game")
FOLDER = pathlib.Path(builders.folder()) / "sprite_game"


def _small(name, **sizes):
    config = Builder.builder_configs[name]
    return dataclasses.replace(config, name=f"{name}_test", **sizes)


class CropsTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    # Windows of empty ground look alike: few, of which there are none.
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small("crops", num_train=4, num_validation=3)
    ]
    SPLITS = {"train": 4, "validation": 3}


class FullTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small("full", num_validation=2, num_test=3)
    ]
    SPLITS = {"validation": 2, "test": 3}


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"height": 64}, "height and width is .64, 72., expected .72, 72."),
        ({"window": 0}, r"expected \(210, 160\)"),
        ({"channels": 1}, "channels is 1"),
        ({"max_objects": 40}, "expected 50"),
        ({"num_frames": 65}, "num_frames is 65"),
        ({"density": 0.0}, "density 0.0"),
        ({"extra_splits": {"test2": 3}}, "extra_splits"),
    ],
)
def test_impossible_configs_are_refused_when_they_are_made(fields, message):
    fields = {"height": 72, "width": 72, **fields}
    with pytest.raises(ValueError, match=message):
        Builder.builder_config_cls(name="wrong", **fields)
