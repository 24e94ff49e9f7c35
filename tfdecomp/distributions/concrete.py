"""Relaxed Bernoulli variables, in the space before the logistic function.

    v = (l + log u - log(1 - u)) / t,   u ~ U(0, 1),   z = sigmoid(v)

with logit `l` and temperature `t`; `v` is logistic around `l / t`.

References:
    Maddison et al., The Concrete Distribution. ICLR 2017, appendix C.
"""

import tensorflow as tf

_EPSILON = 1e-9


def sample(logit, uniform, temperature=1.0):
    """A sample before the logistic function.

    Args:
        logit: `[...]`.
        uniform: Noise in [0, 1), `[...]`; None for no noise, which gives the
            logit itself.
        temperature: Positive.

    Returns:
        v, `[...]`.
    """
    if uniform is None:
        return logit
    noise = tf.math.log(uniform + _EPSILON)
    noise -= tf.math.log(1.0 - uniform + _EPSILON)
    return (logit + noise) / temperature


def log_prob(value, logit, temperature=1.0):
    """Log-density of v, nats `[...]`."""
    scaled = temperature * value - logit
    return (
        tf.math.log(tf.cast(temperature, tf.float32))
        - scaled
        - 2.0 * tf.nn.softplus(-scaled)
    )


def sampled_kl(value, logit, prior_logit, temperature=1.0):
    """`log q(v) - log p(v)` of a sample v of q; its mean is KL(q || p).

    Args:
        value: `[...]`.
        logit: `[...]` of q.
        prior_logit: `[...]` of p.
        temperature: That of both.

    Returns:
        `[...]` nats; a single value may be negative.
    """
    return log_prob(value, logit, temperature) - log_prob(
        value, prior_logit, temperature
    )


def bernoulli_kl(logit, prior):
    """KL of Bernoulli variables.

    Args:
        logit: `[...]` of q.
        prior: Probabilities under p, `[...]`.

    Returns:
        `[...]` nats; probabilities are kept 1e-9 away from 0 and 1.
    """
    q = tf.sigmoid(logit)
    on = tf.math.log(q + _EPSILON) - tf.math.log(prior + _EPSILON)
    off = tf.math.log(1.0 - q + _EPSILON) - tf.math.log(1.0 - prior + _EPSILON)
    return q * on + (1.0 - q) * off
