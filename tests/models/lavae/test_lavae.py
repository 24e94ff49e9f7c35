"""LAVAE: counts, the contract, what a trained model can do."""

import types

import numpy as np
import pytest
import tensorflow as tf

from tests.models.tiny import tiny_lavae
from tests.models.tiny.tiny_lavae import (
    SIZE,
    SPRITE,
    L,
    M,
    part,
    seeded,
    squares,
)
from tfdecomp.layers.decoders.sprite_decoder import SpriteDecoder
from tfdecomp.layers.locationwise_vae import LocationwiseVAE
from tfdecomp.models import lavae
from tfdecomp.storage import configs
from tfdecomp.training import loop, optimizers

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
    compiled = tf.function(
        lambda fed: model.log_likelihood_bound(fed, 3), autograph=False
    )
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
