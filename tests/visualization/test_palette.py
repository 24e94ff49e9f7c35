"""Colours: apart from one another, constant, grey for the background."""

import numpy as np
import pytest

from tfdecomp.types import IGNORE_ID
from tfdecomp.visualization import palette


def test_the_background_alone_is_grey():
    colors = palette.slot_colors(9, background=4)
    np.testing.assert_array_equal(colors[4], palette.GREY)
    spread = colors.max(1).astype(int) - colors.min(1)
    assert np.all(np.delete(spread, 4) > 30)


def test_a_slot_keeps_its_colour_whatever_the_others_are():
    few, many = palette.slot_colors(3), palette.slot_colors(11, background=7)
    np.testing.assert_array_equal(few, many[:3])


def test_colours_of_two_dozen_slots_differ():
    colors = palette.slot_colors(24).astype(int)
    distance = np.abs(colors[:, None] - colors[None]).sum(-1)
    assert distance[~np.eye(24, dtype=bool)].min() > 20


def test_the_background_has_the_largest_area_over_the_clip():
    masks = np.zeros((2, 3, 4, 4, 1))
    masks[0, 0], masks[0, 2] = 0.9, 0.1  # slot 0 leads in the first frame
    masks[1, 0], masks[1, 2] = 0.0, 1.0
    assert palette.background_slot(masks) == 2


def test_soft_masks_mix_their_colours():
    masks = np.full((1, 2, 1, 1, 1), 0.5)
    painted = palette.paint_masks(masks, background=1)
    expected = (palette.slot_colors(1)[0].astype(int) + palette.GREY) / 2
    np.testing.assert_allclose(painted[0, 0, 0], expected, atol=1)


@pytest.mark.parametrize("trailing", [(), (1,)])
def test_true_labels_have_grey_colour_and_black(trailing):
    ids = np.array([0, 1, 2, IGNORE_ID], np.uint8)
    painted = palette.paint_ids(ids.reshape(1, 2, 2, *trailing))
    flat = painted.reshape(4, 3)
    np.testing.assert_array_equal(flat[0], palette.GREY)
    np.testing.assert_array_equal(flat[1:3], palette.slot_colors(2))
    np.testing.assert_array_equal(flat[3], [0, 0, 0])
