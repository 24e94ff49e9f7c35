"""A score without labels, on boxes made by hand."""

import itertools

import numpy as np
import pytest

from tests.data import moving_footage as footage
from tfdecomp.fitting.score import Score, score
from tfdecomp.prediction.view import View

SIZE, SLOTS = (72, 104), 6
THINGS = ((10, 10, 18, 18), (30, 60, 38, 68), (50, 20, 58, 28))


class Stream:
    """Gives the boxes that it was told, frame by frame.

    Args:
        frames: Per frame of a run a dict of number to box.
    """

    def __init__(self, frames):
        self.frames, self.restarts, self.pictures = frames, 0, []

    def restart(self):
        self.restarts += 1

    def __call__(self, pictures):
        self.pictures.append(pictures)
        count = len(pictures)
        boxes = np.zeros((count, SLOTS, 4), np.float32)
        presence = np.zeros((count, SLOTS), np.float32)
        ids = np.zeros((count, SLOTS), np.int32)
        presence[:, 0] = 1.0  # the background
        for t, frame in enumerate(self.frames):
            for slot, (number, box) in enumerate(frame.items(), 1):
                boxes[t, slot], ids[t, slot] = box, number
                presence[t, slot] = 0.9
        return {"boxes": boxes, "presence": presence, "track_ids": ids}


def _runs(count=2, frames=3, things=THINGS):
    video = np.tile(footage.ground(SIZE), (count, frames, 1, 1, 1))
    for top, left, bottom, right in things:
        video[:, :, top:bottom, left:right] += footage.GAIN
    return video.astype(np.uint8)


def _score(frames, runs=None, **options):
    view = View(SIZE, SIZE, scene=footage.view(SIZE), **options)
    stream = Stream(frames)
    found = score(stream, view, _runs() if runs is None else runs)
    return found, stream


def _frames(boxes=THINGS, first=1):
    """The same boxes in three frames, numbered from `first`."""
    return [dict(enumerate(boxes, first))] * 3


def test_boxes_on_everything_are_worth_one():
    found, stream = _score(_frames())
    assert (found.covered, found.empty) == (1, 0)
    assert (found.doubled, found.restarts) == (0, 0)
    assert found.total == 1
    assert found.rate > 0 and stream.restarts == 2


def test_what_no_box_is_on_is_not_covered():
    found, _ = _score(_frames(THINGS[:2]))
    assert found.covered == pytest.approx(2 / 3)
    assert found.total == pytest.approx(2 / 3)


def test_boxes_on_nothing_are_empty():
    found, _ = _score(_frames((*THINGS, (60, 90, 70, 100))))
    assert found.covered == 1 and found.empty == pytest.approx(1 / 4)
    assert found.total == pytest.approx(3 / 4)


def test_boxes_beyond_the_border_are_empty_and_harmless():
    found, _ = _score(_frames((*THINGS, (-20, -20, -10, -10))))
    assert found.empty == pytest.approx(1 / 4)
    at_the_border = (0, 0, 8, 8)
    runs = _runs(things=(at_the_border,))
    found, _ = _score(_frames(((-3, -3, 7, 7),)), runs)
    assert found.empty == 0 and found.covered == 1


def test_a_box_on_another_ones_thing_is_doubled():
    found, _ = _score(_frames((*THINGS, (11, 11, 19, 19))))
    assert found.doubled == pytest.approx(1 / 4) and found.empty == 0
    # A small one inside of a large one, too.
    found, _ = _score(_frames((*THINGS, (12, 12, 15, 15))))
    assert found.doubled == pytest.approx(1 / 4)


def test_three_boxes_on_one_thing_are_two_too_many():
    found, _ = _score(_frames((THINGS[0],) * 3))
    assert found.doubled == pytest.approx(2 / 3)


def test_boxes_that_overlap_by_less_than_half_are_not_doubled():
    found, _ = _score(_frames((*THINGS, (10, 15, 18, 23))))
    assert found.doubled == 0


def test_new_numbers_are_restarts():
    numbers = ((1, 2, 3), (1, 2, 4), (1, 2, 4))
    frames = [dict(zip(row, THINGS)) for row in numbers]
    found, _ = _score(frames)
    assert found.restarts == pytest.approx(1 / 9)
    # Two that change places keep their numbers in sight.
    numbers = ((1, 2, 3), (2, 1, 3), (1, 2, 3))
    found, _ = _score([dict(zip(row, THINGS)) for row in numbers])
    assert found.restarts == 0


def test_every_frame_all_new_is_the_worst():
    numbers = itertools.count(1)
    frames = [{next(numbers): box for box in THINGS} for _ in range(3)]
    found, _ = _score(frames)
    assert found.restarts == pytest.approx(2 / 3)


def test_no_boxes_at_all_are_worth_nothing():
    found, _ = _score([{}] * 3)
    assert found.covered == 0 and found.total == 0
    assert (found.empty, found.doubled, found.restarts) == (0, 0, 0)


def test_where_nothing_moves_every_box_is_empty():
    found, _ = _score(_frames(), _runs(things=()))
    assert found.empty == 1 and found.total == 0


@pytest.mark.parametrize("shows_difference", [True, False])
def test_the_model_sees_what_the_view_shows(shows_difference):
    runs = _runs()
    _, stream = _score(_frames(), runs, shows_difference=shows_difference)
    (picture, _) = stream.pictures
    assert picture.shape == runs.shape[1:]
    if shows_difference:
        top, left, bottom, right = THINGS[0]
        assert picture[:, top:bottom, left:right].min() == 255
        assert np.mean(picture == 0) > 0.9
    else:
        np.testing.assert_array_equal(picture, runs[0])


def test_a_single_run_is_timed_too():
    found, _ = _score(_frames(), _runs(count=1))
    assert np.isfinite(found.rate) and found.rate > 0


def test_the_total_multiplies_what_is_good():
    found = Score(0.9, 0.1, 0.2, 0.5, 10.0)
    assert found.total == pytest.approx(0.9 * 0.9 * 0.8 * 0.5)


def test_scoring_can_be_stopped_between_runs():
    view = View(SIZE, SIZE, scene=footage.view(SIZE))
    stream, calls = Stream(_frames()), []

    def should_stop():
        calls.append(1)
        return len(calls) == 2

    with pytest.raises(KeyboardInterrupt):
        score(stream, view, _runs(), should_stop)
    assert stream.restarts == 1


@pytest.mark.slow
def test_a_model_that_is_given_the_background_is_scored_with_it():
    from tests.models.tiny import tiny_silot
    from tfdecomp.prediction import stream

    size = (40, 48)
    scene = footage.view(size)
    view = View(size, size, scene=scene, shows_difference=False)
    reader = stream.Stream(
        tiny_silot.tiny(1, background="given"),
        5,
        None,
        ("boxes", "presence", "track_ids"),
        stream.given_of(scene),
    )
    runs = [footage.run(number, 2, 6, size) for number in range(2)]
    assert np.isfinite(score(reader, view, runs).total)
