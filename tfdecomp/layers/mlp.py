"""Dense layers in a row."""

import keras
import tensorflow as tf

from tfdecomp.layers.conv import TruncatedFanInNormal


@keras.saving.register_keras_serializable(package="tfdecomp")
class MLP(keras.layers.Layer):
    """Layers in a row, ReLU by default, then a linear one; for every object.

    Objects and clips are one dimension of one matrix product. Biases start at
    zero.

    Args:
        hidden: Widths of the hidden layers.
        units: Width of the output.
        activation: Of the hidden layers, as Keras names it.
        initializer: Of kernels: `"truncated_normal"`, of deviation
            `1/sqrt(fan_in)`, or as Keras names it; by default Glorot's.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `[..., D]`, of rank 2 or more.

    Returns:
        `[..., units]`, in the layer's compute type.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.mlp import MLP
        >>> MLP(hidden=(16,), units=4)(tf.zeros([2, 3, 5])).shape
        TensorShape([2, 3, 4])
    """

    def __init__(
        self,
        hidden,
        units,
        activation="relu",
        initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden = tuple(hidden)
        self.units = units
        self.activation = activation
        self.initializer = initializer
        self._activate = keras.activations.get(activation)

    def build(self, inputs_shape):
        widths = [inputs_shape[-1], *self.hidden, self.units]
        # In float32 none are rounded, whatever policy the caller runs under.
        autocast = self.compute_dtype != "float32"
        self.kernels, self.biases = [], []
        for i, sizes in enumerate(zip(widths, widths[1:])):
            self.kernels.append(
                self.add_weight(
                    shape=sizes,
                    initializer=self._rule(),
                    autocast=autocast,
                    name=f"kernel_{i}",
                )
            )
            self.biases.append(
                self.add_weight(
                    shape=sizes[1:],
                    initializer="zeros",
                    autocast=autocast,
                    name=f"bias_{i}",
                )
            )
        self.built = True

    def _rule(self):
        """A new initialiser: one that is called twice draws the same twice."""
        if self.initializer == "truncated_normal":
            return TruncatedFanInNormal()
        return self.initializer

    def call(self, inputs):
        lead, width = tf.shape(inputs)[:-1], inputs.shape[-1]
        values = tf.reshape(tf.cast(inputs, self.compute_dtype), [-1, width])
        for i in range(len(self.kernels)):
            values = self.layer(i, values)
        values = tf.reshape(values, tf.concat([lead, [self.units]], axis=0))
        return tf.ensure_shape(values, [*inputs.shape[:-1], self.units])

    def layer(self, i, values):
        """Layer i of the row: `[N, D] -> [N, D']`."""
        kernel = tf.convert_to_tensor(self.kernels[i])
        bias = tf.convert_to_tensor(self.biases[i])
        values = tf.nn.bias_add(tf.matmul(values, kernel), bias)
        return values if i == len(self.hidden) else self._activate(values)

    def compute_output_shape(self, inputs_shape):
        return (*inputs_shape[:-1], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden": self.hidden,
            "units": self.units,
            "activation": self.activation,
            "initializer": self.initializer,
        }
