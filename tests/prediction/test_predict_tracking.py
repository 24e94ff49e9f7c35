"""What is settled before a video is tracked, and what a frame holds after."""

import json

import numpy as np
import pytest

import tfdecomp
from tests.motion import animals
from tfdecomp.data.video import video_io
from tfdecomp.motion.detections import FILLED, Detections, Linked
from tfdecomp.prediction import (
    choosing,
    finding,
    looking,
    runner,
    tracking,
)
from tfdecomp.prediction.footage import Footage
from tfdecomp.prediction.memory import FrameMaps
from tfdecomp.prediction.view import View
from tfdecomp.sharing import hub

SIZE = (12, 16)


def _tracked(ids, sources, boxes, owner, foreground=None):
    count = max(sources) + 1
    detections = Detections(
        boxes=np.zeros((count, 4)),
        scores=np.full(count, 0.9),
        areas=np.ones(count),
        features=np.zeros((count, 0)),
        numbers=np.zeros(count),
    )
    maps = FrameMaps()
    maps.add(owner=owner, foreground=foreground)
    slots = np.arange(1, count + 1)
    empty = ([] for _ in range(4))
    found = finding.Found([0], [0.0], [detections], [slots], maps, *empty, 9)
    linked = Linked(
        np.array(ids),
        np.array(boxes, float),
        np.array(sources),
        np.zeros(len(ids)),
    )
    return tracking.Tracked(found, [linked], [], [])


@pytest.mark.parametrize("scale", [1, 2])
def test_objects_whose_values_are_alike_keep_their_own_masks(scale):
    """Numbers 7 and 261 have the value 7 in pictures of ids."""
    owner = np.zeros(SIZE, np.uint8)
    owner[1:5, 1:5], owner[6:10, 8:14] = 1, 2
    boxes = [[1, 1, 5, 5], [6, 8, 10, 14]]
    tracked = _tracked([7, 261], [0, 1], boxes, owner)
    frame = tuple(scale * side for side in SIZE)
    ids, listed = tracking.objects(tracked, View(frame, SIZE), 0)
    assert ids.dtype == np.uint8 and set(np.unique(ids)) == {0, 7}
    assert [entry.id for entry in listed] == [7, 261]
    large = owner.repeat(scale, 0).repeat(scale, 1)
    for number, entry in enumerate(listed, 1):
        other = large == 3 - number
        assert entry.area == entry.mask.sum() > 0
        assert not (entry.mask & other).any()
        if scale == 1:
            np.testing.assert_array_equal(entry.mask, owner == number)


def test_a_place_that_was_filled_in_has_what_moves_in_it():
    foreground = np.zeros(SIZE, bool)
    foreground[2:4, 2:12] = True
    owner = np.zeros(SIZE, np.uint8)
    owner[2:4, 2:6] = 1
    boxes = [[2, 2, 4, 6], [1, 5, 5, 12]]
    tracked = _tracked([300, 46], [0, FILLED], boxes, owner, foreground)
    ids, listed = tracking.objects(tracked, View(SIZE, SIZE), 0)
    assert [entry.area for entry in listed] == [8, 12]
    assert [entry.filled for entry in listed] == [False, True]
    np.testing.assert_array_equal(ids > 0, foreground)


def test_a_stop_that_was_heard_is_asked_for_anew():
    answers = iter([True, True, False, False, True, True])
    ask = tracking._anew(lambda: next(answers))
    assert [ask() for _ in range(6)] == [False] * 4 + [True] * 2


@pytest.mark.parametrize(
    "size", [None, "native", 0.5, 2, (40, 50), [40.0, 50.0]]
)
def test_sizes_of_pictures(size):
    assert runner.Options(size=size).size == size


@pytest.mark.parametrize(
    "size",
    [0, -1, float("nan"), 1e9, True, "large", (40,), (40, 0), (1, 2, 3), {}],
)
def test_what_is_no_size_is_refused(size):
    with pytest.raises(ValueError, match="size must be"):
        runner.Options(size=size)


def test_more_objects_than_memory_holds_are_refused():
    assert runner.Options(objects=1000).objects == 1000
    with pytest.raises(ValueError, match="at most 1000, got 1001"):
        runner.Options(objects=1001)


class _Model:
    any_size, channels, image_size = True, 3, (8, 8)


def _settled(fitted, frame_size=(48, 64), **options):
    loaded = hub.Loaded(_Model(), {"fitted": fitted})
    return loaded._settled(runner.Options(**options), frame_size)


FITTED = {
    "frame_size": [48, 64],
    "scale": 0.3,
    "objects": 5,
    "object_size": 12.5,
    "min_area": None,
    "max_area": 200,
    "region": [0.0, 0.0, 40.0, 64.0],
}


def test_what_a_fit_settled_holds_for_frames_of_its_size():
    options, scale = _settled(FITTED)
    assert scale == 0.3 and options.objects == 5 and options.region[2] == 40
    assert (options.object_size, options.max_area) == (12.5, 200)
    # What is said now comes first.
    options, scale = _settled(FITTED, objects=2, size=0.5)
    assert options.objects == 2 and options.size == 0.5 and scale is None


def test_of_frames_of_another_size_only_the_number_is_known():
    options, scale = _settled(FITTED, (96, 128))
    assert scale is None and options.objects == 5
    assert options.region is options.object_size is options.max_area is None
    assert _settled({}) == (runner.Options(), None)


@pytest.mark.parametrize(
    "fitted",
    [
        [1],
        {"scale": "0.5; import os"},
        {"scale": -1},
        {"scale": [40, 50]},
        {"scale": float("nan")},
        {"objects": 10**8},
        {"object_size": [1]},
        {"frame_size": 7},
    ],
)
def test_a_strangers_fit_is_numbers_or_refused(fitted):
    with pytest.raises(hub.HubError, match="fit of this model"):
        _settled(fitted)


def test_no_path_is_read_because_a_model_says_so():
    options, _ = _settled({"region": "/etc/passwd"})
    assert options.region is None


def test_pictures_far_too_large_are_refused():
    video = np.zeros((12, 40, 50, 3), np.uint8)
    for t, frame in enumerate(video):
        frame[10:16, 2 * t : 2 * t + 6] = 255
    glance = looking.glance([Footage(video)])
    with pytest.raises(ValueError, match="lower size"):
        choosing.choose(glance, choosing.Asked(size=1e4))


def test_nothing_is_predicted_where_objects_are_followed():
    loaded = tfdecomp.load("background_subtraction")
    with pytest.raises(hub.HubError, match="leave out num_future"):
        loaded.decompose(np.zeros((4, 20, 30, 3), np.uint8), num_future=3)


@pytest.fixture(name="subtraction", scope="module")
def _fixture_subtraction():
    return tfdecomp.load("background_subtraction")


def _squares(frames=24, size=(45, 61)):
    """Two bright squares that pass before a rough ground, `[T, H, W, 3]`."""
    random = np.random.default_rng(0)
    video = np.zeros((frames, *size, 3))
    video += random.integers(60, 100, (*size, 1))
    video += random.normal(0, 1, video.shape)
    for t, frame in enumerate(video):
        frame[6:14, t : t + 9] = 230
        frame[26:34, 40 - t : 49 - t] = 220
    return video.clip(0, 255).astype(np.uint8)


def _record(folder):
    """Content of `prediction.json`, which must be JSON to everyone."""

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    text = (folder / "prediction.json").read_text()
    return json.loads(text, parse_constant=refuse)


def test_what_was_found_before_a_stop_is_written(subtraction, tmp_path):
    """Ctrl-C is remembered, so the same answer comes again and again."""
    seen = []
    subtraction.predict(
        _squares(),
        tmp_path / "out",
        chunk=8,
        progress=lambda *numbers: seen.append(numbers),
        should_stop=lambda: len(seen) > 0,
        objects=2,
    )
    record = _record(tmp_path / "out")
    assert record["state"] == "interrupted" and record["num_frames"] == 8
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 8
    assert (tmp_path / "out" / "report.html").exists()


def test_a_stop_while_looks_are_learned_writes_all_that_was_found(
    subtraction, tmp_path
):
    seen = []
    subtraction.predict(
        animals_in_colours()[0][:60],
        tmp_path / "out",
        progress=lambda *numbers: seen.append(numbers),
        should_stop=lambda: bool(seen) and seen[-1][0] >= 30,
        objects=3,
    )
    record = _record(tmp_path / "out")
    assert record["num_frames"] == 60 and "identities" not in record


def test_motion_alone_takes_no_portraits(subtraction, tmp_path):
    video = animals_in_colours()[0][:80]
    subtraction.predict(video, tmp_path / "out", objects=3, link="motion")
    assert "identities" not in _record(tmp_path / "out")


def animals_in_colours(frames=300, seed=6):
    """A video of three animals of three greys, and where they are."""
    scene = animals.Scene.walking(3, frames, seed=seed, pull=0.08)
    video = np.full((frames, 120, 120, 3), 200, np.uint8)
    noise = np.random.default_rng(seed).integers(-3, 4, video.shape)
    for time in range(frames):
        masks = animals.draw(scene.places[time], scene.headings[time])
        for mask, grey in zip(masks, (20, 70, 120)):
            video[time][mask] = grey
    return (video + noise).astype(np.uint8), scene.places / 2


@pytest.mark.slow
def test_animals_of_three_greys_keep_their_numbers_in_a_video(
    subtraction, tmp_path
):
    video, places = animals_in_colours()
    subtraction.predict(video, tmp_path / "out", objects=3)
    record = _record(tmp_path / "out")
    assert record["identities"]["meetings"] > 3
    rows = np.genfromtxt(
        tmp_path / "out" / "tracks.csv", delimiter=",", names=True
    )
    linked = [rows[rows["frame"] == t] for t in range(len(video))]
    middles = [
        np.stack([r["ymin"] + r["ymax"], r["xmin"] + r["xmax"]], -1) / 2
        for r in linked
    ]
    gap = np.array(
        [
            np.linalg.norm(m[np.argsort(r["id"])][:, None] - p, axis=-1)
            for m, r, p in zip(middles, linked, places)
        ]
    )
    between = np.linalg.norm(places[:, :, None] - places[:, None], axis=-1)
    apart = (between + 99 * np.eye(3)).min((1, 2)) > animals.LONG
    nearest = gap.argmin(-1)[apart]
    assert len(nearest) > 100
    usual = np.array([np.bincount(n).argmax() for n in nearest.T])
    assert sorted(usual) == [0, 1, 2]
    assert (nearest == usual).mean() > 0.99
    page = (tmp_path / "out" / "report.html").read_text()
    assert "by motion and looks" in page


def test_progress_counts_frames_once(subtraction, tmp_path):
    seen = []
    subtraction.predict(
        _squares(),
        tmp_path / "out",
        chunk=8,
        progress=lambda *numbers: seen.append(numbers),
    )
    assert {total for _, total in seen} == {24} and seen[-1] == (24, 24)
    done = [number for number, _ in seen]
    assert done == sorted(done)
    record = _record(tmp_path / "out")
    assert record["state"] == "finished" and record["num_frames"] == 24


@pytest.mark.parametrize(
    "video",
    [
        np.full((12, 30, 20, 3), 90, np.uint8),
        np.zeros((1, 31, 17), np.uint8),
        np.full((2, 9, 11), 0.5),
    ],
    ids=["still", "one frame", "two grey ones"],
)
def test_where_nothing_moves_the_report_says_so(video, subtraction, tmp_path):
    subtraction.predict(video, tmp_path / "out")
    record = _record(tmp_path / "out")
    assert record["state"] == "finished"
    assert record["trust"]["level"] == "bad" and record["trust"]["alarm"]
    assert "no object" in record["trust"]["sentence"]
    assert "0 tracks" in (tmp_path / "out" / "report.html").read_text()


def test_of_a_damaged_video_the_beginning_is_tracked(subtraction, tmp_path):
    video = _squares(14)
    for number in range(503):
        frame = video[min(number, 13)]
        if number == 13:
            frame = frame[1:]
        video_io.write_png(tmp_path / "in" / f"{number:03d}.png", frame)
    with pytest.raises(runner.PredictionError, match="first 13 of 503 frames"):
        subtraction.predict(tmp_path / "in", tmp_path / "out", chunk=4)
    record = _record(tmp_path / "out")
    assert record["state"] == "failed" and record["num_frames"] == 13
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 13


def test_what_is_wrong_with_a_video_is_said_before_it_is_tracked(
    subtraction, tmp_path, caplog
):
    said = []
    with caplog.at_level("WARNING", "absl"):
        subtraction.predict(
            np.full((12, 30, 20, 3), 90, np.uint8),
            tmp_path / "out",
            progress=lambda *numbers: said.append(caplog.text),
        )
    (words,) = _record(tmp_path / "out")["trust"]["sentence"].split(";")[:1]
    assert "nothing moves" in words and words in said[0]
