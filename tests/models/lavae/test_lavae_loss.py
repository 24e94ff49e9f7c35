"""LAVAE: terms of its loss, slots that are not there, estimators."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special, stats

from tests.models.tiny import tiny_lavae
from tests.models.tiny.tiny_lavae import (
    SIZE,
    L,
    M,
    gradients,
    part,
    seeded,
)
from tfdecomp.layers.decoders.sprite_decoder import SpriteDecoder
from tfdecomp.models import lavae
from tfdecomp.training import optimizers

tfd = tfp.distributions


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
