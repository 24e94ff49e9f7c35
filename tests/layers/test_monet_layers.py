"""The layers of MONet, against NumPy and by what must hold."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models.oracles import monet_numpy
from tests.test_case import assert_close, check_layer
from tfdecomp.layers.attention.component_encoder import ComponentEncoder
from tfdecomp.layers.attention.instance_norm import InstanceNorm
from tfdecomp.layers.attention.scope_unet import ScopeUNet
from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder


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


# ---- normalisation ---------------------------------------------------------


@pytest.mark.parametrize("scale", [True, False])
def test_norm_passes_the_battery(scale):
    check_layer(
        lambda **kw: InstanceNorm(scale, **kw),
        lambda b: (normal(b, 4, 6, 3),),
        (4, 6, 3),
    )


@pytest.mark.parametrize("scale", [True, False])
def test_norm_has_moments_of_each_channel_of_each_picture(scale):
    inputs = 3.0 + 2.0 * normal(5, 4, 6, 3)
    layer = built(InstanceNorm(scale), inputs.shape)
    assert len(layer.weights) == 1 + scale
    expected = [monet_numpy.instance_norm(layer, np.float64(x)) for x in inputs]
    assert_close(layer(inputs), np.stack(expected), 1e-5)


def test_norm_does_not_see_the_level_nor_the_contrast_of_a_channel():
    inputs = normal(2, 8, 8, 3)
    layer = built(InstanceNorm(), inputs.shape)
    changed = inputs * np.float32([3.0, 0.5, 7.0]) + np.float32([1, -2, 0])
    assert_close(layer(changed), layer(inputs), 1e-4)


def test_norm_makes_a_map_of_one_value_the_offset():
    inputs = np.full((1, 4, 4, 2), 5.0, np.float32)
    layer = built(InstanceNorm(), inputs.shape)
    expected = np.broadcast_to(layer.offset, inputs.shape)
    assert_close(layer(inputs), expected, 1e-6)


# ---- attention -------------------------------------------------------------


@pytest.mark.parametrize("size", [(8, 12), (9, 7)])
def test_attention_passes_the_battery(size):
    check_layer(
        lambda **kw: ScopeUNet((3, 4, 5), (6,), **kw),
        lambda b: (normal(b, *size, 4),),
        (*size, 1),
    )


@pytest.mark.parametrize("size", [(8, 8), (9, 7)])
@pytest.mark.parametrize("scale", [True, False])
def test_attention_is_what_numpy_makes_of_it(size, scale):
    pictures = normal(2, *size, 4)
    layer = built(ScopeUNet((3, 4, 5), (6, 7), scale), pictures.shape)
    expected = [monet_numpy.unet(layer, np.float64(x)) for x in pictures]
    assert_close(layer(pictures), np.stack(expected), 1e-4)


@pytest.mark.parametrize(
    ("filters", "side", "count"),
    [
        ((32, 32, 64, 64, 64), 64, 604_513),
        ((32, 32, 32, 64, 64, 64), 128, 632_289),
        ((32, 64, 64, 64), 35, 724_769),
    ],
)
def test_attention_has_as_many_weights_as_counted_by_hand(filters, side, count):
    layer = ScopeUNet(filters)
    layer.build((None, side, side, 4))
    assert layer.count_params() == count
    plain = ScopeUNet(filters, scale=False)
    plain.build((None, side, side, 4))
    upwards = (*filters[-2::-1], filters[0])
    assert count - plain.count_params() == sum(filters) + sum(upwards)


def test_a_model_doubled_from_64_channels_has_fourteen_million_weights():
    layer = ScopeUNet((64, 128, 256, 512, 512))
    layer.build((None, 64, 64, 4))
    assert [conv.filters for conv, _ in layer.up] == [512, 256, 128, 64, 64]
    of_the_vae = 369_572
    assert round((layer.count_params() + of_the_vae) / 1e6, 1) == 14.3


def test_attention_without_weights_gives_its_initial_logit():
    layer = ScopeUNet((3, 4), (5,), initial_logit=-2.0, initializer="zeros")
    np.testing.assert_array_equal(layer(normal(2, 6, 6, 4)), -2.0)


def test_attention_of_a_picture_does_not_depend_on_its_batch():
    pictures = normal(3, 8, 8, 4)
    layer = built(ScopeUNet((3, 4, 5), (6,)), pictures.shape)
    assert_close(layer(pictures)[1:2], layer(pictures[1:2]), 1e-5)


def test_attention_names_pictures_that_are_too_small_for_its_blocks():
    expected = r"5 blocks make \(1, 1\) of pictures of \(14, 14\).*fewer"
    with pytest.raises(ValueError, match=expected):
        ScopeUNet().build((None, 14, 14, 4))


def test_attention_counts_the_operations_of_its_convolutions():
    layer = ScopeUNet((3, 4), (5,))
    layer.build((None, 6, 8, 4))
    pixels, below = 6 * 8, 3 * 4
    taps = 9 * (4 * 3 + (3 + 3) * 3) * pixels  # first down, last up
    taps += 9 * (3 * 4 + (4 + 4) * 3) * below
    taps += 3 * pixels + 2 * below * 4 * 5  # the last, and the dense ones
    assert layer.flops() == 2 * taps


# ---- the component VAE -----------------------------------------------------


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_encoder_passes_the_battery(padding):
    check_layer(
        lambda **kw: ComponentEncoder((3, 4), (6,), padding, **kw),
        lambda b: (normal(b, 10, 10, 4),),
        (6,),
    )


@pytest.mark.parametrize(
    ("padding", "side", "count"),
    [
        ("same", 64, 65_856 + 1024 * 256 + 256),
        ("valid", 64, 65_856 + 576 * 256 + 256),
        ("same", 128, 65_856 + 4096 * 256 + 256),
        ("same", 35, 65_856 + 576 * 256 + 256),
        ("valid", 35, 65_856 + 64 * 256 + 256),
    ],
)
def test_encoder_has_as_many_weights_as_counted_by_hand(padding, side, count):
    layer = ComponentEncoder(padding=padding)
    layer.build((None, side, side, 4))
    assert layer.count_params() == count


def test_encoder_names_pictures_of_which_nothing_would_be_left():
    expected = r"4 convolutions without padding.*\(14, 14\).*padding='same'"
    with pytest.raises(ValueError, match=expected):
        ComponentEncoder(padding="valid").build((None, 14, 14, 4))


def decoder(size=(9, 12), kernels=(3, 5, 1), **options):
    options = {"filters": (5, 4), "dense": (), **options}
    return BroadcastDecoder(
        size, kernel_sizes=kernels, padding="valid", **options
    )


@pytest.mark.parametrize("upsample", [1, 3])
def test_decoder_without_padding_passes_the_battery(upsample):
    check_layer(
        lambda **kw: decoder(upsample=upsample, **kw),
        lambda b: (normal(b, 4),),
        ((9, 12, 3), (9, 12, 1)),
    )


def test_decoder_without_padding_is_what_numpy_makes_of_it():
    layer = built(decoder(activation="relu"), (None, 4))
    assert layer.canvas_size == (15, 18)
    latents = normal(3, 4)
    means, logits = layer(latents)
    for n, latent in enumerate(latents):
        expected = monet_numpy.decode(layer, np.float64(latent))
        assert_close((means[n], logits[n]), expected, 1e-5)


@pytest.mark.parametrize("kernels", [(3, 3, 1), (5, 3, 3), (1, 3, 1)])
def test_factored_first_layer_equals_the_plain_one_without_padding(kernels):
    layer = built(decoder(kernels=kernels), (None, 4))
    vectors = tf.constant(normal(3, 4))
    results = []
    for factored in (True, False):
        layer.factored = factored
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            means, logits = layer(vectors)
            loss = tf.reduce_sum(means**2) + tf.reduce_sum(logits**3)
        sources = [vectors, *(v.value for v in layer.trainable_variables)]
        results.append([means, logits, *tape.gradient(loss, sources)])
    assert_close(results[0], results[1], 1e-5)


def test_without_padding_and_coordinates_all_pixels_are_equal():
    for padding, differ in (("valid", False), ("same", True)):
        layer = decoder()
        layer = BroadcastDecoder.from_config(
            {**layer.get_config(), "padding": padding}
        )
        built(layer, (None, 4))
        kernel = np.array(layer.convs[0].kernel)
        kernel[:, :, :2] = 0.0
        layer.convs[0].kernel.assign(kernel)
        means, _ = layer(normal(2, 4))
        assert np.any(np.ptp(means, axis=(1, 2)) > 1e-5) == differ


def test_decoder_counts_the_operations_on_what_is_left_of_the_canvas():
    layer = decoder((4, 4), (3, 3, 1))
    layer.build((None, 4))
    taps = 36 * 9 * 6 * 5 + 16 * 9 * 5 * 4 + 16 * 4 * 4
    assert layer.flops() == 2 * taps


def test_decoder_names_a_bad_padding():
    with pytest.raises(ValueError, match='"same" or "valid", got \'full\''):
        BroadcastDecoder((8, 8), padding="full")
