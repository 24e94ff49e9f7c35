"""The parts of SILOT, one by one."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.layers.small_objects import (
    SIZES,
    A,
    C,
    F,
    G,
    geometry,
    objects,
)
from tests.layers.values import normal
from tests.test_case import assert_close, check_layer
from tfdecomp.layers.mlp import MLP
from tfdecomp.layers.objects.cell_backbone import CellBackbone
from tfdecomp.layers.objects.object_renderer import ObjectRenderer
from tfdecomp.layers.objects.propagation import Propagation
from tfdecomp.layers.objects.spatial_attention import SpatialAttention

# ---- rows of dense layers --------------------------------------------------


def test_mlp_passes_the_battery():
    check_layer(
        lambda **kw: MLP((5, 4), 3, **kw),
        lambda b: (normal(b, 4, 6),),
        (4, 3),
    )


def test_mlp_is_that_of_numpy():
    layer = MLP((5,), 2)
    values = normal(2, 3, 4)
    layer(values)
    k0, b0, k1, b1 = (np.asarray(w) for w in layer.weights[:4])
    by_name = {w.path.split("/")[-1]: np.asarray(w) for w in layer.weights}
    hidden = np.maximum(values @ by_name["kernel_0"] + by_name["bias_0"], 0)
    expected = hidden @ by_name["kernel_1"] + by_name["bias_1"]
    np.testing.assert_allclose(layer(values), expected, atol=1e-6)


# ---- backbone --------------------------------------------------------------


def small_backbone(**options):
    return CellBackbone(filters=6, features=4, num_pointwise=1, **options)


def test_backbone_passes_the_battery():
    check_layer(small_backbone, lambda b: (normal(b, 30, 24, 3),), (3, 2, 4))


@pytest.mark.parametrize(
    ("side", "cells", "margins"),
    [
        (48, 4, (9, 10)),
        (60, 5, (9, 10)),
        (72, 6, (9, 10)),
        (96, 8, (9, 10)),
        (160, 14, (9, 18)),
        (195, 17, (9, 19)),
        (210, 18, (9, 16)),
    ],
)
def test_cells_and_margins_are_those_published(side, cells, margins):
    backbone = CellBackbone()
    assert (backbone.cell, backbone.field) == (12, 31)
    assert backbone.grid((side, 48)) == (cells, 4)
    assert backbone.margins((side, side)) == [margins] * 2


def test_a_picture_moved_by_a_cell_moves_features_by_a_cell():
    picture = np.zeros((1, 96, 96, 3), np.float32)
    picture[:, 40:52, 38:50] = np.abs(normal(1, 12, 12, 3))
    backbone = small_backbone()
    here = backbone(picture).numpy()
    there = backbone(np.roll(picture, (12, -12), (1, 2))).numpy()
    np.testing.assert_allclose(here[:, :-1, 1:], there[:, 1:, :-1], atol=1e-5)


def test_a_kernel_without_a_stride_is_an_error():
    with pytest.raises(ValueError, match="stride"):
        CellBackbone(kernels=(4, 4), strides=(2,))


# ---- attention -------------------------------------------------------------


def attention_by_loops(layer, places, things, features, known, weights):
    """The definition, pair by pair."""
    named = {w.path.split("/")[-1]: np.asarray(w) for w in layer.weights}
    out = np.zeros((*places.shape[:2], layer.units))
    for b, r in np.ndindex(places.shape[:2]):
        for i in range(things.shape[1]):
            offset = things[b, i] - places[b, r]
            value = np.concatenate(
                [
                    features[b, i],
                    offset,
                    *([] if known is None else [known[b, r]]),
                ]
            )
            for n in range(3):
                value = value @ named[f"kernel_{n}"] + named[f"bias_{n}"]
                value = np.maximum(value, 0) if n < 2 else value
            g = np.exp(-0.5 * np.sum(offset**2) / layer.scale**2)
            g /= 2 * np.pi * layer.scale**2
            if weights is not None:
                g = g * weights[b, i, 0]
            out[b, r] += g * value
        if known is not None:
            out[b, r] += known[b, r]
    return out


@pytest.mark.parametrize("has_known", [False, True])
def test_attention_is_a_weighted_sum_over_pairs(has_known):
    places, things = normal(2, 3, 2), normal(2, 4, 2, seed=1)
    features = normal(2, 4, 5, seed=2)
    known = normal(2, 3, F, seed=3) if has_known else None
    weights = np.abs(normal(2, 4, 1, seed=4)) if has_known else None
    layer = SpatialAttention(0.7, F, (8, 7))
    shapes = [v.shape for v in (places, things, features)]
    layer.build(*shapes, known.shape if has_known else None)
    for w in layer.weights:
        w.assign(normal(*w.shape))
    np.testing.assert_allclose(
        layer(places, things, features, known, weights),
        attention_by_loops(layer, places, things, features, known, weights),
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_nearest_objects_are_all_that_matters():
    rng = np.random.default_rng(0)
    places = rng.random((1, 6, 2)).astype(np.float32) * 20
    things = rng.random((1, 30, 2)).astype(np.float32) * 20
    features = normal(1, 30, 5)
    every = SpatialAttention(0.5, F, (8, 7))
    near = SpatialAttention(0.5, F, (8, 7), max_neighbours=9)
    for layer in (every, near):
        layer.build(places.shape, things.shape, features.shape)
    near.set_weights(every.get_weights())
    assert not np.any(near.overflow(places, things))
    np.testing.assert_allclose(
        near(places, things, features),
        every(places, things, features),
        rtol=1e-4,
        atol=1e-6,
    )
    few = SpatialAttention(0.5, F, (8, 7), max_neighbours=1)
    assert np.all(few.overflow(places, things) > 0)


def test_the_peak_of_the_kernel_is_that_of_a_density():
    layer = SpatialAttention(0.1)
    assert float(layer.density(tf.constant(0.0))) == pytest.approx(15.9155)


def test_the_peak_can_count_for_one_at_the_start():
    """An object on its own place then adds what a plain network would."""
    plain, tame = (
        SpatialAttention(0.1, F, (8, 7), initial_peak=peak)
        for peak in (None, 1.0)
    )
    place, features = np.zeros((1, 1, 2), np.float32), normal(1, 1, 5)
    for layer in (plain, tame):
        layer.build(place.shape, place.shape, features.shape)
    last = tame.pair.kernels[-1] * 15.9155
    plain.set_weights([*tame.get_weights()])
    plain.pair.kernels[-1].assign(last)
    np.testing.assert_allclose(
        plain(place, place, features),
        15.9155 * tame(place, place, features),
        rtol=1e-4,
    )
    limit = np.sqrt(6 / (7 + F))  # Glorot's
    assert 0.5 * limit < np.abs(last).max() <= limit * 1.0001


def test_attention_passes_the_battery():
    check_layer(
        lambda **kw: SpatialAttention(0.5, F, (8, 7), **kw),
        lambda b: (normal(b, 3, 2), normal(b, 4, 2), normal(b, 4, 5)),
        (3, F),
    )


# ---- propagation -----------------------------------------------------------


def zeroed(**options):
    layer = Propagation(**SIZES, hidden=(6, 6), **options)
    layer.build()
    for w in layer.weights:
        w.assign(np.zeros(w.shape))
    return layer


def propagate(layer, record, frame=None, **options):
    known = normal(*record["box"].shape[:2], F)
    if layer.is_prior:
        return layer(record, known, **options)
    batch = len(known)
    if frame is None:
        frame = np.abs(normal(batch, 24, 24, C)).clip(0, 1)
    return layer(record, known, frame, geometry=geometry(batch), **options)


@pytest.mark.parametrize("is_prior", [False, True])
def test_networks_of_zeros_keep_objects_as_they_are(is_prior):
    before = objects(2, 3)
    after, found = propagate(zeroed(is_prior=is_prior), before)
    for name in ("size_logit", "depth_logit", "position"):
        np.testing.assert_allclose(after[name], before[name], atol=1e-6)
    np.testing.assert_allclose(
        after["box"][..., :2], before["box"][..., :2], atol=1e-6
    )
    gate = 0.9999 / (1 + np.exp(-1.0))
    np.testing.assert_allclose(after["what"], gate * before["what"], rtol=1e-5)
    np.testing.assert_allclose(
        found["mean"][..., 4 : 4 + A], (gate - 1) * before["what"], rtol=1e-4
    )
    np.testing.assert_allclose(
        found["deviation"][..., 4 : 4 + A], 2 * (1 - gate), rtol=1e-4
    )
    np.testing.assert_allclose(
        after["presence"], 0.5 * before["presence"], rtol=1e-5
    )


def test_presence_never_rises_and_nothing_stays_nothing():
    layer = Propagation(**SIZES, hidden=(6, 6))
    before = objects(2, 3)
    before["presence"] *= np.float32([[[0.0], [1.0], [1.0]]])
    noise = {
        "normal": tf.constant(normal(2, 3, 5 + A)),
        "uniform": tf.constant(np.full((2, 3, 1), 0.9999, np.float32)),
    }
    after, _ = propagate(layer, before, noise=noise)
    assert np.all(after["presence"] <= before["presence"])
    np.testing.assert_array_equal(after["presence"][:, 0], 0.0)


def test_moves_are_bounded():
    layer = zeroed(move_scale=0.5)
    layer.heads["where"].biases[-1].assign([50.0] * 8)
    before = objects(1, 2)
    after, _ = propagate(layer, before)
    for name, place in (("box", slice(0, 2)), ("position", slice(0, 2))):
        moved = (after[name] - before[name])[..., place]
        np.testing.assert_allclose(moved, 0.5, atol=1e-5)


def test_only_the_own_state_moves():
    before = objects(2, 3)
    for is_prior in (False, True):
        layer = Propagation(is_prior=is_prior, **SIZES, hidden=(6, 6))
        after, _ = propagate(layer, before)
        moved, still = "hidden", "prior_hidden"
        if is_prior:
            moved, still = still, moved
        np.testing.assert_array_equal(after[still], before[still])
        assert np.any(np.abs(after[moved] - before[moved]) > 1e-3)


def test_prior_propagation_sees_no_frame_and_may_be_pruned():
    full = Propagation(is_prior=True, **SIZES, hidden=(6, 6))
    small = Propagation(is_prior=True, prune=True, **SIZES, hidden=(6, 6))
    before = objects(2, 3)
    propagate(full, before), propagate(small, before)
    assert small.count_params() < full.count_params()
    kept = {w.path.split("/", 1)[1]: np.asarray(w) for w in full.weights}
    for weight in small.weights:
        weight.assign(kept[weight.path.split("/", 1)[1]])
    assert_close(propagate(small, before), propagate(full, before), 1e-6)


def test_what_is_given_leads_to_the_distributions_of_drawing_it():
    layer = Propagation(is_prior=True, prune=True, **SIZES, hidden=(6, 6))
    before = objects(2, 3)
    noise = {
        "normal": tf.constant(normal(2, 3, 5 + A)),
        "uniform": tf.constant(np.full((2, 3, 1), 0.3, np.float32)),
    }
    after, drawn = propagate(layer, before, noise=noise)
    again, given = propagate(layer, before, given=drawn["drawn"])
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
        (after, drawn),
        (again, given),
    )
    free, _ = propagate(layer, before)
    assert np.any(np.abs(free["what"] - after["what"]) > 1e-2)


def test_size_prior_is_of_logits_or_of_their_change():
    before = objects(2, 3)
    absolute = Propagation(**SIZES, hidden=(6, 6))
    change = Propagation(**SIZES, hidden=(6, 6), size_prior="change")
    _, first = propagate(absolute, before)
    change.build()
    change.set_weights(absolute.get_weights())
    _, second = propagate(change, before)
    np.testing.assert_allclose(
        (first["mean"] - second["mean"])[..., 2:4],
        before["size_logit"],
        atol=1e-5,
    )


def remember(seen, inputs, state):
    seen.append(inputs)
    return state


@pytest.mark.parametrize("use_position", [True, False])
def test_the_recurrent_network_sees_variables_or_the_box(use_position):
    before = objects(2, 3)
    for where, width in (("variables", 4), ("box", 2)):
        layer = Propagation(
            **SIZES,
            hidden=(6, 6),
            where_input=where,
            use_position=use_position,
        )
        layer.build()
        seen = []
        layer._recur = functools.partial(remember, seen)
        after, found = propagate(layer, before)
        expected = found["drawn"]["where"]
        if where == "box":
            expected = after["box"][..., 2:]
        if use_position:
            expected = tf.concat([after["position"], expected], axis=-1)
        assert expected.shape[-1] == width + 2 * use_position
        rest = [after[n] for n in ("what", "depth", "presence")]
        np.testing.assert_allclose(
            seen[0], tf.concat([expected, *rest], axis=-1), atol=1e-6
        )
        assert layer.cell_width == seen[0].shape[-1]


def test_gates_begin_as_sonnet_has_them():
    """Each kernel and bias of a gate by itself, within Glorot's limits."""
    tf.random.set_seed(0)
    layer = Propagation(**{**SIZES, "units": 64}, recurrent_start="sonnet")
    layer.build()
    kernel, recurrent, bias = map(np.asarray, layer.cell.trainable_variables)
    inputs = layer.cell_width
    for value, fans in (
        (kernel, inputs + 64),
        (recurrent, 64 + 64),
        (bias, 64 + 64),
    ):
        gates = np.split(value, 3, axis=-1)
        limit = np.sqrt(6 / fans)
        for gate in gates:
            assert 0.9 * limit < np.abs(gate).max() <= limit
            # A uniform variable's deviation.
            assert gate.std() == pytest.approx(limit / np.sqrt(3), rel=0.15)
        assert not np.any(gates[0] == gates[1])
    plain = Propagation(**SIZES)
    plain.build()
    assert not np.any(plain.cell.trainable_variables[2])


def test_options_that_do_not_fit_are_errors():
    with pytest.raises(ValueError, match="absolute"):
        Propagation(size_prior="relative")
    with pytest.raises(ValueError, match="where_input must be one of"):
        Propagation(where_input="glimpse")
    with pytest.raises(ValueError, match="recurrent_start must be one of"):
        Propagation(recurrent_start="zeros")
    with pytest.raises(ValueError, match="prior"):
        Propagation(prune=True)


# ---- renderer --------------------------------------------------------------


def rendered_objects(batch, count, seed=0):
    record = objects(batch, count, seed)
    boxes = record["box"] * tf.constant([20.0, 20.0, 12.0, 12.0])
    return {
        "boxes": boxes,
        **{n: record[n] for n in ("what", "depth", "presence")},
    }


def test_sprites_follow_scales_and_biases():
    layer = ObjectRenderer(G, C, hidden=(8,))
    record = rendered_objects(2, 3)
    layer(record, tf.zeros([2, 20, 20, C]))
    color, alpha, importance = layer.sprites(record)
    assert color.shape == (2, 3, G, G, C)
    logits = tf.reshape(layer.network(record["what"]), [2, 3, G, G, C + 1])
    np.testing.assert_allclose(
        color, tf.sigmoid(2.0 * logits[..., :C]), rtol=1e-5
    )
    opacity = tf.sigmoid(0.1 * logits[..., C] + 5.0)
    np.testing.assert_allclose(
        alpha, opacity * record["presence"][..., None], rtol=1e-5
    )
    np.testing.assert_allclose(
        importance,
        np.maximum(alpha * record["depth"][..., None] / 0.25, 0.01),
        rtol=1e-5,
    )


def test_absent_objects_get_no_gradient_but_of_presence():
    layer = ObjectRenderer(G, C, hidden=(8,))
    record = rendered_objects(1, 2)
    record["presence"] *= 0.0
    background = tf.zeros([1, 20, 20, C])
    layer(record, background)
    with tf.GradientTape() as tape:
        tape.watch(record)
        total = tf.reduce_sum(layer(record, background))
    found = tape.gradient(total, record)
    assert not np.any(found["what"]) and not np.any(found["depth"])
    assert np.all(found["presence"] > 0)


def test_unknown_composition_is_an_error():
    with pytest.raises(ValueError, match="linear"):
        ObjectRenderer(composition="over")
