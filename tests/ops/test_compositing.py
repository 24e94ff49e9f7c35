"""Drawing objects over each other, against a loop over pixels."""

import numpy as np
import pytest
import tensorflow as tf

from tfdecomp.ops import compositing

SIZE, G, C = (11, 13), 4, 3
FLOOR, TEMPERATURE = 0.01, 0.25


def scene(batch=2, count=3, seed=0, size=SIZE):
    """Random sprites in boxes that partly lie outside."""
    rng = np.random.default_rng(seed)
    alpha = rng.random((batch, count, G, G))
    depth = rng.random((batch, count, 1, 1))
    importance = np.maximum(alpha * depth / TEMPERATURE, FLOOR)
    centre = rng.random((batch, count, 2)) * size
    side = rng.uniform(2.0, 8.0, (batch, count, 2))
    return {
        "colors": rng.random((batch, count, G, G, C)),
        "alpha": alpha,
        "importance": importance,
        "boxes": np.concatenate([centre, side], -1),
        "background": rng.random((batch, *size, C)),
    }


def tensors(values):
    return {k: tf.constant(v, tf.float32) for k, v in values.items()}


def draw(values, **options):
    return compositing.compose(**tensors(values), **options)


def sprite_value(sprite, v, w):
    """Bilinear value of `[G, G]` at (v, w), zero outside."""
    total = 0.0
    for a in range(G):
        for b in range(G):
            total += (
                max(0, 1 - abs(v - a)) * max(0, 1 - abs(w - b)) * sprite[a, b]
            )
    return total


def by_pixels(values, composition="linear"):
    """The definition, pixel by pixel, in float64."""
    background = values["background"]
    out = background.copy()
    batch, height, width, _ = background.shape
    for n, i, j in np.ndindex(batch, height, width):
        total, weights = np.zeros(C), 0.0
        for k in range(values["alpha"].shape[1]):
            y, x, h, w = values["boxes"][n, k]
            v = G * (i + 0.5 - (y - h / 2)) / h - 0.5
            u = G * (j + 0.5 - (x - w / 2)) / w - 0.5
            if not (-1 < v < G and -1 < u < G):
                continue
            cover = sprite_value(np.ones((G, G)), v, u)
            alpha = sprite_value(values["alpha"][n, k], v, u)
            weight = sprite_value(values["importance"][n, k], v, u)
            if composition == "softmax":
                weight = np.exp(weight / TEMPERATURE)
            color = np.array(
                [
                    sprite_value(values["colors"][n, k, :, :, c], v, u)
                    for c in range(C)
                ]
            )
            color += (1 - cover) * background[n, i, j]
            value = alpha * color + (1 - alpha) * background[n, i, j]
            total += weight * value
            weights += weight
        if weights > 0:
            out[n, i, j] = total / weights
    return out


@pytest.mark.parametrize("composition", compositing.COMPOSITIONS)
@pytest.mark.parametrize("largest", [None, (8.0, 8.0)])
@pytest.mark.parametrize("chunk_size", [2, 8])
def test_drawing_equals_a_loop_over_pixels(composition, largest, chunk_size):
    values = scene(size=(16, 17) if largest else SIZE)
    drawn = draw(
        values,
        composition=composition,
        largest=largest,
        chunk_size=chunk_size,
    )
    np.testing.assert_allclose(drawn, by_pixels(values, composition), atol=1e-5)


@pytest.mark.parametrize("largest", [None, (8.0, 8.0)])
def test_gradients_are_those_of_finite_differences(largest):
    size = (16, 17) if largest else SIZE
    values = scene(batch=1, seed=3, size=size)
    rng = np.random.default_rng(1)
    mix = rng.standard_normal((1, *size, C))
    fed = tensors(values)
    with tf.GradientTape() as tape:
        tape.watch(fed)
        out = compositing.compose(**fed, largest=largest, chunk_size=2)
        total = tf.reduce_sum(out * tf.constant(mix, tf.float32))
    found = tape.gradient(total, fed)
    for name in values:
        direction = rng.standard_normal(values[name].shape)
        if name == "boxes":
            direction *= 0.3
        step = 1e-6 * direction
        low, high = (
            by_pixels({**values, name: values[name] + sign * step})
            for sign in (-1, 1)
        )
        slope = np.sum(mix * (high - low)) / 2e-6
        expected = np.sum(found[name].numpy() * direction)
        assert expected == pytest.approx(slope, rel=2e-3, abs=2e-3), name


def one(box, alpha=1.0, importance=1.0, count=1, size=SIZE, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "colors": rng.random((1, count, G, G, C)),
        "alpha": np.full((1, count, G, G), alpha),
        "importance": np.full((1, count, G, G), importance),
        "boxes": np.tile(np.float64(box), (1, count, 1)),
        "background": rng.random((1, *size, C)),
    }


def test_an_opaque_sprite_in_its_own_size_is_copied():
    values = one([5.0, 6.0, G, G])  # corner at (3, 4)
    expected = values["background"].copy()
    expected[:, 3 : 3 + G, 4 : 4 + G] = values["colors"][:, 0]
    np.testing.assert_allclose(draw(values), expected, atol=1e-5)


def test_order_of_objects_does_not_matter():
    values = scene(count=5)
    turned = {
        k: v if k == "background" else v[:, [3, 1, 4, 0, 2]]
        for k, v in values.items()
    }
    np.testing.assert_allclose(
        draw(values, chunk_size=2), draw(turned, chunk_size=2), atol=1e-6
    )


def test_pixels_beyond_the_border_do_not_know_the_object():
    values = tensors(one([4.0, 4.0, 4.0, 4.0]))
    names = ("colors", "alpha", "importance")
    with tf.GradientTape() as tape:
        tape.watch([values[n] for n in names])
        out = compositing.compose(**values)
        outside = tf.reduce_sum(out[:, 7:]) + tf.reduce_sum(out[:, :, 7:])
    for gradient in tape.gradient(outside, [values[n] for n in names]):
        assert not np.any(gradient)


def test_an_absent_object_leaves_the_background():
    values = one([5.0, 6.0, 5.5, 4.5], alpha=0.0, importance=FLOOR)
    np.testing.assert_allclose(draw(values), values["background"], atol=1e-6)


def test_an_absent_object_hides_little_of_a_present_one():
    both = one([5.0, 6.0, 6.0, 6.0], count=2)
    both["importance"][:, 0] = 2.0
    both["alpha"][:, 1] = 0.0
    both["importance"][:, 1] = FLOOR
    alone = {k: v if k == "background" else v[:, :1] for k, v in both.items()}
    before, after = draw(alone).numpy(), draw(both).numpy()
    most = FLOOR / (FLOOR + 2.0) * np.abs(before - both["background"])
    assert np.all(np.abs(after - before) <= most + 1e-6)
    # With exponential weights it hides a large part.
    for values in (alone, both):
        values["importance"] = values["alpha"] * 0.5
        values["background"] *= 0.0
    before = draw(alone, composition="softmax").numpy()
    after = draw(both, composition="softmax").numpy()
    assert np.max((before - after) / np.maximum(before, 1e-3)) > 0.1


def test_two_opaque_objects_mix_by_their_importance():
    values = one([5.0, 6.0, G, G], count=2)
    values["importance"][:, 0], values["importance"][:, 1] = 0.9, 0.3
    first, second = values["colors"][:, 0], values["colors"][:, 1]
    drawn = draw(values)[:, 3 : 3 + G, 4 : 4 + G]
    np.testing.assert_allclose(drawn, (3 * first + second) / 4, atol=1e-5)


@pytest.mark.parametrize("side", [0.0, 4.5e-5 * 48, 1e-3])
def test_no_objects_and_tiny_boxes_are_finite(side):
    values = tensors(one([5.0, 6.0, side, side], alpha=0.0, importance=FLOOR))
    with tf.GradientTape() as tape:
        tape.watch(values)
        out = compositing.compose(**values)
        total = tf.reduce_sum(out)
    np.testing.assert_allclose(out, values["background"], atol=1e-6)
    for gradient in tf.nest.flatten(tape.gradient(total, values)):
        assert np.all(np.isfinite(gradient))


def test_shares_of_objects_and_background_make_the_picture():
    values = scene(seed=4)
    values["background"] *= 0.0
    fed = tensors(values)
    del fed["background"]
    masks, placed = compositing.object_shares(**fed, size=SIZE)
    assert masks.shape == (2, 3, *SIZE, 1) and placed.shape == (2, 3, *SIZE, C)
    assert np.min(masks) >= 0 and np.max(tf.reduce_sum(masks, 1)) < 1 + 1e-5
    # Where there is one object alone, a black canvas shows what was placed.
    alone = np.sum(np.asarray(masks) > 0, axis=1) == 1
    shown = np.asarray(draw(values))
    picked = np.broadcast_to(alone, shown.shape)
    assert picked.mean() > 0.05
    placed = np.sum(placed, axis=1)
    np.testing.assert_allclose(shown[picked], placed[picked], atol=1e-5)


@pytest.mark.parametrize("largest", [None, (8.0, 8.0)])
def test_drawing_compiles_with_any_batch_and_number(largest):
    size = (16, 17)
    spec = {
        k: tf.TensorSpec(
            [None, *size, C]
            if k == "background"
            else [None, None, *v.shape[2:]],
            tf.float32,
        )
        for k, v in scene(size=size).items()
    }
    function = tf.function(
        lambda v: compositing.compose(**v, largest=largest, chunk_size=2),
        input_signature=[spec],
        autograph=False,
    )
    for batch, count in ((1, 5), (3, 2)):
        values = scene(batch, count, size=size)
        np.testing.assert_allclose(
            function(tensors(values)), draw(values), atol=1e-6
        )


def test_unknown_composition_is_an_error():
    with pytest.raises(ValueError, match="linear"):
        draw(scene(), composition="over")
