"""Tracks over a video, read back from their pixels."""

import numpy as np
import pytest

from tfdecomp.visualization import palette, tracks

SIDE, SCALE = 20, 10


def _draw(boxes, ids, **arguments):
    """Over black frames of 20 pixels, each enlarged to ten."""
    boxes, ids = np.array(boxes, float), np.array(ids)
    frames = np.zeros((len(ids), SIDE, SIDE, 3), np.uint8)
    return tracks.draw(frames, boxes, ids, min_side=SIDE * SCALE, **arguments)


def _painted(picture, number):
    """Pixels of the colour of a track."""
    color = palette.slot_colors(number)[number - 1]
    return np.all(picture == color, axis=-1)


def _edge(picture, number, box):
    """Share of the outermost pixels of a box that have its colour."""
    y, x, y2, x2 = (np.array(box) * SCALE).astype(int)
    inside = _painted(picture, number)[y:y2, x:x2]
    line = [inside[0], inside[-1], inside[:, 0], inside[:, -1]]
    return np.concatenate(line).mean()


def test_a_box_is_where_its_edges_are():
    picture = _draw([[[4, 6, 10, 14]]] * 2, [[3]] * 2, trail=0)[1]
    rows, columns = np.nonzero(_painted(picture, 3)[40:])
    assert (rows.min() + 40, rows.max() + 41) == (40, 100)
    assert (columns.min(), columns.max() + 1) == (60, 140)
    assert not _painted(picture, 3)[45:95, 65:135].any()


def test_a_box_is_dashed_where_it_appears_and_solid_from_then_on():
    box = [8, 4, 16, 14]
    boxes, ids = [[box, box]] * 4, [[0, 0], [2, 0], [0, 2], [0, 2]]
    pictures = _draw(boxes, ids, trail=0)
    shares = [_edge(picture, 2, box) for picture in pictures]
    assert shares[0] == 0
    assert 0.4 < shares[1] < 0.8
    # Another slot, and a frame without it, make it no new track.
    assert shares[2:] == [1, 1]
    ids[2] = [0, 0]
    assert _edge(_draw(boxes, ids, trail=0)[3], 2, box) == 1


def test_another_number_is_another_colour_and_dashed_again():
    box = [8, 4, 16, 14]
    pictures = _draw([[box]] * 3, [[1], [1], [2]], trail=0)
    assert _edge(pictures[1], 1, box) == 1
    assert _edge(pictures[2], 1, box) == 0
    assert 0.4 < _edge(pictures[2], 2, box) < 0.8


def test_the_number_stands_at_its_box_and_within_the_frame():
    for box in ([8, 4, 16, 14], [0, 0, 6, 6], [14, 17, 20, 20]):
        picture = _draw([[box]] * 2, [[7]] * 2, trail=0)[1]
        first = _draw([[box]] * 2, [[1]] * 2, trail=0)[1]
        seven, one = _painted(picture, 7), _painted(first, 1)
        assert np.any(seven != one)  # the digits differ
        assert np.any(np.all(picture == 255, -1) | np.all(picture == 0, -1))
        assert seven.sum() > 300


def test_a_trail_goes_through_the_centres_of_the_frames_before():
    boxes = [[[2, x, 6, x + 4]] for x in (0, 4, 8, 12)]
    pictures = _draw(boxes, [[1]] * 4)
    lit = pictures[3].any(-1)
    assert lit[40, 20:140].all()
    assert not _draw(boxes, [[1]] * 4, trail=0)[3].any(-1)[40, 20:115].any()
    short = _draw(boxes, [[1]] * 4, trail=1)[3].any(-1)
    assert short[40, 100:140].all() and not short[40, 20:95].any()


def test_a_trail_has_a_gap_where_the_track_was_lost():
    boxes = [[[2, x, 6, x + 4]] for x in (0, 4, 8, 12)]
    lit = _draw(boxes, [[1], [0], [1], [1]])[3].any(-1)
    assert lit[40, 100:140].all() and not lit[40, 20:95].any()


@pytest.mark.parametrize(
    "box", [[-5, -5, 3, 3], [18, 18, 30, 30], [-9, -9, -2, -2], [3, 3, 3, 3]]
)
def test_boxes_beyond_the_frame_or_without_area_are_no_trouble(box):
    picture = _draw([[box]] * 3, [[1]] * 3)
    assert picture.shape == (3, SIDE * SCALE, SIDE * SCALE, 3)


def _video(frames=4):
    return np.zeros((frames, 12, 12, 3), np.uint8)


def test_panels_are_what_is_given():
    boxes, ids = np.tile([2.0, 2, 8, 8], (4, 1, 1)), np.ones((4, 1), int)
    one = tracks.tracks(_video(), boxes, ids)
    three = tracks.tracks(
        _video(), boxes, ids, _video() / 255.0, boxes[:, :0], ids[:, :0]
    )
    assert len(one) == len(three) == 4
    assert one.dtype == three.dtype == np.uint8
    assert three.shape[2] > 2.9 * one.shape[2]
    assert all(side % 2 == 0 for side in one.shape[1:3] + three.shape[1:3])


def test_predicted_frames_have_an_orange_edge_and_need_no_true_ones():
    boxes, ids = np.tile([2.0, 2, 8, 8], (6, 1, 1)), np.ones((6, 1), int)
    video = tracks.tracks(
        _video(4), boxes, ids, true_boxes=boxes, true_ids=ids, num_observed=3
    )
    orange = np.all(video == (213, 94, 0), axis=-1).any((1, 2))
    np.testing.assert_array_equal(orange, np.arange(6) >= 3)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"expected boxes \[T, K, 4\]"):
        tracks.tracks(_video(), np.zeros((4, 2, 3)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"true_ids \[T, K\], got"):
        tracks.tracks(
            _video(),
            np.zeros((4, 2, 4)),
            np.zeros((4, 2), int),
            true_boxes=np.zeros((4, 2, 4)),
            true_ids=np.zeros((4, 3)),
        )
