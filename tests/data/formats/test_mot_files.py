"""Files of tracks: MOTChallenge's, ours, and those that are neither."""

import numpy as np
import pytest

from tfdecomp.data import errors
from tfdecomp.data.formats import mot_files
from tfdecomp.prediction.files import mot, tracks
from tfdecomp.prediction.footage import Frame

TRUTH = """\
1,1,1,1,10,20,1,1,0.5
1,2,11,21,5,6,0,7,1
2, 1, 2.5, 1, 10, 20, 1, 1, 0.25

3,2,4,4,4,4,0,3,1
"""
CSV = """\
frame,time,id,slot,ymin,xmin,ymax,xmax,area,presence
0,0.0,4,1,1.5,2,3,4,3,0.75
0,0.0,2,2,0.0,0.0,0.0,0.0,0,0.9
2,0.1,4,1,1,2,3,5,3,
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="a.txt"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_truth_counts_from_one_and_has_rows_that_are_not_scored(write):
    found = mot_files.read_mot(write(TRUTH), is_truth=True)
    np.testing.assert_array_equal(found.frames, [0, 1])
    np.testing.assert_array_equal(found.ids, [1, 1])
    # The box at 1, 1 begins with the first pixel.
    np.testing.assert_array_equal(
        found.boxes, [[0, 0, 20, 10], [0, 1.5, 20, 11.5]]
    )
    np.testing.assert_array_equal(found.classes, [1, 1])
    np.testing.assert_array_equal(found.visibility, [0.5, 0.25])
    # Somebody looked at the last frame, too.
    np.testing.assert_array_equal(found.seen, [0, 1, 2])


def test_what_a_tracker_found_has_rows_of_any_confidence(write):
    found = mot_files.read_mot(write(TRUTH))
    assert len(found) == 4
    np.testing.assert_array_equal(found.confidence, [1, 0, 1, 0])
    assert mot_files.read_mot(write("1,1,2,3,4,5")).confidence == [1]


def test_columns_of_places_in_space_are_not_classes(write):
    found = mot_files.read_mot(write("1,1,2,3,4,5,1,4.48,5.50,0\n"))
    assert found.classes is None and found.visibility is None


@pytest.mark.parametrize(
    "text",
    [
        "1 3 2 4 5 6 0.5\n2 3 3 4 5 6 0.5\n",
        "\r\n 1.0 , 3.0 ,2,4,5,6,.5,\r\n\r\n2e0, 3,3,4,5,6,0.5,\r\n",
        "2\t3\t3\t4\t5\t6\t0.5\n\n1\t3\t2\t4\t5\t6\t0.5",
        "\ufeff1,3,2,4,5,6,0.5\n2,3,3,4,5,6,0.5\n",
    ],
)
def test_blanks_and_whole_numbers_with_a_point_are_read(write, text):
    found = mot_files.read(write(text))
    np.testing.assert_array_equal(found.frames, [0, 1])
    np.testing.assert_array_equal(found.ids, [3, 3])
    np.testing.assert_array_equal(found.boxes, [[3, 1, 9, 6], [3, 2, 9, 7]])
    np.testing.assert_array_equal(found.confidence, 0.5)


def test_a_text_with_a_frame_zero_counts_from_zero(write):
    path = write("0,1,2,3,4,5\n7,1,2,3,4,5\n")
    assert mot_files.read(path).frames.tolist() == [0, 7]
    assert mot_files.read(path).first_frame == 0
    path = write("7,1,2,3,4,5\n")
    assert mot_files.read(path).frames.tolist() == [6]
    assert mot_files.read(path, first_frame=0).frames.tolist() == [7]
    assert mot_files.read(path, first_frame=5).frames.tolist() == [2]


def test_our_table_is_read_by_the_names_of_its_columns(write):
    for found in (
        mot_files.read_tracks_csv(write(CSV)),
        mot_files.read(write(CSV)),
    ):
        np.testing.assert_array_equal(found.frames, [0, 2])
        np.testing.assert_array_equal(found.ids, [4, 4])
        np.testing.assert_array_equal(
            found.boxes, [[1.5, 2, 3, 4], [1, 2, 3, 5]]
        )
        np.testing.assert_array_equal(found.confidence, [0.75, 1])
        assert not found.is_points
    nothing = CSV.splitlines()[0] + "\n"
    assert len(mot_files.read(write(nothing))) == 0


def test_points_come_as_a_table_or_as_arrays(write, tmp_path):
    text = "x,y,frame,id\n3,2,0,1\n5,4,0,2\n7.5,6,4,1\n"
    same = [mot_files.read(write(text))]
    np.savez(
        tmp_path / "a.npz",
        frame=[0, 0, 4],
        id=[1, 2, 1],
        y=[2, 4, 6],
        x=[3, 5, 7.5],
    )
    same.append(mot_files.read(tmp_path / "a.npz"))
    points = np.full((2, 2, 2), np.nan)
    points[0], points[1, 0] = [[2, 3], [4, 5]], [6, 7.5]
    np.savez(tmp_path / "b.npz", points=points, frame=[0, 4])
    same.append(mot_files.read(tmp_path / "b.npz"))
    for found in same:
        assert found.is_points
        np.testing.assert_array_equal(found.frames, [0, 0, 4])
        np.testing.assert_array_equal(found.ids, [1, 2, 1])
        np.testing.assert_array_equal(
            found.boxes[:, :2], [[2, 3], [4, 5], [6, 7.5]]
        )
        np.testing.assert_array_equal(found.boxes[:, 2:], found.boxes[:, :2])


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "is empty, expected"),
        ("\n\n", "is empty, expected"),
        ("1,1,2,3,4\n", "line 1: expected 6 to 10 numbers frame,id,bb_left"),
        ("1,1,2,3,4,5\n\n2,1,2,3,4\n", "line 3: expected 6 numbers as in the"),
        ("1,1,2,3,4,5\n2,1,two,3,4,5\n", "line 2.*bb_left, got 'two'"),
        ("1,1,2,3,nan,5\n", "line 1: expected finite numbers.*'nan'"),
        ("1,1,2,3,4,1e300\n", "line 1: expected finite numbers"),
        ("1,1,2,3,-4,5\n", "line 1: expected bb_width and bb_height from 0"),
        ("1.5,1,2,3,4,5\n", "line 1.*a whole number from 1 for frame.*'1.5'"),
        ("1,-1,2,3,4,5\n", "whole number from 0 for id.*without tracks"),
        ("-3,1,2,3,4,5\n", "whole number from 1 for frame, got '-3'"),
        (
            "1,1,2,3,4,5\n2,8,2,3,4,5\n\n2,8,2,3,4,6\n",
            "line 4: expected an id once in a frame, got id 8 in frame 2 a "
            "second time, after line 2",
        ),
        ("name,score\nanna,3\n", "line 1.*frame,id,ymin.*got 'name,score'"),
        ('{"annotations": []}', "line 1: expected 6 to 10 numbers"),
        (CSV + "3,0,4\n", "line 5: expected 10 fields frame,time,id"),
        (
            CSV.replace("1.5", "x"),
            "line 2: expected a number for ymin, got 'x'",
        ),
        (CSV.replace("1.5", "9"), "line 2: expected ymin <= ymax"),
        (CSV.replace("2,0.1", "0,0.1"), "line 4: expected an id once"),
        (b"\x89PNG\r\n\x1a\n\0\0", "line 1: expected text in UTF-8"),
        (b"1," * 9999, "line 1: expected text in UTF-8 of at most 4096"),
        (b"PK\x05\x06" + bytes(18), "expected arrays frame, id, y, x.*none"),
    ],
)
def test_other_files_are_refused_in_one_sentence(write, text, words):
    path = write(text)
    with pytest.raises(errors.DatasetInputError, match=words) as caught:
        mot_files.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_reader_refuses_the_layout_of_another(write):
    with pytest.raises(errors.LayoutError, match="line 1.*for frame, got"):
        mot_files.read_mot(write("frame,id,y,x,width,height\n"))
    with pytest.raises(errors.LayoutError, match="line 1.*columns frame,id"):
        mot_files.read_tracks_csv(write(TRUTH))
    with pytest.raises(errors.LayoutError, match="line 1.*columns frame,id"):
        mot_files.read_points(write(CSV))


@pytest.mark.parametrize(
    "arrays, words",
    [
        ({"trajectories": np.zeros((3, 2, 2))}, "got none of these"),
        ({"points": np.zeros((3, 2))}, r"got points \(3, 2\)"),
        ({"points": np.full((3, 2, 2), np.nan)}, "is empty, expected points"),
        ({"points": np.array([None])}, "Object arrays cannot be loaded"),
        (
            {"frame": [0, 0], "id": [1, 1], "y": [1, 2], "x": [1, 2]},
            "row 1: expected an id once.*after row 0",
        ),
        (
            {"frame": [0, 1], "id": [1, 1], "y": [1], "x": [1, 2]},
            r"of one length.*got frame \(2,\)",
        ),
    ],
)
def test_other_arrays_are_refused_in_one_sentence(tmp_path, arrays, words):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(errors.LayoutError, match=words):
        mot_files.read(tmp_path / "a.npz")


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(errors.MissingFileError, match="no file .*nothing.txt"):
        mot_files.read(tmp_path / "nothing.txt")
    with pytest.raises(errors.MissingFileError, match="is a folder"):
        mot_files.read(tmp_path)
    with pytest.raises(errors.MissingFileError, match="no tracks.csv and no"):
        mot_files.read_prediction(tmp_path)


def test_a_prediction_knows_which_frames_it_looked_at(write, tmp_path):
    write(CSV, "tracks.csv")
    np.savez(tmp_path / "latents.npz", frame=[0, 2, 4], time=[0, 0.1, 0.2])
    found = mot_files.read_prediction(tmp_path)
    assert len(found) == 2
    np.testing.assert_array_equal(found.seen, [0, 2, 4])
    path = tmp_path / "tracks.csv"
    assert mot_files.read_prediction(path).seen is None
    path.rename(tmp_path / "mine.csv")
    write("1,4,2,3,4,5\n", "mot.txt")
    found = mot_files.read_prediction(tmp_path)
    np.testing.assert_array_equal(found.boxes, [[2, 1, 7, 5]])


def test_what_we_write_is_read_back(tmp_path):
    mask = np.zeros((8, 10), bool)
    boxes = {1: [0, 0, 1, 1], 3: [1.25, 2.5, 7.125, 10]}
    objects = [
        tracks.Object(k, k, np.array(box), 0, mask, None)
        for k, box in boxes.items()
    ]
    objects[1].presence = 0.625
    objects.append(tracks.Object(7, 7, np.zeros(4), 0, mask, 0.9))
    writer = mot.MotFile(tmp_path)
    writer.add(Frame(0, 0.0, None), objects)
    writer.add(Frame(3, 0.1, None), [])
    writer.add(Frame(6, 0.2, None), objects[1:])
    writer.keep()
    writer.add(Frame(7, 0.3, None), objects)
    assert not (tmp_path / "mot.txt").exists()
    writer.close()
    assert [p.name for p in tmp_path.iterdir()] == ["mot.txt"]
    lines = (tmp_path / "mot.txt").read_text().splitlines()
    assert lines == [
        "1,1,1,1,1,1,1,-1,-1,-1",
        "1,3,3.5,2.25,7.5,5.875,0.625,-1,-1,-1",
        "7,3,3.5,2.25,7.5,5.875,0.625,-1,-1,-1",
    ]
    found = mot_files.read_prediction(tmp_path)
    np.testing.assert_array_equal(found.frames, [0, 0, 6])
    np.testing.assert_array_equal(found.ids, [1, 3, 3])
    np.testing.assert_array_equal(found.boxes, [boxes[k] for k in found.ids])
    np.testing.assert_array_equal(found.confidence, [1, 0.625, 0.625])
