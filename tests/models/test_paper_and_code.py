"""Where published code and text part, restated in NumPy.

Each option of PROVIDE and IODINE that follows one of the two has its
restatement here; `tests/presets/test_presets.py` says which preset sets which.
"""

import inspect
import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models import test_provide as provide
from tests.models.tiny import tiny_iodine as iodine
from tests.test_case import assert_close, set_seed
from tfdecomp.layers.frame_features import FrameFeatures
from tfdecomp.models.iodine import IODINE, PICTURE_INPUTS
from tfdecomp.models.iterative import IterativeModel
from tfdecomp.models.provide import PROVIDE
from tfdecomp.models.seq_iodine import SequentialIODINE

tfd = tfp.distributions
K, SIZE, VARIANCE = iodine.K, iodine.SIZE, 0.1
LIKELIHOODS = iodine.INPUTS_OF_THE_TEXT


def normalized(values, axes, epsilon=1e-5):
    values = np.asarray(values, np.float64)
    values = values - values.mean(axes, keepdims=True)
    spread = np.square(values).mean(axes, keepdims=True)
    return values / np.sqrt(spread + epsilon)


def seen_by(model, monkeypatch, frames=None):
    """What the first cell of a run reads, and its mixture as arrays."""
    recorder = iodine.Recorder(model, monkeypatch)
    clip = iodine.video() if frames is None else frames
    model({"video": clip, "noise": iodine.noise()})
    _, mixture, _ = recorder.objectives[0]
    means, logits = np.float64(mixture.means), np.float64(mixture.logits)
    masks = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return recorder, clip[:, 0].astype(np.float64), means, masks


def densities(frame, means, variance=VARIANCE):
    """N(x_i; mu_ik, s I), channels together, `[B, K, H, W, 1]`."""
    error = np.square(frame[:, None] - means).sum(-1, keepdims=True)
    scale = (2 * np.pi * variance) ** (means.shape[-1] / 2)
    return np.exp(-0.5 * error / variance) / scale


# ---- PROVIDE: the first sample of a frame ----------------------------------


def still(**options):
    """A model whose updates are zero: lambda is lambda_0 in every cell.

    Without a memory in prior and decoder, what refinement reads has no effect
    at all, and the loss is a plain function of lambda_0.
    """
    model = provide.tiny(conditional=False, num_refinements=2, **options)
    model.head.kernel.assign(tf.zeros_like(model.head.kernel))
    model.head.bias.assign(tf.zeros_like(model.head.bias))
    return model


def still_loss(model):
    inputs = {
        "video": provide.video(frames=2),
        "noise": provide.noise(frames=2),
    }
    return tf.reduce_sum(model(inputs, training=True)["loss"])


@pytest.mark.parametrize("rematerialize", [False, True])
def test_the_loss_reaches_lambda_0_through_a_second_reading(rematerialize):
    model = still(stop_first_gradient=True, rematerialize=rematerialize)
    initial = np.asarray(model.initial_parameters)
    with tf.GradientTape() as tape:
        total = still_loss(model)
    found = np.asarray(tape.gradient(total, model.initial_parameters.value))
    for half in range(2):  # means, then log-variances
        direction = np.zeros_like(initial)
        direction[half * len(initial) // 2 :][: len(initial) // 2] = 1.0
        direction *= np.sign(found)
        rise = []
        for sign in (1, -1):
            model.initial_parameters.assign(initial + sign * 0.02 * direction)
            rise.append(float(still_loss(model)))
        slope = (rise[0] - rise[1]) / 0.04
        assert float(found @ direction) == pytest.approx(slope, rel=1e-2)
        model.initial_parameters.assign(initial)


def test_a_second_reading_of_lambda_0_changes_no_value():
    one, two = still(), still(stop_first_gradient=True)
    assert_close(still_loss(one), still_loss(two), 1e-6)


# ---- PROVIDE: layers -------------------------------------------------------


@pytest.mark.parametrize("height, width", [(8, 5), (64, 64)])
def test_nearest_neighbours_of_the_code_are_those_below_the_edge(height, width):
    layer = FrameFeatures(half_pixel_centers=False)
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)
    frame = tf.constant((100 * rows + columns)[None, ..., None])
    found = layer._resized(frame, (4 * height + 1, 4 * width + 1))
    y = [
        int(np.floor(i * height / (4 * height + 1)))
        for i in range(4 * height + 1)
    ]
    x = [
        int(np.floor(i * width / (4 * width + 1))) for i in range(4 * width + 1)
    ]
    expected = 100 * np.array(y)[:, None] + np.array(x)
    np.testing.assert_array_equal(found[0, ..., 0], expected)
    centred = FrameFeatures()._resized(frame, (4 * height + 1, 4 * width + 1))
    assert np.any(np.asarray(centred) != np.asarray(found))


def test_features_differ_by_the_resize_alone():
    set_seed(0)
    one, two = FrameFeatures(), FrameFeatures(half_pixel_centers=False)
    frame = tf.constant(provide.video()[:, 0])
    apart = np.asarray(one(frame)), np.asarray(two(frame))
    two.set_weights(one.get_weights())
    assert not np.allclose(apart[0], two(frame))
    flat = tf.fill([1, 16, 16, 3], 0.3)
    assert_close(one(flat), two(flat), 1e-5)


# ---- both: what the layer norm sees ----------------------------------------


@pytest.mark.parametrize("is_mean", [False, True])
def test_gradients_are_normalised_over_the_sum_or_the_mean(
    is_mean, monkeypatch
):
    # A variance at which little is left to explain, so that epsilon counts.
    model = iodine.tiny(
        batch_mean_gradients=is_mean,
        variance=30.0,
        refinement_inputs=LIKELIHOODS,
        affine_norm=False,
    )
    recorder, *_ = seen_by(model, monkeypatch)
    count = iodine.B if is_mean else 1
    maps = np.asarray(recorder.maps[0])  # means 3, mask, logits, posterior
    gradients = recorder.gradients[0]
    for channels, name in ((slice(6, 9), "means"), (slice(9, 10), "masks")):
        value = np.float64(gradients[name]) / count
        expected = normalized(value, (2, 3, 4))
        assert_close(maps[..., channels], expected, 1e-4)
        # Enough to tell the two apart.
        other = normalized(value / 2, (2, 3, 4))
        assert not np.allclose(expected, other, rtol=1e-2)


def test_one_clip_has_the_same_gradients_in_sum_and_mean():
    clip = {"video": iodine.video(1), "noise": iodine.noise(1)}
    one, two = (
        iodine.tiny(batch_mean_gradients=flag)(clip) for flag in (False, True)
    )
    assert_close(one["masks"], two["masks"], 1e-6)


def test_the_gradient_by_lambda_is_of_the_batch_mean(monkeypatch):
    saved = {}
    for flag in (False, True):
        model = iodine.tiny(batch_mean_gradients=flag, variance=1e4)
        # At the prior, so that little is left of either part.
        raw = np.log(np.e - 1)
        model.initial_parameters.assign(np.repeat([0.01, raw], iodine.Z))
        recorder, *_ = seen_by(model, monkeypatch)
        saved[flag] = np.float64(recorder.refinements[0][2])
        monkeypatch.undo()
    # s = var / (var + eps) of the sum's norm; of half the gradient it is
    # var / (var + 4 eps).
    share = np.square(saved[False]).mean(-1, keepdims=True)
    damped = share / (share + iodine.B**2 * (1 - share))
    expected = saved[False] * np.sqrt(damped / share)
    assert_close(saved[True], expected, 1e-3)
    assert share.min() < 0.99


# ---- IODINE ----------------------------------------------------------------


@pytest.mark.parametrize("floor", [0.0, 1e-6, 0.1])
def test_mask_posterior_is_a_ratio_of_densities_over_a_floor(
    floor, monkeypatch
):
    clip = iodine.video()
    clip[:, :, 0, 0] = 40.0  # what no slot explains
    model = iodine.tiny(mask_posterior_floor=floor)
    recorder, frame, means, _ = seen_by(model, monkeypatch, clip)
    found = np.asarray(recorder.maps[0])[..., 5:6]
    explained = densities(frame, means)
    if floor:
        expected = explained / (explained.sum(1, keepdims=True) + floor)
        assert np.all(found[:, :, 0, 0] == 0)
    else:
        expected = explained / np.maximum(
            explained.sum(1, keepdims=True), 1e-300
        )
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
        expected[:, :, 0, 0] = found[:, :, 0, 0]
    assert_close(found, expected, 1e-4)


@pytest.mark.parametrize("floor", [1e-5, 0.0, 0.3])
def test_the_floor_of_the_variance_is_that_of_the_option(floor):
    model = iodine.tiny(variance_floor=floor)
    raw = np.float32([[-30.0, -2.0, 0.0, 3.0]])
    q = model.posterior(tf.concat([tf.zeros([1, 4]), raw], axis=-1))
    expected = np.log1p(np.exp(np.float64(raw))) + floor
    np.testing.assert_allclose(q.variance(), expected, rtol=1e-5)
    drawn = model.sample(
        {"noise": tf.ones([1, 4])}, tf.concat([tf.zeros([1, 4]), raw], -1)
    )
    np.testing.assert_allclose(drawn, np.sqrt(expected), rtol=1e-5)


def test_inputs_of_the_text_are_likelihoods_and_gradients_by_masks(monkeypatch):
    model = iodine.tiny(
        refinement_inputs=LIKELIHOODS, variance=0.1, affine_norm=False
    )
    recorder, frame, means, masks = seen_by(model, monkeypatch)
    maps = np.asarray(recorder.maps[0])
    explained = densities(frame, means)
    full = (masks * explained).sum(1, keepdims=True)
    by_masks = -explained / full
    assert_close(maps[..., 9:10], normalized(by_masks, (2, 3, 4)), 1e-3)
    every = np.repeat(full, K, axis=1)
    assert_close(maps[..., 10:11], normalized(every, (2, 3, 4)), 1e-3)
    rest = []
    for k in range(K):
        others = np.delete(masks * explained, k, axis=1).sum(1)
        rest.append(others / np.delete(masks, k, axis=1).sum(1))
    rest = normalized(np.stack(rest, axis=1), (2, 3, 4))
    assert_close(maps[..., 11:12], rest, 1e-3)
    assert maps.shape[-1] == 12  # the frame and coordinates go beside


def test_five_decodes_weigh_a_fifth_to_one(monkeypatch):
    model = iodine.tiny(num_refinements=4, step_weights="per_decode")
    recorder = iodine.Recorder(model, monkeypatch)
    inputs = {"video": iodine.video(), "noise": iodine.noise(decodes=5)}
    loss = model(inputs)["loss"]
    terms = [term["nll"] + term["kl"] for term in recorder.terms]
    assert len(terms) == 5
    expected = sum((t + 1) / 5 * term for t, term in enumerate(terms))
    assert_close(loss, expected, 1e-5)


def test_provide_reads_the_likelihoods_too():
    model = provide.tiny(refinement_inputs=LIKELIHOODS)
    outputs = model.rollout({"video": provide.video()}, 2)
    assert np.all(np.isfinite(outputs["recon"]))
    assert model.encoder.convs[0].kernel.shape[2] == 17


# ---- models are built of distributions -------------------------------------


def test_iodines_terms_are_those_of_its_distributions():
    model = iodine.tiny()
    inputs = {"video": iodine.video(), "noise": iodine.noise()}
    outputs = model(inputs)
    q, p = model.posterior(inputs), model.prior()
    assert q.batch_shape == (iodine.B, 1, K) and q.event_shape == (iodine.Z,)
    assert_close(q.mean(), outputs["slots"], 1e-6)
    kl = tf.reduce_sum(tfd.kl_divergence(q, p), axis=(1, 2))
    assert_close(outputs["kl"], kl, 1e-5)
    latents = q.from_noise(inputs["noise"][:, :, -1])[:, 0]
    likelihood = model.likelihood(latents)
    nll = -likelihood.log_prob(inputs["video"][:, 0])
    assert_close(outputs["nll"], nll, 1e-4)
    assert_close(outputs["recon"][:, 0], likelihood.mean(), 1e-5)


def test_provides_terms_are_those_of_its_distributions():
    model = provide.tiny()
    clip = {
        "video": provide.video(frames=1),
        "noise": provide.noise(frames=1),
    }
    outputs = model(clip)
    q, p = model.posterior(clip), model.prior()  # before frame 1
    kl = tf.reduce_sum(tfd.kl_divergence(q, p), axis=(1, 2))
    assert_close(outputs["kl"], kl, 1e-5)
    latents = q.from_noise(clip["noise"][:, :, provide.R - 1])[:, 0]
    nll = -model.likelihood(latents).log_prob(clip["video"][:, 0])
    assert_close(outputs["nll"], nll, 1e-4)
    hidden = outputs["state"]["h"]
    later = model.prior(hidden)
    assert later.batch_shape == (provide.B, provide.K)
    assert not np.allclose(later.mean(), p.mean())


@pytest.mark.parametrize("masks_from", ["filtered", "predictive"])
def test_seq_iodine_infers_what_its_slots_are_the_means_of(masks_from):
    model = iodine.tiny(SequentialIODINE, masks_from=masks_from)
    inputs = {"video": iodine.video(frames=3)}
    q = model.posterior(inputs)
    assert_close(q.mean(), model(inputs)["slots"], 1e-6)
    assert q.sample(seed=1).shape == (iodine.B, 3, K, iodine.Z)


# ---- configs ---------------------------------------------------------------

OTHERWISE = {
    "component": "logistic",
    "affine_norm": True,
    "mask_posterior_floor": 1e-6,
    "batch_mean_gradients": True,
    "update_bias": (0.0, -1.5),
}


def options_of(cls):
    """Names of all options of a class and those above it."""
    names = set()
    for base in cls.__mro__:
        if issubclass(base, IterativeModel):
            names |= set(inspect.signature(base.__init__).parameters)
    return names - {"self", "args", "kwargs"}


@pytest.mark.parametrize("cls", [PROVIDE, IODINE, SequentialIODINE])
def test_a_config_has_every_option(cls):
    model = cls(image_size=16)
    fixed = {"parameterization"} if cls is PROVIDE else set()
    assert options_of(cls) - fixed <= set(model.get_config())


@pytest.mark.parametrize(
    "make, options",
    [
        (provide.tiny, {**provide.REFERENCE, **OTHERWISE}),
        (iodine.tiny, {**OTHERWISE, "variance_floor": 0.0}),
        (iodine.tiny, {"refinement_inputs": (*PICTURE_INPUTS, "masks")}),
    ],
)
def test_a_config_through_json_gives_the_same_model(make, options):
    model = make(**options)
    config = json.loads(json.dumps(model.get_config()))
    again = type(model).from_config(config)
    again.build()
    assert json.loads(json.dumps(again.get_config())) == config
    again.set_weights(model.get_weights())
    inputs = {
        "video": iodine.video(),
        "seed": np.array([[1, 2], [3, 4]], np.int32),
    }
    assert_close(again(inputs)["masks"], model(inputs)["masks"], 1e-6)
