"""Presences: Bernoulli variables, and relaxed ones before the logistic.

    v = (l + log u - log(1 - u)) / t,   u ~ U(0, 1),   z = sigmoid(v)

with logit `l` and temperature `t`; `v` is logistic around `l / t` and above
zero as often as `sigmoid(l)` says, at any temperature.

References:
    Maddison et al., The Concrete Distribution. ICLR 2017, appendix C.
"""

import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.base import (
    ScalarDistribution,
    as_float,
    parameter,
    stateless,
)

tfd = tfp.distributions

_EPSILON = 1e-9


class BinaryConcrete(ScalarDistribution):
    """A relaxed Bernoulli variable in logits. Event `[]`, batch `[...]`.

    A sample is v, before the logistic function: there the density neither
    vanishes nor explodes where z rounds to 0 or 1.

    Args:
        logits: `[...]`, l.
        temperature: Positive scalar t.
        name: Of the distribution.

    Examples:
        >>> from tfdecomp.distributions.concrete import BinaryConcrete
        >>> q = BinaryConcrete([-2.0, 0.0, 2.0], temperature=0.5)
        >>> q.probs().numpy().round(2)
        array([0.12, 0.5 , 0.88], dtype=float32)
        >>> q.sample(seed=1).shape
        TensorShape([3])
    """

    def __init__(self, logits, temperature=1.0, name="BinaryConcrete"):
        arguments = dict(locals())
        self.logits = as_float(logits)
        self.temperature = temperature
        super().__init__(arguments, name, reparameterized=True)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        del dtype, num_classes
        return {"logits": parameter()}

    def probs(self):
        """How often v is above zero, `[...]`."""
        return tf.sigmoid(self.logits)

    def _mean(self):
        return self.logits / self.temperature

    def _mode(self):
        return self._mean()

    def _stddev(self):
        scale = math.pi / math.sqrt(3.0) / self.temperature
        return scale * tf.ones_like(self.logits)

    def _variance(self):
        return tf.square(self._stddev())

    def _entropy(self):
        scale = tf.math.log(as_float(self.temperature))
        return 2.0 - scale + tf.zeros_like(self.logits)

    def _log_prob(self, value):
        scaled = self.temperature * value - self.logits
        return (
            tf.math.log(as_float(self.temperature))
            - scaled
            - 2.0 * tf.nn.softplus(-scaled)
        )

    def _sample_n(self, n, seed=None):
        seed = stateless(seed, "binary_concrete")
        return self.from_noise(
            tf.random.stateless_uniform(self._shape_of(n), seed)
        )

    def from_noise(self, uniform):
        """The sample v of uniform noise in [0, 1), `[...]`.

        None, for no noise, gives the logit itself, whatever the temperature.
        """
        if uniform is None:
            return self.logits
        noise = tf.math.log(uniform + _EPSILON)
        noise -= tf.math.log(1.0 - uniform + _EPSILON)
        return (self.logits + noise) / self.temperature

    def kl_sampled(self, other, value):
        """`log q(v) - log p(v)` of a sample v of this q, p being `other`.

        Its mean is KL(q || p), the estimate of one sample; a single value may
        be negative. Nats, `[...]`.
        """
        return self.log_prob(value) - other.log_prob(value)


@tfd.RegisterKL(BinaryConcrete, BinaryConcrete)
def _kl_concretes(q, p, name=None):
    """`d coth(d / 2) - 2` of logits that differ by d, at one temperature."""
    one, other = q.temperature, p.temperature
    if one is not other and tf.get_static_value(one) != tf.get_static_value(
        other
    ):
        raise ValueError(
            "the divergence of binary concretes has a closed form only at one "
            f"temperature, got {one} and {other}; use kl_sampled for two"
        )
    with tf.name_scope(name or "kl_binary_concretes"):
        return _d_coth(tf.abs(q.logits - p.logits))


def _d_coth(distance):
    """`d coth(d / 2) - 2` for d >= 0, with its gradient at zero."""
    # Below 1 the difference of two numbers near 2 loses digits; this series
    # is exact there to the last one.
    is_small = distance < 1.0
    square = tf.square(tf.where(is_small, distance, 0.0))
    series = square / 604800.0
    series = square * (1.0 / 15120.0 - series)
    series = square * (1.0 / 360.0 - series)
    series = square * (1.0 / 6.0 - series)
    far = tf.where(is_small, 1.0, distance)
    return tf.where(is_small, series, far / tf.tanh(0.5 * far) - 2.0)


class Presence(ScalarDistribution):
    """A Bernoulli variable kept away from certainty. Event `[]`.

        log p(z) = z log(p + 1e-9) + (1 - z) log(1 - p + 1e-9)

    so that a prior which is certain costs 20 nats where it errs, and not
    infinitely many.

    Args:
        logits: `[...]`, the batch, or None.
        probs: `[...]` in place of logits.
        name: Of the distribution.

    Raises:
        ValueError: Unless exactly one of `logits` and `probs` is given.

    Examples:
        >>> from tfdecomp.distributions.concrete import Presence
        >>> q, p = Presence(probs=[0.5, 1.0]), Presence(probs=[0.5, 0.5])
        >>> q.kl_divergence(p).numpy().round(2)  # log 2
        array([0.  , 0.69], dtype=float32)
    """

    def __init__(self, logits=None, probs=None, name="Presence"):
        arguments = dict(locals())
        if (logits is None) == (probs is None):
            raise ValueError(
                "Presence takes either logits or probs, got "
                f"{'none' if logits is None else 'both'} of them"
            )
        self.logits = None if logits is None else as_float(logits)
        self.probs = (
            as_float(probs) if logits is None else tf.sigmoid(self.logits)
        )
        super().__init__(arguments, name)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        del dtype, num_classes
        return {"logits": parameter(), "probs": parameter()}

    def _mean(self):
        return self.probs

    def _mode(self):
        return tf.cast(self.probs > 0.5, tf.float32)

    def _variance(self):
        return self.probs * (1.0 - self.probs)

    def log_probs(self):
        """`(log p(1), log p(0))`, each `[...]`."""
        return (
            tf.math.log(self.probs + _EPSILON),
            tf.math.log(1.0 - self.probs + _EPSILON),
        )

    def _log_prob(self, value):
        on, off = self.log_probs()
        return value * on + (1.0 - value) * off

    def _sample_n(self, n, seed=None):
        seed = stateless(seed, "presence")
        uniform = tf.random.stateless_uniform(self._shape_of(n), seed)
        return tf.cast(uniform < self.probs, tf.float32)


@tfd.RegisterKL(Presence, Presence)
def _kl_presences(q, p, name=None):
    with tf.name_scope(name or "kl_presences"):
        (q_on, q_off), (p_on, p_off) = q.log_probs(), p.log_probs()
        return q.probs * (q_on - p_on) + (1.0 - q.probs) * (q_off - p_off)
