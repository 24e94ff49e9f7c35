"""Pixel error and overlap scores, by hand and against brute force."""

import itertools

import numpy as np
import pytest

from tfdecomp.metrics import segmentation


def _row(*labels):
    return np.array(labels).reshape(1, 1, 1, -1)


def test_mse_is_the_mean_over_pixels_and_channels_of_each_frame():
    rng = np.random.default_rng(0)
    video, recon = rng.random((2, 2, 3, 4, 5, 3))
    error = segmentation.mse(video, recon)
    for b, t in np.ndindex(2, 3):
        expected = np.mean((video[b, t] - recon[b, t]) ** 2)
        np.testing.assert_allclose(error[b, t], expected, rtol=1e-5)


def test_mse_scales_uint8_pictures_to_one():
    video = np.full((1, 1, 2, 2, 3), 255, np.uint8)
    recon = np.full((1, 1, 2, 2, 3), 0.5, np.float32)
    assert segmentation.mse(video, recon).item() == pytest.approx(0.25)


def test_mse_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"must both be \[B, T, H, W, C\]"):
        segmentation.mse(np.zeros((1, 2, 3, 3, 1)), np.zeros((1, 2, 3, 3, 3)))


def test_overlap_scores_of_a_hand_made_case():
    true = _row(0, 0, 1, 1, 1, 1, 2, 2)
    pred = _row(0, 0, 0, 1, 1, 1, 1, 2)
    # object 1: slot 1 has 3/5; object 2: slot 2 has 1/2, slot 1 has 1/5
    assert segmentation.mean_iou(true, pred).item() == pytest.approx(0.55)
    best = segmentation.mean_best_overlap(true, pred)
    assert best.item() == pytest.approx(0.55)
    cover = segmentation.covering(true, pred)
    assert cover.item() == pytest.approx((4 * 0.6 + 2 * 0.5) / 6)
    whole = segmentation.mean_iou(true, pred, foreground_only=False)
    assert whole.item() == pytest.approx((2 / 3 + 0.6 + 0.5) / 3)


def test_one_slot_for_two_objects_halves_miou_but_not_mbo():
    true, pred = _row(1, 1, 2, 2), _row(0, 0, 0, 0)
    assert segmentation.mean_iou(true, pred).item() == pytest.approx(0.25)
    assert segmentation.mean_best_overlap(true, pred).item() == 0.5


@pytest.mark.parametrize("seed", range(4))
def test_miou_matches_every_assignment_tried(seed):
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 4, (1, 1, 5, 6))
    pred = rng.integers(0, 4, (1, 1, 5, 6))
    iou = [
        [
            np.sum((true == i) & (pred == j))
            / np.sum((true == i) | (pred == j))
            for j in range(4)
        ]
        for i in range(1, 4)
    ]
    best = max(
        np.mean([iou[i][j] for i, j in enumerate(slots)])
        for slots in itertools.permutations(range(4), 3)
    )
    assert segmentation.mean_iou(true, pred).item() == pytest.approx(best)


@pytest.mark.parametrize(
    "score",
    [
        segmentation.mean_iou,
        segmentation.mean_best_overlap,
        segmentation.covering,
    ],
)
class TestEveryOverlapScore:
    def test_is_one_for_equal_partitions(self, score):
        rng = np.random.default_rng(0)
        true = rng.integers(0, 4, (2, 3, 5, 5))
        pred = np.array([3, 0, 2, 1])[true]
        for per_frame in (True, False):
            np.testing.assert_allclose(
                score(true, pred, per_frame=per_frame), 1.0
            )

    def test_is_one_where_there_is_nothing_to_find(self, score):
        assert score(_row(0, 0), _row(1, 2)).item() == 1.0
        assert score(_row(255, 255), _row(1, 2)).item() == 1.0

    def test_does_not_count_ignored_pixels(self, score):
        true, pred = _row(1, 1, 2, 2, 255), _row(0, 0, 1, 1, 1)
        assert score(true, pred).item() == 1.0

    def test_lies_between_zero_and_one(self, score):
        rng = np.random.default_rng(1)
        true = rng.integers(0, 3, (2, 2, 6, 6))
        pred = rng.integers(0, 5, (2, 2, 6, 6))
        values = score(true, pred)
        assert values.shape == (2, 2)
        assert np.all((values >= 0) & (values <= 1))
