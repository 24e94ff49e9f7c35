"""The builder as TFDS tests it, on small configs."""

import dataclasses
import pathlib

import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("scattered_shapes")
FOLDER = pathlib.Path(builders.folder()) / "scattered_shapes"


def _small(name, **fields):
    config = Builder.builder_configs[name]
    return dataclasses.replace(config, name=f"{name}_test", **fields)


class WholeTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small(
            "full10",
            num_train=5,
            num_validation=3,
            extra_splits={"test_n01": 2, "test_n35": 2},
        )
    ]
    SPLITS = {"train": 5, "validation": 3, "test_n01": 2, "test_n35": 2}


class WindowTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small("crop30", num_train=8, num_validation=3)
    ]
    SPLITS = {"train": 8, "validation": 3}


class MoreTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    BUILDER_CONFIG_NAMES_TO_TEST = [_small("quick_more", num_test=4)]
    SPLITS = {"test": 4}
