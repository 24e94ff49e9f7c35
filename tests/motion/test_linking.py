"""Identities of drawn animals, scored by py-motmetrics."""

import dataclasses
import time

import numpy as np
import pytest

from tests.motion import animals
from tfdecomp.motion.detections import FILLED
from tfdecomp.motion.linking import (
    Linker,
    episodes,
    link,
    link_clean,
    link_fast,
    link_measure,
    link_tracklets,
)

CORRUPTION = {"flicker": 0.15, "twice": 0.1, "nothing": 0.1}


def _box(y, x, side=10.0):
    return [y - side / 2, x - side / 2, y + side / 2, x + side / 2]


def _is_complete(linked, count):
    """Whether ids 1..count are in every frame, with finite boxes."""
    return all(
        sorted(frame.ids.tolist()) == list(range(1, count + 1))
        and np.isfinite(frame.boxes).all()
        and ((frame.doubts >= 0) & (frame.doubts <= 1)).all()
        for frame in linked
    )


def test_flickering_doubled_and_spurious_boxes_leave_five_identities_alone():
    scene = animals.Scene.walking(5, 300, seed=1)
    linked = link(
        scene.network(**CORRUPTION), num_objects=5, foreground=scene.foreground
    )
    assert _is_complete(linked, 5)
    result = animals.score(linked, scene.places)
    assert result["idf1"] >= 0.99
    assert result["num_switches"] == 0


def test_two_in_one_blob_come_out_as_who_they_were():
    scene = animals.Scene.walking(2, 400, seed=2, pull=0.12)
    assert scene.touching > 0.15
    linked = link(scene.blobs(), num_objects=2, foreground=scene.foreground)
    assert _is_complete(linked, 2)
    result = animals.score(linked, scene.places)
    assert result["idf1"] >= 0.99
    assert result["num_switches"] == 0


def test_one_that_nobody_finds_is_followed_where_it_turns_back():
    time = np.arange(100.0)
    since = np.maximum(time - 50, 0)
    dart = 4 * since + 18 * np.minimum(since, 1)
    one = np.stack([114 - dart, 115 - 4 * np.abs(time - 50)], -1)
    two = np.stack([120 + 0 * time, 124 + 0 * time + 0.1 * time], -1)
    places = np.stack([one, two], 1)[26:70]
    headings = np.tile([np.pi / 2, 0.0], (100, 1))
    scene = animals.Scene(places, headings[26:70])
    network = scene.network()
    for t in range(23, 36):
        network[t] = network[t].take(np.array([1]))
    linked = link(network, num_objects=2, foreground=scene.foreground)
    result = animals.score(linked, scene.places)
    assert result["num_switches"] == 0
    assert result["recall"] > 0.98


@pytest.mark.parametrize("seed", [0, 1])
def test_two_that_dance_in_one_blob_most_of_the_time_stay_themselves(seed):
    scene = animals.Scene(*animals.dance(500, seed))
    assert scene.touching > 0.5
    linked = link(scene.blobs(), num_objects=2, foreground=scene.foreground)
    result = animals.score(linked, scene.places)
    assert result["idf1"] >= 0.95
    assert result["recall"] >= 0.99


def test_a_crossing_without_pixels_is_decided_by_motion():
    steps = np.arange(60)
    a = np.stack([100 + 0 * steps, 40 + 3.0 * steps], 1)
    b = np.stack([40 + 3.0 * steps, 128 + 0 * steps], 1)
    places = np.stack([a, b], 1)
    found = [animals.found([_box(*p) for p in frame]) for frame in places]
    for frame in range(26, 33):  # one box where they meet
        middle = places[frame].mean(0)
        found[frame] = animals.found([_box(*middle, side=14.0)])
    linked = link(found, num_objects=2)
    result = animals.score(linked, places)
    assert result["num_switches"] == 0
    assert result["idf1"] > 0.95


def test_looks_decide_where_motion_cannot():
    scene = animals.Scene.walking(5, 300, seed=3, pull=0.1)
    found = scene.network(looks=6, **CORRUPTION)
    linked = link(found, num_objects=5)
    result = animals.score(linked, scene.places)
    assert result["idf1"] >= 0.98


def test_filled_places_say_so_and_are_doubted():
    scene = animals.Scene.walking(2, 200, seed=4)
    found = scene.network(flicker=0.2)
    linked = link(found, num_objects=2, foreground=scene.foreground)
    filled = np.array([frame.sources == FILLED for frame in linked])
    doubts = np.array([frame.doubts for frame in linked])
    missing = sum(2 - len(f) for f in found)
    assert filled.sum() == missing > 0
    assert (doubts[filled] > 0).all()


def test_sources_name_the_detections_they_come_from():
    scene = animals.Scene.walking(3, 100, seed=5)
    found = scene.network(**CORRUPTION)
    for num_objects in (3, None):
        for frame, here in zip(link(found, num_objects=num_objects), found):
            seen = frame.sources >= 0
            assert len(set(frame.sources[seen])) == seen.sum()
            off = frame.boxes[seen] - here.boxes[frame.sources[seen]]
            assert np.abs(off).max(initial=0.0) < 2 * animals.LONG


def test_a_video_linked_twice_is_the_same():
    scene = animals.Scene.walking(3, 80, seed=6)
    found = scene.network(**CORRUPTION)
    one, two = (
        link(found, num_objects=3, foreground=scene.foreground)
        for _ in range(2)
    )
    for a, b in zip(one, two):
        np.testing.assert_array_equal(a.boxes, b.boxes)
        np.testing.assert_array_equal(a.doubts, b.doubts)


def test_coordinates_twice_as_large_give_the_same_identities():
    scene = animals.Scene.walking(4, 150, seed=7)
    found = scene.network(**CORRUPTION)
    larger = [
        animals.found(4 * f.boxes, 16 * f.areas, f.scores, f.features)
        for f in found
    ]
    for num_objects in (4, None):
        one = link(found, num_objects=num_objects)
        two = link(larger, num_objects=num_objects)
        for a, b in zip(one, two):
            np.testing.assert_array_equal(a.ids, b.ids)
            np.testing.assert_array_equal(a.sources, b.sources)


@pytest.mark.parametrize("num_objects", [3, None])
def test_online_is_a_loop_over_steps_and_sees_no_future(num_objects):
    scene = animals.Scene.walking(3, 120, seed=8)
    found = scene.network(**CORRUPTION)
    whole = link(found, num_objects=num_objects, mode="online")
    linker = Linker(num_objects)
    steps = [linker.step(f) for f in found[:70]]
    steps += [linker.step(f) for f in found[70:]]
    short = link(found[:50], num_objects=num_objects, mode="online")
    for a, b in zip(whole, steps):
        np.testing.assert_array_equal(a.boxes, b.boxes)
        np.testing.assert_array_equal(a.ids, b.ids)
    for a, b in zip(whole, short):
        np.testing.assert_array_equal(a.ids, b.ids)


def test_online_keeps_five_apart_most_of_the_time():
    scene = animals.Scene.walking(5, 300, seed=1)
    linked = link(scene.network(**CORRUPTION), num_objects=5, mode="online")
    assert animals.score(linked, scene.places)["idf1"] > 0.9


@pytest.mark.parametrize("mode", ["online", "offline"])
@pytest.mark.parametrize("num_objects", [None, 1, 3])
def test_a_video_with_nothing_in_it_has_no_tracks(mode, num_objects):
    nothing = animals.found([])
    broken = animals.found([[np.nan, 0, 5, 5], [7, 7, 7, 9]])
    for found in ([], [nothing], [nothing] * 4, [broken] * 4):
        linked = link(
            found,
            num_objects=num_objects,
            mode=mode,
            foreground=lambda t: (np.zeros((9, 9), bool), 2),
        )
        assert [len(frame.ids) for frame in linked] == [0] * len(found)
        assert episodes(linked, found) == []


def test_more_identities_than_there_are_gives_those_there_are():
    scene = animals.Scene.walking(2, 60, seed=9)
    linked = link(scene.network(), num_objects=4)
    assert _is_complete(linked, 2)


def test_identities_first_seen_late_are_there_from_the_start():
    scene = animals.Scene.walking(2, 60, seed=10)
    found = scene.network()
    found[:10] = [f.take([0]) for f in found[:10]]
    linked = link(found, num_objects=2, frame_size=(240, 240))
    assert _is_complete(linked, 2)
    assert (linked[0].sources == FILLED).sum() == 1


def test_weak_detections_continue_tracks_and_start_none():
    places = [[50.0, 20.0 + 2 * t] for t in range(40)]
    found = [
        animals.found([_box(*p)], scores=[0.3 if 10 < t < 20 else 0.9])
        for t, p in enumerate(places)
    ]
    linked = link(found)
    assert all(frame.ids.tolist() == [1] for frame in linked)
    assert all((frame.sources == 0).all() for frame in linked)
    weak = [animals.found(f.boxes, scores=[0.3]) for f in found]
    for mode in ("online", "offline"):
        assert not any(len(frame.ids) for frame in link(weak, mode=mode))


def test_objects_come_and_go_with_one_track_each():
    found = []
    for t in range(90):
        boxes = []
        if t < 50 and t % 9:
            boxes.append(_box(30, 10 + 3 * t))
        if t >= 30 and t % 7:
            boxes.append(_box(90, 280 - 3 * t, side=8 + 0.2 * t))
        found.append(animals.found(boxes))
    linked = link(found)
    lives = {}
    for t, frame in enumerate(linked):
        for key in frame.ids.tolist():
            lives.setdefault(key, []).append(t)
    assert sorted(lives) == [1, 2]
    assert lives[1] == list(range(1, 50))
    assert lives[2] == list(range(30, 90))


def test_boxes_on_nothing_are_no_track():
    found = []
    for t in range(40):
        boxes, areas = [_box(50, 20 + 3 * t), _box(100, 100)], [80, 0]
        found.append(animals.found(boxes, areas))
    assert all(len(frame.ids) == 1 for frame in link(found))


def test_parts_of_one_large_thing_become_one_track():
    def foreground(t):
        mask = np.zeros((80, 200), bool)
        mask[20:40, t * 2 : t * 2 + 40] = True
        mask[60:70, t * 2 : t * 2 + 20] = True
        return mask, 1

    found = []
    for t in range(60):
        x = 2 * t
        boxes = [[20, x, 40, x + 22], [20, x + 21, 40, x + 40]]
        boxes.append([60, x, 70, x + 20])
        found.append(animals.found(boxes, [440, 380, 200]))
    assert all(len(frame.ids) == 3 for frame in link(found))
    joined = link(found, foreground=foreground)
    assert all(len(frame.ids) == 2 for frame in joined)
    np.testing.assert_array_equal(
        joined[30].boxes, [[20, 60, 40, 100], [60, 60, 70, 80]]
    )


def test_a_crossing_is_an_episode_of_those_who_cross():
    scene = animals.Scene.walking(2, 300, seed=2, pull=0.12)
    found = scene.blobs()
    linked = link(found, num_objects=2)
    result = episodes(linked, found)
    assert result
    keys = {"first", "last", "ids", "kind", "doubt"}
    for episode in result:
        assert set(episode) == keys
        assert 0 <= episode["first"] <= episode["last"] < 300
        assert set(episode["ids"]) <= {1, 2}
        assert episode["kind"] in {"crossing", "vanishing", "jump"}
        assert 0 <= episode["doubt"] <= 1


def test_a_mode_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="online, motion, offline"):
        link([], mode="later")
    with pytest.raises(ValueError, match="at least 1"):
        link([], num_objects=0)


@pytest.mark.slow
def test_twenty_animals_keep_their_identities():
    scene = animals.Scene.walking(20, 400, seed=0, arena=500)
    for found in (scene.blobs(), scene.network(**CORRUPTION)):
        linked = link(found, num_objects=20, foreground=scene.foreground)
        assert _is_complete(linked, 20)
        assert animals.score(linked, scene.places)["idf1"] >= 0.95


@pytest.mark.slow
def test_a_long_video_of_two_takes_less_than_a_minute():
    scene = animals.Scene.walking(2, 20_000, seed=0)
    found = scene.network(**CORRUPTION)
    start = time.process_time()
    link(found, num_objects=2)
    assert time.process_time() - start < 60


def startled(seed, first=100, frames=8, far=16.0):
    """Eight that walk, and all dart in some frames."""
    places, headings = animals.walk(8, 200, seed=seed, arena=400.0)
    random = np.random.default_rng(seed)
    way = random.uniform(-np.pi, np.pi, 8)
    steps = far * np.stack([np.cos(way), np.sin(way)], -1)
    middle = np.sign(200.0 - places[first])
    steps = np.abs(steps) * middle  # nobody leaves the dish
    passed = np.clip(np.arange(200) - first, 0, frames)
    return animals.Scene(
        places + passed[:, None, None] * steps, headings, arena=400
    )


def test_all_that_dart_at_once_are_each_found_where_they_went():
    scores = []
    for seed in range(3):
        scene = startled(seed)
        linked = link(
            scene.network(flicker=0.05),
            num_objects=8,
            foreground=scene.foreground,
        )
        assert _is_complete(linked, 8)
        scores.append(animals.score(linked, scene.places))
        assert scores[-1]["recall"] >= 0.99
    # Two of eight whose ways cross in the dart may be taken for each other.
    assert np.mean([s["idf1"] for s in scores]) >= 0.9


def test_the_tempo_is_one_but_where_all_dart():
    found = startled(0).network()
    scale = link_measure.measure(found)
    tempo = link_measure.tempo(found, scale)
    assert len(tempo) == len(found)
    # A dart shows in the step from frame 99 to 100 at the earliest.
    assert (tempo[:99] == 1).all() and (tempo[109:] == 1).all()
    assert (tempo[100:108] > 1).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_two_that_touch_when_a_video_begins_and_ends_are_in_both_places(seed):
    scene = animals.Scene(*animals.dance(600, seed))
    touching = np.flatnonzero([len(found) == 1 for found in scene.blobs()])
    part = slice(touching[0] + 5, touching[-1] - 5)
    scene = animals.Scene(*(v[part] for v in animals.dance(600, seed)))
    assert len(scene.blobs()[0]) == len(scene.blobs()[-1]) == 1
    linked = link(scene.blobs(), num_objects=2, foreground=scene.foreground)
    result = animals.score(linked, scene.places)
    assert result["recall"] >= 0.99


def test_a_piece_that_a_network_leaves_of_one_is_not_where_it_is():
    scene = animals.Scene(*animals.dance(400, 0))
    blobs = scene.blobs()
    whole = np.median([d.areas.min() for d in blobs if len(d) == 2])
    for number, frame in enumerate(blobs):
        if len(frame) == 1:  # a crumb beside what both have
            crumb = _box(frame.boxes[0, 0], frame.boxes[0, 1], side=4.0)
            blobs[number] = animals.found(
                np.concatenate([frame.boxes, [crumb]]),
                np.append(frame.areas, 0.1 * whole),
            )
    linked = link(blobs, num_objects=2, foreground=scene.foreground)
    result = animals.score(linked, scene.places)
    assert result["recall"] >= 0.99
    assert result["idf1"] >= 0.95


def test_two_that_pass_in_one_blob_keep_a_box_each_where_objects_come_and_go():
    steps = np.arange(80)
    a = np.stack([100 + 0 * steps, 30 + 2.0 * steps], 1)
    b = np.stack([106 + 0 * steps, 200 - 2.0 * steps], 1)
    headings = np.full((80, 2), np.pi / 2)
    scene = animals.Scene(np.stack([a, b], 1), headings)
    blobs = scene.blobs()
    together = np.array([len(found) == 1 for found in blobs])
    assert 5 <= together.sum() <= 30
    linked = link(blobs, foreground=scene.foreground, frame_size=(240, 240))
    result = animals.score(linked, scene.places)
    assert result["recall"] == result["precision"] == 1.0
    assert result["num_switches"] == 0
    inside = [linked[t].boxes for t in np.flatnonzero(together)]
    sides = np.array([b[:, 2:] - b[:, :2] for b in inside])
    assert (sides[..., 1] < 1.5 * 2 * animals.LONG).all()


def test_a_blob_that_nobody_bridges_stays_one_object():
    found = [animals.found([_box(50, 20 + 2 * t, 20)]) for t in range(30)]
    linked = link(found, foreground=lambda t: (np.zeros((50, 100), bool), 2))
    assert {tuple(frame.ids.tolist()) for frame in linked} == {(1,)}


def test_a_track_begins_and_ends_where_its_object_is_half_in_view():
    width, found = 200, []
    for step in range(80):
        left = -24.0 + 3.0 * step
        box = [90.0, max(left, 0.0), 102.0, min(left + 24.0, width)]
        seen = box[3] - box[1]
        visible = np.array([box]) if seen > 1 else np.zeros((0, 4))
        found.append(animals.found(visible, np.full(len(visible), 12 * seen)))
    linked = link(found, frame_size=(200, width))
    assert {i for frame in linked for i in frame.ids.tolist()} == {1}
    assert [len(frame.ids) for frame in linked] == [len(f) for f in found]


def test_who_leaves_the_frame_is_not_who_comes_in_there_later():
    found = []
    for step in range(60):
        place = 20.0 - 2.0 * step if step < 14 else 2.0 * (step - 22) - 6.0
        box = np.array([[90.0, max(place, 0.0), 102.0, max(place + 12, 0.0)]])
        seen = box[0, 3] - box[0, 1] > 2
        areas = np.full(int(seen), 12 * (box[0, 3] - box[0, 1]))
        found.append(animals.found(box[: int(seen)], areas))
    linked = link(found, frame_size=(200, 200))
    assert {i for frame in linked for i in frame.ids.tolist()} == {1, 2}


def test_a_box_without_a_pixel_of_its_own_is_no_second_object():
    boxes = np.array([_box(50, 50, 20), _box(54, 53, 22), _box(120, 120, 20)])
    areas = np.array([400.0, 0.0, 0.0])  # the last one stands still
    found = [animals.found(boxes, areas) for _ in range(20)]
    scale = link_measure.measure(found)
    cleaned, numbers = link_clean.clean(found[0], scale)
    assert numbers.tolist() == [0, 2]
    assert cleaned.boxes.tolist() == boxes[[0, 2]].tolist()


def test_one_of_whom_half_is_seen_from_a_frame_on_keeps_its_number():
    # A row of steady things; the legs of one are no longer found.
    found = []
    for step in range(80):
        boxes = np.array([_box(60, 20 + 16 * k + step // 10) for k in range(9)])
        boxes[:, 2] -= step // 10 % 2  # their feet move
        if step > 34:
            boxes[4, 2] -= 5.0
        areas = 0.6 * np.prod(boxes[:, 2:] - boxes[:, :2], -1)
        found.append(animals.found(boxes, areas))
    linked = link(found, frame_size=(200, 200))
    assert all(
        frame.ids[np.argsort(frame.boxes[:, 1])].tolist()
        == linked[0].ids[np.argsort(linked[0].boxes[:, 1])].tolist()
        for frame in linked
    )


def test_who_was_followed_well_stays_whatever_flickers_there_later():
    found = []
    for step in range(120):
        # Four go on; one leaves, and where it was something flickers.
        boxes = [_box(20 + 40 * k, 20 + 0.5 * step) for k in range(4)]
        if step < 24:
            boxes.append(_box(60 - 0.5 * step, 190 - step))
        elif step % 14 == 9:
            boxes.append(_box(48, 166 + step % 3))
        found.append(animals.found(boxes, [60] * len(boxes)))
    linked = link(found, frame_size=(240, 240))
    seen = [len(frame.ids) for frame in linked]
    assert seen == [5] * 24 + [4] * 96


def test_cars_that_move_by_their_own_length_in_a_frame_are_one_track_each():
    found = []
    for step in range(60):
        # One behind the other, 60 px apart, 17 px a frame; walkers beside.
        left = [17.0 * step - 60.0 * k for k in range(15)]
        boxes = [[50, x, 64, x + 19] for x in left if 0 < x < 221]
        boxes += [_box(100 + 20 * k, 30 + 1.5 * step, 9) for k in range(4)]
        found.append(animals.found(boxes, [200] * len(boxes)))
    linked = link(found, frame_size=(240, 240))
    places = [
        {
            int(i): 17.0 * t - b[1]
            for i, b in zip(frame.ids, frame.boxes)
            if b[0] == 50
        }
        for t, frame in enumerate(linked)
    ]
    cars = {}
    for frame in places:
        for number, car in frame.items():
            cars.setdefault(number, set()).add(round(car))
    # Each number stays with one car, and each car has one.
    assert all(len(seen) == 1 for seen in cars.values())
    assert len(set.union(*cars.values())) == len(cars) == 15


def test_three_frames_say_nothing_where_two_ways_are_as_straight():
    # A row in which everybody may have moved one place to either side.
    found = [
        animals.found([_box(50, 20 + 15 * k, 10) for k in range(8)])
        for _ in range(3)
    ]
    scale = link_measure.measure(found)
    pieces = [
        link_tracklets.Tracklet(
            t,
            frame.boxes[k : k + 1],
            np.array([k]),
            np.ones(1),
            np.zeros(1),
            np.zeros((1, 0)),
        )
        for t, frame in enumerate(found)
        for k in range(8)
    ]
    groups = link_fast.chain(pieces, dataclasses.replace(scale, leap=100.0))
    # At the ends of the row, standing still is the only way.
    assert all(g in ([0, 8, 16], [7, 15, 23]) for g in groups)
