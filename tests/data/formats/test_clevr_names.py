"""Names of CLEVR's codes, read off ray-cast scenes of the same kind."""

import numpy as np
import pytest

from tfdecomp import builders
from tfdecomp.data.formats.multi_object import (
    clevr_names,
    multi_object_factors,
    multi_object_layouts,
)


@pytest.fixture(scope="module")
def scenes():
    """Scenes as the reader of the files hands them out."""
    builder = builders.make("raycast/clevr_like_native_tiny")
    make = builder.make_block(builder.builder_config)
    return [
        {
            "objects": np.arange(1, example["num_objects"] + 1),
            "owner": example["segmentation"][0, ..., 0],
            "image": example["video"][0],
            "color": np.append(0, example["factors"]["color"]),
            "shape": np.append(0, example["factors"]["shape"]),
        }
        for example in make("train", 0, 48)
    ]


def _names():
    builder = builders.make("raycast/clevr_like_native_tiny")
    return builder.info.metadata["value_names"]


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_colours_and_the_sphere_are_found_whatever_their_codes(seed, scenes):
    orders = {"color": np.arange(9), "shape": np.arange(4)}
    if seed is not None:
        rng = np.random.default_rng(seed)
        orders = {
            name: np.append(0, rng.permutation(order[1:]))
            for name, order in orders.items()
        }
    recoded = [
        {**scene, **{name: orders[name][scene[name]] for name in orders}}
        for scene in scenes
    ]
    truth, found = _names(), clevr_names.read(recoded)
    assert found["color"] == {
        name: orders["color"][code] for name, code in truth["color"].items()
    }
    sphere = orders["shape"][truth["shape"]["sphere"]]
    assert found["shape"] == {"sphere": sphere}


def test_the_probe_of_a_file_of_clevr_finds_the_names(scenes):
    layout = multi_object_layouts.LAYOUTS["clevr_with_masks"]
    found = multi_object_factors.probe(scenes, layout)["value_names"]
    assert found["color"] == _names()["color"]


def test_codes_in_doubt_have_no_names(scenes):
    # One code for two colours, and one for two shapes.
    merged = [
        {
            **scene,
            "color": np.minimum(scene["color"], 7),
            "shape": np.minimum(scene["shape"], 2),
        }
        for scene in scenes
    ]
    assert clevr_names.read(merged) == {"color": {}, "shape": {}}
    grey = [
        {**scene, "image": scene["image"].mean(-1, keepdims=True).repeat(3, -1)}
        for scene in scenes
    ]
    assert clevr_names.read(grey)["color"] == {}
    assert clevr_names.read(scenes[:1])["color"] == {}
