"""The runner on a model whose answers are known."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import adjusted_rand_score

from tfdecomp.evaluation import runner
from tfdecomp.evaluation.protocol import Protocol
from tfdecomp.evaluation.runner import Evaluator, clip_seeds, evaluate

SIZE, FRAMES, CLIPS = 12, 8, 7


def _scenes(num_clips=CLIPS, num_frames=FRAMES):
    """Two squares that move apart: video, ids, positions."""
    video = np.zeros((num_clips, num_frames, SIZE, SIZE, 3), np.uint8)
    ids = np.zeros((num_clips, num_frames, SIZE, SIZE, 1), np.uint8)
    position = np.zeros((num_clips, num_frames, 2, 2), np.float32)
    for b in range(num_clips):
        for t in range(num_frames):
            for k, (y, x) in enumerate(((b % 4, t), (7, SIZE - 3 - t))):
                ids[b, t, y : y + 3, x : x + 3] = k + 1
                video[b, t, y : y + 3, x : x + 3, k] = 255
                position[b, t, k] = (y + 1.5, x + 1.5)
    return {"video": video, "segmentation": ids, "position": position}


class ColorModel:
    """Assigns each pixel to a slot by its colour, with an error to order.

    Slot 0 owns black, slots 1 and 2 red and green. With `spoil`, the first
    rows of clips whose seed ends in an odd number go to slot 1.
    """

    num_slots = 3
    looks_ahead = False
    calls = 0

    def __init__(self, spoil=False, with_masks=True):
        self.spoil = spoil
        self.with_masks = with_masks

    def __call__(self, inputs, training=False, num_slots=None):
        assert not training
        self.calls += 1
        video = tf.cast(inputs["video"], tf.float32) / 255.0
        red, green = video[..., 0], video[..., 1]
        slots = [1 - tf.maximum(red, green), red, green]
        slots += [tf.zeros_like(red)] * ((num_slots or 3) - 3)
        masks = tf.stack(slots, axis=2)[..., None]  # [B, T, K, H, W, 1]
        if self.spoil:
            odd = inputs["seed"][:, 1] % 2 == 1
            rows = tf.range(SIZE)[:, None, None] < 2
            wrong = odd[:, None, None, None, None, None] & rows
            other = tf.one_hot(1, masks.shape[2])[:, None, None, None]
            masks = tf.where(wrong, other, masks)
        outputs = {
            "recon": 0.5 * video,
            "nll": tf.cast(inputs["seed"][:, 1], tf.float32),
            "state": {"last": video[:, -1]},
        }
        if self.with_masks:
            outputs["masks"] = masks
        return outputs

    def predict_frames(self, state, seed, num_frames):
        """The last frame, again and again."""
        video = tf.repeat(state["last"][:, None], num_frames, axis=1)
        return self({"video": 255 * video, "seed": seed})


def _opened(scenes, labels=("segmentation",)):
    """As `clips.open_stored`, from arrays; pads the last batch."""

    def open_clips(condition, model, batch_size):
        del model
        count = min(condition.num_clips or CLIPS, len(scenes["video"]))
        end = condition.num_frames
        if end is not None:
            end += condition.num_predicted
        for start in range(0, count, batch_size):
            index = np.arange(start, start + batch_size)
            valid = index < count
            chosen = np.where(valid, index, 0)
            yield {
                **{k: scenes[k][chosen, :end] for k in ("video", *labels)},
                "visibility": np.ones((batch_size, FRAMES, 2), np.uint8)[
                    :, :end
                ],
                "clip_index": index,
                "valid": valid,
            }

    return open_clips


LABELS = ("segmentation",)


def _evaluate(model, protocol, batch_size=4, scenes=None, labels=LABELS):
    return evaluate(
        model,
        protocol,
        trained_on="squares",
        batch_size=batch_size,
        open_clips=_opened(scenes or _scenes(), labels),
    )


def test_a_perfect_model_scores_one():
    result = _evaluate(ColorModel(), Protocol())
    for name in ("ari", "f_ari", "ari_clip", "f_ari_clip", "miou", "mbo"):
        assert result[name] == 1.0, name
    assert result["model"] == result["class"] == "ColorModel"
    assert result["dataset"] == "tfdecomp_squares"
    assert result["num_clips"] == CLIPS
    assert result["num_frames"] == FRAMES
    assert result["num_slots"] == 3
    assert result["image_size"] == [SIZE, SIZE]
    assert result["protocol"]["name"] == "default"
    assert "conditions" not in result


def test_scores_agree_with_scikit_learn():
    scenes = _scenes()
    result = _evaluate(ColorModel(spoil=True), Protocol(), scenes=scenes)
    ids = scenes["segmentation"][..., 0]
    expected = []
    for b in range(CLIPS):
        pred = ids[b].copy()
        if b % 2:
            pred[:, :2] = 1
        kept = [ids[b, t] > 0 for t in range(FRAMES)]
        expected.append(
            np.mean(
                [
                    adjusted_rand_score(ids[b, t][k], pred[t][k])
                    for t, k in enumerate(kept)
                ]
            )
        )
    np.testing.assert_allclose(result["per_clip"]["f_ari"], expected, atol=1e-6)
    assert result["f_ari"] == pytest.approx(np.mean(expected))


def test_mse_counts_all_pixels():
    scenes = _scenes()
    result = _evaluate(ColorModel(), Protocol(), scenes=scenes)
    expected = np.mean((scenes["video"] / 255.0 / 2) ** 2)
    assert result["mse"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 16])
def test_every_clip_counts_once_whatever_the_batch_size(batch_size):
    result = _evaluate(ColorModel(spoil=True), Protocol(), batch_size)
    whole = _evaluate(ColorModel(spoil=True), Protocol(), CLIPS)
    assert result["num_clips"] == CLIPS
    assert len(result["per_clip"]["ari"]) == CLIPS
    for name in ("ari", "f_ari", "mse", "nll", "f_ari_clip"):
        assert result[name] == pytest.approx(whole[name], rel=1e-6)
    # Each clip got the noise of its own number.
    assert result["per_clip"]["nll"] == list(range(CLIPS))


def test_the_number_of_clips_can_be_cut():
    result = _evaluate(ColorModel(), Protocol(num_clips=3))
    assert result["num_clips"] == 3


def test_more_clips_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="wants 50 clips.*has 7"):
        _evaluate(ColorModel(), Protocol(num_clips=50))


def test_lengths_share_a_pass_and_equal_separate_ones():
    protocol = Protocol(
        name="lengths", conditions=[{"num_frames": n} for n in (2, 5, 8)]
    )
    result = _evaluate(ColorModel(spoil=True), protocol)
    assert [c["num_frames"] for c in result["conditions"]] == [2, 5, 8]
    looking = ColorModel(spoil=True)
    looking.looks_ahead = True
    separate = _evaluate(looking, protocol)
    for one, other in zip(result["conditions"], separate["conditions"]):
        assert one["per_clip"]["f_ari"] == other["per_clip"]["f_ari"]
        assert one["ari_clip"] == pytest.approx(other["ari_clip"])
        alone = _evaluate(
            ColorModel(spoil=True), Protocol(num_frames=one["num_frames"])
        )
        assert one["f_ari"] == pytest.approx(alone["f_ari"])
        assert one["mse"] == pytest.approx(alone["mse"])
    for name in ("ari", "f_ari", "ari_clip", "f_ari_clip", "mse"):
        assert result[name] == result["conditions"][-1][name]
    assert "per_clip" not in result


def test_more_slots_reach_the_model():
    result = _evaluate(ColorModel(), Protocol(num_slots=6))
    assert result["num_slots"] == 6
    assert result["f_ari"] == 1.0


def test_predicted_and_observed_frames_are_scored_apart():
    protocol = Protocol(
        num_frames=4, conditions=[{"num_predicted": 1}, {"num_predicted": 4}]
    )
    result = _evaluate(ColorModel(), protocol)
    short, long = result["conditions"]
    assert short["observed"]["f_ari"] == long["observed"]["f_ari"] == 1.0
    # A frozen picture gets worse the further it has to reach.
    assert 1 > short["f_ari"] > long["f_ari"]
    assert len(long["per_frame"]["f_ari"]) == 4
    assert long["per_frame"]["f_ari"][0] == pytest.approx(short["f_ari"])
    errors = long["per_frame"]["mse"]
    assert errors == sorted(errors)
    assert result["f_ari"] == long["f_ari"]
    assert "nll" not in long


def test_models_that_cannot_predict_are_refused():
    class Blind(ColorModel):
        predict_frames = property()

    with pytest.raises(ValueError, match="Blind has no rollout"):
        _evaluate(Blind(), Protocol(num_frames=4, num_predicted=2))


class Oracle(ColorModel):
    """Predicts what really comes; both squares move by a pixel a frame."""

    def predict_frames(self, state, seed, num_frames):
        last = state["last"]
        red, green = last[..., :1], last[..., 1:2]
        frames = [
            tf.concat(
                [
                    tf.roll(red, t + 1, 2),
                    tf.roll(green, -t - 1, 2),
                    tf.zeros_like(red),
                ],
                -1,
            )
            for t in range(num_frames)
        ]
        return self({"video": 255 * tf.stack(frames, 1), "seed": seed})


@pytest.mark.parametrize("labels", [LABELS, (*LABELS, "position")])
def test_velocities_of_a_perfect_prediction_agree(labels):
    protocol = Protocol(num_frames=4, num_predicted=3, velocity=True)
    result = _evaluate(Oracle(), protocol, labels=labels)
    assert result["velocity_cosine"] == pytest.approx(1.0)
    assert result["per_frame"]["velocity_cosine"] == [1.0] * 3
    assert result["velocity_pairs"] == CLIPS * 3 * 2
    assert result["centres"] == labels[-1]


def test_velocities_of_a_frozen_prediction_are_not_counted():
    protocol = Protocol(num_frames=4, num_predicted=3, velocity=True)
    result = _evaluate(ColorModel(), protocol)
    # From the last observed to the first predicted frame nothing moves.
    assert result["velocity_cosine"] is None
    assert result["velocity_pairs"] == 0


class Placed(Oracle):
    """Says where the squares are, off by some pixels, and has no masks.

    Slot 1 is green, slot 2 red; in clips of an odd number both are red.
    """

    background_slot = 0

    def __init__(self, off=1.0):
        super().__init__(with_masks=False)
        self.off = off

    def __call__(self, inputs, training=False, num_slots=None):
        outputs = super().__call__(inputs)
        video = tf.cast(inputs["video"], tf.float32)[..., :2]
        line = tf.range(SIZE, dtype=tf.float32) + 0.5
        mass = tf.reduce_sum(video, [2, 3])  # [B, T, 2], red and green
        y = tf.einsum("bthwk,h->btk", video, line) / mass
        x = tf.einsum("bthwk,w->btk", video, line) / mass
        red, green = tf.unstack(tf.stack([y, x], -1) + [0.0, self.off], axis=2)
        odd = inputs["seed"][:, 1, None, None] % 2 == 1
        slots = [tf.zeros_like(red), tf.where(odd, red, green), red]
        locations = tf.stack(slots, 2)
        presence = tf.ones_like(locations[..., 0])
        return {**outputs, "locations": locations, "presence": presence}


@pytest.mark.parametrize("num_predicted", [0, 3])
def test_clips_are_apart_where_each_object_has_a_slot(num_predicted):
    protocol = Protocol(
        num_frames=4,
        num_predicted=num_predicted,
        places="locations",
        apart_distance=1.5,
    )
    options = {"labels": (*LABELS, "position")}
    result = _evaluate(Placed(), protocol, **options)
    if not num_predicted:  # one pass over the longest serves all
        lengths = [{"num_frames": n} for n in (2, 4)]
        protocol = dataclasses.replace(protocol, conditions=lengths)
    even = [float(n % 2 == 0) for n in range(CLIPS)]
    for part in result.get("conditions", [result]):
        assert part["per_clip"]["apart"] == even
    assert result["apart"] == pytest.approx(np.mean(even))
    assert _evaluate(Placed(off=2.0), protocol, **options)["apart"] == 0.0


def test_velocities_may_be_of_a_models_own_places():
    options = {"num_frames": 4, "num_predicted": 3, "velocity": True}
    protocol = Protocol(**options, places="locations", num_clips=1)
    result = _evaluate(Placed(), protocol, labels=(*LABELS, "position"))
    assert result["per_frame"]["velocity_cosine"] == pytest.approx([1.0] * 3)
    with pytest.raises(ValueError, match="needs masks; this model gives none"):
        _evaluate(Placed(), Protocol(**options))
    with pytest.raises(ValueError, match="needs locations; this model gives"):
        _evaluate(ColorModel(), Protocol(**options, places="locations"))


def test_predictions_stand_beside_the_last_frame_shown_again():
    protocol = Protocol(num_frames=4, num_predicted=3)
    result = _evaluate(ColorModel(), protocol)
    video = _scenes()["video"] / 255
    copied = np.square(video[:, 3:4] - video[:, 4:7]).mean((2, 3, 4))
    assert result["mse_copied"] == pytest.approx(copied.mean())
    found = result["per_frame"]["mse_copied"]
    assert found == pytest.approx(copied.mean(0), abs=1e-6)
    p = np.clip(0.5 * video[:, 3:4], 1e-4, 1 - 1e-4)
    entropy = video[:, 4:7] * np.log(p) + (1 - video[:, 4:7]) * np.log(1 - p)
    expected = -entropy.sum((2, 3, 4)).mean()
    assert result["bce"] == pytest.approx(expected, rel=1e-4)
    assert not {"mse_copied", "bce"} & set(result["observed"])


def test_a_model_without_masks_gets_no_segmentation_scores():
    result = _evaluate(ColorModel(with_masks=False), Protocol())
    assert "mse" in result
    assert not {"ari", "f_ari", "ari_clip", "f_ari_clip"} & set(result)


def test_a_set_without_labels_gets_no_segmentation_scores():
    result = _evaluate(ColorModel(), Protocol(), labels=())
    assert "mse" in result
    assert "f_ari" not in result


def test_outputs_that_are_not_finite_are_named():
    class Broken(ColorModel):
        def __call__(self, inputs, training=False, num_slots=None):
            outputs = super().__call__(inputs, training, num_slots)
            bad = inputs["seed"][:, 1] == 5
            nan = tf.where(bad, np.nan, 0.0)[:, None, None, None, None]
            return {**outputs, "recon": outputs["recon"] + nan}

    with pytest.raises(ValueError, match="mse of clip 5 is not finite"):
        _evaluate(Broken(), Protocol())


def test_skipped_frames_are_not_scored():
    whole = _evaluate(ColorModel(), Protocol())
    result = _evaluate(ColorModel(), Protocol(skip_frames=3))
    assert len(result["per_frame"]["mse"]) == FRAMES - 3
    assert result["per_frame"]["mse"] == whole["per_frame"]["mse"][3:]


def test_a_second_run_does_not_compile_again():
    model = ColorModel()
    evaluator = Evaluator(
        model, Protocol(), trained_on="s", open_clips=_opened(_scenes())
    )
    first = evaluator.run()
    traced = model.calls
    assert evaluator.run()["f_ari"] == first["f_ari"]
    assert model.calls == traced


def test_clip_seeds_are_int32_pairs():
    seeds = clip_seeds(3, np.array([0, 7], np.int64))
    assert seeds.dtype == np.int32
    np.testing.assert_array_equal(seeds, [[3, 0], [3, 7]])


def test_models_read_where_a_window_lies():
    batch = {
        "video": np.zeros((2, 3, 4, 4, 3), np.uint8),
        "clip_index": np.arange(2),
        "crop_offset": np.ones((2, 2), np.float32),
        "boxes": np.zeros((2, 3, 1, 4), np.float32),
    }
    inputs = runner._inputs(Protocol(dataset="a_set"), batch)
    assert set(inputs) == {"video", "seed", "crop_offset"}
    assert inputs["crop_offset"] is batch["crop_offset"]
