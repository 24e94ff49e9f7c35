"""Gaussians whose dimensions lean on each other in one way for all."""

import math

import tensorflow as tf

from tfdecomp.distributions.base import (
    Distribution,
    as_float,
    parameter,
    stateless,
)

_LOG_2PI = math.log(2.0 * math.pi)


class TriangularGaussian(Distribution):
    """N(mean, L L^T), `L = diag(deviation) (I + mix)`. Event `[D]`.

    The batch has means and deviations of its own, and one `mix` for all of
    them: nothing is factorised but that.

    Args:
        loc: Means, `[..., D]`.
        deviation: `[..., D]`, positive; of the noise that a dimension does not
            share with those before it.
        mix: `[D, D]`; only what is below the diagonal is read.
        name: Of the distribution.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.distributions.triangular_gaussian import (
        ...     TriangularGaussian)
        >>> q = TriangularGaussian(tf.zeros([5, 2]), tf.ones([5, 2]),
        ...     mix=[[0.0, 0.0], [3.0, 0.0]])
        >>> q.from_noise([1.0, 0.0])[0].numpy()
        array([1., 3.], dtype=float32)
    """

    def __init__(self, loc, deviation, mix, name="TriangularGaussian"):
        arguments = dict(locals())
        self.loc = as_float(loc)
        self.deviation = as_float(deviation)
        self.mix = as_float(mix)
        super().__init__(arguments, name, reparameterized=True)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        del dtype, num_classes
        return {
            "loc": parameter(1),
            "deviation": parameter(1),
            "mix": parameter(2),
        }

    def _factor(self):
        """`I + mix`, `[D, D]`."""
        low = tf.linalg.band_part(self.mix, -1, 0)
        size = tf.shape(self.mix)[-1]
        return tf.linalg.set_diag(low, tf.ones([size]))

    def _event_shape(self):
        return self.loc.shape[-1:]

    def _event_shape_tensor(self):
        return tf.shape(self.loc)[-1:]

    def _mean(self):
        return self.loc

    def _mode(self):
        return self.loc

    def _variance(self):
        shares = tf.reduce_sum(tf.square(self._factor()), axis=-1)
        return tf.square(self.deviation) * shares

    def _stddev(self):
        return tf.sqrt(self._variance())

    def _log_prob(self, value):
        scaled = (value - self.loc) / self.deviation
        size = tf.shape(self.mix)[-1]
        inverse = tf.linalg.triangular_solve(self._factor(), tf.eye(size))
        noise = _times(scaled, inverse)
        terms = tf.square(noise) + 2.0 * tf.math.log(self.deviation) + _LOG_2PI
        return -0.5 * tf.reduce_sum(terms, axis=-1)

    def from_noise(self, noise):
        """The sample `mean + L noise`.

        Args:
            noise: Standard normal, `[..., D]`; zeros give the mean.

        Returns:
            `[..., D]`.
        """
        noise = tf.convert_to_tensor(noise)
        return self.loc + self.deviation * _times(noise, self._factor())

    def _sample_n(self, n, seed=None):
        seed = stateless(seed, "triangular_gaussian")
        return self.from_noise(
            tf.random.stateless_normal(self._shape_of(n), seed)
        )


def _times(vectors, matrix):
    """`matrix @ v` of every vector `[..., D]`."""
    # As sums, not as a product, whose factors a GPU may round.
    return tf.reduce_sum(vectors[..., None, :] * matrix, axis=-1)
