"""MONet, against NumPy and by what must hold."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models.oracles import monet_numpy
from tests.models.tiny import tiny_monet
from tests.models.tiny.tiny_monet import SIZE, B, K, T, Z, clips, tiny
from tests.test_case import assert_close
from tfdecomp.distributions.pixel_mixture import PixelMixture, mask_divergence
from tfdecomp.exporting import feed_forward
from tfdecomp.layers.attention.component_encoder import ComponentEncoder
from tfdecomp.layers.attention.scope_unet import ScopeUNet
from tfdecomp.layers.decoders.broadcast_decoder import BroadcastDecoder
from tfdecomp.models.monet import MONet
from tfdecomp.models.parts.frames import frame_noise
from tfdecomp.storage import saving

tfd = tfp.distributions
PICTURES = ("masks", "components", "recon", "slots", "samples", "latent_kl")
SUMS = ("nll", "kl", "kl_masks", "loss")


@functools.cache
def model(**options):
    """A tiny model that no test changes."""
    return tiny(**options)


@functools.cache
def outputs():
    """What a tiny model says of `clips()`."""
    return model()(clips())


def noise(batch, number, num_slots=K):
    """That of one frame of all clips, `[B, K, Z]`."""
    numbers = tf.constant([number])
    return frame_noise(batch["seed"], numbers, 0, (num_slots, Z))


def normal(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return values.astype(np.float32)


# ---- the whole -------------------------------------------------------------


@pytest.mark.parametrize("granularity", ["pixel", "channel"])
def test_a_clip_is_what_numpy_makes_of_it(granularity):
    subject, batch = model(granularity=granularity), clips()
    found = subject(batch)
    expected = [
        [
            monet_numpy.picture(
                subject,
                np.float64(batch["video"][b, t]),
                np.float64(noise(batch, t)[b]),
            )
            for t in range(T)
        ]
        for b in range(B)
    ]
    for name in PICTURES:
        wanted = [[frame[name] for frame in clip] for clip in expected]
        assert_close(found[name], np.array(wanted), 1e-4)
    for name in SUMS:
        wanted = [sum(frame[name] for frame in clip) for clip in expected]
        np.testing.assert_allclose(found[name], wanted, 1e-4, err_msg=name)
    wanted = [np.mean([frame["elbo"] for frame in c]) for c in expected]
    np.testing.assert_allclose(found["elbo"], wanted, rtol=1e-4)


def test_weights_and_deviations_can_be_scheduled():
    given = {
        "kl_weight": 0.25,
        "mask_weight": 3.0,
        "background_deviation": 0.2,
        "object_deviation": 0.4,
    }
    scheduled = {name: tf.constant(value) for name, value in given.items()}
    found = model()({**clips(), **scheduled})
    expected = model(**given)(clips())
    for name in (*SUMS, "elbo"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)
    whole = found["nll"] + 0.25 * found["kl"] + 3.0 * found["kl_masks"]
    np.testing.assert_allclose(found["loss"], whole, rtol=1e-5)
    assert np.all(found["nll"] != outputs()["nll"])


@pytest.mark.parametrize(
    ("side", "filters", "padding", "count"),
    [
        (64, (32, 32, 64, 64, 64), "same", 974_085),
        (64, (32, 32, 64, 64, 64), "valid", 859_397),
        (128, (32, 32, 32, 64, 64, 64), "same", 1_788_293),
        (128, (32, 32, 32, 64, 64, 64), "valid", 1_542_533),
        (35, (32, 64, 64, 64), "same", 979_653),
        (35, (32, 64, 64, 64), "valid", 848_581),
    ],
)
def test_weights_are_as_many_as_counted_by_hand(side, filters, padding, count):
    subject = MONet(
        ScopeUNet(filters), ComponentEncoder(padding=padding), image_size=side
    )
    subject.build()
    assert subject.count_params() == count


@pytest.mark.parametrize("side", [14, 32])
def test_other_sizes_build_with_fewer_blocks(side):
    filters = {14: (4, 4, 4), 32: (4, 4, 4, 4)}[side]
    subject = MONet(ScopeUNet(filters, (5,)), image_size=side, num_slots=3)
    found = subject({"video": np.zeros([1, 1, side, side, 3], np.uint8)})
    assert found["recon"].shape == (1, 1, side, side, 3)
    assert found["slots"].shape == (1, 1, 3, 16)


# ---- attention -------------------------------------------------------------


class GivenLogits(ScopeUNet):
    """Says the same of every pixel, another number at every step."""

    def __init__(self, logits):
        super().__init__((2, 2), (2,))
        self.logits = list(logits)

    def call(self, inputs):
        return tf.fill(tf.shape(inputs[..., :1]), self.logits.pop(0))


def given(logits):
    """Log-masks of a model whose attention says these logits."""
    subject = tiny(attention=GivenLogits(logits), num_slots=len(logits) + 1)
    return subject.attend(tf.zeros([1, SIZE, SIZE, 3]))


def test_logits_break_a_stick():
    masks = np.exp(given([0.0, 1.0, -2.0]))[0, :, 0, 0, 0]
    expected = [0.5, 0.365529, 0.016029, 0.118441]
    np.testing.assert_allclose(masks, expected, atol=1e-6)


def test_masks_sum_to_one_whatever_the_logits():
    for logits in ([40.0, -40.0, 3.0], [-90.0, -90.0], [100.0], [0.0] * 9):
        log_masks = given(logits)
        assert np.all(np.isfinite(log_masks)) and np.all(log_masks <= 0)
        np.testing.assert_allclose(np.exp(log_masks).sum(1), 1, atol=1e-6)


def test_without_weights_each_slot_takes_half_of_what_is_left():
    plain = ScopeUNet((3, 4), (5,), initializer="zeros")
    subject = tiny(shake=0.0, attention=plain, num_slots=5)
    masks = np.exp(subject.attend(tf.constant(tiny_monet.video()[:, 0])))
    expected = np.array([1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 16])
    expected = np.broadcast_to(expected[:, None, None, None], masks.shape)
    np.testing.assert_allclose(masks, expected, rtol=1e-6)


def test_one_more_slot_divides_the_last_one_alone():
    frames = tf.constant(tiny_monet.video()[:, 0])
    less, more = (np.exp(model().attend(frames, k)) for k in (K, K + 1))
    np.testing.assert_array_equal(less[:, :-1], more[:, : K - 1])
    assert_close(less[:, -1], more[:, K - 1 :].sum(1), 1e-6)


def test_a_number_of_slots_in_a_tensor_gives_what_a_plain_one_gives():
    graph = tf.function(lambda k: model()(clips(), num_slots=k))
    for k in (2, K, 5):
        found, expected = graph(tf.constant(k)), model()(clips(), num_slots=k)
        for name in (*PICTURES, *SUMS, "elbo"):
            assert_close(found[name], expected[name], 1e-5)
    assert graph.experimental_get_tracing_count() == 1


def test_the_scope_falls():
    frames = tf.constant(tiny_monet.video()[:, 0])
    scope = tf.zeros_like(frames[..., :1])
    for _ in range(4):
        log_mask, left = model().cut(frames, scope)
        assert np.all(left <= scope)
        whole = np.exp(log_mask) + np.exp(left)
        np.testing.assert_allclose(whole, np.exp(scope), rtol=1e-5)
        scope = left


class Recorder(ScopeUNet):
    """Keeps what it reads; takes all of every pixel."""

    def call(self, inputs):
        self.read = getattr(self, "read", []) + [inputs[..., -1:]]
        return tf.fill(tf.shape(inputs[..., :1]), 60.0)


def test_networks_read_logarithms_above_a_floor_and_the_loss_all_of_them():
    recorder = Recorder((2, 2), (2,))
    subject = tiny(attention=recorder, num_slots=4, log_floor=-10.0)
    found = subject(clips())
    for read, expected in zip(recorder.read, [0.0, -10.0, -10.0]):
        np.testing.assert_array_equal(read, expected)
    assert np.max(found["masks"][:, :, 1:]) < 1e-25
    assert np.all(np.isfinite(found["loss"]))


def test_seeds_change_samples_and_never_masks():
    batch = clips()
    other = model()({**batch, "seed": batch["seed"] + 1})
    for name in ("masks", "slots", "latent_kl", "kl"):
        np.testing.assert_array_equal(other[name], outputs()[name])
    assert np.all(other["samples"] != outputs()["samples"])


def test_a_frame_changes_nothing_elsewhere():
    batch = clips()
    batch["video"][1, 0] = 0.5
    found = model()(batch)
    for name in PICTURES:
        np.testing.assert_array_equal(found[name][0], outputs()[name][0])
        assert_close(found[name][1, 1], outputs()[name][1, 1], 1e-6)
        assert np.any(found[name][1, 0] != outputs()[name][1, 0])


def test_pictures_of_a_batch_may_change_places():
    batch = {name: values[::-1] for name, values in clips().items()}
    found = model()(batch)
    for name in (*PICTURES, *SUMS, "elbo"):
        assert_close(found[name][::-1], outputs()[name], 1e-5)


# ---- the objective ---------------------------------------------------------


def mixture_of_two(granularity):
    subject = MONet(image_size=64, num_slots=2, granularity=granularity)
    means = tf.constant([[0.5, 0.5, 0.5], [0.4, 0.5, 0.6]])
    masks = tf.constant([0.25, 0.75])
    return subject.mixture(
        means[None, :, None, None],
        tf.math.log(masks)[None, :, None, None, None],
    )


@pytest.mark.parametrize(
    ("granularity", "expected"), [("pixel", -3.622490), ("channel", -3.477014)]
)
def test_a_pixel_costs_what_was_computed_by_hand(granularity, expected):
    pixel = tf.fill([1, 1, 1, 3], 0.5)
    found = -mixture_of_two(granularity).log_prob(pixel)
    np.testing.assert_allclose(found, [expected], atol=1e-5)


def test_the_log_of_a_mean_is_below_the_mean_of_logs():
    pixel = tf.fill([1, 1, 1, 3], 0.5)
    p = mixture_of_two("pixel")
    single = [
        tfd.Normal(p.means[0, k, 0, 0], d).log_prob(0.5)
        for k, d in enumerate((0.09, 0.11))
    ]
    bound = -0.25 * tf.reduce_sum(single[0]) - 0.75 * tf.reduce_sum(single[1])
    np.testing.assert_allclose(bound, -3.395677, atol=1e-5)
    assert -p.log_prob(pixel)[0] < bound


def test_with_equal_deviations_it_is_the_mixture_of_all_others():
    subject = model(background_deviation=0.2, object_deviation=0.2)
    means = tf.constant(normal(B, K, SIZE, SIZE, 3))
    masks = tf.nn.log_softmax(normal(B, K, SIZE, SIZE, 1), axis=1)
    frames = tf.constant(tiny_monet.video()[:, 0])
    plain = PixelMixture(means, masks, 0.04, "pixel")
    found = subject.mixture(means, masks).log_prob(frames)
    np.testing.assert_allclose(found, plain.log_prob(frames), rtol=1e-5)


def test_equal_components_make_masks_indifferent():
    subject = model(background_deviation=0.2, object_deviation=0.2)
    means = tf.repeat(tf.constant(normal(B, 1, SIZE, SIZE, 3)), K, axis=1)
    frames = tf.constant(tiny_monet.video()[:, 0])
    found = [
        subject.mixture(
            means, tf.nn.log_softmax(normal(B, K, SIZE, SIZE, 1, seed=s), 1)
        ).log_prob(frames)
        for s in (1, 2)
    ]
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_the_divergence_of_masks_was_computed_by_hand():
    log_masks = given([0.0, 1.0, -2.0])[..., :1, :1, :]
    own = tf.nn.log_softmax(tf.constant([1.0, 0.0, 0.0, -1.0]))
    own = own[None, :, None, None, None]
    found = mask_divergence(log_masks, own)
    np.testing.assert_allclose(found, [0.211589], atol=1e-5)


def test_the_divergence_of_masks_is_that_of_categoricals():
    logits, others = (3 * normal(B, K, 4, 5, 1, seed=s) for s in (1, 2))
    one, two = (tf.nn.log_softmax(v, axis=1) for v in (logits, others))
    last = [tfd.Categorical(logits=np.moveaxis(v, 1, -1)) for v in (one, two)]
    expected = tf.reduce_sum(tfd.kl_divergence(*last), [1, 2, 3])
    np.testing.assert_allclose(mask_divergence(one, two), expected, rtol=1e-5)
    np.testing.assert_array_equal(mask_divergence(one, one), 0.0)


def test_the_divergence_of_latents_is_that_of_normals():
    parameters = tf.constant(normal(B, K, 2 * Z))
    q = model().posterior(parameters)
    mean, spread = tf.split(parameters, 2, axis=-1)
    theirs = tfd.Normal(mean, tf.exp(spread))
    expected = tfd.kl_divergence(theirs, tfd.Normal(0.0, 1.0))
    assert_close(q.kl_terms(model().prior()), expected, 1e-5)
    none = model().posterior(tf.zeros([1, 2 * Z]))
    np.testing.assert_array_equal(none.kl_terms(model().prior()), 0.0)


TERMS = ("nll", "kl", "kl_masks")


def gradients(name, **options):
    """Of one output by the weights of each part; None where there is none."""
    subject = tiny(**options)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(subject(clips(), training=True)[name])
    parts = {
        "attention": subject.attention.trainable_variables,
        "encoder": subject.encoder.trainable_variables,
        "decoder": subject.decoder.trainable_variables,
    }
    found = tape.gradient(value, parts)
    return {
        part: None
        if all(g is None for g in values)
        else math.sqrt(sum(np.sum(np.square(g)) for g in values))
        for part, values in found.items()
    }


@pytest.mark.parametrize("name", TERMS)
def test_each_term_teaches_the_attention(name):
    found = gradients(name)
    assert found["attention"] > 0 and found["encoder"] > 0
    assert (found["decoder"] is None) == (name == "kl")


def test_without_the_weight_of_masks_nobody_learns_to_draw_them():
    subject = tiny(mask_weight=0.0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(subject(clips(), training=True)["loss"])
    kernel, bias = tape.gradient(
        loss, [subject.decoder.head.kernel, subject.decoder.head.bias]
    )
    np.testing.assert_array_equal(kernel[..., -1], 0.0)
    assert bias[-1] == 0.0
    assert np.all(np.any(kernel[..., :-1] != 0, axis=(0, 1, 2)))


def test_gradients_are_finite_differences():
    """One direction through all weights, in the loss as a whole."""
    subject = tiny()
    weights = [v.value for v in subject.trainable_variables]

    def loss():
        return tf.reduce_sum(subject(clips(), training=True)["loss"])

    with tf.GradientTape() as tape:
        value = loss()
    slopes = tape.gradient(value, weights)
    rng = np.random.default_rng(1)
    steps = [rng.standard_normal(w.shape) * 1e-4 for w in weights]
    expected = sum(np.sum(s * np.asarray(g)) for s, g in zip(steps, slopes))
    sides = []
    for sign in (1, -2):
        for weight, step in zip(weights, steps):
            weight.assign_add(np.float32(sign * step))
        sides.append(float(loss()))
    found = (sides[0] - sides[1]) / 2
    assert found == pytest.approx(expected, rel=0.02)


def test_the_bound_is_below_an_estimate_by_importance():
    subject, count = model(), 64
    frames = tf.constant(tiny_monet.video(1, 1)[:, 0])
    batch = {"video": tf.repeat(frames[:, None], count, axis=0)}
    q = subject.posterior(batch)
    z = q.from_noise(normal(count, 1, K, Z))[:, 0]
    prior = tf.reduce_sum(subject.prior().log_prob(z), axis=1)
    ratio = subject.likelihood(z).log_prob(frames) + prior
    ratio -= tf.reduce_sum(q.log_prob(z[:, None]), axis=[1, 2])
    estimate = tf.reduce_logsumexp(ratio) - math.log(count)
    assert np.mean(subject(batch)["elbo"]) < estimate


def test_half_precision_leaves_masks_that_sum_to_one():
    with saving.dtype_policy("mixed_bfloat16"):
        half = tiny()
    half.set_weights(model().get_weights())
    found = half(clips())
    np.testing.assert_allclose(np.sum(found["masks"], 2), 1, atol=1e-6)
    np.testing.assert_allclose(found["loss"], outputs()["loss"], rtol=0.01)


# ---- drawing ---------------------------------------------------------------


def test_what_is_drawn_has_the_masks_that_latents_draw():
    slots = model().encode(clips())["slots"][:, 0]
    drawn = model().decode(slots)
    for b in range(B):
        parts = [monet_numpy.decode(model().decoder, z) for z in slots[b]]
        means, logits = (np.stack(part) for part in zip(*parts))
        masks = np.exp(monet_numpy.normalised(logits))
        assert_close(drawn["masks"][b], masks, 1e-5)
        assert_close(drawn["recon"][b], (masks * means).sum(0), 1e-5)


def test_samples_of_the_prior_are_in_the_colours_that_there_are():
    subject = tiny(decoder=linear_decoder(), shake=3.0)
    found = subject.sample_prior(20, num_slots=5)
    assert found["slots"].shape == (20, 5, Z)
    assert found["masks"].shape == (20, 5, SIZE, SIZE, 1)
    for name in ("recon", "components"):
        assert np.min(found[name]) == 0 and np.max(found[name]) == 1
    deviation = np.std(found["slots"])
    assert deviation == pytest.approx(1.0, abs=0.1)


def linear_decoder():
    return BroadcastDecoder(
        (SIZE, SIZE), filters=(4,), dense=(), mean_activation="linear"
    )


def test_encoder_and_decoder_are_straight_graphs():
    parts, refused = feed_forward.make_parts(model(), "ONNX")
    assert set(parts) == {"encode", "decode"} and not refused
    example = parts["encode"].example
    found = parts["encode"].signature.function(example)["slots"]
    expected = model().encode({"video": example["frames"][:, None]})["slots"]
    assert_close(found, expected[:, 0], 1e-5)


def test_the_operations_of_a_step_follow_the_number_of_slots():
    less, more = (model(num_slots=k).step_flops(2, 3) for k in (3, 4))
    parts = model()
    slot = parts.attention.flops() + parts.encoder.picture_flops
    slot += parts.decoder.flops()
    assert more - less == 3 * 2 * 3 * slot


# ---- what goes in ----------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_slots": 1}, "num_slots must be at least 2, got 1"),
        ({"image_size": 8}, r"\(8, 8\), its decoder draws \(9, 9\); set"),
        (
            {"object_deviation": 0.0},
            r"must be positive, got \(0.09, 0.0\); the paper",
        ),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        tiny(**options)
