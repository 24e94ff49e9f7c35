"""What SILOT keeps of every frame, packed so that a loop carries few tensors.

Of propagated objects (`n = K`), of discovered ones (one for every cell) and
of those selected (`n = K`); `mean` and `deviation` are of where, what and
depth, `logit` and `sample` of presence before the logistic function.
"""

import tensorflow as tf

NAMES = ("propagated", "discovered", "selected")


def layouts(what_dim) -> dict:
    """Record -> part -> size of its last axis, in the order of packing.

    Examples:
        >>> from tfdecomp.ops.frame_records import layouts
        >>> layouts(what_dim=8)["discovered"]  # where, 8 numbers, depth
        {'mean': 13, 'deviation': 13, 'logit': 1, 'presence': 1}
    """
    width = 5 + what_dim
    return {
        "propagated": {
            "mean": width,
            "deviation": width,
            "prior_mean": width,
            "prior_deviation": width,
            "logit": 1,
            "sample": 1,
            "prior_logit": 1,
            "presence": 1,
        },
        "discovered": {
            "mean": width,
            "deviation": width,
            "logit": 1,
            "presence": 1,
        },
        "selected": {
            "box": 4,
            "what": what_dim,
            "depth": 1,
            "presence": 1,
            "source": 1,
            "track_ids": 1,
        },
    }


def pack(parts, layout):
    """Parts `[B, n, width]`, by name -> `[B, n, D]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.frame_records import pack
        >>> parts = {"mean": tf.zeros([1, 5, 3]), "logit": tf.ones([1, 5, 1])}
        >>> pack(parts, layout={"mean": 3, "logit": 1}).shape
        TensorShape([1, 5, 4])
    """
    return tf.concat([tf.cast(parts[n], tf.float32) for n in layout], axis=-1)


def unpack(values, layout) -> dict:
    """Inverse of `pack`, whatever axes come before the last.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.frame_records import unpack
        >>> parts = unpack(tf.zeros([2, 5, 4]), layout={"mean": 3, "logit": 1})
        >>> parts["mean"].shape
        TensorShape([2, 5, 3])
    """
    parts = tf.split(values, list(layout.values()), axis=-1)
    return dict(zip(layout, parts))
