"""Instance normalisation."""

import math

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tfdecomp")
class InstanceNorm(keras.layers.Layer):
    """Normalises each channel of each picture over its pixels.

        y_nc = scale_c (x_nc - mean(x_nc)) / sqrt(var(x_nc) + epsilon)
               + offset_c

    A picture's result does not depend on the others in its batch. A map of
    one pixel, or of one value, becomes the offset.

    Args:
        scale: Whether channels have a trainable scale beside the offset.
        epsilon: Added to the variance.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: `[N, H, W, C]`.

    Returns:
        As `inputs`, in the layer's compute type; moments are float32.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.attention.instance_norm import InstanceNorm
        >>> pixels = tf.reshape([1.0, 3.0], [1, 1, 2, 1])
        >>> InstanceNorm()(pixels).numpy().ravel().round(2)
        array([-1.,  1.], dtype=float32)

    References:
        Ulyanov, Vedaldi and Lempitsky, Instance Normalization. 2016.
    """

    def __init__(self, scale=True, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.epsilon = epsilon

    def build(self, inputs_shape):
        options = {"shape": (inputs_shape[-1],), "autocast": False}
        self.scales = None
        if self.scale:
            self.scales = self.add_weight(
                name="scale", initializer="ones", **options
            )
        self.offset = self.add_weight(
            name="offset", initializer="zeros", **options
        )
        self.built = True

    def call(self, inputs):
        size = inputs.shape[1:]
        pixels = tf.reshape(inputs, [-1, math.prod(size[:2]), size[2]])
        pixels = tf.cast(pixels, tf.float32)  # [N, H * W, C]
        pixels -= _mean(pixels)
        factor = tf.math.rsqrt(_mean(tf.square(pixels)) + self.epsilon)
        if self.scales is not None:
            factor *= tf.convert_to_tensor(self.scales)
        pixels = pixels * factor + tf.convert_to_tensor(self.offset)
        return tf.cast(tf.reshape(pixels, [-1, *size]), self.compute_dtype)

    def compute_output_shape(self, inputs_shape):
        return inputs_shape

    def get_config(self):
        return {
            **super().get_config(),
            "scale": self.scale,
            "epsilon": self.epsilon,
        }


def _mean(pixels):
    """Over pixels: `[N, P, C]` -> `[N, 1, C]`."""
    return tf.reduce_mean(pixels, axis=1, keepdims=True)
