"""What the first pass makes of a model's masks."""

import numpy as np

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


def _two_things():
    """One of twelve pixels on the left, one of nine on the right."""
    mask = np.zeros((6, 12), bool)
    mask[1:4, 1:5] = True
    mask[2:5, 8:11] = True
    return mask, blobs.find(mask)


def test_a_slot_on_nothing_that_moves_is_no_object():
    mask, moving = _two_things()
    owner = np.where(np.arange(12) < 6, 1, 2) * mask
    presence = np.array([0, 0.9, 0.8, 0.99])
    after, left = finding._without_guesses(owner, presence, moving)
    assert left.tolist() == [0, 0.9, 0.8, 0]
    assert after.tolist() == owner.tolist()
    assert presence[3] == 0.99  # the model's own figures stay


def test_a_slot_alone_in_a_thing_has_all_of_it():
    mask, moving = _two_things()
    whole = np.where(np.arange(12) < 6, 1, 2) * mask
    owner = whole.copy()
    owner[:2] = 0  # a third of the left one
    owner[2, 8] = 0
    presence = np.array([0, 0.9, 0.8])
    after, _ = finding._without_guesses(owner, presence, moving)
    assert after.tolist() == whole.tolist()
    assert after.dtype == owner.dtype


def test_two_slots_in_a_thing_keep_what_each_has_of_it():
    mask, moving = _two_things()
    owner = np.where(np.arange(12) < 3, 1, 2) * mask
    owner[:, 6:] = 0
    owner[1, 4] = 0
    presence = np.array([0, 0.9, 0.8])
    after, left = finding._without_guesses(owner, presence, moving)
    assert after.tolist() == owner.tolist()
    assert left.tolist() == presence.tolist()


def test_a_thing_of_which_a_slot_has_next_to_nothing_is_not_its_own():
    _, moving = _two_things()
    owner = np.zeros((6, 12), int)
    owner[1, 1] = 1
    after, _ = finding._without_guesses(owner, np.array([0, 0.9]), moving)
    assert after.tolist() == owner.tolist()


def test_where_nothing_moves_there_is_nobody():
    nothing = np.zeros((6, 12), int)
    moving = blobs.find(nothing > 0)
    after, left = finding._without_guesses(nothing, np.array([0, 0.9]), moving)
    assert not after.any() and not left.any()
