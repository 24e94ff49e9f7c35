"""What the first pass makes of a model's masks."""

import types

import numpy as np
import pytest

from tfdecomp.motion import blobs
from tfdecomp.prediction import finding


def test_a_mask_that_leaks_onto_a_neighbour_is_cut_where_nothing_joins_them():
    labels = np.array([[1, 1, 0, 2, 2, 2], [1, 1, 0, 2, 2, 0]])
    owner = np.array([[5, 5, 0, 5, 3, 3], [5, 5, 0, 3, 3, 0]])
    parted = finding._parted(owner, labels)
    assert parted.dtype == owner.dtype
    assert parted.tolist() == [[5, 5, 0, 3, 3, 3], [5, 5, 0, 3, 3, 0]]


def test_pieces_of_one_object_stay_its_own_if_nobody_else_is_there():
    labels = np.array([[1, 1, 0, 2]])
    owner = np.array([[4, 4, 0, 4]])
    assert finding._parted(owner, labels).tolist() == owner.tolist()


def test_two_in_one_thing_both_keep_their_part_of_it():
    labels = np.array([[1, 1, 1, 1, 0]])
    owner = np.array([[2, 2, 6, 6, 0]])
    assert finding._parted(owner, labels).tolist() == owner.tolist()


def test_a_picture_in_which_nothing_moves_has_no_owners():
    nothing = np.zeros((3, 4), int)
    assert not finding._parted(nothing, nothing).any()


def things(*places, size=(40, 60)):
    """`Blobs` of full boxes `(ymin, xmin, ymax, xmax)`."""
    mask = np.zeros(size, bool)
    for top, left, bottom, right in places:
        mask[top:bottom, left:right] = True
    return blobs.find(mask)


def test_two_things_far_apart_are_not_both_in_one_slot():
    moving = things((2, 2, 12, 20), (20, 30, 28, 44))
    owner = 7 * (moving.labels > 0)
    released = finding._released(owner, moving)
    assert (released[moving.labels == 1] == 7).all()
    assert not released[moving.labels == 2].any()
    again, extra = finding._unexplained(released, moving, 9)
    assert extra == 1 and (again[moving.labels == 2] == 9).all()


@pytest.mark.parametrize(
    "other",
    [(2, 23, 12, 40), (15, 2, 25, 18)],
    ids=["behind a pole", "behind a fence"],
)
def test_parts_beside_each_other_stay_in_one_slot(other):
    moving = things((2, 2, 12, 20), other)
    owner = 7 * (moving.labels > 0)
    assert finding._released(owner, moving) is owner


def test_a_slot_that_leaks_onto_a_thing_far_away_keeps_what_is_another_s():
    moving = things((2, 2, 12, 20), (20, 30, 28, 44))
    owner = 7 * (moving.labels == 1) + 3 * (moving.labels == 2)
    owner[20:28, 30:34] = 7
    assert finding._released(owner, moving) is owner
    assert not finding._released(0 * owner, moving).any()
    nothing = things()
    assert not finding._released(np.zeros((40, 60), int), nothing).any()


def test_a_slot_on_nothing_that_moves_is_no_object():
    owner = np.zeros((6, 12), int)
    owner[1:4, 1:5], owner[2:5, 8:11] = 1, 2
    presence = np.array([0, 0.9, 0.8, 0.99])
    left = finding._of_what_moves(owner, presence)
    assert left.tolist() == [0, 0.9, 0.8, 0]
    assert presence[3] == 0.99  # the model's own figures stay
    assert not finding._of_what_moves(0 * owner, presence).any()


def test_what_has_a_thing_to_itself_is_as_sure_as_what_nobody_explains():
    moving = things((2, 0, 12, 3), (20, 30, 28, 44))
    owner = 1 * (moving.labels == 1) + 2 * (moving.labels == 2)
    owner[20:28, 40:44] = 3
    presence = np.array([0, 0.15, 0.9, 0.2, 0.1])
    found = finding._of_own_things(owner, moving, presence)
    # The third has a part of another's thing, the fourth nothing.
    assert found.tolist() == [0, finding.UNEXPLAINED, 0.9, 0.2, 0.1]


@pytest.mark.parametrize(
    "joins, difference, size",
    [(True, True, 0), (True, False, 3), (False, True, 3)],
)
def test_a_difference_tells_those_that_come_and_go_not_apart(
    joins, difference, size
):
    model = types.SimpleNamespace(num_slots=2)
    stream = types.SimpleNamespace(num_slots=2, model=model)
    view = types.SimpleNamespace(size=(4, 4), shows_difference=difference)
    finder = finding.Finder(stream, view, joins=joins)
    looks = finder._looks({"slots": np.ones((2, 3))}, np.ones(3))
    assert looks.shape == (3, size)  # one more that no slot explains
