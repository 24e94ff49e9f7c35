"""Networks of slots: all start alike, and none is rounded."""

import keras
import tensorflow as tf

from tfdecomp.layers.conv import TruncatedFanInNormal
from tfdecomp.layers.mlp import MLP


def mlp(hidden, units, name, initializer="truncated_normal"):
    """ELU layers and a linear one, float32.

    Examples:
        >>> from tfdecomp.layers.tracks.slot_networks import mlp
        >>> mlp((16,), units=4, name="head").activation
        'elu'
    """
    return MLP(hidden, units, "elu", initializer, dtype="float32", name=name)


def recurrent(units, name):
    """A plain recurrent cell: `tanh(W [x, h] + b)`, float32.

    Examples:
        >>> from tfdecomp.layers.tracks.slot_networks import recurrent
        >>> recurrent(units=8, name="relation").units
        8
    """
    return keras.layers.SimpleRNNCell(
        units, name=name, dtype="float32", **_start(units)
    )


def gated(units, name):
    """A gated recurrent unit with one bias for each gate, float32.

    Examples:
        >>> from tfdecomp.layers.tracks.slot_networks import gated
        >>> gated(units=8, name="temporal").reset_after
        False
    """
    return keras.layers.GRUCell(
        units, reset_after=False, name=name, dtype="float32", **_start(units)
    )


def _start(units):
    return {
        "kernel_initializer": TruncatedFanInNormal(),
        "recurrent_initializer": TruncatedFanInNormal(units),
    }


def start_weight(layer, units, name):
    """A vector that a recurrence of `layer` starts with, and that is learned.

    Examples:
        >>> import keras
        >>> from tfdecomp.layers.tracks.slot_networks import start_weight
        >>> start_weight(keras.layers.Layer(), units=8, name="start").name
        'start'
    """
    return layer.add_weight(
        shape=(units,),
        initializer="zeros",
        dtype="float32",
        autocast=False,
        name=name,
    )


def rows(weight, like):
    """A vector `[D]` for each row of `like`: `[N, D]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.tracks.slot_networks import rows
        >>> rows(tf.zeros([8]), like=tf.zeros([3, 2])).shape
        TensorShape([3, 8])
    """
    return tf.convert_to_tensor(weight) + tf.zeros_like(like[:, :1])


def decide(logit, uniform):
    """A choice: 1 as often as `sigmoid(logit)` says, or the likelier one.

    Args:
        logit: `[...]`.
        uniform: Of the same shape, in [0, 1); None for no noise.

    Returns:
        As `logit`, 0 or 1, without a gradient.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.tracks.slot_networks import decide
        >>> decide(tf.constant([-1.0, 1.0]), None).numpy()
        array([0., 1.], dtype=float32)
    """
    likely = tf.sigmoid(logit)
    return tf.cast((0.5 if uniform is None else uniform) < likely, tf.float32)
