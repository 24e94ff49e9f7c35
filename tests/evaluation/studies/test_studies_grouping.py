"""Segmentations grouped up to relabelling, on hand-made cases."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from tfdecomp.metrics import partitions

HALVES = np.repeat([[0, 0, 1, 1]], 4, axis=0)
ROWS = HALVES.T
THIRDS = np.repeat([[0, 1, 2, 2]], 4, axis=0)


def test_pairs_have_the_ari_of_scikit_learn():
    ids = np.random.default_rng(0).integers(0, 4, (6, 5, 5))
    expected = [
        [adjusted_rand_score(a.ravel(), b.ravel()) for b in ids] for a in ids
    ]
    np.testing.assert_allclose(partitions.pairwise_ari(ids), expected)


def test_relabelled_segmentations_are_one_group():
    ids = np.stack([HALVES, 1 - HALVES, HALVES + 3])
    np.testing.assert_array_equal(partitions.group(ids), [0, 0, 0])


def test_different_ones_are_groups_of_their_own_the_largest_first():
    ids = np.stack([THIRDS, HALVES, ROWS, 1 - ROWS, ROWS + 1, 1 - HALVES])
    np.testing.assert_array_equal(partitions.group(ids), [2, 1, 0, 0, 0, 1])


def test_groups_of_one_size_keep_the_order_of_their_members():
    ids = np.stack([ROWS, HALVES])
    np.testing.assert_array_equal(partitions.group(ids), [0, 1])


def test_the_threshold_decides_and_groups_are_connected():
    shifted = [np.roll(np.arange(64).reshape(8, 8) // 32, n, 0) for n in (0, 1)]
    between = np.where(np.arange(8)[None] < 4, shifted[0], shifted[1])
    ids = np.stack([*shifted, between])
    matrix = partitions.pairwise_ari(ids)
    near, far = matrix[0, 2], matrix[0, 1]
    assert far < near < 1
    assert partitions.group(ids, (near + 1) / 2).max() == 2
    # The outer two meet through the one between them.
    assert partitions.group(ids, (far + near) / 2).max() == 0


def test_the_representative_is_closest_to_the_others():
    noisy = HALVES.copy()
    noisy[0, 0] = 1
    ids = np.stack([noisy, ROWS, HALVES, 1 - HALVES])
    assert partitions.representative(ids, np.array([0, 2, 3])) == 2
    assert partitions.representative(ids, np.array([1])) == 1


@pytest.mark.parametrize("count", [1, 2])
def test_few_runs_are_no_problem(count):
    ids = np.stack([HALVES] * count)
    np.testing.assert_array_equal(partitions.group(ids), [0] * count)
