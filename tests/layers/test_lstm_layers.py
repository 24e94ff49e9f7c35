"""Recurrent cells against their equations and against Keras."""

import keras
import numpy as np
import pytest

from tests.layers.values import check_truncated, normal
from tests.test_case import assert_close, check_layer, set_seed
from tfdecomp.layers.lstm2d_cell import LSTM2DCell
from tfdecomp.layers.lstm_cell import LSTMCell


def lstm_call(layer, *args):
    if not layer.built:
        layer.build(args[0].shape)
    return layer(args[0], (args[1], args[2]), (args[3], args[4]))


def lstm_inputs(batch):
    state = [normal(batch, 4, seed=i) for i in range(1, 5)]
    return (normal(batch, 3), *state)


@pytest.mark.parametrize("is_separate", [False, True])
def test_lstm_passes_the_battery(is_separate):
    check_layer(
        lambda **kw: LSTM2DCell(4, separate_biases=is_separate, **kw),
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


def test_three_biases_of_the_lstm_count_by_their_sum():
    one, three = LSTM2DCell(4), LSTM2DCell(4, separate_biases=True)
    inputs = lstm_inputs(5)
    for layer in (one, three):
        layer.build(inputs[0].shape)
    biases = [normal(20, seed=i) for i in range(3)]
    three.set_weights([*(np.asarray(k) for k in one.kernels), *biases])
    one.bias.assign(sum(biases))
    assert_close(three.bias, one.bias, 1e-6)
    assert_close(lstm_call(three, *inputs), lstm_call(one, *inputs), 1e-5)


def test_three_biases_of_the_lstm_start_by_the_fan_in_of_each():
    set_seed(0)
    layer = LSTM2DCell(128, separate_biases=True)
    layer.build((None, 384))
    names = [bias.name for bias in layer.biases]
    assert names == ["input_bias", "temporal_bias", "refined_bias"]
    for bias, fan_in in zip(layer.biases, (384, 128, 128)):
        largest = np.abs(np.asarray(bias)).max()
        assert 0.98 * fan_in**-0.5 < largest <= fan_in**-0.5
    # A uniform variable's deviation is its limit over the root of three.
    spread = np.sqrt((1 / 384 + 2 / 128) / 3)
    assert np.asarray(layer.bias).std() == pytest.approx(spread, rel=0.05)


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


def plain_lstm_call(layer, inputs, h, c):
    if not layer.built:
        layer.build(inputs.shape)
    return layer(inputs, (h, c))


@pytest.mark.parametrize("rule", ["truncated_normal", "fan_in_uniform"])
def test_plain_lstm_passes_the_battery(rule):
    check_layer(
        lambda **kw: LSTMCell(4, initializer=rule, **kw),
        lambda b: (normal(b, 3), normal(b, 4, seed=1), normal(b, 4, seed=2)),
        ((4,), (4,)),
        call=plain_lstm_call,
    )


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_plain_lstm_equals_that_of_keras(offset):
    layer = LSTMCell(4, forget_offset=offset)
    u, h, c = normal(5, 3), normal(5, 4, seed=1), normal(5, 4, seed=2)
    outputs = plain_lstm_call(layer, u, h, c)
    other = keras.layers.LSTMCell(4)
    other.build((None, 3))

    def reordered(values):  # i, g, f, o -> i, f, g, o
        i, g, f, o = np.split(np.asarray(values), 4, axis=-1)
        return np.concatenate([i, f, g, o], axis=-1)

    kernel, bias = reordered(layer.kernel), reordered(layer.bias)
    bias[4:8] += offset
    other.set_weights([kernel[:3], kernel[3:], bias])
    _, expected = other(u, [h, c])
    assert_close(outputs, expected, 1e-5)


def test_plain_lstm_starts_as_published():
    set_seed(0)
    layer = LSTMCell(50)
    layer.build((None, 30))
    check_truncated(layer.kernel, 80)
    assert layer.bias.shape == (200,)
    assert 0 < np.abs(np.asarray(layer.bias)).max() <= 2 * 80**-0.5
    layer = LSTMCell(50, initializer="fan_in_uniform")
    layer.build((None, 30))
    for values in (layer.kernel, layer.bias):
        largest = np.abs(np.asarray(values)).max()
        assert 0.9 * 50**-0.5 < largest <= 50**-0.5


def test_plain_lstm_names_a_bad_rule():
    with pytest.raises(ValueError, match="initializer must be"):
        LSTMCell(4, initializer="zeros")
