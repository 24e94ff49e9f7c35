"""Tiny DVIPs, clips, and a DVIP in which everything is linear."""

import keras
import numpy as np
import tensorflow as tf

from tests.models.tiny.tiny_lavae import seeded
from tests.test_case import set_seed
from tfdecomp.layers.encoders.frame_encoder import FrameEncoder
from tfdecomp.layers.frame_generator import FrameGenerator
from tfdecomp.layers.independent_dynamics import IndependentDynamics
from tfdecomp.models.dvip import DVIP

SIZE, K, D = 16, 2, 3
B, T = 2, 4
SAMPLED = ("latents", "mean", "log_variance")
PREDICTED = ("prior_mean", "prior_log_variance")


def tiny(seed=0, shake=0.1, **options):
    """A built model; every weight is away from where it starts.

    Args:
        seed: Of the weights.
        shake: How far the weights are moved.
        **options: Of `DVIP`.
    """
    set_seed(seed)
    parts = {
        "encoder": FrameEncoder((SIZE, SIZE), (4, 6), features=5),
        "generator": FrameGenerator((SIZE, SIZE), (6, 4)),
        "dynamics": IndependentDynamics(units=7, depth=2),
    }
    options = {"num_factors": K, "factor_dim": D, **options}
    model = DVIP(**{**parts, "image_size": SIZE, **options})
    model.build()
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        moved = shake * rng.standard_normal(weight.shape)
        weight.assign(np.asarray(weight) + moved)
    return model


def video(batch=B, frames=T, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((batch, frames, SIZE, SIZE, 3))


def clips(batch=B, frames=T, seed=0):
    """Random clips whose noise is their own."""
    return seeded(video(batch, frames, seed))


def filtered(model, inputs, **options):
    """What `filter` records, as arrays."""
    _, features = model._features(inputs)
    records, _ = model.filter(inputs, features, **options)
    return {name: np.asarray(value) for name, value in records.items()}


class GivenNoise:
    """Stands in for `FrameNoise`, with `[B, T, Z]` of the test's choice."""

    def __init__(self, noise):
        self.noise = tf.constant(noise, tf.float32)

    def normal(self, purpose, shape):
        del purpose
        return tf.reshape(self.noise, [-1, *shape])

    def use(self, monkeypatch):
        monkeypatch.setattr("tfdecomp.models.dvip.FrameNoise", lambda *_: self)


class Pixels(keras.layers.Layer):
    """An encoder whose features are the pixels."""

    def __init__(self, image_size):
        super().__init__()
        self.image_size = image_size
        self.features = image_size[0] * image_size[1]

    def build(self, shape):
        self.built = True

    def call(self, frames, training=False):
        del training
        return tf.reshape(frames, [-1, self.features])


class Affine(keras.layers.Layer):
    """A generator `z -> W z + b`."""

    def __init__(self, image_size, kernel, bias):
        super().__init__()
        self.image_size = image_size
        self.kernel, self.bias = kernel, bias

    def build(self, shape):
        self.built = True

    def call(self, latents, training=False):
        del training
        pixels = latents @ tf.constant(self.kernel.T, tf.float32)
        pixels += tf.constant(self.bias, tf.float32)
        return tf.reshape(pixels, [-1, *self.image_size, 1])


class LinearDVIP:
    """Everything linear, so that the bound has a closed form.

        z_t = A z_{t-1} + noise of variance r,  A and r by latent
        x_t = W z_t + b + noise of variance s
        q(z_t) = N(G x_t + H A z_{t-1} + c, diag v)

    Args:
        seed: Of the numbers.
        latents: `Z`, each a factor of its own.
    """

    IMAGE_SIZE = (1, 4)
    LIFT = 4.0  # keeps the head's leaky ReLUs where they are linear

    def __init__(self, seed=0, latents=2):
        rng = np.random.default_rng(seed)
        pixels = self.IMAGE_SIZE[0] * self.IMAGE_SIZE[1]
        self.A = np.diag(rng.uniform(0.5, 1.0, latents))
        self.r = rng.uniform(0.2, 0.6, latents)
        self.W = 0.5 * rng.standard_normal((pixels, latents))
        self.b = rng.uniform(0, 1, pixels)
        self.s = 0.3
        self.G = 0.3 * rng.standard_normal((latents, pixels))
        self.H = 0.3 * rng.standard_normal((latents, latents))
        self.c = 0.3 * rng.standard_normal(latents)
        self.v = rng.uniform(0.1, 0.5, latents)

    def model(self):
        """The `DVIP` with these numbers."""
        latents = len(self.r)
        model = DVIP(
            Pixels(self.IMAGE_SIZE),
            Affine(self.IMAGE_SIZE, self.W, self.b),
            IndependentDynamics(depth=0),
            image_size=self.IMAGE_SIZE,
            channels=1,
            num_factors=latents,
            factor_dim=1,
            variance=self.s,
        )
        model.build()
        rates, spread = np.diag(self.A), np.log(self.r)
        model.dynamics.kernels[0].assign(
            np.stack([rates, 0 * rates], 1)[:, None]
        )
        model.dynamics.biases[0].assign(np.stack([0 * spread, spread], 1))
        unit, zero = np.eye(latents), np.zeros((latents, latents))
        lift, none = np.full(latents, self.LIFT), np.zeros(latents)
        head = model.head
        for layer, kernel, bias in (
            (head.readers[0], self.G.T, lift),
            (head.readers[1], unit, lift),
            (head.readers[2], zero, none),
            (head.mix, np.concatenate([unit, self.H.T, zero]), lift),
            (head.mean, unit, self.c - (unit + self.H + unit) @ lift),
            (head.log_variance, zero, np.log(self.v)),
        ):
            layer.kernel.assign(kernel)
            layer.bias.assign(bias)
        return model
