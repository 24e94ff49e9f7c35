"""Videos of a street keep what is promised."""

import numpy as np
import pytest

from tfdecomp.simulation.fixed_camera import street

LOOK = street.Street()
CROWD = street.Street(num_cars=(6, 6), num_walkers=(6, 6))
CAR, WALKER = 1, 2


def _make(look=LOOK, start=0, stop=6, **rest):
    rest = {"split": "train", "seed": 0, "stream": "s", **rest}
    return street.generate(look, start=start, stop=stop, **rest)


@pytest.fixture(name="clips", scope="module")
def _fixture_clips():
    return _make(CROWD, stop=12)


def test_cars_are_never_covered(clips):
    for example in clips:
        assert example["num_objects"] == 12
        fraction = example["visible_fraction"]
        cars = example["factors"]["kind"] == CAR
        np.testing.assert_array_equal(
            fraction[:, cars], example["visibility"][:, cars]
        )


def test_boxes_hold_the_masks_and_end_at_them_where_nothing_is_covered(clips):
    for example in clips:
        ids = example["segmentation"][..., 0]
        boxes, fraction = example["boxes"], example["visible_fraction"]
        assert boxes.min() >= 0 and boxes.max() <= 64
        for t, k in np.argwhere(fraction > 0):
            rows, columns = np.nonzero(ids[t] == k + 1)
            tight = np.array(
                [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
            )
            box = boxes[t, k]
            assert (box[:2] <= tight[:2]).all() and (box[2:] >= tight[2:]).all()
            if fraction[t, k] == 1:
                assert box.tolist() == tight.tolist()


def test_pixels_have_the_colour_of_their_object_in_the_light(clips):
    for example in clips:
        ids, color = (
            example["segmentation"][..., 0],
            example["factors"]["color"],
        )
        for t, frame in enumerate(example["video"]):
            seen = np.unique(ids[t])[1:]
            # One channel of every object is full.
            bright = [frame[ids[t] == k].max() for k in seen]
            assert len(set(bright)) == 1
            assert 0.7 * 255 - 1 <= bright[0] <= 255
            for k in seen:
                wanted = np.rint(bright[0] * color[k - 1].astype(float))
                assert np.abs(frame[ids[t] == k] - wanted).max() <= 1


def test_the_ground_stands_still_and_the_light_changes_slowly(clips):
    for example in clips:
        free = (example["segmentation"] == 0).all((0, 3))
        ground = example["video"][:, free].astype(float)
        light = ground.mean((1, 2))
        light = light / light[0]
        assert 0.7 <= light.min() and light.max() <= 1 / 0.7
        assert 0 < np.abs(np.diff(light)).max() < 0.2
        wanted = light[:, None, None] * ground[0]
        assert np.abs(ground - wanted).max() < 2.5  # rounding
        assert ground[0].std(0).min() > 2  # a texture


def test_cars_of_a_lane_keep_their_distance_and_their_speed(clips):
    met = 0
    for example in clips:
        factors = example["factors"]
        for lane in (1, 2, 3):
            own = np.flatnonzero(factors["lane"] == lane)
            met += len(own) > 1
            speed = factors["velocity"][:, own, 1]
            if len(own):
                assert np.ptp(speed) == 0 and 1 <= abs(speed[0, 0]) <= 6
            for one in own:
                for other in own[own < one]:
                    gap = (
                        factors["position"][:, one]
                        - (factors["position"][:, other])
                    )
                    # Half of each of the shortest cars, and the gap.
                    assert np.abs(gap[:, 1]).min() >= 6 + 2 - 1e-4
        masks = [example["segmentation"] == k + 1 for k in range(12)]
        own = [m.any() for m in masks]
        assert sum(own) <= 12
    assert met > 5


def test_things_move_along_by_their_velocity_and_come_back(clips):
    jumps = 0
    for example in clips:
        position = example["factors"]["position"]
        velocity = example["factors"]["velocity"]
        steps = np.diff(position, axis=0)
        gone = np.abs(steps - velocity[:-1]).max(-1) > 1e-3
        jumps += gone.sum()
        # Whoever jumps is out of the picture before and after.
        before, after = example["visibility"][:-1], example["visibility"][1:]
        assert not (before & gone).any() and not (after & gone).any()
        walkers = example["factors"]["kind"] == WALKER
        speed = np.abs(velocity[0, walkers, 1])
        assert 0.3 <= speed.min() and speed.max() <= 1
        assert not velocity[..., 0].any()
    assert jumps > 10


def test_counts_fill_their_range():
    examples = _make(stop=60)
    cars = [(e["factors"]["kind"] == CAR).sum() for e in examples]
    walkers = [(e["factors"]["kind"] == WALKER).sum() for e in examples]
    assert set(cars) == set(range(1, 7)) and set(walkers) == set(range(7))


def test_larger_frames_show_the_same():
    small, large = _make(stop=1), _make(street.Street(size=128), stop=1)
    for name in ("position", "velocity"):
        np.testing.assert_allclose(
            2 * small[0]["factors"][name], large[0]["factors"][name]
        )
    assert large[0]["video"].shape == (20, 128, 128, 3)
    same = small[0]["segmentation"] == large[0]["segmentation"][:, ::2, ::2]
    assert same.mean() > 0.97
