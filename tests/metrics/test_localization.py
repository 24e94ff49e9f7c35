"""Points and boxes, by hand, against k-d trees, rasters and brute force."""

import itertools

import numpy as np
import pytest
from scipy.spatial import cKDTree

from tfdecomp.metrics import localization


def _slots(values):
    """`[n, d]` of object slots -> `[1, 1, 1 + n, d]` with a background."""
    values = np.asarray(values, np.float32).reshape(len(values), -1)
    return np.concatenate([np.zeros_like(values[:1]), values])[None, None]


def _true(values):
    return np.asarray(values, np.float32)[None, None]


def _ones(count):
    return np.ones((1, 1, count))


def _located(found, true, used=None, present=None, **kwargs):
    found = _slots(found)
    return localization.location_accuracy(
        found,
        _ones(found.shape[2]) if used is None else np.array([[[1, *used]]]),
        _true(true),
        _ones(len(true)) if present is None else np.array([[present]]),
        **kwargs,
    ).item()


def _boxed(found, true, used=None, present=None):
    found = _slots(found)
    return localization.box_miou(
        found,
        _ones(found.shape[2]) if used is None else np.array([[[1, *used]]]),
        _true(true),
        _ones(len(true)) if present is None else np.array([[present]]),
    ).item()


def test_two_pixels_away_is_close_and_a_little_more_is_not():
    assert _located([[10.5, 20.5]], [[12.5, 20.5]]) == 1.0
    assert _located([[10.5, 20.5]], [[12.6, 20.5]]) == 0.0
    # Euclidean: each coordinate alone is close.
    assert _located([[10.5, 20.5]], [[12.0, 22.0]]) == 0.0
    assert _located([[10.5, 20.5]], [[12.0, 22.0]], radius=3) == 1.0


def test_location_accuracy_agrees_with_a_nearest_neighbour_search():
    rng = np.random.default_rng(0)
    found = rng.uniform(0, 16, (6, 3, 5, 2))
    true = rng.uniform(0, 16, (6, 3, 4, 2))
    presence = rng.random((6, 3, 5))
    present = rng.random((6, 3, 4)) < 0.7
    scores = localization.location_accuracy(found, presence, true, present)
    for b in range(6):
        close = []
        for t in range(3):
            points = found[b, t, 1:][presence[b, t, 1:] > 0.5]
            centres = true[b, t][present[b, t]]
            if not len(points):
                close += [False] * len(centres)
                continue
            close += list(cKDTree(points).query(centres)[0] <= 2)
        assert scores[b] == pytest.approx(np.mean(close))


def test_the_background_s_location_is_close_to_nothing():
    found = np.zeros((1, 1, 2, 2))
    found[0, 0, 1] = 30
    score = localization.location_accuracy(
        found, np.ones((1, 1, 2)), np.zeros((1, 1, 1, 2)), np.ones((1, 1, 1))
    )
    assert score == 0.0


def test_one_location_serves_two_centres():
    assert _located([[5, 5]], [[4, 5], [6, 5]]) == 1.0


@pytest.mark.parametrize("score", [_located, _boxed])
class TestBothScores:
    def _places(self, score, *rows):
        """Points, or boxes of four pixels' side with that corner."""
        if score is _located:
            return [[float(r), float(r)] for r in rows]
        return [[r, r, r + 4, r + 4] for r in rows]

    def test_are_one_for_what_is_there(self, score):
        places = self._places(score, 0, 10, 20)
        assert score(places[::-1], places) == 1.0

    def test_are_not_a_number_without_objects(self, score):
        places = self._places(score, 0, 10)
        assert np.isnan(score(places, places, present=[0, 0]))
        assert np.isnan(score(places, places, used=[0, 0], present=[0, 0]))

    def test_are_zero_where_nothing_is_found(self, score):
        places = self._places(score, 0, 10)
        assert score(places, places, used=[0.5, 0.1]) == 0.0

    def test_do_not_mind_more_than_there_is(self, score):
        found = self._places(score, 0, 10, 20, 30)
        assert score(found, self._places(score, 20, 0)) == 1.0

    def test_miss_what_is_not_found(self, score):
        found = self._places(score, 10)
        assert score(found, self._places(score, 0, 10, 20)) == pytest.approx(
            1 / 3
        )

    def test_do_not_look_for_absent_objects(self, score):
        places = self._places(score, 0, 10)
        assert score(places[:1], places, present=[1, 0]) == 1.0


def test_scores_are_over_the_objects_of_all_frames():
    found = np.zeros((1, 2, 2, 2))
    true = np.zeros((1, 2, 3, 2))
    true[0, 1] = 9.0  # three objects far away, after one that is found
    present = np.array([[[1, 0, 0], [1, 1, 1]]])
    score = localization.location_accuracy(
        found, np.ones((1, 2, 2)), true, present
    )
    assert score == 0.25


def _integer_boxes(rng, *shape):
    low = rng.integers(0, 6, (*shape, 2))
    return np.concatenate([low, low + rng.integers(1, 6, (*shape, 2))], -1)


def _raster(box):
    mask = np.zeros((12, 12), bool)
    mask[box[0] : box[2], box[1] : box[3]] = True
    return mask


def test_iou_of_boxes_is_that_of_their_pixels():
    rng = np.random.default_rng(0)
    first, second = _integer_boxes(rng, 20), _integer_boxes(rng, 15)
    iou = localization.box_iou(first, second)
    assert iou.shape == (20, 15)
    for i, j in np.ndindex(iou.shape):
        a, b = _raster(first[i]), _raster(second[j])
        assert iou[i, j] == pytest.approx((a & b).sum() / (a | b).sum())


def test_iou_of_empty_boxes_is_zero():
    empty = np.zeros((1, 4))
    assert localization.box_iou(empty, empty) == 0.0
    assert localization.box_iou(empty, [[0, 0, 2, 2]]) == 0.0


@pytest.mark.parametrize("num_slots, num_objects", [(4, 3), (2, 4), (3, 3)])
def test_box_miou_matches_every_assignment_tried(num_slots, num_objects):
    rng = np.random.default_rng(num_slots)
    for _ in range(10):
        found = _integer_boxes(rng, num_slots)
        true = _integer_boxes(rng, num_objects)
        iou = localization.box_iou(found, true)
        # A row of zeros for each object: it may stay without a box.
        iou = np.concatenate([iou, np.zeros((num_objects, num_objects))])
        best = max(
            sum(iou[slot, n] for n, slot in enumerate(slots))
            for slots in itertools.permutations(range(len(iou)), num_objects)
        )
        assert _boxed(found, true) == pytest.approx(best / num_objects)


def test_two_objects_cannot_share_a_box():
    assert _boxed([[0, 0, 4, 4]], [[0, 0, 4, 4], [0, 0, 4, 2]]) == 0.5


def test_centres_of_boxes_are_in_pixel_edges():
    np.testing.assert_array_equal(
        localization.box_centres([[3, 7, 4, 8], [0, 0, 4, 2]]),
        [[3.5, 7.5], [2.0, 1.0]],
    )


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"locations": (2, 3, 4, 3)}, r"locations must be \[B, T, number, 2\]"),
        ({"true": (2, 3, 5)}, r"true_centres must be \[B, T, number, 2\]"),
        ({"true": (2, 4, 5, 2)}, "of the same clips and frames"),
        ({"presence": (2, 3, 5)}, r"presence must be \(2, 3, 4\)"),
        ({"present": (2, 3, 4)}, r"true_present must be \(2, 3, 5\)"),
    ],
)
def test_other_shapes_are_refused(changes, message):
    shapes = {
        "locations": (2, 3, 4, 2),
        "presence": (2, 3, 4),
        "true": (2, 3, 5, 2),
        "present": (2, 3, 5),
        **changes,
    }
    with pytest.raises(ValueError, match=message):
        localization.location_accuracy(*map(np.ones, shapes.values()))
