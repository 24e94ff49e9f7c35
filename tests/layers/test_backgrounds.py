"""Backgrounds that a model finds: their latents, pictures and divergences."""

import numpy as np
import pytest
import tensorflow as tf

from tests.test_case import check_layer
from tfdecomp.layers.objects.color_background import ColorBackground
from tfdecomp.layers.objects.moving_background import MovingBackground

T, H, W, C = 3, 14, 18, 3


def clips(batch=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((batch, T, H, W, C)).astype(np.float32)


def color(**options):
    return ColorBackground(C, latent_dim=2, hidden=(5,), view=4, **options)


def moving(**options):
    return MovingBackground(C, latent_dim=2, filters=3, hidden=(5,), **options)


def shaken(layer):
    layer.build()
    for i, weight in enumerate(layer.weights):
        rng = np.random.default_rng(i)
        weight.assign(0.5 * rng.standard_normal(weight.shape))
    return layer


@pytest.mark.parametrize("make", [color, moving])
def test_backgrounds_pass_the_battery(make):
    def call(layer, video):
        picture, kl, _ = layer(video)
        return picture, 1.0 + kl

    check_layer(
        make, lambda batch: (clips(batch),), [(T, H, W, C), ()], call=call
    )


@pytest.mark.parametrize("make", [color, moving])
def test_the_divergence_is_that_of_what_was_drawn(make):
    """The mean of log q - log p over many samples, restated in NumPy."""
    layer, video = shaken(make()), clips(1)
    mean, spread = posterior(layer, video)
    prior = 1.0 if layer.frame_noise == 0 else layer.move_deviation
    expected = np.log(prior / spread) + (spread**2 + mean**2) / 2 - 0.5
    _, kl, _ = layer(video)
    np.testing.assert_allclose(kl[0], expected.sum(), rtol=1e-4)


def posterior(layer, video):
    """Mean and deviation of all latents of a clip, found by their noise."""
    frames = layer.frame_noise * T

    def drawn(noise):
        noise = np.float32(noise)
        clip, moves = noise[: layer.clip_noise], noise[layer.clip_noise :]
        _, _, state = layer(
            video,
            noise={
                "clip": clip[None],
                "frames": moves.reshape(1, T, -1) if frames else None,
            },
        )
        return np.concatenate([v[0] for v in state.values()])

    # Of the frames' moves a state has the sum, so those come one by one.
    size = layer.clip_noise
    at_zero = drawn(np.zeros(size + frames))
    ones = np.zeros(size + frames)
    ones[:size] = 1
    mean, spread = at_zero[:size], drawn(ones)[:size] - at_zero[:size]
    for t in range(T if frames else 0):
        one = np.zeros(size + frames)
        one[size + 4 * t : size + 4 * (t + 1)] = 1
        spread = np.append(spread, drawn(one)[size:] - at_zero[size:])
    if frames:
        shorter = [
            layer(video[:, : t + 1])[2]["place"][0].numpy() for t in range(T)
        ]
        steps = np.diff(shorter, axis=0, prepend=np.zeros((1, 4)))
        mean = np.append(mean, steps)
    return np.float64(mean), np.float64(spread)


def test_a_colour_fills_all_frames_and_stays():
    layer, video = shaken(color()), clips()
    pictures, _, state = layer(video)
    np.testing.assert_array_equal(
        pictures, np.broadcast_to(pictures[:, :1, :1, :1], pictures.shape)
    )
    assert np.any(pictures[0, 0, 0, 0] != pictures[1, 0, 0, 0])
    more, _ = layer.predict(state, 2, (H, W))
    np.testing.assert_array_equal(more, pictures[:, :2])
    again, kl, _ = layer(video, state)
    np.testing.assert_array_equal(again, pictures)
    assert not np.any(kl)


def test_windows_stay_inside_of_the_painting():
    layer = shaken(moving())
    places = 20 * np.random.default_rng(0).standard_normal((50, 4))
    windows = layer.windows(tf.constant(places, tf.float32)).numpy()
    centre, side = windows[:, :2], windows[:, 2:]
    assert layer.side == 60
    assert np.all(side >= 30 - 1e-3) and np.all(side <= 54 + 1e-3)
    assert np.all(centre - side / 2 >= -1e-3)
    assert np.all(centre + side / 2 <= 60 + 1e-3)


def test_moves_add_up_and_the_painting_stays():
    layer, video = shaken(moving()), clips()
    rng = np.random.default_rng(1)
    noise = {
        "clip": rng.standard_normal((2, layer.clip_noise)).astype(np.float32),
        "frames": rng.standard_normal((2, T, 4)).astype(np.float32),
    }
    whole, kl, state = layer(video, noise=noise)
    first = {**noise, "frames": noise["frames"][:, :2]}
    one, kl_one, between = layer(video[:, :2], noise=first)
    second = {**noise, "frames": noise["frames"][:, 2:]}
    two, kl_two, after = layer(video[:, 2:], between, second)
    # Places agree to 1e-5 of half a painting, pixels by its slope there.
    both = np.concatenate([one, two], 1)
    np.testing.assert_allclose(both, whole, rtol=0, atol=5e-5)
    np.testing.assert_allclose(kl_one + kl_two, kl, rtol=1e-5)
    np.testing.assert_allclose(after["place"], state["place"], atol=1e-5)
    painting = layer.painting(state).numpy()
    assert painting.shape == (2, 60, 60, C)
    # Without a move, frames that nobody saw show the same window.
    still, _ = layer.predict(state, 2, (H, W))
    np.testing.assert_allclose(still[:, 0], whole[:, -1], atol=5e-5)
    np.testing.assert_array_equal(still[:, 0], still[:, 1])


def test_a_window_shows_what_is_there():
    """At rest it is the middle: half-width .7 in both directions."""
    layer = shaken(moving())
    state = {
        "latent": tf.zeros([1, layer.clip_noise]),
        "place": tf.zeros([1, 4]),
    }
    pictures, _ = layer.predict(state, 1, (H, W))
    painting = layer.painting(state)[0].numpy()
    rows = 30 + 42 * ((np.arange(H) + 0.5) / H - 0.5) - 0.5
    columns = 30 + 42 * ((np.arange(W) + 0.5) / W - 0.5) - 0.5
    for i, j in ((0, 0), (5, 9), (H - 1, W - 1)):
        y, x = rows[i], columns[j]
        a, b = int(y), int(x)
        corners = painting[a : a + 2, b : b + 2]
        v, u = y - a, x - b
        expected = (1 - v) * ((1 - u) * corners[0, 0] + u * corners[0, 1])
        expected += v * ((1 - u) * corners[1, 0] + u * corners[1, 1])
        np.testing.assert_allclose(pictures[0, 0, i, j], expected, atol=1e-5)
