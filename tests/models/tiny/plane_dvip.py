"""A DVIP that knows everything: its factors are colour planes."""

import keras
import tensorflow as tf

from tfdecomp.models.dvip import DVIP


class PlaneEncoder(keras.layers.Layer):
    """Frame `[N, H, W, 3]` -> some of its planes, one after the other."""

    def __init__(self, image_size, planes):
        super().__init__()
        self.image_size, self.planes = image_size, planes

    def call(self, frames, training=False):
        del training
        planes = tf.transpose(frames, [3, 0, 1, 2])
        shape = [-1, frames.shape[1] * frames.shape[2]]
        planes = [tf.reshape(planes[c], shape) for c in self.planes]
        return tf.concat(planes, axis=-1)


class PlaneGenerator(PlaneEncoder):
    """The way back; planes that are left out are black."""

    def call(self, latents, training=False):
        del training
        planes = tf.split(latents, len(self.planes), axis=-1)
        planes = dict(zip(self.planes, planes))
        black = tf.zeros_like(planes[self.planes[0]])
        pixels = tf.stack([planes.get(c, black) for c in range(3)], axis=-1)
        return tf.reshape(pixels, [-1, *self.image_size, 3])


class PlaneDVIP(DVIP):
    """Each factor is what is on a colour plane, pixel by pixel.

    Args:
        size: Side of the frames.
        planes: Plane of each factor.
    """

    def __init__(self, size, planes=(0, 1)):
        super().__init__(
            PlaneEncoder((size, size), planes),
            PlaneGenerator((size, size), planes),
            image_size=size,
            num_factors=len(planes),
            factor_dim=size * size,
        )

    def filter(self, inputs, features, use_means=False):
        del inputs, use_means
        return {"latents": features}, None
