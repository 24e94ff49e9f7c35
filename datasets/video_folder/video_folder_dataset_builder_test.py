"""The builder as TFDS tests it, on tiny videos."""

import pathlib

import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("video_folder")
FOLDER = pathlib.Path(builders.folder()) / "video_folder"


def _config(name, **fields):
    return Builder.builder_config_cls(
        name=name, size=(18, 32), clip_length=4, **fields
    )


class VideoFolderTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        _config("test_color"),
        _config("test_grey", channels=1, crop="center", workers=2),
    ]
    SPLITS = {"train": 14, "test": 3}
