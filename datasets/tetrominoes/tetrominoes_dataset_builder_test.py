"""The builder as TFDS tests it, on small configs."""

import dataclasses
import pathlib

import pytest
import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("tetrominoes")
FOLDER = pathlib.Path(builders.folder()) / "tetrominoes"


def _small(name, **sizes):
    config = Builder.builder_configs[name]
    return dataclasses.replace(config, name=f"{name}_test", **sizes)


@pytest.mark.slow
class GeneratedTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small(
            name,
            num_train=5,
            num_validation=3,
            num_test=2,
            extra_splits={"test_large": 4},
        )
        for name in ("paper17", "all19", "flat")
    ]
    SPLITS = {"train": 5, "validation": 3, "test": 2, "test_large": 4}


class QuickTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small("quick14", num_train=5, num_validation=3, num_test=2)
    ]
    SPLITS = {"train": 5, "validation": 3, "test": 2}


class AmbiguousTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [_small("ambiguous", num_test=3)]
    SPLITS = {"test": 3}
