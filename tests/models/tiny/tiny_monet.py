"""Tiny MONets and pictures in colour."""

import numpy as np

from tests.test_case import set_seed
from tfdecomp.layers.attention.component_encoder import ComponentEncoder
from tfdecomp.layers.attention.scope_unet import ScopeUNet
from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder
from tfdecomp.models.monet import MONet

SIZE, K, Z = 9, 3, 4
B, T = 2, 2


def tiny(seed=0, shake=0.2, **options):
    """A built model; every weight is away from where it starts.

    Args:
        seed: Of the weights.
        shake: How far the weights are moved.
        **options: Of `MONet`.
    """
    set_seed(seed)
    decoder = BroadcastDecoder(
        (SIZE, SIZE),
        filters=(5, 4),
        kernel_sizes=(3, 3, 1),
        dense=(),
        padding="valid",
        activation="relu",
    )
    parts = {
        "attention": ScopeUNet((3, 4, 5), units=(6,)),
        "encoder": ComponentEncoder((3, 4), units=(7,)),
        "decoder": decoder,
    }
    sizes = {"image_size": SIZE, "num_slots": K, "latent_dim": Z}
    model = MONet(**{**parts, **sizes, **options})
    model.build()
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        moved = shake * rng.standard_normal(weight.shape)
        weight.assign(np.asarray(weight) + moved)
    return model


def video(batch=B, frames=T, seed=0):
    """Random colours, `[B, T, 9, 9, 3]` float32."""
    shape = (batch, frames, SIZE, SIZE, 3)
    return np.random.default_rng(seed).random(shape, np.float32)


def clips(batch=B, frames=T, seed=0):
    """Clips with seeds of their own."""
    seeds = np.stack([np.arange(batch) + 7, np.arange(batch)], 1)
    return {"video": video(batch, frames, seed), "seed": seeds}
