"""Sprites that add up, and slots one after the other."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models.oracles import sqair_numpy
from tfdecomp.ops import slot_scan, spatial_transformer, sprites

N, K, G, C, SIZE = 2, 3, 4, 2, (9, 7)


def normal(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return values.astype(np.float32)


def placed(where, pictures):
    boxes = sprites.boxes_of(tf.constant(where), SIZE, (0.1, 0.8))
    return sprites.place_sprites(tf.constant(pictures), boxes, SIZE)


def test_sprites_lie_where_numpy_places_them():
    where, pictures = normal(N, K, 4), normal(N, K, G, G, C, seed=1)
    found = placed(where, pictures)
    for n, k in np.ndindex(N, K):
        expected = sqair_numpy.place(
            np.float64(pictures[n, k]),
            np.float64(where[n, k]),
            SIZE,
            (0.1, 0.8),
        )
        np.testing.assert_allclose(found[n, k], expected, atol=1e-4)
    boxes = sprites.boxes_of(tf.constant(where), SIZE, (0.1, 0.8))
    total = sprites.add_sprites(tf.constant(pictures), boxes, SIZE)
    np.testing.assert_allclose(total, np.sum(found, 1), atol=1e-5)


def test_the_order_of_sprites_does_not_matter():
    boxes = sprites.boxes_of(tf.constant(normal(N, K, 4)), SIZE)
    pictures = tf.constant(normal(N, K, G, G, C))
    one, other = (
        sprites.add_sprites(pictures[:, ::s], boxes[:, ::s], SIZE)
        for s in (1, -1)
    )
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_box_as_large_as_the_frame_shows_the_frame_and_a_sprite_itself():
    frame = tf.constant(normal(1, 8, 8, C))
    whole = tf.constant([[[4.0, 4.0, 8.0, 8.0]]])
    cut = spatial_transformer.take_glimpses(frame, whole, (8, 8), "half_pixel")
    np.testing.assert_allclose(cut[:, 0], frame, atol=1e-6)
    back = sprites.add_sprites(cut, whole, (8, 8))
    np.testing.assert_allclose(back, frame, atol=1e-6)


def test_edges_are_those_of_the_box():
    boxes = sprites.boxes_of(tf.constant([0.0, 2.0, 0.0, -0.5]), (10, 20))
    edges = np.asarray(sprites.edges_of(boxes))
    side = np.array([0.5, sqair_numpy.sigmoid(2.0)]) * (10, 20)
    centre = (np.tanh([0.0, -0.5]) + 1) / 2 * (10, 20)
    expected = [*(centre - side / 2), *(centre + side / 2)]
    np.testing.assert_allclose(edges, expected, rtol=1e-5)


def test_gradients_by_where_are_those_of_finite_differences():
    where, pictures = normal(1, 1, 4), normal(1, 1, G, G, C, seed=1)
    weights = normal(1, 1, *SIZE, C, seed=2)
    tensor = tf.constant(where)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        boxes = sprites.boxes_of(tensor, SIZE, (0.1, 0.8))
        drawn = sprites.place_sprites(tf.constant(pictures), boxes, SIZE)
        total = tf.reduce_sum(weights * drawn)
    found = tape.gradient(total, tensor)[0, 0]

    def value(where):
        args = np.float64(pictures[0, 0]), where, SIZE, (0.1, 0.8)
        return np.sum(weights[0, 0] * sqair_numpy.place(*args))

    for i in range(4):
        step = np.eye(4)[i] * 1e-5
        there = np.float64(where[0, 0])
        expected = (value(there + step) - value(there - step)) / 2e-5
        np.testing.assert_allclose(found[i], expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("slots", [1, 3])
def test_a_loop_over_slots_does_what_is_written_out(slots):
    def step(carry, slot):
        total = carry["total"] * 0.5 + slot["x"]
        return {"total": total}, {"total": total, "twice": 2 * total}

    x = tf.constant(normal(2, slots, 3))
    start = {"total": tf.ones([2, 3])}
    carry, found = slot_scan.scan_slots(step, start, {"x": x})

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3])])
    def looped(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            after, records = slot_scan.scan_slots(step, start, {"x": x})
            total = tf.reduce_sum(records["twice"] ** 2)
        return after, records, tape.gradient(total, x)

    after, records, gradient = looped(x)
    np.testing.assert_allclose(after["total"], carry["total"], rtol=1e-6)
    for name in found:
        np.testing.assert_allclose(records[name], found[name], rtol=1e-6)
    with tf.GradientTape() as tape:
        tape.watch(x)
        _, again = slot_scan.scan_slots(step, start, {"x": x})
        total = tf.reduce_sum(again["twice"] ** 2)
    np.testing.assert_allclose(gradient, tape.gradient(total, x), rtol=1e-5)
    value = np.ones([2, 3])
    for k in range(slots):
        value = value * 0.5 + x[:, k].numpy()
    np.testing.assert_allclose(after["total"], value, rtol=1e-5)
