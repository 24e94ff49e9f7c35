"""The studies' filters on the CLEVR-like set, read as a training reads it."""

import json

import numpy as np
import pytest

from tfdecomp import builders
from tfdecomp.data import make_dataset

GREEN, SPHERE = 4, 2


@pytest.fixture(name="folder", scope="module")
def _fixture_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raycast")
    config = {"name": "few", "base": "clevr_like_64", "num_train": 40}
    config |= {"num_validation": 0, "num_test": 0, "samples": 1}
    builders.prepare(
        "raycast", folder, config=json.dumps(config), progress=False
    )
    return folder


def _read(folder, **options):
    """All examples that remain, key by key."""
    labels = ("num_objects", "factors/shape", "factors/color")
    batches = make_dataset(
        "raycast/few",
        "train",
        data_dir=folder,
        batch_size=1,
        labels=labels,
        shuffle=False,
        repeat=False,
        **options,
    )
    rows = list(batches.as_numpy_iterator())
    return {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}


def _green_spheres(clips):
    hit = (clips["factors/color"] == GREEN) & (clips["factors/shape"] == SPHERE)
    return hit.any(1)


def test_three_to_six_objects_remain_as_in_clevr6(folder):
    every = _read(folder)["num_objects"]
    few = _read(folder, filter_objects=(3, 6))["num_objects"]
    assert every.max() > 6
    assert sorted(few) == sorted(every[every <= 6])


def test_scenes_with_a_green_sphere_can_be_left_out_or_kept_by_name(folder):
    pair = {"color": "green", "shape": "sphere"}
    hit = _green_spheres(_read(folder))
    assert 0 < hit.sum() < 40
    others = _read(folder, without=pair)
    assert not _green_spheres(others).any()
    assert len(others["num_objects"]) == (~hit).sum()
    assert len(_read(folder, only=pair)["num_objects"]) == hit.sum()


def test_grey_pictures_have_equal_channels(folder):
    video = _read(folder, grey=True)["video"]
    assert (video == video[..., :1]).all() and video.std() > 0
