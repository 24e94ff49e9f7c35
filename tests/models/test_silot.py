"""SILOT: the contract, tracks, the objective, the learned prior."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models import tiny_silot
from tests.models.tiny_silot import (
    CELLS,
    SIZE,
    A,
    D,
    F,
    G,
    K,
    gradients,
    seeded,
)
from tfdecomp.distributions import object_count
from tfdecomp.layers.objects.cell_backbone import CellBackbone
from tfdecomp.layers.objects.color_background import ColorBackground
from tfdecomp.layers.objects.discovery import Discovery
from tfdecomp.layers.objects.moving_background import MovingBackground
from tfdecomp.layers.objects.object_renderer import ObjectRenderer
from tfdecomp.layers.objects.propagation import Propagation
from tfdecomp.models.silot import SILOT
from tfdecomp.ops import schedules
from tfdecomp.storage import saving

tfd = tfp.distributions

TERMS = (
    "kl_discovery",
    "kl_propagation",
    "kl_learned_prior",
    "kl_count",
    "kl_presence_prior",
)


@pytest.fixture(scope="module")
def model():
    return tiny_silot.tiny()


@pytest.fixture(scope="module")
def inputs():
    return seeded(tiny_silot.clips(frames=2))


@pytest.fixture(scope="module")
def outputs(model, inputs):
    found = model(inputs)
    return tf.nest.map_structure(np.asarray, found)


# ---- sizes -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("independent", "prune", "expected"),
    [
        (True, False, 2_826_622),
        pytest.param(False, False, 2_851_902, marks=pytest.mark.slow),
        pytest.param(True, True, 2_385_954, marks=pytest.mark.slow),
        (False, True, 2_411_234),
    ],
)
def test_published_sizes_have_as_many_weights(independent, prune, expected):
    model = SILOT(
        prior=Propagation(is_prior=True, prune=prune),
        independent_propagation=independent,
    )
    model.build()
    assert model.count_params() == expected
    if independent and not prune:
        parts = {
            "backbone": 572_096,
            "discovery": 221_376
            + 9_246
            + 77_610
            + 52_536
            + 40_000
            + 191_936
            + 128,
            "propagation": 688_311 - 21_056,
            "prior": 688_311 - 21_056,
            "grid_attention": 21_184,
            "object_network": 21_056,
            "renderer": 242_832,
        }
        found = {n: getattr(model, n).count_params() for n in parts}
        # The two modules share the network of objects.
        assert found["discovery"] == parts["discovery"]
        assert found["backbone"] == parts["backbone"]
        assert found["grid_attention"] == parts["grid_attention"]
        assert found["object_network"] == parts["object_network"]
        assert found["renderer"] == parts["renderer"]
        assert sum(found.values()) == expected


def test_the_paper_s_heads_have_fewer_weights():
    model = SILOT(discovery=Discovery(head="paper"))
    model.build()
    assert model.count_params() == 2_826_622 - 179_392 + 101_739


def test_weights_do_not_depend_on_frames_or_slots(model):
    video = np.zeros((1, 1, 48, 31, 3), np.float32)
    found = model(seeded(video), num_slots=9)
    assert found["masks"].shape == (1, 1, 9, 48, 31, 1)
    assert found["boxes"].shape == (1, 1, 9, 4)


# ---- the contract ----------------------------------------------------------


def test_latents_are_in_their_ranges(model, inputs):
    state = model(inputs)["state"]
    for name in ("depth", "presence"):
        assert np.all((state[name] >= 0) & (state[name] <= 1))
    assert np.all((state["box"][..., 2:] > 0) & (state["box"][..., 2:] < 1))


def test_the_loss_is_the_sum_of_its_terms(outputs):
    kl = sum(outputs[name] for name in TERMS)
    np.testing.assert_allclose(outputs["kl"], kl, rtol=1e-5)
    np.testing.assert_allclose(
        outputs["loss"], outputs["nll"] + outputs["kl"], rtol=1e-5
    )


@pytest.mark.slow
def test_other_channels_and_a_learned_background():
    model = tiny_silot.tiny(channels=1, background="learned")
    video = tiny_silot.clips(channels=1)
    found = gradients(model, seeded(video))
    color = next(v for p, v in found.items() if "background_logits" in p)
    assert np.any(color)
    level = float(tf.sigmoid(10.0 * model.background_logits[0]))
    empty = model(seeded(video))["components"][:, :, 0]
    np.testing.assert_allclose(empty, level, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"background": "data"}, "fixed"),
        ({"background": ColorBackground(channels=1)}, "CHANNELS"),
        ({"num_slots": 1}, "background"),
        ({"parts": {"backbone": CellBackbone(features=7)}}, "features"),
        ({"parts": {"prior": Propagation()}}, "is_prior"),
        ({"propagation": {"what_dim": 9}}, "what_dim"),
        ({"propagation": {"channels": 1}}, "CHANNELS"),
        ({"prior_condition": "sample"}, "own_sample"),
    ],
)
def test_parts_that_do_not_fit_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        tiny_silot.tiny(**options)


# ---- frames, chunks, batches -----------------------------------------------


@pytest.mark.slow
def test_training_noise_of_a_clip_does_not_depend_on_its_batch(model):
    batch = seeded(tiny_silot.clips(batch=3))
    every = model(batch, training=True)["loss"]
    alone = model({n: v[1:2] for n, v in batch.items()}, training=True)["loss"]
    np.testing.assert_allclose(alone[0], every[1], rtol=1e-5)


# ---- tracks ----------------------------------------------------------------


def certain(model, logit=8.0, keep=8.0):
    """A model whose objects are surely there, and stay."""
    biases = {
        model.discovery: logit,
        model.propagation: keep,
        model.prior: keep,
    }
    for part, value in biases.items():
        head = part.heads["presence"]
        head.kernels[-1].assign(tf.zeros(head.kernels[-1].shape))
        head.biases[-1].assign([value])
    return model


def test_tracks_begin_at_one_and_stay_in_their_slots():
    model = certain(tiny_silot.tiny(), logit=6.0)
    batch = seeded(tiny_silot.clips(frames=2))
    first = model({**batch, "video": batch["video"][:, :1]})
    # Now nothing new is found.
    certain(model, logit=-6.0)
    second = model(
        {**batch, "video": batch["video"][:, 1:], "state": first["state"]}
    )
    for found in (first, second):
        ids = found["track_ids"].numpy()
        np.testing.assert_array_equal(
            ids, np.broadcast_to([0, *range(1, K + 1)], ids.shape)
        )


def test_what_is_not_present_has_no_track():
    model = certain(tiny_silot.tiny(), logit=-6.0)
    found = model(seeded(tiny_silot.clips(frames=1)))
    assert not np.any(found["track_ids"])
    assert np.all(found["presence"][:, :, 1:] < 0.5)


def test_objects_that_vanish_make_room_for_new_numbers():
    model = certain(tiny_silot.tiny(), logit=6.0, keep=-8.0)
    ids = model(seeded(tiny_silot.clips()))["track_ids"].numpy()[0]
    np.testing.assert_array_equal(ids[:, 1:], np.arange(1, 7).reshape(2, 3))


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


def test_others_see_an_object_s_place_in_the_scene_or_not():
    """What the object knows of itself stays as it is."""
    widths = {}
    for position in ("scene", "relative"):
        model = tiny_silot.tiny(
            attention_position=position, independent_propagation=False
        )
        widths[position] = [
            part.kernels[0].shape[0]
            for part in (
                model.object_network,
                model.grid_attention.pair,
                model.pair_attention.pair,
            )
        ]
    own = 2 + 2 + A + 2 + D
    assert widths["scene"] == [own, own + 2, own + 2 + F]
    assert widths["relative"] == [own, own, own + F]
    with pytest.raises(ValueError, match="attention_position must be one of"):
        tiny_silot.tiny(attention_position="absolute")


def test_relative_attention_does_not_know_where_the_window_lies():
    model = tiny_silot.tiny(
        attention_position="relative", independent_propagation=False
    )
    record = {
        n: tf.constant(
            np.random.default_rng(1).standard_normal((1, K, w)), tf.float32
        )
        for n, w in model._fields().items()
    }
    moved = {**record, "position": record["position"] + 7.0}
    for one, other in ((record, moved),):
        np.testing.assert_array_equal(
            model._shown(one, "hidden"), model._shown(other, "hidden")
        )
    grid = (tf.zeros([1, CELLS, 2]), tf.zeros([1, 2, 2, F]))
    np.testing.assert_array_equal(
        model._known_on_grid(record, *grid), model._known_on_grid(moved, *grid)
    )
    assert np.any(
        model._known(record, "hidden") != model._known(moved, "hidden")
    )


PAPER = {
    "discovery": {
        "head": "paper",
        "fusion": "paper",
        "head_hidden": (6, 6),
        "seen_features": 8,
    },
    "propagation": {"size_prior": "change", "where_input": "box"},
    "independent_propagation": False,
    "attention_position": "relative",
    "attention_scale": 0.1,
    "attention_peak": 1.0,
}


def paper(shake=0.1, **options):
    """A tiny model with all switches of the paper's text."""
    parts = {
        "backbone": CellBackbone(filters=6, features=8, num_pointwise=1),
        "renderer": ObjectRenderer(
            G, 3, hidden=(8,), alpha_scale=0.1, composition="softmax"
        ),
    }
    options = {**PAPER, **options}
    return tiny_silot.tiny(shake=shake, parts=parts, **options)


def test_the_paper_s_model_trains_every_weight():
    found = gradients(paper(), seeded(tiny_silot.clips(batch=3, frames=3)))
    for path, gradient in found.items():
        assert gradient is not None, path
        assert np.all(np.isfinite(gradient)), path


@pytest.mark.slow
def test_the_paper_s_model_is_saved(tmp_path, inputs):
    model = paper()
    path = tmp_path / "model.keras"
    model.save(path)
    again = keras.saving.load_model(path)
    first, second = model(inputs), again(inputs)
    for name in ("recon", "loss", "track_ids"):
        np.testing.assert_allclose(first[name], second[name], atol=1e-5)


@pytest.mark.slow
def test_a_narrow_kernel_starts_the_learned_prior_within_reason():
    """Objects on one place sum up: large features, spreads near zero."""
    batch = seeded(tiny_silot.clips(batch=2, frames=3))
    wild, tame = (
        paper(
            shake=0.0,
            attention_hidden=(64, 64),
            attention_scale=0.02,
            attention_peak=peak,
        )(batch, training=True)["kl_learned_prior"]
        for peak in (None, 1.0)
    )
    assert np.all(tame < 100.0) and np.all(wild > 10.0 * tame)


@pytest.mark.slow
def test_samples_at_evaluation_are_those_of_rollouts_too():
    model = certain(tiny_silot.tiny(sample_in_evaluation=True))
    batch = seeded(tiny_silot.clips())
    sampled, means, default = (
        model.rollout(batch, 2, **options)["recon"]
        for options in ({"use_means": False}, {"use_means": True}, {})
    )
    np.testing.assert_array_equal(default, sampled)
    assert np.any(np.abs(default - means) > 1e-4)


# ---- backgrounds -----------------------------------------------------------


def backgrounds(name):
    return {
        "given": lambda: "given",
        "color": lambda: ColorBackground(latent_dim=2, hidden=(5,), view=4),
        "moving": lambda: MovingBackground(
            latent_dim=2, filters=3, hidden=(5,)
        ),
    }[name]()


@pytest.mark.parametrize(
    "name",
    [
        "given",
        pytest.param("color", marks=pytest.mark.slow),
        pytest.param("moving", marks=pytest.mark.slow),
    ],
)
def test_backgrounds_of_each_clip(name):
    model = tiny_silot.tiny(background=backgrounds(name))
    batch = seeded(tiny_silot.clips(frames=2))
    shape = batch["video"].shape
    if name == "given":
        rng = np.random.default_rng(0)
        batch["background"] = rng.random(shape).astype(np.float32)
    found = model(batch)
    kl = sum(v for n, v in found.items() if n.startswith("kl_"))
    np.testing.assert_allclose(found["kl"], kl, rtol=1e-5)
    assert ("kl_background" in found) == (name != "given")
    behind = found["components"][:, :, 0]
    if name == "given":
        np.testing.assert_allclose(behind, batch["background"], atol=1e-6)
    # A second chunk goes on, and so does a prediction.
    first = {n: v[:, :1] for n, v in batch.items() if n != "seed"}
    second = {n: v[:, 1:] for n, v in batch.items() if n != "seed"}
    state = model({**batch, **first})["state"]
    after = model({**batch, **second, "state": state})
    np.testing.assert_allclose(
        after["recon"][:, 0], found["recon"][:, 1], atol=1e-5
    )
    rolled = model.predict_frames(found["state"], batch["seed"], 1)
    np.testing.assert_allclose(
        rolled["components"][:, 0, 0], behind[:, -1], atol=1e-5
    )
    # What was encoded is drawn again.
    encoded = {n: v[:, -1] for n, v in model.encode(batch).items()}
    np.testing.assert_allclose(
        model.decode(**encoded)["recon"], found["recon"][:, -1], atol=1e-5
    )
    del encoded["background"]
    with pytest.raises(ValueError, match="encode returned"):
        model.decode(**encoded)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["color", "moving"])
def test_backgrounds_learn_and_are_saved(name, tmp_path):
    model = tiny_silot.tiny(background=backgrounds(name))
    batch = seeded(tiny_silot.clips())
    for path, gradient in gradients(model, batch).items():
        if "background" in path:
            assert np.any(gradient), path
    saving.save_model(tmp_path, model)
    again = saving.load_model(tmp_path)
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(
        again(batch)["recon"], model(batch)["recon"], atol=1e-6
    )


def test_a_background_that_nobody_gives_is_an_error(inputs):
    model = tiny_silot.tiny(background="given")
    with pytest.raises(ValueError, match="ColorBackground"):
        model(inputs)


# ---- the learned prior -----------------------------------------------------


def test_the_prior_does_not_look_at_frames(model):
    batch = seeded(tiny_silot.clips(frames=3))
    other = np.array(batch["video"])
    other[:, 1:] = 1.0 - other[:, 1:]
    first = model(batch, prior_start=1)
    second = model({**batch, "video": tf.constant(other)}, prior_start=1)
    for name in ("recon", "boxes", "presence", "track_ids"):
        np.testing.assert_array_equal(first[name], second[name])
    ids = first["track_ids"].numpy()
    for clip in ids:
        assert set(clip[1:].ravel()) <= set(clip[:1].ravel()) | {0}


def test_rollout_is_what_the_prior_drives(model):
    batch = seeded(tiny_silot.clips(frames=3))
    driven = model(batch, prior_start=1)
    rolled = model.rollout({**batch, "video": batch["video"][:, :1]}, 2)
    for name in ("recon", "masks", "boxes", "presence", "track_ids", "slots"):
        np.testing.assert_allclose(rolled[name], driven[name][:, 1:], atol=1e-5)
    assert int(rolled["state"]["frame"]) == 3


@pytest.mark.slow
def test_rollout_may_sample():
    model = certain(tiny_silot.tiny())
    batch = seeded(tiny_silot.clips())
    first, second = (
        model.rollout(batch, 2, use_means=False)["recon"] for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    other = model.rollout(
        {**batch, "seed": batch["seed"] + 7}, 2, use_means=False
    )
    assert np.any(np.abs(other["recon"] - first) > 1e-4)


def mirrored(prior_condition):
    """A model whose propagation sees nothing, and whose prior is its copy."""
    model = tiny_silot.tiny(prior_condition=prior_condition)
    seen, prior = model.propagation, model.prior
    for encoder in seen.encoders:
        encoder.kernels[-1].assign(tf.zeros(encoder.kernels[-1].shape))
        encoder.biases[-1].assign(tf.zeros(encoder.biases[-1].shape))
    copies = {w.path.split("/", 2)[2]: w for w in seen.weights}
    for weight in prior.weights:
        weight.assign(copies[weight.path.split("/", 2)[2]])
    for name in ("where", "what_kept", "depth", "presence"):
        # The flag that tells them apart is behind the features.
        kernel = np.array(prior.heads[name].kernels[0])
        kernel[[F, F + 1]] = kernel[[F + 1, F]]
        prior.heads[name].kernels[0].assign(kernel)
    return model


def test_an_exact_prior_that_copies_the_posterior_has_no_divergence():
    batch = seeded(tiny_silot.clips(frames=3))
    names = ("kl_learned_prior", "kl_presence_prior")
    exact = mirrored("exact")(batch, training=True)
    for name in names:
        np.testing.assert_allclose(exact[name], 0.0, atol=1e-4)
    np.testing.assert_allclose(
        exact["state"]["hidden"], exact["state"]["prior_hidden"], atol=1e-5
    )


@pytest.mark.slow
def test_a_prior_of_its_own_samples_that_copies_the_posterior_has_one():
    batch = seeded(tiny_silot.clips(frames=3))
    own = mirrored("own_sample")(batch, training=True)
    for name in ("kl_learned_prior", "kl_presence_prior"):
        assert np.all(np.abs(own[name]) > 1e-2)


@pytest.mark.slow
def test_an_exact_prior_drives_by_its_own_samples():
    model = tiny_silot.tiny(prior_condition="exact")
    batch = seeded(tiny_silot.clips(frames=3))
    driven = model(batch, prior_start=1)
    rolled = model.rollout({**batch, "video": batch["video"][:, :1]}, 2)
    for name in ("recon", "boxes", "presence", "track_ids"):
        np.testing.assert_allclose(rolled[name], driven[name][:, 1:], atol=1e-5)


# ---- invariance ------------------------------------------------------------


@pytest.mark.slow
def test_discovery_moves_with_the_picture():
    """Away from the border, by cells."""
    model = tiny_silot.tiny(
        propagation={"use_position": False},
        mask_empty_slots=True,
        discovery={"glimpse_align": "half_pixel"},
    )
    side, shift = 144, 12
    rng = np.random.default_rng(0)
    video = np.zeros((1, 1, side, side, 3), np.float32)
    video[:, :, 60:84, 60:84] = rng.random((24, 24, 3))
    moved = np.roll(video, (shift, shift), (2, 3))

    def discovered(video):
        batch = seeded(video)
        records, _ = model._scan(
            batch, batch["video"], model._start(batch, None), False, None
        )
        part = model._split(records, "discovered")
        return {n: v[0, 0].numpy().reshape(12, 12, -1) for n, v in part.items()}

    here, there = discovered(video), discovered(moved)
    for name in ("mean", "deviation", "logit", "presence"):
        np.testing.assert_allclose(
            here[name][3:8, 3:8], there[name][4:9, 4:9], atol=1e-4
        )


@pytest.mark.slow
def test_empty_slots_can_be_kept_out_of_attention():
    """Otherwise their place at the origin leaves a trace there."""
    video = np.zeros((1, 1, SIZE, SIZE, 3), np.float32)
    logits = []
    for mask in (True, False):
        model = tiny_silot.tiny(mask_empty_slots=mask)
        batch = seeded(video)
        records, _ = model._scan(
            batch, batch["video"], model._start(batch, None), False, None
        )
        found = model._split(records, "discovered")["logit"]
        logits.append(found[0, 0, :, 0].numpy())
    assert np.any(np.abs(logits[0] - logits[1]) > 1e-4)


def test_crops_know_their_place_in_the_scene(model, inputs):
    moved = {**inputs, "crop_offset": tf.constant([[16.0, 32.0]] * 2)}
    first = model({**inputs, "video": inputs["video"][:, :1]})["state"]
    second = model({**moved, "video": inputs["video"][:, :1]})["state"]
    np.testing.assert_allclose(
        second["position"] - first["position"],
        np.broadcast_to([1.0, 2.0], (2, K, 2)),
        atol=1e-5,
    )
    np.testing.assert_allclose(first["box"], second["box"], atol=1e-6)


def test_frames_larger_than_in_training_are_predicted_whole(model):
    batch = seeded(np.zeros((1, 1, 36, 48, 3), np.float32))
    rolled = model.rollout(batch, 1)
    assert rolled["recon"].shape == (1, 1, 36, 48, 3)
    assert rolled["masks"].shape == (1, 1, K + 1, 36, 48, 1)
    # Boxes are cut to these frames, not to those of training.
    columns = rolled["boxes"].numpy()[..., 3]
    assert SIZE < columns.max() <= 48


@pytest.mark.slow
def test_frames_larger_than_in_training_are_drawn_again(model):
    batch = seeded(np.zeros((1, 1, 36, 48, 3), np.float32))
    encoded = {n: v[:, -1] for n, v in model.encode(batch).items()}
    drawn = model.decode(**encoded, image_size=(36, 48))["recon"]
    np.testing.assert_allclose(drawn, model(batch)["recon"][:, -1], atol=1e-5)
    swept = model.traverse(batch, slot=1, dims=[0], values=[0.0])
    assert swept.shape == (1, 1, 1, 36, 48, 3)


def test_attention_to_the_nearest_reports_what_it_left_out(inputs):
    inputs = {**inputs, "video": inputs["video"][:, :1]}
    few = tiny_silot.tiny(
        max_neighbours=1, independent_propagation=False, attention_scale=1.0
    )
    # All three objects are near each of them and each of four cells.
    found = few(inputs)["attention_overflow"]
    np.testing.assert_array_equal(found, K + CELLS)


@pytest.mark.slow
def test_attention_to_the_nearest_is_attention_where_all_are_near(inputs):
    options = {"independent_propagation": False, "attention_scale": 0.05}
    every = tiny_silot.tiny(**options)(inputs)
    near = tiny_silot.tiny(max_neighbours=K, **options)(inputs)
    assert "attention_overflow" not in every
    np.testing.assert_array_equal(near["attention_overflow"], 0.0)
    np.testing.assert_allclose(near["recon"], every["recon"], atol=1e-5)


# ---- drawing again ---------------------------------------------------------


def test_decode_draws_what_encode_read(model, inputs, outputs):
    encoded = {n: v[:, -1] for n, v in model.encode(inputs).items()}
    decoded = model.decode(**encoded)
    for name in ("recon", "masks", "components"):
        np.testing.assert_allclose(
            decoded[name], outputs[name][:, -1], atol=1e-5
        )


@pytest.mark.slow
def test_a_single_slot_for_objects_is_enough():
    model = tiny_silot.tiny(num_slots=2)
    video = np.zeros((1, 2, SIZE, SIZE, 3), np.float32)
    run = tf.function(
        lambda video: model({"video": video})["track_ids"], autograph=False
    )
    assert run(tf.constant(video)).shape == (1, 2, 2)
