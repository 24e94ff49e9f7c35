"""Numbers of tracks, given out as objects appear."""

import tensorflow as tf


def give(before, last, is_present, is_new):
    """Gives every new object that is present the next number.

    Args:
        before: `[B, K]` int32 numbers of the slots' objects; 0 for none.
        last: `[B]` int32, the highest number so far.
        is_present: `[B, K]` bool.
        is_new: `[B, K]` bool, slots whose object is another one than before.

    Returns:
        `(track_ids [B, K], last [B], shown [B, K])`; `shown` is 0 where
        nothing is present. An object that was not present at first never
        gets a number.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.track_numbers import give
        >>> before, last = tf.constant([[4, 0]]), tf.constant([7])
        >>> seen, new = tf.constant([[True] * 2]), tf.constant([[False, True]])
        >>> track_ids, last, _ = give(before, last, seen, new)
        >>> track_ids.numpy(), last.numpy()
        (array([[4, 8]], dtype=int32), array([8], dtype=int32))
    """
    starts = tf.cast(is_new & is_present, tf.int32)
    fresh = last[:, None] + tf.cumsum(starts, axis=1)
    ids = tf.where(is_new, fresh * starts, before)
    # A single slot would lose its shape to broadcasting.
    ids = tf.ensure_shape(ids, before.shape)
    last = last + tf.reduce_sum(starts, axis=1)
    return ids, last, tf.where(is_present, ids, 0)
