"""The layers of DDPAE, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models.oracles import ddpae_numpy
from tests.test_case import assert_close, check_layer
from tfdecomp.layers.batch_norm import BatchNorm
from tfdecomp.layers.pose.component_recurrence import ComponentRecurrence
from tfdecomp.layers.pose.plain_decoder import PlainDecoder
from tfdecomp.layers.pose.plain_encoder import PlainEncoder

H, F = 5, 4


def normal(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return values.astype(np.float32)


def built(layer, *shapes, shake=0.3):
    """The layer with weights away from where they start."""
    layer.build(*shapes)
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        moved = shake * abs(rng.standard_normal(weight.shape))
        weight.assign(np.asarray(weight) + moved)
    return layer


def count(layer):
    return sum(int(np.prod(v.shape)) for v in layer.trainable_variables)


# ---- networks of pictures --------------------------------------------------


def test_encoder_passes_the_battery():
    check_layer(
        lambda **kw: PlainEncoder((16, 16), features=6, **kw),
        lambda b: (np.abs(normal(b, 16, 16, 2)),),
        (6,),
    )


def test_decoder_passes_the_battery():
    check_layer(
        lambda **kw: PlainDecoder((16, 16), channels=2, **kw),
        lambda b: (normal(b, 6),),
        (16, 16, 2),
    )


@pytest.mark.parametrize("training", [False, True])
def test_networks_are_what_numpy_says(training):
    encoder = built(PlainEncoder((16, 16), features=6), (None, 16, 16, 1))
    decoder = built(PlainDecoder((16, 16)), (None, 6))
    pictures, vectors = np.abs(normal(3, 16, 16, 1)), normal(3, 6)
    expected = ddpae_numpy.encode(encoder, np.float64(pictures), training)
    assert_close(encoder(pictures, training=training), expected, 1e-4)
    expected = ddpae_numpy.decode(decoder, np.float64(vectors), training)
    assert_close(decoder(vectors, training=training), expected, 1e-4)


@pytest.mark.parametrize(
    ("side", "features", "number"),
    [(64, 256, 305_504), (128, 256, 698_976), (32, 128, 76_000)],
)
def test_published_sizes_of_encoders(side, features, number):
    encoder = PlainEncoder((side, side), features=features)
    encoder.build((None, side, side, 1))
    assert count(encoder) == number
    assert encoder.filters[0] == 8


@pytest.mark.parametrize(("side", "number"), [(32, 76_016), (64, 174_448)])
def test_published_sizes_of_decoders(side, number):
    decoder = PlainDecoder((side, side))
    decoder.build((None, 128))
    assert count(decoder) == number


def test_weights_start_as_published():
    encoder = PlainEncoder()
    encoder.build((None, 64, 64, 1))
    kernel, scale = encoder.head.kernel, encoder.norms[-1].gamma
    for values, mean in ((kernel, 0.0), (scale, 1.0)):
        assert abs(np.mean(values) - mean) < 0.01
        assert 0.015 < np.std(values) < 0.025
    assert not np.any(encoder.norms[-1].beta)


def test_batch_norm_starts_with_ones_unless_asked():
    norm = BatchNorm()
    norm.build((None, 9))
    assert np.all(np.asarray(norm.gamma) == 1)
    assert BatchNorm.from_config({"momentum": 0.5}).scale_deviation == 0


@pytest.mark.parametrize("layer", [PlainEncoder, PlainDecoder])
def test_sizes_that_do_not_fit_are_refused(layer):
    with pytest.raises(ValueError, match="to 4x4, got .* 48x48; resize"):
        layer((48, 48))
    with pytest.raises(ValueError, match="2 strides.*16x16, got .32, 32."):
        layer((32, 32), filters=(8, 8))


# ---- the recurrence --------------------------------------------------------


@pytest.mark.parametrize("is_independent", [False, True])
def test_recurrence_passes_the_battery(is_independent):
    check_layer(
        lambda **kw: ComponentRecurrence(H, is_independent, **kw),
        lambda b: (normal(b, 3, F), normal(b, 3, H, seed=1), normal(b, 3, H)),
        ((3, H), (3, H)),
        call=lambda layer, told, h, c: layer(told, (h, c)),
    )


@pytest.mark.parametrize("is_independent", [False, True])
def test_a_frame_is_one_component_after_the_other(is_independent):
    layer = built(ComponentRecurrence(H, is_independent), (None, 3, F))
    told, h, c = normal(2, 3, F), normal(2, 3, H, seed=1), normal(2, 3, H)
    found = layer(tf.constant(told), (tf.constant(h), tf.constant(c)))
    for b in range(2):
        before = np.zeros(H)
        for i in range(3):
            read = told[b, i]
            if not is_independent:
                read = np.concatenate([read, before])
            before, after = ddpae_numpy.lstm(
                layer.cell, read, (h[b, i], c[b, i])
            )
            assert_close(found[0][b, i], before, 1e-5)
            assert_close(found[1][b, i], after, 1e-5)


@pytest.mark.parametrize("is_independent", [False, True])
def test_components_know_of_those_before_them_alone(is_independent):
    layer = built(ComponentRecurrence(H, is_independent), (None, 3, F))
    told, h, c = normal(1, 3, F), normal(1, 3, H, seed=1), normal(1, 3, H)
    before = layer(tf.constant(told), (tf.constant(h), tf.constant(c)))[0]
    h[:, 1] += 1
    after = layer(tf.constant(told), (tf.constant(h), tf.constant(c)))[0]
    moved = np.any(np.asarray(before != after), (0, 2))
    assert moved.tolist() == [False, True, not is_independent]
