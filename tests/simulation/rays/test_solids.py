"""Rays meet solids where marching along them says they do."""

import numpy as np
import pytest

from tfdecomp.simulation.rays import solids

NAMES = {"box": solids.BOX, "sphere": solids.SPHERE, "tube": solids.CYLINDER}
SIDES = np.array([0.8, 0.5, 0.6])


def _inside(kind, points, half):
    """Whether points `[3, ...]` are in a solid, from its definition."""
    x, y, z = points
    if kind == solids.BOX:
        return np.max(np.abs(points.T / half).T, axis=0) <= 1
    if kind == solids.SPHERE:
        return x**2 + y**2 + z**2 <= half[0] ** 2
    return (x**2 + y**2 <= half[0] ** 2) & (np.abs(z) <= half[2])


def _rays(count=300, seed=0):
    """Rays from all around, with directions of all lengths."""
    rng = np.random.default_rng(seed)
    origin = rng.normal(size=(3, count))
    origin *= rng.uniform(1.1, 4.0, count) / np.linalg.norm(origin, axis=0)
    aim = rng.uniform(-0.7, 0.7, (3, count))
    return origin, (aim - origin) * rng.uniform(0.3, 3.0, count)


@pytest.mark.parametrize("name", NAMES)
def test_interval_is_where_marching_finds_the_solid(name):
    kind = NAMES[name]
    origin, direction = _rays()
    half = np.repeat(SIDES[:, None], 300, 1)
    enter, leave = solids.interval(np.full(300, kind), origin, direction, half)
    steps = np.linspace(0.0, 12.0, 12001)
    hits = 0
    for n in range(300):
        points = origin[:, n, None] + steps * direction[:, n, None]
        inside = np.flatnonzero(_inside(kind, points, SIDES))
        if inside.size:
            hits += 1
            assert abs(enter[n] - steps[inside[0]]) <= 1.001e-3
            assert abs(leave[n] - steps[inside[-1]]) <= 1.001e-3
        else:
            # The march may step over a corner, never over more.
            assert leave[n] - enter[n] < 1e-3
    assert 100 < hits < 300


def test_sphere_is_hit_where_the_closed_form_says():
    origin = np.array([[0.0], [-5.0], [0.3]])
    direction = np.array([[0.0], [2.0], [0.0]])
    enter, leave = solids.sphere_interval(origin, direction, np.array([1.0]))
    half_chord = np.sqrt(1 - 0.09)
    np.testing.assert_allclose(enter, (5 - half_chord) / 2)
    np.testing.assert_allclose(leave, (5 + half_chord) / 2)


@pytest.mark.parametrize("name", NAMES)
def test_ray_along_an_axis_hits_or_misses_without_warnings(name):
    kind = np.full(4, NAMES[name])
    origin = np.array([(0, 0, 3), (0, 0, 3), (2, 0, 3), (0, 0, 0)], float).T
    direction = np.array([(0, 0, -1), (0, 0, 1), (0, 0, -1), (0, 0, 1)]).T
    half = np.ones((3, 4))
    with np.errstate(all="raise"):
        hit = solids.first_hit(
            *solids.interval(kind, origin, direction.astype(float), half)
        )
    np.testing.assert_allclose(hit, [2.0, np.inf, np.inf, 1.0])


def test_plane_is_met_ahead_and_never_behind():
    normal = np.array([0.0, 0.6, 0.8])
    rng = np.random.default_rng(1)
    origin, direction = rng.normal(size=(2, 3, 100))
    distance = solids.plane_distance(origin, direction, normal, 0.5)
    met = np.isfinite(distance)
    points = (origin + distance * direction)[:, met]
    np.testing.assert_allclose(normal @ points, 0.5, atol=1e-9)
    going = (0.5 - normal @ origin) * (normal @ direction) > 0
    np.testing.assert_array_equal(met, going)


def test_plane_parallel_to_the_ray_is_not_met():
    ray = np.array([[1.0], [0.0], [0.0]])
    up = np.array([0.0, 0.0, 1.0])
    assert np.isinf(solids.plane_distance(0 * ray, ray, up, 1.0))
    assert np.isinf(solids.plane_distance(0 * ray, ray, up, 0.0))


@pytest.mark.parametrize("name", NAMES)
def test_normal_is_the_outward_gradient_of_the_surface(name):
    """A step along the normal leaves the solid, one against it enters."""
    origin, direction = _rays(seed=2)
    kind = np.full(300, NAMES[name])
    half = np.repeat(SIDES[:, None], 300, 1)
    hit = solids.first_hit(*solids.interval(kind, origin, direction, half))
    met = np.isfinite(hit)
    point = (origin + np.where(met, hit, 0) * direction)[:, met]
    normal = solids.surface_normal(kind[met], point, half[:, met])
    np.testing.assert_allclose(np.sum(normal**2, 0), 1.0)
    assert not _inside(NAMES[name], point + 1e-6 * normal, SIDES).any()
    assert _inside(NAMES[name], point - 1e-6 * normal, SIDES).all()
    # Nothing is steeper: the normal is perpendicular to the surface.
    rng = np.random.default_rng(3)
    tangent = rng.normal(size=point.shape)
    tangent -= solids.dot(tangent, normal) * normal
    moved = point + 1e-5 * tangent
    assert not _inside(NAMES[name], moved + 1e-8 * normal, SIDES).any()


@pytest.mark.parametrize("name", NAMES)
def test_bounding_ball_holds_the_solid_and_touches_it(name):
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 81)] * 3)).reshape(3, -1)
    inside = grid[:, _inside(NAMES[name], grid, SIDES)]
    radius = solids.bounding_radius(np.array(NAMES[name]), SIDES)
    far = np.linalg.norm(inside, axis=0).max()
    assert far <= radius + 1e-12
    assert far > 0.95 * radius


def test_turning_by_a_yaw_and_back_changes_nothing():
    vector = np.random.default_rng(0).normal(size=(3, 5))
    there = solids.turn(vector, np.cos(0.7), np.sin(0.7))
    np.testing.assert_allclose(
        solids.turn(there, np.cos(0.7), -np.sin(0.7)), vector
    )
    np.testing.assert_allclose(
        solids.turn(np.array([[1.0], [0.0], [2.0]]), 0.0, 1.0),
        [[0.0], [1.0], [2.0]],
    )
