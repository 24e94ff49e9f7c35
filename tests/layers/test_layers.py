"""The layers of the iterative models."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.test_case import assert_close, check_layer
from tfdecomp.layers.broadcast_decoder import (
    BroadcastDecoder,
    broadcast_with_coordinates,
)
from tfdecomp.layers.conditional_prior import ConditionalPrior
from tfdecomp.layers.conv import Conv2D, Dense
from tfdecomp.layers.frame_features import FrameFeatures
from tfdecomp.layers.lstm2d_cell import LSTM2DCell
from tfdecomp.layers.refinement_encoder import RefinementEncoder


def normal(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return values.astype(np.float32)


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


@pytest.mark.parametrize("upsample", [1, 2])
@pytest.mark.parametrize("kernel_sizes", [1, 3, (5, 3, 1)])
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
    keras.utils.set_random_seed(0)
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
    keras.utils.set_random_seed(0)
    decoder = BroadcastDecoder(
        (8, 8), filters=(400,), dense=(), coordinate_scale=2.0
    )
    decoder.build((None, 30))
    kernel = np.asarray(decoder.convs[0].kernel)
    assert kernel[:, :, :2].std() == pytest.approx(2.0, rel=0.05)
    assert np.abs(kernel[:, :, 2:]).max() <= (32 * 9) ** -0.5 * 1.04


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


def encoder_call(layer, slot_maps, frame_maps):
    if not layer.built:
        shape = (None, *frame_maps.shape[1:3], 6)
        layer.build(shape, [True, False, False, True, False, True])
    return layer(slot_maps, layer.shared(frame_maps))


@pytest.mark.parametrize("pool", [1, 2, "global"])
@pytest.mark.parametrize("strides", [1, 2])
def test_refinement_encoder_passes_the_battery(pool, strides):
    check_layer(
        lambda **kw: RefinementEncoder(
            filters=(4, 5), pool=pool, strides=strides, units=(7,), **kw
        ),
        lambda b: (normal(b, 2, 8, 8, 3), normal(b, 8, 8, 3, seed=1)),
        (7,),
        call=encoder_call,
    )


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


def lstm_call(layer, *args):
    if not layer.built:
        layer.build(args[0].shape)
    return layer(args[0], (args[1], args[2]), (args[3], args[4]))


def lstm_inputs(batch):
    state = [normal(batch, 4, seed=i) for i in range(1, 5)]
    return (normal(batch, 3), *state)


def test_lstm_passes_the_battery():
    check_layer(
        lambda **kw: LSTM2DCell(4, **kw),
        lstm_inputs,
        ((4,), (4,)),
        call=lstm_call,
    )


def test_lstm_equals_its_equations_in_numpy():
    layer = LSTM2DCell(4)
    u, ht, ct, hr, cr = lstm_inputs(5)
    h, c = lstm_call(layer, u, ht, ct, hr, cr)
    wx, wt, wr, b = (np.asarray(w) for w in layer.weights)
    gates = u @ wx + ht @ wt + hr @ wr + b
    i, f, o, gate, g = np.split(gates, 5, axis=-1)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    mix = sigmoid(gate)
    cell = sigmoid(f) * (mix * ct + (1 - mix) * cr) + sigmoid(i) * np.tanh(g)
    np.testing.assert_allclose(c, cell, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        h, sigmoid(o) * np.tanh(cell), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("over_time", [True, False])
def test_lstm_with_a_saturated_gate_ignores_the_other_cell(over_time):
    layer = LSTM2DCell(4)
    u, ht, ct, hr, cr = lstm_inputs(3)
    layer.build(u.shape)
    bias = np.asarray(layer.bias).copy()
    bias[12:16] = 100.0 if over_time else -100.0
    layer.bias.assign(bias)
    other = 7 * normal(3, 4, seed=9)
    if over_time:
        pairs = [lstm_call(layer, u, ht, ct, hr, x) for x in (cr, other)]
    else:
        pairs = [lstm_call(layer, u, ht, x, hr, cr) for x in (ct, other)]
    assert_close(pairs[0], pairs[1], 1e-6)


def test_lstm_is_symmetric_in_its_two_axes():
    layer = LSTM2DCell(4)
    u, ht, ct, hr, cr = lstm_inputs(3)
    expected = lstm_call(layer, u, ht, ct, hr, cr)
    wx, wt, wr, b = (np.asarray(w).copy() for w in layer.weights)

    def flipped(values):  # sigmoid(-x) = 1 - sigmoid(x)
        values = values.copy()
        values[..., 12:16] *= -1
        return values

    layer.set_weights([flipped(wx), flipped(wr), flipped(wt), flipped(b)])
    assert_close(lstm_call(layer, u, hr, cr, ht, ct), expected, 1e-5)


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


def test_frame_features_keep_the_size_and_have_the_published_count():
    layer = FrameFeatures()
    features = layer(normal(2, 16, 12, 3))
    assert features.shape == (2, 16, 12, 16)
    assert layer.count_params() == 25_632 + 96_880
