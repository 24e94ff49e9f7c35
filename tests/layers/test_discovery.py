"""Discovery of SILOT: places, heads, fusion of its cells."""

import numpy as np
import pytest
import tensorflow as tf

from tests.layers.small_objects import GEOMETRY, SIZES, A, C, D, F, geometry
from tests.layers.values import normal
from tests.test_case import check_layer
from tfdecomp.layers.objects.discovery import Discovery


def discover(layer, seen, known, frame, **options):
    return layer(
        seen, known, frame, geometry=geometry(seen.shape[0]), **options
    )


def test_discovery_passes_the_battery():
    def call(layer, *inputs):
        found, posterior = discover(layer, *inputs)
        return [
            found["box"],
            found["what"],
            found["presence"],
            *(posterior[n] for n in ("mean", "deviation")),
            found["depth"],
            found["hidden"],
        ]

    def make(**kwargs):
        layer = Discovery(**SIZES, fuse_filters=5, **kwargs)
        layer.build()
        layer.initial_state.assign(normal(D))
        return layer

    def inputs(batch):
        frame = np.abs(normal(batch, 24, 36, C)).clip(0, 1)
        return normal(batch, 2, 3, F), normal(batch, 2, 3, F, seed=1), frame

    n, width = 6, 5 + A
    shapes = [(n, 4), (n, A), (n, 1), (n, width), (n, width), (n, 1), (n, D)]
    check_layer(make, inputs, shapes, call=call)


def test_discovered_boxes_stay_near_their_cells():
    layer = Discovery(**SIZES, fuse_filters=5)
    layer.build()
    for w in layer.heads["where"].weights:
        w.assign(30 * normal(*w.shape))
    frame = np.abs(normal(2, 24, 36, C))
    noise = {"normal": normal(2, 6, 5 + A), "uniform": np.full((2, 6, 1), 0.3)}
    found, _ = discover(
        layer,
        normal(2, 2, 3, F),
        normal(2, 2, 3, F, seed=1),
        frame,
        noise={n: tf.constant(v, tf.float32) for n, v in noise.items()},
    )
    rows, columns = np.meshgrid([0, 1], [0, 1, 2], indexing="ij")
    corner = np.stack([rows.ravel(), columns.ravel()], -1)
    offset = found["box"].numpy()[..., :2] * 16 / 12 - corner
    assert np.all(offset > -0.5) and np.all(offset < 1.5)
    assert np.ptp(offset) > 1.5  # extremes are reached
    for name in ("depth", "presence"):
        assert np.all((found[name] > 0) & (found[name] < 1))
    assert np.all(found["box"][..., 2:] > 0) and np.all(
        found["box"][..., 2:] < 1
    )


@pytest.mark.parametrize(
    ("head", "sizes"),
    [
        (
            "reference",
            {
                "where": (66, (66,), 8 + 64, 9_246),
                "what": (198, (198,), 2 * 64 + 64, 77_610),
                "depth": (198, (198,), 2 + 64, 52_536),
                "presence": (199, (199,), 1, 40_000),
            },
        ),
        (
            "paper",
            {
                "where": (66, (100, 100), 8, 17_608),
                "what": (134, (100, 100), 2 * 64, 36_528),
                "depth": (134, (100, 100), 2, 23_802),
                "presence": (135, (100, 100), 1, 23_801),
            },
        ),
    ],
)
def test_heads_have_the_layers_of_the_code_or_of_the_paper(head, sizes):
    layer = Discovery(head=head)
    layer.build()
    for name, (inputs, hidden, outputs, count) in sizes.items():
        network = layer.heads[name]
        widths = [k.shape[1] for k in network.kernels]
        assert network.kernels[0].shape[0] == inputs
        assert widths == [*hidden, outputs]
        assert network.count_params() == count


def test_heads_of_the_paper_hand_nothing_on():
    layer = Discovery(**SIZES, fuse_filters=5, head="paper")
    frame = np.abs(normal(2, 24, 36, C)).clip(0, 1)
    seen = normal(2, 2, 3, F)
    found, posterior = discover(layer, seen, seen, frame)
    assert found["what"].shape == (2, 6, A)
    assert posterior["mean"].shape == (2, 6, 5 + A)
    with pytest.raises(ValueError, match="reference"):
        Discovery(head="code")


def test_fusion_of_the_paper_is_a_network_of_every_cell():
    """Table 2, with what is seen wider than what is known."""
    layer = Discovery(
        **SIZES, fusion="paper", head_hidden=(5, 4), seen_features=7
    )
    layer.build()
    for w in layer.weights:
        w.assign(normal(*w.shape))
    seen, known = normal(2, 2, 3, 7), normal(2, 2, 3, F, seed=1)
    x = np.concatenate([known, seen], axis=-1).reshape(2, 6, 7 + F)
    (network,) = layer.fuse
    for i, (kernel, bias) in enumerate(zip(network.kernels, network.biases)):
        x = x @ np.asarray(kernel) + np.asarray(bias)
        x = np.maximum(x, 0) if i < 2 else x
    found = layer._fuse(tf.constant(seen), tf.constant(known))
    np.testing.assert_allclose(found[..., :F], x, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found[..., F:], [[[1.0, 0.0]] * 6] * 2)
    widths = [k.shape for k in network.kernels]
    assert widths == [(7 + F, 5), (5, 4), (4, F)]
    with pytest.raises(ValueError, match="fusion"):
        Discovery(fusion="code")


def test_fusion_of_the_paper_has_two_hidden_layers_of_a_hundred():
    layer = Discovery(fusion="paper", seen_features=128)
    layer.build()
    widths = [tuple(k.shape) for k in layer.fuse[0].kernels]
    assert widths == [(64 + 128, 100), (100, 100), (100, 64)]


def test_positions_in_the_scene_add_the_crop():
    layer = Discovery(**SIZES, fuse_filters=5)
    seen = normal(2, 2, 2, F)
    frame = np.abs(normal(2, 24, 24, C))
    moved = {**GEOMETRY, "offset": tf.constant([[0.0, 0.0], [1.5, -2.0]])}
    found, _ = layer(seen, seen, frame, geometry=moved)
    np.testing.assert_allclose(
        (found["position"] - found["box"][..., :2])[:, 0],
        [[0.0, 0.0], [1.5, -2.0]],
        atol=1e-6,
    )
