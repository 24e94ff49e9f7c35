"""Tiny VAEs, one of a vector and one of a grid, and their videos."""

import numpy as np

from tests.test_case import set_seed
from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder
from tfdecomp.layers.decoders.grid_decoder import GridDecoder
from tfdecomp.layers.encoders.grid_encoder import GridEncoder
from tfdecomp.models.conv_vae import ConvVAE
from tfdecomp.models.vae import VAE
from tfdecomp.storage import saving

SIZE, D = (8, 8), 4
GRID_SIZE, BLOCKS, L = (7, 10), (0, 1), 2  # padded to 8x12: 2x3 cells


def vector(decoder=None, **options):
    """A built VAE."""
    set_seed(0)
    model = VAE(
        decoder or BroadcastDecoder(SIZE, filters=(6,), dense=()),
        **{
            "image_size": SIZE,
            "latent_dim": D,
            "filters": (6, 8),
            "units": (10,),
            "variance": 0.2,
            **options,
        },
    )
    return saving.build(model)


def grid(
    size=GRID_SIZE, blocks=BLOCKS, channels=1, latents=L, shake=0.1, **options
):
    """A built ConvVAE; every weight is away from where it starts."""
    set_seed(0)
    model = ConvVAE(
        GridEncoder(5, latents, blocks, kernel_size=3),
        GridDecoder(size, channels, filters=5, blocks=blocks),
        image_size=size,
        channels=channels,
        **options,
    )
    saving.build(model)
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        moved = shake * rng.standard_normal(weight.shape)
        weight.assign(np.asarray(weight) + moved)
    return model


def video(batch=2, frames=3, size=SIZE, seed=0):
    """Pixels of any value, uint8."""
    shape = (batch, frames, *size, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def binary(batch=2, frames=3, size=GRID_SIZE, channels=1, seed=0):
    """Binary pixels, uint8."""
    shape = (batch, frames, *size, channels)
    on = np.random.default_rng(seed).random(shape) < 0.3
    return 255 * on.astype(np.uint8)
