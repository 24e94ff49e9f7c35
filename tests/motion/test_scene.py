"""What a model is shown of a camera's view, and the file that keeps it."""

import dataclasses
import struct
import zipfile

import numpy as np
import pytest

from tfdecomp.motion import background as background_lib
from tfdecomp.motion import scene as scene_lib

SIZE = 40, 56
PLACE = slice(10, 16), slice(20, 32)
OBJECT = np.zeros(SIZE, bool)
OBJECT[PLACE] = True
GAIN = 80.0


def _ground():
    """A ground that is lighter to the right."""
    grey = 90 + np.linspace(0, 60, SIZE[1])
    return np.broadcast_to(grey[None, :, None], (*SIZE, 3)).copy()


def _scene(**changes):
    noise = np.full(SIZE, 1.5, np.float32)
    fields = {"gain": GAIN, "length": 12.0, "width": 6.0, "min_area": 4.0}
    ground = background_lib.Background(_ground(), noise, polarity=1)
    return scene_lib.Scene(ground, **{**fields, **changes})


def _frame(seed=0, light=1.0, has_object=True):
    """Ground, an object that is `GAIN` brighter, and noise."""
    frame = _ground() + np.random.default_rng(seed).normal(0, 1.5, (*SIZE, 3))
    frame[OBJECT] += GAIN * has_object
    return np.clip(np.rint(light * frame), 0, 255).astype(np.uint8)


def test_a_picture_is_black_on_the_ground_and_bright_on_objects():
    scene = _scene()
    picture = scene.picture(scene.difference(_frame()))
    assert picture.shape == (*SIZE, 3) and picture.dtype == np.uint8
    assert np.mean(picture[~OBJECT] > 0) < 0.01
    # A typical object is white.
    assert picture[OBJECT].min() > 240


@pytest.mark.parametrize("sign", [-1, 1])
def test_darker_objects_are_as_bright_as_brighter_ones(sign):
    frame = _ground()
    frame[OBJECT] += sign * 60
    scene = _scene(gain=60.0)
    picture = scene.picture(scene.difference(frame.astype(np.uint8)))
    assert picture[OBJECT].min() > 240 and not picture[~OBJECT].any()


def test_the_noise_stays_below_the_threshold_and_objects_above():
    scene = _scene()
    difference = scene.difference(_frame())
    found = difference > scene.threshold
    assert np.mean(found[~OBJECT]) < 0.01 and found[OBJECT].all()


def test_what_moves_is_found_where_it_is():
    found = _scene().moving(_frame())
    assert found.boxes.tolist() == [[10, 20, 16, 32]]
    np.testing.assert_allclose(found.centres, [[13, 26]])
    assert found.areas.tolist() == [OBJECT.sum()]


@pytest.mark.parametrize("changes", [{"min_area": 73}, {"max_area": 71}])
def test_areas_decide_what_counts(changes):
    assert len(_scene(**changes).moving(_frame())) == 0


def test_outside_of_the_region_there_is_nothing():
    region = np.zeros(SIZE, np.uint8)
    region[:, 26:] = 1
    scene = _scene(region=region)
    difference = scene.difference(_frame())
    left = np.s_[:, :26]
    assert not scene.picture(difference)[left].any()
    assert scene.moving(_frame()).boxes.tolist() == [[10, 26, 16, 32]]


@pytest.mark.parametrize("light", [0.9, 1.1])
def test_light_that_changes_by_a_tenth_does_not_show(light):
    frame = _frame(light=light)
    still = _scene(gain=40.0)
    assert np.mean(still.difference(frame) > still.threshold) > 0.5
    scene = _scene(gain=40.0, follows_light=True)
    found = scene.difference(frame) > scene.threshold
    assert np.mean(found[~OBJECT]) < 0.01 and found[OBJECT].all()
    assert scene.moving(frame).boxes.tolist() == [[10, 20, 16, 32]]


def test_a_frame_without_light_is_left_as_it_is():
    scene = _scene(follows_light=True)
    dark = np.zeros((*SIZE, 3), np.uint8)
    np.testing.assert_array_equal(scene.in_its_light(dark), dark)
    # All of it is as far from the ground as can be, and shows no object.
    assert not scene.difference(dark).any() and not len(scene.moving(dark))
    switched = _frame(light=0.05)
    assert not len(scene.moving(switched))
    assert len(_scene().moving(switched)) == 1


def test_light_of_places_is_kept_and_parts_are_in_it():
    background = dataclasses.replace(_scene().background, cells=6)
    scene = dataclasses.replace(
        _scene(follows_light=True), background=background
    )
    shade = 1 - np.linspace(0, 0.4, SIZE[0])[:, None, None]
    frame = np.rint(_frame() * shade).astype(np.uint8)
    assert scene.moving(frame).boxes.tolist() == [[10, 20, 16, 32]]
    lit = scene.in_its_light(frame)
    away = np.abs(lit - _frame())[~OBJECT]
    assert np.median(away) < 3
    # As clips are cut: from frames that are lit already.
    window = slice(4, 30), slice(2, 44)
    part = scene.window(window).difference(np.rint(lit)[window])
    whole = scene.difference(frame)[window]
    assert np.abs(part - whole).max() < 6


def test_the_same_light_changes_nothing():
    frame = _frame(has_object=False)
    scene = _scene(follows_light=True)
    np.testing.assert_allclose(scene.in_its_light(frame), frame, atol=0.5)


def test_a_window_shows_its_part_of_the_whole():
    region = np.zeros(SIZE, bool)
    region[:, 8:48] = True
    scene = _scene(region=region)
    frames = np.stack([_frame(seed) for seed in range(3)])
    window = slice(4, 30), slice(2, 44)
    whole = scene.pictures(frames)
    assert whole.shape == (3, *SIZE, 3)
    part = scene.pictures(frames[:, *window], window)
    np.testing.assert_array_equal(part, whole[:, *window])
    assert scene.window(window).size == (26, 42)


def test_an_older_scene_has_one_light_for_all_of_it(tmp_path):
    scene = _scene()
    scene.background.cells = 6
    scene.save(tmp_path / "scene.npz")
    assert scene_lib.load(tmp_path / "scene.npz").background.cells == 6
    with np.load(tmp_path / "scene.npz") as file:
        fields = {name: file[name] for name in file.files if name != "cells"}
    np.savez(tmp_path / "old.npz", **fields)
    assert scene_lib.load(tmp_path / "old.npz").background.cells == 0
    del fields["cuts_bridges"]
    np.savez(tmp_path / "old.npz", **fields)
    assert not scene_lib.load(tmp_path / "old.npz").cuts_bridges


def _assert_same(one, other):
    for field in dataclasses.fields(scene_lib.Scene):
        if field.name != "background":
            mine, yours = (getattr(s, field.name) for s in (one, other))
            np.testing.assert_array_equal(mine, yours, err_msg=field.name)
    assert one.background.polarity == other.background.polarity
    assert one.background.tail == other.background.tail
    np.testing.assert_array_equal(one.threshold, other.threshold)
    # Halves of an eighth of a grey level.
    np.testing.assert_allclose(
        one.background.picture, other.background.picture, atol=0.07
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_area": 90.0, "region": OBJECT, "follows_light": True},
        {"large_area": 70.0, "cuts_bridges": True},
    ],
)
def test_a_scene_comes_back_from_its_file(changes, tmp_path):
    scene, path = _scene(**changes), tmp_path / scene_lib.FILE_NAME
    scene.save(path)
    back = scene_lib.load(path)
    _assert_same(scene, back)
    difference = np.abs(scene.difference(_frame()) - back.difference(_frame()))
    assert difference.max() < 0.1
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_saving_again_replaces_the_file(tmp_path):
    path = tmp_path / "scene.npz"
    _scene().save(path)
    _scene(gain=33.0).save(path)
    assert scene_lib.load(path).gain == 33.0


def _assert_refused(path, words=""):
    with pytest.raises(ValueError, match=r"cannot be read as a scene") as error:
        scene_lib.load(path)
    message = str(error.value)
    assert path.name in message and "tfdecomp fit" in message
    assert words in message and "\n" not in message


@pytest.mark.parametrize("keep", [0.0, 0.2, 0.6, 0.99])
def test_a_file_that_was_cut_is_refused(keep, tmp_path):
    path = tmp_path / "scene.npz"
    _scene().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    _assert_refused(path)


def test_a_byte_that_was_changed_is_noticed_or_harmless(tmp_path):
    path = tmp_path / "scene.npz"
    scene = _scene()
    scene.save(path)
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 23):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        try:
            back = scene_lib.load(path)
        except ValueError as error:
            refused += 1
            assert "cannot be read as a scene" in str(error)
        else:
            _assert_same(scene, back)
    assert refused > 20


def test_other_files_are_refused(tmp_path):
    text = tmp_path / "scene.txt"
    text.write_text("this is no scene")
    _assert_refused(text)
    _assert_refused(tmp_path / "missing.npz")
    array = tmp_path / "array.npy"
    np.save(array, np.zeros(3))
    _assert_refused(array)
    other = tmp_path / "other.npz"
    np.savez(other, x=np.zeros(3))
    _assert_refused(other, "picture")


def _with(path, **changes):
    """The file of a scene with other content."""
    _scene().save(path)
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    content |= changes
    np.savez(path, **{k: v for k, v in content.items() if v is not None})


@pytest.mark.parametrize(
    "changes",
    [
        {"gain": None},
        {"noise": np.zeros((3, 4))},
        {"gain": np.array([1.0, 2.0])},
        {"region": np.ones((3, 4), bool)},
        {"something": np.array(1.0)},
        {"picture": np.array([{}], object)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_wrong_content_is_refused(changes, tmp_path):
    path = tmp_path / "scene.npz"
    _with(path, **changes)
    _assert_refused(path)


def test_a_file_that_claims_to_be_huge_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "scene.npz"
    _scene().save(path)
    data = bytearray(path.read_bytes())
    # The uncompressed size in the first entry of the table of contents.
    place = data.index(b"PK\x01\x02") + 24
    struct.pack_into("<I", data, place, 2**31)
    path.write_bytes(data)
    _assert_refused(path, "too many")


def test_an_array_that_claims_to_be_huge_is_refused(tmp_path):
    path = tmp_path / "scene.npz"
    _scene().save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    shape, huge = b"(40, 56, 3), }", b"(4000000, 5600000, 3), }"
    head = parts["picture.npy"].replace(shape + b" " * 10, huge)
    assert huge in head
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, head if name == "picture.npy" else part)
    _assert_refused(path)


def test_a_region_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"region is \[40, 56\].*\(3, 4\)"):
        _scene(region=np.ones((3, 4), bool))
