"""The layers of LAVAE: batch norm, residual blocks, and its networks."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.test_case import assert_close, check_layer
from tfdecomp.layers.batch_norm import BatchNorm
from tfdecomp.layers.decoders.sprite_decoder import SpriteDecoder
from tfdecomp.layers.location_appearance import AppearanceNet, LocationNet
from tfdecomp.layers.locationwise_vae import LocationwiseVAE
from tfdecomp.layers.residual import ConvBlock, ResidualBlock

SMALL = {"filters": 4, "num_blocks": 1, "kernel_size": 3}


def normal(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return values.astype(np.float32)


def count(layer):
    return sum(int(np.prod(v.shape)) for v in layer.trainable_variables)


def shaken(layer, scale=0.3):
    """Moves every trainable weight away from where it starts."""
    rng = np.random.default_rng(0)
    for weight in layer.trainable_variables:
        moved = scale * rng.standard_normal(weight.shape)
        weight.assign(np.asarray(weight) + moved)
    return layer


# ---- batch norm -------------------------------------------------------------


def test_batch_norm_passes_the_battery():
    check_layer(
        lambda **kw: BatchNorm(**kw), lambda b: (normal(b, 4, 5, 3),), (4, 5, 3)
    )


def both_norms():
    ours = BatchNorm()
    theirs = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    for layer in (ours, theirs):
        layer.build((None, 4, 5, 3))
        layer.gamma.assign([0.5, 2.0, -1.0])
        layer.beta.assign([0.1, -0.2, 0.3])
    return ours, theirs


def test_batch_norm_equals_that_of_keras():
    ours, theirs = both_norms()
    for seed in range(3):
        inputs = 3.0 + 2.0 * normal(2, 4, 5, 3, seed=seed)
        expected = theirs(inputs, training=True)
        assert_close(ours(inputs, training=True), expected, 1e-5)
        assert_close(ours.moving_mean, theirs.moving_mean, 1e-5)
        # The fused kernel keeps the variance n / (n - 1), Keras that of the
        # batch; each moves it one tenth of the way.
    inputs = normal(2, 4, 5, 3, seed=9)
    ours.moving_variance.assign(theirs.moving_variance)
    assert_close(ours(inputs), theirs(inputs), 1e-5)


def test_moving_variance_is_that_of_the_population():
    layer, inputs = BatchNorm(), 3.0 + 2.0 * normal(2, 4, 5, 3)
    layer(inputs, training=True)
    mean = inputs.mean((0, 1, 2))
    variance = inputs.var((0, 1, 2), ddof=1)
    assert_close(layer.moving_mean, 0.1 * mean, 1e-5)
    assert_close(layer.moving_variance, 0.9 + 0.1 * variance, 1e-5)


def test_batch_norm_of_rows_is_that_of_pictures_of_one_pixel():
    layer, rows = shaken(built(BatchNorm(), (None, 3))), normal(6, 3)
    outputs = layer(rows, training=True)
    assert outputs.shape == (6, 3)
    expected = layer(rows[:, None, None], training=True)[:, 0, 0]
    assert_close(outputs, expected, 1e-6)


def built(layer, shape):
    layer.build(shape)
    return layer


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_leave_the_statistics(value):
    layer, inputs = BatchNorm(), normal(2, 4, 5, 3)
    layer(inputs, training=True)
    before = [np.array(v) for v in layer.non_trainable_variables]
    inputs[1, 2, 3, 0] = value
    layer(inputs, training=True)
    for a, b in zip(before, layer.non_trainable_variables):
        np.testing.assert_array_equal(a, b)


def test_an_empty_batch_leaves_the_statistics():
    layer = BatchNorm()
    layer(normal(2, 4, 5, 3), training=True)
    before = [np.array(v) for v in layer.non_trainable_variables]
    outputs = layer(np.zeros((0, 4, 5, 3), np.float32), training=True)
    assert outputs.shape == (0, 4, 5, 3)
    for a, b in zip(before, layer.non_trainable_variables):
        np.testing.assert_array_equal(a, b)


def test_evaluation_reads_the_statistics_and_leaves_them():
    layer, inputs = BatchNorm(), 3.0 + normal(2, 4, 5, 3)
    layer(inputs, training=True)
    mean, variance = (
        np.array(layer.moving_mean),
        np.array(layer.moving_variance),
    )
    expected = (inputs - mean) / np.sqrt(variance + 1e-5)
    assert_close(layer(inputs), expected, 1e-5)
    np.testing.assert_array_equal(layer.moving_mean, mean)


_TWO_REPLICAS = """
import numpy as np
import tensorflow as tf
from tfdecomp.layers.batch_norm import BatchNorm

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    layer = BatchNorm()
    layer.build((None, 1, 1, 2))
rng = np.random.default_rng(0)
shares = [i + rng.standard_normal((6, 1, 1, 2), np.float32) for i in (1, 4)]

@tf.function
def step(first, second):
    def run():
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        inputs = tf.where(tf.equal(number, 0), first, second)
        return layer(inputs, training=True)
    return strategy.run(run)

outputs = strategy.experimental_local_results(step(*map(tf.constant, shares)))
for output in outputs:  # each normalises its own share
    np.testing.assert_allclose(tf.reduce_mean(output, [0, 1, 2]), 0, atol=1e-5)
with strategy.scope():
    mean = tf.convert_to_tensor(layer.moving_mean.value)
    variance = tf.convert_to_tensor(layer.moving_variance.value)
means = np.mean([s.mean((0, 1, 2)) for s in shares], axis=0)
variances = np.mean([s.var((0, 1, 2), ddof=1) for s in shares], axis=0)
np.testing.assert_allclose(mean, 0.1 * means, rtol=1e-4)
np.testing.assert_allclose(variance, 0.9 + 0.1 * variances, rtol=1e-4)
"""


@pytest.mark.slow
@pytest.mark.multi_device
def test_replicas_normalise_their_share_and_keep_the_mean():
    # Devices can be split only before TensorFlow has started.
    subprocess.run([sys.executable, "-c", _TWO_REPLICAS], check=True)


# ---- blocks -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (6, 4, 5)),
        ({"strides": 2, "normalize": False}, (3, 2, 5)),
        ({"strides": 2, "is_transposed": True}, (12, 8, 5)),
    ],
)
def test_conv_block_passes_the_battery(options, shape):
    check_layer(
        lambda **kw: ConvBlock(5, **options, **kw),
        lambda b: (normal(b, 6, 4, 2),),
        shape,
    )
    computed = ConvBlock(5, **options).compute_output_shape((3, 6, 4, 2))
    assert tuple(computed) == (3, *shape)


def test_conv_block_normalises_after_the_activation():
    layer, inputs = ConvBlock(5), normal(3, 6, 4, 2)
    outputs = np.asarray(layer(inputs, training=True))
    np.testing.assert_allclose(outputs.mean((0, 1, 2)), 0.0, atol=1e-4)
    kernel, bias = np.asarray(layer.conv.kernel), np.asarray(layer.conv.bias)
    features = tf.nn.conv2d(inputs, kernel, 1, "SAME") + bias
    features = np.where(features > 0, features, 0.01 * features)
    mean, variance = features.mean((0, 1, 2)), features.var((0, 1, 2))
    expected = (features - mean) / np.sqrt(variance + 1e-5)
    assert_close(outputs, expected, 1e-4)


@pytest.mark.parametrize(
    ("activation", "is_transposed"),
    [("both", False), ("both", True), ("inner", False), ("none", False)],
)
def test_residual_block_passes_the_battery(activation, is_transposed):
    check_layer(
        lambda **kw: ResidualBlock(
            3, activation=activation, is_transposed=is_transposed, **kw
        ),
        lambda b: (normal(b, 6, 4, 3),),
        (6, 4, 3),
    )


@pytest.mark.parametrize(
    ("activation", "number"),
    [("both", 41_760), ("inner", 41_568), ("none", 41_568)],
)
def test_residual_block_has_the_published_count(activation, number):
    layer = ResidualBlock(48, activation=activation)
    layer.build((None, 8, 8, 48))
    assert count(layer) == number


def test_residual_block_without_an_inside_is_the_identity():
    layer, inputs = ResidualBlock(3), normal(2, 6, 4, 3)
    layer(inputs)
    layer.second.norm.gamma.assign(tf.zeros([3]))
    for training in (False, True):
        assert_close(layer(inputs, training=training), inputs, 1e-6)


def test_a_block_without_activations_is_linear():
    layer = shaken(built(ResidualBlock(3, activation="none"), (None, 6, 4, 3)))
    a, b = normal(1, 6, 4, 3), normal(1, 6, 4, 3, seed=1)
    zero = layer(np.zeros_like(a))
    assert_close(layer(a + b), layer(a) + layer(b) - zero, 1e-5)


def test_residual_block_names_a_bad_activation():
    with pytest.raises(ValueError, match="'both', 'inner' or 'none'"):
        ResidualBlock(3, activation="outer")


# ---- the networks that read a picture ---------------------------------------

LATENT = {"latent_dim": 2}


def test_location_net_passes_the_battery():
    check_layer(
        lambda **kw: LocationNet(head_filters=(3,), **SMALL, **kw),
        lambda b: (np.abs(normal(b, 6, 8, 1)),),
        (6, 8),
    )


def test_appearance_net_passes_the_battery():
    check_layer(
        lambda **kw: AppearanceNet(latent_dim=2, **SMALL, **kw),
        lambda b: (np.abs(normal(b, 6, 8, 1)),),
        (6, 8, 4),
    )


@pytest.mark.parametrize("kind", [LocationNet, AppearanceNet])
def test_shrunk_networks_pass_the_battery(kind):
    net = {LocationNet: {"head_filters": (3,)}, AppearanceNet: LATENT}[kind]
    tail = {LocationNet: (), AppearanceNet: (4,)}[kind]
    check_layer(
        lambda **kw: kind(shrink=2, **net, **SMALL, **kw),
        lambda b: (np.abs(normal(b, 6, 8, 1)),),
        (6, 8, *tail),
    )


@pytest.mark.parametrize("kind", [LocationNet, AppearanceNet])
def test_a_shrunk_network_sees_a_step_of_its_stride_and_no_other(kind):
    layer = kind(filters=8, num_blocks=1, shrink=2)
    frames = np.zeros((1, 32, 32, 1), np.float32)
    frames[0, 12:18, 12:18] = 1.0
    here, there = (layer(np.roll(frames, n, axis=2)) for n in (0, 2))
    assert_close(np.roll(here, 2, axis=2), there, 1e-5)
    odd = layer(np.roll(frames, 1, axis=2))
    assert np.abs(np.roll(here, 1, axis=2) - odd).max() > 1e-4


def test_a_shrunk_network_names_frames_that_it_does_not_divide():
    with pytest.raises(ValueError, match="3 does not divide .* 64x64"):
        built(LocationNet(shrink=3), (None, 64, 64, 1))


@pytest.mark.parametrize(
    ("channels", "location", "appearance"),
    [(1, 177_841, 171_520), (3, 180_241, 173_920)],
)
def test_networks_have_the_published_counts(channels, location, appearance):
    shape = (None, 64, 64, channels)
    assert count(built(LocationNet(), shape)) == location
    assert count(built(AppearanceNet(), shape)) == appearance


def test_appearances_start_near_the_prior():
    layer = AppearanceNet(filters=16, num_blocks=1)
    frames = np.zeros((4, 32, 32, 1), np.float32)
    frames[:, 8:12, 8:12] = 1.0  # rare, so batch norm makes them large
    assert np.abs(layer(frames, training=True)).max() < 2.0


# ---- sprites ----------------------------------------------------------------


@pytest.mark.parametrize("last_block", ["inner", "linear"])
def test_sprite_decoder_passes_the_battery(last_block):
    check_layer(
        lambda **kw: SpriteDecoder(
            7,
            channels=2,
            base_filters=3,
            resized_filters=4,
            num_blocks=2,
            last_block=last_block,
            **kw,
        ),
        lambda b: (normal(b, 3),),
        (7, 7, 2),
    )


@pytest.mark.parametrize(
    ("size", "channels", "number"), [(17, 1, 156_641), (21, 3, 169_123)]
)
@pytest.mark.parametrize("last_block", ["inner", "linear"])
def test_sprite_decoder_has_the_published_count(
    size, channels, number, last_block
):
    layer = SpriteDecoder(size, channels, last_block=last_block)
    layer.build((None, 32))
    assert count(layer) == number
    assert layer.compute_output_shape((5, 32)) == (5, size, size, channels)


def test_lavae_has_half_a_million_weights():
    """All parts, and 11 logits of the prior of counts."""
    for channels, size, total in ((1, 17, 506_013), (3, 21, 523_295)):
        shape = (None, 64, 64, channels)
        parts = [
            built(LocationNet(), shape),
            built(AppearanceNet(), shape),
            built(SpriteDecoder(size, channels), (None, 32)),
        ]
        assert sum(map(count, parts)) + 11 == total


def test_sprites_are_drawn_in_zero_to_one():
    layer = shaken(built(SpriteDecoder(5, num_blocks=1), (None, 3)), 1.0)
    sprites = np.asarray(layer(10.0 * normal(4, 3)))
    assert np.all(np.isfinite(sprites))
    assert sprites.min() >= 0.0 and sprites.max() <= 1.0


def test_sprite_decoder_names_bad_options():
    with pytest.raises(ValueError, match="centre pixel; got 16"):
        SpriteDecoder(16)
    with pytest.raises(ValueError, match="'inner' or 'linear'"):
        SpriteDecoder(17, last_block="outer")


# ---- the auxiliary VAE ------------------------------------------------------


def small_vae(**options):
    return LocationwiseVAE((10, 12), latent_dim=2, filters=4, **options)


def test_locationwise_vae_passes_the_battery():
    # A divergence near zero, as at the start, is a difference of large values.
    check_layer(
        lambda **kw: shaken(built(small_vae(**kw), None), 0.1),
        lambda b: (
            (normal(b, 10, 12, 1) > 0.5).astype(np.float32),
            normal(b, 2, 2, 2),
        ),
        ((), (10, 12)),
    )


@pytest.mark.parametrize(
    ("channels", "encoder", "decoder"),
    [(1, 74_256, 71_937), (3, 74_832, 72_515)],
)
def test_locationwise_vae_has_the_published_counts(channels, encoder, decoder):
    layer = LocationwiseVAE((64, 64), channels)
    layer.build()
    assert layer.latent_shape == (11, 11, 8)
    assert sum(map(count, layer.encoder)) == encoder
    assert sum(map(count, layer.decoder)) == decoder
    assert count(layer) == encoder + decoder


def test_locationwise_vae_returns_its_elbo():
    layer = shaken(built(small_vae(), (None, 10, 12, 1)), 0.1)
    frames = (normal(3, 10, 12, 1) > 0.5).astype(np.float32)
    loss, kl_map = layer(frames, np.zeros((3, 2, 2, 2), np.float32))
    assert loss.shape == (3,) and kl_map.shape == (3, 10, 12)
    padded = np.pad(frames, [(0, 0), (1, 1), (0, 0), (0, 0)])
    features = padded
    for part in layer.encoder:
        features = part(features)
    mean, log_variance = np.split(np.asarray(features), 2, axis=-1)
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance)
    features = mean
    for part in layer.decoder:
        features = part(features)
    p = 1 / (1 + np.exp(-np.asarray(features, np.float64)[:, 1:-1]))
    nll = -np.where(frames > 0, np.log(p), np.log(1 - p))
    expected = nll.sum((1, 2, 3)) + kl.sum((1, 2, 3))
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    # Bilinear: a tile's own value at its middle, flat beyond the outer ones.
    kl = kl.sum(-1)
    middle = 0.5 * (np.asarray(kl_map)[:, 1, 0] + np.asarray(kl_map)[:, 2, 0])
    np.testing.assert_allclose(kl_map[:, 0, 0], kl[:, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(middle, kl[:, 0, 0], rtol=0.1)


@pytest.mark.parametrize("size", [(64, 64), (36, 36), (40, 30)])
def test_divergence_map_is_flipped_with_its_tiles(size):
    layer = LocationwiseVAE(size, filters=4)
    kl = np.abs(normal(2, *layer.grid))
    kl_map = np.asarray(layer.interpolate(tf.constant(kl)))
    assert kl_map.shape == (2, *size)
    for axis in (1, 2):
        flipped = np.ascontiguousarray(np.flip(kl, axis))
        flipped = layer.interpolate(tf.constant(flipped))
        assert_close(np.flip(flipped, axis), kl_map, 1e-5)


def test_divergence_map_is_largest_where_its_tile_is():
    layer = LocationwiseVAE((64, 64), filters=4)
    kl = np.zeros((1, 11, 11), np.float32)
    kl[0, 3, 7] = 1.0
    kl_map = np.asarray(layer.interpolate(tf.constant(kl)))[0]
    row, column = np.unravel_index(kl_map.argmax(), kl_map.shape)
    # The centre of cell j is between the pixels 6 j + 1 and 6 j + 2.
    assert row in (6 * 3 + 1, 6 * 3 + 2) and column in (6 * 7 + 1, 6 * 7 + 2)
