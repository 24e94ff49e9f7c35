"""CLEAR MOT by hand and against py-motmetrics."""

import motmetrics
import numpy as np
import pytest

from tests.metrics import track_scenes
from tfdecomp.metrics import tracking


def _sums(counts):
    return {name: values.sum() for name, values in counts.items()}


def _accumulated(scene, clip):
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for true, found, iou in track_scenes.frames(scene, clip):
        distance = 1 - iou
        accumulator.update(
            true, found, np.where(distance > 0.5, np.nan, distance)
        )
    return accumulator


@pytest.mark.parametrize("seed, noise", [(0, 0.5), (1, 1.5), (2, 2.5)])
def test_scores_agree_with_motmetrics(seed, noise):
    scene = track_scenes.scene(seed, noise=noise)
    counts = tracking.clear_mot_counts(**scene)
    clips = [_accumulated(scene, b) for b in range(len(scene["ids"]))]
    expected = motmetrics.metrics.create().compute_many(
        clips,
        metrics=["mota", "motp", "num_switches", "num_misses"]
        + ["num_false_positives"],
        generate_overall=True,
    )
    assert counts["switches"].sum() > 0
    np.testing.assert_array_equal(
        counts["switches"], expected["num_switches"][:-1]
    )
    np.testing.assert_array_equal(counts["misses"], expected["num_misses"][:-1])
    np.testing.assert_array_equal(
        counts["false_positives"], expected["num_false_positives"][:-1]
    )
    for each, name in ((tracking.mota, "mota"), (tracking.motp, "motp")):
        scores = [*each(counts), each(_sums(counts))]
        wanted = np.array(expected[name], float)
        # Their MOTP is a distance, ours an overlap.
        wanted = wanted if name == "mota" else 1 - wanted
        np.testing.assert_allclose(scores, wanted, atol=1e-12)


def test_one_of_two_found_is_an_accuracy_of_a_half():
    counts = tracking.clear_mot_counts(**track_scenes.one_of_two())
    assert tracking.mota(counts) == 0.5
    assert tracking.motp(counts) == pytest.approx(0.65)


def test_one_exchange_of_ids_in_sixteen_boxes_costs_two_switches():
    counts = tracking.clear_mot_counts(**track_scenes.swapped())
    assert counts["switches"] == 2
    assert tracking.mota(counts) == 0.875
    assert tracking.motp(counts) == 1.0


def test_true_tracks_are_perfect():
    scene = track_scenes.scene()
    for name in ("boxes", "ids"):
        scene[name] = scene[f"true_{name}"]
    counts = tracking.clear_mot_counts(**scene)
    np.testing.assert_array_equal(tracking.mota(counts), 1.0)
    np.testing.assert_array_equal(tracking.motp(counts), 1.0)


def test_an_overlap_of_a_half_is_enough():
    true = track_scenes.simple([[0, 0, 4, 4]])
    half = track_scenes.simple([[0, 0, 4, 2]])
    less = track_scenes.simple([[0, 0, 4, 1.999]])
    assert tracking.mota(tracking.clear_mot_counts(*half, *true)) == 1.0
    assert tracking.mota(tracking.clear_mot_counts(*less, *true)) == -1.0
    lower = tracking.clear_mot_counts(*less, *true, threshold=0.4)
    assert tracking.mota(lower) == 1.0


def test_as_many_as_can_be_are_matched_before_the_overlap_counts():
    # The first found box fits the second true one best, but then the second
    # found box, which only overlaps that one, would be left over.
    true = track_scenes.simple([[0, 0, 10, 10], [0, 3, 10, 13]])
    found = track_scenes.simple([[0, 2.9, 10, 12.9], [0, 5, 10, 15]])
    counts = tracking.clear_mot_counts(*found, *true)
    assert counts["matches"] == 2


def test_a_match_is_kept_although_another_box_fits_better():
    true = track_scenes.simple([[0, 0, 10, 10]], [[0, 0, 10, 10]])
    boxes = np.zeros((1, 2, 2, 4))
    boxes[0, :, 0] = [0, 2, 10, 12]
    boxes[0, :, 1] = [0, 0, 10, 10]
    ids = np.array([[[1, 0], [1, 2]]])
    counts = tracking.clear_mot_counts(boxes, ids, *true)
    assert counts["switches"] == 0
    assert tracking.motp(counts) == pytest.approx(8 / 12)


def test_a_track_is_remembered_however_long_it_was_lost():
    boxes, true_ids = track_scenes.simple(*[[[0, 0, 4, 4]]] * 6)
    ids = np.array([[[1], [0], [0], [0], [0], [2]]])
    counts = tracking.clear_mot_counts(boxes, ids, boxes, true_ids)
    assert counts["switches"] == 1
    assert counts["misses"] == 4


def test_overfull_frames_can_be_discarded():
    true = track_scenes.simple([[0, 0, 4, 4]], [[0, 0, 4, 4]])
    boxes = np.zeros((1, 2, 3, 4))
    boxes[..., 2:] = 4
    ids = np.array([[[1, 2, 3], [1, 2, 0]]])
    counts = tracking.clear_mot_counts(boxes, ids, *true)
    assert tracking.mota(counts) == 1 - 3 / 2
    counts = tracking.clear_mot_counts(boxes, ids, *true, drop_overfull=True)
    assert (counts["misses"], counts["false_positives"]) == (1, 1)
    assert tracking.mota(counts) == 0.0


def test_boxes_where_nothing_is_count_for_all_clips_together():
    true_boxes = np.zeros((2, 1, 1, 4))
    true_boxes[..., 2:] = 4
    true_ids = np.array([[[1]], [[0]]])
    ids = np.array([[[1]], [[1]]])
    counts = tracking.clear_mot_counts(true_boxes, ids, true_boxes, true_ids)
    np.testing.assert_array_equal(tracking.mota(counts), [1.0, np.nan])
    assert tracking.mota(_sums(counts)) == 0.0
    assert np.isnan(tracking.motp(counts)[1])


def test_no_slot_at_all_is_a_miss():
    true = track_scenes.simple([[0, 0, 4, 4]])
    none = np.zeros((1, 1, 0, 4)), np.zeros((1, 1, 0), int)
    assert tracking.mota(tracking.clear_mot_counts(*none, *true)) == 0.0
