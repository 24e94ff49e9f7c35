"""Sets of objects as dictionaries of tensors, for SILOT.

| field | shape | meaning |
|---|---|---|
| `box` | `[B, n, 4]` | centre `(y, x)` and size `(h, w)`, in anchors |
| `size_logit` | `[B, n, 2]` | h and w before the logistic function |
| `position` | `[B, n, 2]` | `(y, x)` in the scene that the frame is cut of |
| `what` | `[B, n, A]` | appearance |
| `depth`, `depth_logit` | `[B, n, 1]` | larger is nearer |
| `presence` | `[B, n, 1]` | in (0, 1) |
| `hidden`, `prior_hidden` | `[B, n, D]` | states of the recurrent networks |
| `used` | `[B, n, 1]` | 0 for what was never discovered, 1 else |
"""

import tensorflow as tf

SINGLE = ("depth", "depth_logit", "presence", "used")
LIMIT = 10.0  # logits are kept within this of zero


def widths(what_dim, units) -> dict:
    """Field -> size of its last axis.

    Examples:
        >>> from tfdecomp.ops.object_record import widths
        >>> sizes = widths(what_dim=8, units=16)
        >>> sizes["box"], sizes["what"], sizes["hidden"]
        (4, 8, 16)
    """
    return {
        "box": 4,
        "size_logit": 2,
        "position": 2,
        "what": what_dim,
        **dict.fromkeys(SINGLE, 1),
        "hidden": units,
        "prior_hidden": units,
    }


def null(batch, count, what_dim, units) -> dict:
    """The set before the first frame: zeros.

    Examples:
        >>> from tfdecomp.ops.object_record import null
        >>> null(batch=2, count=5, what_dim=8, units=16)["box"].shape
        TensorShape([2, 5, 4])
    """
    return {
        name: tf.zeros([batch, count, width])
        for name, width in widths(what_dim, units).items()
    }


def features(record, hidden="hidden", use_position=True):
    """What other networks see of objects, without where they are.

    Args:
        record: A set of objects.
        hidden: Field with the recurrent state to show.
        use_position: Whether the position in the scene is shown.

    Returns:
        `[B, n, F]`.

    Examples:
        >>> from tfdecomp.ops.object_record import features, null
        >>> record = null(batch=2, count=5, what_dim=8, units=16)
        >>> features(record).shape  # place, size, 8, depth, presence, 16
        TensorShape([2, 5, 30])
    """
    parts = [record["position"]] if use_position else []
    parts += [
        record["box"][..., 2:],
        record["what"],
        record["depth"],
        record["presence"],
        record[hidden],
    ]
    return tf.concat(parts, axis=-1)


def join(first, second) -> dict:
    """Two sets as one, the first one's objects first.

    Examples:
        >>> from tfdecomp.ops.object_record import join, null
        >>> first, second = null(2, 5, 8, 16), null(2, 3, 8, 16)
        >>> join(first, second)["box"].shape
        TensorShape([2, 8, 4])
    """
    return {n: tf.concat([first[n], second[n]], axis=1) for n in first}


def take(record, source) -> dict:
    """Objects of these numbers, `[B, K]`, in one gather.

    Examples:
        >>> from tfdecomp.ops.object_record import null, take
        >>> record = null(batch=1, count=5, what_dim=8, units=16)
        >>> take(record, source=[[4, 0]])["box"].shape
        TensorShape([1, 2, 4])
    """
    names = list(record)
    packed = tf.concat([record[n] for n in names], axis=-1)
    packed = tf.gather(packed, source, batch_dims=1)
    sizes = [record[n].shape[-1] for n in names]
    return dict(zip(names, tf.split(packed, sizes, axis=-1)))


def squash(logit, bounds=(0.0, 1.0)):
    """The logistic function between two bounds, its argument clipped.

    Examples:
        >>> from tfdecomp.ops.object_record import squash
        >>> squash([0.0, 99.0], bounds=(-1.0, 3.0)).numpy().round(2)
        array([1., 3.], dtype=float32)
    """
    low, high = bounds
    logit = tf.clip_by_value(logit, -LIMIT, LIMIT)
    return low + (high - low) * tf.sigmoid(logit)


def deviation(logit):
    """Standard deviation of a raw output: `2 sigmoid(clip(logit))`.

    Examples:
        >>> from tfdecomp.ops.object_record import deviation
        >>> deviation([-99.0, 0.0]).numpy().round(2)
        array([0., 1.], dtype=float32)
    """
    return 2.0 * squash(logit)


def hold(value, training_wheels):
    """`value`, without gradients where `training_wheels` is 1.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.object_record import hold
        >>> hold(tf.constant([3.0]), training_wheels=1.0).numpy()
        array([3.], dtype=float32)
    """
    if training_wheels is None:
        return value
    blocked = tf.stop_gradient(value)
    return training_wheels * blocked + (1.0 - training_wheels) * value


def bounded_logit(raw, temperature, training_wheels=None):
    """The logit of presence of a raw output.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.object_record import bounded_logit
        >>> bounded_logit(tf.constant([1.0, 99.0]), temperature=0.5).numpy()
        array([ 2., 10.], dtype=float32)
    """
    logit = hold(raw, training_wheels) / temperature
    return tf.clip_by_value(logit, -LIMIT, LIMIT)


def split_noise(noise, what_dim):
    """Noise of where, what, depth and presence; all None if there is none.

    Args:
        noise: `normal` `[B, n, 4 + A + 1]` and `uniform` `[B, n, 1]`, or None.
        what_dim: `A`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.object_record import split_noise
        >>> normal, uniform = tf.zeros([1, 5, 13]), tf.zeros([1, 5, 1])
        >>> noise = {"normal": normal, "uniform": uniform}
        >>> [part.shape[-1] for part in split_noise(noise, what_dim=8)]
        [4, 8, 1, 1]
    """
    if noise is None:
        return [None] * 4
    normal = tf.split(noise["normal"], [4, what_dim, 1], axis=-1)
    return [*normal, noise["uniform"]]
