"""The builder as TFDS tests it, on small configs and miniature originals."""

import dataclasses
import pathlib

import pytest
import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("bouncing_balls")
FOLDER = pathlib.Path(builders.folder()) / "bouncing_balls"


def _small(name, **sizes):
    config = Builder.builder_configs[name]
    return dataclasses.replace(config, name=f"{name}_test", **sizes)


@pytest.mark.slow
class GeneratedTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small(name, num_train=5, num_validation=3, num_test=2)
        for name in ("binary4", "color4", "color3_quick")
    ]
    SPLITS = {"train": 5, "validation": 3, "test": 2}


class GeneratedTestOnlyTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small("binary678", num_test=3),
        _small("color678_pal4", num_test=3),
    ]
    SPLITS = {"test": 3}


@pytest.mark.slow
class OriginalTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = ["h5_binary4", "h5_color4"]
    SPLITS = {"train": 3, "validation": 2, "test": 2}


class OriginalTestOnlyTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = ["h5_color678_pal4", "h5_color678_pal8"]
    SPLITS = {"test": 2}
