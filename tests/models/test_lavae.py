"""LAVAE: counts, estimators, the contract, what a trained model can do."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special, stats

from tests.models import tiny_lavae
from tests.models.tiny_lavae import (
    SIZE,
    SPRITE,
    L,
    M,
    gradients,
    part,
    seeded,
    squares,
)
from tfdecomp import training
from tfdecomp.layers.locationwise_vae import LocationwiseVAE
from tfdecomp.layers.sprite_decoder import SpriteDecoder
from tfdecomp.models import lavae
from tfdecomp.storage import configs
from tfdecomp.training import loop, optimizers

tfd = tfp.distributions


@pytest.fixture(scope="module")
def model():
    return tiny_lavae.tiny()


@pytest.fixture(scope="module")
def trained():
    """Its statistics move with every test that takes it."""
    return tiny_lavae.tiny()


@pytest.fixture(scope="module")
def inputs():
    return seeded(tiny_lavae.pictures())


@pytest.fixture(scope="module")
def outputs(model, inputs):
    found = model(inputs)
    return {name: np.asarray(value) for name, value in found.items()}


class GivenNoise:
    """Stands in for `FrameNoise`, with arrays of the test's choice."""

    def __init__(self, values):
        self.values = values

    def normal(self, purpose, shape):
        return self._get("normal", purpose, shape)

    def uniform(self, purpose, shape):
        return self._get("uniform", purpose, shape)

    def _get(self, kind, purpose, shape):
        value = self.values[kind, purpose]
        assert value.shape[1:] == tuple(shape)
        return tf.constant(value, tf.float32)

    @classmethod
    def drawn(cls, model, count, seed=0):
        rng = np.random.default_rng(seed)
        pixels = model.image_size[0] * model.image_size[1]
        objects = model.max_objects
        shapes = {
            ("uniform", lavae._GUMBEL): (objects, pixels),
            ("normal", lavae._APPEARANCE): (objects, model.latent_dim),
            ("uniform", lavae._FORCE): (),
            ("normal", lavae._AUXILIARY): model.auxiliary_vae.latent_shape,
        }
        return cls(
            {
                key: rng.random((count, *shape))
                if key[0] == "uniform"
                else rng.standard_normal((count, *shape))
                for key, shape in shapes.items()
            }
        )

    def use(self, monkeypatch):
        monkeypatch.setattr(lavae, "FrameNoise", lambda *_: self)


# ---- counting --------------------------------------------------------------


def test_every_square_is_counted_and_found(outputs):
    presence = outputs["presence"][:, 0]
    np.testing.assert_array_equal(presence[:, 0], 1.0)
    np.testing.assert_array_equal(presence[:, 1:].sum(1), [0, 1, 2, 3])
    assert {tuple(p) for p in outputs["locations"][3, 0, 1:]} == {
        (2.5, 3.5),
        (8.5, 2.5),
        (7.5, 9.5),
    }


def test_objects_come_by_the_height_of_their_peaks(model):
    picture = 0.8 * squares((2, 2)) + 1.0 * squares((9, 9))
    picture += 0.9 * squares((2, 9))
    found = model(seeded(picture[None, None]))["locations"][0, 0]
    np.testing.assert_array_equal(
        found, [[0, 0], [9.5, 9.5], [2.5, 9.5], [2.5, 2.5]]
    )


def test_no_more_than_the_most_objects_are_counted(model):
    places = [(r, c) for r in (2, 9) for c in (2, 6, 10)]
    found = model(seeded(squares(*places)[None, None]))
    assert np.sum(found["presence"]) == 1 + M


def test_count_can_be_taken_from_the_median():
    model = tiny_lavae.tiny(count_reference="median")
    video = seeded(tiny_lavae.pictures())
    model.location_net.bias.assign(tf.fill([SIZE, SIZE], 3.0))
    found = model(video)["presence"]
    np.testing.assert_array_equal(tf.reduce_sum(found[:, 0, 1:], 1), range(4))
    model.count_reference = "zero"  # the squares' edges count now
    assert np.sum(model(video)["presence"][3]) == 1 + M
    maps = np.random.default_rng(0).normal(size=(3, 3, 5)).astype(np.float32)
    np.testing.assert_array_equal(
        np.asarray(lavae.median(tf.constant(maps.reshape(3, -1))))[:, 0],
        np.median(maps, axis=(1, 2)),
    )


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_what_was_counted_does_not_depend_on_forcing(trained, inputs, share):
    found = trained(
        {**inputs, "forced_share": tf.constant(share)}, training=True
    )
    np.testing.assert_array_equal(found["count"], range(4))
    log_a = np.asarray(trained.log_count_prior())
    np.testing.assert_allclose(found["kl_count"], -log_a, rtol=1e-6)
    # One object is drawn where it is forced, and none on a blank otherwise.
    drawn = np.asarray(found["kl_appearances"]) > 0
    np.testing.assert_array_equal(drawn, [share > 0, True, True, True])
    most = np.log(SIZE**2) * (np.ones(4) if share else np.arange(4))
    assert np.all(np.asarray(found["kl_locations"]) <= most + 1e-4)


def test_a_share_of_the_pictures_is_forced_one_by_one(trained):
    blank = seeded(np.zeros((300, 1, SIZE, SIZE, 1)))
    train = tf.function(lambda fed: trained(fed, training=True))
    found = train({**blank, "forced_share": tf.constant(0.3)})
    forced = np.asarray(found["kl_appearances"]) > 0
    assert 0.2 < forced.mean() < 0.4  # four standard errors
    np.testing.assert_array_equal(found["count"], 0.0)


# ---- the terms of the loss -------------------------------------------------


def test_no_object_means_a_blank_picture_and_no_divergence(outputs, model):
    assert np.all(outputs["recon"][0] == 0.0)
    assert outputs["kl_locations"][0] == outputs["kl_appearances"][0] == 0.0
    np.testing.assert_allclose(
        outputs["nll"][0], -(SIZE**2) * np.log1p(-model.epsilon), rtol=1e-5
    )


def test_terms_add_up(trained, inputs, outputs):
    for found in (outputs, trained(inputs, training=True)):
        kl = sum(
            np.asarray(found[f"kl_{term}"])
            for term in ("locations", "appearances", "count")
        )
        np.testing.assert_allclose(found["kl"], kl, rtol=1e-6)
        np.testing.assert_allclose(found["loss"], found["nll"] + kl, rtol=1e-6)
        for term in ("locations", "appearances", "count"):
            assert np.all(np.asarray(found[f"kl_{term}"]) >= 0.0)


def test_divergence_of_appearances_is_that_of_normal_distributions(inputs):
    model = tiny_lavae.tiny()
    head = model.appearance_net.head[0]
    head.kernel.assign(tf.zeros_like(head.kernel))  # the same at every pixel
    head.bias.assign([0.5, -1.0, 2.0, 0.3, -0.7, -2.0])
    mean, log_variance = np.split(np.asarray(head.bias), 2)
    posterior = tfd.Normal(mean, np.exp(0.5 * log_variance))
    kl = np.sum(tfd.kl_divergence(posterior, tfd.Normal(0.0, 1.0)))
    for is_training in (False, True):
        found = model(inputs, training=is_training)["kl_appearances"]
        np.testing.assert_allclose(found, kl * np.arange(4), rtol=1e-5)


def test_scenes_of_prior_and_posterior_are_drawn_and_scored(model, inputs):
    frames = inputs["video"][:, 0]
    p, q = model.prior(), model.posterior(inputs)
    scene = q.sample(seed=(0, 1))
    np.testing.assert_array_equal(q.count, range(4))
    np.testing.assert_array_equal(
        tf.reduce_sum(tf.cast(scene.present, tf.int32), 1), q.count
    )
    # By hand, object by object.
    order, latents = np.asarray(scene.order), np.asarray(scene.latents)
    logits, maps = np.asarray(q.logits, float), np.asarray(q.maps, float)
    log_p = np.asarray(model.log_count_prior(), float)[np.asarray(q.count)]
    log_q = np.zeros(4)
    for n, count in enumerate(np.asarray(q.count)):
        left = np.ones(SIZE**2, bool)
        for i in range(count):
            place = order[n, i]
            assert left[place]
            log_q[n] += logits[n, place] - special.logsumexp(logits[n, left])
            log_p[n] -= np.log(left.sum())
            left[place] = False
            mean, log_variance = np.split(maps[n, place], 2)
            scale = np.exp(0.5 * log_variance)
            log_q[n] += stats.norm.logpdf(latents[n, i], mean, scale).sum()
            log_p[n] += stats.norm.logpdf(latents[n, i]).sum()
    np.testing.assert_allclose(q.log_prob(scene), log_q, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(p.log_prob(scene), log_p, rtol=1e-4, atol=1e-4)
    found = model.likelihood(scene)
    assert (found.event_shape, found.batch_shape) == ((SIZE, SIZE, 1), (4,))
    assert found.log_prob(frames).shape == (4,)
    drawn = p.sample(500, seed=(0, 2))
    counts = tf.reduce_sum(tf.cast(drawn.present, tf.int32), 1)
    share = np.bincount(counts, minlength=M + 1) / 500
    expected = np.asarray(p.count.probs_parameter())
    np.testing.assert_allclose(share, expected, atol=0.1)


def test_log_variances_stay_within_bounds():
    model = tiny_lavae.tiny()
    head = model.appearance_net.head[0]
    head.bias.assign(np.repeat([0.0, 1e3], L))
    _, maps = model.read(tf.zeros([1, SIZE, SIZE, 1]))
    np.testing.assert_array_equal(maps[..., L:], 10.0)


def test_probabilities_of_counts_sum_to_one_and_train_alone(trained, inputs):
    assert float(tf.reduce_sum(tf.exp(trained.log_count_prior()))) == (
        pytest.approx(1.0, abs=1e-6)
    )
    found = gradients(trained, inputs, "kl_count")
    reached = [path for path, g in found.items() if g is not None]
    assert [path.split("/")[-1] for path in reached] == ["count_logits"]


def test_the_loss_reaches_every_weight_but_the_auxiliary_vae(inputs):
    model = tiny_lavae.tiny(finder=False, count_threshold=-9.0)
    found = gradients(model, {**inputs, "forced_share": tf.constant(0.5)})
    for path, gradient in found.items():
        if part(path) == "locationwise_vae":
            assert gradient is None, path
        else:
            assert np.any(np.asarray(gradient) != 0.0), path
            assert np.all(np.isfinite(gradient)), path


@pytest.mark.parametrize("target", ["raw", "scaled"])
def test_the_auxiliary_terms_train_one_network_each(inputs, target):
    model = tiny_lavae.tiny(finder=False, auxiliary_target=target)
    weight, fed = 0.7, {**inputs, "auxiliary_weight": tf.constant(0.7)}
    found = model(fed, training=True)
    logits = np.asarray(model.read(inputs["video"][:, 0], training=True)[0])
    noise = lavae.FrameNoise(inputs["seed"], tf.range(1)).normal(
        lavae._AUXILIARY, model.auxiliary_vae.latent_shape
    )
    loss, kl_map = model.auxiliary_vae(
        inputs["video"][:, 0], noise, training=True
    )
    scale = 1.0 if target == "scaled" else 1.0 / model.logit_scale
    distance = np.sum((scale * logits - kl_map) ** 2, axis=(1, 2))
    np.testing.assert_allclose(found["auxiliary_distance"], distance, rtol=1e-4)
    np.testing.assert_allclose(
        found["auxiliary_loss"], loss + weight * distance, rtol=1e-4
    )
    np.testing.assert_allclose(
        found["loss"],
        found["nll"] + found["kl"] + found["auxiliary_loss"],
        rtol=1e-5,
    )
    by_distance = gradients(model, fed, "auxiliary_distance")
    by_both = gradients(model, fed, "auxiliary_loss")
    for path, gradient in by_distance.items():
        net, both = part(path), by_both[path]
        if net == "location_net":
            assert np.any(np.asarray(gradient) != 0.0), path
            np.testing.assert_allclose(
                both, weight * gradient, rtol=1e-3, atol=1e-3
            )
        elif net == "locationwise_vae":
            assert gradient is None or not np.any(np.asarray(gradient)), path
            assert np.any(np.asarray(both) != 0.0), path
        else:
            for g in (gradient, both):
                assert g is None or not np.any(np.asarray(g)), path


def test_without_its_weight_the_auxiliary_vae_does_not_run(inputs):
    model = tiny_lavae.tiny()
    before = [np.asarray(v) for v in model.auxiliary_vae.variables]
    found = model(
        {**inputs, "auxiliary_weight": tf.constant(0.0)}, training=True
    )
    np.testing.assert_array_equal(found["auxiliary_loss"], 0.0)
    for a, b in zip(before, model.auxiliary_vae.variables):
        np.testing.assert_array_equal(a, b)
    model({**inputs, "auxiliary_weight": tf.constant(0.1)}, training=True)
    changed = [
        np.any(a != np.asarray(b))
        for a, b in zip(before, model.auxiliary_vae.variables)
    ]
    assert any(changed)  # the moving statistics


# ---- slots that are not there ----------------------------------------------


def test_slots_that_are_not_there_have_no_influence(inputs, monkeypatch):
    results = []
    for other in (False, True):
        model = tiny_lavae.tiny(temperature=0.5)
        noise = GivenNoise.drawn(model, 4)
        if other:
            fresh = GivenNoise.drawn(model, 4, seed=1)
            for key in (
                ("uniform", lavae._GUMBEL),
                ("normal", lavae._APPEARANCE),
            ):
                for n in range(4):
                    noise.values[key][n, n:] = fresh.values[key][n, n:]
        noise.use(monkeypatch)
        loss = np.asarray(model(inputs, training=True)["loss"])
        found = gradients(model, inputs)
        results.append(
            (loss, list(found.values()), model.non_trainable_variables)
        )
    (loss, found, kept), (other_loss, other_found, other_kept) = results
    np.testing.assert_array_equal(loss, other_loss)
    for a, b in zip(found, other_found):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    for a, b in zip(kept, other_kept):
        np.testing.assert_array_equal(a, b)


def test_only_objects_enter_the_statistics_of_batch_norm():
    model, one = tiny_lavae.tiny(), tiny_lavae.tiny()
    latents = np.random.default_rng(0).normal(size=(2, 3, L))
    latents = tf.constant(latents, tf.float32)
    present = tf.constant([[True, False, False], [True, True, False]])
    drawn = model.draw_sprites(latents, present, training=True)
    chosen = tf.boolean_mask(latents, present)
    expected = one.sprite_decoder(chosen, training=True)
    np.testing.assert_allclose(
        tf.boolean_mask(drawn, present), expected, rtol=1e-5
    )
    assert np.all(np.asarray(drawn)[~np.asarray(present)] == 0.0)
    for a, b in zip(
        model.sprite_decoder.non_trainable_variables,
        one.sprite_decoder.non_trainable_variables,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "is_compiled"),
    [("soft", True), ("straight_through", False)],
)
def test_a_batch_of_blank_pictures_spoils_nothing(estimator, is_compiled):
    model = tiny_lavae.tiny(estimator=estimator, auxiliary_weight=0.5)
    blank = seeded(np.zeros((3, 1, SIZE, SIZE, 1)))
    weights = [v.value for v in model.trainable_variables]
    before = [np.asarray(v) for v in model.sprite_decoder.variables]
    adamax = optimizers.Adamax(0.01)
    adamax.build(weights)

    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(blank, training=True)["loss"])
        adamax.update(
            tf.distribute.get_strategy(),
            weights,
            tape.gradient(
                loss,
                weights,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            ),
            factor=1.0,
            step=tf.constant(0),
            count=tf.constant(1),
            is_taken=tf.constant(True),
        )
        return loss

    loss = tf.function(step, autograph=False)() if is_compiled else step()
    assert np.isfinite(loss)
    for variable in model.variables:
        assert np.all(np.isfinite(variable)), variable.path
    for a, b in zip(before, model.sprite_decoder.variables):
        np.testing.assert_array_equal(a, b)


# ---- estimators ------------------------------------------------------------


def test_gradient_of_a_logit_is_that_of_finite_differences(monkeypatch):
    # Flat logits, so that sprites reach every pixel and none is clipped: past
    # the clip the gradient is another one on purpose.
    model = tiny_lavae.tiny(temperature=2.0, logit_scale=0.5, shake=0.3)
    inputs = seeded(tiny_lavae.pictures()[2:3])
    GivenNoise.drawn(model, 1).use(monkeypatch)
    bias = model.location_net.bias
    (gradient,) = [
        np.asarray(g)
        for path, g in gradients(model, inputs).items()
        if path.endswith("location_net/bias")
    ]

    def loss(place, shift):
        before = np.asarray(bias)
        moved = before.copy()
        moved[place] += shift
        bias.assign(moved)
        value = float(model(inputs, training=True)["loss"][0])
        bias.assign(before)
        return value

    recon = np.asarray(model(inputs, training=True)["recon"])
    assert recon.min() > 2 * model.train_epsilon
    step = 0.1
    largest = np.argsort(-np.abs(gradient), axis=None)[:6]
    places = [divmod(int(i), SIZE) for i in (*largest, 0, 77)]
    for place in places:
        expected = (loss(place, step) - loss(place, -step)) / (2 * step)
        # Losses of a hundred nats have steps of 1e-5.
        assert gradient[place] == pytest.approx(expected, rel=0.03, abs=2e-3)


def test_straight_through_draws_at_pixels_and_has_the_soft_gradient():
    video = seeded(tiny_lavae.pictures()[3:])
    found = {}
    for estimator in ("soft", "straight_through"):
        model = tiny_lavae.tiny(estimator=estimator, temperature=0.02)
        model.logit_scale = 40.0  # draws are certain, y all but one-hot
        model.count_threshold = 4.0
        found[estimator] = model(video, training=True)
    for name in ("loss", "kl_appearances"):
        np.testing.assert_allclose(
            found["soft"][name], found["straight_through"][name], rtol=1e-3
        )
    gradient = gradients(model, video)
    assert any(
        part(path) == "location_net" and np.any(np.asarray(g) != 0.0)
        for path, g in gradient.items()
    )


def test_a_cold_relaxed_sample_is_a_hard_one(monkeypatch, inputs):
    """The training loss goes over into the bound's."""
    model = tiny_lavae.tiny(temperature=1e-4)
    noise = GivenNoise.drawn(model, 4)
    noise.use(monkeypatch)
    model.train_epsilon = model.epsilon
    sprite = model.sprite_decoder
    # Without batch norm's two faces.
    monkeypatch.setattr(
        model,
        "read",
        lambda frames, training=False: lavae.LAVAE.read(model, frames),
    )
    monkeypatch.setattr(
        sprite,
        "call",
        lambda latents, training=False: SpriteDecoder.call(sprite, latents),
    )
    soft, hard = model(inputs, training=True), model(inputs)
    for name in ("nll", "kl_locations", "kl_appearances", "loss"):
        np.testing.assert_allclose(
            soft[name], hard[name], rtol=1e-3, atol=1e-3, err_msg=name
        )


# ---- the contract ----------------------------------------------------------


def test_what_is_not_there_is_zero_and_the_rest_is_drawn(model, outputs):
    absent = outputs["presence"] == 0.0
    for name in ("slots", "boxes", "locations", "components", "latent_kl"):
        np.testing.assert_array_equal(outputs[name][:, :, 0], 0.0)
        np.testing.assert_array_equal(outputs[name][absent], 0.0)
    assert np.all(outputs["masks"][absent] == 0.0)
    np.testing.assert_allclose(
        outputs["recon"], np.clip(outputs["components"].sum(2), 0, 1), atol=1e-6
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_masks_and_boxes_are_those_of_the_sprites(channels):
    model = tiny_lavae.tiny(channels=channels, shake=0.3)
    # As many pixels above a half as below.
    model.sprite_decoder.head.bias.assign(tf.fill([channels], 0.2))
    rng = np.random.default_rng(2)
    slots = rng.normal(0, 3, (6, M + 1, L)).astype(np.float32)
    places = rng.integers(0, SIZE, (6, M + 1, 2)) + 0.5
    places[:, 2] = places[:, 1] + [1.0, 0.0]  # overlap
    presence = np.ones((6, M + 1), np.float32)
    presence[:, 3] = 0.4
    drawn = model.decode(slots, places.astype(np.float32), presence)
    drawn = {name: np.asarray(value) for name, value in drawn.items()}
    shares = drawn["components"][:, 1:].max(-1)
    masks = shares / np.maximum(1.0, shares.sum(1, keepdims=True))
    np.testing.assert_allclose(drawn["masks"][:, 1:, ..., 0], masks, atol=1e-6)
    np.testing.assert_allclose(
        drawn["masks"][:, 0, ..., 0], 1.0 - masks.sum(1), atol=1e-6
    )
    kinds = set()
    for n, k in np.ndindex(6, M):
        box = drawn["boxes"][n, k + 1]
        on = np.argwhere(shares[n, k] >= 0.5)
        if k == 2:
            expected = np.zeros(4)
        elif len(on):
            expected = [*on.min(0), *(on.max(0) + 1)]
            kinds.add("tight")
        else:
            pixel = np.floor(np.clip(places[n, k + 1], 0, SIZE - 1))
            expected = np.clip(
                [*(pixel - SPRITE // 2), *(pixel + SPRITE // 2 + 1)], 0, SIZE
            )
            kinds.add("window")
        np.testing.assert_array_equal(box, expected)
    assert "tight" in kinds


# ---- one clip, one result --------------------------------------------------


def test_a_bound_is_compiled_and_depends_on_no_other_clip(model, inputs):
    compiled = tf.function(lambda fed: model.log_likelihood_bound(fed, 3))
    bound = model.log_likelihood_bound(inputs, 3)
    np.testing.assert_allclose(compiled(inputs), bound, rtol=1e-5)
    alone = {name: value[2:3] for name, value in inputs.items()}
    np.testing.assert_allclose(
        model.log_likelihood_bound(alone, 3), bound[2:3], rtol=1e-5
    )


def test_noise_is_of_each_frame(model, inputs):
    alone = {name: value[3:] for name, value in inputs.items()}
    twice = {**alone, "video": tf.tile(alone["video"], [1, 2, 1, 1, 1])}
    assert float(model(twice)["nll"][0]) != 2 * float(model(alone)["nll"][0])
    assert model.log_likelihood_bound(twice, 2).shape == (1,)


def test_another_seed_is_another_sample_of_the_same_scene(model, inputs):
    other = seeded(tiny_lavae.pictures(), seed=6)
    one, two = model(inputs), model(other)
    np.testing.assert_array_equal(one["recon"], two["recon"])
    assert np.all(np.asarray(one["nll"] != two["nll"])[1:])


# ---- symmetries ------------------------------------------------------------


def test_networks_move_with_the_picture():
    model = tiny_lavae.tiny(finder=False, size=26)
    pictures = [
        squares((11, 10), (13, 15), size=26),
        squares((13, 13), (15, 18), size=26),
    ]
    logits, maps = model.read(tf.constant(np.stack(pictures)))
    maps = tf.reshape(maps, [2, 26, 26, -1])
    for values in (np.asarray(logits), np.asarray(maps)):
        here, there = values[0, 6:17, 6:16], values[1, 8:19, 9:19]
        assert here.std() > 1e-3
        np.testing.assert_allclose(there, here, rtol=1e-4, atol=1e-5)


def test_the_order_of_objects_does_not_matter(model, outputs):
    slots, places, presence = (
        outputs[name][2:, 0] for name in ("slots", "locations", "presence")
    )
    # Squares that look alike have appearances of their own here.
    rng = np.random.default_rng(0)
    slots = rng.normal(size=slots.shape).astype(np.float32)
    turn = [0, 2, 3, 1]
    drawn = model.decode(slots, places, presence)
    turned = model.decode(slots[:, turn], places[:, turn], presence[:, turn])
    np.testing.assert_allclose(drawn["recon"], turned["recon"], atol=1e-6)
    np.testing.assert_allclose(
        np.asarray(drawn["masks"])[:, turn], turned["masks"], atol=1e-6
    )
    swapped = model.decode(slots[1:, turn], places[1:], presence[1:])
    assert np.abs(swapped["recon"] - drawn["recon"][1:]).max() > 1e-3


# ---- what a trained model can do -------------------------------------------


def test_swap_lets_objects_trade_places(model, inputs, outputs):
    swapped = np.asarray(model.swap(inputs))[:, 0]
    for n in (0, 1):
        np.testing.assert_allclose(swapped[n], outputs["recon"][n, 0])
    for n in (2, 3):
        places = outputs["locations"][n, 0].copy()
        places[1 : n + 1] = np.roll(places[1 : n + 1], -1, axis=0)
        expected = model.decode(
            outputs["slots"][n],
            places[None],
            outputs["presence"][n],
        )
        np.testing.assert_allclose(swapped[n], expected["recon"][0], atol=1e-6)


def test_a_permutation_passes_over_places_without_an_object(
    model, inputs, outputs
):
    swapped = np.asarray(model.swap(inputs, permutation=[2, 0, 1]))[:, 0]
    np.testing.assert_allclose(swapped[1], outputs["recon"][1, 0])
    # Of two objects, the first goes to the third place and from there on.
    places = outputs["locations"][2, 0][[0, 2, 1, 3]]
    expected = model.decode(
        outputs["slots"][2], places[None], outputs["presence"][2]
    )
    np.testing.assert_allclose(swapped[2], expected["recon"][0], atol=1e-6)
    with pytest.raises(ValueError, match="must order 0...2"):
        model.swap(inputs, permutation=[0, 0, 1])


def test_an_object_moves_and_nothing_else(model, inputs, outputs):
    one = {name: value[3:] for name, value in inputs.items()}
    own = outputs["locations"][3, 0, 2]
    moved = model.move(one, 2, [own, (0.0, 11.9)])
    assert moved.shape == (1, 2, SIZE, SIZE, 1)
    np.testing.assert_allclose(moved[0, 0], outputs["recon"][3, 0], atol=1e-6)
    places = outputs["locations"][3].copy()
    places[0, 2] = (0.5, 11.5)
    expected = model.decode(outputs["slots"][3], places, outputs["presence"][3])
    np.testing.assert_allclose(moved[0, 1], expected["recon"][0], atol=1e-6)
    with pytest.raises(ValueError, match="slot 0 is the background"):
        model.move(one, 0, [own])


def test_scenes_of_the_prior(model):
    drawn = model.sample_prior(64, seed=(1, 2))
    assert drawn["recon"].shape == (64, SIZE, SIZE, 1)
    assert np.min(drawn["recon"]) >= 0 and np.max(drawn["recon"]) <= 1
    presence = np.asarray(drawn["presence"])
    counts = presence[:, 1:].sum(1)
    assert set(counts) == set(range(M + 1))
    places = np.asarray(drawn["locations"])
    for n in range(64):
        some = places[n, 1:][presence[n, 1:] == 1]
        assert len({tuple(p) for p in some}) == counts[n]


def test_the_prior_of_counts_can_be_replaced(model):
    drawn = model.sample_prior(80, count_probs=[0.0, 0.0, 0.5, 0.5])
    counts = np.sum(drawn["presence"], axis=1) - 1
    assert set(counts) == {2, 3}
    assert 0.3 < np.mean(counts == 2) < 0.7
    for bad in ([0.5, 0.5], [0.5, 0.5, 0.5, 0.5], [1.5, -0.5, 0.0, 0.0]):
        with pytest.raises(ValueError, match="4 probabilities of 0 to 3"):
            model.sample_prior(2, count_probs=bad)


def test_counts_of_the_prior_follow_what_was_learned():
    model = tiny_lavae.tiny()
    model.count_logits.assign(np.log([0.1, 0.2, 0.3, 0.4]).astype(np.float32))
    counts = np.sum(model.sample_prior(600)["presence"], axis=1) - 1
    shares = np.bincount(counts.astype(int), minlength=4) / 600
    np.testing.assert_allclose(shares, [0.1, 0.2, 0.3, 0.4], atol=0.08)


def test_what_was_encoded_can_be_drawn(model, inputs, outputs):
    codes = model.encode(inputs)
    drawn = model.decode(**{name: v[:, 0] for name, v in codes.items()})
    np.testing.assert_allclose(drawn["recon"], outputs["recon"][:, 0])


# ---- bad input -------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 4}, "sprites have a side of 5 px"),
        ({"estimator": "hard"}, "estimator must be one of"),
        ({"count_reference": "mean"}, "count_reference must be one of"),
        ({"auxiliary_target": "h"}, "auxiliary_target must be one of"),
        ({"num_slots": 1}, "at least one for objects"),
        (
            {"sprite_decoder": SpriteDecoder(size=5, channels=3)},
            "has 1 channels, its SpriteDecoder 3",
        ),
        (
            {"auxiliary_vae": LocationwiseVAE((12, 12), channels=3)},
            "has 1 channels, its LocationwiseVAE 3",
        ),
    ],
)
def test_a_model_that_does_not_fit_together_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tiny_lavae.tiny(**options)


def test_a_sprite_without_a_centre_is_refused():
    with pytest.raises(ValueError, match="must be odd"):
        SpriteDecoder(size=8)


@pytest.mark.parametrize(("most", "is_refused"), [(M, False), (M + 1, True)])
def test_training_refuses_more_objects_than_slots_for_them(
    model, most, is_refused
):
    builder = types.SimpleNamespace(
        name="set",
        builder_config=types.SimpleNamespace(name="config"),
        info=types.SimpleNamespace(metadata={"max_objects": most}),
    )
    with configs.isolated():
        if not is_refused:
            loop._check_slots(builder, model)
            return
        with pytest.raises(ValueError, match=f"NUM_SLOTS = {most + 1}"):
            loop._check_slots(builder, model)


# ---- the published setting -------------------------------------------------

PARTS = ("location_net", "appearance_net", "sprite_decoder")


@pytest.fixture(scope="module", params=["mnist", "dsprites"])
def published(request):
    path = {
        "mnist": "lavae.gin",
        "dsprites": "papers/lavae_multi_dsprites.gin",
    }[request.param]
    with configs.isolated():
        configs.parse([path])
        yield request.param, training.build_settings()


def test_published_sizes(published):
    name, settings = published
    model = settings.model
    expected = {
        "mnist": [177_841, 171_520, 156_641, 74_256 + 71_937],
        "dsprites": [180_241, 173_920, 169_123, 74_832 + 72_515],
    }[name]
    parts = [getattr(model, p) for p in (*PARTS, "auxiliary_vae")]
    counts = [
        sum(int(np.prod(v.shape)) for v in p.trainable_variables) for p in parts
    ]
    assert counts == expected
    assert model.count_logits.shape == (11,)
    total = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    total -= counts[-1]
    assert total == {"mnist": 506_013, "dsprites": 523_295}[name]
    assert model.sprite_decoder.size == {"mnist": 17, "dsprites": 21}[name]
    assert model.auxiliary_vae.latent_shape == (11, 11, 8)
    for norm in _norms(model):
        assert (norm.momentum, norm.epsilon) == (0.9, 1e-5)


def _norms(model):
    return [
        layer
        for layer in model._flatten_layers()
        if type(layer).__name__ == "BatchNorm"
    ]


def test_published_schedules(published):
    name, settings = published
    steps = [0, 30_000, 45_000, 50_000, 60_000, 100_000, 200_000]
    values = {
        key: [float(schedule(step)) for step in steps]
        for key, schedule in settings.schedules.items()
    }
    np.testing.assert_allclose(
        values["forced_share"],
        [1.0, 1.0, 0.55, 0.4, 0.1, 0.1, 0.1],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        values["auxiliary_weight"],
        [1.0, 1.0, 0.5, 1 / 3, 0.0, 0.0, 0.0],
        rtol=1e-5,
    )
    decay = np.minimum(np.array(steps) / 100_000, 1.0)
    np.testing.assert_allclose(
        values["temperature"], 0.5 * 0.04**decay, rtol=1e-4
    )
    assert values["temperature"][3] == pytest.approx(0.1, rel=1e-4)
    rates = [settings.optimizer.rates(tf.constant(step)) for step in steps]
    start = {"mnist": 1e-4, "dsprites": 5e-4}[name]
    np.testing.assert_allclose(
        [r["learning_rate_location_net"] for r in rates],
        start * 0.01**decay,
        rtol=1e-4,
    )
    np.testing.assert_allclose([r["learning_rate"] for r in rates], 1e-3)
    assert settings.batch_size == 64 and settings.clip_norm is None


def test_published_groups_are_the_location_network_and_the_rest(published):
    _, settings = published
    model = settings.model
    variables = model.trainable_variables
    settings.optimizer.build(
        [v.value for v in variables], [v.path for v in variables]
    )
    members = settings.optimizer.members
    chosen = [i for group in members.values() for i in group]
    assert sorted(chosen) == list(range(len(variables)))
    named = next(key for key in members if key is not None)
    ours = {id(v) for v in model.location_net.trainable_variables}
    assert {id(variables[i]) for i in members[named]} == ours


def test_the_divergence_map_is_smooth_and_turns_with_the_picture():
    vae = LocationwiseVAE((64, 64))
    tiles = np.random.default_rng(0).random((2, 11, 11)).astype(np.float32)
    found = np.asarray(vae.interpolate(tf.constant(tiles)))
    assert found.shape == (2, 64, 64)
    for axis in (1, 2):
        flipped = vae.interpolate(tf.constant(np.flip(tiles, axis)))
        np.testing.assert_allclose(flipped, np.flip(found, axis), atol=1e-6)
    # Centres of tiles are between pixels 6 j + 1 and 6 j + 2.
    j = np.arange(1, 10)
    middle = found[:, 6 * j + 1][:, :, 6 * j + 1]
    middle = (middle + found[:, 6 * j + 2][:, :, 6 * j + 2]) / 2
    middle += (
        found[:, 6 * j + 1][:, :, 6 * j + 2]
        + found[:, 6 * j + 2][:, :, 6 * j + 1]
    ) / 2
    assert (
        np.corrcoef(middle.ravel(), tiles[:, 1:10, 1:10].ravel())[0, 1] > 0.99
    )


# ---- the bound of log p(x) -------------------------------------------------

SIDE, PIXELS = 3, 9
HEIGHTS = np.array([[2.0, 0.2, 1.5], [0.1, 0.3, -0.4], [0.5, -1.0, 0.4]])
THRESHOLDS = {0: 3.0, 1: 1.7, 2: 1.0}  # peaks of HEIGHTS above
MEANS = np.random.default_rng(0).normal(0, 0.7, PIXELS)
LOG_VARIANCES = np.random.default_rng(1).normal(-0.3, 0.3, PIXELS)
SLOPES = np.random.default_rng(2).normal(0, 1.5, (SIDE, SIDE))
OFFSETS = np.random.default_rng(3).normal(0, 1.0, (SIDE, SIDE))
COUNT_LOGITS = np.array([0.3, -0.5, 0.9])
PICTURE = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0]], np.float64)


class Heights(keras.layers.Layer):
    def call(self, frames, training=False):
        shape = [tf.shape(frames)[0], SIDE, SIDE]
        return tf.broadcast_to(tf.constant(HEIGHTS, tf.float32), shape)


class Codes(keras.layers.Layer):
    latent_dim = 1

    def call(self, frames, training=False):
        codes = np.stack([MEANS, LOG_VARIANCES], -1).reshape(SIDE, SIDE, 2)
        shape = [tf.shape(frames)[0], SIDE, SIDE, 2]
        return tf.broadcast_to(tf.constant(codes, tf.float32), shape)


class Sprites(keras.layers.Layer):
    size, channels = SIDE, 1

    def call(self, latents, training=False):
        values = latents[:, None] * SLOPES.astype(np.float32)
        values += OFFSETS.astype(np.float32)
        return 0.45 * tf.sigmoid(values)[..., None]

    def compute_output_shape(self, shape):
        return (shape[0], SIDE, SIDE, 1)


def _toy(count):
    """Everything about it is known: see the constants."""
    model = lavae.LAVAE(
        Heights(),
        Codes(),
        Sprites(),
        LocationwiseVAE((SIDE, SIDE), latent_dim=1, filters=2),
        image_size=SIDE,
        num_slots=3,
        logit_scale=1.0,
        count_threshold=THRESHOLDS[count],
    )
    model.build()
    model.count_logits.assign(COUNT_LOGITS.astype(np.float32))
    return model


def _bounds(model, picture, repeats, num_samples):
    video = np.tile(picture[None, None, ..., None], (repeats, 1, 1, 1, 1))
    bound = tf.function(lambda i: model.log_likelihood_bound(i, num_samples))
    return np.asarray(bound(seeded(video)), np.float64)


class _Exact:
    """Sums over locations and Gauss-Hermite quadrature over appearances."""

    def __init__(self, count, nodes=24):
        self.count = count
        self.log_a = (COUNT_LOGITS - np.log(np.exp(COUNT_LOGITS).sum()))[count]
        points, weights = np.polynomial.hermite_e.hermegauss(nodes)
        self.points, self.weights = points, weights / weights.sum()

    def orders(self):
        """Every order of places, with log q and log p."""
        places = [()]
        for _ in range(self.count):
            places = [
                (*some, d)
                for some in places
                for d in range(PIXELS)
                if d not in some
            ]
        weights = np.exp(HEIGHTS.ravel())
        for some in places:
            left, log_q = weights.copy(), 0.0
            for place in some:
                log_q += np.log(left[place] / left.sum())
                left[place] = 0.0
            log_p = -sum(np.log(PIXELS - i) for i in range(self.count))
            yield some, log_q, log_p

    def likelihoods(self, places, latents):
        """log p(x | places, latents) on the grid `[V, V]` or `[V]` or []."""
        padded = np.zeros((*(len(z) for z in latents), 5, 5))
        for i, (place, z) in enumerate(zip(places, latents)):
            sprites = 0.45 / (
                1 + np.exp(-(z[:, None, None] * SLOPES + OFFSETS))
            )
            shape = [1] * len(latents)
            shape[i] = len(z)
            row, column = divmod(place, SIDE)
            padded[..., row : row + 3, column : column + 3] += sprites.reshape(
                *shape, SIDE, SIDE
            )
        p = np.clip(padded[..., 1:4, 1:4], 1e-6, 1 - 1e-6)
        terms = PICTURE * np.log(p) + (1 - PICTURE) * np.log1p(-p)
        return terms.sum((-2, -1))

    def mean(self, values):
        for _ in range(self.count):
            values = values @ self.weights
        return float(values)

    def evidence(self):
        """log p(x, n)."""
        total = 0.0
        for places, _, log_p in self.orders():
            grid = self.likelihoods(places, [self.points] * self.count)
            total += np.exp(log_p) * self.mean(np.exp(grid))
        return self.log_a + np.log(total)

    def elbo(self):
        total = 0.0
        for places, log_q, log_p in self.orders():
            latents, divergence = [], 0.0
            for place in places:
                mean, log_v = MEANS[place], LOG_VARIANCES[place]
                latents.append(mean + np.exp(log_v / 2) * self.points)
                divergence += 0.5 * (mean**2 + np.exp(log_v) - 1 - log_v)
            value = self.mean(self.likelihoods(places, latents))
            total += np.exp(log_q) * (value - divergence + log_p - log_q)
        return self.log_a + total


@pytest.mark.parametrize("count", [1, 2])
def test_the_bound_is_that_of_sums_and_integrals(count):
    model, exact = _toy(count), _Exact(count)
    evidence, elbo = exact.evidence(), exact.elbo()
    assert elbo < evidence - 0.05
    one = _bounds(model, PICTURE, 1500, 1)
    error = one.std() / np.sqrt(len(one))
    # Its mean is the ELBO; the mean of its exponential is the evidence.
    assert one.mean() == pytest.approx(elbo, abs=4 * error)
    ratio = np.exp(one - evidence)
    error = ratio.std() / np.sqrt(len(ratio))
    assert error < 0.1
    assert ratio.mean() == pytest.approx(1.0, abs=4 * error)
    # It rises with the samples, and ends at the evidence.
    means = [one.mean()]
    for num_samples, repeats in ((4, 300), (32, 60), (400, 8)):
        some = _bounds(model, PICTURE, repeats, num_samples)
        means.append(some.mean())
    assert means == sorted(means)
    assert means[-1] == pytest.approx(evidence, abs=0.1)


def test_the_loss_of_evaluation_has_the_elbo_as_its_mean():
    model, exact = _toy(2), _Exact(2)
    video = np.tile(PICTURE[None, None, ..., None], (1500, 1, 1, 1, 1))
    loss = np.asarray(tf.function(model)(seeded(video))["loss"])
    error = loss.std() / np.sqrt(len(loss))
    assert -loss.mean() == pytest.approx(exact.elbo(), abs=4 * error)


@pytest.mark.parametrize("num_samples", [1, 7])
def test_the_bound_of_a_blank_picture_is_known(num_samples):
    model, exact = _toy(0), _Exact(0)
    blank = np.zeros((SIDE, SIDE))
    np.testing.assert_allclose(
        _bounds(model, blank, 2, num_samples),
        exact.log_a + PIXELS * np.log1p(-1e-6),
        rtol=1e-5,
    )
    found = _bounds(model, PICTURE, 2, num_samples)
    np.testing.assert_allclose(found, exact.evidence(), rtol=1e-5)


# ---- learning --------------------------------------------------------------


@pytest.mark.slow
def test_the_loss_falls_on_a_fixed_batch(inputs):
    model = tiny_lavae.tiny(shake=0.0)
    # Where squares are is known; what they look like is not.
    weights = [
        v.value
        for v in model.trainable_variables
        if part(v.path) != "location_net"
    ]
    model.logit_scale = 6.0
    adamax = optimizers.Adamax(0.02)
    adamax.build(weights)

    @tf.function
    def step(count):
        # Noise that stays the same would be learned by heart.
        seed = inputs["seed"] + [[count, 0]]
        fed = {**inputs, "seed": seed, "temperature": tf.constant(0.1)}
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(fed, training=True)["loss"])
        found = tape.gradient(
            loss,
            weights,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        adamax.update(
            tf.distribute.get_strategy(),
            weights,
            found,
            factor=1.0,
            step=count,
            count=count + 1,
            is_taken=tf.constant(True),
        )
        return loss

    losses = [float(step(tf.constant(i))) for i in range(150)]
    assert np.mean(losses[-10:]) < 0.3 * losses[0]
    mse = np.mean(np.square(model(inputs)["recon"] - inputs["video"]))
    assert mse < 0.04  # a blank picture has twice as much
