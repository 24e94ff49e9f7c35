"""Who goes on, and in which slot."""

import numpy as np
import pytest
import tensorflow as tf

from tfdecomp.ops import selection


def by_hand(presence, kept):
    """The rule in words, for one row."""
    order = sorted(range(len(presence)), key=lambda i: (-presence[i], i))
    chosen = sorted(order[:kept])
    source = [i if i in chosen else None for i in range(kept)]
    new = [i for i in chosen if i >= kept]
    for slot in range(kept):
        if source[slot] is None:
            source[slot] = new.pop(0)
    return source


@pytest.mark.parametrize("seed", range(4))
def test_source_follows_the_rule_in_words(seed):
    rng = np.random.default_rng(seed)
    presence = rng.choice([0.0, 0.2, 0.5, 0.9], (30, 11)).astype(np.float32)
    source, is_new = selection.select(presence, 4)
    for row, found, new in zip(presence, source.numpy(), is_new.numpy()):
        assert list(found) == by_hand(row, 4)
        np.testing.assert_array_equal(new, found >= 4)


def test_who_stays_keeps_the_slot():
    presence = np.float32([[0.9, 0.1, 0.8, 0.7, 0.2]])
    source, is_new = selection.select(presence, 3)
    np.testing.assert_array_equal(source, [[0, 3, 2]])
    np.testing.assert_array_equal(is_new, [[False, True, False]])


def test_of_equals_propagated_ones_win():
    source, is_new = selection.select(np.full((2, 9), 0.4, np.float32), 5)
    np.testing.assert_array_equal(source, [range(5)] * 2)
    assert not np.any(is_new)


def test_nothing_present_changes_nothing():
    source, is_new = selection.select(np.zeros((1, 20), np.float32), 4)
    np.testing.assert_array_equal(source, [range(4)])
    assert not np.any(is_new)


def test_the_number_of_slots_may_be_a_tensor():
    presence = np.random.default_rng(0).random((3, 10)).astype(np.float32)
    function = tf.function(selection.select, autograph=False)
    for a, b in zip(
        function(presence, tf.constant(4)), selection.select(presence, 4)
    ):
        np.testing.assert_array_equal(a, b)
