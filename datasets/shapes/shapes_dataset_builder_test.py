"""The builder as TFDS tests it, on small configs and a miniature original."""

import dataclasses
import pathlib

import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("shapes")
FOLDER = pathlib.Path(builders.folder()) / "shapes"


def _small(name, **sizes):
    config = Builder.builder_configs[name]
    return dataclasses.replace(config, name=f"{name}_test", **sizes)


class GeneratedTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small(name, num_train=5, num_test=3, extra_splits={"single": 2})
        for name in ("shapes28", "shapes20")
    ]
    SPLITS = {"train": 5, "test": 3, "single": 2}


class OriginalTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = ["h5"]
    SPLITS = {"train": 5, "validation": 3, "test": 2}
