"""Ellipses that follow drawn animals through touch."""

import dataclasses

import numpy as np
import pytest

from tests.motion import animals
from tfdecomp.motion import bodies


def _points(places, headings):
    mask = animals.draw(places, headings, unit=1).any(0)
    return np.argwhere(mask) + 0.5


def _started(places, headings, velocities=None, spins=None):
    count = len(places)
    axes = np.tile([animals.LONG / 2, animals.WIDE / 2], (count, 1))
    area = np.pi * animals.LONG * animals.WIDE
    return bodies.Bodies(
        np.array(places, float),
        np.array(headings, float),
        axes,
        np.ones((count, 2)),
        np.full(count, area),
        np.zeros((count, 2)) if velocities is None else velocities,
        np.zeros(count) if spins is None else spins,
    )


def test_the_shape_of_a_drawn_ellipse_is_half_its_axes():
    points = _points(np.array([[100.0, 90.0]]), np.array([0.7]))
    mean, angle, deviations = bodies.shape(points)
    np.testing.assert_allclose(mean, [100, 90], atol=0.2)
    assert abs(angle - 0.7) < 0.03
    # A filled ellipse has a variance of a quarter of its squared half axis.
    np.testing.assert_allclose(
        deviations, [animals.LONG / 2, animals.WIDE / 2], rtol=0.03
    )


def test_the_box_around_a_body_is_that_around_the_ellipse():
    places, headings = np.array([[50.0, 60.0]]), np.array([1.1])
    body = _started(places, headings)
    box = animals.truth_boxes(places, headings)
    sides = 0.5 * (box[:, 2:] - box[:, :2])
    np.testing.assert_allclose(body.halves, sides, rtol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 0.5, 1.5, -1.2])
def test_covariances_turn_with_the_angle(angle):
    found = bodies.covariances(np.array([angle]), np.array([[3.0, 1.0]]))[0]
    turn = np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    np.testing.assert_allclose(
        found, turn @ np.diag([9.0, 1.0]) @ turn.T, atol=1e-12
    )


def test_two_that_touch_are_told_apart_in_one_blob():
    places = np.array([[100.0, 100.0], [109.0, 103.0]])
    headings = np.array([np.pi / 2, np.pi / 2 - 0.2])
    guess = _started(places + [[-2, 1], [2, 2]], headings + 0.3)
    found = bodies.fit(_points(places, headings), guess)
    assert np.linalg.norm(found.means - places, axis=-1).max() < 1.5


def test_pixels_of_a_known_neighbour_are_its_own():
    places = np.array([[100.0, 100.0], [100.0, 118.0]])
    headings = np.full(2, np.pi / 2)
    first = _started(places[:1], headings[:1])
    other = _started(places[1:], headings[1:])
    fixed = other.means, other.covariances, other.weights
    points = _points(places, headings)
    alone = bodies.fit(points, first).means[0, 1]
    beside = bodies.fit(points, first, fixed).means[0, 1]
    assert abs(beside - 100) < 1.0
    assert abs(beside - 100) <= abs(alone - 100)


def test_without_pixels_a_body_goes_on_as_expected():
    start = _started([[50.0, 50.0]], [0.0], velocities=np.array([[2.0, 1.0]]))
    after = bodies.follow(start, [(np.zeros((0, 2)), None, None)], 0.5)[0]
    np.testing.assert_allclose(after.means, [[51.0, 50.5]])


def test_two_that_dance_are_followed_through_hundreds_of_frames():
    places, headings = animals.dance(200)
    start = _started(
        places[0],
        headings[0],
        velocities=places[1] - places[0],
        spins=headings[1] - headings[0],
    )
    frames = [
        (_points(p, h), None, None) for p, h in zip(places[1:], headings[1:])
    ]
    found = np.array([b.means for b in bodies.follow(start, frames, 0.9)])
    off = np.linalg.norm(found - places[1:], axis=-1)
    assert off.max() < animals.LONG
    assert np.median(off) < 1.5


def test_one_that_turns_back_where_it_meets_another_is_found_again():
    places = np.array([[100.0, 100.0], [140.0, 75.0]])
    headings = np.array([0.0, 0.7])
    # It was going to where the other one is.
    expected = _started(places[:1].repeat(2, 0) + [[0, 0], [-6, 3]], [0.0, 0.2])
    points = _points(places, headings)
    found = bodies.fit(points, expected)
    np.testing.assert_allclose(found.means, places, atol=1.5)
    known = expected.means[:1], expected.covariances[:1], expected.weights[:1]
    alone = dataclasses.replace(
        expected,
        **{
            name: getattr(expected, name)[1:]
            for name in (f.name for f in dataclasses.fields(expected))
        },
    )
    found = bodies.fit(points, alone, known)
    np.testing.assert_allclose(found.means, places[1:], atol=1.5)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_one_that_is_covered_stays_where_nothing_as_large_is_free(share):
    places, headings = np.array([[100.0, 100.0]]), np.array([0.0])
    points = _points(places, headings)
    far = _points(places + [[40.0, 0.0]], headings)
    points = np.concatenate([points, far[: int(share * len(far))]])
    expected = _started(places.repeat(2, 0) + [[0, 0], [2, 1]], [0.0, 0.1])
    found = bodies.fit(points, expected)
    assert np.linalg.norm(found.means - places, axis=-1).max() < 6
