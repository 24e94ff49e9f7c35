"""The builder as TFDS tests it, on small configs and miniature originals."""

import dataclasses
import pathlib

import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("moving_digits")
FOLDER = pathlib.Path(builders.folder()) / "moving_digits"


def _small(name, **fields):
    config = Builder.builder_configs[name]
    return dataclasses.replace(
        config,
        name=f"{name}_test",
        num_train=5,
        num_validation=3,
        num_test=4,
        num_frames=6,
        **fields,
    )


class GeneratedTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small("digits"),
        _small("strokes_disjoint", pool_size=100),
        _small("digits_quick"),
    ]
    SPLITS = {"train": 5, "validation": 3, "test": 4}


class MnistTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small("mnist"),
        _small("mnist_disjoint"),
    ]
    SPLITS = {"train": 5, "validation": 3, "test": 4}
