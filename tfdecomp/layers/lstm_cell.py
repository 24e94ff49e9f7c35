"""The recurrent cell over refinements."""

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.conv import TruncatedFanInNormal


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class LSTMCell(keras.layers.Layer):
    """A standard LSTM cell with one bias.

        i, g, f, o = split(W [u, h] + b)
        c' = sigmoid(f + offset) c + sigmoid(i) tanh(g)
        h' = sigmoid(o) tanh(c')

    Args:
        units: Size of `h` and `c`.
        forget_offset: Added to the forget gate.
        initializer: `"truncated_normal"` (IODINE: weights and bias) or
            `"fan_in_uniform"` (both `U(-1/sqrt(units), 1/sqrt(units))`).
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, D]`.
        state: `(h, c)`, each `[N, units]`.

    Returns:
        `(h, c)`, float32.

    Raises:
        ValueError: If `initializer` is unknown.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.lstm_cell import LSTMCell
        >>> state = tf.zeros([2, 8]), tf.zeros([2, 8])
        >>> h, c = LSTMCell(units=8)(tf.zeros([2, 5]), state)
        >>> h.shape, c.shape
        (TensorShape([2, 8]), TensorShape([2, 8]))

    References:
        IODINE, appendix B.
    """

    def __init__(
        self, units, forget_offset=1.0, initializer="truncated_normal", **kwargs
    ):
        # The state is carried over all refinements: always float32.
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        if initializer not in ("truncated_normal", "fan_in_uniform"):
            raise ValueError(
                'initializer must be "truncated_normal" or "fan_in_uniform", '
                f"got {initializer!r}"
            )
        self.units = units
        self.forget_offset = forget_offset
        self.initializer = initializer

    def build(self, inputs_shape, *state_shapes):
        count = inputs_shape[-1] + self.units
        rule = TruncatedFanInNormal(count)
        if self.initializer == "fan_in_uniform":
            limit = self.units**-0.5
            rule = keras.initializers.RandomUniform(-limit, limit)
        self.kernel = self.add_weight(
            name="kernel", shape=(count, 4 * self.units), initializer=rule
        )
        self.bias = self.add_weight(
            name="bias", shape=(4 * self.units,), initializer=rule
        )
        self.built = True

    def call(self, inputs, state):
        h, c = state
        read = tf.concat([inputs, h], axis=-1)
        gates = tf.nn.bias_add(tf.matmul(read, self.kernel), self.bias)
        i, g, f, o = tf.split(gates, 4, axis=-1)
        c = tf.sigmoid(f + self.forget_offset) * c + tf.sigmoid(i) * tf.tanh(g)
        return tf.sigmoid(o) * tf.tanh(c), c

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "forget_offset": self.forget_offset,
            "initializer": self.initializer,
        }
