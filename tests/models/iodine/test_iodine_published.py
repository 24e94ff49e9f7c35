"""IODINE: sizes of the published settings and their parts."""

import numpy as np
import pytest

from tests.models.tiny.tiny_iodine import (
    COSINE_INPUTS,
    REFERENCE_INPUTS,
    SIZE,
    B,
    K,
    Z,
    run,
    tiny,
    video,
)
from tests.test_case import assert_close
from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder
from tfdecomp.layers.decoders.deconv_decoder import DeconvDecoder
from tfdecomp.layers.encoders.refinement_encoder import RefinementEncoder
from tfdecomp.models.iodine import IODINE


def published(name, **options):
    """The models of the paper's three image sets."""
    if name == "clevr":
        return IODINE(**options)
    side, latent, units = {
        "multi_dsprites": (64, 16, 128),
        "tetrominoes": (35, 32, None),
    }[name]
    decoder = BroadcastDecoder(
        (side, side),
        filters=(32,) * 4,
        kernel_sizes=5,
        dense=(),
        mean_activation="linear",
    )
    options = {
        "encoder": RefinementEncoder((32,) * 3, 5, pool="global", units=(128,)),
        **options,
    }
    return IODINE(
        decoder, image_size=side, latent_dim=latent, units=units, **options
    )


def reference(name):
    """The same as the published code has them."""
    constants = {"latent_constant": 5.0, "vector_constant": 0.5}
    if name == "clevr":
        return published(
            name,
            encoder=RefinementEncoder(
                strides=2,
                pool="global",
                units=(256, 256),
                code_activation="linear",
            ),
            refinement_inputs=REFERENCE_INPUTS,
            **constants,
        )
    return published(
        name,
        encoder=RefinementEncoder(
            (32,) * 3,
            5,
            strides=2,
            pool="global",
            units=(128,),
            code_activation="linear",
        ),
        refinement_inputs=COSINE_INPUTS,
        **constants,
    )


@pytest.mark.parametrize(
    "make, name, count, channels, width",
    [
        (published, "clevr", 1_109_200, 17, 512),
        (published, "multi_dsprites", 332_240, 17, 192),
        (published, "tetrominoes", 193_104, 17, 256),
        (reference, "clevr", 1_177_168, 18, 513),
        (reference, "multi_dsprites", 339_152, 24, 193),
        (reference, "tetrominoes", 199_568, 24, 257),
    ],
)
def test_sizes_are_the_published_ones(make, name, count, channels, width):
    model = make(name)
    model.build()
    assert model.count_params() == count
    assert model.encoder.convs[0].kernel.shape[2] == channels
    latents = 2 * model.latent_dim
    if name == "tetrominoes":
        assert model.lstm is None
        assert model.head.kernel.shape == (width, latents)
    else:
        units = model.units
        assert model.lstm.kernel.shape == (width + units, 4 * units)
        assert model.head.kernel.shape == (units, latents)


def test_deconvolution_decoder_has_the_published_count():
    decoder = DeconvDecoder((128, 128))
    model = IODINE(decoder)
    model.build()
    assert decoder.count_params() == 725_060
    assert model.count_params() == 1_109_200 - 151_172 + 725_060


def test_a_model_with_deconvolutions_runs():
    decoder = DeconvDecoder((SIZE, SIZE), dense=(5,), grid=4, filters=3)
    model = IODINE(decoder, image_size=SIZE, latent_dim=Z, num_slots=K)
    outputs = model({"video": video()})
    assert outputs["masks"].shape == (B, 1, K, SIZE, SIZE, 1)
    assert np.all(np.isfinite(outputs["loss"]))


@pytest.mark.parametrize("make", [published, reference])
def test_a_published_model_takes_a_step(make):
    model = make("tetrominoes")
    pictures = np.zeros((1, 1, 35, 35, 3), np.uint8)
    outputs = model({"video": pictures}, num_refinements=1)
    assert outputs["masks"].shape == (1, 1, 7, 35, 35, 1)
    assert np.all(np.isfinite(outputs["loss"]))


def test_constant_and_cosine_inputs_reach_the_encoder(monkeypatch):
    model = tiny(refinement_inputs=COSINE_INPUTS)
    seen = []
    shared = model.encoder.shared
    monkeypatch.setattr(
        model.encoder, "shared", lambda m: seen.append(m) or shared(m)
    )
    run(model)
    maps = np.asarray(seen[0])  # constant, frame, cosines
    assert np.all(maps[..., 0] == 0.5)
    assert_close(maps[..., 1:4], video()[:, 0], 1e-6)
    ramp = np.linspace(0, 1, SIZE)
    for channel, (fx, fy) in ((4, (0, 1)), (6, (1, 0)), (10, (2, 1))):
        wave = np.outer(np.cos(fy * np.pi * ramp), np.cos(fx * np.pi * ramp))
        assert_close(maps[0, ..., channel], wave, 1e-5)
