"""The builder as TFDS tests it, on a miniature video."""

import pathlib

import tensorflow_datasets as tfds

from tfdecomp import builders

Builder = builders.builder_cls("grand_central")
FOLDER = pathlib.Path(builders.folder()) / "grand_central"


class GrandCentralTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = FOLDER / "dummy_data"
    SKIP_CHECKSUMS = True
    BUILDER_CONFIG_NAMES_TO_TEST = [
        Builder.builder_config_cls(
            name="test", num_frames=4, crop_size=32, source_frames=45
        )
    ]
    SPLITS = {"train": 8, "validation": 1, "test": 2}
