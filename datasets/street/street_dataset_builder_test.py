"""The builder as TFDS tests it, on small configs."""

import dataclasses
import pathlib

import pytest
import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("street")
FOLDER = pathlib.Path(builders.folder()) / "street"


class StreetTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        dataclasses.replace(
            Builder.builder_configs["street64"],
            name="street_test",
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
        ({"channels": 1}, "channels must be 3"),
        ({"max_objects": 11}, "up to 12 cars"),
        ({"num_cars": (3, 2)}, "num_cars is"),
        ({"num_cars": (0, 8), "max_objects": 14}, "from 0 to 7"),
        ({"num_walkers": (-1, 2), "max_objects": 8}, "num_walkers is"),
        ({"height": 16, "width": 16}, "size 16"),
    ],
)
def test_impossible_configs_are_refused_when_they_are_made(fields, message):
    with pytest.raises(ValueError, match=message):
        Builder.builder_config_cls(name="wrong", **fields)
