"""Distributions of scenes: a number of objects, their places, their looks.

    p(n, l, z) = p(n) prod_{i <= n} p(l_i | l_<i) p(z_i)
    q(n, l, z | x) = q(n | x) prod_{i <= n} q(l_i | l_<i, x) q(z_i | l_i, x)

A scene has room for K objects; those from n on are not there and count for
nothing.
"""

import dataclasses

import tensorflow as tf
import tensorflow_probability as tfp

from tfdecomp.distributions import locations
from tfdecomp.distributions.gaussians import DiagonalGaussian
from tfdecomp.models.parts.scenes import Scene

tfd = tfp.distributions


@dataclasses.dataclass(frozen=True)
class ScenePrior:
    """p(n) p(l | n) p(z | n).

    Args:
        log_count: `[M + 1]`, `log p(n)` of n in {0...M}, up to a constant.
        num_locations: `D`.
        latent_dim: `L`.
    """

    log_count: tf.Tensor
    num_locations: int
    latent_dim: int

    @property
    def count(self):
        """p(n). Event `[]` int32."""
        return tfd.Categorical(logits=self.log_count)

    @property
    def appearance(self):
        """p(z_i) = N(0, I). Event `[L]`."""
        return DiagonalGaussian.standard(self.latent_dim)

    def locations(self, num_draws):
        """p(l_1, ..., l_K): none twice, all alike. Event `[K]` int32."""
        return locations.UniformLocations(self.num_locations, num_draws)

    def log_prob(self, scene):
        """Nats `[N]` of a `Scene`."""
        draws = tf.shape(scene.order)[1]
        places = self.locations(draws).conditional()
        terms = places.log_prob(scene.order)
        terms += self.appearance.log_prob(scene.latents)
        number = tf.reduce_sum(tf.cast(scene.present, tf.int32), axis=1)
        return self.count.log_prob(number) + _total(terms, scene.present)

    def sample(self, num_samples, seed=(0, 0)):
        """Draws scenes with room for `M` objects.

        Args:
            num_samples: `N`.
            seed: Two integers.
        """
        seeds = tf.random.split(seed, 3)
        count = tf.random.stateless_categorical(
            self.log_count[None], num_samples, seeds[0], dtype=tf.int32
        )[0]
        most = self.log_count.shape[0] - 1
        shape = [num_samples, most, self.num_locations]
        noise = locations.gumbel(tf.random.stateless_uniform(shape, seeds[1]))
        blank = tf.zeros([num_samples, self.num_locations])
        places = locations.LocationsWithoutReplacement(blank, most)
        latents = tf.random.stateless_normal(
            [num_samples, most, self.latent_dim], seeds[2]
        )
        return Scene(
            order=places.draw(noise)[0],
            latents=self.appearance.from_noise(latents),
            present=tf.sequence_mask(count, most),
        )


@dataclasses.dataclass(frozen=True)
class ScenePosterior:
    """q(n | x) q(l | n, x) q(z | l, n, x) of `N` frames.

    Args:
        logits: h, `[N, D]`, of locations.
        maps: `[N, D, 2 L]`, means and log-variances of the appearance of an
            object at every location.
        count: `[N]` int32, the one n that q(n | x) holds for possible.
        peaks: `[N, M]` int32, locations by the height of their peaks.
    """

    logits: tf.Tensor
    maps: tf.Tensor
    count: tf.Tensor
    peaks: tf.Tensor

    def locations(self, num_draws):
        """q(l_1, ..., l_K | x). Event `[K]` int32, batch `[N]`."""
        return locations.LocationsWithoutReplacement(self.logits, num_draws)

    def appearance(self, order):
        """q(z_i | l_i, x) at locations `[N, K]`. Event `[L]`, batch so."""
        return DiagonalGaussian(tf.gather(self.maps, order, batch_dims=1))

    def blended_appearance(self, weights):
        """The same of relaxed locations `[N, K, D]`: parameters are blended."""
        return DiagonalGaussian(tf.matmul(weights, self.maps))

    def present(self, num_draws):
        """Which of K objects there are, `[N, K]` bool."""
        return tf.sequence_mask(self.count, num_draws)

    def log_prob(self, scene):
        """Nats `[N]` of a `Scene` with the number of objects counted here."""
        places = self.locations(tf.shape(scene.order)[1])
        places = places.conditional(places.open_logits(scene.order))
        terms = places.log_prob(scene.order)
        terms += self.appearance(scene.order).log_prob(scene.latents)
        return _total(terms, scene.present)

    def mode(self):
        """The scene at the peaks, with mean appearances."""
        return Scene(
            order=self.peaks,
            latents=self.appearance(self.peaks).loc,
            present=self.present(self.peaks.shape[1]),
        )

    def from_noise(self, gumbel, normal):
        """A sample, by noise.

        Args:
            gumbel: `[N, K, D]`, of locations.
            normal: `[N, K, L]`, of appearances.
        """
        draws = tf.shape(gumbel)[1]
        order, _ = self.locations(draws).draw(gumbel)
        latents = self.appearance(order).from_noise(normal)
        return Scene(order, latents, self.present(draws))

    def sample(self, seed=(0, 0)):
        """A sample with room for `M` objects.

        Args:
            seed: Two integers.
        """
        seeds = tf.random.split(seed, 2)
        shape = tf.shape(self.peaks)
        uniform = tf.random.stateless_uniform(
            [*tf.unstack(shape), self.logits.shape[1]], seeds[0]
        )
        normal = tf.random.stateless_normal(
            [*tf.unstack(shape), self.maps.shape[2] // 2], seeds[1]
        )
        return self.from_noise(locations.gumbel(uniform), normal)


def _total(terms, present):
    """The sum over objects that are there: `[N, K]` -> `[N]`."""
    return tf.reduce_sum(tf.where(present, terms, 0.0), axis=1)
