"""Sprites on a canvas, against a loop over their pixels."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.test_case import assert_close
from tfdecomp.ops import placement

SIZE = (7, 9)
CORNERS = [0, 8, 54, 62]


def loop(sprites, maps):
    """The definition, pixel by pixel of the sprites, in double precision."""
    side, (height, width) = sprites.shape[2], maps.shape[2:]
    reach = side // 2
    edge = (reach, reach)
    maps = np.pad(maps.astype(np.float64), ((0, 0), (0, 0), edge, edge))
    out = 0.0
    for p, q in itertools.product(range(side), repeat=2):
        rows = slice(2 * reach - p, 2 * reach - p + height)
        columns = slice(2 * reach - q, 2 * reach - q + width)
        pixel = sprites[:, :, p, q, None, None]
        out = out + (maps[:, :, rows, columns, None] * pixel).sum(1)
    return out


def one_hot(locations, size=SIZE):
    pixels = np.eye(size[0] * size[1], dtype=np.float32)
    return pixels[np.asarray(locations)].reshape(*np.shape(locations), *size)


def draw(seed, batch=2, slots=2, side=5, channels=2, size=SIZE):
    """Sprites, maps and a gradient of the canvas."""
    rng = np.random.default_rng(seed)
    sprites = rng.random((batch, slots, side, side, channels), np.float32)
    maps = rng.random((batch, slots, *size), np.float32)
    upstream = rng.standard_normal((batch, *size, channels))
    return sprites, maps, upstream.astype(np.float32)


def differentiate(place, sprites, maps, upstream):
    """The canvas and the gradients of sprites and maps."""
    sprites, maps = tf.constant(sprites), tf.constant(maps)
    with tf.GradientTape() as tape:
        tape.watch((sprites, maps))
        canvas = place(sprites, maps)
    return canvas, *tape.gradient(canvas, (sprites, maps), upstream)


def slopes(function, values):
    """Central differences of a scalar function."""
    gradient = np.zeros(values.shape)
    for index in np.ndindex(values.shape):
        step = np.zeros(values.shape)
        step[index] = 0.5
        gradient[index] = function(values + step) - function(values - step)
    return gradient


@pytest.fixture(params=["products", "fft"])
def transform(request, monkeypatch):
    """Both ways to transform, on any machine."""
    monkeypatch.setattr(placement, "_has_gpu", lambda: request.param == "fft")


@pytest.mark.parametrize("side, channels", [(1, 1), (3, 3), (5, 1), (7, 2)])
def test_soft_placement_is_the_loop(transform, side, channels):
    sprites, maps, _ = draw(0, side=side, channels=channels)
    expected = loop(sprites, maps)
    assert_close(placement.place_soft(sprites, maps), expected, 1e-5)


def test_soft_placement_is_exact_enough_at_full_size(transform):
    sprites, maps, _ = draw(1, batch=1, slots=2, side=17, size=(64, 64))
    maps /= maps.sum((2, 3), keepdims=True)
    expected = loop(sprites, maps)
    placed = placement.place_soft(sprites, maps)
    assert np.abs(placed - expected).max() < 1e-5 * expected.max()


@pytest.mark.parametrize("corner", CORNERS)
def test_every_method_crops_in_the_corners(transform, corner):
    sprites, _, _ = draw(2)
    locations = np.array([[corner, 31], [40, corner]])
    maps = one_hot(locations)
    expected = loop(sprites, maps)
    assert_close(placement.place_soft(sprites, maps), expected, 1e-6)
    exact = expected.astype(np.float32)  # of two values at most
    hard = placement.place_hard(sprites, locations, SIZE)
    straight = placement.place_straight_through(sprites, locations, maps)
    each = placement.place_each(sprites, locations, SIZE)
    np.testing.assert_array_equal(hard, exact)
    np.testing.assert_array_equal(straight, exact)
    np.testing.assert_array_equal(each.numpy().sum(1), exact)


def test_each_sprite_has_a_canvas_of_its_own():
    sprites, _, _ = draw(3, slots=3)
    locations = np.array([[0, 30, 30], [8, 62, 1]])
    each = placement.place_each(sprites, locations, SIZE)
    assert each.shape == (2, 3, *SIZE, 2)
    for slot in range(3):
        alone = slice(slot, slot + 1)
        expected = loop(sprites[:, alone], one_hot(locations[:, alone]))
        np.testing.assert_array_equal(
            each[:, slot], expected.astype(np.float32)
        )


@pytest.mark.parametrize("present", [None, np.array([[1, 0.5], [0, 1]])])
def test_gradients_are_those_of_finite_differences(transform, present):
    size = (4, 5)
    sprites, maps, upstream = draw(4, side=3, size=size)
    weight = np.ones([2, 2]) if present is None else present
    weight = weight[:, :, None, None, None]
    _, for_sprites, for_maps = differentiate(
        lambda s, m: placement.place_soft(s, m, present),
        sprites,
        maps,
        upstream,
    )

    def score(sprites, maps):
        return (loop(sprites * weight, maps) * upstream).sum()

    expected = slopes(lambda s: score(s, maps), sprites)
    assert_close(for_sprites, expected, 1e-5)
    assert_close(for_maps, slopes(lambda m: score(sprites, m), maps), 1e-5)


def test_gradient_of_a_sprite_placed_hard_is_the_window():
    sprites, _, upstream = draw(5, side=3)
    locations = np.array([[0, 31], [62, 62]])
    maps = one_hot(locations)
    expected = slopes(
        lambda s: (loop(s, maps) * upstream).sum(), sprites.astype(np.float64)
    )
    for place in (
        lambda s, _: placement.place_hard(s, locations, SIZE),
        lambda s, _: tf.reduce_sum(
            placement.place_each(s, locations, SIZE), axis=1
        ),
        lambda s, m: placement.place_straight_through(s, locations, m),
    ):
        _, for_sprites, _ = differentiate(place, sprites, maps, upstream)
        assert_close(for_sprites, expected, 1e-6)


def test_straight_through_gives_maps_the_soft_gradient(transform):
    sprites, maps, upstream = draw(6, channels=3)
    locations = np.array([[3, 31], [62, 40]])
    present = np.array([[True, True], [False, True]])
    hard, _, for_maps = differentiate(
        lambda s, m: placement.place_straight_through(s, locations, m, present),
        sprites,
        maps,
        upstream,
    )
    _, _, expected = differentiate(
        lambda s, m: placement.place_soft(s, m, present),
        sprites,
        maps,
        upstream,
    )
    assert_close(for_maps, expected, 1e-5)
    np.testing.assert_array_equal(
        hard, placement.place_hard(sprites, locations, SIZE, present)
    )


def test_gradient_can_be_differentiated_again(transform):
    sprites, maps, upstream = draw(7, batch=1, side=3, size=(4, 5))
    sprites, maps = tf.constant(sprites), tf.constant(maps)
    with tf.GradientTape() as outer:
        outer.watch(maps)
        with tf.GradientTape() as inner:
            inner.watch(sprites)
            canvas = placement.place_soft(sprites, maps)
        slope = inner.gradient(canvas, sprites, upstream)
    # The slope is linear in the maps, the canvas in the sprites.
    twice = outer.gradient(slope, maps, sprites)
    _, _, expected = differentiate(
        placement.place_soft, sprites, maps, upstream
    )
    assert_close(twice, expected, 1e-5)


def test_the_sum_of_a_sprite_inside_is_kept(transform):
    sprites, _, _ = draw(8, slots=1)
    locations = np.array([[2 * 9 + 2], [4 * 9 + 6]])
    total = sprites.sum((1, 2, 3))
    hard = placement.place_hard(sprites, locations, SIZE)
    soft = placement.place_soft(sprites, one_hot(locations))
    assert_close(tf.reduce_sum(hard, [1, 2]), total, 1e-5)
    assert_close(tf.reduce_sum(soft, [1, 2]), total, 1e-5)


def test_a_sprite_of_one_pixel_reproduces_the_map(transform):
    _, maps, _ = draw(9, slots=1)
    sprites = np.zeros([2, 1, 5, 5, 1], np.float32)
    sprites[:, :, 2, 2] = 1.0
    placed = placement.place_soft(sprites, maps)
    assert_close(placed[..., 0], maps[:, 0], 1e-6)


def test_nothing_present_leaves_exact_zeros(transform):
    sprites, maps, _ = draw(10)
    locations = np.array([[3, 31], [62, 40]])
    present = np.array([[False, False], [True, False]])
    for canvas in (
        placement.place_soft(sprites, maps, present),
        placement.place_hard(sprites, locations, SIZE, present),
        placement.place_straight_through(sprites, locations, maps, present),
    ):
        assert not np.any(canvas[0])
        assert np.any(canvas[1])


def test_absent_slots_have_no_influence(transform):
    sprites, maps, upstream = draw(11, batch=1)
    others, other_maps, _ = draw(12, batch=1)
    others[:, 0], other_maps[:, 0] = sprites[:, 0], maps[:, 0]
    present = np.array([[1.0, 0.0]], np.float32)
    results = [
        differentiate(
            lambda s, m: placement.place_soft(s, m, present), *inputs, upstream
        )
        for inputs in ((sprites, maps), (others, other_maps))
    ]
    for value, other in zip(*results):
        np.testing.assert_array_equal(value[:, :1], other[:, :1])
    assert not np.any(results[0][1][:, 1])
    assert not np.any(results[0][2][:, 1])


def test_order_of_slots_does_not_matter_but_pairing_does(transform):
    sprites, maps, _ = draw(13)
    locations = np.array([[3, 31], [62, 40]])
    soft = placement.place_soft(sprites, maps)
    hard = placement.place_hard(sprites, locations, SIZE)
    turned = sprites[:, ::-1]
    assert_close(placement.place_soft(turned, maps[:, ::-1]), soft, 1e-5)
    np.testing.assert_array_equal(
        placement.place_hard(turned, locations[:, ::-1], SIZE), hard
    )
    swapped = placement.place_hard(turned, locations, SIZE)
    assert_close(swapped, loop(turned, one_hot(locations)), 1e-6)
    assert np.abs(swapped - hard).max() > 0.1


def test_graph_xla_and_unknown_batch_agree_with_eager():
    sprites, maps, upstream = draw(14, slots=3)
    locations = np.array([[0, 31, 31], [62, 5, 40]], np.int32)

    def compute(sprites, maps, locations):
        with tf.GradientTape() as tape:
            tape.watch((sprites, maps))
            canvas = placement.place_soft(
                sprites, maps
            ) + placement.place_straight_through(sprites, locations, maps)
        slopes = tape.gradient(canvas, (sprites, maps), upstream)
        each = placement.place_each(sprites, locations, SIZE)
        return canvas, *slopes, each

    inputs = [tf.constant(v) for v in (sprites, maps, locations)]
    expected = compute(*inputs)
    unknown = [
        tf.TensorSpec([None, None, *v.shape[2:]], v.dtype) for v in inputs
    ]
    for options in ({"input_signature": unknown}, {"jit_compile": True}):
        function = tf.function(compute, autograph=False, **options)
        assert_close(function(*inputs), expected, 1e-5)


def test_half_precision_is_placed_in_float32():
    sprites, maps, _ = draw(15)
    placed = placement.place_soft(tf.cast(sprites, tf.bfloat16), maps)
    rounded = tf.cast(tf.cast(sprites, tf.bfloat16), tf.float32).numpy()
    assert placed.dtype == tf.float32
    assert_close(placed, loop(rounded, maps), 1e-5)


@pytest.mark.parametrize(
    "shape, message",
    [
        ((1, 1, 4, 4, 1), "odd side"),
        ((1, 1, 5, 3, 1), "square"),
        ((1, 1, 9, 9, 1), "side of 9 for a canvas of 7x9"),
    ],
)
def test_sprites_that_cannot_be_placed_are_refused(shape, message):
    sprites, locations = np.zeros(shape, np.float32), np.zeros([1, 1], int)
    maps = np.zeros([1, 1, *SIZE], np.float32)
    for place in (
        lambda: placement.place_soft(sprites, maps),
        lambda: placement.place_hard(sprites, locations, SIZE),
        lambda: placement.place_each(sprites, locations, SIZE),
        lambda: placement.place_straight_through(sprites, locations, maps),
    ):
        with pytest.raises(ValueError, match=message):
            place()
