"""What every scene of LAVAE's sprites and its labels must satisfy."""

import collections

import matplotlib.path
import numpy as np
import pytest

from tfdecomp.simulation.sprites import lavae_sprites

LOOK = lavae_sprites.LavaeSprites()


def _make(start=0, stop=24, split="train", seed=0, stream="s", **rest):
    return lavae_sprites.generate(
        LOOK, split, start, stop, seed=seed, stream=stream, **rest
    )


def test_counts_go_round_and_the_crowd_has_seven():
    for split in ("train", "test"):
        counts = [e["num_objects"] for e in _make(split=split)]
        assert counts == [0, 1, 2, 3] * 6
    assert {e["num_objects"] for e in _make(split="test7")} == {7}


@pytest.mark.parametrize("split", ["train", "test7"])
def test_boxes_are_tight_disjoint_and_as_the_other_labels(split):
    for example in _make(split=split):
        ids, count = example["segmentation"][0, ..., 0], example["num_objects"]
        assert set(np.unique(ids)) == set(range(count + 1))
        claimed = np.zeros((64, 64), int)
        for slot in range(count):
            rows, columns = np.nonzero(ids == slot + 1)
            box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
            assert example["boxes"][0, slot].tolist() == box
            claimed[box[0] : box[2], box[1] : box[3]] += 1
        assert claimed.max(initial=0) <= 1
        for key in ("visibility", "visible_fraction"):
            assert (example[key][0, :count] == 1).all()


def test_values_are_0_and_255_and_seven_colours_occur():
    colours = collections.Counter()
    for example in _make(0, 200, split="test7"):
        assert set(np.unique(example["video"])) <= {0, 255}
        tints = np.concatenate([[[0, 0, 0]], example["factors"]["color"]])
        expected = 255 * tints[example["segmentation"][..., 0]]
        np.testing.assert_array_equal(example["video"], expected)
        colours.update(map(tuple, example["factors"]["color"]))
    # 200 each are expected, with a standard deviation of 13.
    assert len(colours) == 7 and min(colours.values()) > 150
    assert (0, 0, 0) not in colours


def test_sprites_are_the_figures_that_their_factors_name():
    rows, columns = np.indices((64, 64)) + 0.5
    seen = set()
    for example in _make(0, 40, split="test7"):
        factors = example["factors"]
        for slot in range(7):
            y, x = factors["position"][0, slot]
            points = np.stack([columns - x, y - rows], -1)  # right and up
            shape, angle = factors["shape"][slot], factors["orientation"][slot]
            reach = 9.5 * factors["scale"][slot]
            if shape == 2:  # all points of an ellipse see its foci at 2a
                focus = np.sqrt(1 - 4 / 9) * reach
                focus = focus * np.array([np.cos(angle), np.sin(angle)])
                away = [
                    np.linalg.norm(points - f, axis=-1) for f in (focus, -focus)
                ]
                inside = np.sum(away, 0) <= 2 * reach - 1e-3
                outside = np.sum(away, 0) > 2 * reach + 1e-3
            else:
                corners = 4 if shape == 1 else 3
                turns = angle + 2 * np.pi * np.arange(corners) / corners
                outline = np.stack([np.cos(turns), np.sin(turns)], 1)
                masks = [
                    matplotlib.path.Path(outline * r)
                    .contains_points(points.reshape(-1, 2))
                    .reshape(64, 64)
                    for r in (reach - 1e-3, reach + 1e-3)
                ]
                inside, outside = masks[0], ~masks[1]
            mask = example["segmentation"][0, ..., 0] == slot + 1
            assert mask[inside].all() and not mask[outside].any()
            seen.add(int(shape))
    assert seen == {1, 2, 3}


def test_scales_and_angles_are_the_published_ones():
    factors = [e["factors"] for e in _make(0, 200, split="test7")]
    scales = np.unique(np.concatenate([f["scale"] for f in factors]))
    np.testing.assert_allclose(scales, [0.6, 0.68, 0.76, 0.84, 0.92, 1])
    angles = np.unique(np.concatenate([f["orientation"] for f in factors]))
    np.testing.assert_allclose(np.rad2deg(angles), 9 * np.arange(40), rtol=1e-5)


def test_patches_lie_inside_the_frame_and_reach_its_edges():
    places = [e["factors"]["position"][0] for e in _make(0, 300, split="test7")]
    places = np.concatenate(places)
    assert places.min() == 9.5 and places.max() == 54.5
    assert (places % 1 == 0.5).all()


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"num_sprites": ()}, "num_sprites lists counts"),
        ({"max_objects": 6}, "max_objects is 6, but scenes have up to 7"),
        ({"size": 18}, "sprites need 19 px"),
    ],
)
def test_what_cannot_be_made_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        lavae_sprites.LavaeSprites(**fields)


def test_a_frame_too_small_for_seven_ends_in_an_error(monkeypatch):
    monkeypatch.setattr(lavae_sprites, "MAX_RESTARTS", 3)
    look = lavae_sprites.LavaeSprites(20)
    with pytest.raises(ValueError, match="could not place 7 sprites"):
        lavae_sprites.generate(look, "test7", 0, 1, seed=0, stream="s")
