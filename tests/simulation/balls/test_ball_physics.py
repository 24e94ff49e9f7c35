"""The balls obey mechanics, checked against closed forms."""

import numpy as np
import pytest

from tfdecomp.simulation import streams
from tfdecomp.simulation.balls import ball_physics as physics

WORLDS = {
    "four": physics.BallWorld(),
    "many": physics.BallWorld(num_balls=(6, 7, 8)),
    "large": physics.BallWorld((3,), radius_light=1.25, radius_heavy=1.55),
}


def _start(world, count=24, max_balls=8):
    rngs = [
        streams.example_rng(0, "test", "physics", 0, i) for i in range(count)
    ]
    return physics.stack(
        [physics.start_state(rng, world, max_balls) for rng in rngs]
    )


def _two(positions, velocities, masses, radii=(1.0, 1.0)):
    return physics.Balls(
        np.array([positions], float),
        np.array([velocities], float),
        np.array([radii], float),
        np.array([masses], float),
        np.array([2]),
    )


def _energy(balls):
    square = np.sum(balls.velocity**2, -1)  # [N, T, K]
    return 0.5 * np.sum(balls.mass[:, None] * square, -1)


@pytest.mark.parametrize("name", WORLDS)
def test_energy_is_constant(name):
    balls = physics.simulate(_start(WORLDS[name]), 51)
    energy = _energy(balls)
    np.testing.assert_allclose(energy / energy[:, :1], 1.0, atol=1e-12)


@pytest.mark.parametrize("name", WORLDS)
def test_balls_start_apart_and_stay_inside_without_sinking_in(name):
    start = _start(WORLDS[name])
    balls = physics.simulate(start, 51)
    present = np.arange(8) < balls.count[:, None]
    low = balls.radius[:, None, :, None]
    inside = (balls.position >= low) & (balls.position <= 10.0 - low)
    assert np.all(inside | ~present[:, None, :, None])
    for i in range(8):
        for j in range(i):
            both = present[:, i] & present[:, j]
            away = balls.position[:, :, i] - balls.position[:, :, j]
            reach = (balls.radius[:, i] + balls.radius[:, j])[:, None]
            gap = (np.hypot(*np.moveaxis(away, -1, 0)) - reach)[both]
            assert np.all(gap[:, 0] >= 0)
            assert np.all(gap > -0.1)


def test_equal_masses_head_on_swap_velocities():
    start = _two([[5, 3], [5, 7]], [[0, 0.3], [0, -0.1]], [1, 1])
    after = physics.simulate(start, 10)
    np.testing.assert_allclose(
        after.velocity[0, -1], [[0, -0.1], [0, 0.3]], atol=1e-12
    )
    assert after.collision[0].sum() == 2


def test_heavy_and_light_ball_follow_the_closed_formula():
    m1, m2, v1, v2 = 6.0, 1.0, 0.2, -0.3
    start = _two([[5, 3], [5, 6]], [[0, v1], [0, v2]], [m1, m2])
    after = physics.simulate(start, 6)
    expected = [
        ((m1 - m2) * v1 + 2 * m2 * v2) / (m1 + m2),
        ((m2 - m1) * v2 + 2 * m1 * v1) / (m1 + m2),
    ]
    np.testing.assert_allclose(after.velocity[0, -1, :, 1], expected)


def test_oblique_collision_keeps_momentum():
    start = _two(
        [[4.6, 3], [5, 6]], [[0.1, 0.3], [-0.05, -0.2]], [6, 1], (1.1, 0.9)
    )
    after = physics.simulate(start, 8)
    assert after.collision.any()
    momentum = np.einsum("k,tkd->td", start.mass[0], after.velocity[0])
    np.testing.assert_allclose(momentum - momentum[0], 0.0, atol=1e-12)


def test_separating_balls_that_still_overlap_do_not_collide():
    start = _two([[5, 5], [5, 6.9]], [[0, -0.1], [0, 0.1]], [1, 1])
    after = physics.simulate(start, 2)
    np.testing.assert_array_equal(after.velocity[0, 1], start.velocity[0])
    assert not after.collision.any()


def test_time_runs_backwards_where_nothing_collides():
    start = _two([[3, 3], [7, 7]], [[0.1, 0.05], [-0.1, 0.02]], [1, 6])
    there = physics.simulate(start, 15)
    assert not there.collision.any()
    turned = physics.Balls(
        there.position[:, -1],
        -there.velocity[:, -1],
        start.radius,
        start.mass,
        start.count,
    )
    back = physics.simulate(turned, 15)
    np.testing.assert_allclose(back.position[:, -1], start.position, atol=1e-9)


def test_positions_differ_by_the_velocity_between_contacts():
    balls = physics.simulate(_start(WORLDS["four"], max_balls=4), 51)
    steady = np.all(balls.velocity[:, 1:] == balls.velocity[:, :-1], -1)
    moved = balls.position[:, 1:] - balls.position[:, :-1]
    error = np.abs(moved - balls.velocity[:, :-1])[steady]
    assert steady.mean() > 0.5
    assert error.max() < 1e-12


def test_root_mean_square_speed_is_the_one_asked_for():
    start = _start(WORLDS["many"])
    square = np.sum(start.velocity**2, (1, 2)) / start.count
    np.testing.assert_allclose(np.sqrt(square), 0.25)
    joint = _start(physics.BallWorld(speed_rule="joint", speed=0.5))
    np.testing.assert_allclose(np.sum(joint.velocity**2, (1, 2)), 0.25)


def test_absent_balls_are_zero_everywhere():
    balls = physics.simulate(_start(WORLDS["many"]), 10)
    absent = np.arange(8) >= balls.count[:, None]
    for values in (balls.position, balls.velocity, balls.collision):
        moved = np.moveaxis(values, 2, 1)
        assert not moved[absent].any()
    assert not balls.radius[absent].any()


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"num_balls": (8,), "radius_heavy": 2.0}, "at most 60%"),
        ({"num_balls": ()}, "num_balls"),
        ({"speed_rule": "fast"}, "speed_rule"),
        ({"mass_light": 0.0}, "positive"),
    ],
)
def test_impossible_worlds_are_refused_at_once(fields, message):
    with pytest.raises(ValueError, match=message):
        physics.BallWorld(**fields)


def test_balls_that_cannot_be_placed_are_an_error_with_sizes(monkeypatch):
    monkeypatch.setattr(physics, "MAX_TRIES", 2)
    monkeypatch.setattr(physics, "MAX_RESTARTS", 2)
    world = physics.BallWorld((8,), radius_light=1.5, radius_heavy=1.5)
    with pytest.raises(ValueError, match=r"8 balls of radii .* side 10.0"):
        physics.start_state(np.random.default_rng(0), world, 8)
