"""What PROVIDE returns for export, and the limits of K and R."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfdecomp import saving
from tfdecomp.layers.broadcast_decoder import BroadcastDecoder
from tfdecomp.layers.refinement_encoder import RefinementEncoder
from tfdecomp.models.provide import PROVIDE


def _tiny(**options):
    keras.utils.set_random_seed(1)
    model = PROVIDE(
        BroadcastDecoder((8, 8), filters=(4,), dense=()),
        RefinementEncoder(filters=(4,), units=(6,)),
        image_size=8,
        latent_dim=3,
        units=6,
        num_slots=2,
        num_refinements=2,
        **options,
    )
    return saving.build(model)


def _video():
    return np.random.default_rng(0).random((2, 2, 8, 8, 3), np.float32)


@pytest.mark.parametrize("conditional", [True, False])
def test_decode_reads_what_encode_returns(conditional):
    model = _tiny(conditional=conditional)
    encoded = model.encode({"video": _video()})
    frames = {n: tf.concat(tf.unstack(v), 0) for n, v in encoded.items()}
    decoded = model.decode(**frames)
    assert decoded["recon"].shape == (4, 8, 8, 3)
    np.testing.assert_allclose(tf.reduce_sum(decoded["masks"], 1), 1, 1e-5)


def test_encode_takes_another_number_of_slots():
    slots = _tiny().encode({"video": _video()}, num_slots=3)["slots"]
    assert slots.shape == (2, 2, 3, 3)


@pytest.mark.parametrize("name", ["num_slots", "num_refinements"])
@pytest.mark.parametrize("kind", [int, tf.constant])
def test_fewer_than_two_slots_or_refinements_are_refused(name, kind):
    error = ValueError if kind is int else tf.errors.InvalidArgumentError
    with pytest.raises(error, match=f"{name} must be at least 2"):
        _tiny()({"video": _video()}, **{name: kind(1)})
