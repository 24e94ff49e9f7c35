"""ARI and F-ARI against scikit-learn, by hand, and by their properties."""

import time

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from tfdecomp.metrics import rand_index


def _random_ids(seed, shape=(3, 4, 6, 7), num_true=5, num_pred=4):
    rng = np.random.default_rng(seed)
    true = rng.integers(0, num_true, shape)
    # A noisy copy, so that scores lie between chance and agreement.
    noise = rng.integers(0, num_pred, shape)
    pred = np.where(rng.random(shape) < 0.6, true % num_pred, noise)
    return true, pred


def _clip(true, pred):
    """One clip of one frame of one row."""
    return (
        np.array(true).reshape(1, 1, 1, -1),
        np.array(pred).reshape(1, 1, 1, -1),
    )


def _score(true, pred, **kwargs):
    return rand_index.adjusted_rand_index(*_clip(true, pred), **kwargs).item()


@pytest.mark.parametrize("seed", range(5))
def test_every_frame_agrees_with_scikit_learn(seed):
    true, pred = _random_ids(seed)
    scores = rand_index.adjusted_rand_index(true, pred)
    assert scores.shape == (3, 4)
    for b in range(3):
        for t in range(4):
            expected = adjusted_rand_score(
                true[b, t].ravel(), pred[b, t].ravel()
            )
            np.testing.assert_allclose(scores[b, t], expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_foreground_score_agrees_with_scikit_learn_without_background(seed):
    true, pred = _random_ids(seed)
    scores = rand_index.adjusted_rand_index(true, pred, foreground_only=True)
    for b in range(3):
        for t in range(4):
            kept = true[b, t] > 0
            expected = adjusted_rand_score(true[b, t][kept], pred[b, t][kept])
            np.testing.assert_allclose(scores[b, t], expected, atol=1e-12)


@pytest.mark.parametrize("foreground_only", [False, True])
def test_clip_score_agrees_with_scikit_learn_on_all_pixels(foreground_only):
    true, pred = _random_ids(7)
    scores = rand_index.adjusted_rand_index(
        true, pred, foreground_only=foreground_only, per_frame=False
    )
    assert scores.shape == (3,)
    for b in range(3):
        kept = true[b] > 0 if foreground_only else true[b] >= 0
        expected = adjusted_rand_score(true[b][kept], pred[b][kept])
        np.testing.assert_allclose(scores[b], expected, atol=1e-12)


def test_score_of_a_hand_made_case():
    # n=4; pairs together: true {01}{23}, pred {012}{3}.
    # S=2, A=6, B=4, E=6*4/12=2, so (2-2)/(5-2) = 0.
    assert _score([0, 0, 1, 1], [0, 0, 0, 1]) == pytest.approx(0.0)
    # n=6: S=2+2=4, A=3*2*2=12, B=2*3=6, E=12*6/30=2.4 -> 1.6/6.6.
    true, pred = [0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 0, 1]
    assert _score(true, pred) == pytest.approx(1.6 / 6.6)


def test_ignored_pixels_change_no_score():
    true, pred = _random_ids(3)
    rng = np.random.default_rng(0)
    hidden = rng.random(true.shape) < 0.3
    ignoring = rand_index.rand_scores(
        np.where(hidden, 255, true).astype(np.uint8), pred
    )
    other = np.where(hidden, (pred + 1) % 4, pred)
    same = rand_index.rand_scores(np.where(hidden, 255, true), other)
    for name, values in ignoring.items():
        np.testing.assert_array_equal(values, same[name], err_msg=name)
    frame = ~hidden[0, 0]
    expected = adjusted_rand_score(true[0, 0][frame], pred[0, 0][frame])
    scores = rand_index.adjusted_rand_index(np.where(hidden, 255, true), pred)
    np.testing.assert_allclose(scores[0, 0], expected, atol=1e-12)


def test_f_ari_is_one_when_only_background_differs():
    true = [0, 0, 0, 1, 1, 2, 2]
    pred = [1, 2, 3, 1, 1, 2, 2]
    assert _score(true, pred, foreground_only=True) == 1.0
    assert _score(true, pred) < 1.0


@pytest.mark.parametrize(
    "true, pred, ari, f_ari",
    [
        ([0, 0, 0], [1, 1, 1], 1.0, 1.0),  # no object, one slot
        ([0, 0, 0], [0, 1, 1], 0.0, 1.0),  # no object, two slots
        ([1, 1, 1], [2, 2, 2], 1.0, 1.0),  # one object, one slot
        ([1, 1, 1], [0, 1, 1], 0.0, 0.0),  # one object in two slots
        ([1, 1, 2], [0, 0, 0], 0.0, 0.0),  # two objects in one slot
        ([0, 0, 1], [0, 0, 1], 1.0, 1.0),  # one foreground pixel
        ([255, 255, 255], [0, 1, 2], 1.0, 1.0),  # nothing is counted
        ([1, 2, 3], [2, 1, 0], 1.0, 1.0),  # every pixel by itself in both
        ([255, 1, 2], [0, 1, 1], 0.0, 0.0),
    ],
)
def test_edge_cases_are_decided(true, pred, ari, f_ari):
    assert _score(true, pred) == ari
    assert _score(true, pred, foreground_only=True) == f_ari


def test_a_slot_that_changes_its_object_costs_only_the_clip_score():
    true = np.array([[1, 1, 2, 2], [1, 1, 2, 2]]).reshape(1, 2, 2, 2)
    pred = np.array([[0, 0, 1, 1], [1, 1, 0, 0]]).reshape(1, 2, 2, 2)
    scores = rand_index.rand_scores(true, pred)
    assert scores["f_ari"].item() == 1.0
    assert scores["f_ari_clip"].item() < 0.1


@pytest.mark.parametrize("seed", range(3))
def test_scores_ignore_the_names_of_labels(seed):
    true, pred = _random_ids(seed)
    rng = np.random.default_rng(seed)
    renamed = rng.permutation(4)[pred]
    foreground = np.concatenate([[0], 1 + rng.permutation(4)])[true]
    first = rand_index.rand_scores(true, pred)
    second = rand_index.rand_scores(foreground, renamed)
    for name in first:
        np.testing.assert_allclose(first[name], second[name], atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_ari_is_symmetric_and_at_most_one(seed):
    true, pred = _random_ids(seed)
    forward = rand_index.adjusted_rand_index(true, pred)
    backward = rand_index.adjusted_rand_index(pred, true)
    np.testing.assert_allclose(forward, backward, atol=1e-12)
    assert np.all(forward <= 1.0)


def test_random_labels_score_about_zero():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 5, (8, 4, 32, 32))
    pred = rng.integers(0, 5, (8, 4, 32, 32))
    scores = rand_index.rand_scores(true, pred)
    for name, values in scores.items():
        assert abs(values.mean()) < 0.01, name


def test_spare_labels_change_nothing():
    true, pred = _random_ids(1)
    tight = rand_index.rand_scores(true, pred)
    loose = rand_index.rand_scores(true, pred, num_true=40, num_pred=30)
    for name in tight:
        np.testing.assert_allclose(tight[name], loose[name], atol=1e-12)


def test_ties_go_to_the_lower_slot():
    masks = np.zeros((1, 3, 1, 2, 1), np.float32)
    masks[0, :, 0, 0, 0] = [0.2, 0.4, 0.4]
    masks[0, :, 0, 1, 0] = 1 / 3
    np.testing.assert_array_equal(rand_index.hard_ids(masks), [[[1, 0]]])


def test_long_clips_do_not_overflow():
    # 2.6 million pixels: products of pair counts exceed 64 bits.
    true = np.zeros((1, 40, 256, 256), np.uint8)
    true[..., :128] = 1
    scores = rand_index.rand_scores(true, 1 - true)
    assert all(values.item() == 1.0 for values in scores.values())


@pytest.mark.slow
def test_a_large_batch_takes_under_a_second():
    true, pred = _random_ids(0, shape=(64, 20, 64, 64))
    true, pred = true.astype(np.uint8), pred.astype(np.uint8)
    rand_index.rand_scores(true[:1], pred[:1])
    start = time.process_time()
    rand_index.rand_scores(true, pred)
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(
    "true, pred, message",
    [
        (np.zeros((1, 2, 3, 3), int), np.zeros((1, 2, 3, 4), int), "both be"),
        (np.zeros((1, 1, 2, 2), int), np.zeros((1, 1, 2, 2)), "integers"),
        (np.zeros((1, 0, 2, 2), int), np.zeros((1, 0, 2, 2), int), "at least"),
        (np.zeros((1, 1, 2, 2), int), -np.ones((1, 1, 2, 2), int), "least 0"),
    ],
)
def test_bad_labels_are_named(true, pred, message):
    with pytest.raises(ValueError, match=message):
        rand_index.adjusted_rand_index(true, pred)


def test_a_label_outside_the_range_is_named():
    true, pred = _random_ids(0)
    with pytest.raises(ValueError, match="pred_ids must be .* below 3"):
        rand_index.contingency(true, pred, num_pred=3)
