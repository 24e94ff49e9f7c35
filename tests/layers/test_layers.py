"""The layers of the iterative models."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layers.values import check_truncated, normal
from tests.test_case import assert_close, check_layer, set_seed
from tfdecomp.layers.conditional_prior import ConditionalPrior
from tfdecomp.layers.conv import (
    Conv2D,
    Dense,
    Halves,
    TruncatedFanInNormal,
    initial_values,
)
from tfdecomp.layers.decoders.broadcast_decoder import (
    BroadcastDecoder,
    broadcast_with_coordinates,
)
from tfdecomp.layers.decoders.deconv_decoder import DeconvDecoder
from tfdecomp.layers.encoders.refinement_encoder import RefinementEncoder
from tfdecomp.layers.frame_features import FrameFeatures


def test_conv_passes_the_battery():
    check_layer(
        lambda **kw: Conv2D(5, 3, activation="elu", **kw),
        lambda b: (normal(b, 6, 7, 2),),
        (6, 7, 5),
    )


def test_dense_passes_the_battery():
    check_layer(
        lambda **kw: Dense(5, activation="elu", **kw),
        lambda b: (normal(b, 4),),
        (5,),
    )


def test_initial_values_fill_the_interval_of_the_fan_in():
    conv = Conv2D(64, 3)
    conv.build((None, 8, 8, 20))
    limit = (20 * 9) ** -0.5
    for values in (np.asarray(conv.kernel), np.asarray(conv.bias)):
        assert np.abs(values).max() <= limit
        assert np.abs(values).max() > 0.9 * limit
        assert abs(values.mean()) < 0.2 * limit


def test_truncated_initial_values_follow_the_fan_in():
    set_seed(0)
    rule = initial_values("truncated_normal")
    conv, dense = Conv2D(64, 3, **rule), Dense(200, **rule)
    conv.build((None, 8, 8, 20))
    dense.build((None, 50))
    check_truncated(conv.kernel, 9 * 20)
    check_truncated(dense.kernel, 50)
    for layer in (conv, dense):
        assert np.all(np.asarray(layer.bias) == 0)


def test_truncated_initializer_survives_its_config():
    rule = TruncatedFanInNormal(7)
    again = keras.initializers.deserialize(keras.initializers.serialize(rule))
    assert again.fan_in == 7
    set_seed(0)
    check_truncated(again((90, 90)), 7)


def reloaded(layer, shape):
    """The layer that its own config makes, built."""
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    again.build(shape)
    return again


def test_the_decoders_first_convolution_survives_its_config_alone():
    decoder = BroadcastDecoder(
        (8, 8), filters=(400,), dense=(), coordinate_scale=2.0, vector_scale=0.5
    )
    decoder.build((None, 30))
    set_seed(1)
    conv = reloaded(decoder.convs[0], (None, 8, 8, 32))
    kernel, bias = np.asarray(conv.kernel), np.asarray(conv.bias)
    assert kernel[:, :, :2].std() == pytest.approx(2.0, rel=0.05)
    assert kernel[:, :, 2:].std() == pytest.approx(0.5, rel=0.05)
    assert 1.9 < np.abs(bias).max() <= 2.0


@pytest.mark.parametrize("bias", ["fan_in_uniform", "zeros", Halves(0.5, -1.5)])
def test_dense_and_convolution_survive_their_configs_alone(bias):
    dense = reloaded(Dense(6, bias=bias), (None, 4))
    conv = reloaded(Conv2D(6, 3, bias=bias), (None, 4, 4, 2))
    for layer in (dense, conv):
        if isinstance(bias, Halves):
            np.testing.assert_array_equal(layer.bias, [0.5] * 3 + [-1.5] * 3)
        else:
            assert np.any(np.asarray(layer.bias)) == (bias != "zeros")


def each_value(*pairs, others):
    """All pairs of two options; `others` only in the full selection."""
    return [*pairs, *(pytest.param(*p, marks=pytest.mark.slow) for p in others)]


@pytest.mark.parametrize(
    ("upsample", "kernel_sizes"),
    each_value(
        (1, 1),
        (2, 3),
        (1, (5, 3, 1)),
        others=[(2, 1), (1, 3), (2, (5, 3, 1))],
    ),
)
def test_decoder_passes_the_battery(upsample, kernel_sizes):
    check_layer(
        lambda **kw: BroadcastDecoder(
            (12, 16),
            filters=(6, 5),
            kernel_sizes=kernel_sizes,
            dense=(7,),
            upsample=upsample,
            **kw,
        ),
        lambda b: (normal(b, 4),),
        ((12, 16, 3), (12, 16, 1)),
    )


@pytest.mark.parametrize(
    "size, kernel", [((8, 9), 3), ((7, 6), 5), ((4, 5), 1)]
)
def test_factored_first_layer_equals_the_plain_one(size, kernel):
    set_seed(0)
    decoder = BroadcastDecoder(size, filters=(6, 5), kernel_sizes=kernel)
    decoder.build((None, 4))
    vectors = tf.constant(normal(3, 4))
    results = []
    for factored in (True, False):
        decoder.factored = factored
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            means, logits = decoder(vectors)
            loss = tf.reduce_sum(means**2) + tf.reduce_sum(logits**3)
        sources = [vectors, *(v.value for v in decoder.trainable_variables)]
        results.append([means, logits, *tape.gradient(loss, sources)])
    assert_close(results[0], results[1], 1e-5)


def test_broadcast_puts_coordinates_first():
    maps = broadcast_with_coordinates(tf.constant([[5.0, 6.0]]), (3, 2))
    np.testing.assert_allclose(maps[0, :, 0, 0], [-1, 0, 1])
    np.testing.assert_allclose(maps[0, 0, :, 1], [-1, 1])
    np.testing.assert_allclose(maps[0, 1, 1, 2:], [5, 6])


def test_coordinate_scale_changes_only_the_coordinates():
    set_seed(0)
    decoder = BroadcastDecoder(
        (8, 8), filters=(400,), dense=(), coordinate_scale=2.0
    )
    decoder.build((None, 30))
    kernel = np.asarray(decoder.convs[0].kernel)
    assert kernel[:, :, :2].std() == pytest.approx(2.0, rel=0.05)
    assert np.abs(kernel[:, :, 2:]).max() <= (32 * 9) ** -0.5 * 1.04


def test_vector_scale_changes_only_the_vector():
    set_seed(0)
    decoder = BroadcastDecoder(
        (8, 8), filters=(400,), dense=(), vector_scale=0.5
    )
    decoder.build((None, 30))
    kernel = np.asarray(decoder.convs[0].kernel)
    assert kernel[:, :, 2:].std() == pytest.approx(0.5, rel=0.05)
    assert np.abs(kernel[:, :, :2]).max() <= (32 * 9) ** -0.5 * 1.04


def test_decoder_as_iodine_has_it_passes_the_battery():
    check_layer(
        lambda **kw: BroadcastDecoder(
            (6, 7),
            filters=(5, 4),
            dense=(),
            mean_activation="linear",
            initializer="truncated_normal",
            head_initializer="truncated_normal",
            **kw,
        ),
        lambda b: (normal(b, 4),),
        ((6, 7, 3), (6, 7, 1)),
    )


@pytest.mark.parametrize("make", ["broadcast", "deconvolution"])
def test_linear_means_leave_the_unit_interval_and_sigmoid_ones_do_not(make):
    for activation, inside in (("linear", False), ("sigmoid", True)):
        set_seed(0)
        decoder = {
            "broadcast": lambda **kw: BroadcastDecoder((8, 8), **kw),
            "deconvolution": lambda **kw: DeconvDecoder((8, 8), grid=4, **kw),
        }[make](mean_activation=activation)
        means, _ = decoder(tf.constant(100 * normal(20, 4)))
        values = np.asarray(means)
        assert (values.min() >= 0 and values.max() <= 1) == inside


@pytest.mark.parametrize(
    "options, message",
    [
        ({"upsample": 5}, "does not divide"),
        ({"kernel_sizes": (3, 3)}, "kernel_sizes needs"),
        ({"mean_activation": "tanh"}, "mean_activation must be"),
    ],
)
def test_decoder_names_a_bad_option(options, message):
    with pytest.raises(ValueError, match=message):
        BroadcastDecoder((12, 12), **options)


def test_decoder_counts_the_operations_of_the_plain_architecture():
    decoder = BroadcastDecoder((4, 5), filters=(6,), dense=(3,), channels=1)
    decoder.build((None, 7))
    pixels = 4 * 5
    expected = 2 * 7 * 3 + pixels * 2 * 9 * ((3 + 2) * 6 + 6 * 2)
    assert decoder.flops() == expected


@pytest.mark.parametrize("dense", [(), (7,)])
def test_deconvolution_decoder_passes_the_battery(dense):
    check_layer(
        lambda **kw: DeconvDecoder(
            (16, 16),
            dense=dense,
            grid=4,
            grid_channels=3,
            filters=5,
            mean_activation="sigmoid",
            **kw,
        ),
        lambda b: (normal(b, 4),),
        ((16, 16, 3), (16, 16, 1)),
    )


def test_deconvolution_decoder_doubles_its_grid():
    decoder = DeconvDecoder((64, 64), filters=2, dense=())
    assert len(decoder.deconvs) == 3
    assert len(DeconvDecoder((8, 8)).deconvs) == 0
    decoder = DeconvDecoder((12, 12), grid=3, filters=2, channels=1)
    means, logits = decoder(normal(5, 4))
    assert means.shape == logits.shape == (5, 12, 12, 1)


def test_deconvolutions_start_by_the_fan_in_of_their_input():
    set_seed(0)
    decoder = DeconvDecoder((16, 16), dense=(), grid_channels=8)
    decoder.build((None, 4))
    check_truncated(decoder.deconvs[0].kernel, 5 * 5 * 8)


def test_deconvolution_decoder_counts_its_operations():
    decoder = DeconvDecoder((8, 8), dense=(5,), grid=4, filters=6, channels=1)
    decoder.build((None, 7))
    dense = 2 * (7 * 5 + 5 * 4 * 4 * 8)
    deconv = 2 * 25 * 8 * 6 * 4 * 4
    convs = 2 * 25 * (6 * 6 + 6 * 2) * 8 * 8
    assert decoder.flops() == dense + deconv + convs


def test_the_canvas_network_starts_from_zero_and_then_draws():
    options = {"filters": (5,), "dense": (), "kernel_sizes": 1, "upsample": 2}
    set_seed(0)
    plain = BroadcastDecoder((8, 8), **options)
    set_seed(0)
    drawing = BroadcastDecoder((8, 8), canvas_units=(6,), **options)
    for decoder in (plain, drawing):
        decoder.build((None, 3))
    for source, target in zip(
        plain.weights, drawing.weights[: len(plain.weights)]
    ):
        target.assign(source)
    vectors = normal(2, 3)
    for a, b in zip(plain(vectors), drawing(vectors)):
        assert_close(a, b, 1e-6)
    last = drawing.canvas_layers[-1]
    last.bias.assign(np.arange(last.units, dtype=np.float32))
    # The canvas is [4, 4, 16] cells; pixel shuffle makes 8x8 pixels of them.
    added = np.arange(4 * 4 * 16, dtype=np.float32).reshape(1, 4, 4, 16)
    added = added.reshape(1, 4, 4, 2, 2, 4).transpose(0, 1, 3, 2, 4, 5)
    added = added.reshape(1, 8, 8, 4)
    sigmoid = tf.math.log(plain(vectors)[0] / (1 - plain(vectors)[0]))
    assert_close(
        tf.sigmoid(sigmoid + added[..., :3]), drawing(vectors)[0], 1e-4
    )
    assert_close(plain(vectors)[1] + added[..., 3:], drawing(vectors)[1], 1e-4)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"image_size": (12, 12)}, "power of two, got"),
        ({"image_size": (16, 32)}, "must be a square"),
        ({"image_size": (4, 4)}, "power of two, got"),
        ({"mean_activation": "tanh"}, "mean_activation must be"),
    ],
)
def test_deconvolution_decoder_names_a_bad_option(options, message):
    with pytest.raises(ValueError, match=message):
        DeconvDecoder(**{"image_size": (16, 16), **options})


def encoder_call(layer, slot_maps, frame_maps):
    if not layer.built:
        shape = (None, *frame_maps.shape[1:3], 6)
        layer.build(shape, [True, False, False, True, False, True])
    return layer(slot_maps, layer.shared(frame_maps))


@pytest.mark.parametrize(
    ("pool", "strides"),
    each_value(
        (1, 1),
        (2, 2),
        ("global", 1),
        others=[(1, 2), (2, 1), ("global", 2)],
    ),
)
def test_refinement_encoder_passes_the_battery(pool, strides):
    check_layer(
        lambda **kw: RefinementEncoder(
            filters=(4, 5), pool=pool, strides=strides, units=(7,), **kw
        ),
        lambda b: (normal(b, 2, 8, 8, 3), normal(b, 8, 8, 3, seed=1)),
        (7,),
        call=encoder_call,
    )


@pytest.mark.parametrize("units", [(7,), (6, 7)])
def test_refinement_encoder_as_iodine_has_it_passes_the_battery(units):
    check_layer(
        lambda **kw: RefinementEncoder(
            filters=(4, 5),
            kernel_size=5,
            strides=2,
            pool="global",
            units=units,
            initializer="truncated_normal",
            dense_initializer="truncated_normal",
            code_activation="linear",
            **kw,
        ),
        lambda b: (normal(b, 2, 8, 8, 3), normal(b, 8, 8, 3, seed=1)),
        (7,),
        call=encoder_call,
    )


def blocks_averaged(maps):
    *batch, height, width, channels = maps.shape
    shape = (*batch, height // 2, 2, width // 2, 2, channels)
    return maps.reshape(shape).mean((-4, -2), dtype=np.float32)


def test_a_shrinking_encoder_reads_the_averages_of_blocks():
    slot_maps, frame_maps = normal(2, 3, 8, 12, 3), normal(2, 8, 12, 3, seed=1)
    options = {"filters": (4, 5), "strides": 2, "pool": 1, "units": (6,)}
    plain = RefinementEncoder(**options)
    averages = blocks_averaged(slot_maps), blocks_averaged(frame_maps)
    expected = encoder_call(plain, *averages)
    shrinking = RefinementEncoder(shrink=2, **options)
    encoder_call(shrinking, slot_maps, frame_maps)
    shrinking.set_weights(plain.get_weights())
    outputs = encoder_call(shrinking, slot_maps, frame_maps)
    assert_close(outputs, expected, 1e-5)
    assert shrinking.flops() == plain.flops()


def test_blocks_of_an_encoder_may_cut_pixels():
    layer = RefinementEncoder(filters=(), pool=1, units=(), shrink=2.5)
    layer.build((None, 5, 10, 1))
    maps = normal(3, 5, 10, 1)
    # Five pixels in two blocks: 1, 1, and a half of the third.
    weights = np.array([[1, 1, 0.5, 0, 0], [0, 0, 0.5, 1, 1]]) / 2.5
    halves = np.stack([maps[:, :, :5], maps[:, :, 5:]], axis=1)[..., 0]
    expected = np.einsum("ih,jw,bshw->bisj", weights, weights, halves)
    found = layer._shrunken(tf.constant(maps))
    assert_close(found, expected.reshape(3, 2, 4, 1), 1e-6)


def test_maps_that_do_not_shrink_evenly_are_refused():
    layer = RefinementEncoder(shrink=4)
    with pytest.raises(ValueError, match="shrink=4 does not divide.* 8 x 6"):
        layer.build((None, 8, 6, 3))


def test_code_activation_is_that_of_the_last_layer_alone():
    layer = RefinementEncoder(
        filters=(4,), pool=1, units=(6, 5), code_activation="linear"
    )
    slot_maps, frame_maps = normal(2, 3, 6, 6, 3), normal(2, 6, 6, 3, seed=1)
    code = encoder_call(layer, slot_maps, frame_maps)
    first, last = layer.dense_layers
    assert first.activation is keras.activations.elu
    last.activation = keras.activations.elu
    curved = encoder_call(layer, slot_maps, frame_maps)
    assert np.asarray(code).min() < 0
    assert_close(curved, tf.nn.elu(code), 1e-5)


def test_split_first_convolution_equals_the_whole_one():
    layer = RefinementEncoder(filters=(4,), pool=1, units=())
    slot_maps = tf.constant(normal(2, 3, 6, 6, 3))
    frame_maps = tf.constant(normal(2, 6, 6, 3, seed=1))
    outputs = encoder_call(layer, slot_maps, frame_maps)
    frame = tf.repeat(frame_maps[:, None], 3, axis=1)
    whole = tf.stack(
        [
            frame[..., 0],
            slot_maps[..., 0],
            slot_maps[..., 1],
            frame[..., 1],
            slot_maps[..., 2],
            frame[..., 2],
        ],
        axis=-1,
    )
    plain = layer.convs[0](tf.reshape(whole, [6, 6, 6, 6]))
    assert_close(outputs, tf.reshape(plain, [6, -1]), 1e-5)


@pytest.mark.parametrize("scale", ["log_scale", "softplus"])
def test_prior_passes_the_battery(scale):
    check_layer(
        lambda **kw: ConditionalPrior(3, units=5, scale=scale, **kw),
        lambda b: (normal(b, 4),),
        ((3,), (3,)),
    )


def test_softplus_prior_has_a_variance_of_at_least_one():
    _, log_variance = ConditionalPrior(3, scale="softplus")(normal(50, 4))
    assert np.all(np.asarray(log_variance) >= 0)


def test_prior_names_a_bad_scale():
    with pytest.raises(ValueError, match="scale must be"):
        ConditionalPrior(3, scale="variance")


def test_frame_features_of_the_code_pass_the_battery():
    check_layer(
        lambda **kw: FrameFeatures(3, half_pixel_centers=False, **kw),
        lambda b: (normal(b, 8, 6, 3),),
        (8, 6, 3),
    )


def test_frame_features_keep_the_size_and_have_the_published_count():
    layer = FrameFeatures()
    features = layer(normal(2, 16, 12, 3))
    assert features.shape == (2, 16, 12, 16)
    assert layer.count_params() == 25_632 + 96_880
