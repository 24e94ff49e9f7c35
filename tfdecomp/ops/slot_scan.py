"""Slots of a frame one after the other, each knowing those before it."""

import tensorflow as tf


def scan_slots(step, carry, inputs):
    """Runs `step` over slots.

    A number of slots that is known is written out, which on a CPU takes less
    time than a loop; any other is a loop, in a graph that does not grow.

    Args:
        step: `step(carry, slot) -> (carry, records)`: `slot` has the inputs of
            one slot, `[N, D]`; `records` maps names to `[N, D']`.
        carry: Tensors by name, `[N, D]`, handed from slot to slot.
        inputs: Tensors by name, `[N, K, D]`, `K` at least 1.

    Returns:
        `(carry, records)`, the latter `[N, K, D']` each.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.slot_scan import scan_slots
        >>> add = lambda c, slot: ({"sum": c["sum"] + slot["x"]},) * 2
        >>> start, x = {"sum": tf.zeros([1, 1])}, tf.ones([1, 3, 1])
        >>> scan_slots(add, start, {"x": x})[1]["sum"].numpy().ravel()
        array([1., 2., 3.], dtype=float32)
    """
    first = next(iter(inputs.values()))
    count = first.shape[1]
    if count is None:
        return _loop(step, carry, inputs, tf.shape(first)[1])
    slots = {name: tf.unstack(value, axis=1) for name, value in inputs.items()}
    found = []
    for k in range(count):
        carry, records = step(carry, {n: slots[n][k] for n in slots})
        found.append(records)
    return carry, {n: tf.stack([r[n] for r in found], 1) for n in found[0]}


def _loop(step, carry, inputs, count):
    """The same of a number of slots that only the run knows."""

    def slot(k):
        return {n: tf.gather(value, k, axis=1) for n, value in inputs.items()}

    carry, first = step(carry, slot(0))
    arrays = {
        n: tf.TensorArray(tf.float32, count, element_shape=value.shape)
        for n, value in first.items()
    }
    arrays = {n: array.write(0, first[n]) for n, array in arrays.items()}

    def body(k, carry, arrays):
        carry, records = step(carry, slot(k))
        arrays = {n: a.write(k, records[n]) for n, a in arrays.items()}
        return k + 1, carry, arrays

    _, carry, arrays = tf.while_loop(
        lambda k, *_: k < count,
        body,
        (tf.constant(1), carry, arrays),
        parallel_iterations=1,
    )
    found = {n: array.stack() for n, array in arrays.items()}
    return carry, {n: tf.transpose(v, [1, 0, 2]) for n, v in found.items()}
