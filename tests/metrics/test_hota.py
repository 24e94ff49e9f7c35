"""HOTA by hand and against TrackEval."""

import numpy as np
import pytest
from trackeval.metrics import HOTA

from tests.metrics import track_scenes
from tfdecomp.metrics import hota


@pytest.mark.parametrize("seed, noise", [(0, 0.5), (1, 1.5), (2, 2.5)])
def test_scores_agree_with_trackeval(seed, noise):
    scene = track_scenes.scene(seed, noise=noise)
    counts = hota.hota_counts(**scene)
    oracle = HOTA()
    np.testing.assert_allclose(oracle.array_labels, hota.ALPHAS)
    clips = {
        b: oracle.eval_sequence(track_scenes.in_order(scene, b))
        for b in range(len(scene["ids"]))
    }
    for ours, theirs in (
        ("matches", "HOTA_TP"),
        ("misses", "HOTA_FN"),
        ("false_positives", "HOTA_FP"),
    ):
        np.testing.assert_array_equal(
            counts[ours], [clip[theirs] for clip in clips.values()]
        )
    np.testing.assert_allclose(
        hota.hota(counts), [clip["HOTA"].mean() for clip in clips.values()]
    )
    sums = {name: values.sum(0) for name, values in counts.items()}
    together = oracle.combine_sequences(clips)["HOTA"].mean()
    assert hota.hota(sums) == pytest.approx(together)
    assert 0.1 < together < 0.9


def test_true_tracks_are_perfect():
    scene = track_scenes.scene()
    for name in ("boxes", "ids"):
        scene[name] = scene[f"true_{name}"]
    counts = hota.hota_counts(**scene)
    np.testing.assert_allclose(hota.hota(counts), 1.0)


def test_one_of_two_found_counts_up_to_its_overlap():
    # Half of the boxes, .05 to .65: 13 of the 19 least overlaps.
    counts = hota.hota_counts(**track_scenes.one_of_two())
    assert hota.hota(counts) == pytest.approx(13 / 19 * np.sqrt(0.5))


def test_an_exchange_of_ids_halfway_leaves_a_third_of_the_association():
    # Each match shares four boxes of the twelve of its two tracks.
    counts = hota.hota_counts(**track_scenes.swapped())
    assert hota.hota(counts) == pytest.approx(np.sqrt(1 / 3))


def test_nothing_to_find_has_no_score_and_nothing_found_is_zero():
    boxes, ids = track_scenes.simple([[0, 0, 4, 4]])
    none = np.zeros_like(ids)
    assert hota.hota(hota.hota_counts(boxes, none, boxes, ids)) == 0.0
    nothing = hota.hota_counts(boxes, ids, boxes, none)
    assert np.isnan(hota.hota(nothing))
    assert nothing["false_positives"].tolist() == [[1] * 19]
