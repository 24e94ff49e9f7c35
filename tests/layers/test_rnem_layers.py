"""The layers of R-NEM, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models.oracles import rnem_numpy
from tests.test_case import assert_close, check_layer
from tfdecomp.layers.decoders.group_decoder import GroupDecoder, enlarged
from tfdecomp.layers.encoders.residual_encoder import ResidualEncoder
from tfdecomp.layers.pairwise_interaction import PairwiseInteraction, others
from tfdecomp.layers.spatial_layer_norm import SpatialLayerNorm

SIZE, D = 8, 5


def normal(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return values.astype(np.float32)


def built(layer, shape, shake=0.3):
    """The layer with weights away from where they start."""
    layer.build(shape)
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        moved = shake * rng.standard_normal(weight.shape)
        weight.assign(np.asarray(weight) + moved)
    return layer


def count(layer):
    return sum(int(np.prod(v.shape)) for v in layer.trainable_variables)


# ---- normalisation ---------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 6, 3), (7,)])
def test_norm_passes_the_battery(shape):
    check_layer(
        lambda **kw: SpatialLayerNorm(**kw),
        lambda b: (normal(b, *shape),),
        shape,
    )


def test_norm_has_moments_of_an_example_and_scales_of_channels():
    inputs = 3.0 + 2.0 * normal(5, 4, 6, 3)
    layer = built(SpatialLayerNorm(), inputs.shape)
    assert [tuple(w.shape) for w in layer.weights] == [(3,), (3,)]
    assert_close(layer(inputs), rnem_numpy.norm(layer, inputs), 1e-5)


def test_norm_enlarges_what_is_almost_empty_and_leaves_what_is_empty():
    inputs = normal(2, 4, 6, 3)
    inputs[1] = 0.0
    outputs = np.asarray(SpatialLayerNorm()(1e-4 * inputs))
    assert outputs[0].std() == pytest.approx(1.0, abs=1e-2)
    np.testing.assert_array_equal(outputs[1], 0.0)


# ---- reading and drawing ---------------------------------------------------


def test_encoder_passes_the_battery():
    check_layer(
        lambda **kw: ResidualEncoder((3, 4), 6, **kw),
        lambda b: (normal(b, SIZE, SIZE, 1),),
        (6,),
    )


def test_decoder_passes_the_battery():
    check_layer(
        lambda **kw: GroupDecoder((SIZE, SIZE), 6, (4, 3), channels=2, **kw),
        lambda b: (normal(b, D),),
        (SIZE, SIZE, 2),
    )


def test_encoder_is_convolution_then_norm_then_elu():
    inputs = normal(3, SIZE, SIZE, 1)
    layer = built(ResidualEncoder((3, 4), 6), inputs.shape)
    assert_close(layer(inputs), rnem_numpy.encode(layer, inputs), 1e-5)


def test_decoder_enlarges_before_each_convolution():
    states = normal(3, D)
    layer = built(GroupDecoder((SIZE, 4 * SIZE), 6, (4, 3)), states.shape)
    assert layer.grid == (2, 8, 4)
    square = built(GroupDecoder((SIZE, SIZE), 6, (4, 3)), states.shape)
    assert layer(states).shape == (3, SIZE, 4 * SIZE, 1)
    assert_close(square(states), rnem_numpy.draw(square, states), 1e-5)


def test_an_enlarged_map_is_one_of_repeated_pixels():
    features, kernel = normal(2, 3, 5, 4), normal(4, 4, 4, 6, seed=1)
    repeated = features.repeat(2, 1).repeat(2, 2)
    expected = tf.nn.conv2d(repeated, kernel, 1, "SAME")
    found = enlarged(tf.constant(features), tf.constant(kernel))
    assert_close(found, expected, 1e-5)


def test_published_sizes():
    encoder, decoder = ResidualEncoder(), GroupDecoder()
    encoder.build((None, 64, 64, 1))
    decoder.build((None, 250))
    assert count(encoder) == 2_140_240
    assert count(decoder) == 2_280_337
    # 27 million multiplications and additions a frame and group.
    flops = encoder.frame_flops + decoder.frame_flops
    assert flops == pytest.approx(2 * 27e6, rel=0.05)


def test_sizes_of_small_pictures():
    encoder = ResidualEncoder((32, 64))
    decoder = GroupDecoder((28, 28), filters=(64, 32))
    encoder.build((None, 28, 28, 1))
    decoder.build((None, 100))
    assert (count(encoder), count(decoder)) == (1_640_736, 1_701_153)


@pytest.mark.parametrize("filters", [(8, 8, 8), ()])
def test_sizes_that_do_not_fit_are_refused(filters):
    with pytest.raises(ValueError, match="enlargements.*got .12, 12.*change"):
        GroupDecoder((12, 12), filters=filters)


# ---- interaction -----------------------------------------------------------


@pytest.mark.parametrize("attention", [True, False])
def test_interaction_passes_the_battery(attention):
    check_layer(
        lambda **kw: PairwiseInteraction(7, 6, attention, **kw),
        lambda b: (normal(b, 3, D),),
        ((3, 7), (3, 7)),
    )


@pytest.mark.parametrize("attention", [True, False])
def test_interaction_is_a_sum_over_pairs(attention):
    layer = built(PairwiseInteraction(7, 6, attention), (None, 4, D))
    states = normal(2, 4, D)
    features, effects = layer(states)
    for b in range(2):
        e, total = rnem_numpy.interact(layer, states[b])
        assert_close(features[b], e, 1e-5)
        assert_close(effects[b], total, 1e-5)


def test_pairs_leave_out_the_group_itself():
    table = np.asarray(others(5))
    assert table.shape == (5, 4)
    for k, row in enumerate(table):
        assert set(row) == set(range(5)) - {k}


def test_effects_of_equals_add_up():
    layer = built(PairwiseInteraction(7, 6), (None, 4, D))
    states = np.repeat(normal(2, 1, D), 4, axis=1)
    two, four = layer(states[:, :2])[1], layer(states)[1]
    assert_close(four[:, 0], 3.0 * two[:, 0], 1e-5)


def test_a_group_alone_has_no_effects():
    layer = built(PairwiseInteraction(7, 6), (None, 4, D))
    features, effects = layer(normal(2, 1, D))
    assert features.shape == (2, 1, 7)
    np.testing.assert_array_equal(effects, tf.zeros([2, 1, 7]))


@pytest.mark.parametrize(
    ("attention", "number"), [(True, 277_651), (False, 252_250)]
)
def test_published_sizes_of_the_interaction(attention, number):
    layer = PairwiseInteraction(attention=attention)
    layer.build((None, 5, 250))
    assert count(layer) == number
