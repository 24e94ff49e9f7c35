"""Binary pixels, scored by values that may lie between zero and one.

    log p(x) = x log p + (1 - x) log(1 - p)

is the likelihood of a binary x; of grey values it is the cross-entropy that
the papers use as one, and does not integrate to 1.
"""

import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.base import (
    ScalarDistribution,
    as_float,
    parameter,
    stateless,
)

tfd = tfp.distributions

FORMS = ("clipped", "shifted")


class ClippedBernoulli(ScalarDistribution):
    """Bernoulli pixels whose means may leave [0, 1]. Event `[]`.

        "clipped":  p = clip(intensity, eps, 1 - eps)
                    log p(x) = x log p + (1 - x) log(1 - p)
        "shifted":  p = clip(intensity, 0, 1)
                    log p(x) = x log(p + eps) + (1 - x) log(1 - p + eps)

    Sums of sprites exceed 1 where they overlap and are 0 where there is none.
    The gradient passes the first clip as if it were not there: a hard clip
    has none exactly where a correction is needed. The second (SILOT) sums to
    `1 + 2 eps` over the two values; what clips there is rounding alone.

    Args:
        intensity: `[...]`, the batch.
        epsilon: eps; every blank pixel costs about as many nats.
        form: `"clipped"` or `"shifted"`.
        name: Of the distribution.

    Raises:
        ValueError: If the form is unknown.

    Examples:
        >>> from tfdecomp.distributions.bernoulli import ClippedBernoulli
        >>> p = ClippedBernoulli([0.25, 2.0], epsilon=1e-6)
        >>> p.prob(1.0).numpy().round(2)
        array([0.25, 1.  ], dtype=float32)
    """

    def __init__(
        self, intensity, epsilon, form="clipped", name="ClippedBernoulli"
    ):
        arguments = dict(locals())
        if form not in FORMS:
            raise ValueError(f"form must be one of {FORMS}, got {form!r}")
        self.intensity = as_float(intensity)
        self.epsilon = epsilon
        self.form = form
        super().__init__(arguments, name)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        del dtype, num_classes
        return {"intensity": parameter()}

    def _mean(self):
        if self.form == "shifted":
            return tf.clip_by_value(self.intensity, 0.0, 1.0)
        return tf.clip_by_value(
            self.intensity, self.epsilon, 1.0 - self.epsilon
        )

    def _mode(self):
        return tf.cast(self.intensity > 0.5, tf.float32)

    def _variance(self):
        p = self._mean()
        return p * (1.0 - p)

    def _log_prob(self, value):
        if self.form == "shifted":
            p = self._mean()
            on = value * tf.math.log(p + self.epsilon)
            return on + (1.0 - value) * tf.math.log(1.0 - p + self.epsilon)
        p = tf.stop_gradient(self._mean())
        log_prob = value * tf.math.log(p) + (1.0 - value) * tf.math.log1p(-p)
        slope = (value - p) / (p * (1.0 - p))
        # Adds nothing but a gradient. A sum that clips would round away part
        # of epsilon.
        shift = self.intensity - tf.stop_gradient(self.intensity)
        return log_prob + slope * shift

    def _sample_n(self, n, seed=None):
        seed = stateless(seed, "clipped_bernoulli")
        uniform = tf.random.stateless_uniform(self._shape_of(n), seed)
        return tf.cast(uniform < self._mean(), tf.float32)


class LogitBernoulli(tfd.Bernoulli):
    """Bernoulli pixels by their logits, scored in one softplus. Event `[]`.

    Args:
        logits: `[...]`, the batch.
        name: Of the distribution.

    Examples:
        >>> from tfdecomp.distributions.bernoulli import LogitBernoulli
        >>> p = LogitBernoulli([0.0, 9.0])
        >>> p.prob(1.0).numpy().round(2)
        array([0.5, 1. ], dtype=float32)
    """

    def __init__(self, logits, name="LogitBernoulli"):
        arguments = dict(locals())
        super().__init__(logits=as_float(logits), dtype=tf.float32, name=name)
        self._parameters = self._no_dependency(arguments)
        self._parameters_sanitized = False

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        del dtype, num_classes
        return {"logits": parameter()}

    def _log_prob(self, event):
        return -tf.nn.sigmoid_cross_entropy_with_logits(
            *_matched(event, self.logits)
        )

    def _sample_n(self, n, seed=None):
        return super()._sample_n(n, stateless(seed, "logit_bernoulli"))


def _matched(value, logits):
    """Both of one shape, which the cross-entropy asks for."""
    if value.shape.is_fully_defined() and value.shape == logits.shape:
        return value, logits
    shape = tf.broadcast_dynamic_shape(tf.shape(value), tf.shape(logits))
    return tf.broadcast_to(value, shape), tf.broadcast_to(logits, shape)
