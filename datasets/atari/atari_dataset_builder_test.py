"""The builder as TFDS tests it, on miniature episodes."""

import dataclasses
import pathlib

import pytest
import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("atari")
FOLDER = pathlib.Path(builders.folder()) / "atari"
CROPS = Builder.builder_configs["space_invaders_crops"]


class CropsTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        dataclasses.replace(CROPS, name="test_crops", num_windows=2)
    ]
    # Half of eleven first frames, rounded to an even number, twice each.
    SPLITS = {"train": 12, "validation": 12}


@pytest.mark.slow
class FullTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = ["space_invaders_full"]
    SPLITS = {"validation": 2, "test": 2}
