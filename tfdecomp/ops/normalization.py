"""Layer normalisation without parameters."""

import tensorflow as tf


def standardize(values, axes, epsilon=1e-5):
    """Zero mean, unit (biased) variance over `axes`.

    Args:
        values: Any shape.
        axes: Axes that are normalised together.
        epsilon: Added to the variance.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.ops.normalization import standardize
        >>> standardize(tf.constant([[1.0, 3.0]]), axes=[1]).numpy().round(2)
        array([[-1.,  1.]], dtype=float32)
    """
    mean, variance = tf.nn.moments(values, axes, keepdims=True)
    return (values - mean) * tf.math.rsqrt(variance + epsilon)
