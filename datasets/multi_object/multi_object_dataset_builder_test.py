"""The builder as TFDS tests it, on miniature originals."""

import dataclasses
import json
import pathlib
import re

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


def _answers():
    """Config to its answers, from the README."""
    text = (FOLDER / "README.md").read_text()
    table = text.split("## Four questions")[1].split("##")[0]
    rows = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        for name in re.findall(r"`(\w+)`", cells[0]):
            rows[name] = cells[1:]
    return rows


@pytest.mark.parametrize("name", list(Builder.builder_configs))
def test_readme_answers_the_four_questions_as_the_metadata_do(name, tmp_path):
    background, ignore, boxes, objects = _answers()[name]
    metadata = builders.make(f"multi_object/{name}", tmp_path).info.metadata
    assert background == "0"
    assert ignore == "255" and metadata["has_ignore"]
    assert boxes == metadata["box_kind"]
    assert int(objects) == metadata["max_objects"]
    json.dumps(dict(metadata))
