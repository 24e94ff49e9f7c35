"""Layer normalisation of whole maps, with one scale a channel."""

import math

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tfdecomp")
class SpatialLayerNorm(keras.layers.Layer):
    """Normalises each example over all its axes; scales and offsets channels.

        y = scale_c (x - mean(x)) / sqrt(var(x) + epsilon) + offset_c

    Keras' `LayerNormalization` over the same axes has a scale for each pixel.

    Args:
        epsilon: Added to the variance. That of a map that is almost empty is
            tiny, so that a larger one would leave it almost empty.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, H, W, C]` or `[N, C]`.

    Returns:
        As `inputs`, in the layer's compute type; moments are float32.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.spatial_layer_norm import SpatialLayerNorm
        >>> SpatialLayerNorm()(tf.constant([[1.0, 3.0]])).numpy()
        array([[-1.,  1.]], dtype=float32)

    References:
        Ba, Kiros and Hinton, Layer Normalization. 2016.
    """

    def __init__(self, epsilon=1e-12, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, inputs_shape):
        options = {"shape": (inputs_shape[-1],), "autocast": False}
        self.scale = self.add_weight(
            name="scale", initializer="ones", **options
        )
        self.offset = self.add_weight(
            name="offset", initializer="zeros", **options
        )
        self.built = True

    def call(self, inputs):
        # One row an example: reductions of rows are fast on a CPU.
        rows = tf.reshape(inputs, [-1, math.prod(inputs.shape[1:])])
        rows = tf.cast(rows, tf.float32)
        mean, variance = tf.nn.moments(rows, [1], keepdims=True)
        rows = (rows - mean) * tf.math.rsqrt(variance + self.epsilon)
        values = tf.reshape(rows, [-1, *inputs.shape[1:]])
        values = values * tf.convert_to_tensor(self.scale)
        values += tf.convert_to_tensor(self.offset)
        return tf.cast(values, self.compute_dtype)

    def compute_output_shape(self, inputs_shape):
        return inputs_shape

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}
