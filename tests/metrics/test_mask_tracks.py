"""Tracks whose overlap is that of masks, against plain loops."""

import motmetrics
import numpy as np
import pytest

from tfdecomp.metrics import (
    detection,
    hota,
    identity,
    mask_tracks,
    tracking,
    tracks,
)

CLIPS, FRAMES, SIDE, SLOTS, OBJECTS = 3, 6, 14, 5, 3


def _scene(seed=0):
    """True squares that move, and slots that mostly follow them."""
    rng = np.random.default_rng(seed)
    true = np.zeros((CLIPS, FRAMES, SIDE, SIDE), np.uint8)
    for b in range(CLIPS):
        for n in range(OBJECTS):
            y, x = rng.integers(0, SIDE - 6, 2)
            size = rng.integers(3, 7)
            for t in range(FRAMES):
                place = slice(y, y + size), slice(x + t // 2, x + t // 2 + size)
                true[(b, t, *place)] = n + 1
    slots = true + 1  # slot 1 is the background
    lost = rng.random(slots.shape) < 0.1
    slots[lost] = rng.integers(0, SLOTS, lost.sum())
    for b in range(CLIPS):  # two slots change places
        late = slots[b, rng.integers(1, FRAMES) :]
        late[:] = np.array([0, 1, 3, 2, 4])[late]
    true[:, :, 0, :3] = 255
    entities = np.where(true > 0, true, 0)
    entities[:, :, SIDE // 2 :][true[:, :, SIDE // 2 :] == 0] = 9
    return slots, true, entities


def _iou(first, second):
    union = (first | second).sum()
    return (first & second).sum() / union if union else 0.0


def _slow(slots, true, entities, min_pixels, limit):
    """Yields `(clip, true ids, found ids, iou [I, J])` of each frame."""
    for b, t in np.ndindex(CLIPS, FRAMES):
        counted = true[b, t] != 255
        parts = [
            (true[b, t] == 0) & (entities[b, t] == value)
            for value in np.unique(entities[b, t][true[b, t] == 0])
        ]
        found = {}
        for k in range(SLOTS):
            mask = (slots[b, t] == k) & counted
            behind = max(_iou(mask, part) for part in parts)
            if mask.sum() > min_pixels and behind <= limit:
                found[k + 1] = mask
        labelled = {
            n: true[b, t] == n
            for n in range(1, OBJECTS + 1)
            if (true[b, t] == n).sum() > min_pixels
        }
        iou = [[_iou(m, f) for f in found.values()] for m in labelled.values()]
        iou = np.reshape(iou, (len(labelled), len(found)))
        yield b, list(labelled), list(found), iou


@pytest.mark.parametrize("seed", range(4))
def test_tracks_of_masks_are_those_of_a_plain_loop(seed):
    slots, true, entities = _scene(seed)
    made = mask_tracks.of_masks(
        slots,
        true[..., None],
        entities=entities[..., None],
        min_pixels=5,
        background_overlap=0.2,
    )
    place = iter(np.ndindex(CLIPS, FRAMES))
    for _, labelled, found, iou in _slow(slots, true, entities, 5, 0.2):
        b, t = next(place)
        rows = made.true_ids[b, t] > 0
        columns = made.ids[b, t] > 0
        assert made.true_ids[b, t][rows].tolist() == labelled
        assert made.ids[b, t][columns].tolist() == found
        overlap = made.overlap[b, t][np.ix_(rows, columns)]
        np.testing.assert_allclose(overlap, iou, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_mota_and_motp_of_masks_are_those_of_motmetrics(seed):
    slots, true, entities = _scene(seed)
    made = mask_tracks.of_masks(
        slots, true, entities=entities, min_pixels=5, background_overlap=0.2
    )
    counts = tracking.clear_mot_counts(*made[:4], overlap=made.overlap)
    accumulators = [motmetrics.MOTAccumulator(True) for _ in range(CLIPS)]
    for b, labelled, found, iou in _slow(slots, true, entities, 5, 0.2):
        distance = np.where(iou >= 0.5, 1 - iou, np.nan)
        accumulators[b].update(labelled, found, distance)
    for b, accumulator in enumerate(accumulators):
        expected = motmetrics.metrics.create().compute(
            accumulator,
            metrics=["num_switches", "num_misses", "num_false_positives"],
        )
        assert counts["switches"][b] == expected["num_switches"].iloc[0]
        assert counts["misses"][b] == expected["num_misses"].iloc[0]
        false = expected["num_false_positives"].iloc[0]
        assert counts["false_positives"][b] == false
    assert counts["matches"].sum() > 20


def test_perfect_masks_are_perfect_in_every_score():
    _, true, _ = _scene()
    true = np.where(true == 255, 0, true)
    made = mask_tracks.of_masks(true, true, background=np.zeros(CLIPS, int))
    given = {**made._asdict()}
    overlap = given["overlap"]
    assert tracking.mota(tracking.clear_mot_counts(**given)).tolist() == [1] * 3
    assert identity.idf1(identity.identity_counts(**given)).tolist() == [1] * 3
    np.testing.assert_allclose(hota.hota(hota.hota_counts(**given)), 1.0)
    found = detection.detect(
        made.boxes,
        (made.ids > 0).astype(float),
        made.true_boxes,
        made.true_ids > 0,
        overlap=overlap,
    )
    assert detection.average_precision(found).mean() == pytest.approx(1.0)


def test_masks_may_differ_where_boxes_agree():
    true = np.ones((1, 1, 4, 4), np.uint8)
    slots = 1 - np.eye(4, dtype=np.uint8)[None, None]
    slots[..., 0, 0] = slots[..., 3, 3] = 0
    made = mask_tracks.of_masks(slots, true, background=[1])
    boxes = tracking.clear_mot_counts(*made[:4])
    masks = tracking.clear_mot_counts(**made._asdict())
    assert boxes["matches"] == 1 and masks["matches"] == 0
    assert made.overlap[0, 0, 0, 0] == 4 / 16


def test_a_slot_has_its_own_track_where_the_model_says_so():
    slots = np.array([[[[0, 1, 1]], [[0, 1, 1]]]])
    ids = np.array([[[0, 5, 0], [0, 6, 0]]])
    made = mask_tracks.of_masks(
        slots, slots, track_ids=ids, background=np.zeros(1, int)
    )
    np.testing.assert_array_equal(made.ids, ids)
    assert made.overlap.shape == (1, 2, 1, 3)
    assert tracking.clear_mot_counts(**made._asdict())["switches"] == 1


def test_a_part_of_the_background_is_known_by_its_own_size():
    true = np.zeros((1, 1, 1, 20), np.uint8)
    slots = np.zeros_like(true)
    slots[..., :3] = 1  # the whole of a small part
    entities = np.where(slots == 1, 8, 7)
    whole = mask_tracks.of_masks(slots, true, background_overlap=0.2)
    parts = mask_tracks.of_masks(
        slots, true, entities=entities, background_overlap=0.2
    )
    assert whole.ids.tolist() == [[[0, 2]]]
    assert parts.ids.tolist() == [[[0, 0]]]


def test_an_overlap_of_another_shape_is_refused():
    boxes, ids = np.zeros((1, 1, 2, 4)), np.ones((1, 1, 2), int) * [1, 2]
    with pytest.raises(ValueError, match=r"overlap \[B, T, L, K\]"):
        tracks.pair(boxes, ids, boxes, ids, np.zeros((1, 1, 2, 3)))
