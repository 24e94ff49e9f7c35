"""Numbers of objects for which there is room."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.base import (
    ScalarDistribution,
    as_float,
    parameter,
    stateless,
)

tfd = tfp.distributions

_NEVER = -1e9  # nats of a number that cannot be; its probability is exactly 0


class TruncatedCount(ScalarDistribution):
    """A number from 0 to M, of logits for 0 to K. Event `[]`, batch `[...]`.

        p(n) = exp(logits_n) / sum_{m <= M} exp(logits_m),   n <= M

    Args:
        logits: `[..., K + 1]`.
        most: `[...]`, M, at most K.
        name: Of the distribution.

    Examples:
        >>> from tfdecomp.distributions.truncated_count import TruncatedCount
        >>> p = TruncatedCount.geometric(0.5, largest=3, most=[3.0, 0.0])
        >>> p.prob([0.0, 0.0]).numpy().round(3)
        array([0.533, 1.   ], dtype=float32)
    """

    def __init__(self, logits, most, name="TruncatedCount"):
        arguments = dict(locals())
        self.logits = as_float(logits)
        self.most = as_float(most)
        super().__init__(arguments, name)

    @classmethod
    def geometric(cls, ratio, largest, most, **kwargs):
        """`p(n)` proportional to `ratio ** n`.

        Args:
            ratio: Positive number.
            largest: K, possibly a tensor.
            most: `[...]`, M.
            **kwargs: Of the constructor.
        """
        counts = tf.range(tf.cast(largest, tf.float32) + 1.0)
        logits = counts * tf.math.log(as_float(ratio))
        # The axis of the counts alone; the batch is that of `most`.
        rank = as_float(most).shape.rank
        return cls(tf.reshape(logits, [1] * rank + [-1]), most, **kwargs)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        del dtype, num_classes
        return {"logits": parameter(1), "most": parameter()}

    def log_probs(self):
        """Of 0, 1, ..., K: `[..., K + 1]`."""
        counts = tf.range(tf.cast(tf.shape(self.logits)[-1], tf.float32))
        may_be = counts <= self.most[..., None]
        logits = tf.where(may_be, self.logits, _NEVER)
        return tf.where(may_be, tf.nn.log_softmax(logits, axis=-1), _NEVER)

    def probs(self):
        """As `log_probs`."""
        return tf.exp(self.log_probs())

    def _moment(self, power):
        counts = tf.range(tf.cast(tf.shape(self.logits)[-1], tf.float32))
        return tf.reduce_sum(self.probs() * counts**power, axis=-1)

    def _mean(self):
        return self._moment(1.0)

    def _variance(self):
        return self._moment(2.0) - tf.square(self._moment(1.0))

    def _stddev(self):
        return tf.sqrt(self._variance())

    def _log_prob(self, value):
        count = tf.shape(self.logits)[-1]
        chosen = tf.one_hot(tf.cast(tf.round(value), tf.int32), count)
        return tf.reduce_sum(chosen * self.log_probs(), axis=-1)

    def _sample_n(self, n, seed=None):
        seed = stateless(seed, "truncated_count")
        uniform = tf.random.stateless_uniform(self._shape_of(n), seed)
        below = tf.cumsum(self.probs(), axis=-1)
        passed = tf.cast(uniform[..., None] >= below, tf.float32)
        # Rounding may leave the sum of all a little below one.
        return tf.minimum(tf.reduce_sum(passed, axis=-1), self.most)


@tfd.RegisterKL(TruncatedCount, TruncatedCount)
def _kl_counts(q, p, name=None):
    with tf.name_scope(name or "kl_truncated_counts"):
        log_q, log_p = q.log_probs(), p.log_probs()
        return tf.reduce_sum(tf.exp(log_q) * (log_q - log_p), axis=-1)
