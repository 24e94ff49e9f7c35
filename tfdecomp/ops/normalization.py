"""Layer normalisation without parameters."""

import tensorflow as tf


def standardize(values, axes, epsilon=1e-5):
    """Zero mean, unit (biased) variance over `axes`.

    Args:
        values: Any shape.
        axes: Axes that are normalised together.
        epsilon: Added to the variance.
    """
    mean, variance = tf.nn.moments(values, axes, keepdims=True)
    return (values - mean) * tf.math.rsqrt(variance + epsilon)
