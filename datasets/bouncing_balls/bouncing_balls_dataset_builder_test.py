"""The builder as TFDS tests it, on small configs and miniature originals."""

import dataclasses
import json
import pathlib
import re

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
    answers = _answers()[name.removesuffix("_tiny")]
    background, ignore, boxes, objects = answers
    metadata = builders.make(f"bouncing_balls/{name}", tmp_path).info.metadata
    assert background == "0"
    assert (ignore == "255") == metadata["has_ignore"]
    assert ignore in ("255", "none")
    assert boxes == metadata["box_kind"]
    assert int(objects) == metadata["max_objects"]
    json.dumps(dict(metadata))


def test_every_config_but_the_originals_has_a_tiny_sibling():
    names = {config.name for config in Builder.BUILDER_CONFIGS}
    for name in names:
        if not name.endswith("_tiny"):
            assert f"{name}_tiny" in names
