"""Prepared miniature sets that several tests read."""

import json

import pytest

from tfdecomp import builders

# Frames and videos are small, so that tests of the order read many.
SMALL = {
    "name": "small",
    "base": "color4_tiny",
    "num_frames": 12,
    "height": 32,
    "width": 32,
    "num_balls": [3],
    "max_objects": 3,
    "radius_light": 1.25,
    "radius_heavy": 1.55,
}


@pytest.fixture(scope="session")
def small_config():
    """JSON of the config of `bouncing_balls/small`."""
    return json.dumps(SMALL)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory, small_config):
    """`bouncing_balls/small` and `bouncing_balls/color4_tiny`."""
    folder = tmp_path_factory.mktemp("prepared")
    for config in (small_config, "color4_tiny"):
        builders.prepare(
            "bouncing_balls", folder, progress=False, config=config
        )
    return folder


@pytest.fixture(scope="session")
def crowd_dir(tmp_path_factory):
    """A set with six to eight balls, in four shards."""
    import tensorflow_datasets as tfds

    folder = tmp_path_factory.mktemp("crowd")
    builders.prepare(
        "bouncing_balls/color678_pal4_tiny",
        folder,
        progress=False,
        download_config=tfds.download.DownloadConfig(num_shards=4),
    )
    return folder
