"""The builder as TFDS tests it, on small configs and miniature originals."""

import dataclasses
import pathlib

import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("scattered_digits")
FOLDER = pathlib.Path(builders.folder()) / "scattered_digits"


def _small(name, **fields):
    config = Builder.builder_configs[name]
    return dataclasses.replace(
        config,
        name=f"{name}_test",
        num_train=5,
        num_validation=3,
        extra_splits={"test_n01": 4, "test_n12": 2},
        num_frames=3,
        **fields,
    )


class GeneratedTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small("digits_12"),
        _small("strokes_6", pool_size=100),
    ]
    SPLITS = {"train": 5, "validation": 3, "test_n01": 4, "test_n12": 2}


class MnistTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    # The miniature files hold fewer digits than MNIST's training part.
    BUILDER_CONFIG_NAMES_TO_TEST = [_small("mnist_6", pool_size=60)]
    SPLITS = {"train": 5, "validation": 3, "test_n01": 4, "test_n12": 2}
