"""Blobs followed from frame to frame, as far as sizes and speeds allow.

    place expected of a track = where it was last + its velocity
    tracks and blobs belong together so that in sum
        distance from the place expected / reach + how much the area changed
    is least

Everything that a frame leaves to the next is in a `State`.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from tfdecomp.motion import blobs as blobs_lib

_RESTLESS = 0.5  # share of a velocity that the last step makes up
_SPECK = 0.1  # of a rather small object's area, what is none
_WIDTH = 8  # objects are sought from a few pixels on: cracks of two are closed
_APART = 1e3  # cost of pairs that cannot belong together
_RISE, _FALL = 0.2, 0.02  # shares of the way to larger and smaller sizes


class State(NamedTuple):
    """What is known after a frame, of `K` object slots and the video.

    Attributes:
        ids: `[K]` int32, 0 is no track.
        missed: `[K]` int32 frames since a track was seen.
        centres: `[K, 2]` float32 `(y, x)`, where it was seen last.
        velocities: `[K, 2]` float32 pixels per frame.
        areas: `[K]` float32.
        lengths: `[K]` float32.
        typical: `[2]` float32 area of an object that is rather small, and
            the speed of one that is rather fast; 0 before the first.
        next_id: `[]` int32, the first that was never given.
    """

    ids: np.ndarray
    missed: np.ndarray
    centres: np.ndarray
    velocities: np.ndarray
    areas: np.ndarray
    lengths: np.ndarray
    typical: np.ndarray
    next_id: np.ndarray


def start(num_slots) -> State:
    """The state before the first frame."""
    return State(
        np.zeros(num_slots, np.int32),
        np.zeros(num_slots, np.int32),
        np.zeros((num_slots, 2), np.float32),
        np.zeros((num_slots, 2), np.float32),
        np.zeros(num_slots, np.float32),
        np.zeros(num_slots, np.float32),
        np.zeros(2, np.float32),
        np.int32(1),
    )


def find(difference, threshold, state, min_area=None, max_area=None):
    """Blobs of a frame, without what is far smaller than usual.

    Args:
        difference: `[H, W]`.
        threshold: `[H, W]` or a number.
        state: The `State` before the frame.
        min_area: Least pixels; None: a share of what is usual so far.
        max_area: Most pixels; None: any.

    Returns:
        `(Blobs, state)` with sizes brought up to date.
    """
    area, speed = state.typical
    found = blobs_lib.find(
        difference,
        threshold,
        min_area=min_area or 3,
        max_area=max_area,
        width=_WIDTH,
    )
    if not len(found):
        return found, state
    area = _towards(area, _small(found.areas, found.areas * found.levels))
    if min_area is None:
        found = found.take(found.areas >= _SPECK * area)
    typical = np.array([area, speed], np.float32)
    return found, state._replace(typical=typical)


def _small(values, mass):
    """A fifth of the mass is in those with at most this value."""
    order = np.argsort(values, kind="stable")
    total = np.cumsum(mass[order])
    return values[order][np.searchsorted(total, 0.2 * total[-1])]


def _towards(old, new):
    if not old:
        return new
    return old + (_RISE if new > old else _FALL) * (new - old)


def link(found, state, patience):
    """Gives blobs tracks and slots.

    Where blobs are more than slots, the largest are taken. A track that is
    not seen keeps its slot for a while, unless a new one needs it.

    Args:
        found: `Blobs`.
        state: The `State` before the frame.
        patience: Frames that a track may go unseen.

    Returns:
        `(slots [n], state)`; slots count from 0, -1 for blobs without one.
    """
    number = len(state.ids)
    slots = np.full(len(found), -1)
    taken = np.argsort(-found.areas, kind="stable")[:number]
    (running,) = np.nonzero(state.ids)
    blobs, tracks = _match(found, taken, state, running)
    slots[blobs] = tracks
    fresh = np.sort(taken[slots[taken] < 0])
    slots[fresh] = _free(state, slots)[: len(fresh)]
    state = _seen(found, blobs, tracks, state)
    return slots, _born(found, fresh, slots[fresh], _aged(state, patience))


def _match(found, taken, state, running):
    """`(blobs, slots)` that belong together."""
    if not len(taken) or not len(running):
        return np.zeros(0, int), np.zeros(0, int)
    velocities = state.velocities[running]
    gone = state.missed[running, None] + 1
    expected = state.centres[running] + gone * velocities
    distance = np.linalg.norm(found.centres[taken][:, None] - expected, axis=-1)
    speed = np.linalg.norm(velocities, axis=1)
    # An object turns within its length, and changes its step by about a step.
    reach = state.lengths[running] + gone[:, 0] * np.maximum(
        speed, state.typical[1]
    )
    change = np.log(found.areas[taken][:, None] / state.areas[running])
    cost = distance / reach + 0.25 * np.abs(change)
    cost = np.where(distance > reach, _APART, cost)
    rows, columns = linear_sum_assignment(cost)
    good = cost[rows, columns] < _APART
    return taken[rows[good]], running[columns[good]]


def _free(state, slots):
    """Slots for new tracks: empty ones, then those unseen for longest."""
    others = np.setdiff1d(np.arange(len(state.ids)), slots)
    unseen = np.where(state.ids[others] > 0, state.missed[others] + 1, 1 << 30)
    return others[np.argsort(-unseen, kind="stable")]


def _seen(found, blobs, tracks, state):
    """The state with the tracks of these slots moved to their blobs."""
    centres, velocities = state.centres.copy(), state.velocities.copy()
    areas, lengths = state.areas.copy(), state.lengths.copy()
    missed, typical = state.missed + 1, state.typical.copy()
    gone = missed[tracks, None]
    steps = (found.centres[blobs] - centres[tracks]) / gone
    is_new = ~velocities[tracks].any(1, keepdims=True)
    share = np.where(is_new, 1.0, _RESTLESS)
    velocities[tracks] += share * (steps - velocities[tracks])
    centres[tracks], areas[tracks] = found.centres[blobs], found.areas[blobs]
    # What is cut off or hidden for a moment is still as long as it was.
    now = found.axes[blobs, 0]
    lengths[tracks] = np.maximum(now, 0.9 * lengths[tracks] + 0.1 * now)
    missed[tracks] = 0
    if len(tracks):
        speeds = np.linalg.norm(steps, axis=1)
        typical[1] = _towards(typical[1], np.quantile(speeds, 0.9))
    return state._replace(
        missed=missed.astype(np.int32),
        centres=centres,
        velocities=velocities,
        areas=areas,
        lengths=lengths,
        typical=typical,
    )


def _aged(state, patience):
    """Without the tracks that went unseen for too long."""
    ids = np.where(state.missed > patience, 0, state.ids)
    return state._replace(ids=ids.astype(np.int32))


def _born(found, fresh, slots, state):
    """With new tracks for these blobs."""
    state = State(*(np.copy(part) for part in state))
    state.ids[slots] = state.next_id + np.arange(len(fresh))
    state.missed[slots] = 0
    state.centres[slots] = found.centres[fresh]
    state.velocities[slots] = 0
    state.areas[slots] = found.areas[fresh]
    state.lengths[slots] = found.axes[fresh, 0]
    return state._replace(next_id=np.int32(state.next_id + len(fresh)))
