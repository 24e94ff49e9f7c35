"""Who is who after meetings, by motion and looks together."""

import itertools

import numpy as np
import pytest

from tests.motion import animals
from tfdecomp.motion.linking import link
from tfdecomp.motion.linking.link_fill import Tracks
from tfdecomp.motion.linking.meetings import link_orders
from tfdecomp.motion.linking.meetings.link_identities import merged, reconsider
from tfdecomp.motion.linking.meetings.link_meetings import Decision
from tfdecomp.motion.linking.meetings.link_orders import Meetings
from tfdecomp.motion.linking.meetings.link_stretches import (
    Stretches,
    StretchLooks,
)
from tfdecomp.motion.portraits import Album

FRAMES = 120


def decision(first, last, members, cost):
    members = np.array(members)
    doubts = np.zeros((last - first + 1, len(members)))
    return Decision(first, last, members, np.array(cost, float), doubts)


def video(decisions, orders, *, count, seed=0, looks=3.0, dim=3):
    """Tracks, one portrait a frame each, and features.

    At each decision animals changed places by `orders`, which motion does
    not know; looks tell them apart by so many deviations.
    """
    random = np.random.default_rng(seed)
    own = looks * random.normal(size=(count, dim))
    tracks = Tracks(FRAMES, count)
    tracks.sources[:] = np.arange(count)
    who = np.tile(np.arange(count), (FRAMES, 1))
    for one, order in zip(decisions, orders):
        after = who[-1].copy()
        after[one.members] = after[one.members[np.array(order)]]
        who[one.last :] = after
        tracks.sources[one.first + 1 : one.last, one.members] = -1
    rows, features = [], []
    for time in range(FRAMES):
        rows.append({})
        for track in np.flatnonzero(tracks.sources[time] >= 0).tolist():
            rows[-1][track] = len(features)
            features.append(own[who[time, track]] + random.normal(size=dim))
    return tracks, rows, np.array(features)


UNSURE = [[0.0, 1.0], [1.0, 0.0]]


def test_an_exchange_that_motion_missed_is_found_by_looks():
    decisions = [
        decision(20, 24, [0, 1], UNSURE),
        decision(50, 54, [1, 2], UNSURE),
        decision(80, 84, [0, 2], UNSURE),
    ]
    truth = [[0, 1], [1, 0], [0, 1]]
    tracks, rows, features = video(decisions, truth, count=3)
    orders, margins = reconsider(decisions, tracks, rows, lambda _: features)
    assert [o.tolist() for o in orders] == truth
    assert (margins > 3).all()


def test_three_that_changed_places_in_a_ring_are_found():
    cost = 2.0 * (1 - np.eye(3))
    decisions = [
        decision(15, 19, [0, 1, 2], cost),
        decision(70, 75, [1, 2, 3], cost),
    ]
    truth = [[1, 2, 0], [0, 1, 2]]
    tracks, rows, features = video(decisions, truth, count=4)
    orders, _ = reconsider(decisions, tracks, rows, lambda _: features)
    assert [o.tolist() for o in orders] == truth


@pytest.mark.parametrize("seed", range(5))
def test_looks_that_tell_nothing_leave_what_motion_is_sure_of(seed):
    sure = [[0.0, 15.0], [15.0, 0.0]]
    decisions = [
        decision(20, 24, [0, 1], sure),
        decision(50, 54, [1, 2], sure),
        decision(80, 84, [0, 2], sure),
    ]
    tracks, rows, features = video(
        decisions, [[0, 1]] * 3, count=3, seed=seed, looks=0.0
    )
    orders, _ = reconsider(decisions, tracks, rows, lambda _: features)
    assert [o.tolist() for o in orders] == [[0, 1]] * 3


def test_without_looks_or_meetings_nothing_is_decided():
    decisions = [decision(20, 24, [0, 1], UNSURE)]
    tracks, rows, features = video(decisions, [[0, 1]], count=2)
    assert reconsider(decisions, tracks, rows, lambda _: None) is None
    assert reconsider([], tracks, rows, lambda _: features) is None
    empty = [{} for _ in rows]
    assert reconsider(decisions, tracks, empty, lambda _: features) is None


@pytest.mark.parametrize("seed", range(4))
def test_the_orders_are_the_best_of_all_there_are(seed):
    random = np.random.default_rng(seed)
    decisions = []
    for start in (10, 35, 60, 90):
        members = random.choice(3, 2, replace=False)
        dear = random.uniform(0, 3)
        cost = dear * (1 - np.eye(2))
        decisions.append(decision(start, start + 4, members, cost))
    truth = [random.permutation(2).tolist() for _ in decisions]
    tracks, rows, features = video(
        decisions, truth, count=3, seed=seed, looks=1.0
    )
    orders, margins = reconsider(decisions, tracks, rows, lambda _: features)
    stretches = Stretches.of(decisions, tracks, rows)
    looks = StretchLooks(features, stretches, 3)

    def energy(choice):
        names = names_by_walking(decisions, stretches, choice)
        motion = sum(d.cost[o, [0, 1]].sum() for d, o in zip(decisions, choice))
        return looks.totals(names[None])[0] + motion

    every = itertools.product([(0, 1), (1, 0)], repeat=len(decisions))
    table = {choice: energy([list(o) for o in choice]) for choice in every}
    best = min(table, key=table.get)
    assert [tuple(o.tolist()) for o in orders] == list(best)
    nearest = min(v for c, v in table.items() if c != best) - table[best]
    assert margins.min() >= nearest - 1e-6


def names_by_walking(decisions, stretches, orders):
    """Names of stretches, one frame at a time."""
    count = int(stretches.track.max()) + 1
    now, result = list(range(count)), np.zeros(len(stretches.track), int)
    for number in range(len(decisions) + 1):
        for s in np.flatnonzero(stretches.before == number):
            result[s] = now[stretches.track[s]]
        if number < len(decisions):
            members = decisions[number].members
            before = list(now)
            for place, source in zip(members, orders[number]):
                now[place] = before[members[source]]
    return result


def test_totals_of_looks_are_those_of_a_loop():
    decisions = [decision(40, 44, [0, 1], UNSURE)]
    tracks, rows, features = video(decisions, [[1, 0]], count=2)
    stretches = Stretches.of(decisions, tracks, rows)
    looks = StretchLooks(features, stretches, 2)
    names = np.array([[0, 1, 1, 0], [0, 0, 1, 1]])
    off = looks._off(names[0])
    weights = looks.counts / (looks.counts + 20)
    for s, name in itertools.product(range(4), range(2)):
        others = [k for k in range(4) if k != s and names[0][k] == name]
        if others:
            mean = np.average(looks.means[others], 0, weights[others])
            expected = ((looks.means[s] - mean) ** 2).mean()
            assert off[s, name] == pytest.approx(expected, rel=0.02)
    both = looks.totals(names)
    alone = [looks.totals(n[None])[0] for n in names]
    np.testing.assert_allclose(both, alone)
    assert both[0] < both[1]  # the exchange is what looks say


def test_names_go_where_the_orders_send_them():
    decisions = [
        decision(20, 24, [2, 0], UNSURE),
        decision(60, 64, [0, 1], UNSURE),
    ]
    tracks, rows, _ = video(decisions, [[0, 1]] * 2, count=3)
    stretches = Stretches.of(decisions, tracks, rows)
    meetings = Meetings(decisions, stretches, 3)
    orders = [np.array([1, 0]), np.array([1, 0])]
    np.testing.assert_array_equal(
        meetings.names(orders), names_by_walking(decisions, stretches, orders)
    )


def test_meetings_that_came_near_each_other_are_one():
    tracks = Tracks(50, 3)
    tracks.boxes[:, 0] = [0, 0, 10, 10]
    tracks.boxes[:, 1] = [4, 0, 14, 10]
    tracks.boxes[:, 2] = [200, 0, 210, 10]
    scale = type("Scale", (), {"size": 10.0})
    parts = [decision(10, 16, [n], [[0.0]]) for n in range(3)]

    def motion(members, first, last):
        return np.full((len(members), len(members)), 1.0)

    joined = merged(parts, tracks, scale, motion)
    assert sorted(d.members.tolist() for d in joined) == [[0, 1], [2]]
    (two,) = [d for d in joined if len(d.members) == 2]
    assert np.diag(two.cost).tolist() == [0.0, 0.0]
    assert (two.cost[~np.eye(2, dtype=bool)] > 1.0).all()


class Drawn:
    """An album of a scene in which animals look so different."""

    def __init__(self, scene, found, looks, seed=0):
        random = np.random.default_rng(seed)
        count = scene.places.shape[1]
        own = looks * random.normal(size=(count, 4))
        self.rows, self.features = [], []
        for time, here in enumerate(found):
            self.rows.append({})
            gap = here.centres[:, None] - scene.places[time][None]
            off = np.linalg.norm(gap, axis=-1)
            for index in np.flatnonzero((off < 12).sum(1) == 1).tolist():
                self.rows[-1][index] = len(self.features)
                noise = random.normal(size=4)
                self.features.append(own[off[index].argmin()] + noise)

    def album(self):
        return Album(self.rows, lambda stretch: np.array(self.features))


@pytest.mark.parametrize(
    "count, arena, seed",
    [(6, 240, 0), pytest.param(8, 300, 5, marks=pytest.mark.slow)],
)
def test_animals_with_looks_keep_their_numbers_where_motion_mixes_them(
    count, arena, seed
):
    scene = animals.Scene.walking(count, 400, seed=seed, pull=0.1, arena=arena)
    found = scene.blobs()
    settings = {"num_objects": count, "foreground": scene.foreground}
    plain = animals.score(link(found, **settings), scene.places)
    assert plain["idf1"] < 0.9
    album = Drawn(scene, found, looks=2.0).album()
    result = animals.score(link(found, album=album, **settings), scene.places)
    assert result["idf1"] >= 0.99
    assert album.outcome["meetings"] >= album.outcome["changed"] > 0
    assert album.outcome["unsure"] == 0
    album.outcome.clear()
    moved = link(found, album=album, mode="motion", **settings)
    assert animals.score(moved, scene.places) == plain and not album.outcome


@pytest.mark.parametrize("seed", [1, 4])
def test_animals_that_look_alike_are_told_apart_as_well_as_by_motion(seed):
    scene = animals.Scene.walking(5, 400, seed=seed, pull=0.1)
    found = scene.blobs()
    settings = {"num_objects": 5, "foreground": scene.foreground}
    plain = animals.score(link(found, **settings), scene.places)
    album = Drawn(scene, found, looks=0.0).album()
    result = animals.score(link(found, album=album, **settings), scene.places)
    assert result["idf1"] >= plain["idf1"] - 0.01


def test_orders_of_large_meetings_are_exchanges_and_rings():
    cost = np.random.default_rng(0).uniform(0, 1, (7, 7))
    orders, dearer = link_orders._orders(cost)
    assert len(orders) <= link_orders.ORDERS
    assert (np.sort(orders, 1) == np.arange(7)).all()
    moved = (orders != np.arange(7)).sum(1)
    assert set(moved.tolist()) <= {0, 2, 3}
    assert (np.diff(dearer) >= 0).all()
