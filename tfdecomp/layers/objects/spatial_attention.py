"""What is near: a sum over objects, weighted by their distance."""

import math

import keras
import tensorflow as tf

from tfdecomp.layers.mlp import MLP

NEAR = 6.0  # deviations beyond which the kernel is below 1.6e-8 of its peak


@keras.saving.register_keras_serializable(package="tfdecomp")
class SpatialAttention(keras.layers.Layer):
    """Features of places from the objects around them.

        out_r = sum_i G(q_i - r) V(f_i, q_i - r, u_r) + u_r

    with G the density of a normal distribution in the plane, V a network of
    pairs and u_r what is known of the place itself, if anything.

    The first layer of V is linear in its three inputs, so objects and places
    go through it once each, not once for every pair; the last one is linear,
    so it follows the sum.

    Args:
        scale: Deviation of G, in anchors.
        units: Width of the output.
        hidden: Widths of the hidden layers of V.
        max_neighbours: Objects that a place looks at, the nearest ones; by
            default all. The result is the same as long as no place has more
            within six deviations.
        initial_peak: What the kernel's peak counts for at the start of
            training: the last layer of V starts as much smaller. By default
            it starts as Glorot has it; a narrow kernel, whose peak is
            `1 / (2 pi scale^2)`, then makes large sums.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        places: r, `[B, R, 2]` in anchors.
        objects: q, `[B, K, 2]` in anchors.
        features: f, `[B, K, F]`.
        known: u, `[B, R, units]`, or None.
        weights: `[B, K, 1]` factors of G, or None.

    Returns:
        `[B, R, units]`.

    Examples:
        >>> import tensorflow as tf
        >>> from tfdecomp.layers.objects import spatial_attention
        >>> places, objects = tf.zeros([1, 5, 2]), tf.zeros([1, 3, 2])
        >>> attention = spatial_attention.SpatialAttention(units=8)
        >>> attention(places, objects, features=tf.zeros([1, 3, 4])).shape
        TensorShape([1, 5, 8])

    References:
        Crawford and Pineau, SILOT. AAAI 2020, supplement B.
    """

    def __init__(
        self,
        scale=0.1,
        units=64,
        hidden=(64, 64),
        max_neighbours=None,
        initial_peak=None,
        **kwargs,
    ):
        # Places and likelihoods are float32 under any policy.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        self.scale = scale
        self.units = units
        self.hidden = tuple(hidden)
        self.max_neighbours = max_neighbours
        self.initial_peak = initial_peak
        self.pair = MLP(self.hidden, units, dtype="float32", name="pair")

    def build(
        self,
        places_shape,
        objects_shape=None,
        features_shape=None,
        known_shape=None,
        weights_shape=None,
    ):
        width = features_shape[-1] + 2
        width += self.units if known_shape is not None else 0
        self.pair.build((None, width))
        if self.initial_peak is not None:
            kernel = self.pair.kernels[-1]
            peak = 1.0 / (2.0 * math.pi * self.scale**2)
            kernel.assign(kernel * (self.initial_peak / peak))
        self.built = True

    def call(self, places, objects, features, known=None, weights=None):
        # The first layer's part of the objects, and that of the places.
        kernel = tf.convert_to_tensor(self.pair.kernels[0])
        size = features.shape[-1]
        of_objects = _product(features, kernel[:size])
        of_objects += _product(objects, kernel[size : size + 2])
        of_places = -_product(places, kernel[size : size + 2])
        if known is not None:
            of_places += _product(known, kernel[size + 2 :])
        of_places += tf.convert_to_tensor(self.pair.biases[0])
        distance = _squared_distance(places, objects)  # [B, R, K]
        density = self.density(distance)
        if weights is not None:
            density *= weights[:, None, :, 0]
        pairs = of_objects[:, None]
        if self.max_neighbours is not None:
            near = self.nearest(distance)
            density = tf.gather(density, near, batch_dims=2)
            pairs = tf.gather(of_objects, near, batch_dims=1)
        pairs = tf.nn.relu(pairs + of_places[:, :, None])  # [B, R, K, U]
        for i in range(1, len(self.hidden)):
            flat = tf.reshape(pairs, [-1, pairs.shape[-1]])
            flat = self.pair.layer(i, flat)
            shape = tf.concat([tf.shape(pairs)[:-1], [self.hidden[i]]], 0)
            pairs = tf.reshape(flat, shape)
        total = tf.matmul(density[:, :, None], pairs)[:, :, 0]
        # The last layer is linear: the sum of outputs is the output of sums.
        last = len(self.hidden)
        out = _product(total, tf.convert_to_tensor(self.pair.kernels[last]))
        bias = tf.convert_to_tensor(self.pair.biases[last])
        out += tf.reduce_sum(density, axis=-1, keepdims=True) * bias
        return out if known is None else out + known

    def density(self, squared_distance):
        """G of squared distances."""
        variance = self.scale**2
        peak = 1.0 / (2.0 * math.pi * variance)
        return peak * tf.exp(-0.5 * squared_distance / variance)

    def nearest(self, squared_distance):
        """Numbers of the nearest objects of every place, `[B, R, k]`."""
        count = tf.minimum(self.max_neighbours, tf.shape(squared_distance)[-1])
        return tf.math.top_k(-squared_distance, count).indices

    def overflow(self, places, objects):
        """Places with more objects in reach than `max_neighbours`, `[B]`."""
        if self.max_neighbours is None:
            return tf.zeros(tf.shape(places)[:1])
        distance = _squared_distance(places, objects)
        near = distance < (NEAR * self.scale) ** 2
        count = tf.reduce_sum(tf.cast(near, tf.int32), axis=-1)
        over = tf.cast(count > self.max_neighbours, tf.float32)
        return tf.reduce_sum(over, axis=-1)

    def compute_output_shape(self, places_shape, *shapes):
        return (*places_shape[:-1], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "scale": self.scale,
            "units": self.units,
            "hidden": self.hidden,
            "max_neighbours": self.max_neighbours,
            "initial_peak": self.initial_peak,
        }


def _product(values, kernel):
    """A matrix product over the last axis of `[B, n, D]`."""
    shape = tf.concat([tf.shape(values)[:-1], [kernel.shape[-1]]], axis=0)
    flat = tf.matmul(tf.reshape(values, [-1, values.shape[-1]]), kernel)
    return tf.ensure_shape(
        tf.reshape(flat, shape), [*values.shape[:-1], kernel.shape[-1]]
    )


def _squared_distance(places, objects):
    """`[B, R, K]`; by coordinate, since sums over an axis of two are slow."""
    y, x = tf.unstack(objects[:, None], axis=-1)
    r, c = tf.unstack(places[:, :, None], axis=-1)
    return tf.square(y - r) + tf.square(x - c)
