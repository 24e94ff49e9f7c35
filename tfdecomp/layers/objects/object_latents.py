"""Latents of objects, as distributions that raw outputs stand for."""

from typing import NamedTuple

import tensorflow as tf

from tfdecomp.distributions.gaussians import DiagonalGaussian
from tfdecomp.ops import object_record


class Normal(NamedTuple):
    """A normal distribution by its tensors, as a loop can carry it.

    Attributes:
        mean: `[..., D]`.
        deviation: `[..., D]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.objects.object_latents import Normal
        >>> latent = Normal(tf.constant([1.0]), tf.constant([2.0]))
        >>> latent.draw(noise=tf.constant([3.0])).numpy()
        array([7.], dtype=float32)
    """

    mean: tf.Tensor
    deviation: tf.Tensor

    @property
    def distribution(self):
        """The same as a `DiagonalGaussian`."""
        return DiagonalGaussian.of_deviation(*self)

    def draw(self, noise):
        """A sample; the mean where there is no noise."""
        if noise is None:
            return self.mean
        return self.distribution.from_noise(noise)

    def shifted(self, by):
        """With another mean."""
        return self._replace(mean=self.mean + by)


def normal(raw, training_wheels=None) -> Normal:
    """What a raw output `[..., 2 D]` stands for.

    The first half are means, the second deviations before
    `object_record.deviation`; training wheels hold back both.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.objects.object_latents import normal
        >>> latent = normal(tf.zeros([2, 3, 2 * 4]))
        >>> latent.mean.shape, float(latent.deviation[0, 0, 0])
        (TensorShape([2, 3, 4]), 1.0)
    """
    mean, spread = tf.split(raw, 2, axis=-1)
    return Normal(
        object_record.hold(mean, training_wheels),
        object_record.hold(object_record.deviation(spread), training_wheels),
    )


def joined(*latents) -> Normal:
    """Several, one after the other.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.objects.object_latents import joined, normal
        >>> where, what = normal(tf.zeros([2, 8])), normal(tf.zeros([2, 6]))
        >>> joined(where, what).mean.shape
        TensorShape([2, 7])
    """
    return Normal(*(tf.concat(part, axis=-1) for part in zip(*latents)))


def kl_from_zero(latent, deviation=1.0):
    """KL from N(0, deviation^2), nats `[...]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.objects import object_latents
        >>> mean, deviation = tf.constant([[3.0, 0.0]]), tf.ones([1, 2])
        >>> latent = object_latents.Normal(mean, deviation)
        >>> object_latents.kl_from_zero(latent).numpy()  # 3^2 / 2
        array([4.5], dtype=float32)
    """
    zeros = tf.zeros_like(latent.mean)
    p = Normal(zeros, zeros + deviation)
    return latent.distribution.kl_divergence(p.distribution)
