"""Sliding solids obey mechanics, and their videos keep what is promised."""

import dataclasses

import numpy as np
import pytest

from tfdecomp.simulation.balls import ball_physics
from tfdecomp.simulation.rays import slide_scenes

FILM = slide_scenes.SlideFilm(samples=1)
SLICE = dataclasses.replace(
    FILM, num_frames=40, together=True, num_objects=(3, 4, 5)
)


def _make(look, start=0, stop=3, **rest):
    rest = {"split": "train", "seed": 0, "stream": "s", **rest}
    return slide_scenes.generate(look, start=start, stop=stop, **rest)


@pytest.fixture(name="films", scope="module")
def _fixture_films():
    return _make(FILM)


@pytest.fixture(name="slices", scope="module")
def _fixture_slices():
    return _make(SLICE)


def _slide(velocity, friction, frames=30):
    start = ball_physics.Balls(
        np.array([[[0.0, -40.0], [0.0, 0.0]]]),
        np.array([velocity], float),
        np.full((1, 2), 0.5),
        np.ones((1, 2)),
        np.array([2]),
    )
    return ball_physics.simulate(start, frames, box=None, friction=friction)


def test_without_walls_nothing_turns_back_and_without_friction_nothing_slows():
    balls = _slide([(0.0, -3.0), (0.1, 0.2)], 0.0)
    frame = np.arange(30)[:, None, None]
    expected = balls.position[0, :1] + frame * balls.velocity[0, :1]
    np.testing.assert_allclose(balls.position[0], expected, atol=1e-9)


def test_friction_takes_speed_away_evenly_until_the_object_rests():
    balls = _slide([(0.3, 0.4), (0.0, 0.0)], 0.02)
    speed = np.hypot(*balls.velocity[0, :, 0].T)
    expected = np.maximum(0.5 - 0.02 * np.arange(30), 0)
    np.testing.assert_allclose(speed, expected, atol=1e-12)
    moved = balls.velocity[0, :25, 0]
    np.testing.assert_allclose(moved[:, 0] * 4, moved[:, 1] * 3)
    assert not balls.velocity[0, :, 1].any()
    # v^2 / 2a, up to the length of a step.
    way = np.hypot(*(balls.position[0, -1, 0] - balls.position[0, 0, 0]))
    np.testing.assert_allclose(way, 0.5**2 / 0.04, rtol=0.01)


def test_energy_is_constant_without_friction():
    """With collisions; read off places and velocities on the ground."""
    look = dataclasses.replace(FILM, friction=0.0, size=8)
    collided = 0
    for example in _make(look):
        factors = example["factors"]
        collided += factors["collision"].sum()
        place = factors["location_3d"].astype(float)
        steps = np.diff(place, axis=0)
        calm = (factors["collision"][:-1] + factors["collision"][1:]).sum(1)
        energy = np.sum(steps**2, (1, 2))[calm == 0]
        np.testing.assert_allclose(energy, energy[0], rtol=1e-3)
    assert collided > 0


def test_objects_slow_down_and_never_sink_into_each_other(films):
    for example in films:
        place = example["factors"]["location_3d"][..., :2].astype(float)
        count = example["num_objects"]
        for i in range(count):
            for j in range(i):
                gap = np.hypot(*(place[:, i] - place[:, j]).T)
                assert gap.min() > 2 * slide_scenes.RADIUS - 0.1
                assert gap[0] >= 2 * slide_scenes.RADIUS + 0.1 - 1e-5
        energy = np.sum(np.diff(place, axis=0) ** 2, (1, 2))
        assert energy[-1] < energy[0]


def test_the_view_holds_what_it_says_and_everything_for_a_while(films):
    for example in films:
        count = example["num_objects"]
        inside = example["factors"]["inside_camera_view"]
        assert (inside[:, :count].sum(0) >= FILM.min_frames).all()
        position = example["factors"]["position"]
        # Frames are the middle two thirds of the picture, across.
        held = (np.abs(position - 32) < (32, 48)).all(-1)
        np.testing.assert_array_equal(
            held[:, :count], inside[:, :count].astype(bool)
        )


def test_an_object_enters_from_outside_and_no_two_are_of_a_kind(films):
    for example in films:
        factors, count = example["factors"], example["num_objects"]
        kinds = {
            tuple(factors[key][k] for key in ("shape", "material", "color"))
            for k in range(count)
        }
        assert len(kinds) == count
        moving = factors["velocity"][0].any(-1)
        assert moving[0]
        assert not factors["inside_camera_view"][0][moving].any()


def test_velocity_is_the_difference_of_positions(films):
    for example in films:
        factors = example["factors"]
        calm = factors["collision"][1:] == 0
        near = factors["inside_camera_view"][:-1] == 1
        moved = np.diff(factors["position"], axis=0)
        error = np.abs(moved - factors["velocity"][:-1])[calm & near]
        assert error.max() < 0.02


def test_slices_begin_with_the_first_frame_that_shows_all_and_keep_them(slices):
    for example in slices:
        count = example["num_objects"]
        inside = example["factors"]["inside_camera_view"][:, :count]
        assert inside.all() and len(inside) == 40
        begin = example["frame_index"][0]
        assert begin > 0
        np.testing.assert_array_equal(
            example["frame_index"], begin + np.arange(40)
        )


def test_slice_is_the_part_of_the_whole_video_that_the_rule_picks():
    """Where the whole video is long enough, nothing is drawn again."""
    look = dataclasses.replace(SLICE, num_frames=20)
    whole = dataclasses.replace(look, together=False, num_frames=128)
    compared = 0
    for part, film in zip(_make(look), _make(whole)):
        count = film["num_objects"]
        every = film["factors"]["inside_camera_view"][:, :count].all(1)
        begin = every.argmax()
        if every[begin : begin + 20].all() and every.any():
            compared += 1
            np.testing.assert_array_equal(
                part["video"], film["video"][begin : begin + 20]
            )
    assert compared


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"num_objects": (7,)}, "max_objects = 6"),
        ({"num_objects": (20,), "max_objects": 20}, "room for 10"),
        ({"num_frames": 0}, "num_frames"),
        ({"samples": 0}, "samples"),
    ],
)
def test_impossible_looks_are_refused_at_once(fields, message):
    with pytest.raises(ValueError, match=message):
        slide_scenes.SlideFilm(**fields)
