"""The builder as TFDS tests it, on miniature originals."""

import dataclasses
import pathlib

import pytest
import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("multi_object")
FOLDER = pathlib.Path(builders.folder()) / "multi_object"
FEW = {"num_train": 3, "num_test": 1, "num_validation": 1}


def _few(name, **fields):
    config = Builder.builder_configs[name]
    return dataclasses.replace(config, name=f"{name}_few", **FEW, **fields)


@pytest.mark.slow
class ClevrTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [_few("clevr")]
    SPLITS = {"train": 3, "test": 1, "validation": 1, "rest": 1}


@pytest.mark.slow
class Clevr6Test(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [_few("clevr6")]
    # The first scenes have one, two and three objects.
    SPLITS = {"train": 1, "test": 1, "validation": 1, "rest": 1}


class ImagesTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _few("tetrominoes"),
        _few("multi_dsprites_gray"),
        _few("multi_dsprites_bin"),
        _few("multi_dsprites_colored"),
    ]
    SPLITS = {"train": 3, "test": 1, "validation": 1}


class RoomTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [_few("objects_room")]
    SPLITS = {
        "train": 3,
        "test": 1,
        "validation": 1,
        "empty_room": 6,
        "six_objects": 6,
        "identical_color": 6,
    }


class WholeFileTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [_few("tetrominoes", full=True)]
    SPLITS = {"train_full": 6}
