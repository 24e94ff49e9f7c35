"""What only something faint joins is cut apart, and nothing else is."""

import numpy as np
import pytest

from tfdecomp.motion import blobs, bridges

SIZE = (60, 90)


def cut(difference, **options):
    found = blobs.find(difference, 10.0)
    return found, bridges.cut(found, difference, **options)


def blocks(*places, level=100.0):
    """`[H, W]` with 12x20 blocks at these corners."""
    picture = np.zeros(SIZE)
    for y, x in places:
        picture[y : y + 12, x : x + 20] = level
    return picture


def test_two_that_a_shadow_joins_are_two_with_boxes_of_their_own():
    picture = blocks((5, 5), (30, 50))
    picture[10:36, 20:55] = np.maximum(picture[10:36, 20:55], 18.0)
    found, apart = cut(picture)
    assert len(found) == 1
    # A rim of one pixel goes with each.
    np.testing.assert_array_equal(
        apart.boxes, [[5, 5, 18, 26], [29, 49, 42, 70]]
    )


def test_many_in_a_row_are_cut_one_after_the_other():
    picture = blocks((2, 2), (24, 34), level=100.0)
    picture += blocks((46, 66), level=30.0)
    picture[8:52, 18:70] = np.maximum(picture[8:52, 18:70], 12.0)
    found, apart = cut(picture)
    assert len(found) == 1 and len(apart) == 3
    firsts = [np.flatnonzero(apart.labels == n)[0] for n in (1, 2, 3)]
    assert firsts == sorted(firsts)


def test_one_that_bends_is_one():
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    around = np.hypot(y - 30, x - 40)
    picture = np.where((around > 15) & (around < 22) & (x < 45), 100.0, 0)
    found, apart = cut(picture)
    assert len(found) == 1 and apart is found


@pytest.mark.parametrize("faint", [12.0, 28.0])
def test_one_that_fills_its_box_is_one_whatever_its_windows_are(faint):
    picture = blocks((10, 10), level=100.0) + blocks((22, 10), level=faint)
    picture += blocks((34, 10), level=90.0)
    found, apart = cut(picture)
    assert len(found) == 1 and apart is found


def test_a_faint_tail_stays_with_its_animal():
    picture = blocks((5, 5))
    picture[12:50, 24:27] = 12.0
    found, apart = cut(picture)
    assert len(found) == 1 and apart is found


def test_what_is_far_smaller_is_no_part():
    picture = blocks((5, 5))
    picture[15:50, 24:50] = 12.0
    picture[45:48, 45:48] = 100.0
    found, apart = cut(picture)
    assert len(found) == 1 and apart is found
    assert len(cut(picture, min_area=4000)[1]) == 1


def test_a_frame_without_anything_stays_empty():
    found, apart = cut(np.zeros(SIZE))
    assert len(found) == 0 and len(apart) == 0


def test_the_rim_grows_with_the_objects():
    picture = blocks((5, 5), (30, 50))
    picture[10:36, 20:55] = np.maximum(picture[10:36, 20:55], 18.0)
    _, thin = cut(picture, width=8)
    _, wide = cut(picture, width=40)
    assert wide.areas.sum() > thin.areas.sum()
