"""Tracks, latents and the folder they go to."""

import contextlib
import csv
import json
import resource

import numpy as np
import pytest

from tfdecomp.data.formats import rle
from tfdecomp.prediction.files import folder as folder_lib
from tfdecomp.prediction.files import tracks
from tfdecomp.prediction.files.growing_npz import GrowingNpz
from tfdecomp.prediction.files.growing_text import GrowingText
from tfdecomp.prediction.fit import UNSEEN, Fit
from tfdecomp.prediction.footage import Frame
from tfdecomp.visualization import palette, tracking_video


@pytest.fixture
def slots():
    """A map of slots: 1 is the background, 3 has two parts."""
    slots = np.ones((8, 10), np.int16)
    slots[2:5, 1:4] = 0
    slots[6, 7:9] = slots[7, 9] = 3
    slots[0] = UNSEEN
    return slots


MASKS = {"masks": np.zeros((4, 8, 10, 1))}
FIT = Fit((8, 10), (8, 10), 3, "stretch")


def test_a_slot_is_its_number_plus_one_and_the_background_zero():
    np.testing.assert_array_equal(tracks.slot_ids(MASKS, 1), [1, 0, 3, 4])
    np.testing.assert_array_equal(tracks.slot_ids(MASKS), [1, 2, 3, 4])


def test_tracks_of_the_model_come_first(slots):
    outputs = {**MASKS, "track_ids": np.array([0, 7, 0, 300])}
    ids = tracks.slot_ids(outputs, 0)
    np.testing.assert_array_equal(ids, [0, 7, 0, 300])
    picture = tracks.id_picture(slots, ids)
    # 254 colours: 255 would be 1 again, 300 is 46.
    assert set(np.unique(picture)) == {0, 7, 46, tracks.UNSEEN_ID}


def test_objects_have_tight_boxes_areas_and_masks(slots):
    ids = tracks.slot_ids(MASKS, 1)
    found = tracks.find(slots, ids, MASKS, FIT)
    assert [(o.id, o.slot, o.area) for o in found] == [(1, 0, 9), (4, 3, 3)]
    np.testing.assert_array_equal(found[0].box, [2, 1, 5, 4])
    np.testing.assert_array_equal(found[1].box, [6, 7, 8, 10])
    assert found[0].presence is None
    np.testing.assert_array_equal(found[1].mask, slots == 3)


def test_boxes_and_presence_of_the_model_are_used(slots):
    outputs = {
        **MASKS,
        "presence": np.array([0.9, 1.0, 0.8, 0.1]),
        "boxes": np.tile([[1.5, 1, 5, 4.5]], (4, 1)),
    }
    found = tracks.find(slots, tracks.slot_ids(outputs, 1), outputs, FIT)
    # Slot 2 is there although it is hidden; slot 3 has pixels alone.
    assert [(o.slot, o.area) for o in found] == [(0, 9), (2, 0), (3, 3)]
    np.testing.assert_array_equal(found[0].box, [1.5, 1, 5, 4.5])
    np.testing.assert_array_equal(found[2].box, [6, 7, 8, 10])
    assert [o.presence for o in found] == [0.9, 0.8, 0.1]


def test_track_files_say_the_same_twice(slots, tmp_path):
    ids = tracks.slot_ids(MASKS, 1)
    found = tracks.find(slots, ids, MASKS, FIT)
    video = {"name": "ö.mp4", "height": 8, "width": 10}
    writer = tracks.TrackFiles(tmp_path, {"model": "m"}, video)
    for number, objects in ((0, found), (3, []), (6, found[1:])):
        writer.add(Frame(number, number / 30, None), objects)
        writer.keep()
    assert not list(tmp_path.glob("tracks.*"))
    writer.close()
    content = json.loads((tmp_path / "tracks.json").read_text("utf-8"))
    assert content["videos"] == [{"id": 1, **video, "length": 3}]
    assert [image["frame"] for image in content["images"]] == [0, 3, 6]
    assert content["images"][1]["file_name"] == "masks/000003.png"
    assert content["info"] == {"model": "m"}
    with open(tmp_path / "tracks.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    entries = content["annotations"]
    assert len(rows) == len(entries) == 3
    for row, entry in zip(rows, entries):
        assert int(row["frame"]) == entry["frame"] == entry["image_id"]
        assert int(row["id"]) == entry["track_id"]
        assert int(row["area"]) == entry["area"]
        box = [float(row[n]) for n in ("ymin", "xmin", "ymax", "xmax")]
        assert box == entry["box"]
        x, y, width, height = entry["bbox"]
        assert [y, x, y + height, x + width] == box  # without a model's own
        assert row["presence"] == "" and "presence" not in entry
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "tracks.csv",
        "tracks.json",
    ]


def test_annotations_are_of_pixels_and_the_box_is_the_models(slots, tmp_path):
    outputs = {
        **MASKS,
        "presence": np.array([0.9, 1.0, 0.8, 0.1]),
        "boxes": np.tile([[1.5, 1, 5, 4.5]], (4, 1)),
    }
    ids = tracks.slot_ids(outputs, 1)
    found = tracks.find(slots, ids, outputs, FIT)
    video = {"name": "a.mp4", "height": 8, "width": 10}
    writer = tracks.TrackFiles(tmp_path, {}, video)
    writer.add(Frame(0, 0.0, None), found)
    writer.add(Frame(1, 0.1, None), found[1:])
    writer.keep()
    writer.close()
    with open(tmp_path / "tracks.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    # Slot 2 is there but hidden: it has rows, and no annotation.
    assert [(row["slot"], row["area"]) for row in rows] == [
        ("0", "9"),
        ("2", "0"),
        ("3", "3"),
        ("2", "0"),
        ("3", "3"),
    ]
    assert [rows[0]["ymin"], rows[0]["xmax"]] == ["1.5", "4.5"]
    entries = json.loads((tmp_path / "tracks.json").read_text())["annotations"]
    assert [(e["id"], e["slot"]) for e in entries] == [(1, 0), (2, 3), (3, 3)]
    assert entries[0]["box"] == [1.5, 1, 5, 4.5]
    for entry in entries:
        mask = rle.decode(**entry["segmentation"])
        y, x = np.nonzero(mask)
        assert entry["area"] == len(y) > 0
        size = [x.max() - x.min() + 1, y.max() - y.min() + 1]
        assert entry["bbox"] == [x.min(), y.min(), *size]


def test_tracks_of_nothing_are_valid_files(tmp_path):
    video = {"name": "a", "height": 8, "width": 10}
    tracks.TrackFiles(tmp_path, {}, video).close()
    content = json.loads((tmp_path / "tracks.json").read_text())
    assert content["annotations"] == content["images"] == []


def test_a_frame_that_is_not_kept_is_in_no_file(slots, tmp_path):
    ids = tracks.slot_ids(MASKS, 1)
    found = tracks.find(slots, ids, MASKS, FIT)
    video = {"name": "a", "height": 8, "width": 10}
    writer = tracks.TrackFiles(tmp_path, {}, video)
    writer.add(Frame(0, 0.0, None), found)
    writer.keep()
    writer.add(Frame(1, 0.1, None), found)
    writer.close()
    content = json.loads((tmp_path / "tracks.json").read_text())
    assert [image["frame"] for image in content["images"]] == [0]
    assert {entry["frame"] for entry in content["annotations"]} == {0}
    assert content["videos"][0]["length"] == 1
    with open(tmp_path / "tracks.csv", newline="") as file:
        assert {row["frame"] for row in csv.DictReader(file)} == {"0"}


LINE = f"{'x' * 999}\n"


@contextlib.contextmanager
def files_of_at_most(size):
    """As on a disk that is full: files may grow to this size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_text_ends_with_what_was_kept_where_the_disk_was_full(tmp_path):
    file = GrowingText(tmp_path / "a.txt")
    kept = 0
    with files_of_at_most(100_500), pytest.raises(OSError, match="too large"):
        while True:
            file.write(LINE)
            file.keep()
            kept += 1
    file.write("and half of")
    file.close("end\n")
    assert kept > 60
    assert (tmp_path / "a.txt").read_text() == LINE * kept + "end\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_nothing_is_left_of_text_for_which_there_is_no_room(tmp_path):
    file = GrowingText(tmp_path / "a.txt")
    file.write(LINE)
    file.keep()
    with files_of_at_most(10), pytest.raises(OSError) as error:
        file.close()
    assert error.value.filename == str(tmp_path / "a.txt")
    assert not list(tmp_path.iterdir())


def test_arrays_hold_the_rows_that_all_have(tmp_path):
    writer = GrowingNpz(tmp_path / "a.npz")
    for number in range(5):
        writer.add({"a": np.full(3, number), "frame": number})
    writer.add({"a": np.zeros(3, int)})
    writer.close(4)
    with np.load(tmp_path / "a.npz") as found:
        np.testing.assert_array_equal(found["frame"], range(4))
        np.testing.assert_array_equal(found["a"][:, 0], range(4))


def test_arrays_that_grow_are_read_by_numpy(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"slots": rng.random((2, 3), np.float32), "frame": n, "time": n / 3}
        for n in range(5)
    ]
    writer = GrowingNpz(tmp_path / "a.npz")
    for row in rows:
        writer.add(row)
    assert not (tmp_path / "a.npz").exists()
    writer.close()
    with np.load(tmp_path / "a.npz") as found:
        assert sorted(found) == ["frame", "slots", "time"]
        for name, values in found.items():
            np.testing.assert_array_equal(values, [row[name] for row in rows])
    GrowingNpz(tmp_path / "none.npz").close()
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def record(state=folder_lib.FINISHED, num_frames=3):
    return {"state": state, "num_frames": num_frames}


def test_a_folder_is_filled_and_not_filled_again(tmp_path):
    output = tmp_path / "new" / "out"
    folder = folder_lib.OutputFolder(output)
    assert folder.path == output
    (output / "a").write_text("good")
    folder.finish(record())
    with pytest.raises(folder_lib.OutputError, match="is not empty.*overwrite"):
        folder_lib.OutputFolder(output)


def test_an_earlier_prediction_is_replaced_when_the_new_one_is_done(tmp_path):
    folder_lib.OutputFolder(tmp_path / "out").finish(record())
    (tmp_path / "out" / "a").write_text("old")
    folder = folder_lib.OutputFolder(tmp_path / "out", overwrite=True)
    (folder.path / "a").write_text("new")
    assert (tmp_path / "out" / "a").read_text() == "old"
    folder.finish(record())
    assert (tmp_path / "out" / "a").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_interrupted_prediction_replaces_nothing(tmp_path):
    folder_lib.OutputFolder(tmp_path / "out").finish(record())
    (tmp_path / "out" / "a").write_text("old")
    for _ in range(2):  # the second one takes the place of the first
        folder = folder_lib.OutputFolder(tmp_path / "out", overwrite=True)
        (folder.path / "a").write_text("half")
        folder.finish(record(folder_lib.INTERRUPTED))
    assert (tmp_path / "out" / "a").read_text() == "old"
    assert (tmp_path / "out.new" / "a").read_text() == "half"


def test_without_a_frame_nothing_is_left(tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("mine", "new"):
        folder = folder_lib.OutputFolder(tmp_path / name)
        folder.finish(record(folder_lib.FAILED, 0))
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
    assert not list((tmp_path / "mine").iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
def test_somebody_elses_folder_is_left_alone(tmp_path, overwrite):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(folder_lib.OutputError, match="is not empty"):
        folder_lib.OutputFolder(tmp_path, overwrite)
    with pytest.raises(folder_lib.OutputError, match="is a file"):
        folder_lib.OutputFolder(tmp_path / "thesis.txt", overwrite)
    with pytest.raises(folder_lib.OutputError, match="cannot be written to"):
        folder_lib.OutputFolder(tmp_path / "thesis.txt" / "out", overwrite)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_marks_have_the_colour_of_the_slot_and_spare_the_rest():
    frame = np.full((120, 160, 3), 90, np.uint8)
    ids = np.zeros((120, 160), np.uint8)
    ids[40:80, 60:100] = 3
    ids[:, :10] = tracks.UNSEEN_ID
    painter = tracking_video.TrackPainter(opacity=0.5)
    marked = painter.paint(frame, {3: [40, 60, 80, 100]}, ids)
    color = palette.slot_colors(4)[2]
    np.testing.assert_array_equal(marked[40, 80], color)  # outline
    mixed = np.rint(0.5 * frame[0, 0] + 0.5 * color)
    np.testing.assert_array_equal(marked[70, 80], mixed)
    np.testing.assert_array_equal(marked[100:], frame[100:])
    np.testing.assert_array_equal(marked[:, :10], frame[:, :10])
    chip = marked[28:40, 60:66].reshape(-1, 3)
    assert (chip == color).all(1).any()


def test_a_trail_leads_to_where_the_object_is():
    frame = np.zeros((120, 160, 3), np.uint8)
    ids = np.zeros((120, 160), np.uint8)
    painter = tracking_video.TrackPainter()
    for left in (20, 60, 100):
        marked = painter.paint(frame, {1: [50, left, 70, left + 20]}, ids)
    way = marked[60, 30:110].sum(-1)
    assert (way > 0).all() and way[5] < way[-5]
