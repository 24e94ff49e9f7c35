"""Tiny SILOTs and clips of moving squares."""

import numpy as np
import tensorflow as tf

from tests.test_case import set_seed
from tfdecomp.layers.objects.cell_backbone import CellBackbone
from tfdecomp.layers.objects.discovery import Discovery
from tfdecomp.layers.objects.object_renderer import ObjectRenderer
from tfdecomp.layers.objects.propagation import Propagation
from tfdecomp.models.silot import SILOT

SIZE, K, A, D, F, G = 24, 3, 4, 5, 6, 5
CELLS = 4  # of 12 px


def tiny(
    seed=0,
    shake=0.1,
    channels=3,
    discovery=None,
    propagation=None,
    parts=None,
    **options,
):
    """A built model; every weight is away from where it starts.

    Args:
        seed: Of the weights.
        shake: How far the weights are moved.
        channels: `C`.
        discovery: Options of the `Discovery` layer.
        propagation: Options of both `Propagation` layers.
        parts: Layers by name that replace the tiny ones.
        **options: Of `SILOT`.
    """
    set_seed(seed)
    common = {
        "channels": channels,
        "what_dim": A,
        "units": D,
        "features": F,
        "glimpse_size": G,
        "glimpse_hidden": (7,),
        "glimpse_units": 5,
    }
    kept = {**common, "hidden": (6, 6), **(propagation or {})}
    made = {
        "backbone": CellBackbone(filters=6, features=F, num_pointwise=1),
        "discovery": Discovery(**common, fuse_filters=6, **(discovery or {})),
        "propagation": Propagation(**kept),
        "prior": Propagation(**{"prune": True, **kept, "is_prior": True}),
        "renderer": ObjectRenderer(
            G, channels, hidden=(8,), alpha_scale=1.0, alpha_bias=2.0
        ),
        **(parts or {}),
    }
    options = {
        "image_size": SIZE,
        "channels": channels,
        "num_slots": K + 1,
        "anchor": 16,
        "attention_hidden": (6, 6),
        "attention_scale": 0.3,
        **options,
    }
    model = SILOT(**made, **options)
    model.build()
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        moved = shake * rng.standard_normal(weight.shape)
        weight.assign(np.asarray(weight) + moved)
    return model


def clips(batch=2, frames=2, size=SIZE, channels=3, seed=0):
    """Squares that move, one to three of them, `[B, T, H, W, C]`."""
    rng = np.random.default_rng(seed)
    video = np.zeros((batch, frames, size, size, channels), np.float32)
    for b in range(batch):
        for _ in range(1 + b % 3):
            place = rng.integers(0, size - 8, 2)
            color = rng.random(channels)
            for t in range(frames):
                y, x = place + t
                video[b, t, y : y + 6, x : x + 6] = color
    return video


def seeded(video, seed=5, **more):
    """A batch whose clips have seeds of their own."""
    numbers = np.arange(len(video), dtype=np.int32)
    return {
        "video": tf.constant(video),
        "seed": tf.constant(
            np.stack([np.full_like(numbers, seed), numbers], axis=1)
        ),
        **more,
    }


def gradients(model, inputs, term="loss"):
    """Path -> gradient of the sum of a term of training; None if none."""
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model(inputs, training=True)[term])
    found = tape.gradient(total, [v.value for v in variables])
    return {v.path: g for v, g in zip(variables, found)}


def certain(model, logit=8.0, keep=8.0):
    """A model whose objects are surely there, and stay."""
    biases = {
        model.discovery: logit,
        model.propagation: keep,
        model.prior: keep,
    }
    for part, value in biases.items():
        head = part.heads["presence"]
        head.kernels[-1].assign(tf.zeros(head.kernels[-1].shape))
        head.biases[-1].assign([value])
    return model
