"""IDF1 by hand, against TrackEval and against py-motmetrics."""

import motmetrics
import numpy as np
import pytest
from trackeval.metrics import Identity

from tests.metrics import track_scenes
from tfdecomp.metrics import identity


@pytest.mark.parametrize("seed, noise", [(0, 0.5), (1, 1.5), (2, 2.5)])
def test_scores_agree_with_trackeval(seed, noise):
    scene = track_scenes.scene(seed, noise=noise)
    counts = identity.identity_counts(**scene)
    oracle = Identity({"PRINT_CONFIG": False})
    clips = {
        b: oracle.eval_sequence(track_scenes.in_order(scene, b))
        for b in range(len(scene["ids"]))
    }
    np.testing.assert_allclose(
        identity.idf1(counts), [clip["IDF1"] for clip in clips.values()]
    )
    sums = {name: values.sum() for name, values in counts.items()}
    together = oracle.combine_sequences(clips)["IDF1"]
    assert identity.idf1(sums) == pytest.approx(together)
    assert 0.2 < together < 0.95


def test_scores_agree_with_motmetrics():
    scene = track_scenes.scene(3)
    scores = identity.idf1(identity.identity_counts(**scene))
    for b, score in enumerate(scores):
        accumulator = motmetrics.MOTAccumulator(auto_id=True)
        for true, found, iou in track_scenes.frames(scene, b):
            distance = np.where(iou >= 0.5, 1 - iou, np.nan)
            accumulator.update(true, found, distance)
        table = motmetrics.metrics.create().compute(
            accumulator, metrics=["idf1"]
        )
        assert score == pytest.approx(table["idf1"].item())


def test_an_exchange_of_ids_halfway_leaves_a_half():
    counts = identity.identity_counts(**track_scenes.swapped())
    assert identity.idf1(counts) == 0.5


def test_nothing_to_find_has_no_score_and_nothing_found_is_zero():
    boxes, ids = track_scenes.simple([[0, 0, 4, 4]])
    none = np.zeros_like(ids)
    found = identity.identity_counts(boxes, none, boxes, ids)
    assert identity.idf1(found) == 0.0
    nothing = identity.identity_counts(boxes, ids, boxes, none)
    assert np.isnan(identity.idf1(nothing))
