"""Which objects go on to the next frame, and in which slot."""

import tensorflow as tf


def select(presence, num_kept):
    """The `K` objects most present; those propagated stay in their slots.

    Candidates are the `K` propagated objects, then the discovered ones. Of
    equals the first wins, so propagated ones beat discovered ones. Slots that
    fall free are filled in their order with the selected discovered objects
    in theirs.

    Args:
        presence: `[B, N]`.
        num_kept: `K`, the number of slots and of the first candidates.

    Returns:
        `(source, is_new)`, `[B, K]`: int32 number of the candidate in each
        slot, and whether it was discovered. No gradient passes.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.selection import select
        >>> presence = tf.constant([[0.9, 0.1, 0.8]])  # the last is discovered
        >>> source, is_new = select(presence, num_kept=2)
        >>> source.numpy(), is_new.numpy()
        (array([[0, 2]], dtype=int32), array([[False,  True]]))

    References:
        Crawford and Pineau, SILOT. AAAI 2020.
    """
    presence = tf.stop_gradient(presence)
    _, chosen = tf.math.top_k(presence, num_kept)
    chosen = tf.sort(chosen, axis=1)  # [B, K]
    is_propagated = chosen < num_kept
    count = tf.reduce_sum(tf.cast(is_propagated, tf.int32), 1, keepdims=True)
    slots = tf.range(num_kept)[None]
    # A slot is kept if its number is among the chosen ones.
    kept = tf.reduce_any(chosen[:, :, None] == slots[:, None], axis=1)
    rank = tf.cumsum(1 - tf.cast(kept, tf.int32), axis=1) - 1
    position = tf.minimum(count + tf.maximum(rank, 0), num_kept - 1)
    discovered = tf.gather(chosen, position, batch_dims=1)
    source = tf.where(kept, tf.broadcast_to(slots, tf.shape(kept)), discovered)
    return source, tf.logical_not(kept)
