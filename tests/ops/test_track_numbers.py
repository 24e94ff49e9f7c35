"""Numbers of tracks against a loop over slots."""

import numpy as np

from tfdecomp.ops import track_numbers


def by_loop(before, last, is_present, is_new):
    ids, shown = before.copy(), np.zeros_like(before)
    last = last.copy()
    for b, k in np.ndindex(before.shape):
        if is_new[b, k]:
            ids[b, k] = 0
            if is_present[b, k]:
                last[b] += 1
                ids[b, k] = last[b]
        if is_present[b, k]:
            shown[b, k] = ids[b, k]
    return ids, last, shown


def test_new_objects_that_are_present_get_the_next_numbers():
    rng = np.random.default_rng(0)
    for slots in (1, 5):
        shape = (20, slots)
        arguments = (
            rng.integers(0, 4, shape).astype(np.int32),
            rng.integers(4, 9, 20).astype(np.int32),
            rng.random(shape) < 0.5,
            rng.random(shape) < 0.5,
        )
        found = track_numbers.give(*arguments)
        for value, expected in zip(found, by_loop(*arguments)):
            np.testing.assert_array_equal(value, expected)
