"""The recurrent cell over refinements and time."""

import gin
import keras
import tensorflow as tf

from tfdecomp.layers.conv import fan_in_uniform


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class LSTM2DCell(keras.layers.Layer):
    """An LSTM with two incoming states, one along each axis of a grid.

        a = W_x u + W_t h_t + W_r h_r + b, split into i, f, o, l, g
        c = sigmoid(f) (sigmoid(l) c_t + (1 - sigmoid(l)) c_r)
            + sigmoid(i) tanh(g)
        h = sigmoid(o) tanh(c)

    One forget gate; the gate `l` weighs the state of the previous frame
    (`t`) against that of the previous refinement (`r`).

    Args:
        units: Size of `h` and `c`.
        separate_biases: Gives each of the three products a bias of its own,
            as PROVIDE's published code has it. Their sum is what counts, but
            it starts wider and an optimizer moves it three times as far.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, D]`.
        temporal: `(h, c)` of the previous frame, each `[N, units]`.
        refined: `(h, c)` of the previous refinement.

    Returns:
        `(h, c)`, float32.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.lstm2d_cell import LSTM2DCell
        >>> state = tf.zeros([2, 8]), tf.zeros([2, 8])
        >>> h, c = LSTM2DCell(units=8)(tf.zeros([2, 5]), state, state)
        >>> h.shape, c.shape
        (TensorShape([2, 8]), TensorShape([2, 8]))

    References:
        PROVIDE, section 3.3; Graves et al., Multi-dimensional recurrent
        neural networks (2007).
    """

    def __init__(self, units, separate_biases=False, **kwargs):
        # The state is carried over hundreds of cells: always float32.
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.units = units
        self.separate_biases = separate_biases

    def build(self, inputs_shape, *state_shapes):
        shapes = {
            "input": (inputs_shape[-1], 5 * self.units),
            "temporal": (self.units, 5 * self.units),
            "refined": (self.units, 5 * self.units),
        }
        self.kernels = [
            self.add_weight(
                name=f"{name}_kernel",
                shape=shape,
                initializer=fan_in_uniform(),
            )
            for name, shape in shapes.items()
        ]
        fans = {"bias": self.units}
        if self.separate_biases:
            fans = {f"{name}_bias": size[0] for name, size in shapes.items()}
        self.biases = [
            self.add_weight(
                name=name,
                shape=(5 * self.units,),
                initializer=keras.initializers.RandomUniform(
                    -(fan_in**-0.5), fan_in**-0.5
                ),
            )
            for name, fan_in in fans.items()
        ]
        self.built = True

    @property
    def bias(self):
        """What is added to the gates, `[5 units]`: a variable, or their sum."""
        if not self.separate_biases:
            return self.biases[0]
        return tf.add_n([tf.convert_to_tensor(b) for b in self.biases])

    def call(self, inputs, temporal, refined):
        read = tf.concat([inputs, temporal[0], refined[0]], axis=-1)
        kernel = tf.concat([tf.convert_to_tensor(k) for k in self.kernels], 0)
        gates = tf.nn.bias_add(tf.matmul(read, kernel), self.bias)
        i, f, o, weight, g = tf.split(gates, 5, axis=-1)
        weight = tf.sigmoid(weight)
        carried = weight * temporal[1] + (1.0 - weight) * refined[1]
        c = tf.sigmoid(f) * carried + tf.sigmoid(i) * tf.tanh(g)
        return tf.sigmoid(o) * tf.tanh(c), c

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "separate_biases": self.separate_biases,
        }
