"""A camera whose view has no one shift, as it drives forwards or zooms."""

import numpy as np
import pytest
from scipy import ndimage

from tfdecomp.motion import camera
from tfdecomp.motion import survey as survey_lib

SIZE = (96, 128)


def street(seed=0):
    """`[H, W]` picture with detail everywhere."""
    rng = np.random.default_rng(seed)
    coarse = ndimage.gaussian_filter(rng.normal(0, 1, SIZE), 2)
    return 120 + 60 * coarse / coarse.std()


def zoomed(picture, factor):
    """The middle of a picture, as large as the picture."""
    middle = (np.array(SIZE) - 1) / 2
    offset = middle - middle / factor
    return ndimage.affine_transform(
        picture, np.full(2, 1 / factor), offset, order=1, mode="reflect"
    )


def samples(frame):
    """`Samples` of `frame(t)` over 200 frames."""
    starts = np.linspace(0, 192, 6).astype(int)
    return survey_lib.Samples(
        np.stack([frame(t) for t in np.linspace(0, 199, 30).astype(int)]),
        [np.stack([frame(s + i) for i in range(8)]) for s in starts],
    )


def noisy(picture, t):
    noise = np.random.default_rng([2, t]).normal(0, 2, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)[..., None]


def kinds(found):
    return [kind for kind, _ in found.problems]


@pytest.mark.parametrize("speed", [0.004, 0.01])
def test_a_camera_that_zooms_or_drives_is_one_that_moves(speed):
    picture = street()

    def frame(t):
        return noisy(zoomed(picture, (1 + speed) ** (t % 100)), t)

    found = survey_lib.survey(samples(frame))
    assert "camera_moves" in kinds(found)


def test_large_animals_that_move_at_once_are_no_camera():
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    fur = street(3) - 120

    def frame(t):
        picture = np.full(SIZE, 150.0)
        for k in range(3):
            top = 48 + round(36 * np.sin(t / 11 + 2.1 * k))
            left = 64 + round(48 * np.cos(t / 13 + 2.1 * k))
            inside = np.hypot((y - top) / 13, (x - left) / 18) < 1
            moved = np.roll(fur, (top, left), (0, 1))
            picture[inside] = 70 + 0.4 * moved[inside]
        return noisy(picture, t)

    found = survey_lib.survey(samples(frame))
    assert "camera_moves" not in kinds(found)


def test_what_is_known_to_move_is_no_part_of_the_view():
    first, second = np.full((2, *SIZE), 150.0)
    thing = street(4)[:76, :90]
    first[10:86, 15:105], second[10:86, 21:111] = thing, thing
    first, second = noisy(first, 0), noisy(second, 1)
    moving = np.zeros(SIZE, bool)
    moving[10:86, 15:111] = True
    assert np.hypot(*camera.shift(first, second)) > 5
    np.testing.assert_array_equal(camera.shift(first, second, moving), 0)


def test_a_view_that_stands_still_has_no_part_that_moves():
    picture = street(5)
    moved = camera.shifts(noisy(picture, 0), noisy(picture, 1))
    assert moved.shape == (9, 2)
    np.testing.assert_array_equal(moved, 0)
