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
    p = tf.clip_by_value(tf.stop_gradient(intensity), epsilon, 1.0 - epsilon)
    nll = -(video * tf.math.log(p) + (1.0 - video) * tf.math.log1p(-p))
    slope = (p - video) / (p * (1.0 - p))
    # Adds nothing but a gradient. A sum that clips would round away part of
    # epsilon.
    return nll + slope * (intensity - tf.stop_gradient(intensity))
