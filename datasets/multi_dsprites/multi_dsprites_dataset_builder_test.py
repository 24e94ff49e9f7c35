"""The builder as TFDS tests it, on small configs."""

import dataclasses
import pathlib

import pytest
import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("multi_dsprites")
FOLDER = pathlib.Path(builders.folder()) / "multi_dsprites"


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
        for name in ("iodine_gray", "iodine_bin", "colored")
    ]
    SPLITS = {"train": 5, "validation": 3, "test": 2, "test_large": 4}


class QuickTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small("quick_gray", num_train=5, num_validation=3, num_test=2)
    ]
    SPLITS = {"train": 5, "validation": 3, "test": 2}


class LavaeTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small("lavae", num_train=5, num_test=4, extra_splits={"test7": 3})
    ]
    SPLITS = {"train": 5, "test": 4, "test7": 3}
