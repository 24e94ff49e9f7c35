"""Binary pixels whose means may leave [0, 1]."""

import tensorflow as tf


def negative_log_likelihood(video, intensity, epsilon):
    """Nats per value of independent Bernoulli pixels.

        -[x log p + (1 - x) log(1 - p)],   p = clip(intensity, eps, 1 - eps)

    Sums of sprites exceed 1 where they overlap and are 0 where there is none.
    The gradient passes the clip as if it were not there: a hard clip has none
    exactly where a correction is needed.

    Args:
        video: Values in [0, 1].
        intensity: Of the same shape.
        epsilon: `eps`; every blank pixel costs about as many nats.

    Returns:
        As `video`.
    """
    clipped = tf.clip_by_value(intensity, epsilon, 1.0 - epsilon)
    p = intensity + tf.stop_gradient(clipped - intensity)
    # The sum above rounds; the ends of the interval must not reach 0 or 1.
    return -(video * _log(p, epsilon) + (1.0 - video) * _log(1.0 - p, epsilon))


def _log(p, epsilon):
    floor = tf.maximum(p, 0.5 * epsilon)
    return tf.math.log(p + tf.stop_gradient(floor - p))
