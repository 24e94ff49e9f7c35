"""Tiny R-NEMs and binary clips."""

import numpy as np

from tests.test_case import set_seed
from tfdecomp.layers.decoders.group_decoder import GroupDecoder
from tfdecomp.layers.encoders.residual_encoder import ResidualEncoder
from tfdecomp.layers.pairwise_interaction import PairwiseInteraction
from tfdecomp.models.rnem import RNEM

SIZE, K, D = 8, 3, 5
B, T = 2, 4


def tiny(seed=0, shake=0.3, relations=True, **options):
    """A built model; every weight is away from where it starts.

    Args:
        seed: Of the weights.
        shake: How far the weights are moved.
        relations: Whether groups interact; else it is RNN-EM.
        **options: Of `RNEM`.
    """
    set_seed(seed)
    parts = {
        "encoder": ResidualEncoder((3, 4), units=6),
        "decoder": GroupDecoder((SIZE, SIZE), units=7, filters=(4, 3)),
        "interaction": PairwiseInteraction(6, 4) if relations else None,
    }
    options = {"num_slots": K, "state_dim": D, **options}
    model = RNEM(**{**parts, "image_size": SIZE, **options})
    model.build()
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        moved = shake * rng.standard_normal(weight.shape)
        weight.assign(np.asarray(weight) + moved)
    return model


def video(batch=B, frames=T, seed=0):
    """Random bits, `[B, T, 8, 8, 1]` float32."""
    rng = np.random.default_rng(seed)
    return np.float32(rng.random((batch, frames, SIZE, SIZE, 1)) < 0.3)


def first_masks(batch=B, groups=K, seed=1):
    """gamma_0, `[B, K, 8, 8, 1]`."""
    rng = np.random.default_rng(seed)
    noise = rng.random((batch, groups, SIZE, SIZE, 1)) + 0.1
    return np.float32(noise / noise.sum(1, keepdims=True))


def clips(batch=B, frames=T, seed=0):
    """Clips with seeds and first masks of their own."""
    return {
        "video": video(batch, frames, seed),
        "seed": np.stack([np.arange(batch) + 7, np.arange(batch)], 1),
        "first_masks": first_masks(batch),
    }
