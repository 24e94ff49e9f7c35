"""Diagonal Gaussians, of latents and of pixels.

    q(z) = N(m, diag(s)),   z = m + sqrt(s) noise

A model's raw parameters are one vector `[..., 2 D]`: the first half are
means, the second half raw scales, read as log-variances (`"log_variance"`:
PROVIDE) or through a softplus as variances (`"softplus"`: IODINE).
"""

import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions.base import (
    Distribution,
    as_float,
    parameter,
    stateless,
)

tfd = tfp.distributions

PARAMETERIZATIONS = ("log_variance", "softplus")
_FLOOR = 1e-5  # keeps a softplus variance away from zero
_SMALLEST = 1e-37  # the square root of 0 has no gradient
_LOG_2PI = math.log(2.0 * math.pi)


def check_parameterization(name: str) -> str:
    """Returns `name`, or raises `ValueError` naming the known ones.

    Examples:
        >>> from tfdecomp.distributions.gaussians import check_parameterization
        >>> check_parameterization("softplus")
        'softplus'
    """
    if name not in PARAMETERIZATIONS:
        raise ValueError(
            f"parameterization must be one of {PARAMETERIZATIONS}, got {name!r}"
        )
    return name


class DiagonalGaussian(Distribution):
    """N(mean, diag(variance)). Event `[D]`, batch `[...]`.

    Args:
        raw: `[..., 2 D]`, means and raw scales, or None.
        parameterization: How raw scales are read: `"log_variance"`,
            `"softplus"`, or `"deviation"`: they are standard deviations.
        floor: Added to a variance that is read through a softplus; the other
            two are positive as they are.
        loc: In place of `raw`: means `[..., D]`,
        raw_scale: and raw scales, of a shape that broadcasts with them.
        name: Of the distribution.

    Raises:
        ValueError: If the parameterization is unknown, `raw` has no two
            halves, or neither it nor the halves are given.

    Examples:
        >>> from tfdecomp.distributions.gaussians import DiagonalGaussian
        >>> q = DiagonalGaussian.of(mean=[[3.0, 0.0]], log_variance=[[0.0, 0]])
        >>> q.kl_divergence(DiagonalGaussian.standard(2)).numpy()  # 3^2 / 2
        array([4.5], dtype=float32)
        >>> q.sample(seed=1).shape
        TensorShape([1, 2])
    """

    def __init__(
        self,
        raw=None,
        parameterization="log_variance",
        floor=_FLOOR,
        loc=None,
        raw_scale=None,
        name="DiagonalGaussian",
    ):
        arguments = dict(locals())
        if parameterization != "deviation":
            check_parameterization(parameterization)
        self.parameterization = parameterization
        self._floor = floor
        if raw is not None and loc is None and raw_scale is None:
            raw = as_float(raw)
            if (raw.shape[-1] or 0) % 2:
                raise ValueError(
                    "raw must hold as many raw scales as means, [..., 2 D]; "
                    f"got {raw.shape}"
                )
            loc, raw_scale = tf.split(raw, 2, axis=-1)
        elif raw is not None or loc is None or raw_scale is None:
            raise ValueError(
                "give either raw, [..., 2 D], or both of loc and raw_scale"
            )
        self.loc = as_float(loc)
        self.raw_scale = as_float(raw_scale)
        super().__init__(arguments, name, reparameterized=True)

    @classmethod
    def of(cls, mean, log_variance, **kwargs):
        """By means and log-variances, each `[..., D]`."""
        return cls(loc=mean, raw_scale=log_variance, **kwargs)

    @classmethod
    def of_deviation(cls, mean, deviation, **kwargs):
        """By means and standard deviations, each `[..., D]`."""
        return cls(None, "deviation", loc=mean, raw_scale=deviation, **kwargs)

    @classmethod
    def standard(cls, dim, **kwargs):
        """N(0, I) in `dim` dimensions, without a batch."""
        return cls.of(tf.zeros([dim]), tf.zeros([dim]), **kwargs)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        del dtype, num_classes
        return {name: parameter(1) for name in ("raw", "loc", "raw_scale")}

    @property
    def raw(self):
        """Both halves, `[..., 2 D]`."""
        return tf.concat([self._mean(), self._full(self.raw_scale)], axis=-1)

    def log_variance(self):
        """`log s`; its shape and that of the means broadcast to `[..., D]`."""
        if self.parameterization == "log_variance":
            return self.raw_scale
        if self.parameterization == "deviation":
            return 2.0 * tf.math.log(self.raw_scale)
        return tf.math.log(self._spread())

    def _spread(self):
        """s, of the shape of the raw scales."""
        if self.parameterization == "log_variance":
            return tf.exp(self.raw_scale)
        if self.parameterization == "deviation":
            return tf.square(self.raw_scale)
        return tf.nn.softplus(self.raw_scale) + self._floor

    def _precision(self):
        """1 / s. A division by a small s has a gradient of 1 / s^2."""
        if self.parameterization == "log_variance":
            return tf.exp(-self.raw_scale)
        return 1.0 / self._spread()

    def _deviation(self):
        """sqrt(s), of the shape of the raw scales."""
        if self.parameterization == "deviation":
            return self.raw_scale
        # Not exp(raw / 2): refinement magnifies the last digit, and models
        # that ship were trained and are stated with this one.
        return tf.sqrt(tf.maximum(self._spread(), _SMALLEST))

    def _full(self, value):
        """`[..., D]`, where the other half has axes that this one lacks."""
        if value.shape.is_fully_defined() and value.shape == self._shape():
            return value
        shape = tf.broadcast_dynamic_shape(
            tf.shape(self.loc), tf.shape(self.raw_scale)
        )
        return tf.broadcast_to(value, shape)

    def _shape(self):
        return tf.broadcast_static_shape(self.loc.shape, self.raw_scale.shape)

    def _event_shape(self):
        return self._shape()[-1:]

    def _event_shape_tensor(self):
        return tf.maximum(
            tf.shape(self.loc)[-1:], tf.shape(self.raw_scale)[-1:]
        )

    def _mean(self):
        return self._full(self.loc)

    def _mode(self):
        return self._mean()

    def _variance(self):
        return self._full(self._spread())

    def _stddev(self):
        return self._full(self._deviation())

    def _entropy(self):
        terms = self._full(self.log_variance()) + (1.0 + _LOG_2PI)
        return 0.5 * tf.reduce_sum(terms, axis=-1)

    def _log_prob(self, value):
        squares = tf.square(value - self.loc) * self._precision()
        terms = squares + self.log_variance() + _LOG_2PI
        return -0.5 * tf.reduce_sum(terms, axis=-1)

    def _sample_n(self, n, seed=None):
        seed = stateless(seed, "diagonal_gaussian")
        return self.from_noise(
            tf.random.stateless_normal(self._shape_of(n), seed)
        )

    def from_noise(self, noise):
        """The sample `mean + deviation * noise`.

        Args:
            noise: Standard normal, `[..., D]`; zeros give the mean.

        Returns:
            `[..., D]`.
        """
        return self.loc + self._deviation() * noise

    def kl_terms(self, other):
        """KL(self || other) by dimension, nats `[..., D]`.

            1/2 [log s' - log s + (s + (m - m')^2) / s' - 1]

        Args:
            other: A `DiagonalGaussian` with means m' and variances s'.
        """
        log_variance = other.log_variance()
        distance = tf.square(self.loc - other.loc)
        ratio = (self._spread() + distance) * other._precision()
        return 0.5 * (log_variance - self.log_variance() + ratio - 1.0)

    def kl_gradient(self, other):
        """The gradient of KL(self || other) by `raw`, in closed form.

        Args:
            other: A `DiagonalGaussian`; nothing is differentiated by its
                parameters.

        Returns:
            `[..., 2 D]`: by the means, then by the raw scales.
        """
        precision = other._precision()
        by_mean = (self.loc - other.loc) * precision
        variance = self._spread()
        by_variance = 0.5 * (precision - 1.0 / variance)
        if self.parameterization == "softplus":
            by_raw = by_variance * tf.sigmoid(self.raw_scale)
        elif self.parameterization == "deviation":
            by_raw = by_variance * 2.0 * self.raw_scale
        else:
            by_raw = by_variance * variance
        return tf.concat([by_mean, by_raw], axis=-1)


@tfd.RegisterKL(DiagonalGaussian, DiagonalGaussian)
def _kl_gaussians(q, p, name=None):
    with tf.name_scope(name or "kl_diagonal_gaussians"):
        return tf.reduce_sum(q.kl_terms(p), axis=-1)


class NormalPixels(Distribution):
    """Independent normal pixels of one variance. Event: the last axes.

        log p(x) = -1/2 sum_i [(x_i - mu_i)^2 / s + log(2 pi s)]

    Args:
        means: `[..., H, W, C]`, mu.
        variance: Scalar s.
        event_ndims: How many of the last axes are one picture; 4 scores a
            clip `[T, H, W, C]` as a whole.
        name: Of the distribution.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.distributions.gaussians import NormalPixels
        >>> p = NormalPixels(tf.zeros([1, 2, 2, 1]), variance=0.5)
        >>> off = p.log_prob(p.mean()) - p.log_prob(p.mean() + 1.0)
        >>> off.numpy().round(2)  # four pixels, each off by 1 / (2 variance)
        array([4.], dtype=float32)
    """

    def __init__(self, means, variance, event_ndims=3, name="NormalPixels"):
        arguments = dict(locals())
        self.means = as_float(means)
        self.pixel_variance = as_float(variance)
        self.event_ndims = event_ndims
        super().__init__(arguments, name, reparameterized=True)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        del dtype, num_classes
        return {"means": parameter(lambda self: self.event_ndims)}

    @property
    def _axes(self):
        return list(range(-self.event_ndims, 0))

    def _event_shape(self):
        return self.means.shape[-self.event_ndims :]

    def _event_shape_tensor(self):
        return tf.shape(self.means)[-self.event_ndims :]

    def _mean(self):
        return self.means

    def _mode(self):
        return self.means

    def _variance(self):
        return tf.zeros_like(self.means) + self.pixel_variance

    def _stddev(self):
        return tf.sqrt(self._variance())

    def _log_prob(self, value):
        squares = tf.square(value - self.means) / self.pixel_variance
        size = tf.cast(tf.reduce_prod(self.event_shape_tensor()), tf.float32)
        constant = size * (_LOG_2PI + tf.math.log(self.pixel_variance))
        return -0.5 * (tf.reduce_sum(squares, self._axes) + constant)

    def _sample_n(self, n, seed=None):
        seed = stateless(seed, "normal_pixels")
        noise = tf.random.stateless_normal(self._shape_of(n), seed)
        return self.means + tf.sqrt(self.pixel_variance) * noise


@tfd.RegisterKL(NormalPixels, NormalPixels)
def _kl_pixels(q, p, name=None):
    if q.event_ndims != p.event_ndims:
        raise ValueError(
            "the divergence of pixels asks for pictures of as many axes, got "
            f"event_ndims of {q.event_ndims} and {p.event_ndims}"
        )
    with tf.name_scope(name or "kl_normal_pixels"):
        s, other = q.pixel_variance, p.pixel_variance
        terms = (s + tf.square(q.means - p.means)) / other
        terms += tf.math.log(other) - tf.math.log(s) - 1.0
        return 0.5 * tf.reduce_sum(terms, q._axes)
