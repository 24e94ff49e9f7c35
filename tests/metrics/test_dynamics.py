"""Velocity cosine on squares whose paths are known."""

import numpy as np
import pytest

from tfdecomp.metrics import dynamics


def _squares(paths, size=32, side=3):
    """Ids of squares with their top left corners on `paths [L, T, 2]`."""
    num_frames = len(paths[0])
    ids = np.zeros((1, num_frames, size, size), np.int32)
    for label, path in enumerate(paths, 1):
        for t, (y, x) in enumerate(path):
            ids[0, t, y : y + side, x : x + side] = label
    return ids


def _line(start, step, num_frames):
    return [
        (start[0] + step[0] * t, start[1] + step[1] * t)
        for t in range(num_frames)
    ]


def _truth(ids, num_objects):
    centres, present = dynamics.box_centres(ids, num_objects + 1)
    return centres[:, :, 1:], present[:, :, 1:]


@pytest.fixture
def two_squares():
    paths = [_line((2, 2), (2, 0), 6), _line((25, 4), (0, 3), 6)]
    return _squares(paths)


def test_box_centres_are_between_pixel_edges():
    ids = np.zeros((1, 1, 8, 8), int)
    ids[0, 0, 2, 3] = 1
    ids[0, 0, 4:8, 0:3] = 2
    centres, present = dynamics.box_centres(ids, 4)
    np.testing.assert_array_equal(centres[0, 0, 1], [2.5, 3.5])
    np.testing.assert_array_equal(centres[0, 0, 2], [6.0, 1.5])
    np.testing.assert_array_equal(present[0, 0], [True, True, True, False])
    np.testing.assert_array_equal(centres[0, 0, 3], 0)


def test_perfect_prediction_has_cosine_one(two_squares):
    renamed = np.array([4, 1, 3])[two_squares]
    cosine = dynamics.velocity_cosine(
        renamed, *_truth(two_squares, 2), num_slots=5, num_observed=3
    )
    assert cosine.shape == (1, 3, 2)
    np.testing.assert_allclose(cosine, 1.0)


def test_angles_between_paths_are_measured():
    true = _squares([_line((12, 12), (0, 1), 4) + [(12, 17), (12, 19)]])
    pred = _squares([_line((12, 12), (0, 1), 4) + [(14, 17), (14, 15)]])
    cosine = dynamics.velocity_cosine(
        pred, *_truth(true, 1), num_slots=2, num_observed=4
    )
    np.testing.assert_allclose(
        cosine[0, :, 0], [np.cos(np.pi / 4), -1.0], atol=1e-12
    )


def test_standing_slots_and_lost_objects_are_skipped(two_squares):
    pred = two_squares.copy()
    pred[:, 3:] = pred[:, 2:3]  # both stand still after the observed frames
    pred[:, 4:][pred[:, 4:] == 2] = 0  # and the second is lost
    cosine = dynamics.velocity_cosine(
        pred, *_truth(two_squares, 2), num_slots=3, num_observed=3
    )
    assert np.all(np.isnan(cosine))


def test_slots_are_matched_on_observed_frames_alone(two_squares):
    pred = two_squares.copy()
    swapped = np.array([0, 2, 1])
    pred[:, 3:] = swapped[pred[:, 3:]]
    cosine = dynamics.velocity_cosine(
        pred, *_truth(two_squares, 2), num_slots=3, num_observed=3
    )
    # After the jump each slot moves as the other object does.
    np.testing.assert_allclose(cosine[0, 1:], 0.0, atol=1e-12)


def test_the_background_slot_is_matched_to_nothing(two_squares):
    true_centres, true_present = _truth(two_squares, 2)
    only_one = np.where(two_squares == 2, 0, two_squares)
    cosine = dynamics.velocity_cosine(
        only_one, true_centres, true_present, num_slots=2, num_observed=3
    )
    np.testing.assert_allclose(cosine[0, :, 0], 1.0)
    assert np.all(np.isnan(cosine[0, :, 1]))


def test_padding_objects_take_no_slot(two_squares):
    true_centres, true_present = _truth(two_squares, 4)
    cosine = dynamics.velocity_cosine(
        two_squares, true_centres, true_present, num_slots=3, num_observed=3
    )
    np.testing.assert_allclose(cosine[0, :, :2], 1.0)
    assert np.all(np.isnan(cosine[0, :, 2:]))


def test_shift_compares_longer_differences():
    steps = [(12, 4), (12, 6), (13, 8), (12, 10), (13, 12), (12, 14)]
    straight = [(12, 4 + 2 * t) for t in range(6)]
    true, pred = _squares([straight]), _squares([steps])
    args = (pred, *_truth(true, 1), 2, 2)
    one = dynamics.velocity_cosine(*args, shift=1)
    two = dynamics.velocity_cosine(*args, shift=2)
    assert one.shape == two.shape == (1, 4, 1)
    assert np.all(one < 0.99)
    np.testing.assert_allclose(two[0, 1:, 0], 1.0)


def test_places_of_objects_are_those_of_the_slots_next_to_them():
    rng = np.random.default_rng(0)
    true = rng.uniform(0, 30, (5, 6, 3, 2))
    order = np.array([rng.permutation(3) for _ in range(5)])
    slots = np.take_along_axis(true, order[:, None, :, None], 2) + 0.1
    slots = np.concatenate([np.zeros((5, 6, 1, 2)), slots], 2)
    there = np.ones((5, 6, 3), bool)
    places, found = dynamics.places_of_objects(
        slots,
        np.ones((5, 6, 4), bool),
        true,
        there,
        3,
        np.zeros(5, int),
        (32,) * 2,
    )
    assert found.all()
    np.testing.assert_allclose(places, true + 0.1)
    distance = dynamics.object_distance(places, found, true, there)
    np.testing.assert_allclose(distance, 0.1 * 2**0.5)
    cosine = dynamics.place_cosine(places, found, true, there, 3, 2)
    np.testing.assert_allclose(cosine, 1.0)


def test_distances_are_means_of_frames_in_which_there_is_an_object():
    places = np.zeros((1, 4, 3, 2))
    true = np.array([3.0, 4.0]) * np.array([1, 2, 9, 9])[:, None, None]
    true = np.broadcast_to(true, places.shape)
    there = np.zeros((1, 4, 3), bool)
    there[:, :2, :2] = True  # two frames of two objects
    found = np.ones((1, 4, 3), bool)
    found[:, 1, 1] = False  # the second one's slot is empty in one of them
    distance = dynamics.object_distance(places, found, true, there)
    np.testing.assert_array_equal(distance, [[7.5, np.inf, np.nan]])


@pytest.mark.parametrize("shift, observed", [(0, 3), (4, 3), (1, 6)])
def test_impossible_spans_are_refused(two_squares, shift, observed):
    with pytest.raises(ValueError, match="expected 1 <= shift"):
        dynamics.velocity_cosine(
            two_squares, *_truth(two_squares, 2), 3, observed, shift=shift
        )


def test_rollout_error_is_one_value_per_predicted_frame():
    video = np.zeros((2, 3, 4, 4, 3), np.float32)
    recon = np.zeros_like(video)
    recon[:, 1] = 0.5
    error = dynamics.rollout_error(video, recon)
    np.testing.assert_allclose(error, [[0, 0.25, 0]] * 2)
