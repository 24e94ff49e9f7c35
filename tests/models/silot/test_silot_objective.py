"""SILOT: terms of its objective, schedules, latents."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models.tiny import tiny_silot
from tests.models.tiny.tiny_silot import (
    CELLS,
    A,
    K,
    gradients,
    seeded,
)
from tfdecomp.distributions import object_count
from tfdecomp.ops import schedules

tfd = tfp.distributions


# ---- the objective ---------------------------------------------------------


def test_terms_are_those_of_the_records(model, inputs):
    """Restated in NumPy from what the loop recorded."""
    video = tf.constant(inputs["video"])
    records, _ = model._scan(
        inputs, video, model._start(inputs, None), True, None
    )
    terms = model._divergences(inputs, records)
    part = {
        n: {
            k: np.asarray(v, np.float64)
            for k, v in model._split(records, n).items()
        }
        for n in ("propagated", "discovered")
    }
    kept, new = part["propagated"], part["discovered"]

    def normal_kl(m, s, m0, s0):
        return np.log(s0 / s) + (s**2 + (m - m0) ** 2) / (2 * s0**2) - 0.5

    size = np.log(0.1 / 0.9)
    new_prior = (
        np.array([0, 0, size, size, *[0] * (A + 1)]),
        np.array([1, 1, 0.5, 0.5, *[1] * (A + 1)]),
    )
    kept_prior = (
        np.array([0, 0, size, size, *[0] * (A + 1)]),
        np.array([0.3, 0.3, 0.5, 0.5, *[0.4] * A, 1]),
    )
    expected = {
        "kl_discovery": new["presence"]
        * normal_kl(new["mean"], new["deviation"], *new_prior),
        "kl_propagation": kept["presence"]
        * normal_kl(kept["mean"], kept["deviation"], *kept_prior),
        "kl_learned_prior": kept["presence"]
        * normal_kl(
            kept["mean"],
            kept["deviation"],
            kept["prior_mean"],
            kept["prior_deviation"],
        ),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(
            terms[name], value.sum((1, 2, 3)), rtol=1e-4, atol=1e-4
        )
    q = 1 / (1 + np.exp(-np.concatenate([kept["logit"], new["logit"]], 2)))
    on = np.concatenate([kept["presence"], new["presence"]], 2)[..., 0] > 0.5
    p = count_prior(on, float(object_count.log_rate(model.count_odds)))
    kl = q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p))
    np.testing.assert_allclose(terms["kl_count"], kl.sum((1, 2, 3)), rtol=1e-3)

    def logistic(value, logit):
        return -(value - logit) - 2 * np.log1p(np.exp(-(value - logit)))

    ratio = logistic(kept["sample"], kept["logit"])
    ratio -= logistic(kept["sample"], kept["prior_logit"])
    np.testing.assert_allclose(
        terms["kl_presence_prior"], ratio.sum((1, 2, 3)), rtol=1e-4
    )


def count_prior(on, log_rho):
    """Variable by variable, by sums over all counts, `[..., N, 1]`."""
    total = on.shape[-1]
    p = np.zeros(on.shape)
    for place in np.ndindex(on.shape[:-1]):
        belief = np.exp(log_rho * np.arange(total + 1))
        ones = 0
        for i, is_on in enumerate(on[place]):
            share = (np.arange(total + 1) - ones) / (total - i)
            share = share.clip(0, 1)
            belief = belief / belief.sum()
            p[(*place, i)] = belief @ share
            belief = belief * (share if is_on else 1 - share)
            ones += is_on
    return p[..., None]


def test_the_first_frame_has_nothing_to_propagate(model):
    batch = seeded(tiny_silot.clips(frames=1))
    found = model(batch, training=True)
    assert not np.any(found["kl_propagation"])
    assert not np.any(found["kl_learned_prior"])


def test_likelihood_is_that_of_bernoulli_pixels(model, outputs, inputs):
    p = np.float64(outputs["recon"]).clip(0, 1)
    x = np.float64(inputs["video"])
    terms = x * np.log(p + 1e-9) + (1 - x) * np.log(1 - p + 1e-9)
    np.testing.assert_allclose(
        outputs["nll"], -terms.sum((1, 2, 3, 4)), rtol=1e-4
    )


def test_training_wheels_keep_gradients_from_where_depth_and_presence(inputs):
    model = tiny_silot.tiny()
    held = gradients(model, {**inputs, "training_wheels": tf.constant(1.0)})

    def rows(found, part, head):
        last = model.discovery if part == "discovery" else model.propagation
        count = len(last.heads[head].kernels) - 1
        return next(
            v.numpy()
            for p, v in found.items()
            if f"{part}" in p.split("/")[1] and f"/{head}/kernel_{count}" in p
        )

    for part in ("discovery", "propagation"):
        for head, size in (("where", 8), ("depth", 2), ("presence", 1)):
            assert not np.any(rows(held, part, head)[:, :size]), (part, head)
    assert np.any(rows(held, "discovery", "what"))
    assert np.any(rows(held, "propagation", "what_kept"))


def test_dropout_is_of_frames_after_the_first_and_of_training_alone():
    model = tiny_silot.tiny(discovery_dropout=1.0)
    batch = seeded(tiny_silot.clips(batch=1, frames=2))
    records, _ = model._scan(
        batch, batch["video"], model._start(batch, None), True, None
    )
    dropped = model._split(records, "discovered")["presence"].numpy()
    assert np.all(dropped[:, 0] > 0) and not np.any(dropped[:, 1:])
    seen = {"drops": False, "number": 1, "is_driven": None}
    np.testing.assert_array_equal(model._discovery_mask(seen, None), 1.0)


def test_dropout_happens_as_often_as_it_should(model):
    clips, frames = 40, 11
    batch = seeded(np.zeros((clips, frames, 1, 1, 3), np.float32))
    draw = tf.function(
        lambda: model._noise(batch["seed"], 0, frames, 0, 1).uniform,
        autograph=False,
    )
    noise = draw()
    masks = [
        model._discovery_mask(
            {"drops": True, "number": t, "is_driven": None},
            {"dropout": noise[:, t, -1]},
        )
        for t in range(frames)
    ]
    kept = np.concatenate([np.reshape(m, [-1, 1]) for m in masks], axis=1)
    assert kept.shape == (clips, frames) and np.all(kept[:, 0] == 1)
    # 400 coins; four deviations.
    assert kept[:, 1:].mean() == pytest.approx(0.5, abs=0.1)
    # Neither frames nor clips share them.
    assert 0 < kept[:, 1].mean() < 1 and 0 < kept[0, 1:].mean() < 1


def test_published_schedules():
    odds = schedules.Decay(1e6, 0.0125)
    for step, log_odds, rho in (
        (0, 13.816, 1.0000),
        (3000, 6.908, 0.9990),
        (5000, 2.304, 0.9092),
        (7000, -2.185, 0.1011),
        (8000, -3.794, 0.0220),
        (20_000, -4.382, 0.0124),
    ):
        found = float(object_count.log_rate(odds(step)))
        assert np.exp(found) == pytest.approx(rho, abs=2e-4)
        assert np.log(float(odds(step)) + 1e-6) == pytest.approx(
            log_odds, abs=2e-3
        )
    with pytest.raises(ValueError, match="factor"):
        schedules.Decay(1.0, 0.0, factor=1.5)


def test_an_earlier_prior_wants_more_objects(model, inputs, outputs):
    """With high odds an empty picture is more of a surprise."""
    early = model({**inputs, "count_odds": tf.constant(1e6)})["kl_count"]
    assert np.all(early != outputs["kl_count"])


def test_posterior_prior_and_likelihood_make_the_loss(model, inputs, outputs):
    """By their own log_prob and kl_divergence, weighted as the paper says."""
    q, p = model.posterior(inputs), model.priors(inputs)
    records = model._infer(inputs, False, None)
    kept, new = (
        model._split(records, name)["presence"][..., 0]
        for name in ("propagated", "discovered")
    )
    kl = tfd.kl_divergence
    expected = {
        "kl_discovery": new * kl(q.discovered, p.discovered),
        "kl_propagation": kept * kl(q.propagated, p.propagated),
        "kl_learned_prior": kept * kl(q.expected, p.expected),
        "kl_count": kl(q.presences, p.presences),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(
            tf.reduce_sum(value, [1, 2]), outputs[name], rtol=1e-5
        )
    picture = model.likelihood(outputs["recon"])
    assert picture.event_shape == inputs["video"].shape[1:]
    np.testing.assert_allclose(
        -picture.log_prob(inputs["video"]), outputs["nll"], rtol=1e-5
    )


def test_latents_have_the_shapes_of_objects(model, inputs):
    q, p = model.posterior(inputs), model.priors(inputs)
    for name, count, event in (
        ("discovered", CELLS, [5 + A]),
        ("propagated", K, [5 + A]),
        ("expected", K, [5 + A]),
        ("presences", K + CELLS, []),
        ("stays", K, []),
    ):
        latent = getattr(q, name)
        assert latent.batch_shape == [2, 2, count]
        assert latent.event_shape == getattr(p, name).event_shape == event
        drawn = latent.sample(3, seed=1)
        assert drawn.shape == [3, 2, 2, count, *event]
        assert np.all(np.isfinite(getattr(p, name).log_prob(drawn)))


def test_latents_are_drawn_together_and_by_seed(model, inputs):
    q, p = model.posterior(inputs), model.priors(inputs)
    drawn, again = q.sample(seed=3), q.sample(seed=3)
    for name, value in drawn._asdict().items():
        one = getattr(q, name)
        assert value.shape == [*one.batch_shape, *one.event_shape]
        np.testing.assert_array_equal(value, getattr(again, name))
        assert np.all(np.isfinite(getattr(p, name).log_prob(value)))
    np.testing.assert_array_equal(drawn.expected, drawn.propagated)
    assert np.any(drawn.discovered != q.sample(seed=4).discovered)
    imagined = p.sample(3, seed=3)
    assert imagined.discovered.shape == [3, 5 + A]
    assert np.any(imagined.expected != imagined.propagated[:, None, None, None])
    assert model.static_priors().sample(seed=1).stays is None


@pytest.mark.slow
def test_presences_above_the_threshold_count_and_have_tracks(inputs):
    shown = {}
    for threshold in (0.05, 0.5, 0.95):
        model = tiny_silot.tiny(presence_threshold=threshold)
        found = model(inputs)
        presence = found["presence"][:, :, 1:].numpy()
        ids = found["track_ids"][:, :, 1:].numpy()
        assert not np.any(ids[presence <= threshold])
        np.testing.assert_allclose(
            found["count"], (presence > threshold).sum(2).mean(1)
        )
        shown[threshold] = np.sum(ids > 0)
    assert shown[0.05] > shown[0.5] >= shown[0.95] == 0
    with pytest.raises(ValueError, match="from 0 to below 1"):
        tiny_silot.tiny(presence_threshold=1.0)
