"""The builder as TFDS tests it, on miniature files."""

import dataclasses
import pathlib
import re

import pytest
import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("clevrer")
FOLDER = pathlib.Path(builders.folder()) / "clevrer"
SHORT = {"frames_per_video": 8, "num_frames": 5}


def _small(base, name, **fields):
    config = Builder.builder_configs[base]
    return dataclasses.replace(config, name=name, **{**SHORT, **fields})


class TrainTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [_small("train", "train_test", num_videos=2)]
    SPLITS = {"train": 2}


@pytest.mark.slow
class LabelledTrainTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small("train", "labels", num_videos=2, mask_source="proposals")
    ]
    SPLITS = {"train": 2}


class SlicesTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _small("slices345", "few", num_videos=5),
        _small("slices345_proposals", "found", num_videos=5),
    ]
    SPLITS = {"test": 3}


@pytest.mark.slow
class SixTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [_small("slices6", "six", num_videos=5)]
    SPLITS = {"test": 2}


def test_readme_gives_the_codes_that_the_metadata_give(tmp_path):
    text = (FOLDER / "README.md").read_text()
    metadata = builders.make(
        "clevrer/slices6_proposals", tmp_path
    ).info.metadata
    for factor, values in metadata["value_names"].items():
        line = ", ".join(f"{code} {name}" for name, code in values.items())
        assert re.search(rf"`{factor}` \| {line} \|", text), factor


def test_readme_names_the_files_that_messages_name():
    text = (FOLDER / "README.md").read_text()
    for line in Builder.MANUAL_DOWNLOAD_INSTRUCTIONS.splitlines():
        for path in re.findall(r"\S+/\S+\.(?:mp4|zip)", line):
            assert path.split("/")[-1] in text, path
