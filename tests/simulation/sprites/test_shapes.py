"""What every image of shapes and its labels must satisfy."""

import numpy as np
import pytest

from tfdecomp.simulation.sprites import shapes

LOOKS = {
    "shapes28": shapes.Shapes(),
    "shapes20": shapes.Shapes(20),
    "padded": shapes.Shapes(28, 2, 4),
}


def _make(name, start=0, stop=24, split="train", seed=0, stream="s", **rest):
    return shapes.generate(
        LOOKS[name], split, start, stop, seed=seed, stream=stream, **rest
    )


def _whole(example):
    """Masks `[n, H, W]` of the shapes alone, from the factors."""
    size = example["video"].shape[1]
    masks = np.zeros((example["num_objects"], size, size), bool)
    for slot, mask in enumerate(masks):
        top, left = example["factors"]["corner"][slot].astype(int)
        shape = example["factors"]["shape"][slot]
        rows, columns = np.indices((7, 7 if shape == 1 else 12))
        if shape == 1:  # a frame two pixels thick
            drawn = (np.abs(rows - 3) > 1) | (np.abs(columns - 3) > 1)
        else:
            rows = 6 - rows if shape == 3 else rows
            aside = np.abs(columns - 5.5)
            # The outline widens by a pixel a row; the hole begins in row 3.
            drawn = aside < np.minimum(rows + 1, 6)
            hole = np.isin(rows, (3, 4)) & (aside < rows - 2)
            drawn &= ~hole
        mask[top : top + 7, left : left + drawn.shape[1]] = drawn
    return masks


def test_squares_have_40_pixels_and_triangles_48():
    square, triangle, inverted = shapes.BITMAPS
    assert square.shape == (7, 7) and square.sum() == 40
    assert triangle.shape == (7, 12) and triangle.sum() == 48
    assert triangle.sum(1).tolist() == [2, 4, 6, 6, 6, 12, 12]
    np.testing.assert_array_equal(inverted, triangle[::-1])
    for bitmap in shapes.BITMAPS:
        np.testing.assert_array_equal(bitmap, bitmap[:, ::-1])


@pytest.mark.parametrize("name", LOOKS)
def test_images_are_the_union_and_overlaps_are_ignored(name):
    overlapping = 0
    for example in _make(name):
        masks = _whole(example)
        count = masks.sum(0)
        np.testing.assert_array_equal(
            example["video"][0, ..., 0], 255 * (count > 0)
        )
        ids = example["segmentation"][0, ..., 0]
        np.testing.assert_array_equal(ids == 255, count > 1)
        np.testing.assert_array_equal(ids == 0, count == 0)
        for slot, mask in enumerate(masks):
            np.testing.assert_array_equal(ids == slot + 1, mask & (count == 1))
        overlapping += (count > 1).any()
    assert overlapping


@pytest.mark.parametrize("name", LOOKS)
def test_boxes_hold_the_whole_shapes_and_fractions_what_is_theirs(name):
    for example in _make(name):
        masks = _whole(example)
        for slot, mask in enumerate(masks):
            rows, columns = np.nonzero(mask)
            box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
            assert example["boxes"][0, slot].tolist() == box
            alone = mask & (masks.sum(0) == 1)
            assert example["visibility"][0, slot] == alone.any()
            np.testing.assert_allclose(
                example["visible_fraction"][0, slot], alone.sum() / mask.sum()
            )
            np.testing.assert_allclose(
                example["factors"]["position"][0, slot],
                [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2],
            )


def test_single_images_hold_one_shape_and_the_others_three():
    for example in _make("shapes28", split="single"):
        assert example["num_objects"] == 1
        assert (example["video"] > 0).sum() in (40, 48)
        assert not (example["segmentation"] == 255).any()
    assert {e["num_objects"] for e in _make("shapes28", split="test")} == {3}


def test_shapes_and_places_are_uniform():
    examples = _make("shapes28", 0, 1000, split="single")
    kinds = np.array([e["factors"]["shape"][0] for e in examples])
    corners = np.array([e["factors"]["corner"][0] for e in examples])
    counts = np.bincount(kinds, minlength=4)[1:]
    # 333 each are expected, with a standard deviation of 15.
    assert counts.min() > 270
    for kind, width in ((1, 7), (2, 12), (3, 12)):
        some = corners[kinds == kind]
        assert some.min(0).tolist() == [0, 0]
        assert some.max(0).tolist() == [21, 28 - width]
        assert np.abs(some.mean(0) - [10.5, (28 - width) / 2]).max() < 1.5


def test_what_cannot_be_made_is_refused():
    with pytest.raises(ValueError, match="num_shapes is 4"):
        shapes.Shapes(28, 4)
    with pytest.raises(ValueError, match="up to 12 px wide"):
        shapes.Shapes(11)
