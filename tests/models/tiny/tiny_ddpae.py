"""Tiny DDPAEs and grey clips."""

import numpy as np

from tests.test_case import set_seed
from tfdecomp.models.ddpae import DDPAE

SIZE, K, Z, H = 16, 3, 4, 5
N = K - 1
B, T = 2, 4


def tiny(seed=0, shake=0.2, **options):
    """A built model; every weight is away from where it starts.

    Args:
        seed: Of the weights.
        shake: How far the weights are moved.
        **options: Of `DDPAE`.
    """
    set_seed(seed)
    options = {
        "image_size": SIZE,
        "num_slots": K,
        "num_input": 2,
        "features": 6,
        "content_dim": Z,
        "units": H,
        **options,
    }
    model = DDPAE(**options)
    model.build()
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        moved = shake * rng.standard_normal(weight.shape)
        weight.assign(np.asarray(weight) + moved)
    for weight in model.non_trainable_weights:  # moments stay positive
        weight.assign(np.asarray(weight) + 0.5 * rng.random(weight.shape))
    return model


def video(batch=B, frames=T, seed=0):
    """Grey squares that move over black, `[B, T, 16, 16, 1]` float32."""
    rng = np.random.default_rng(seed)
    clips = np.zeros((batch, frames, SIZE, SIZE, 1), np.float32)
    for clip in clips:
        for _ in range(N):
            y, x = rng.integers(0, SIZE - 5 - frames, size=2)
            dy, dx = rng.integers(0, 2, size=2)
            for t, frame in enumerate(clip):
                top, left = y + t * dy, x + t * dx
                frame[top : top + 5, left : left + 5] = rng.uniform(0.5, 1.0)
    return clips


def clips(batch=B, frames=T, seed=0):
    """Clips with seeds of their own."""
    seeds = np.stack([np.arange(batch) + 7, np.arange(batch)], 1)
    return {"video": video(batch, frames, seed), "seed": np.int32(seeds)}
