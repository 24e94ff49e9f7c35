"""LAVAE: sizes, schedules and groups of the published settings."""

import numpy as np
import pytest
import tensorflow as tf

from tfdecomp import training
from tfdecomp.layers.locationwise_vae import LocationwiseVAE
from tfdecomp.storage import configs

PARTS = ("location_net", "appearance_net", "sprite_decoder")


@pytest.fixture(scope="module", params=["mnist", "dsprites"])
def published(request):
    path = {
        "mnist": "lavae.gin",
        "dsprites": "papers/lavae/lavae_multi_dsprites.gin",
    }[request.param]
    with configs.isolated():
        configs.parse([path])
        yield request.param, training.build_settings()


def test_published_sizes(published):
    name, settings = published
    model = settings.model
    expected = {
        "mnist": [177_841, 171_520, 156_641, 74_256 + 71_937],
        "dsprites": [180_241, 173_920, 169_123, 74_832 + 72_515],
    }[name]
    parts = [getattr(model, p) for p in (*PARTS, "auxiliary_vae")]
    counts = [
        sum(int(np.prod(v.shape)) for v in p.trainable_variables) for p in parts
    ]
    assert counts == expected
    assert model.count_logits.shape == (11,)
    total = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    total -= counts[-1]
    assert total == {"mnist": 506_013, "dsprites": 523_295}[name]
    assert model.sprite_decoder.size == {"mnist": 17, "dsprites": 21}[name]
    assert model.auxiliary_vae.latent_shape == (11, 11, 8)
    for norm in _norms(model):
        assert (norm.momentum, norm.epsilon) == (0.9, 1e-5)


def _norms(model):
    return [
        layer
        for layer in model._flatten_layers()
        if type(layer).__name__ == "BatchNorm"
    ]


def test_published_schedules(published):
    name, settings = published
    steps = [0, 30_000, 45_000, 50_000, 60_000, 100_000, 200_000]
    values = {
        key: [float(schedule(step)) for step in steps]
        for key, schedule in settings.schedules.items()
    }
    np.testing.assert_allclose(
        values["forced_share"],
        [1.0, 1.0, 0.55, 0.4, 0.1, 0.1, 0.1],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        values["auxiliary_weight"],
        [1.0, 1.0, 0.5, 1 / 3, 0.0, 0.0, 0.0],
        rtol=1e-5,
    )
    decay = np.minimum(np.array(steps) / 100_000, 1.0)
    np.testing.assert_allclose(
        values["temperature"], 0.5 * 0.04**decay, rtol=1e-4
    )
    assert values["temperature"][3] == pytest.approx(0.1, rel=1e-4)
    rates = [settings.optimizer.rates(tf.constant(step)) for step in steps]
    start = {"mnist": 1e-4, "dsprites": 5e-4}[name]
    np.testing.assert_allclose(
        [r["learning_rate_location_net"] for r in rates],
        start * 0.01**decay,
        rtol=1e-4,
    )
    np.testing.assert_allclose([r["learning_rate"] for r in rates], 1e-3)
    assert settings.batch_size == 64 and settings.clip_norm is None


def test_published_groups_are_the_location_network_and_the_rest(published):
    _, settings = published
    model = settings.model
    variables = model.trainable_variables
    settings.optimizer.build(
        [v.value for v in variables], [v.path for v in variables]
    )
    members = settings.optimizer.members
    chosen = [i for group in members.values() for i in group]
    assert sorted(chosen) == list(range(len(variables)))
    named = next(key for key in members if key is not None)
    ours = {id(v) for v in model.location_net.trainable_variables}
    assert {id(variables[i]) for i in members[named]} == ours


def test_the_divergence_map_is_smooth_and_turns_with_the_picture():
    vae = LocationwiseVAE((64, 64))
    tiles = np.random.default_rng(0).random((2, 11, 11)).astype(np.float32)
    found = np.asarray(vae.interpolate(tf.constant(tiles)))
    assert found.shape == (2, 64, 64)
    for axis in (1, 2):
        flipped = vae.interpolate(tf.constant(np.flip(tiles, axis)))
        np.testing.assert_allclose(flipped, np.flip(found, axis), atol=1e-6)
    # Centres of tiles are between pixels 6 j + 1 and 6 j + 2.
    j = np.arange(1, 10)
    middle = found[:, 6 * j + 1][:, :, 6 * j + 1]
    middle = (middle + found[:, 6 * j + 2][:, :, 6 * j + 2]) / 2
    middle += (
        found[:, 6 * j + 1][:, :, 6 * j + 2]
        + found[:, 6 * j + 2][:, :, 6 * j + 1]
    ) / 2
    assert (
        np.corrcoef(middle.ravel(), tiles[:, 1:10, 1:10].ravel())[0, 1] > 0.99
    )
