"""A recurrence over frames and, in each frame, over components."""

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.lstm_cell import LSTMCell


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class ComponentRecurrence(keras.layers.Layer):
    """One frame of an LSTM that all components share.

        h_t^i, c_t^i = LSTM([u_t^i; h_t^(i-1)], (h_(t-1)^i, c_(t-1)^i))

    with `h_t^0 = 0`: a component knows what those before it made of the frame.

    Args:
        units: `H`, size of `h` and `c`.
        is_independent: Whether components know nothing of each other: the
            LSTM reads `u_t^i` alone.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        told: `[B, N, F]`, u of the frame; N is known.
        state: `(h, c)`, each `[B, N, H]`, of the frame before.

    Returns:
        `(h, c)`, each `[B, N, H]`, float32.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.pose.component_recurrence import (
        ...     ComponentRecurrence,
        ... )
        >>> state = tf.zeros([1, 2, 8]), tf.zeros([1, 2, 8])
        >>> h, c = ComponentRecurrence(units=8)(tf.zeros([1, 2, 5]), state)
        >>> h.shape
        TensorShape([1, 2, 8])

    References:
        Hsieh et al., DDPAE. NeurIPS 2018.
    """

    def __init__(self, units, is_independent=False, **kwargs):
        # The state is carried over all frames: always float32.
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.units = units
        self.is_independent = is_independent
        # Initial values and gates as in the authors' framework.
        self.cell = LSTMCell(units, 0.0, "fan_in_uniform", name="cell")

    def build(self, told_shape, *state_shapes):
        more = 0 if self.is_independent else self.units
        self.cell.build((None, told_shape[-1] + more))
        self.built = True

    def call(self, told, state):
        if self.is_independent:
            return self._all_at_once(told, state)
        after, h = [], tf.zeros_like(state[0][:, 0])
        for i in range(told.shape[1]):
            read = tf.concat([told[:, i], h], axis=-1)
            h, c = self.cell(read, tuple(part[:, i] for part in state))
            after.append((h, c))
        return tuple(tf.stack(parts, axis=1) for parts in zip(*after))

    def _all_at_once(self, told, state):
        flat = [tf.reshape(v, [-1, v.shape[-1]]) for v in (told, *state)]
        after = self.cell(flat[0], tuple(flat[1:]))
        shape = [-1, told.shape[1], self.units]
        return tuple(tf.reshape(part, shape) for part in after)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "is_independent": self.is_independent,
        }
