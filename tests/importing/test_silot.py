"""SILOT's published layout computes here what it computes there."""

import numpy as np
import pytest
import tensorflow as tf

from tests.importing import checkpoint_writer, layouts, restated

TOLERANCE = restated.TOLERANCE
pytestmark = pytest.mark.slow


@pytest.fixture(name="silot_theirs", scope="module")
def _fixture_silot_theirs():
    full = layouts.fill(layouts.silot())
    root = "network/representation/"
    return {name.removeprefix(root): array for name, array in full.items()}


@pytest.fixture(name="silot", scope="module")
def _fixture_silot(tmp_path_factory):
    folder = tmp_path_factory.mktemp("silot")
    arrays = layouts.fill(layouts.silot())
    prefix = checkpoint_writer.write(folder / "theirs", arrays)
    loaded, info = restated.imported("silot", prefix, folder)
    assert info["parameters"] == 2_826_622
    assert info["licence"] == "MIT"
    return loaded.model


def test_silots_recurrent_cell_is_theirs(silot, silot_theirs):
    """h' = (1 - z) h + z tanh(...), with their z."""
    rng = np.random.default_rng(1)
    x, h = rng.standard_normal(72), rng.standard_normal(128)
    for part, name in (
        (silot.propagation, "prop_cell"),
        (silot.prior, "prior_prop_cell"),
    ):
        w, u, b = (
            {gate: silot_theirs[f"{name}/{letter}{gate}"] for gate in "zrh"}
            for letter in "wub"
        )
        z = restated.sigmoid(x @ w["z"] + h @ u["z"] + b["z"])
        r = restated.sigmoid(x @ w["r"] + h @ u["r"] + b["r"])
        new = np.tanh(x @ w["h"] + (r * h) @ u["h"] + b["h"])
        wanted = (1 - z) * h + z * new
        state = tf.constant(h[None], tf.float32)
        ours, _ = part.cell(tf.constant(x[None], tf.float32), [state])
        np.testing.assert_allclose(ours[0], wanted, **TOLERANCE)


@pytest.mark.parametrize("part", ["propagation", "prior"])
def test_silots_heads_are_theirs(part, silot, silot_theirs):
    layer = getattr(silot, part)
    scope = {"prior": "prior_propagation"}.get(part, part)
    rng = np.random.default_rng(2)
    for head, name in (
        ("where", "d_box_network"),
        ("what_seen", "predict_attr_inp"),
        ("what_kept", "predict_attr_temp"),
        ("depth", "d_z_network"),
        ("presence", "d_obj_network"),
    ):
        _same_network(layer.heads[head], silot_theirs, f"{scope}/{name}", rng)
    for encoder, name in zip(
        layer.encoders, ("glimpse_prime_encoder", "glimpse_encoder")
    ):
        _same_network(encoder, silot_theirs, f"{scope}/{name}", rng)


def test_silots_renderer_and_attention_are_theirs(silot, silot_theirs):
    rng = np.random.default_rng(3)
    for network, name in (
        (silot.renderer.network, "renderer/object_decoder_for_flight_0"),
        (
            silot.object_network,
            "propagation_feature_extractor/object_wise_func",
        ),
        (
            silot.grid_attention.pair,
            "discovery_feature_extractor/relation_func",
        ),
        (silot.discovery.encoder, "discovery/object_encoder"),
    ):
        _same_network(network, silot_theirs, name, rng)


def _same_network(network, arrays, name, rng):
    """A row of dense layers with ReLU between them."""
    layers = [f"{name}/fully_connected{s}" for s in ("", "_1", "_2", "_3")]
    layers = [layer for layer in layers if f"{layer}/weights" in arrays]
    x = inputs = rng.standard_normal(arrays[f"{layers[0]}/weights"].shape[0])
    for i, layer in enumerate(layers):
        x = x @ arrays[f"{layer}/weights"] + arrays[f"{layer}/biases"]
        x = x if i + 1 == len(layers) else np.maximum(x, 0)
    ours = network(inputs[None].astype("float32"))
    np.testing.assert_allclose(ours[0], x, **TOLERANCE)


def test_silots_cells_are_convolutions_of_one_pixel_there(silot, silot_theirs):
    rng = np.random.default_rng(4)
    for head, name in (
        ("where", "box"),
        ("what", "attr"),
        ("depth", "z"),
        ("presence", "obj"),
    ):
        x = None
        for i in (0, 1):
            scope = f"discovery/{name}_network/fcn-conv{i}"
            kernel = silot_theirs[f"{scope}/kernel"][0, 0]
            if x is None:
                x = inputs = rng.standard_normal(len(kernel))
            x = x @ kernel + silot_theirs[f"{scope}/bias"]
            x = np.maximum(x, 0) if i == 0 else x
        ours = silot.discovery.heads[head](inputs[None].astype("float32"))
        np.testing.assert_allclose(ours[0], x, **TOLERANCE)
    np.testing.assert_array_equal(
        silot.discovery.initial_state,
        silot_theirs["prop_cell_initial_state_0/w"][0],
    )


def test_silot_with_attention_between_objects(tmp_path):
    arrays = layouts.fill(layouts.silot(with_pairs=True))
    prefix = checkpoint_writer.write(tmp_path / "theirs", arrays)
    model = restated.imported("silot", prefix, tmp_path)[0].model
    name = (
        "network/representation/propagation_feature_extractor/"
        "relation_func/fully_connected/weights"
    )
    np.testing.assert_array_equal(
        model.pair_attention.pair.kernels[0], arrays[name]
    )
