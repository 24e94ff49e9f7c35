"""The README of every dataset answers the four questions as its data do."""

import functools
import json
import re

import pytest

from tfdecomp import builders
from tfdecomp.data.building import builder_base

CONFIGS = [
    f"{name}/{config}"
    for name in builders.names()
    for config in builders.builder_cls(name).builder_configs
]


@functools.cache
def _answers(dataset):
    """Config to its answers, from the README."""
    text = (builders.folder() / dataset / "README.md").read_text()
    table = text.split("## Four questions")[1].split("##")[0]
    rows = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        for name in re.findall(r"`(\w+)`", cells[0]):
            rows[name] = cells[1:]
    return rows


@pytest.mark.parametrize("name", CONFIGS)
def test_readme_answers_the_four_questions_as_the_metadata_do(name, tmp_path):
    dataset, config = name.split("/")
    answers = _answers(dataset)
    background, ignore, boxes, objects = (
        answers.get(config) or answers[config.removesuffix("_tiny")]
    )
    metadata = builders.make(name, tmp_path).info.metadata
    assert background == "0"
    assert ignore == ("255" if metadata["has_ignore"] else "none")
    if metadata["has_boxes"]:
        assert boxes == metadata["box_kind"]
    assert int(objects) == metadata["max_objects"]
    json.dumps(dict(metadata))


@pytest.mark.parametrize("dataset", builders.names())
def test_every_generated_config_has_a_tiny_sibling_of_the_same_scenes(dataset):
    configs = builders.builder_cls(dataset).builder_configs
    for name, config in configs.items():
        generated = config.source == builder_base.GENERATED
        if generated and not name.endswith("_tiny"):
            tiny = configs[f"{name}_tiny"]
            assert tiny.split_sizes().keys() == config.split_sizes().keys()
            assert tiny.stream == config.stream
            assert max(tiny.split_sizes().values()) <= 64
