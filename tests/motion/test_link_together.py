"""What parts later was several before; what is one thing stays one."""

import numpy as np
import pytest

from tests.motion import animals
from tfdecomp.motion.detections import FILLED
from tfdecomp.motion.linking import link

SIZE = (160, 200)
FRAMES = 80


class Pair:
    """Two that come nearer and grow, one blob until their ways part.

    Args:
        apart: `[T, 2]` way from the first to the second, in own sides.
    """

    def __init__(self, apart):
        steps = np.arange(FRAMES)[:, None]
        side = 10.0 + 0.1 * steps
        first = 30.0 + steps * [1.0, 0.8]
        second = first + side * apart
        centres = np.stack([first, second], 1)
        self.places = np.concatenate(
            [centres - side[:, None] / 2, centres + side[:, None] / 2], -1
        )
        gap = np.abs(apart).max(-1)
        self.is_one = gap < 1.2

    def foreground(self, time):
        mask = np.zeros(SIZE, bool)
        for box in np.rint(self.places[time]).astype(int):
            mask[box[0] : box[2], box[1] : box[3]] = True
        return mask, 1.0

    def found(self):
        result = []
        for time, boxes in enumerate(self.places):
            if self.is_one[time]:
                low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
                boxes = np.concatenate([low, high])[None]
            areas = np.full(len(boxes), float(self.foreground(time)[0].sum()))
            result.append(animals.found(boxes, areas / len(boxes)))
        return result

    def linked(self, backwards=False):
        order = slice(None, None, -1 if backwards else 1)
        return link(
            self.found()[order],
            foreground=lambda t: self.foreground(
                FRAMES - 1 - t if backwards else t
            ),
            frame_size=SIZE,
        )[order]


def way(later):
    """`[T, 2]`: beside each other for 50 frames, then on ways of their own."""
    steps = np.arange(FRAMES)
    turn = 0.4 * steps / FRAMES
    near = 1.05 * np.stack([np.sin(turn), np.cos(turn)], -1)
    gone = np.maximum(steps - 50, 0)[:, None]
    return near + gone * np.asarray(later)


def overlap(one, two):
    low = np.maximum(one[..., :2], two[..., :2])
    high = np.minimum(one[..., 2:], two[..., 2:])
    shared = np.maximum(high - low, 0).prod(-1)
    areas = [(b[..., 2:] - b[..., :2]).prod(-1) for b in (one, two)]
    return shared / (areas[0] + areas[1] - shared)


@pytest.mark.parametrize("backwards", [False, True])
def test_two_that_part_or_leave_as_one_have_a_box_each_all_the_while(backwards):
    pair = Pair(way([0.0, 0.06]))
    assert 50 <= pair.is_one.sum() <= 60
    linked = pair.linked(backwards)
    assert {tuple(frame.ids.tolist()) for frame in linked} in (
        {(1, 2)},
        {(2, 1)},
    )
    boxes = np.stack([f.boxes[np.argsort(f.boxes[:, 1])] for f in linked])
    assert (overlap(boxes, pair.places) > 0.7).mean() > 0.95
    together = np.stack([f.sources for f in linked])[pair.is_one]
    assert (together == FILLED).all()
    doubts = np.stack([f.doubts for f in linked])[pair.is_one]
    assert (doubts > 0).all() and doubts.max() <= 0.9


def test_parts_of_one_that_keep_their_places_are_not_two_from_the_beginning():
    apart = way([0.0, 0.0])
    apart[60:, 1] += 0.2  # a crack
    pair = Pair(apart)
    linked = pair.linked()
    assert all(len(frame.ids) == 1 for frame in linked[:60])


def test_one_that_another_one_came_to_is_one_before():
    apart = way([0.0, 0.06])
    apart[:20] = apart[20] + np.arange(20, 0, -1)[:, None] * [0.0, 0.06]
    pair = Pair(apart)
    found = pair.found()
    for time in range(19):  # the second is not seen until it is there
        found[time] = found[time].take(np.array([0]))
    linked = link(found, foreground=pair.foreground, frame_size=SIZE)
    assert all(len(frame.ids) == 1 for frame in linked[:15])
    assert all(len(frame.ids) == 2 for frame in linked[25:])
    assert len({i for frame in linked for i in frame.ids.tolist()}) == 2


def test_three_that_part_one_after_the_other_are_three_all_the_while():
    steps = np.arange(FRAMES)[:, None]
    first = 30.0 + steps * [0.5, 0.5]
    second = first + [0, 13] + np.maximum(steps - 50, 0) * [0.0, 1.0]
    third = second + [0, 13] + np.maximum(steps - 30, 0) * [0.5, 0.5]
    centres = np.stack([first, second, third], 1)
    places = np.concatenate([centres - 6, centres + 6], -1)

    def foreground(time):
        mask = np.zeros(SIZE, bool)
        for box in np.rint(places[time]).astype(int):
            mask[box[0] : box[2], box[1] : box[3]] = True
        return mask, 1.0

    found = []
    for time, boxes in enumerate(places):
        groups = [[0, 1, 2]] if time < 34 else [[0, 1], [2]]
        groups = [[0], [1], [2]] if time > 52 else groups
        merged = [[*boxes[g, :2].min(0), *boxes[g, 2:].max(0)] for g in groups]
        areas = np.array([144.0 * len(g) for g in groups])
        found.append(animals.found(merged, areas))
    linked = link(found, foreground=foreground, frame_size=SIZE)
    assert all(len(frame.ids) == 3 for frame in linked)
    assert len({i for frame in linked for i in frame.ids.tolist()}) == 3
