"""Sets of objects."""

import numpy as np
import pytest
import tensorflow as tf

from tfdecomp.ops import object_record


def numbered(count, start=0):
    """Objects whose every number says which they are."""
    ids = np.arange(start, start + count, dtype=np.float32)[None, :, None]
    return {
        n: tf.constant(np.tile(ids, (1, 1, w)))
        for n, w in object_record.widths(3, 2).items()
    }


def test_the_empty_set_is_zeros():
    record = object_record.null(2, 4, 3, 5)
    assert set(record) == set(object_record.widths(3, 5))
    for name, width in object_record.widths(3, 5).items():
        assert record[name].shape == (2, 4, width)
        assert not np.any(record[name])


def test_features_leave_out_where_an_object_is():
    record = numbered(2)
    assert object_record.features(record).shape == (1, 2, 2 + 2 + 3 + 2 + 2)
    less = object_record.features(record, use_position=False)
    assert less.shape == (1, 2, 2 + 3 + 2 + 2)
    moved = {**record, "box": record["box"] + [5.0, 5.0, 0.0, 0.0]}
    np.testing.assert_array_equal(
        object_record.features(moved), object_record.features(record)
    )


def test_published_features_have_198_numbers():
    record = object_record.null(1, 1, 64, 128)
    assert object_record.features(record).shape[-1] == 198


def test_join_and_take_keep_objects_together():
    both = object_record.join(numbered(3), numbered(4, start=3))
    taken = object_record.take(both, tf.constant([[5, 0, 3]]))
    for name, width in object_record.widths(3, 2).items():
        expected = np.tile(np.float32([5, 0, 3])[None, :, None], (1, 1, width))
        np.testing.assert_array_equal(taken[name], expected)


def test_what_is_not_taken_gets_no_gradient():
    record = numbered(4)
    with tf.GradientTape() as tape:
        tape.watch(record["what"])
        taken = object_record.take(record, tf.constant([[2, 0]]))
        total = tf.reduce_sum(taken["what"])
    gradient = tape.gradient(total, record["what"])
    np.testing.assert_array_equal(gradient[0, :, 0], [1.0, 0.0, 1.0, 0.0])


@pytest.mark.parametrize("wheels", [0.0, 0.3, 1.0])
def test_training_wheels_hold_back_gradients_not_values(wheels):
    value = tf.constant([1.5, -2.0])
    with tf.GradientTape() as tape:
        tape.watch(value)
        held = object_record.hold(value, wheels)
        total = tf.reduce_sum(held)
    np.testing.assert_allclose(held, value, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(total, value), 1.0 - wheels)


def test_squashed_values_stay_within_bounds():
    value = object_record.squash(
        tf.constant([-1e6, 0.0, 1e6]), bounds=(-0.5, 1.5)
    )
    np.testing.assert_allclose(value, [-0.5, 0.5, 1.5], atol=1e-3)
    np.testing.assert_allclose(object_record.deviation(tf.constant(0.0)), 1.0)
