"""A car is parted from the lorry beside it, and nothing from a lorry alone."""

import numpy as np
import pytest

from tfdecomp.motion import background, beside, blobs, scene

LARGE, TYPICAL = 900, 200
LORRY = slice(10, 60), slice(30, 65)
CAR = slice(44, 58), slice(12, 32)


def picture(*places):
    result = np.zeros((90, 100), np.float32)
    for place in places:
        result[place] = 100.0
    return result


def parted(difference):
    found = blobs.find(difference, 10.0)
    return found, beside.part(found, difference, LARGE, TYPICAL)


def test_a_car_beside_a_lorry_is_one_of_two_with_its_own_box():
    found, apart = parted(picture(LORRY, CAR))
    assert len(found) == 1 and len(apart) == 2
    np.testing.assert_allclose(apart.boxes[0], [10, 30, 60, 65], atol=2)
    np.testing.assert_allclose(apart.boxes[1], [44, 12, 58, 32], atol=4)
    assert apart.areas.sum() == found.areas.sum()


@pytest.mark.parametrize(
    "difference",
    [
        picture(LORRY),
        picture(LORRY, (slice(30, 36), slice(10, 32))),  # narrow
        picture(LORRY, (slice(50, 56), slice(24, 32))),  # too small
        picture((slice(40, 90), slice(30, 65)), (slice(78, 90), slice(8, 32))),
    ],
    ids=["alone", "a pole", "a mirror", "at the frame's edge"],
)
def test_what_is_no_thing_by_itself_stays_with_the_lorry(difference):
    found, apart = parted(difference)
    assert apart is found


def test_a_lorry_with_windows_that_nobody_sees_is_one():
    difference = picture(LORRY)
    difference[15:30, 35:60] = 0
    found, apart = parted(difference)
    assert apart is found


def test_two_cars_that_touch_are_not_looked_at():
    found, apart = parted(picture(CAR, (slice(30, 44), slice(14, 34))))
    assert len(found) == 1 and apart is found


@pytest.mark.parametrize("large_area, count", [(float(LARGE), 2), (None, 1)])
def test_a_scene_parts_them_where_it_knows_what_is_large(large_area, count):
    grey = np.full((90, 100, 3), 50.0, np.float32)
    view = scene.Scene(
        background.Background(grey, np.full((90, 100), 2.0, np.float32)),
        gain=100.0,
        length=18.0,
        width=14.0,
        large_area=large_area,
        cuts_bridges=True,
    )
    frame = np.uint8(grey + picture(LORRY, CAR)[..., None])
    assert len(view.moving(frame)) == count
