"""Peaks of hand-made maps, and of random ones against plain loops."""

import numpy as np
import pytest
import tensorflow as tf

from tfdecomp.ops import peaks

MOST = 4


def _map(values, size=7):
    """`{(row, column): height}` on zeros."""
    picture = np.zeros((size, size), np.float32)
    for place, height in values.items():
        picture[place] = height
    return picture


def _find(picture, threshold=4.0, window=3, most=MOST):
    count, order = peaks.find_peaks(
        tf.constant(picture[None]), threshold, most, window
    )
    return int(count[0]), [divmod(int(i), picture.shape[1]) for i in order[0]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({(3, 3): 5}, [(3, 3)]),
        ({(1, 1): 5, (5, 5): 7, (1, 5): 6}, [(5, 5), (1, 5), (1, 1)]),
        # The lower of two neighbours is on the other's slope.
        ({(3, 3): 5, (3, 4): 6}, [(3, 4)]),
        ({(3, 3): 5, (4, 4): 6}, [(4, 4)]),
        # Not greater than the threshold.
        ({(3, 3): 4.0}, []),
        ({(3, 3): 3.9, (0, 0): 5}, [(0, 0)]),
        # Corners and edges.
        ({(0, 0): 5, (0, 6): 6, (6, 0): 7, (6, 6): 8}, None),
        ({(0, 3): 5, (3, 0): 6}, [(3, 0), (0, 3)]),
        # Equal heights: by index.
        ({(1, 1): 5, (5, 5): 5}, [(1, 1), (5, 5)]),
    ],
)
def test_peaks_of_a_hand_made_map(values, expected):
    if expected is None:
        expected = sorted(values, key=values.get, reverse=True)
    count, order = _find(_map(values))
    assert count == len(expected)
    assert order[:count] == expected


@pytest.mark.parametrize(
    "block",
    [
        [(3, 3), (3, 4)],
        [(3, 3), (4, 3)],
        [(3, 3), (4, 4)],
        [(3, 4), (4, 3)],
        [(3, 3), (3, 4), (4, 3), (4, 4)],
        [(r, c) for r in (2, 3, 4) for c in (1, 2, 3, 4)],
        [(0, 0), (0, 1), (1, 0), (1, 1)],
        [(6, 5), (6, 6)],
    ],
)
def test_a_flat_top_counts_once(block):
    assert _find(_map(dict.fromkeys(block, 5)))[0] == 1


def test_a_blank_map_has_one_peak_where_the_threshold_lets_it():
    blank = np.zeros((7, 7), np.float32)
    assert _find(blank)[0] == 0
    # The first pixel alone has no equal before it.
    count, order = _find(blank, threshold=-1.0)
    assert (count, order[0]) == (1, (0, 0))


def test_no_more_than_the_most_are_counted_and_those_are_the_greatest():
    places = [(r, c) for r in (0, 3, 6) for c in (0, 3, 6)]
    values = {place: 5.0 + i for i, place in enumerate(places)}
    count, order = _find(_map(values))
    assert count == MOST
    assert order == places[::-1][:MOST]


def test_a_small_map_has_room_for_few_peaks_and_indices_stay_on_it():
    count, order = _find(np.full((1, 2), 5.0, np.float32), most=5)
    assert count == 1
    assert order[0] == (0, 0) and all(row == 0 for row, _ in order)


def test_a_larger_window_needs_a_wider_peak():
    picture = _map({(3, 2): 5, (3, 4): 6})
    assert _find(picture)[0] == 2
    count, order = _find(picture, window=5)
    assert (count, order[0]) == (1, (3, 4))


def test_thresholds_may_differ_between_maps():
    maps = tf.constant(np.stack([_map({(3, 3): 5})] * 2))
    count, _ = peaks.find_peaks(maps, tf.constant([4.0, 6.0]), MOST)
    np.testing.assert_array_equal(count, [1, 0])


@pytest.mark.parametrize("window", [2, 1, 0])
def test_a_window_without_a_middle_or_neighbours_is_refused(window):
    with pytest.raises(ValueError, match="odd and at least 3"):
        peaks.local_maxima(tf.zeros([1, 3, 3]), window)


@pytest.mark.parametrize("window", [3, 5])
def test_local_maxima_are_those_of_plain_loops(window):
    # Whole numbers, so that there are many ties.
    maps = np.random.default_rng(0).integers(0, 4, (20, 6, 5))
    found = peaks.local_maxima(tf.constant(maps, tf.float32), window)
    reach = window // 2
    for n, picture in enumerate(maps):
        for r, c in np.ndindex(picture.shape):
            is_peak = True
            for i, j in np.ndindex(picture.shape):
                if (i, j) == (r, c) or max(abs(i - r), abs(j - c)) > reach:
                    continue
                if (i, j) < (r, c):
                    is_peak &= picture[r, c] > picture[i, j]
                else:
                    is_peak &= picture[r, c] >= picture[i, j]
            assert bool(found[n, r, c]) == is_peak


def test_peaks_move_with_the_map():
    rng = np.random.default_rng(1)
    maps = np.zeros((5, 16, 16), np.float32)
    maps[:, 4:10, 3:9] = rng.normal(0, 5, (5, 6, 6))
    count, order = peaks.find_peaks(tf.constant(maps), 4.0, MOST)
    moved = tf.constant(np.roll(maps, (3, 4), (1, 2)))
    count_moved, order_moved = peaks.find_peaks(moved, 4.0, MOST)
    assert int(tf.reduce_max(count)) > 1
    np.testing.assert_array_equal(count_moved, count)
    for clip, n in enumerate(np.asarray(count)):
        np.testing.assert_array_equal(
            order_moved[clip, :n], order[clip, :n] + 3 * 16 + 4
        )
