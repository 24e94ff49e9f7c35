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
    """
    mean, spread = tf.split(raw, 2, axis=-1)
    return Normal(
        object_record.hold(mean, training_wheels),
        object_record.hold(object_record.deviation(spread), training_wheels),
    )


def joined(*latents) -> Normal:
    """Several, one after the other."""
    return Normal(*(tf.concat(part, axis=-1) for part in zip(*latents)))


def kl_from_zero(latent, deviation=1.0):
    """KL from N(0, deviation^2), nats `[...]`."""
    zeros = tf.zeros_like(latent.mean)
    p = Normal(zeros, zeros + deviation)
    return latent.distribution.kl_divergence(p.distribution)
