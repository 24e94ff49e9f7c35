"""The builder as TFDS tests it, on miniature originals."""

import pathlib

import pytest
import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("ocrb")
FOLDER = pathlib.Path(builders.folder()) / "ocrb"


class VideosTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = ["spmot"]
    SPLITS = {"train": 3, "validation": 2, "test": 2}


@pytest.mark.slow
class FurtherTestSetsTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = ["vmds"]
    SPLITS = {
        "train": 3,
        "validation": 2,
        "test": 2,
        "test_testsets_vmds_test_occlusion": 2,
    }


class LabelledTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = ["vor_labelled"]
    SPLITS = {"test": 2}
