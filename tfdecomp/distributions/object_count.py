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
import tensorflow_probability as tfp

from tfdecomp.distributions.base import Distribution, stateless
from tfdecomp.distributions.concrete import Presence

tfd = tfp.distributions


def log_rate(odds):
    """`log rho` for the odds `rho / (1 - rho)` of one more object.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.distributions.object_count import log_rate
        >>> round(float(tf.exp(log_rate(1.0))), 2)
        0.5
    """
    return tf.math.log_sigmoid(tf.math.log(tf.cast(odds, tf.float64) + 1e-6))


class ObjectCount(Distribution):
    """Ones and zeros, likely by how many ones there are. Event `[N]`.

    Args:
        num_variables: `N`, a number or a scalar tensor.
        log_rate: Scalar `log rho`; see the function of that name.
        name: Of the distribution.

    Examples:
        >>> from tfdecomp.distributions.object_count import ObjectCount
        >>> p = ObjectCount(num_variables=2, log_rate=0.0)  # 0, 1, 2 alike
        >>> (1 / p.prob([[0.0, 0.0], [1.0, 0.0]])).numpy().round()
        array([3., 6.], dtype=float32)
        >>> p.conditional([[1.0, 0.0]]).batch_shape
        TensorShape([1, 2])
    """

    def __init__(self, num_variables, log_rate, name="ObjectCount"):
        arguments = dict(locals())
        self.num_variables = num_variables
        # In float64: sums over N numbers cost nothing beside a network.
        self.log_rate = tf.cast(tf.convert_to_tensor(log_rate), tf.float64)
        super().__init__(arguments, name)

    def _event_shape(self):
        return tf.TensorShape([tf.get_static_value(self.num_variables)])

    def _event_shape_tensor(self):
        return tf.reshape(tf.cast(self.num_variables, tf.int32), [1])

    def _batch_shape(self):
        return tf.TensorShape([])

    def _batch_shape_tensor(self):
        return tf.constant([], tf.int32)

    def count_logits(self):
        """`log p(c)` of `c = 0...N` ones, float64 `[N + 1]`."""
        count = tf.range(tf.cast(self.num_variables, tf.float64) + 1.0)
        return tf.nn.log_softmax(count * self.log_rate)

    def mean_count(self):
        """The expected number of ones, float64."""
        count = tf.range(tf.cast(self.num_variables, tf.float64) + 1.0)
        return tf.reduce_sum(count * tf.exp(self.count_logits()))

    def _mean(self):
        share = self.mean_count() / tf.cast(self.num_variables, tf.float64)
        return tf.fill(self._event_shape_tensor(), tf.cast(share, tf.float32))

    def _variance(self):
        mean = self._mean()
        return mean * (1.0 - mean)

    def _log_prob(self, value):
        count = tf.cast(tf.round(tf.reduce_sum(value, axis=-1)), tf.int32)
        table = self.count_logits() - log_binomials(self.num_variables)
        return tf.cast(tf.gather(table, count), tf.float32)

    def _sample_n(self, n, seed=None):
        """A number of ones, then which ones they are."""
        seeds = tfp.random.split_seed(stateless(seed, "object_count"), 2)
        count = tf.random.stateless_categorical(
            self.count_logits()[None], n, seeds[0], dtype=tf.int32
        )[0]
        uniform = tf.random.stateless_uniform(self._shape_of(n), seeds[1])
        # The place of every variable in a random order.
        place = tf.argsort(tf.argsort(uniform, axis=-1), axis=-1)
        return tf.cast(place < count[:, None], tf.float32)

    def conditionals(self):
        """`p(z_{i + 1} = 1 | n ones among the first i)`.

        Returns:
            `[N, N + 1]` float32, by i and n; entries with `n > i` mean
            nothing.
        """
        count = tf.range(tf.cast(self.num_variables, tf.float64) + 1.0)
        last = count * self.log_rate - log_binomials(self.num_variables)

        def body(i, ways, rows):
            one = tf.concat([ways[1:], ways[-1:]], axis=0)
            low, high = tf.minimum(ways, one), tf.maximum(ways, one)
            before = high + tf.math.log1p(tf.exp(low - high))
            return i - 1, before, rows.write(i, one - before)

        rows = tf.TensorArray(tf.float64, self.num_variables)
        _, _, rows = tf.while_loop(
            lambda i, *_: i >= 0,
            body,
            (tf.convert_to_tensor(self.num_variables - 1), last, rows),
            parallel_iterations=1,
        )
        return tf.cast(tf.exp(tf.minimum(rows.stack(), 0.0)), tf.float32)

    def conditional_probs(self, is_on):
        """The probability of every variable given those before it.

        Args:
            is_on: `[..., N]`, ones and zeros.

        Returns:
            `[..., N]`. No gradient passes.
        """
        is_on = tf.cast(tf.stop_gradient(is_on), tf.int32)
        before = tf.cumsum(is_on, axis=-1, exclusive=True)
        size = tf.shape(is_on)[-1]
        index = tf.range(size) * (size + 1) + before
        table = tf.stop_gradient(self.conditionals())
        return tf.gather(tf.reshape(table, [-1]), index)

    def conditional(self, is_on):
        """Every variable given those before it: `Presence`, batch `[..., N]`.

        Args:
            is_on: `[..., N]`, ones and zeros. No gradient passes.
        """
        return Presence(probs=self.conditional_probs(is_on))


@tfd.RegisterKL(ObjectCount, ObjectCount)
def _kl_counts(q, p, name=None):
    """Of the numbers of ones: given it, both spread them evenly."""
    sizes = [tf.get_static_value(d.num_variables) for d in (q, p)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"both must have as many variables, got {sizes[0]} and {sizes[1]}"
        )
    with tf.name_scope(name or "kl_object_counts"):
        log_q, log_p = q.count_logits(), p.count_logits()
        kl = tf.reduce_sum(tf.exp(log_q) * (log_q - log_p))
        return tf.cast(kl, tf.float32)


def log_binomials(num_variables):
    """`log binom(N, n)` for `n = 0...N`, float64 `[N + 1]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.distributions.object_count import log_binomials
        >>> tf.exp(log_binomials(4)).numpy().round()
        array([1., 4., 6., 4., 1.])
    """
    total = tf.cast(num_variables, tf.float64)
    n = tf.range(total + 1.0)
    choose = tf.math.lgamma(total + 1.0)
    return choose - tf.math.lgamma(n + 1.0) - tf.math.lgamma(total - n + 1.0)
