"""Tiny LAVAEs, pictures of squares, and a location network that finds them."""

import keras
import numpy as np
import tensorflow as tf

from tests.test_case import set_seed
from tfdecomp.layers.decoders.sprite_decoder import SpriteDecoder
from tfdecomp.layers.location_appearance import AppearanceNet, LocationNet
from tfdecomp.layers.locationwise_vae import LocationwiseVAE
from tfdecomp.models.lavae import LAVAE

SIZE, SPRITE, L, M = 12, 5, 3, 3
HEIGHT = 6.0  # raw logit at the centre of a white square; 4 and more count


class SquareFinder(keras.layers.Layer):
    """`6 mean(3x3) + bias`: the centre of a 3x3 square is the only peak."""

    def build(self, shape):
        self.bias = self.add_weight(
            shape=shape[1:3], initializer="zeros", name="bias"
        )
        self.built = True

    def call(self, frames, training=False):
        del training
        kernel = tf.fill([3, 3, frames.shape[-1], 1], HEIGHT / 9)
        mean = tf.nn.conv2d(frames, kernel, 1, "SAME")[..., 0]
        return mean / frames.shape[-1] + self.bias


def tiny(seed=0, finder=True, shake=0.1, channels=1, size=SIZE, **options):
    """A built model; every weight is away from where it starts.

    Args:
        seed: Of the weights.
        finder: Whether `SquareFinder` says where objects are, not a network.
        shake: How far the weights are moved.
        channels: `C`.
        size: Side of the pictures.
        **options: Of `LAVAE`.
    """
    set_seed(seed)
    net = {"filters": 6, "num_blocks": 1, "kernel_size": 3}
    parts = {
        "location_net": SquareFinder(name="location_net")
        if finder
        else LocationNet(head_filters=(4,), **net),
        "appearance_net": AppearanceNet(latent_dim=L, **net),
        "sprite_decoder": SpriteDecoder(
            size=SPRITE,
            channels=channels,
            base_filters=4,
            resized_filters=4,
            num_blocks=1,
        ),
        "auxiliary_vae": LocationwiseVAE(
            (size, size),
            channels=channels,
            latent_dim=2,
            filters=4,
            strides=(6,),
        ),
    }
    model = LAVAE(
        **{
            **parts,
            "image_size": size,
            "channels": channels,
            "num_slots": M + 1,
            "logit_scale": 2.0,
            **options,
        }
    )
    model.build()
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "location_net/bias" not in weight.path:
            moved = shake * rng.standard_normal(weight.shape)
            weight.assign(np.asarray(weight) + moved)
    return model


def squares(*centres, size=SIZE, channels=1):
    """A picture `[H, W, C]` with a white 3x3 square around every centre."""
    picture = np.zeros((size, size, channels), np.float32)
    for row, column in centres:
        picture[row - 1 : row + 2, column - 1 : column + 2] = 1.0
    return picture


def pictures():
    """`[4, 1, H, W, 1]`: none, one, two and three squares."""
    places = [(2, 3), (8, 2), (7, 9)]
    return np.stack([squares(*places[:n])[None] for n in range(4)])


def clips():
    """`[2, 3, H, W, 1]`: up to three squares, and then one less."""
    found = pictures()
    return np.stack([found[1:, 0], found[:3, 0]])


def seeded(video, seed=5):
    """A batch whose clips have seeds of their own."""
    video = np.asarray(video, np.float32)
    numbers = np.arange(len(video), dtype=np.int32)
    return {
        "video": tf.constant(video),
        "seed": tf.constant(
            np.stack([np.full_like(numbers, seed), numbers], axis=1)
        ),
    }


def gradients(model, inputs, term="loss"):
    """Path -> gradient of the sum of a term of training; None if none."""
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model(inputs, training=True)[term])
    found = tape.gradient(total, [v.value for v in variables])
    return {v.path: g for v, g in zip(variables, found)}


def part(path):
    """`lavae_3/location_net_1/bias` -> `location_net`."""
    name = path.split("/")[1]
    head, _, tail = name.rpartition("_")
    return head if tail.isdigit() else name
