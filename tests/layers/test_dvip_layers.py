"""The layers of DVIP, against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.test_case import assert_close, check_layer, set_seed
from tfdecomp.layers.encoders.frame_encoder import FrameEncoder
from tfdecomp.layers.filtering_head import FilteringHead
from tfdecomp.layers.frame_generator import FrameGenerator
from tfdecomp.layers.independent_dynamics import IndependentDynamics, Stacked

SIZE, Z = 16, 5


def normal(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return values.astype(np.float32)


def built(layer, *shapes, shake=0.1):
    """The layer with weights away from where they start."""
    layer.build(*shapes)
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        moved = shake * rng.standard_normal(weight.shape)
        weight.assign(np.asarray(weight) + moved)
    return layer


def count(layer):
    return sum(int(np.prod(v.shape)) for v in layer.trainable_variables)


# ---- NumPy -----------------------------------------------------------------


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


def dense(layer, x):
    return x @ np.asarray(layer.kernel) + np.asarray(layer.bias)


def conv(layer, x, stride, pad):
    """`[N, H, W, I]`, one window after the other."""
    kernel, bias = np.asarray(layer.kernel), np.asarray(layer.bias)
    x = np.pad(x, [(0, 0), (pad, pad), (pad, pad), (0, 0)])
    side = (x.shape[1] - 4) // stride + 1
    y = np.zeros((len(x), side, side, kernel.shape[-1]))
    for i, j in np.ndindex(side, side):
        rows, columns = stride * i, stride * j
        window = x[:, rows : rows + 4, columns : columns + 4]
        y[:, i, j] = np.tensordot(window, kernel, 3)
    return y + bias


def deconv(layer, x, stride, pad):
    """Every pixel adds its kernel to the picture."""
    kernel, bias = np.asarray(layer.kernel), np.asarray(layer.bias)
    side = stride * (x.shape[1] - 1) + 4
    y = np.zeros((len(x), side, side, kernel.shape[2]))
    for i, j in np.ndindex(*x.shape[1:3]):
        rows, columns = stride * i, stride * j
        y[:, rows : rows + 4, columns : columns + 4] += np.einsum(
            "ni,hwoi->nhwo", x[:, i, j], kernel
        )
    return y[:, pad : side - pad, pad : side - pad] + bias


def norm(layer, x, training):
    """Batch norm with the batch's moments, or those it kept."""
    gamma, beta, mean, variance = (np.asarray(w) for w in layer.weights)
    if training:
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta


# ---- frames ----------------------------------------------------------------


def test_encoder_passes_the_battery():
    check_layer(
        lambda **kw: FrameEncoder((SIZE, SIZE), (4, 6), 7, **kw),
        lambda b: (np.abs(normal(b, SIZE, SIZE, 3)),),
        (7,),
    )


def test_generator_passes_the_battery():
    check_layer(
        lambda **kw: FrameGenerator((SIZE, SIZE), (6, 5), channels=2, **kw),
        lambda b: (normal(b, Z),),
        (SIZE, SIZE, 2),
    )


@pytest.mark.parametrize("training", [False, True])
def test_encoder_is_convolution_then_norm_then_leaky_relu(training):
    layer = built(FrameEncoder((SIZE, SIZE), (4, 6), 7), (None, SIZE, SIZE, 3))
    frames = np.abs(normal(3, SIZE, SIZE, 3))
    x = frames
    for i in range(2):
        x = leaky(norm(layer.norms[i], conv(layer.convs[i], x, 2, 1), training))
    expected = leaky(conv(layer.head, x, 1, 0))[:, 0, 0]
    assert_close(layer(frames, training=training), expected, 1e-5)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("filters", [(6,), (6, 5, 4)])
def test_generator_doubles_a_map_of_four_by_four(filters, training):
    side = 4 * 2 ** len(filters)
    layer = built(FrameGenerator((side, side), filters), (None, Z))
    latents = normal(3, Z)
    x = np.maximum(dense(layer.dense, latents), 0)[:, None, None]
    for i, (up, batch_norm) in enumerate(zip(layer.deconvs, layer.norms)):
        x = deconv(up, x, 2, 1) if i else deconv(up, x, 1, 0)
        x = np.maximum(norm(batch_norm, x, training), 0)
    expected = 1 / (1 + np.exp(-deconv(layer.deconvs[-1], x, 2, 1)))
    assert_close(layer(latents, training=training), expected, 1e-5)


def test_output_activation_is_the_last_step():
    outputs = {}
    for name in ("linear", "relu", "sigmoid"):
        set_seed(0)
        layer = FrameGenerator((8, 8), (4,), output_activation=name)
        layer = built(layer, (None, Z), shake=0.5)
        outputs[name] = np.asarray(layer(normal(4, Z)))
    linear = outputs["linear"]
    assert linear.min() < 0 and linear.max() > 1
    np.testing.assert_array_equal(outputs["relu"], np.maximum(linear, 0))
    assert_close(outputs["sigmoid"], 1 / (1 + np.exp(-linear)), 1e-6)


def test_published_sizes_of_encoder_and_generator():
    encoder = FrameEncoder()
    encoder.build((None, 64, 64, 3))
    assert count(encoder) == 3_020_640
    # 104 million multiplications and additions a frame.
    products = 16 * (32**2 * 3 * 64 + 3 * 16**2 * 64 * 128 + 512 * 32)
    assert encoder.frame_flops == 2 * products
    for norm_layer in encoder.norms:
        assert (norm_layer.momentum, norm_layer.epsilon) == (0.9, 1e-5)
    for size, expected in ((50, 3_170_617), (200, 4_437_067)):
        generator = FrameGenerator()
        generator.build((None, size))
        assert count(generator) == expected
        products = 16 * (32**2 * 3 * 64 + 3 * 16**2 * 64 * 128 + 512 * size)
        assert generator.frame_flops == 2 * (size**2 + products)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: FrameEncoder((32, 32)),
            "4 strides of 2 go with frames of 64x64, got",
        ),
        (lambda: FrameGenerator((16, 8), (4, 4)), "of 16x16, got .16, 8"),
        (
            lambda: FrameGenerator(output_activation="tanh"),
            "must be one of .*got 'tanh'",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- transitions -----------------------------------------------------------


def test_the_output_starts_with_a_bias():
    layer = FrameGenerator((8, 8), (4,), output_bias=0.5)
    layer.build((None, Z))
    np.testing.assert_array_equal(layer.deconvs[-1].bias, 0.5)
    np.testing.assert_array_equal(layer.deconvs[0].bias, 0.0)
    again = FrameGenerator.from_config(layer.get_config())
    again.build((None, Z))
    np.testing.assert_array_equal(again.deconvs[-1].bias, 0.5)


def test_predictions_can_be_bent_as_hidden_layers_are():
    layers = {}
    for name in ("linear", "selu"):
        set_seed(0)
        layer = IndependentDynamics(7, 2, output_activation=name)
        layers[name] = built(layer, (None, 3, 4), shake=0.5)
    factors = normal(5, 3, 4)
    for plain, bent in zip(layers["linear"](factors), layers["selu"](factors)):
        plain = np.asarray(plain)
        assert plain.min() < -1.0
        wanted = 1.05070098 * np.where(
            plain > 0, plain, 1.67326324 * np.expm1(np.minimum(plain, 0))
        )
        assert_close(bent, wanted, 1e-5)
    with pytest.raises(ValueError, match="'linear', 'selu'.*'relu'"):
        IndependentDynamics(output_activation="relu")


def test_dynamics_pass_the_battery():
    check_layer(
        lambda **kw: IndependentDynamics(7, 2, **kw),
        lambda b: (normal(b, 3, 4),),
        ((3, 4), (3, 4)),
    )


def test_stacked_transitions_are_networks_of_their_own():
    layer = built(IndependentDynamics(7, 3), (None, 3, 4))
    factors = normal(5, 3, 4)
    mean, log_variance = layer(factors)
    for i in range(3):
        x = factors[:, i]
        for j, pair in enumerate(zip(layer.kernels, layer.biases)):
            kernel, bias = (np.asarray(w)[i] for w in pair)
            x = x @ kernel + bias
            if j < 3:
                x = np.where(
                    x > 0, x, 1.67326324 * (np.exp(np.minimum(x, 0)) - 1)
                )
                x *= 1.05070098
        assert_close(mean[:, i], x[:, :4], 1e-6)
        assert_close(log_variance[:, i], x[:, 4:], 1e-6)


def test_a_transition_ignores_the_other_factors():
    layer = built(IndependentDynamics(7, 2), (None, 3, 4))
    factors = tf.constant(normal(2, 3, 4))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(factors)
        outputs = layer(factors)
    for values in outputs:
        jacobian = np.asarray(tape.batch_jacobian(values, factors))
        for i, j in np.ndindex(3, 3):
            block = jacobian[:, i, :, j]  # [B, d, d]
            assert np.all(block != 0.0) if i == j else np.all(block == 0.0)


def test_log_variances_stay_within_bounds():
    layer = built(IndependentDynamics(7, 2), (None, 2, 3))
    bias = np.zeros((2, 6))
    bias[0], bias[1] = 1e3, -1e3
    layer.biases[-1].assign(bias)
    mean, log_variance = layer(normal(4, 2, 3))
    np.testing.assert_array_equal(log_variance[:, 0], 10.0)
    np.testing.assert_array_equal(log_variance[:, 1], -10.0)
    assert np.all(np.abs(mean) > 500)


@pytest.mark.parametrize(
    ("dim", "parameters"), [(25, 59_314), (50, 68_964), (200, 126_864)]
)
def test_published_sizes_of_a_transition(dim, parameters):
    for num_factors in (1, 2):
        layer = IndependentDynamics()
        layer.build((None, num_factors, dim))
        assert count(layer) == num_factors * parameters


def test_each_factor_starts_as_a_network_of_its_own():
    set_seed(0)
    layer = IndependentDynamics()
    layer.build((None, 8, 25))
    for kernel in map(np.asarray, layer.kernels):
        assert len({matrix[0, 0] for matrix in kernel}) == 8
        for matrix in kernel:
            scaled = matrix * np.sqrt(matrix.shape[0])
            assert scaled.std() == pytest.approx(1.0, abs=0.06)
    rule = Stacked("lecun_normal")
    again = keras.initializers.deserialize(keras.initializers.serialize(rule))
    assert again.get_config() == {"initializer": "lecun_normal"}


def test_dynamics_are_float32_in_any_precision():
    layer = built(IndependentDynamics(7, 2), (None, 3, 4))
    half = IndependentDynamics(7, 2, dtype="mixed_bfloat16")
    half.build((None, 3, 4))
    half.set_weights(layer.get_weights())
    factors = normal(5, 3, 4)
    for a, b in zip(half(factors), layer(factors)):
        assert a.dtype == tf.float32
        np.testing.assert_array_equal(a, b)


# ---- the posterior ---------------------------------------------------------


def head_inputs(batch):
    return normal(batch, 6), normal(batch, Z, seed=1), normal(batch, Z, seed=2)


def test_head_passes_the_battery():
    check_layer(lambda **kw: FilteringHead(Z, **kw), head_inputs, ((Z,), (Z,)))


def test_head_reads_features_and_both_halves_of_the_prediction():
    layer = built(FilteringHead(Z), (None, 6), shake=0.5)
    inputs = head_inputs(4)
    mean, log_variance = layer(*inputs)
    read = [leaky(dense(*pair)) for pair in zip(layer.readers, inputs)]
    hidden = leaky(dense(layer.mix, np.concatenate(read, axis=1)))
    assert_close(mean, dense(layer.mean, hidden), 1e-6)
    assert_close(log_variance, dense(layer.log_variance, hidden), 1e-6)
    # Neither is bent: a leaky ReLU would leave next to no negative values.
    assert np.min(mean) < -0.5 and np.min(log_variance) < -0.5


def test_head_can_bend_its_outputs_and_read_predictions_as_they_are():
    options = {"output_activation": "leaky_relu", "map_prediction": False}
    layer = FilteringHead(Z, **options)
    check_layer(
        lambda **kw: FilteringHead(Z, **options, **kw),
        head_inputs,
        ((Z,), (Z,)),
    )
    layer = built(layer, (None, 6), shake=0.5)
    features, *prediction = head_inputs(4)
    (reader,) = layer.readers
    read = np.concatenate([leaky(dense(reader, features)), *prediction], 1)
    hidden = leaky(dense(layer.mix, read))
    mean, log_variance = layer(features, *prediction)
    assert_close(mean, leaky(dense(layer.mean, hidden)), 1e-6)
    assert_close(log_variance, leaky(dense(layer.log_variance, hidden)), 1e-6)
    with pytest.raises(ValueError, match="'linear', 'leaky_relu'.*'selu'"):
        FilteringHead(Z, output_activation="selu")


def test_no_gradient_flows_into_the_prediction():
    layer = built(FilteringHead(Z), (None, 6), shake=0.5)
    inputs = [tf.constant(value) for value in head_inputs(4)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(*inputs)
    by_features, by_mean, by_log_variance = tape.gradient(outputs, inputs)
    assert np.all(np.asarray(by_features) != 0.0)
    assert by_mean is None and by_log_variance is None
    for i in (1, 2):  # which matter all the same
        moved = list(inputs)
        moved[i] += 1.0
        assert np.all(np.abs(layer(*moved)[0] - outputs[0]).max(1) > 1e-2)


def test_head_keeps_log_variances_within_bounds():
    layer = built(FilteringHead(2), (None, 6))
    layer.log_variance.bias.assign([1e3, -1e3])
    values = layer(normal(4, 6), normal(4, 2), normal(4, 2))[1]
    np.testing.assert_array_equal(values, np.tile([10.0, -10.0], (4, 1)))


@pytest.mark.parametrize(("size", "parameters"), [(50, 19_400), (200, 287_600)])
def test_published_sizes_of_the_head(size, parameters):
    layer = FilteringHead(size)
    layer.build((None, 32))
    assert count(layer) == parameters
