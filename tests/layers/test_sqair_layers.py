"""The layers of SQAIR; what they do in a model is in its own tests."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.models.oracles import sqair_numpy
from tests.test_case import check_layer
from tfdecomp.layers.mlp import MLP
from tfdecomp.layers.tracks import slot_networks
from tfdecomp.layers.tracks.picture_mlp import PictureMLP
from tfdecomp.layers.tracks.place_prior import PlacePrior
from tfdecomp.layers.tracks.slot_discovery import SlotDiscovery
from tfdecomp.layers.tracks.slot_glimpse import SlotGlimpse
from tfdecomp.layers.tracks.slot_prior import SlotPrior
from tfdecomp.layers.tracks.slot_propagation import SlotPropagation
from tfdecomp.layers.tracks.slot_sprites import SlotSprites

K, A, D, G, C = 3, 4, 5, 4, 2


def normal(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return values.astype(np.float32)


def test_picture_mlp_passes_the_battery():
    check_layer(
        lambda **kw: PictureMLP((7,), 6, **kw),
        lambda b: (normal(b, 5, 5, C),),
        (6,),
    )


def test_sprites_pass_the_battery():
    check_layer(
        lambda **kw: SlotSprites(G, C, (7,), **kw),
        lambda b: (normal(b, K, A),),
        (K, G, G, C),
    )


def test_glimpses_pass_the_battery():
    check_layer(
        lambda **kw: SlotGlimpse(A, G, (7,), C, (0.1, 0.9), **kw),
        lambda b: (normal(b, 9, 9, C), normal(b, K, 4), normal(b, K, G * G)),
        ((K, A), (K, A)),
        call=lambda layer, frames, where, mask: layer(
            frames, where, weights=mask
        ),
    )


@pytest.mark.parametrize(
    "layer",
    [
        PlacePrior(D, (0.0, 1.0, 2.0, 3.0)),
        SlotPrior(A, D, 3.0, is_relative=False),
        SlotPropagation(A, D, (6,), (7,), G, 1.0),
        SlotDiscovery(A, D, (6,), (7,), 1.0),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_config_gives_the_same_layer(layer):
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config


def test_a_prior_that_is_absolute_forgets_what_was():
    known = {
        "where": tf.constant(normal(2, K, 4)),
        "what": tf.constant(normal(2, K, A)),
        "prior_hidden": tf.zeros([2, K, D]),
    }
    _, told = SlotPrior(A, D, is_relative=False)(known)
    assert not np.any(told["mean"])


def test_rows_of_a_network_are_what_numpy_says():
    network = slot_networks.mlp((6, 7), 3, "network")
    network.build((None, A))
    values = normal(5, A)
    np.testing.assert_allclose(
        network(values), sqair_numpy.mlp(network, np.float64(values)), atol=1e-5
    )
    assert MLP((3,), 2).activation == "relu"  # as others have it


def test_recurrent_cells_are_what_numpy_says():
    x, h = normal(1, A), normal(1, D, seed=1)
    for make, oracle in (
        (slot_networks.recurrent, sqair_numpy.plain),
        (slot_networks.gated, sqair_numpy.gru),
    ):
        cell = make(D, "cell")
        found, _ = cell(x, [h])
        expected = oracle(cell, np.float64(x[0]), np.float64(h[0]))
        np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_a_choice_is_made_as_often_as_its_logit_says():
    uniform = tf.constant(np.random.default_rng(0).random((4000, 1)), "float32")
    found = slot_networks.decide(tf.fill([4000, 1], 0.8), uniform)
    assert abs(np.mean(found) - sqair_numpy.sigmoid(0.8)) < 0.03
