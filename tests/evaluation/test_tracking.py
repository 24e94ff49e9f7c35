"""Tracks through the runner: of boxes and masks, observed and predicted."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.metrics import track_scenes
from tests.models.tiny import tiny_silot
from tfdecomp.data import fake
from tfdecomp.evaluation.protocol import Protocol
from tfdecomp.evaluation.runner import evaluate
from tfdecomp.evaluation.tracking import SCORES
from tfdecomp.metrics import detection, hota, identity, tracking, tracks

CLIPS, FRAMES, OBJECTS, SLOTS, SIZE = 6, track_scenes.FRAMES, 5, 8, 24
TRACKED = Protocol(name="mine", tracking="auto")


def _scene(seed=0):
    """Labels, and what a model says; slots have the background in front."""
    scene = track_scenes.scene(seed, CLIPS, OBJECTS, SLOTS)
    rng = np.random.default_rng(seed)
    presence = np.where(scene["ids"] > 0, 0.5, 0.0)
    presence = presence + 0.5 * rng.random(presence.shape) * (presence > 0)
    presence = np.where(scene["ids"] > 0, presence, 0.4 * (presence + 0.5))

    def slots(values, fill):
        first = np.full_like(values[:, :, :1], fill)
        return np.concatenate([first, values], 2)

    there = scene["true_ids"] > 0
    return {
        "tracks": {**scene, "confidence": presence},
        "labels": {
            "video": np.zeros((CLIPS, FRAMES, SIZE, SIZE, 1), np.uint8),
            "num_objects": there.any(1).sum(1).astype(np.int32),
            "boxes": np.where(there[..., None], scene["true_boxes"], 0),
            "visibility": np.zeros(there.shape, np.uint8),  # all are hidden
        },
        "says": {
            "presence": slots(presence, 1.0).astype(np.float32),
            "boxes": slots(scene["boxes"], 0.0),
            "track_ids": slots(scene["ids"], 0).astype(np.int32),
        },
    }


class Says:
    """Says of each clip what a table holds."""

    channels = 1
    looks_ahead = False

    def __init__(self, says):
        self.says = says

    def __call__(self, inputs, training=False):
        return self._outputs(inputs["seed"], 0, tf.shape(inputs["video"])[1])

    def rollout(self, inputs, num_frames):
        start = tf.shape(inputs["video"])[1]
        return self._outputs(inputs["seed"], start, start + num_frames)

    def _outputs(self, seed, start, stop):
        number = tf.minimum(seed[:, 1], CLIPS - 1)
        return {
            name: tf.gather(values, number)[:, start:stop]
            for name, values in self.says.items()
        }


def _opened(labels):
    def open_clips(condition, model, batch_size):
        for start in range(0, CLIPS, batch_size):
            index = np.arange(start, start + batch_size)
            valid = index < CLIPS
            rows = np.where(valid, index, 0)
            batch = {name: value[rows] for name, value in labels.items()}
            yield {**batch, "clip_index": index, "valid": valid}

    return open_clips


def _evaluate(scene, protocol=TRACKED, batch_size=4, says=None, labels=None):
    return evaluate(
        Says(says or scene["says"]),
        protocol,
        trained_on="a_set",
        batch_size=batch_size,
        open_clips=_opened(labels or scene["labels"]),
    )


def _expected(found, clips=slice(None), frames=slice(None)):
    """Scores of some clips and frames, straight from the metrics."""
    found = {n: v[clips, frames] for n, v in found.items()}
    confidence = found.pop("confidence")
    number = len(confidence)

    def sums(counts):
        return {name: v.sum(0) for name, v in counts.items()}

    clear = sums(tracking.clear_mot_counts(**found))
    difference = (found["ids"] > 0).sum(2) - (found["true_ids"] > 0).sum(2)
    detections = detection.detect(
        found["boxes"], confidence, found["true_boxes"], found["true_ids"] > 0
    )
    scores = {
        "mota": tracking.mota(clear),
        "motp": tracking.motp(clear),
        "id_switches": clear["switches"] / number,
        "idf1": identity.idf1(sums(identity.identity_counts(**found))),
        "hota": hota.hota(sums(hota.hota_counts(**found))),
        "ap": detection.average_precision(detections).mean(),
        "count_error": np.abs(difference).mean(),
    }
    return {name: float(value) for name, value in scores.items()}


def _agree(result, expected):
    assert {n: result[n] for n in SCORES} == pytest.approx(expected)


def test_scores_are_of_all_clips_together_and_of_each():
    scene = _scene()
    result = _evaluate(scene)
    _agree(result, _expected(scene["tracks"]))
    assert 0.1 < result["mota"] < 0.9 and result["id_switches"] > 0
    for b in range(CLIPS):
        one = {n: result["per_clip"][n][b] for n in SCORES}
        expected = _expected(scene["tracks"], slice(b, b + 1))
        assert one == pytest.approx(expected, abs=2e-6)
    assert len(result["per_frame"]["count_error"]) == FRAMES
    assert result["ap"] == pytest.approx(
        np.mean(list(result["ap_by_iou"].values()))
    )
    json.dumps(result, allow_nan=False)


def test_scores_by_number_of_objects_are_of_the_clips_with_that_number():
    scene = _scene()
    number = np.array([1, 3, 3, 1, 2, 3], np.int32)
    scene["labels"]["num_objects"] = number
    parts = _evaluate(scene)["by_objects"]
    assert list(parts) == ["1", "2", "3"]
    for n, part in parts.items():
        clips = np.flatnonzero(number == int(n))
        assert part["num_clips"] == len(clips)
        _agree(part, _expected(scene["tracks"], clips))


@pytest.mark.parametrize("batch_size", [1, 4, 6])
def test_batches_change_no_score(batch_size):
    scene = _scene(1)
    result = _evaluate(scene, batch_size=batch_size)
    whole = _evaluate(scene, batch_size=CLIPS)
    for name in ("by_objects", "per_clip", *SCORES):
        assert result[name] == whole[name]


def test_a_perfect_model_is_perfect_and_hidden_objects_are_to_be_found():
    scene = _scene()
    true = {"boxes": scene["labels"]["boxes"]}
    true["ids"] = scene["tracks"]["true_ids"]
    pad = [(0, 0), (0, 0), (1, 0)]
    says = {
        "presence": np.pad(true["ids"] > 0, pad).astype(np.float32),
        "boxes": np.pad(true["boxes"], [*pad, (0, 0)]),
        "track_ids": np.pad(true["ids"], pad).astype(np.int32),
    }
    result = _evaluate(scene, says=says)
    for name in ("mota", "motp", "idf1", "hota", "ap", "count_accuracy"):
        assert result[name] == pytest.approx(1.0), name
    assert result["id_switches"] == result["count_error"] == 0.0


def test_skipped_frames_are_not_tracked():
    scene = _scene()
    protocol = Protocol(tracking="boxes", skip_frames=3)
    result = _evaluate(scene, protocol)
    _agree(result, _expected(scene["tracks"], frames=slice(3, None)))


def test_predicted_frames_alone_are_tracked_where_frames_are_predicted():
    scene = _scene()
    protocol = Protocol(tracking="auto", num_frames=3, num_predicted=5)
    result = _evaluate(scene, protocol)
    _agree(result, _expected(scene["tracks"], frames=slice(3, None)))
    assert len(result["per_frame"]["count_error"]) == 5


def test_without_track_ids_the_slot_is_the_track():
    scene = _scene()
    says = {n: v for n, v in scene["says"].items() if n != "track_ids"}
    result = _evaluate(scene, says=says)
    found = dict(scene["tracks"])
    numbers = np.arange(SLOTS) + 1
    found["ids"] = np.where(found["confidence"] > 0.5, numbers, 0)
    _agree(result, _expected(found))
    # Places are shuffled from frame to frame, so nobody keeps an identity.
    assert result["id_switches"] > _evaluate(scene)["id_switches"] + 1


def test_no_scores_of_tracks_unless_the_protocol_asks():
    result = _evaluate(_scene(), Protocol())
    assert not {"mota", "hota", "ap", "by_objects"} & set(result)


def test_the_options_of_the_protocol_reach_the_metrics():
    scene = _scene()
    strict = _evaluate(scene, Protocol(tracking="auto", iou_threshold=0.8))
    loose = _evaluate(scene)
    assert strict["mota"] < loose["mota"] and strict["idf1"] < loose["idf1"]
    assert strict["hota"] == loose["hota"] and strict["ap"] == loose["ap"]
    scene["labels"]["boxes"][:, :, 1:] = 0  # one object, many boxes
    dropped = Protocol(tracking="auto", mota_drop_overfull=True)
    assert _evaluate(scene, dropped)["mota"] > _evaluate(scene)["mota"]


# ---- masks ------------------------------------------------------------------


def _painted(seed=0):
    """Squares that move over each other, and masks of who is in front."""
    rng = np.random.default_rng(seed)
    owner = np.zeros((CLIPS, FRAMES, SIZE, SIZE), np.uint8)
    for b in range(CLIPS):
        for n in range(1 + b % 3):
            y, x = rng.integers(0, SIZE - 12, 2)
            for t in range(FRAMES):
                owner[b, t, y : y + 6, x + t : x + t + 5] = n + 1
    return owner


def _masks(owner, slot_of=(2, 0, 1, 3)):
    """One-hot masks; the label `n` is in slot `slot_of[n]`."""
    slots = np.array(slot_of)[owner]
    masks = slots[:, :, None] == np.arange(4)[:, None, None]
    return {"masks": masks[..., None].astype(np.float32)}


def _mask_labels(owner):
    return {
        "video": np.zeros((*owner.shape, 1), np.uint8),
        "segmentation": owner[..., None],
    }


def test_a_model_with_masks_alone_has_the_boxes_around_its_slots():
    owner = _painted()
    labels = _mask_labels(owner)
    result = _evaluate(None, says=_masks(owner), labels=labels)
    for name in ("mota", "motp", "idf1", "hota", "ap", "count_accuracy"):
        assert result[name] == pytest.approx(1.0), name
    assert list(result["by_objects"]) == ["1", "2", "3"]

    boxes, _ = tracks.label_boxes(owner, 4)
    stored = {**labels, "boxes": boxes[:, :, 1:].astype(np.float32)}
    again = _evaluate(None, says=_masks(owner), labels=stored)
    assert again["by_objects"] == result["by_objects"]


def test_slots_that_change_places_switch():
    owner = _painted()
    says = _masks(owner)
    late = says["masks"][:, 4:]
    says["masks"][:, 4:] = late[:, :, [1, 0, 2, 3]]
    result = _evaluate(None, says=says, labels=_mask_labels(owner))
    # Clips of one object lose it to another slot, others exchange two.
    assert result["per_clip"]["id_switches"] == [1, 2, 2] * 2
    assert result["ap"] == 1.0 and result["motp"] == 1.0


def test_the_background_of_predicted_frames_is_that_of_the_observed_ones():
    owner = _painted()
    owner[:, 3:] = 0
    owner[:, 3:, 3:] = 1  # an object fills what is predicted
    protocol = Protocol(tracking="masks", num_frames=3, num_predicted=5)
    labels = _mask_labels(owner)
    result = _evaluate(None, protocol, says=_masks(owner), labels=labels)
    assert result["mota"] == 1.0


def test_masks_of_a_model_that_knows_its_background_have_it_in_slot_0():
    owner = _painted()
    owner[:, :, 3:] = np.maximum(owner[:, :, 3:], 1)  # a large object
    says = _masks(owner, slot_of=(0, 1, 2, 3))
    present = says["masks"].any((3, 4, 5))
    present[:, :, 0] = True
    known = {**says, "presence": present.astype(np.float32)}
    labels = _mask_labels(owner)
    protocol = Protocol(tracking="masks")
    assert _evaluate(None, protocol, says=known, labels=labels)["mota"] == 1.0
    assert _evaluate(None, protocol, says=says, labels=labels)["mota"] < 1.0


# ---- overlap of masks --------------------------------------------------------


def test_masks_are_scored_by_their_own_overlap_and_small_ones_are_not():
    owner = _painted()
    labels = _mask_labels(owner)
    says = _masks(np.where(owner == 2, 0, owner))
    result = _evaluate(
        None,
        Protocol(tracking="masks", overlap="masks", min_pixels=5),
        says=says,
        labels=labels,
    )
    large = [((owner == n).sum((2, 3)) > 5).sum() for n in (1, 2, 3)]
    assert large[1] > 0 and result["id_switches"] == 0
    assert result["mota"] == pytest.approx(1 - large[1] / sum(large))


def test_slots_on_the_background_are_no_false_positives_if_it_is_known():
    owner = _painted()
    labels = _mask_labels(owner)
    says = _masks(owner)
    # The lower half of the background gets a slot of its own.
    lower = (owner == 0) & (np.arange(SIZE)[:, None] >= SIZE // 2)
    slots = np.argmax(says["masks"][..., 0], 2)
    slots = np.where(lower, 4, slots)
    says["masks"] = np.eye(5, dtype=np.float32)[slots].transpose(0, 1, 4, 2, 3)
    says["masks"] = says["masks"][..., None]
    labels["entities"] = np.where(lower, 9, owner)[..., None]
    asked = {"tracking": "masks", "overlap": "masks"}
    known = Protocol(**asked, background_overlap=0.2)
    plain = Protocol(**asked)
    assert _evaluate(None, known, says=says, labels=labels)["mota"] == 1.0
    assert _evaluate(None, plain, says=says, labels=labels)["mota"] < 1.0


# ---- what cannot be scored --------------------------------------------------


@pytest.mark.parametrize(
    "given, fields, message",
    [
        ("nothing", {}, "gives no boxes and no masks"),
        ("masks", {"tracking": "boxes"}, "gives no boxes; take a protocol"),
        ("boxes", {"tracking": "masks"}, "gives no masks; take a protocol"),
        ("unlabelled", {}, "tfdecomp_a_set has no boxes and no segmentation"),
        ("boxes", {"true_boxes": "segmentation"}, "has no segmentation"),
        ("masks", {"true_boxes": "boxes"}, "has no boxes; take a protocol"),
    ],
)
def test_what_is_missing_is_named(given, fields, message):
    scene, owner = _scene(), _painted()
    says, labels = scene["says"], scene["labels"]
    if given == "nothing":
        says = {"nll": np.zeros((CLIPS, FRAMES), np.float32)}
    elif given == "masks":
        says, labels = _masks(owner), _mask_labels(owner)
    elif given == "unlabelled":
        labels = {"video": labels["video"]}
    protocol = Protocol(**{"tracking": "auto", **fields})
    with pytest.raises(ValueError, match=message):
        _evaluate(scene, protocol, says=says, labels=labels)


# ---- SILOT ------------------------------------------------------------------


@pytest.mark.slow
def test_silot_s_own_tracks_are_scored_seen_or_predicted():
    model = tiny_silot.tiny()
    batch = fake.fake_batch(2, 5, *model.image_size, seed=3)

    def open_clips(condition, model, batch_size):
        yield {**batch, "valid": np.ones(2, bool)}

    def scores(**fields):
        protocol = Protocol(tracking="boxes", **fields)
        return evaluate(
            model, protocol, trained_on="a_set", open_clips=open_clips
        )

    seeds = np.array([[0, 0], [0, 1]], np.int32)
    seen = {"video": batch["video"][:, :3], "seed": seeds}
    outputs = {
        "seen": model(seen),
        "predicted": model.rollout(seen, 2),
    }
    true_boxes, true_ids = tracks.tracks_of_boxes(batch["boxes"])
    for name, frames, fields in (
        ("seen", slice(0, 3), {"num_frames": 3}),
        ("predicted", slice(3, 5), {"num_frames": 3, "num_predicted": 2}),
    ):
        found = {
            n: np.asarray(v)[:, :, 1:]
            for n, v in outputs[name].items()
            if n in ("boxes", "track_ids", "presence")
        }
        expected = _expected(
            {
                "boxes": found["boxes"],
                "ids": found["track_ids"],
                "confidence": found["presence"],
                "true_boxes": true_boxes[:, frames],
                "true_ids": true_ids[:, frames],
            }
        )
        result = scores(**fields)
        for score in ("mota", "idf1", "hota", "ap", "count_error"):
            assert result[score] == pytest.approx(expected[score], abs=1e-3)
