"""AP by hand and against its definition, one box after the other."""

import numpy as np
import pytest

from tests.metrics import track_scenes
from tfdecomp.metrics import detection


def _detect(tracks, confidence=None):
    if confidence is None:
        confidence = (tracks["ids"] > 0).astype(float)
    return detection.detect(
        tracks["boxes"],
        confidence,
        tracks["true_boxes"],
        tracks["true_ids"] > 0,
    )


def _defined(scene, confidence, threshold, clips):
    """AP at a threshold as its definition reads."""
    ranked, total = [], 0
    for b in clips:
        for t in range(scene["ids"].shape[1]):
            true = [
                box
                for i, box in zip(
                    scene["true_ids"][b, t], scene["true_boxes"][b, t]
                )
                if i > 0
            ]
            total += len(true)
            used = set()
            for k in sorted(
                range(confidence.shape[2]), key=lambda k: -confidence[b, t, k]
            ):
                if confidence[b, t, k] <= 0:
                    continue
                box = scene["boxes"][b, t, k]
                overlaps = [track_scenes.iou(box, other) for other in true]
                best = int(np.argmax(overlaps)) if overlaps else None
                right = bool(overlaps) and overlaps[best] > threshold
                right = right and best not in used
                if right:
                    used.add(best)
                ranked.append((confidence[b, t, k], right))
    ranked.sort(key=lambda pair: -pair[0])
    curve = [
        (sum(r for _, r in ranked[: n + 1]), n + 1) for n in range(len(ranked))
    ]
    levels = [
        max((tp / n for tp, n in curve if 10 * tp >= level * total), default=0)
        for level in range(11)
    ]
    return sum(levels) / 11


@pytest.mark.parametrize("seed", [0, 1])
def test_scores_agree_with_the_definition(seed):
    scene = track_scenes.scene(seed, clips=4, noise=2.0)
    rng = np.random.default_rng(seed)
    confidence = np.where(rng.random(scene["ids"].shape) < 0.8, 1, 0)
    confidence = confidence * rng.random(confidence.shape)
    found = _detect(scene, confidence)
    scores = detection.average_precision(found)
    expected = [
        _defined(scene, confidence, n / 10, range(4)) for n in (1, 5, 9)
    ]
    np.testing.assert_allclose(scores[[0, 4, 8]], expected, atol=1e-12)
    assert scores[0] > scores[4] > scores[8]

    some = detection.choose(found, [True, False, False, True])
    np.testing.assert_allclose(
        detection.average_precision(some)[4],
        _defined(scene, confidence, 0.5, (0, 3)),
        atol=1e-12,
    )


def test_equal_confidences_stay_in_the_order_of_clips_frames_and_slots():
    scene = track_scenes.scene(5, noise=2.0)
    confidence = (scene["ids"] > 0).astype(float)
    scores = detection.average_precision(_detect(scene))
    assert scores[4] == pytest.approx(
        _defined(scene, confidence, 0.5, range(len(confidence)))
    )


def test_batches_joined_are_the_whole():
    scene = track_scenes.scene(2)
    whole = _detect(scene)
    parts = [
        _detect({name: values[rows] for name, values in scene.items()})
        for rows in (slice(0, 1), slice(1, 4), slice(4, None))
    ]
    for joined, one in zip(detection.join(parts), whole):
        np.testing.assert_array_equal(joined, one)


def test_one_of_two_found_reaches_six_recalls_at_six_thresholds():
    found = _detect(track_scenes.one_of_two())
    scores = detection.average_precision(found)
    np.testing.assert_allclose(scores, [6 / 11] * 6 + [0] * 3)
    assert scores.mean() == pytest.approx(0.3636, abs=1e-4)


def test_what_is_there_is_perfect():
    scene = track_scenes.scene()
    for name in ("boxes", "ids"):
        scene[name] = scene[f"true_{name}"]
    scores = detection.average_precision(_detect(scene))
    np.testing.assert_array_equal(scores, 1.0)


def _one_frame(boxes, confidence, true):
    boxes, true = (np.array(b, float)[None, None] for b in (boxes, true))
    found = detection.detect(
        boxes, np.array(confidence)[None, None], true, np.ones(true.shape[:3])
    )
    return detection.average_precision(found)


def test_an_overlap_must_exceed_the_threshold():
    scores = _one_frame([[0, 0, 4, 2]], [1.0], [[0, 0, 4, 4]])
    np.testing.assert_array_equal(scores, [1] * 4 + [0] * 5)


def test_there_is_no_second_choice():
    # Both boxes fit the first object best; the second is wrong, though it
    # overlaps the other object, which nobody takes.
    true = [[0, 0, 10, 10], [0, 4, 10, 14]]
    boxes = [[0, 0, 10, 10], [0, 1, 10, 11]]
    scores = _one_frame(boxes, [0.9, 0.8], true)
    np.testing.assert_allclose(scores, [6 / 11] * 9)


def test_the_more_confident_box_takes_the_object():
    true = [[0, 0, 10, 10]]
    boxes = [[0, 0, 10, 10], [0, 0, 10, 6]]
    # At .6 and above the confident box is wrong and the other one is second.
    scores = _one_frame(boxes, [0.5, 0.9], true)
    np.testing.assert_allclose(scores, [1] * 5 + [0.5] * 4)


def test_boxes_without_confidence_do_not_count():
    true = [[0, 0, 10, 10]]
    boxes = [[0, 0, 10, 10], [20, 20, 30, 30]]
    np.testing.assert_array_equal(_one_frame(boxes, [0.1, 0.0], true), 1.0)


def test_nothing_to_find_has_no_score_and_nothing_found_is_zero():
    box = np.array([[[[0, 0, 4, 4.0]]]])
    one, none = np.ones((1, 1, 1)), np.zeros((1, 1, 1))
    found = detection.detect(box, one, box, none)
    assert np.isnan(detection.average_precision(found)).all()
    found = detection.detect(box, none, box, one)
    np.testing.assert_array_equal(detection.average_precision(found), 0.0)
    found = detection.detect(box[:, :, :0], one[:, :, :0], box, one)
    np.testing.assert_array_equal(detection.average_precision(found), 0.0)
    found = detection.detect(box, one, box[:, :, :0], one[:, :, :0])
    assert np.isnan(detection.average_precision(found)).all()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"boxes": (2, 3, 4)}, r"expected boxes \[B, T, N, 4\]"),
        ({"confidence": (2, 3, 5)}, r"and confidence \[B, T, N\]"),
        ({"present": (2, 3, 4)}, r"and true_present \[B, T, N\]"),
        (
            {"true": (2, 4, 5, 4), "present": (2, 4, 5)},
            "of the same clips and frames",
        ),
    ],
)
def test_other_shapes_are_refused(changes, message):
    shapes = {
        "boxes": (2, 3, 4, 4),
        "confidence": (2, 3, 4),
        "true": (2, 3, 5, 4),
        "present": (2, 3, 5),
        **changes,
    }
    with pytest.raises(ValueError, match=message):
        detection.detect(*map(np.ones, shapes.values()))
