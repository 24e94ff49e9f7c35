"""Blobs against sums over their pixels, and ellipses that were drawn."""

import time

import numpy as np
import pytest

from tfdecomp.motion import blobs


def ellipse(size, centre, length, width, angle):
    """`[H, W]` bool; the angle turns from x towards y."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    y, x = y - centre[0], x - centre[1]
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    return (2 * along / length) ** 2 + (2 * across / width) ** 2 <= 1


@pytest.mark.parametrize("angle", [-1.2, -0.5, 0.0, 0.7, 1.5])
def test_an_ellipse_is_measured_as_it_was_drawn(angle):
    drawn = ellipse((80, 90), (38.2, 44.7), 40, 14, angle)
    found = blobs.find(drawn)
    assert len(found) == 1
    np.testing.assert_allclose(found.axes[0], [40, 14], rtol=0.03)
    np.testing.assert_allclose(found.centres[0], [38.2, 44.7], atol=0.3)
    turned = (found.angles[0] - angle + np.pi / 2) % np.pi - np.pi / 2
    assert abs(turned) < 0.03
    assert found.areas[0] == drawn.sum()


def test_boxes_are_pixel_edges_and_levels_means():
    difference = np.zeros((10, 12))
    difference[2:5, 3:9] = np.arange(18).reshape(3, 6) + 20
    difference[7, 1] = 90
    found = blobs.find(difference, 10.0)
    np.testing.assert_array_equal(found.boxes, [[2, 3, 5, 9], [7, 1, 8, 2]])
    np.testing.assert_array_equal(found.centres, [[3.5, 6], [7.5, 1.5]])
    np.testing.assert_allclose(found.levels, [28.5, 90])
    np.testing.assert_array_equal(found.areas, [18, 1])
    assert (found.labels == 1).sum() == 18


def test_pixels_that_touch_at_a_corner_belong_together():
    assert len(blobs.find(np.eye(6, dtype=bool))) == 1


def test_nothing_is_found_in_nothing():
    found = blobs.find(np.zeros((5, 6)), 1.0)
    assert len(found) == 0
    assert found.boxes.shape == (0, 4) and found.axes.shape == (0, 2)


def test_what_is_too_small_or_too_large_is_left_out():
    mask = np.zeros((20, 30), bool)
    mask[1:3, 1:3] = mask[5:9, 5:9] = mask[5:15, 15:25] = True
    found = blobs.find(mask, min_area=5, max_area=50)
    np.testing.assert_array_equal(found.areas, [16])
    np.testing.assert_array_equal(found.labels > 0, found.labels == 1)
    assert (found.labels == 1).sum() == 16
    np.testing.assert_array_equal(found.boxes, [[5, 5, 9, 9]])


def test_a_part_counts_only_if_a_pixel_is_certain():
    difference = np.zeros((10, 20))
    difference[2:5, 2:5] = 12
    difference[2:5, 10:13] = 12
    difference[3, 11] = 16
    found = blobs.find(difference, 10.0, certain=1.5)
    np.testing.assert_array_equal(found.boxes, [[2, 10, 5, 13]])
    assert len(blobs.find(difference, 10.0, certain=1)) == 2


def test_thresholds_may_differ_from_pixel_to_pixel():
    difference = np.full((4, 8), 10.0)
    threshold = np.where(np.arange(8) < 3, 2.0, 20.0) * np.ones((4, 1))
    found = blobs.find(difference, threshold)
    np.testing.assert_array_equal(found.boxes, [[0, 0, 4, 3]])


def test_only_the_region_is_looked_at():
    mask = np.ones((6, 9), bool)
    region = np.zeros((6, 9), bool)
    region[1:3, 4:6] = True
    np.testing.assert_array_equal(
        blobs.find(mask, region=region).boxes, [[1, 4, 3, 6]]
    )


def test_cracks_are_closed_and_specks_and_hairs_taken_off():
    drawn = ellipse((60, 60), (30, 30), 30, 16, 0.0)
    torn = drawn.copy()
    torn[:, 30:32] = False
    torn[30, 44:58] = True
    torn[5, 5] = True
    assert len(blobs.find(torn)) == 3 or len(blobs.find(torn)) == 2
    found = blobs.find(torn, width=16)
    assert len(found) == 1
    np.testing.assert_allclose(found.boxes[0], [22, 15, 38, 45], atol=2.5)
    overlap = (found.labels > 0) & drawn
    assert overlap.sum() > 0.95 * drawn.sum()


def test_cleaning_works_up_to_the_frames_edge():
    mask = np.zeros((30, 30), bool)
    mask[:12, :20] = True
    found = blobs.find(mask, width=12)
    assert found.areas[0] > 0.95 * mask.sum()
    assert found.boxes[0, 0] == 0 and found.boxes[0, 1] == 0


def test_objects_as_narrow_as_the_width_are_not_taken_off():
    for width in (2, 3, 4, 6, 9, 14):
        drawn = ellipse((60, 60), (30, 30), 3 * width, width, 0.6)
        found = blobs.find(drawn, width=width)
        assert len(found) == 1
        assert found.areas[0] > 0.75 * drawn.sum()


def test_differences_without_a_threshold_are_refused():
    with pytest.raises(ValueError, match="threshold is needed"):
        blobs.find(np.zeros((4, 4)))


def test_finding_is_fast_enough_for_three_hundred_frames_a_second():
    rng = np.random.default_rng(0)
    difference = np.abs(rng.normal(0, 3, (240, 320))).astype(np.float32)
    for y, x in rng.uniform(20, 220, (16, 2)):
        difference[ellipse((240, 320), (y, x), 30, 12, 0.4)] = 60
    begin = time.process_time()
    for _ in range(30):
        found = blobs.find(difference, 12.0, width=12, min_area=20)
    assert 8 < len(found) <= 16
    assert time.process_time() - begin < 0.2
