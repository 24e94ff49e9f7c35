"""A prior on how many of N binary variables are one.

    p(c) ~ rho^c  for c = 0...N,   p(z | c) = 1 / binom(N, c)

In sequence, with n ones among the first i variables,

    F[N, n] = n log rho - log binom(N, n)
    F[i, n] = logaddexp(F[i + 1, n], F[i + 1, n + 1])
    p(z_{i + 1} = 1 | n) = exp(F[i + 1, n + 1] - F[i, n])

since F[i, n] is the log of the weight of all ways to go on.

References:
    Crawford and Pineau, SPAIR. AAAI 2019; SILOT. AAAI 2020.
"""

import tensorflow as tf


def log_rate(odds):
    """`log rho` for the odds `rho / (1 - rho)` of one more object."""
    return tf.math.log_sigmoid(tf.math.log(tf.cast(odds, tf.float64) + 1e-6))


def conditionals(num_variables, log_rho):
    """`p(z_{i + 1} = 1 | n ones among the first i)`.

    Args:
        num_variables: `N`.
        log_rho: Scalar.

    Returns:
        `[N, N + 1]` float32, by i and n; entries with `n > i` mean nothing.
    """
    total = tf.cast(num_variables, tf.float64)
    n = tf.cast(tf.range(num_variables + 1), tf.float64)
    choose = tf.math.lgamma(total + 1.0)
    choose -= tf.math.lgamma(n + 1.0) + tf.math.lgamma(total - n + 1.0)
    # In float64: the recursion adds up to N numbers, and its cost is nothing
    # beside a network's.
    last = n * tf.cast(log_rho, tf.float64) - choose

    def body(i, ways, rows):
        one = tf.concat([ways[1:], ways[-1:]], axis=0)
        low, high = tf.minimum(ways, one), tf.maximum(ways, one)
        before = high + tf.math.log1p(tf.exp(low - high))
        return i - 1, before, rows.write(i, one - before)

    rows = tf.TensorArray(tf.float64, num_variables)
    _, _, rows = tf.while_loop(
        lambda i, *_: i >= 0,
        body,
        (tf.convert_to_tensor(num_variables - 1), last, rows),
        parallel_iterations=1,
    )
    return tf.cast(tf.exp(tf.minimum(rows.stack(), 0.0)), tf.float32)


def prior_probs(is_on, table):
    """The prior of every variable given those before it.

    Args:
        is_on: `[..., N]`, ones and zeros.
        table: From `conditionals`.

    Returns:
        `[..., N]`. No gradient passes.
    """
    is_on = tf.cast(tf.stop_gradient(is_on), tf.int32)
    before = tf.cumsum(is_on, axis=-1, exclusive=True)
    size = tf.shape(is_on)[-1]
    index = tf.range(size) * (size + 1) + before
    return tf.gather(tf.reshape(tf.stop_gradient(table), [-1]), index)
