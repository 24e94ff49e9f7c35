"""The layers of the convolutional VAE: a picture to a grid and back."""

import numpy as np
import pytest
import tensorflow as tf

from tests.test_case import assert_close, check_layer
from tfdecomp.layers.decoders.grid_decoder import GridDecoder
from tfdecomp.layers.encoders.grid_encoder import (
    GridEncoder,
    grid_size,
    margins,
)


def normal(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return values.astype(np.float32)


def test_encoder_passes_the_battery():
    check_layer(
        lambda **kw: GridEncoder(5, 2, (1, 0), kernel_size=3, **kw),
        lambda b: (normal(b, 7, 12, 1),),
        (2, 3, 4),
    )


def test_decoder_passes_the_battery():
    check_layer(
        lambda **kw: GridDecoder((7, 12), 2, filters=5, blocks=(1, 0), **kw),
        lambda b: (normal(b, 2, 3, 4),),
        (7, 12, 2),
    )


@pytest.mark.parametrize(
    ("size", "grid", "around"),
    [
        ((64, 64), (8, 8), [(0, 0), (0, 0)]),
        ((36, 36), (5, 5), [(2, 2), (2, 2)]),
        ((37, 47), (5, 6), [(1, 2), (0, 1)]),
    ],
)
def test_pictures_are_padded_to_whole_cells_on_all_sides(size, grid, around):
    blocks = (1, 1, 2)
    assert grid_size(size, blocks) == GridEncoder().grid(size) == grid
    assert margins(size, blocks) == around
    assert GridEncoder().compute_output_shape((4, *size, 1)) == (4, *grid, 32)


def test_encoder_pads_with_black():
    layer = GridEncoder(4, 2, (0, 0, 1))
    frames = np.abs(normal(2, 36, 36, 1))
    padded = np.pad(frames, [(0, 0), (2, 2), (2, 2), (0, 0)])
    assert_close(layer(frames), layer(padded), 1e-6)


def test_decoder_cuts_the_padding_off():
    latents = normal(2, 5, 5, 3)
    whole = GridDecoder((40, 40), filters=4, blocks=(0, 0, 1))
    part = GridDecoder((36, 36), filters=4, blocks=(0, 0, 1))
    expected = whole(latents)[:, 2:-2, 2:-2]
    part.build(latents.shape)
    part.set_weights(whole.get_weights())
    assert_close(part(latents), expected, 1e-6)


def test_batch_statistics_are_used_in_training_alone():
    for layer, inputs in (
        (GridEncoder(4, 2, (0, 1)), normal(3, 8, 8, 1)),
        (GridDecoder((8, 8), filters=4, blocks=(0, 1)), normal(3, 2, 2, 2)),
    ):
        first = layer(inputs)
        assert_close(layer(inputs[:1]), first[:1], 1e-5)
        trained = layer(inputs, training=True)
        assert tf.reduce_max(tf.abs(trained - first)) > 1e-3
        assert tf.reduce_max(tf.abs(layer(inputs) - first)) > 1e-4


@pytest.mark.parametrize("blocks", [(), (1, -1)])
def test_bad_numbers_of_blocks_are_refused(blocks):
    for make in (
        lambda: GridEncoder(blocks=blocks),
        lambda: GridDecoder((8, 8), blocks=blocks),
    ):
        with pytest.raises(ValueError, match="numbers of residual blocks"):
            make()
