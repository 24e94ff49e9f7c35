"""What objects do where nobody looks."""

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.tracks.slot_glimpse import FLOOR
from tfdecomp.layers.tracks.slot_networks import gated, mlp
from tfdecomp.ops.sprites import WHERE


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class SlotPrior(keras.layers.Layer):
    """SQAIR's learned prior of objects that stay, each by itself.

        h_t = GRU([what_{t-1}, where_{t-1}], h_{t-1})
        p(where_t, what_t) = N(those before + change(h_t), softplus(raw) + .01)
        p(stays) = sigmoid(logit(h_t) + keep_bias)

    Args:
        what_dim: Length of an appearance, `A`.
        units: `D`, of the recurrent state.
        keep_bias: Added to the logit of staying present.
        is_relative: Whether the network says how where and what change, or
            else what they are.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        before: `what` `[N, K, A]`, `where` `[N, K, 4]` and `prior_hidden`
            `[N, K, D]`.

    Returns:
        `(prior_hidden, prior)`: the latter `mean` and `deviation`
        `[N, K, 4 + A]` of where and what, `logit` `[N, K, 1]`.

    Examples:
        >>> from tfdecomp.layers.tracks.slot_prior import SlotPrior
        >>> SlotPrior(what_dim=8, units=16, keep_bias=10.0).keep_bias
        10.0
    """

    def __init__(
        self,
        what_dim=50,
        units=256,
        keep_bias=10.0,
        is_relative=True,
        **kwargs,
    ):
        kwargs["dtype"] = "float32"  # as of propagation
        super().__init__(**kwargs)
        self.what_dim = what_dim
        self.units = units
        self.keep_bias = keep_bias
        self.is_relative = is_relative
        self.cell = gated(units, "cell")
        # Nothing changes at first.
        self.head = mlp((), 2 * (what_dim + WHERE) + 1, "head", "zeros")

    def build(self, *shapes):
        self.cell.build((None, self.what_dim + WHERE))
        self.head.build((None, self.units))
        self.built = True

    def call(self, before):
        known = tf.concat([before["where"], before["what"]], axis=-1)
        state, width = before["prior_hidden"], self.what_dim + WHERE
        shape = tf.shape(state)
        after, _ = self.cell(
            tf.reshape(known, [-1, width]),
            [tf.reshape(state, [-1, self.units])],
        )
        after = tf.ensure_shape(tf.reshape(after, shape), state.shape)
        mean, raw, logit = tf.split(self.head(after), [width, width, 1], -1)
        if self.is_relative:
            mean += known
        return after, {
            "mean": mean,
            "deviation": tf.nn.softplus(raw) + FLOOR,
            "logit": logit + self.keep_bias,
        }

    def get_config(self):
        return {
            **super().get_config(),
            "what_dim": self.what_dim,
            "units": self.units,
            "keep_bias": self.keep_bias,
            "is_relative": self.is_relative,
        }
