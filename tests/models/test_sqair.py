"""SQAIR against a particle in NumPy, and what must hold of it."""

import functools

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tests.models.oracles import sqair_numpy
from tests.models.tiny import tiny_silot, tiny_sqair
from tests.models.tiny.tiny_sqair import SIZE, A, D, K, S, clips, tiny
from tests.test_case import assert_close, eagerly
from tfdecomp.layers.objects.cell_backbone import CellBackbone
from tfdecomp.layers.tracks.picture_mlp import PictureMLP
from tfdecomp.layers.tracks.slot_discovery import SlotDiscovery
from tfdecomp.layers.tracks.slot_glimpse import SlotGlimpse
from tfdecomp.layers.tracks.slot_prior import SlotPrior
from tfdecomp.layers.tracks.slot_propagation import SlotPropagation
from tfdecomp.layers.tracks.slot_sprites import SlotSprites
from tfdecomp.models.parts import sqair_frames, sqair_scores
from tfdecomp.models.sqair import SQAIR

T = 4


@pytest.fixture(autouse=True)
def _eager():
    with eagerly():
        yield


@functools.cache
def model(**options):
    return tiny(**options)


def batch(frames=T, clips_of=2, seed=5, **more):
    return tiny_silot.seeded(clips(clips_of, frames), seed, **more)


def noise(inputs, count=S, slots=K):
    """As the model draws it: `[B, S, T, 2 K, ...]` twice."""
    frames = inputs["video"].shape[1]
    drawn = sqair_frames.SlotNoise(
        inputs["seed"], 0, frames, count, 2 * slots, 4 + A, sqair_frames.READ
    )
    return [
        np.float64(value).swapaxes(1, 2)
        for value in (drawn.normal, drawn.uniform[..., 0])
    ]


@functools.cache
def everything():
    """Records, terms and log-weights of training, and inputs."""
    inputs = batch()
    subject = model()
    records, state = subject._infer(inputs, True, None)
    recon = subject.draw(records["selected"])
    found = subject._scores(
        inputs, records, subject._latents(inputs, records, state), recon, S
    )
    return inputs, records, state, recon, found


# ---- against NumPy ---------------------------------------------------------


def test_each_particle_is_the_one_of_the_loops():
    inputs, records, state, recon, (terms, log_weights, choices) = everything()
    normal, uniform = noise(inputs)
    kl, counts = np.zeros((2, S)), []
    for b, s in np.ndindex(2, S):
        row = b * S + s
        expected, frames = sqair_numpy.clip(
            model(), inputs["video"][b].numpy(), (normal[b, s], uniform[b, s])
        )
        for t, (picture, objects) in enumerate(frames):
            np.testing.assert_allclose(recon[row, t], picture, atol=2e-5)
            n = len(objects)
            counts.append(n)
            chosen = {
                name: value[row, t].numpy()
                for name, value in records["selected"].items()
            }
            there = [1.0] * n + [0.0] * (K - n)
            np.testing.assert_array_equal(chosen["presence"][:, 0], there)
            ids = [each["id"] for each in objects] + [0] * (K - n)
            np.testing.assert_array_equal(chosen["track_ids"][:, 0], ids)
            for name in ("what", "where"):
                values = [each[name] for each in objects]
                if values:
                    np.testing.assert_allclose(
                        chosen[name][:n], values, atol=2e-4
                    )
                assert not np.any(chosen[name][n:])
        kl[b, s] = expected.q - expected.p
        np.testing.assert_allclose(choices[b, s], expected.choices, rtol=1e-3)
        log_w = expected.pixels - kl[b, s]
        np.testing.assert_allclose(log_weights[b, s], log_w, rtol=1e-4)
        assert state["last_id"][row] == expected.last_id
    assert len(set(counts)) > 2  # objects came, and went
    np.testing.assert_allclose(terms["kl"], kl.mean(1), rtol=1e-3)
    np.testing.assert_allclose(
        terms["kl"], terms["kl_discovery"] + terms["kl_propagation"], rtol=1e-5
    )


def test_a_loop_over_frames_does_what_is_written_out(monkeypatch):
    inputs, _, state, recon, (_, log_weights, _) = everything()
    monkeypatch.setattr(sqair_frames, "WRITTEN_OUT", 0)
    records, after = model()._infer(inputs, True, None)
    drawn = model().draw(records["selected"])
    found = model()._scores(
        inputs, records, model()._latents(inputs, records, after), drawn, S
    )
    assert_close(drawn, recon, 1e-5)
    assert_close(after, state, 1e-5)
    np.testing.assert_allclose(found[1], log_weights, rtol=1e-5)


def test_the_loss_is_the_bound_by_frame():
    inputs, _, _, _, (_, log_weights, _) = everything()
    outputs = model()(inputs, training=True)
    bound = scipy.special.logsumexp(np.float64(log_weights), 1) - np.log(S)
    np.testing.assert_allclose(outputs["loss"], -bound / T, rtol=1e-5)
    np.testing.assert_allclose(outputs["elbo"], bound / T, rtol=1e-5)
    weights = np.float64(tf.nn.softmax(log_weights))
    np.testing.assert_allclose(
        outputs["effective_particles"], 1 / np.sum(weights**2, 1), rtol=1e-4
    )
    assert "masks" not in outputs


def test_samples_bound_the_likelihood_outside_training():
    inputs = everything()[0]
    found = model().log_likelihood_bound(inputs, num_samples=S)
    expected = T * model()(inputs, training=True)["elbo"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_stopping_says_how_probable_a_count_is():
    """q = .9, .8, .3: no object, one, two and three."""
    logits = np.log(np.array([0.9, 0.8, 0.3]) / np.array([0.1, 0.2, 0.7]))
    kept = {
        "value": tf.zeros([1, 4, 3, 4 + A]),
        "presence": tf.zeros([1, 4, 3, 1]),
        "active": tf.zeros([1, 4, 3, 1]),
        "mean": tf.zeros([1, 4, 3, 4 + A]),
        "deviation": tf.ones([1, 4, 3, 4 + A]),
        "logit": tf.zeros([1, 4, 3, 1]),
    }
    there = np.tril(np.ones((4, 3)), -1)
    active = np.concatenate([np.ones((4, 1)), there[:, :2]], 1)
    new = {
        **kept,
        "presence": tf.constant(there[None, ..., None], tf.float32),
        "active": tf.constant(active[None, ..., None], tf.float32),
        "logit": tf.constant(np.tile(logits, (4, 1))[None, ..., None], "float"),
    }
    prior = {f"prior_{n}": kept[n] for n in ("mean", "deviation", "logit")}
    q = sqair_scores.posterior(kept, new, tf.zeros([4, 4]))
    places = kept["mean"][..., :4], kept["deviation"][..., :4]
    count = model().counts({}, kept["presence"], 0)
    p = sqair_scores.priors({**kept, **prior}, places, count)
    found = sqair_scores.ratios(q, p, kept, new)
    np.testing.assert_allclose(
        np.exp(found["choices"][0]), [0.1, 0.18, 0.504, 0.216], rtol=1e-5
    )
    np.testing.assert_allclose(
        found["count"][0],
        np.log([0.1, 0.18, 0.504, 0.216])
        - np.log([0.520930, 0.268800, 0.138701, 0.071570]),
        atol=1e-4,
    )
    assert not np.any(found["kept"]) and not np.any(found["stays"])


def test_where_nothing_is_the_frame_and_the_count_are_all():
    subject = tiny(deviation=0.5)
    subject.discovery.presence_bias = -40.0
    inputs = batch(frames=2)
    outputs = subject(inputs, training=True)
    black = subject.likelihood(tf.zeros_like(inputs["video"]))
    log_p = tf.reduce_sum(black.log_prob(inputs["video"]), 1)
    ratio = subject.success_prob
    log_p += 2 * np.log((1 - ratio) / (1 - ratio ** (K + 1)))
    np.testing.assert_allclose(outputs["elbo"], log_p / 2, rtol=1e-5)
    assert not np.any(outputs["count"])


# ---- where it starts -------------------------------------------------------


def test_heads_that_are_zero_keep_where_and_mix_what():
    layer = SlotPropagation(A, D, (6,), (6,), 4)
    layer.build(None)
    for part in (layer.where, layer.bias, layer.keep, layer.gates, layer.what):
        for weight in part.weights:
            weight.assign(tf.zeros_like(weight))
    rng = np.random.default_rng(0)
    before = {
        "what": tf.constant(rng.normal(size=(2, K, A)), tf.float32),
        "where": tf.constant(rng.normal(size=(2, K, 4)), tf.float32),
        "presence": tf.ones([2, K, 1]),
        "hidden": tf.constant(rng.normal(size=(2, K, D)), tf.float32),
    }

    def look(where, mask):
        shape = [*where.shape[:2], A]
        return tf.fill(shape, 2.0), tf.fill(shape, 0.5)

    after, told = layer(before, look=look)
    np.testing.assert_allclose(after["where"], before["where"], rtol=1e-6)
    expected = 0.731 * before["what"] + 0.269 * 2.0
    np.testing.assert_allclose(after["what"], expected, atol=2e-3)
    keep = tf.sigmoid(told["logit"])
    np.testing.assert_allclose(keep, 0.993307, atol=1e-6)
    spread = sqair_numpy.softplus(-4) + 0.01
    np.testing.assert_allclose(told["deviation"][..., :4], spread, rtol=1e-5)
    prior = SlotPrior(A, D)
    _, expects = prior({**before, "prior_hidden": before["hidden"]})
    np.testing.assert_allclose(
        tf.sigmoid(expects["logit"]), 0.999955, atol=1e-6
    )
    both = tf.concat([before["where"], before["what"]], -1)
    np.testing.assert_allclose(expects["mean"], both, rtol=1e-6)


def test_where_leans_in_a_triangle():
    layer = model().propagation
    mixing = np.asarray(layer.mixing())
    assert not np.any(np.triu(mixing))
    np.testing.assert_array_equal(
        mixing[np.tril_indices(4, -1)], layer.mix.numpy()
    )


# ---- what objects know of each other ---------------------------------------


def test_slots_that_are_empty_are_seen_by_nobody():
    subject, inputs = model(sample_in_evaluation=True), batch()
    first = subject({**inputs, "video": inputs["video"][:, :2]})["state"]
    there = first["presence"].numpy()
    assert there.any() and not there.all()
    other = dict(first)
    for name in ("what", "where", "hidden", "prior_hidden"):
        value = first[name].numpy()
        other[name] = tf.constant(np.where(there > 0, value, value + 3.0))
    rest = {**inputs, "video": inputs["video"][:, 2:]}
    one, two = (subject({**rest, "state": s}) for s in (first, other))
    assert_close(two, one, 0)


def test_what_comes_after_the_stop_has_no_gradient():
    layer = SlotDiscovery(A, D, (6,), (6,), presence_bias=0.0)
    layer.build((None, 6))
    count = 2
    known = {
        "what": tf.zeros([1, K, A]),
        "where": tf.zeros([1, K, 4]),
        "presence": tf.constant([[[1.0], [0.0], [0.0]]]),
    }
    uniform = tf.constant([[[0.0], [0.999], [0.0]]])
    normal = tf.Variable(tf.random.stateless_normal([1, K, 4 + A], [0, 1]))

    def look(where):
        return tf.tile(where, [1, 1, A // 4]), tf.ones([1, 1, A])

    with tf.GradientTape() as tape:
        new, told = layer(
            tf.ones([1, 6]),
            known,
            look=look,
            noise={"normal": normal, "uniform": uniform},
        )
        total = tf.reduce_sum(new["presence"] * told["value"] ** 2)
        total += tf.reduce_sum(told["active"] * told["logit"])
    gradient = tape.gradient(total, normal)[0]
    np.testing.assert_array_equal(new["presence"][0, :, 0], [1, 0, 0])
    np.testing.assert_array_equal(told["active"][0, :, 0], [1, 1, 0])
    assert np.all(np.any(np.asarray(gradient[:count]) != 0, 1))
    assert not np.any(gradient[count:])


def test_objects_are_ordered_and_never_come_back():
    subject = model(sample_in_evaluation=True)
    found = subject(batch(frames=8, clips_of=4))
    there = np.asarray(found["presence"])[:, :, 1:] > 0.5
    ids = np.asarray(found["track_ids"])[:, :, 1:]
    assert np.all(there[..., :-1] >= there[..., 1:])  # those present first
    np.testing.assert_array_equal(ids > 0, there)
    for clip in ids:
        seen, gone = set(), set()
        for frame in clip:
            shown = [i for i in frame if i]
            assert shown == sorted(shown)  # kept in order, new ones after them
            new = set(shown) - seen
            assert new == set(range(len(seen) + 1, len(seen) + 1 + len(new)))
            assert not gone & set(shown)
            gone |= seen - set(shown)
            seen |= new
    assert gone


# ---- particles and clips ---------------------------------------------------


def test_a_clip_does_not_depend_on_the_others():
    inputs = everything()[0]
    log_weights = everything()[-1][1]
    one = {n: v[1:] for n, v in inputs.items()}
    records, state = model()._infer(one, True, None)
    recon = model().draw(records["selected"])
    found = model()._scores(
        one, records, model()._latents(one, records, state), recon, S
    )[1]
    np.testing.assert_allclose(found[0], log_weights[1], rtol=1e-5)


def test_a_particle_does_not_depend_on_how_many_there_are():
    inputs, many = everything()[0], everything()[-1][1]
    subject = tiny(num_particles=2)
    records, state = subject._infer(inputs, True, None)
    recon = subject.draw(records["selected"])
    two = subject._scores(
        inputs, records, subject._latents(inputs, records, state), recon, 2
    )[1]
    np.testing.assert_allclose(two, many[:, :2], rtol=1e-5)


def test_the_heaviest_particle_is_shown_and_goes_on():
    subject = model(sample_in_evaluation=True, evaluation_particles=S)
    inputs, records, state, recon, (_, log_weights, _) = everything()
    outputs = subject(inputs)
    best = np.argmax(log_weights, 1) + S * np.arange(2)
    assert_close(outputs["recon"], np.clip(recon.numpy()[best], 0, 1), 1e-5)
    for name in ("what", "where", "track_ids"):
        assert_close(outputs["state"][name], state[name].numpy()[best], 1e-5)
    assert_close(subject.encode(inputs)["slots"], outputs["slots"], 1e-6)


def test_choices_learn_and_places_learn():
    found = tiny_silot.gradients(model(), batch(frames=2))
    for path, gradient in found.items():
        assert gradient is not None, path
        assert np.all(np.isfinite(gradient)), path


def test_without_choices_nothing_reaches_the_presences():
    subject = model(fixed_presence=True)
    inputs = batch(num_objects=tf.constant([1, 3]))
    found = tiny_silot.gradients(subject, inputs)
    for path, gradient in found.items():
        if "/keep/" in path or "/more/" in path:
            assert gradient is None or not np.any(gradient), path
    outputs = subject(inputs)
    np.testing.assert_array_equal(outputs["count"], [1, 3])
    there = np.sum(np.asarray(outputs["presence"])[:, :, 1:] > 0.5, 2)
    np.testing.assert_array_equal(there, [[1] * T, [3] * T])
    rolled = subject.rollout(inputs, 2)["presence"]
    np.testing.assert_array_equal(np.sum(rolled > 0.5, 2)[:, 0], [2, 4])
    with pytest.raises(ValueError, match=r"inputs\['num_objects'\]"):
        subject(batch())


# ---- frames ----------------------------------------------------------------


def test_frames_without_propagation_are_pictures():
    subject = model(propagate=False, sample_in_evaluation=True)
    inputs = batch(frames=2)
    whole = subject(inputs)
    alone = [
        subject(
            {
                **inputs,
                "video": inputs["video"][:, t : t + 1],
                "first_frame": tf.constant(t),
            }
        )
        for t in range(2)
    ]
    for name in ("recon", "presence", "boxes"):
        joined = tf.concat([each[name] for each in alone], 1)
        assert_close(whole[name], joined, 1e-5)
    parts = [each["kl"] for each in alone]
    np.testing.assert_allclose(whole["kl"], sum(parts), rtol=1e-4)
    assert not np.any(whole["kl_propagation"])


def test_a_frame_changes_nothing_before_it():
    subject, inputs = model(sample_in_evaluation=True), batch()
    video = inputs["video"].numpy()
    video[:, 2] = 1.0 - video[:, 2]
    found, changed = subject(inputs), subject({**inputs, "video": video})
    for name in ("recon", "boxes", "track_ids", "slots"):
        one, two = np.asarray(found[name]), np.asarray(changed[name])
        np.testing.assert_array_equal(one[:, :2], two[:, :2])
    assert np.any(found["recon"] != changed["recon"])


def test_predicted_frames_follow_the_prior():
    subject = model(sample_in_evaluation=True)
    state = subject(batch())["state"]
    found = subject.predict_frames(state, batch()["seed"], 2, use_means=True)
    there = np.asarray(state["presence"])
    hidden, told = subject.prior(state)
    stays = (np.asarray(told["logit"]) > 0) * there
    shown = np.asarray(found["presence"])[:, 0, 1:]
    np.testing.assert_array_equal(shown > 0.5, stays[..., 0] > 0)
    expected = np.asarray(told["mean"])[..., 4:]
    slots = np.asarray(found["slots"])[:, 0, 1:]
    np.testing.assert_allclose(slots * stays, expected * stays, atol=1e-5)
    new = set(np.unique(found["track_ids"])) - {0}
    assert new <= set(np.unique(state["track_ids"]))
    del hidden


# ---- the picture behind ----------------------------------------------------


def test_a_picture_shows_where_objects_are():
    subject = tiny(mean_image=True)
    boxes = tf.constant([[[6.0, 6.0, 6.0, 6.0]]])
    one, none = (
        subject.backdrop(boxes, tf.fill([1, 1, 1], there))
        for there in (1.0, 0.0)
    )
    picture = np.asarray(subject.mean_picture)
    dark = sqair_numpy.sigmoid(-10.0)
    np.testing.assert_allclose(none[0], dark * picture, atol=1e-7)
    np.testing.assert_allclose(dark, 4.5e-5, rtol=1e-2)
    np.testing.assert_allclose(
        one[0, 4:8, 4:8], (1 - dark) * picture[4:8, 4:8], atol=1e-5
    )
    np.testing.assert_allclose(one[0, 0], dark * picture[0], atol=1e-6)
    drawn = subject(batch(frames=1))["recon"]
    assert drawn.shape == (2, 1, SIZE, SIZE, 3)


def test_a_learned_count_prior_knows_the_first_frame_and_the_known():
    subject = tiny(count_prior="categorical")
    kept = tf.constant([[[[0.0]] * 3, [[1.0], [0.0], [1.0]]]])
    count = subject.counts({}, kept, 0)
    first = np.asarray(tf.nn.softmax(subject.first_counts))
    np.testing.assert_allclose(count.probs()[0, 0], first, rtol=1e-5)
    later = np.exp(np.asarray(subject.later_counts)[2][:2])
    np.testing.assert_allclose(
        count.probs()[0, 1], [*later / later.sum(), 0, 0], rtol=1e-5
    )
    assert not np.any(subject.counts({}, kept, 1).probs()[0, 0] == first)
    with pytest.raises(ValueError, match="one number of slots, 4; leave"):
        subject(batch(frames=1), num_slots=3)


# ---- sizes -----------------------------------------------------------------


def parameters(subject):
    subject.build()
    return sum(int(np.prod(v.shape)) for v in subject.trainable_variables)


def test_networks_are_as_large_as_the_study_has_them():
    assert parameters(SQAIR()) == 4_189_440
    conv = SQAIR(image_encoder=CellBackbone(features=128))
    assert parameters(conv) == 3_393_024
    original = SQAIR(
        glimpse_encoder=SlotGlimpse(size=20, channels=1),
        propagation=SlotPropagation(glimpse_size=20),
        decoder=SlotSprites(size=20, channels=1),
        image_size=50,
        channels=1,
        num_slots=4,
    )
    assert parameters(original) == 2_985_428


# ---- what is refused -------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count_prior": "none"}, "count_prior must be one of .* got 'none'"),
        ({"num_slots": 1}, "num_slots must be at least 2, .* got 1"),
        ({"num_particles": 1}, "num_particles must be at least 2, got 1"),
        ({"evaluation_particles": 0}, "evaluation_particles must be at least"),
        ({"deviation": 0.0}, "must be above 0, got 0.516 and 0.0"),
        ({"success_prob": -1.0}, "must be above 0, got -1.0 and 0.3"),
        ({"where_mean": (0.0, 0.0)}, "where_mean has four numbers.* got 2"),
        (
            {"channels": 1, "decoder": SlotSprites()},
            "channels must be the same",
        ),
        ({"prior": SlotPrior(what_dim=9)}, "what_dim must be the same .*: 9"),
        ({"discovery": SlotDiscovery(units=9)}, "units must be the same .*: 9"),
        ({"decoder": SlotSprites(channels=1)}, "channels must be the same"),
        (
            {"propagation": SlotPropagation(glimpse_size=9)},
            "glimpse_size = 9 of SlotPropagation and size = 14 of SlotGlimpse",
        ),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SQAIR(**options)


def test_colours_are_refused_where_grey_is_read():
    subject = tiny_sqair.tiny(channels=1)
    video = np.zeros((1, 2, SIZE, SIZE, 3), np.uint8)
    with pytest.raises(ValueError, match="grey frames.*12, 3.; give one chan"):
        subject({"video": video})


def test_pictures_become_vectors_of_any_encoder():
    subject = tiny_sqair.tiny()
    assert subject.code_size == 6
    conv = SQAIR(image_encoder=CellBackbone(features=5), image_size=24)
    assert conv.code_size == 2 * 2 * 5
    assert PictureMLP((3,), 4).compute_output_shape((None, 5, 5, 3)) == (
        None,
        4,
    )
