"""Tracks: pairs of boxes, boxes of labels, and what is refused."""

import numpy as np
import pytest

from tests.metrics import track_scenes
from tfdecomp.metrics import tracks


def test_pairs_are_those_of_a_plain_loop():
    scene = track_scenes.scene()
    for b, clip in enumerate(tracks.pair(**scene)):
        expected = list(track_scenes.frames(scene, b))
        names = sorted({i for row in expected for i in row[1]})
        assert clip.num_found == len(names)
        assert clip.true_boxes == sum(len(row[0]) for row in expected)
        assert clip.found_boxes == sum(len(row[1]) for row in expected)
        for frame, (_, found, iou) in zip(clip.frames, expected):
            assert [names[n] for n in frame.found] == found
            np.testing.assert_allclose(frame.iou, iou, atol=1e-12)


def test_boxes_of_labels_hold_their_pixels_and_no_more():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 60, (2, 3, 9, 7))
    boxes, present = tracks.label_boxes(labels, 40)
    for place in np.ndindex(present.shape):
        rows, columns = np.nonzero(labels[place[:2]] == place[2])
        assert present[place] == (len(rows) > 0)
        expected = np.zeros(4)
        if len(rows):
            expected[:2] = rows.min(), columns.min()
            expected[2:] = rows.max() + 1, columns.max() + 1
        np.testing.assert_array_equal(boxes[place], expected)
    assert not present.all() and present.any()


def test_a_single_pixel_has_a_box_of_one_pixel():
    labels = np.zeros((1, 1, 4, 4), int)
    labels[0, 0, 2, 3] = 1
    boxes, _ = tracks.label_boxes(labels, 2)
    np.testing.assert_array_equal(boxes[0, 0, 1], [2, 3, 3, 4])


def test_slots_are_tracks_and_the_background_is_none():
    slots = np.array([[[[0, 0, 2]], [[2, 2, 2]]]])
    boxes, ids = tracks.tracks_of_slots(slots, 4, background=[0])
    np.testing.assert_array_equal(ids, [[[0, 0, 3, 0], [0, 0, 3, 0]]])
    np.testing.assert_array_equal(boxes[0, :, 2], [[0, 2, 1, 3], [0, 0, 1, 3]])
    _, ids = tracks.tracks_of_slots(slots, 4, background=[2])
    np.testing.assert_array_equal(ids, [[[1, 0, 0, 0], [0, 0, 0, 0]]])


def test_a_segmentation_s_labels_are_tracks_and_ignored_pixels_are_none():
    labels = np.array([[[[0, 3, 255]], [[1, 0, 255]]]], np.uint8)
    for given in (labels, labels[..., None]):
        boxes, ids = tracks.tracks_of_segmentation(given)
        np.testing.assert_array_equal(ids, [[[0, 0, 3], [1, 0, 0]]])
        np.testing.assert_array_equal(boxes[0, 0, 2], [0, 1, 1, 2])
    nothing = np.full((1, 2, 3, 3), 255, np.uint8)
    assert tracks.tracks_of_segmentation(nothing)[1].shape == (1, 2, 0)


def test_stored_boxes_are_tracks_where_they_are_not_empty():
    boxes = [[[[0, 0, 2, 2], [0, 0, 0, 0]], [[0, 0, 2, 0], [1, 1, 2, 2]]]]
    _, ids = tracks.tracks_of_boxes(boxes)
    np.testing.assert_array_equal(ids, [[[1, 0], [0, 2]]])


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"boxes": np.zeros((2, 3, 4))}, r"expected boxes \[B, T, N, 4\]"),
        ({"boxes": np.zeros((1, 2, 3, 5))}, r"expected boxes \[B, T, N, 4\]"),
        ({"ids": np.zeros((1, 2, 4), int)}, r"and ids \[B, T, N\], got"),
        ({"true_ids": np.zeros((1, 2, 3))}, "true_ids must be integers"),
        ({"ids": np.full((1, 2, 3), -1)}, "ids must be integers from 0"),
        ({"ids": np.ones((1, 2, 3), int)}, "ids has 1 more than once in fr"),
        ({"boxes": np.full((1, 2, 3, 4), np.nan)}, "boxes must be .ymin"),
        (
            {"true_boxes": np.tile([3.0, 0, 2, 2], (1, 2, 3, 1))},
            "true_boxes must be .ymin",
        ),
        (
            {
                "boxes": np.zeros((1, 3, 3, 4)),
                "ids": np.zeros((1, 3, 3), int),
            },
            "of the same clips and frames",
        ),
    ],
)
def test_what_is_no_track_is_refused(changes, message):
    ids = np.tile([1, 2, 0], (1, 2, 1))
    given = {
        "boxes": np.ones((1, 2, 3, 4)),
        "ids": ids,
        "true_boxes": np.ones((1, 2, 3, 4)),
        "true_ids": ids,
    }
    assert tracks.pair(**given)
    with pytest.raises(ValueError, match=message):
        tracks.pair(**given | changes)


def test_boxes_that_are_not_in_use_may_be_anything():
    boxes = np.full((1, 1, 2, 4), np.nan)
    boxes[0, 0, 0] = [0, 0, 1, 1]
    ids = np.array([[[5, 0]]])
    (clip,) = tracks.pair(boxes, ids, boxes, ids)
    np.testing.assert_array_equal(clip.frames[0].iou, [[1.0]])
