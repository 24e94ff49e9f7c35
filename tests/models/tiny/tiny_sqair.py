"""Tiny SQAIRs; their clips are SILOT's, squares that move."""

import keras
import numpy as np

from tests.models.tiny import tiny_silot
from tfdecomp.layers.tracks.picture_mlp import PictureMLP
from tfdecomp.layers.tracks.slot_discovery import SlotDiscovery
from tfdecomp.layers.tracks.slot_glimpse import SlotGlimpse
from tfdecomp.layers.tracks.slot_prior import SlotPrior
from tfdecomp.layers.tracks.slot_propagation import SlotPropagation
from tfdecomp.layers.tracks.slot_sprites import SlotSprites
from tfdecomp.models.sqair import SQAIR

SIZE, K, A, D, G = 12, 3, 4, 5, 4
S = 3


def tiny(seed=0, shake=0.2, channels=3, parts=None, **options):
    """A built model; every weight is away from where it starts.

    Choices are open: about as many objects go as stay.

    Args:
        seed: Of the weights.
        shake: How far the weights are moved.
        channels: `C`.
        parts: Options of a layer by name.
        **options: Of `SQAIR`.
    """
    keras.utils.set_random_seed(seed)
    common = {"what_dim": A, "units": D, **(parts or {})}
    heads = {"hidden": (6,), "head_hidden": (6,)}
    made = {
        "image_encoder": PictureMLP(hidden=(7,), features=6),
        "glimpse_encoder": SlotGlimpse(A, G, (7,), channels),
        "propagation": SlotPropagation(
            **common, **heads, glimpse_size=G, keep_bias=1.5
        ),
        "discovery": SlotDiscovery(**common, **heads, presence_bias=0.7),
        "prior": SlotPrior(**common, keep_bias=2.0),
        "decoder": SlotSprites(G, channels, hidden=(8,)),
    }
    options = {
        "image_size": SIZE,
        "channels": channels,
        "num_slots": K + 1,
        "num_particles": S,
        "mean_image": False,
        **options,
    }
    model = SQAIR(**made, **options)
    model.build()
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        moved = shake * rng.standard_normal(weight.shape)
        weight.assign(np.asarray(weight) + moved)
    return model


def clips(batch=2, frames=3, channels=3, seed=0):
    """Squares of 6 px that move over black, `[B, T, 12, 12, C]`."""
    return tiny_silot.clips(batch, frames, SIZE, channels, seed)
