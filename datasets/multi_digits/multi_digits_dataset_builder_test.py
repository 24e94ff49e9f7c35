"""The builder as TFDS tests it, on small configs and miniature originals."""

import dataclasses
import pathlib

import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("multi_digits")
FOLDER = pathlib.Path(builders.folder()) / "multi_digits"


def _small(name, **fields):
    config = Builder.builder_configs[name]
    return dataclasses.replace(
        config,
        name=f"{name}_test",
        num_train=6,
        num_test=4,
        extra_splits={"test7": 3},
        **fields,
    )


class GeneratedTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small("digits_1k"),
        _small("strokes_1k"),
    ]
    SPLITS = {"train": 6, "test": 4, "test7": 3}


class QuickTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small("digits_quick_heldout", num_validation=2)
    ]
    SPLITS = {"train": 6, "validation": 2, "test": 4, "test7": 3}


class MnistTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small("mnist_1k", pool_size=50),
        _small("mnist_10k_heldout", pool_size=40),
    ]
    SPLITS = {"train": 6, "test": 4, "test7": 3}
