"""Several samples of one clip: their bound, and what discrete choices learn.

    L = log 1/S sum_s w_s

bounds log p(x) from below, and the closer, the more particles s there are. Of
continuous variables its gradient passes through the samples. Discrete choices
have none, and learn by how much the bound is better for them:

    L_-s = log 1/S (sum_{j != s} w_j + exp(1/(S - 1) sum_{j != s} log w_j))
    surrogate = L + sum_s stop(L - L_-s) (log q_s - stop(log q_s))

where what the others have stands in for w_s. The surrogate's value is L.

References:
    Burda, Grosse and Salakhutdinov, Importance Weighted Autoencoders. ICLR
    2016.
    Mnih and Rezende, Variational Inference for Monte Carlo Objectives. ICML
    2016.
"""

import tensorflow as tf


def log_mean_exp(log_weights, axis=-1):
    """`log 1/S sum_s exp(log_weights)`, without overflow.

    Examples:
        >>> from tfdecomp.distributions.particles import log_mean_exp
        >>> round(float(log_mean_exp([-1.0, -2.0, -4.0])), 4)
        -1.7496
    """
    log_weights = tf.convert_to_tensor(log_weights)
    count = tf.cast(tf.shape(log_weights)[axis], log_weights.dtype)
    return tf.reduce_logsumexp(log_weights, axis=axis) - tf.math.log(count)


def signals(log_weights):
    """How much better the bound is for each particle: `L - L_-s`.

    Args:
        log_weights: `[..., S]`, S at least 2.

    Returns:
        `[..., S]`, without a gradient.

    Raises:
        ValueError: If there is one particle.

    Examples:
        >>> from tfdecomp.distributions.particles import signals
        >>> signals([-1.0, -2.0, -4.0]).numpy().round(3)
        array([ 0.941,  0.108, -0.331], dtype=float32)
    """
    log_weights = tf.stop_gradient(tf.convert_to_tensor(log_weights))
    count = log_weights.shape[-1]
    if count is None or count < 2:
        raise ValueError(
            "choices learn from what other particles have: at least 2 are "
            f"needed, got {count}; set num_particles = 2 or more"
        )
    total = tf.reduce_sum(log_weights, axis=-1, keepdims=True)
    others = (total - log_weights) / (count - 1.0)  # [..., S]
    own = tf.eye(count, dtype=tf.bool)
    # Row s has the others' weights, and their geometric mean as its own.
    table = tf.where(own, others[..., None], log_weights[..., None, :])
    bound = log_mean_exp(log_weights)[..., None]
    return bound - log_mean_exp(table)


def vimco(log_weights, log_q, signal_clip=None):
    """The bound, whose gradient also teaches discrete choices.

    Args:
        log_weights: `[..., S]`.
        log_q: `[..., S]`, log-probability of each particle's choices.
        signal_clip: Largest signal, in nats, of either sign; None for all.

    Returns:
        `[...]`, the value of `log_mean_exp(log_weights)`.

    Raises:
        ValueError: See `signals`.

    Examples:
        >>> from tfdecomp.distributions.particles import vimco
        >>> round(float(vimco([-1.0, -2.0, -4.0], log_q=[0.0, 0, 0])), 4)
        -1.7496
    """
    learnt = signals(log_weights)
    if signal_clip is not None:
        learnt = tf.clip_by_value(learnt, -signal_clip, signal_clip)
    chosen = learnt * (log_q - tf.stop_gradient(log_q))
    return log_mean_exp(log_weights) + tf.reduce_sum(chosen, axis=-1)


def effective(log_weights):
    """How many particles count: `(sum w)^2 / sum w^2`, `[..., S] -> [...]`.

    Examples:
        >>> from tfdecomp.distributions.particles import effective
        >>> effective([[0.0, 0.0], [0.0, -99.0]]).numpy()
        array([2., 1.], dtype=float32)
    """
    weights = tf.nn.softmax(tf.convert_to_tensor(log_weights), axis=-1)
    return 1.0 / tf.reduce_sum(tf.square(weights), axis=-1)


def spread(values, count):
    """Each clip `count` times: `[B, ...] -> [B S, ...]`, row `b S + s`.

    Examples:
        >>> from tfdecomp.distributions.particles import spread
        >>> spread([1, 2], count=2).numpy()
        array([1, 1, 2, 2], dtype=int32)
    """
    values = tf.convert_to_tensor(values)
    if count == 1:
        return values
    each = tf.stack([values] * count, axis=1)
    return tf.reshape(each, _shape([_rows(values, count)], values, 1))


def by_clip(values, count):
    """Inverse of `spread`, with an axis of particles: `[B, S, ...]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.distributions.particles import by_clip
        >>> by_clip(tf.range(4), count=2).numpy()
        array([[0, 1],
               [2, 3]], dtype=int32)
    """
    values = tf.convert_to_tensor(values)
    lead = [_rows(values, 1 / count), count]
    return tf.reshape(values, _shape(lead, values, 1))


def _rows(values, factor):
    """Rows of a result with as many times more: -1 where it is not known."""
    rows = values.shape[0]
    return -1 if rows is None else round(rows * factor)


def _shape(lead, values, axis):
    """`lead` and the shape of values from that axis on, numbers if known."""
    tail = values.shape[axis:]
    if tail.is_fully_defined():
        return [*lead, *tail]
    return tf.concat([lead, tf.shape(values)[axis:]], axis=0)


def pick(values, chosen, count):
    """One particle of each clip: `[B S, ...] -> [B, ...]`.

    Args:
        values: Rows as of `spread`.
        chosen: `[B]`, numbers of particles.
        count: `S`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.distributions.particles import pick
        >>> pick(tf.range(4), chosen=[1, 0], count=2).numpy()
        array([1, 2], dtype=int32)
    """
    if count == 1:
        return values
    return tf.gather(by_clip(values, count), chosen, axis=1, batch_dims=1)
