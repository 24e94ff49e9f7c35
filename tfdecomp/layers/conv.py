"""Convolution and dense layers with the initial values of the sources."""

import math

import gin
import keras
import numpy as np
import tensorflow as tf


def fan_in_uniform():
    """Kernel initializer `U(-1/sqrt(fan_in), 1/sqrt(fan_in))`.

    The default of the framework that PROVIDE was published in; biases use
    the same interval, which `Conv2D` and `Dense` below take from the kernel.

    Examples:
        >>> from tfdecomp.layers.conv import fan_in_uniform
        >>> kernel = fan_in_uniform()((4, 1000)).numpy()  # fan_in 4
        >>> round(float(abs(kernel).max()), 2)
        0.5
    """
    return keras.initializers.VarianceScaling(
        scale=1.0 / 3.0, mode="fan_in", distribution="uniform"
    )


@keras.saving.register_keras_serializable(package="tfdecomp")
class TruncatedFanInNormal(keras.initializers.Initializer):
    """Normal values of deviation `1/sqrt(fan_in)`, cut at two deviations.

    The default of the framework that IODINE was published in. Unlike Keras'
    `VarianceScaling`, it does not make up for what the cut takes away.

    Args:
        fan_in: Number of inputs; by default that of a kernel `[..., I, O]`.

    Examples:
        >>> from tfdecomp.layers.conv import TruncatedFanInNormal
        >>> kernel = TruncatedFanInNormal()((4, 5000)).numpy()  # fan_in 4
        >>> round(float(abs(kernel).max()), 1)  # two deviations of 0.5
        1.0
    """

    def __init__(self, fan_in=None):
        self.fan_in = fan_in

    def __call__(self, shape, dtype=None, **kwargs):
        fan_in = self.fan_in or math.prod(shape[:-1])
        return keras.random.truncated_normal(
            shape, stddev=fan_in**-0.5, dtype=dtype
        )

    def get_config(self):
        return {"fan_in": self.fan_in}


@keras.saving.register_keras_serializable(package="tfdecomp")
class Halves(keras.initializers.Initializer):
    """One number in each half of a vector.

    The start of a bias of raw Gaussian parameters: means, then scales.

    Args:
        first: Value of the first half.
        second: Value of the second half.

    Examples:
        >>> from tfdecomp.layers.conv import Halves
        >>> Halves(0.0, -3.0)((4,)).numpy()
        array([ 0.,  0., -3., -3.], dtype=float32)
    """

    def __init__(self, first, second):
        self.first = float(first)
        self.second = float(second)

    def __call__(self, shape, dtype=None, **kwargs):
        values = np.repeat([self.first, self.second], math.prod(shape) // 2)
        return tf.constant(values.reshape(shape), dtype or tf.float32)

    def get_config(self):
        return {"first": self.first, "second": self.second}


def initial_values(name):
    """Arguments of `Conv2D` and `Dense` for one rule of initial values.

    Args:
        name: `"fan_in_uniform"` for kernels and biases as PROVIDE has them,
            `"truncated_normal"` for kernels as IODINE has them, or any Keras
            initializer for kernels (`"he_normal"`); the latter two with zero
            biases.

    Examples:
        >>> from tfdecomp.layers.conv import initial_values
        >>> initial_values("he_normal")
        {'kernel_initializer': 'he_normal', 'bias': 'zeros'}
    """
    if name == "fan_in_uniform":
        return {}
    if name == "truncated_normal":
        name = TruncatedFanInNormal()
    return {"kernel_initializer": name, "bias": "zeros"}


def _bias_initializer(rule, fan_in):
    if rule != "fan_in_uniform":
        return keras.initializers.get(rule)
    limit = float(fan_in) ** -0.5
    return keras.initializers.RandomUniform(-limit, limit)


def _bias_config(rule):
    """A rule for the bias as a config holds it."""
    if isinstance(rule, (str, dict)):
        return rule
    return keras.initializers.serialize(rule)


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class Conv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` whose bias and activation run with it.

    TensorFlow fuses convolution, `BiasAdd` and ELU into one kernel on a CPU
    when it meets exactly this pattern, and `BiasAdd` has a gradient several
    times faster than that of a broadcast sum.

    Args:
        filters: Output channels.
        kernel_size: Side of the kernel.
        bias: `"fan_in_uniform"`, or any Keras initializer for the bias.
        **kwargs: Passed to `keras.layers.Conv2D`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.conv import Conv2D
        >>> conv = Conv2D(filters=8, kernel_size=3, strides=2)
        >>> conv(tf.zeros([1, 16, 16, 3])).shape
        TensorShape([1, 8, 8, 8])
    """

    def __init__(
        self, filters, kernel_size, *, bias="fan_in_uniform", **kwargs
    ):
        kwargs.setdefault("padding", "same")
        kwargs.setdefault("kernel_initializer", fan_in_uniform())
        kwargs.pop("bias_initializer", None)
        super().__init__(filters, kernel_size, **kwargs)
        self.bias_rule = bias

    def build(self, input_shape):
        fan_in = input_shape[-1] * self.kernel_size[0] * self.kernel_size[1]
        self.bias_initializer = _bias_initializer(self.bias_rule, fan_in)
        super().build(input_shape)

    def call(self, inputs):
        if self._is_product(inputs.shape[1:3]):
            return self._product(inputs)
        outputs = tf.nn.conv2d(
            inputs, self.kernel, self.strides, self.padding.upper()
        )
        return self.activation(tf.nn.bias_add(outputs, self.bias))

    def _is_product(self, sides):
        """Whether the kernel meets one pixel, or all, and in one place."""
        covers = self.padding == "valid" and tuple(sides) == self.kernel_size
        return self.strides == (1, 1) and (covers or self.kernel_size == (1, 1))

    def _product(self, inputs):
        """On a CPU, a product of matrices is faster."""
        kernel = self.kernel
        sides = (n - k + 1 for n, k in zip(inputs.shape[1:3], kernel.shape))
        size = (*sides, kernel.shape[-1])
        fan_in = math.prod(kernel.shape[:-1])
        outputs = tf.matmul(
            tf.reshape(inputs, [-1, fan_in]),
            tf.reshape(kernel, [fan_in, kernel.shape[-1]]),
        )
        outputs = self.activation(tf.nn.bias_add(outputs, self.bias))
        return tf.reshape(outputs, [-1, *size])

    def get_config(self):
        config = super().get_config()
        del config["bias_initializer"]  # follows from `bias`
        return {**config, "bias": _bias_config(self.bias_rule)}


@gin.register(module="layers")
@keras.saving.register_keras_serializable(package="tfdecomp")
class Dense(keras.layers.Dense):
    """`keras.layers.Dense` with the initial values of `Conv2D` above.

    Args:
        units: Output width.
        bias: `"fan_in_uniform"`, or any Keras initializer for the bias.
        **kwargs: Passed to `keras.layers.Dense`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.conv import Dense
        >>> Dense(units=8)(tf.zeros([2, 5])).shape
        TensorShape([2, 8])
    """

    def __init__(self, units, *, bias="fan_in_uniform", **kwargs):
        kwargs.setdefault("kernel_initializer", fan_in_uniform())
        kwargs.pop("bias_initializer", None)
        super().__init__(units, **kwargs)
        self.bias_rule = bias

    def build(self, input_shape):
        self.bias_initializer = _bias_initializer(
            self.bias_rule, input_shape[-1]
        )
        super().build(input_shape)

    def get_config(self):
        config = super().get_config()
        del config["bias_initializer"]  # follows from `bias`
        return {**config, "bias": _bias_config(self.bias_rule)}
