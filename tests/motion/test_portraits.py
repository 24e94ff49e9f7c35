"""Portraits of animals that stand alone."""

import numpy as np
import pytest
from scipy import ndimage

from tfdecomp.motion.portraits import SHAPE, Album, Portraitist

GREY = 90.0
LONG, WIDE = 16.0, 4.0


def frame_of(places, angles, size=(120, 140), background=GREY):
    """Dark animals with a bright spot on the head, and where they are."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    frame = np.full((*size, 3), background)
    owner = np.zeros(size, np.uint8)
    boxes = []
    for slot, ((top, left), angle) in enumerate(zip(places, angles), 1):
        along = (y - top) * np.cos(angle) + (x - left) * np.sin(angle)
        across = (x - left) * np.cos(angle) - (y - top) * np.sin(angle)
        # Thick towards the head, thin towards the tail.
        wide = WIDE * (1 + 0.6 * along / LONG)
        body = (along / LONG) ** 2 + (across / wide) ** 2 <= 1
        frame[body] = 30.0
        frame[body & (along > 0.5 * LONG)] = [60.0, 50.0, 40.0]
        owner[body] = slot
        rows, columns = np.nonzero(body)
        boxes.append(
            [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        )
    labels, _ = ndimage.label(owner > 0, np.ones((3, 3)))
    slots = np.arange(1, len(boxes) + 1)
    boxes = np.array(boxes, np.float64)
    return frame.astype(np.uint8), owner, labels, boxes, slots


def artist(size=(120, 140), **settings):
    ground = np.full((*size, 3), GREY, np.float32)
    return Portraitist(ground, 2 * LONG, **settings)


@pytest.mark.parametrize("angle", [0.4, 1.3, 2.2, 3.6, 5.1])
def test_an_animal_has_one_portrait_however_it_is_turned(angle):
    first, *_ = artist().take(0, *frame_of([(60, 70)], [0.0]))
    turned, chosen, _ = artist().take(0, *frame_of([(60.3, 70.4)], [angle]))
    assert turned.shape == (1, *SHAPE, 3) and turned.dtype == np.int8
    assert chosen.tolist() == [0]
    # Outlines differ by parts of a pixel; what is inside does not.
    turned = turned.astype(int)
    inside = (first != 0) & (turned != 0)
    assert np.abs(turned - first)[inside].mean() < 2.5
    upside_down = first[:, ::-1, ::-1]
    assert np.abs(turned - upside_down)[inside].mean() > 5.0


def test_the_head_is_above_and_values_are_half_the_difference():
    portrait = artist().take(0, *frame_of([(60, 70)], [0.7]))[0][0]
    rows = np.flatnonzero((portrait != 0).any((1, 2)))
    middle = SHAPE[1] // 2
    head = portrait[rows[4], middle]
    tail = portrait[rows[-4], middle]
    np.testing.assert_allclose(head, [-15, -20, -25], atol=2)
    np.testing.assert_allclose(tail, [-30, -30, -30], atol=2)
    # The rows span one and a half typical lengths.
    assert len(rows) == pytest.approx(SHAPE[0] / 1.5, abs=3)


def test_those_that_touch_have_no_portrait():
    places = [(60, 70), (60, 76), (20, 20)]
    _, chosen, _ = artist().take(0, *frame_of(places, [0.0, 0.0, 1.0]))
    assert chosen.tolist() == [2]


def test_those_whose_boxes_meet_and_that_do_not_touch_have_theirs():
    angle = np.pi / 4
    alone, *_ = artist().take(0, *frame_of([(60, 60)], [angle]))
    parts = frame_of([(60, 60), (54, 73)], [angle, angle])
    boxes = parts[3]
    assert (boxes[0, 2:] > boxes[1, :2]).all()
    beside, chosen, clear = artist().take(0, *parts)
    assert chosen.tolist() == [0, 1] and not clear.any()
    # The neighbour's pixels are left out, and those of the ground near it.
    same = (beside[0] == alone[0]).mean()
    assert same > 0.97 and np.abs(beside[0].astype(int)).max() <= 31


def test_a_neighbour_is_not_in_the_picture():
    alone, *_ = artist().take(0, *frame_of([(60, 60)], [0.0]))
    beside, *_ = artist().take(0, *frame_of([(60, 60), (60, 76)], [0.0, 0.0]))
    assert len(beside) == 2
    np.testing.assert_array_equal(beside[0], alone[0])


def test_portraits_are_as_large_of_frames_twice_as_large():
    frame, owner, labels, boxes, slots = frame_of([(60, 70)], [0.7])
    small, *_ = artist().take(0, frame, owner, labels, boxes, slots)
    double = frame.repeat(2, 0).repeat(2, 1)
    large = Portraitist(artist().background, 4 * LONG)
    portraits, *_ = large.take(0, double, owner, labels, 2 * boxes, slots)
    assert np.abs(portraits.astype(int) - small).mean() < 0.6


def test_an_animal_at_the_border_has_a_portrait_too():
    parts = frame_of([(2, 3), (118, 138)], [0.3, 0.3])
    portraits, chosen, clear = artist().take(0, *parts)
    assert len(portraits) == len(chosen) == 2 and clear.all()
    assert np.isfinite(portraits.astype(float)).all()


def test_few_pixels_and_frames_between_have_none():
    frame, owner, labels, boxes, slots = frame_of([(60, 70)], [0.0])
    every = artist(every=3)
    counts = [
        len(every.take(t, frame, owner, labels, boxes, slots)[1])
        for t in range(7)
    ]
    assert counts == [1, 0, 0, 1, 0, 0, 1]
    few = np.where(np.cumsum(owner > 0).reshape(owner.shape) < 5, owner, 0)
    for less in (few, np.zeros_like(owner)):
        none, *_ = artist().take(0, frame, less, less, boxes, slots)
        assert none.shape == (0, *SHAPE, 3)
    none, *_ = artist().take(0, frame, owner, labels, boxes[:0], slots[:0])
    assert none.shape == (0, *SHAPE, 3)


def test_one_of_whose_thing_another_owns_a_part_has_none():
    frame, owner, labels, boxes, slots = frame_of([(60, 70)], [0.0])
    owner[:56] *= 2
    boxes, slots = boxes.repeat(2, 0), np.array([1, 2])
    _, chosen, _ = artist().take(0, frame, owner, labels, boxes, slots)
    assert chosen.tolist() == []


def test_an_album_knows_detections_by_their_new_numbers():
    album = Album([{0: 7, 2: 8}, {}, {1: 9}], lambda stretch: None)
    kept = [np.array([2, 1, 0]), np.array([], int), np.array([1])]
    now = album.cleaned(kept)
    assert now.rows == [{0: 8, 2: 7}, {}, {0: 9}]
    assert now.outcome is album.outcome


def test_all_of_a_thing_is_shown_if_a_network_owns_a_part_of_it():
    frame, owner, labels, boxes, slots = frame_of([(60, 70)], [0.0])
    whole, *_ = artist().take(0, frame, owner, labels, boxes, slots)
    part = np.where(np.arange(len(owner))[:, None] < 65, owner, 0)
    less, *_ = artist().take(0, frame, part, labels, boxes, slots)
    np.testing.assert_array_equal(less, whole)
