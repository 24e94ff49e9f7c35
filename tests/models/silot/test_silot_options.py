"""SILOT: attention, the switches of the paper's text, backgrounds."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.tiny import tiny_silot
from tests.models.tiny.tiny_silot import (
    CELLS,
    A,
    D,
    F,
    G,
    K,
    certain,
    gradients,
    seeded,
)
from tfdecomp.layers.objects.cell_backbone import CellBackbone
from tfdecomp.layers.objects.color_background import ColorBackground
from tfdecomp.layers.objects.moving_background import MovingBackground
from tfdecomp.layers.objects.object_renderer import ObjectRenderer
from tfdecomp.storage import saving


def test_others_see_an_object_s_place_in_the_scene_or_not():
    """What the object knows of itself stays as it is."""
    widths = {}
    for position in ("scene", "relative"):
        model = tiny_silot.tiny(
            attention_position=position, independent_propagation=False
        )
        widths[position] = [
            part.kernels[0].shape[0]
            for part in (
                model.object_network,
                model.grid_attention.pair,
                model.pair_attention.pair,
            )
        ]
    own = 2 + 2 + A + 2 + D
    assert widths["scene"] == [own, own + 2, own + 2 + F]
    assert widths["relative"] == [own, own, own + F]
    with pytest.raises(ValueError, match="attention_position must be one of"):
        tiny_silot.tiny(attention_position="absolute")


def test_relative_attention_does_not_know_where_the_window_lies():
    model = tiny_silot.tiny(
        attention_position="relative", independent_propagation=False
    )
    record = {
        n: tf.constant(
            np.random.default_rng(1).standard_normal((1, K, w)), tf.float32
        )
        for n, w in model._fields().items()
    }
    moved = {**record, "position": record["position"] + 7.0}
    for one, other in ((record, moved),):
        np.testing.assert_array_equal(
            model._shown(one, "hidden"), model._shown(other, "hidden")
        )
    grid = (tf.zeros([1, CELLS, 2]), tf.zeros([1, 2, 2, F]))
    np.testing.assert_array_equal(
        model._known_on_grid(record, *grid), model._known_on_grid(moved, *grid)
    )
    assert np.any(
        model._known(record, "hidden") != model._known(moved, "hidden")
    )


PAPER = {
    "discovery": {
        "head": "paper",
        "fusion": "paper",
        "head_hidden": (6, 6),
        "seen_features": 8,
    },
    "propagation": {"size_prior": "change", "where_input": "box"},
    "independent_propagation": False,
    "attention_position": "relative",
    "attention_scale": 0.1,
    "attention_peak": 1.0,
}


def paper(shake=0.1, **options):
    """A tiny model with all switches of the paper's text."""
    parts = {
        "backbone": CellBackbone(filters=6, features=8, num_pointwise=1),
        "renderer": ObjectRenderer(
            G, 3, hidden=(8,), alpha_scale=0.1, composition="softmax"
        ),
    }
    options = {**PAPER, **options}
    return tiny_silot.tiny(shake=shake, parts=parts, **options)


def test_the_paper_s_model_trains_every_weight():
    found = gradients(paper(), seeded(tiny_silot.clips(batch=3, frames=3)))
    for path, gradient in found.items():
        assert gradient is not None, path
        assert np.all(np.isfinite(gradient)), path


@pytest.mark.slow
def test_the_paper_s_model_is_saved(tmp_path, inputs):
    model = paper()
    path = tmp_path / "model.keras"
    model.save(path)
    again = keras.saving.load_model(path)
    first, second = model(inputs), again(inputs)
    for name in ("recon", "loss", "track_ids"):
        np.testing.assert_allclose(first[name], second[name], atol=1e-5)


@pytest.mark.slow
def test_a_narrow_kernel_starts_the_learned_prior_within_reason():
    """Objects on one place sum up: large features, spreads near zero."""
    batch = seeded(tiny_silot.clips(batch=2, frames=3))
    wild, tame = (
        paper(
            shake=0.0,
            attention_hidden=(64, 64),
            attention_scale=0.02,
            attention_peak=peak,
        )(batch, training=True)["kl_learned_prior"]
        for peak in (None, 1.0)
    )
    assert np.all(tame < 100.0) and np.all(wild > 10.0 * tame)


@pytest.mark.slow
def test_samples_at_evaluation_are_those_of_rollouts_too():
    model = certain(tiny_silot.tiny(sample_in_evaluation=True))
    batch = seeded(tiny_silot.clips())
    sampled, means, default = (
        model.rollout(batch, 2, **options)["recon"]
        for options in ({"use_means": False}, {"use_means": True}, {})
    )
    np.testing.assert_array_equal(default, sampled)
    assert np.any(np.abs(default - means) > 1e-4)


# ---- backgrounds -----------------------------------------------------------


def backgrounds(name):
    return {
        "given": lambda: "given",
        "color": lambda: ColorBackground(latent_dim=2, hidden=(5,), view=4),
        "moving": lambda: MovingBackground(
            latent_dim=2, filters=3, hidden=(5,)
        ),
    }[name]()


@pytest.mark.parametrize(
    "name",
    [
        "given",
        pytest.param("color", marks=pytest.mark.slow),
        pytest.param("moving", marks=pytest.mark.slow),
    ],
)
def test_backgrounds_of_each_clip(name):
    model = tiny_silot.tiny(background=backgrounds(name))
    batch = seeded(tiny_silot.clips(frames=2))
    shape = batch["video"].shape
    if name == "given":
        rng = np.random.default_rng(0)
        batch["background"] = rng.random(shape).astype(np.float32)
    found = model(batch)
    kl = sum(v for n, v in found.items() if n.startswith("kl_"))
    np.testing.assert_allclose(found["kl"], kl, rtol=1e-5)
    assert ("kl_background" in found) == (name != "given")
    behind = found["components"][:, :, 0]
    if name == "given":
        np.testing.assert_allclose(behind, batch["background"], atol=1e-6)
    # A second chunk goes on, and so does a prediction.
    first = {n: v[:, :1] for n, v in batch.items() if n != "seed"}
    second = {n: v[:, 1:] for n, v in batch.items() if n != "seed"}
    state = model({**batch, **first})["state"]
    after = model({**batch, **second, "state": state})
    np.testing.assert_allclose(
        after["recon"][:, 0], found["recon"][:, 1], atol=1e-5
    )
    rolled = model.predict_frames(found["state"], batch["seed"], 1)
    np.testing.assert_allclose(
        rolled["components"][:, 0, 0], behind[:, -1], atol=1e-5
    )
    # What was encoded is drawn again.
    encoded = {n: v[:, -1] for n, v in model.encode(batch).items()}
    np.testing.assert_allclose(
        model.decode(**encoded)["recon"], found["recon"][:, -1], atol=1e-5
    )
    del encoded["background"]
    with pytest.raises(ValueError, match="encode returned"):
        model.decode(**encoded)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["color", "moving"])
def test_backgrounds_learn_and_are_saved(name, tmp_path):
    model = tiny_silot.tiny(background=backgrounds(name))
    batch = seeded(tiny_silot.clips())
    for path, gradient in gradients(model, batch).items():
        if "background" in path:
            assert np.any(gradient), path
    saving.save_model(tmp_path, model)
    again = saving.load_model(tmp_path)
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(
        again(batch)["recon"], model(batch)["recon"], atol=1e-6
    )


def test_a_background_that_nobody_gives_is_an_error(inputs):
    model = tiny_silot.tiny(background="given")
    with pytest.raises(ValueError, match="ColorBackground"):
        model(inputs)
