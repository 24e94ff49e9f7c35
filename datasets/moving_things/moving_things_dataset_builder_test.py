"""The builder as TFDS tests it, on small configs."""

import dataclasses
import pathlib

import pytest
import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("moving_things")
FOLDER = pathlib.Path(builders.folder()) / "moving_things"


class MovingThingsTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        dataclasses.replace(
            Builder.builder_configs["mixed64"],
            name="moving_things_test",
            num_train=4,
            num_validation=3,
            num_test=2,
        )
    ]
    SPLITS = {"train": 4, "validation": 3, "test": 2}


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"height": 32}, "frames are square"),
        ({"channels": 1}, "have 3 channels"),
        ({"max_objects": 7}, "num_objects allows 8"),
        ({"num_objects": (3, 2), "max_objects": 2}, "num_objects is"),
        ({"num_objects": (-1, 8)}, "num_objects is"),
        ({"num_objects": (0, 100), "max_objects": 100}, "from 1 to 99"),
        ({"height": 24, "width": 24}, "size 24"),
        ({"noise": -0.1}, "noise is -0.1"),
        ({"noise": 0.5}, "0 to 0.3"),
    ],
)
def test_impossible_configs_are_refused_when_they_are_made(fields, message):
    with pytest.raises(ValueError, match=message):
        Builder.builder_config_cls(name="wrong", **fields)
