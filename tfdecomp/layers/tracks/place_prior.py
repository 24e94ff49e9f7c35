"""Where new objects are, as far as those found before tell."""

import math

import keras
import tensorflow as tf

from tfdecomp.layers.tracks.slot_glimpse import FLOOR
from tfdecomp.layers.tracks.slot_networks import mlp, recurrent
from tfdecomp.ops.slot_scan import scan_slots
from tfdecomp.ops.sprites import WHERE

_ONE = math.log(math.expm1(1.0 - FLOOR))  # softplus and the floor make it 1


@keras.saving.register_keras_serializable(package="tfdecomp")
class PlacePrior(keras.layers.Layer):
    """Where one finds objects, given where those before were found.

        h_j = tanh(W [where_{j-1}, h_{j-1}] + b)
        p(where_j) = N(first_mean + change(h_j), softplus(raw(h_j)) + .01)

    At first the network says nothing, and the deviation is 1.

    Args:
        units: `D`, of the recurrent state.
        first_mean: Of the four numbers of where, at first.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        where: `[N, K, 4]`, those found, in order.

    Returns:
        `(mean, deviation)`, `[N, K, 4]` each; row j does not depend on j and
        those after it.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.tracks.place_prior import PlacePrior
        >>> mean, deviation = PlacePrior(units=16)(tf.ones([1, 3, 4]))
        >>> mean[0, 2].numpy()
        array([-2., -2.,  0.,  0.], dtype=float32)
    """

    def __init__(self, units=256, first_mean=(-2.0, -2.0, 0.0, 0.0), **kwargs):
        kwargs["dtype"] = "float32"  # as of propagation
        super().__init__(**kwargs)
        self.units = units
        self.first_mean = tuple(first_mean)
        self.cell = recurrent(units, "cell")
        self.head = mlp((), 2 * WHERE, "head", "zeros")

    def build(self, where_shape=None):
        self.cell.build((None, WHERE))
        self.head.build((None, self.units))
        self.built = True

    def call(self, where):
        # Each knows those before it alone.
        last = tf.pad(where, [(0, 0), (1, 0), (0, 0)])[:, :-1]
        last = tf.ensure_shape(last, where.shape)

        def step(carry, slot):
            state, _ = self.cell(slot["last"], [carry["state"]])
            return {"state": state}, {"state": state}

        start = {"state": tf.zeros([tf.shape(where)[0], self.units])}
        _, found = scan_slots(step, start, {"last": last})
        mean, raw = tf.split(self.head(found["state"]), 2, axis=-1)
        mean += tf.constant(self.first_mean, tf.float32)
        return mean, tf.nn.softplus(raw + _ONE) + FLOOR

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "first_mean": self.first_mean,
        }
