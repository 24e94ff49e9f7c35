"""The builder as TFDS tests it, on small configs and a miniature original."""

import dataclasses
import json
import pathlib
import re

import pytest
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
    background, ignore, boxes, objects = _answers()[name.removesuffix("_tiny")]
    metadata = builders.make(f"shapes/{name}", tmp_path).info.metadata
    assert background == "0"
    assert (ignore == "255") == metadata["has_ignore"]
    assert ignore in ("255", "none")
    assert boxes == metadata["box_kind"]
    assert int(objects) == metadata["max_objects"]
    json.dumps(dict(metadata))


def test_every_config_has_a_tiny_sibling_of_the_same_scenes():
    configs = Builder.builder_configs
    for name, config in configs.items():
        if not name.endswith("_tiny") and name != "h5":
            tiny = configs[f"{name}_tiny"]
            assert tiny.split_sizes().keys() == config.split_sizes().keys()
            assert tiny.stream == config.stream
            assert max(tiny.split_sizes().values()) <= 64
