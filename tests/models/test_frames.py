"""Loops over frames."""

import numpy as np
import pytest
import tensorflow as tf

from tfdecomp.models.parts.frames import open_shape, scan_frames


def _running_sum(video, carry):
    """Sums of frames; each step forgets the batch size, as a model may."""

    def step(t, carry):
        total = carry + tf.gather(video, t, axis=1)
        total = tf.reshape(total, tf.shape(video)[:1])
        return total, {"total": total}

    return scan_frames(step, tf.shape(video)[1], carry, ["total"])


@pytest.mark.parametrize("compiled", [False, True])
def test_a_clip_total_may_lose_its_static_batch_size_in_the_loop(compiled):
    run = tf.function(_running_sum) if compiled else _running_sum
    video = np.arange(6, dtype=np.float32).reshape(2, 3)
    last, records = run(tf.constant(video), tf.zeros([2]))
    np.testing.assert_allclose(last, video.sum(1))
    np.testing.assert_allclose(records["total"], video.cumsum(1))


def test_the_carry_may_be_numpy():
    video = np.ones((2, 3), np.float32)
    run = tf.function(lambda: _running_sum(video, np.ones(2, np.float32)))
    np.testing.assert_allclose(run()[0], [4.0, 4.0])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ([], []),
        ([2], [None]),
        ([6, 5], [None, 5]),
        ([2, 3, 5], [None, None, 5]),
        ([2, 3, 4, 4, 1], [None, None, 4, 4, 1]),
    ],
)
def test_batch_and_slots_of_a_loop_variable_are_open(shape, expected):
    assert open_shape(tf.zeros(shape)).as_list() == expected
