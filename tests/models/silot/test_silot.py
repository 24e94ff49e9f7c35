"""SILOT: the contract, tracks, the objective, the learned prior."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models.tiny import tiny_silot
from tests.models.tiny.tiny_silot import (
    CELLS,
    SIZE,
    F,
    K,
    certain,
    gradients,
    seeded,
)
from tfdecomp.layers.objects.cell_backbone import CellBackbone
from tfdecomp.layers.objects.color_background import ColorBackground
from tfdecomp.layers.objects.discovery import Discovery
from tfdecomp.layers.objects.propagation import Propagation
from tfdecomp.models.silot import SILOT

TERMS = (
    "kl_discovery",
    "kl_propagation",
    "kl_learned_prior",
    "kl_count",
    "kl_presence_prior",
)


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
