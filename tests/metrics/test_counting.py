"""Counts of objects, by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, mean_absolute_error

from tfdecomp.metrics import counting


def _presence(*frames):
    """One clip; each frame lists the presence of its object slots."""
    return np.array([[[1.0, *frame] for frame in frames]])


def test_scores_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    presence = rng.random((5, 7, 6))
    true = rng.integers(0, 6, (5, 7))
    accuracy = counting.count_accuracy(presence, true)
    error = counting.count_error(presence, true)
    for b in range(5):
        found = [sum(p > 0.5 for p in frame[1:]) for frame in presence[b]]
        assert accuracy[b] == pytest.approx(accuracy_score(true[b], found))
        assert error[b] == pytest.approx(mean_absolute_error(true[b], found))


def test_the_background_is_no_object():
    presence = _presence([0.0, 0.0])
    assert counting.count_accuracy(presence, [0]) == 1.0
    assert counting.count_error(presence, [1]) == 1.0


def test_a_half_is_not_in_use():
    presence = _presence([0.5, 0.51])
    np.testing.assert_array_equal(
        counting.used_slots(presence), [[[False, True]]]
    )


def test_finding_none_is_right_where_there_is_none_and_wrong_elsewhere():
    presence = _presence([0.1, 0.2], [0.1, 0.2])
    assert counting.count_accuracy(presence, [[0, 3]]) == 0.5
    assert counting.count_error(presence, [[0, 3]]) == 1.5


def test_too_many_and_too_few_do_not_make_up_for_each_other_over_frames():
    presence = _presence([1, 1, 1], [1, 0, 0])
    np.testing.assert_array_equal(
        counting.count_difference(presence, [2]), [[1, -1]]
    )
    assert counting.count_accuracy(presence, [2]) == 0.0
    assert counting.count_error(presence, [2]) == 1.0


def test_a_count_for_each_clip_holds_for_all_its_frames():
    rng = np.random.default_rng(1)
    presence, true = rng.random((4, 3, 5)), np.array([0, 1, 2, 3])
    for score in (counting.count_accuracy, counting.count_error):
        np.testing.assert_array_equal(
            score(presence, true),
            score(presence, np.repeat(true[:, None], 3, 1)),
        )


def test_unsigned_counts_do_not_wrap_around():
    presence = _presence([0.0])
    true = np.array([[2]], np.uint8)
    assert counting.count_difference(presence, true) == -2


@pytest.mark.parametrize(
    "presence, true, message",
    [
        (np.zeros((2, 3)), np.zeros(2), r"presence must be \[B, T, K\]"),
        (np.zeros((2, 3, 0)), np.zeros(2), "background in slot 0"),
        (np.zeros((2, 3, 4)), np.zeros(3), "true_counts must be"),
        (np.zeros((2, 3, 4)), np.zeros((2, 4)), "true_counts must be"),
    ],
)
def test_other_shapes_are_refused(presence, true, message):
    with pytest.raises(ValueError, match=message):
        counting.count_accuracy(presence, true)
