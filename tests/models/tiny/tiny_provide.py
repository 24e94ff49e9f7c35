"""Tiny PROVIDEs, their inputs, and the options of the published code."""

import numpy as np

from tests.test_case import set_seed
from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder
from tfdecomp.layers.encoders.refinement_encoder import RefinementEncoder
from tfdecomp.models.provide import PROVIDE

B, T, K, R, SIZE, Z = 2, 4, 3, 3, 8, 4
WITH_FEATURES = (
    "frame",
    "means",
    "masks",
    "mask_logits",
    "mean_gradient",
    "mask_gradient",
    "mask_posterior",
    "pixel_log_likelihood",
    "coordinates",
    "features",
)
REFERENCE = {
    "extra_refinement": True,
    "step_weights": "global",
    "stop_first_gradient": True,
    "prior_scale": "softplus",
    "flat_mask_posterior": True,
    "batch_mean_gradients": True,
    "separate_biases": True,
}


def tiny(seed=0, **options):
    """A built model of 8x8 pictures."""
    set_seed(seed)
    dense = (6,) if options.get("conditional", True) else ()
    model = PROVIDE(
        BroadcastDecoder((SIZE, SIZE), filters=(5,), dense=dense),
        RefinementEncoder(filters=(5,), pool=2, units=(7,)),
        **{
            "image_size": SIZE,
            "num_slots": K,
            "num_refinements": R,
            "latent_dim": Z,
            "units": 6,
            **options,
        },
    )
    model.build()
    return model


def video(batch=B, frames=T, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((batch, frames, SIZE, SIZE, 3), np.float32)


def noise(batch=B, frames=T, slots=K, seed=1):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((batch, frames, R, slots, Z)).astype(np.float32)
