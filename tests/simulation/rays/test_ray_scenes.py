"""What ray-cast scenes and their labels must satisfy."""

import dataclasses

import numpy as np
import pytest

from tfdecomp.simulation import streams
from tfdecomp.simulation.rays import (
    clevr_scenes,
    ray_scenes,
    room_scenes,
    solids,
)

CLEVR = clevr_scenes.ClevrPicture()
ROOM = room_scenes.RoomFilm()
LOOKS = {
    "clevr_like": CLEVR,
    "clevr_like_64": dataclasses.replace(CLEVR, height=64, width=64),
    "clevr_like_native": dataclasses.replace(
        CLEVR, height=240, width=320, window=clevr_scenes.WHOLE, samples=1
    ),
    "room": ROOM,
    "room_sequence": dataclasses.replace(ROOM, num_frames=16),
    "room_empty": dataclasses.replace(ROOM, num_objects=(0,)),
    "room_six_objects": room_scenes.RoomFilm(num_objects=(6,), max_objects=6),
    "room_identical_color": room_scenes.RoomFilm(
        num_objects=(4, 5, 6), max_objects=6, identical_color=True
    ),
}
ROOMS = [name for name in LOOKS if name.startswith("room")]
_MADE = {}


def _make(look, start=0, stop=8, split="train", seed=0, stream="s", **rest):
    if isinstance(look, str):
        look = LOOKS[look]
    module = room_scenes
    if isinstance(look, clevr_scenes.ClevrPicture):
        module = clevr_scenes
    return module.generate(
        look, split, start, stop, seed=seed, stream=stream, **rest
    )


def _some(name):
    """Eight examples, made once."""
    if name not in _MADE:
        _MADE[name] = _make(name)
    return _MADE[name]


@pytest.mark.parametrize("name", ["clevr_like", *ROOMS])
def test_at_least_twenty_pixels_are_seen_of_every_object_at_first(name):
    for example in _some(name):
        for k in range(example["num_objects"]):
            assert (example["segmentation"][0] == k + 1).sum() >= 20


@pytest.mark.parametrize("name", ["clevr_like", "room"])
def test_lone_object_is_fully_visible_and_lies_around_its_position(name):
    look = dataclasses.replace(LOOKS[name], num_objects=(1,), min_visible=60)
    inside = 0
    for example in _make(look):
        assert example["visible_fraction"][0, 0] == 1
        ids = example["segmentation"][0, ..., 0]
        box = example["boxes"][0, 0]
        if box.min() > 0 and box.max() < len(ids):
            inside += 1
            middle = np.argwhere(ids == 1).mean(0) + 0.5
            place = example["factors"]["position"][0, 0]
            size = box[2:] - box[:2]
            assert (abs(middle - place) < 0.1 * size + 0.5).all()
    assert inside >= 3


def test_sizes_of_the_same_scenes_differ_by_resampling_alone():
    names = ("clevr_like_native", "clevr_like", "clevr_like_64")
    for native, usual, small in zip(*(_some(name) for name in names)):
        for key in ("shape", "size", "material", "color", "rotation"):
            np.testing.assert_array_equal(
                usual["factors"][key], small["factors"][key]
            )
            np.testing.assert_array_equal(
                usual["factors"][key], native["factors"][key]
            )
        count = usual["num_objects"]
        place = [e["factors"]["position"][0, :count] for e in (native, usual)]
        np.testing.assert_allclose(
            (place[0] - [29, 64]) * 128 / 192, place[1], atol=1e-3
        )
        rows = 29 + np.floor((np.arange(128) + 0.5) * 1.5).astype(int)
        columns = 64 + rows - 29
        crop = native["segmentation"][0][np.ix_(rows, columns)]
        # Neighbours of edges may fall on either side.
        assert (crop != usual["segmentation"][0]).mean() < 0.02


def test_clevr_objects_keep_their_distance_and_stand_on_the_ground():
    for example in _some("clevr_like"):
        count, factors = example["num_objects"], example["factors"]
        assert 3 <= count <= 10
        places = factors["location_3d"][0, :count]
        radii = np.array([0.0, 0.35, 0.7])[factors["size"][:count]]
        cube = factors["shape"][:count] == solids.BOX
        np.testing.assert_allclose(
            places[:, 2], np.where(cube, radii / np.sqrt(2), radii), rtol=1e-5
        )
        assert np.abs(places[:, :2]).max() <= 3
        for i in range(count):
            for j in range(i):
                gap = np.hypot(*(places[i] - places[j])[:2])
                assert gap >= radii[i] + radii[j] + 0.25 - 1e-5


def test_clevr_numbers_and_kinds_are_drawn_evenly():
    rng = np.random.default_rng(0)
    drawn = [clevr_scenes.draw_objects(rng, CLEVR, 5) for _ in range(400)]
    for key, kinds in (("shape", 3), ("size", 2), ("material", 2)):
        codes = np.concatenate([scene[key][:5] for scene in drawn])
        share = np.bincount(codes, minlength=kinds + 1)[1:] / len(codes)
        np.testing.assert_allclose(share, 1 / kinds, atol=0.05)
    codes = np.concatenate([scene["color"][:5] for scene in drawn])
    assert set(codes) == set(range(1, 9))


def test_clevr_camera_looks_down_at_about_35_degrees_from_within_its_jitter():
    places = []
    for index in range(200):
        rng = streams.example_rng(0, "t", "t", 0, index)
        places.append(clevr_scenes.draw_eye(rng, CLEVR))
    places = np.array(places)
    spread = places.max(0) - places.min(0)
    assert (spread <= 0.4).all() and (spread > 0.35).all()
    away = places.mean(0)
    pitch = np.rad2deg(np.arctan2(away[2], np.hypot(*away[:2])))
    assert abs(pitch - 35) < 3


def _flights(look, count=200):
    rngs = [streams.example_rng(0, "t", "t", 0, i) for i in range(count)]
    flights = [room_scenes.draw_flight(rng, look) for rng in rngs]
    return [np.array([f[key] for f in flights]) for key in ("angle", "pitch")]


def test_room_camera_flies_at_constant_velocity_within_the_range_of_pitch():
    angle, pitch = _flights(LOOKS["room_sequence"])
    turn = np.diff(angle, axis=1)
    np.testing.assert_allclose(turn, turn[:, :1] + 0 * turn, atol=1e-9)
    assert np.abs(turn).max() <= 6 and np.abs(turn).max() > 5.5
    assert pitch.min() >= -25 and pitch.max() <= 22
    tilt = np.diff(pitch, axis=1)
    assert np.abs(tilt).max() <= 1.5 + 1e-9
    # Constant, until an end of the range stops it.
    free = (pitch[:, 1:] > -25) & (pitch[:, 1:] < 22)
    steady = np.abs(tilt - tilt[:, :1]) < 1e-9
    assert steady[free].all()
    assert (~free).any() and (tilt[:, 0] > 0.2).any()


def test_room_camera_starts_anywhere_on_its_circle():
    angle, pitch = _flights(ROOM, 600)
    quarter = np.bincount((angle[:, 0] // 90).astype(int), minlength=4)
    assert (quarter > 110).all()
    np.testing.assert_allclose(pitch.mean(), -1.5, atol=2.0)
    np.testing.assert_allclose(pitch.std(), 47 / np.sqrt(12), atol=1.0)


def _axes(example):
    """The camera's axes `[T, 3, 3]`, from what is stored of three objects."""
    factors = example["factors"]
    focal = 32 / np.tan(np.deg2rad(30))
    slope = (factors["position"].astype(float) - 32) / focal
    local = np.insert(slope[..., ::-1], 2, 1.0, axis=-1)
    local *= factors["depth"][..., None]
    out = []
    for seen, true in zip(local, factors["location_3d"].astype(float)):
        columns = []
        for points in (seen, true):
            one, two = points[1] - points[0], points[2] - points[0]
            columns.append(np.stack([one, two, np.cross(one, two)], 1))
        out.append(columns[0] @ np.linalg.inv(columns[1]))
    return np.array(out)


def test_stored_positions_are_those_of_an_even_flight_around_still_objects():
    for example in _some("room_sequence"):
        places = example["factors"]["location_3d"]
        assert (places == places[:1]).all()
        axes = _axes(example)
        # Were the three not seen by one camera, this were no rotation.
        np.testing.assert_allclose(
            axes @ axes.swapaxes(1, 2),
            np.tile(np.eye(3), (16, 1, 1)),
            atol=1e-2,
        )
        ahead = axes[:, 2]
        yaw = np.unwrap(np.arctan2(ahead[:, 1], ahead[:, 0]))
        turn = np.rad2deg(np.diff(yaw))
        np.testing.assert_allclose(turn, turn.mean(), atol=0.05)
        assert abs(turn.mean()) <= 6.05
        pitch = np.rad2deg(np.arcsin(np.clip(ahead[:, 2], -1, 1)))
        assert pitch.min() > -25.2 and pitch.max() < 22.2


@pytest.mark.parametrize("name", ROOMS)
def test_entities_are_four_parts_of_the_background_and_the_objects(name):
    for example in _some(name):
        entities, ids = example["entities"], example["segmentation"]
        objects = entities >= 4
        np.testing.assert_array_equal(objects, ids > 0)
        np.testing.assert_array_equal(entities[objects] - 3, ids[objects])
        # The camera is level: downwards come ceiling, walls and floor.
        height = np.array([2, 0, 1, 1])
        for column in entities[..., 0].transpose(0, 2, 1).reshape(-1, 64):
            assert (np.diff(height[column[column < 4]]) <= 0).all()


def test_all_parts_of_the_background_are_seen_in_some_rooms():
    parts = {
        p for e in _some("room_sequence") for p in np.unique(e["entities"])
    }
    assert parts == set(range(7))
    for example in _some("room"):
        ceiling = example["entities"][..., 0] == 0
        assert (example["video"][ceiling] == (158, 201, 242)).all()


def test_rooms_have_as_many_objects_as_their_names_say():
    assert {e["num_objects"] for e in _some("room")} == {3}
    assert {e["num_objects"] for e in _some("room_six_objects")} == {6}
    counts = {e["num_objects"] for e in _some("room_identical_color")}
    assert len(counts) > 1 and counts <= {4, 5, 6}
    for example in _some("room_empty"):
        assert example["num_objects"] == 0
        assert not example["segmentation"].any()


def test_objects_share_a_colour_in_identical_color_alone():
    for example in _some("room_identical_color"):
        colour = example["factors"]["color"][: example["num_objects"]]
        assert (colour == colour[:1]).all() and colour.any()
    for example in _some("room_six_objects"):
        colour = example["factors"]["color"]
        assert len(np.unique(colour, axis=0)) == 6


def test_objects_that_find_no_room_are_an_error_with_their_sizes(monkeypatch):
    monkeypatch.setattr(ray_scenes, "MAX_RESTARTS", 2)
    with pytest.raises(ValueError, match=r"2 objects of radii \[1.0, 1.0\]"):
        ray_scenes.place(
            np.random.default_rng(0),
            [1.0, 1.0],
            0.0,
            lambda r: r.uniform(size=2),
        )


def test_scenes_that_never_show_enough_are_an_error(monkeypatch):
    monkeypatch.setattr(ray_scenes, "MAX_REDRAWS", 2)
    look = dataclasses.replace(ROOM, min_visible=5000)
    with pytest.raises(ValueError, match="did not show 5000 pixels"):
        _make(look, 0, 1)


@pytest.mark.parametrize(
    "cls, fields, message",
    [
        (clevr_scenes.ClevrPicture, {"num_objects": (11,)}, "max_objects"),
        (clevr_scenes.ClevrPicture, {"gap": 3.0}, "at most 60%"),
        (clevr_scenes.ClevrPicture, {"window": (0, 0, 0, 9)}, "window"),
        (room_scenes.RoomFilm, {"num_objects": ()}, "num_objects"),
        (room_scenes.RoomFilm, {"radius": (0.5, 0.4)}, "radius"),
        (room_scenes.RoomFilm, {"spread": 2.2}, "camera's circle"),
        (room_scenes.RoomFilm, {"spread": 0.3}, "at most 60%"),
        (room_scenes.RoomFilm, {"samples": 0}, "samples"),
    ],
)
def test_impossible_looks_are_refused_at_once(cls, fields, message):
    with pytest.raises(ValueError, match=message):
        cls(**fields)
