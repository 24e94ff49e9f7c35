"""Scores of files of tracks against py-motmetrics and TrackEval."""

import importlib.resources
import json
import os
import subprocess
import sys

import motmetrics
import numpy as np
import pytest
from trackeval.datasets._base_dataset import _BaseDataset
from trackeval.metrics import HOTA

from tfdecomp.data.formats import mot_files
from tfdecomp.evaluation import track_files

REAL = ("TUD-Campus", "TUD-Stadtmitte")
# Name of theirs -> ours.
SCORES = {
    "mota": "mota",
    "idf1": "idf1",
    "recall": "recall",
    "precision": "precision",
    "num_switches": "id_switches",
    "num_fragmentations": "fragmentations",
    "num_misses": "misses",
    "num_false_positives": "false_positives",
    "mostly_tracked": "mostly_tracked",
    "partially_tracked": "partly_tracked",
    "mostly_lost": "mostly_lost",
}
FRAMES, SIDE = 30, 12.0


def real(sequence):
    """Truth and a tracker's text that py-motmetrics brings along."""
    folder = importlib.resources.files(motmetrics) / "data" / sequence
    return folder / "gt.txt", folder / "test.txt"


def rows_of(path):
    """`frame -> [n, 5]` of id, left, top, width and height."""
    table = np.loadtxt(path, delimiter=",", ndmin=2)
    return {t: table[table[:, 0] == t, 1:6] for t in np.unique(table[:, 0])}


def by_frame(true, found):
    """Yields ids and places of both in frames with truth, in order."""
    nothing = np.zeros((0, 5))
    for t, rows in true.items():
        others = found.get(t, nothing)
        yield rows[:, 0], rows[:, 1:], others[:, 0], others[:, 1:]


def box_distances(true, found):
    iou = _BaseDataset._calculate_box_ious(true, found)
    return np.where(1 - iou > 0.5, np.nan, 1 - iou), iou


def centre_distances(radius):
    def distances(true, found):
        true, found = (p[:, :2] + p[:, 2:] / 2 for p in (true, found))
        away = np.linalg.norm(true[:, None] - found[None], axis=2)
        close = _BaseDataset._calculate_euclidean_similarity(
            true, found, 2 * radius
        )
        return np.where(away > radius, np.nan, away), close

    return distances


def theirs(true, found, distances):
    """Scores of py-motmetrics, and of TrackEval's HOTA."""
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    frames, similarity = [], []
    for ids, places, others, other_places in by_frame(true, found):
        distance, similar = distances(places, other_places)
        accumulator.update(ids, others, distance)
        frames.append((ids, others))
        similarity.append(similar)
    names = [*SCORES, "motp"]
    summary = motmetrics.metrics.create().compute(accumulator, metrics=names)
    hota = HOTA().eval_sequence(numbered(frames, similarity))
    means = {name: hota[name].mean() for name in ("HOTA", "DetA", "AssA")}
    return {name: summary[name].iloc[0] for name in names} | means


def numbered(frames, similarity):
    """Data as TrackEval has them, with ids from 0."""
    data = {"similarity_scores": similarity}
    for place, name in enumerate(("gt", "tracker")):
        ids = [frame[place] for frame in frames]
        known, numbers = np.unique(np.concatenate(ids), return_inverse=True)
        ends = np.cumsum([len(i) for i in ids])[:-1]
        data[f"{name}_ids"] = np.split(numbers, ends)
        data[f"num_{name}_ids"] = len(known)
        data[f"num_{name}_dets"] = len(numbers)
    return data


def assert_same(result, expected):
    for name, ours in SCORES.items():
        assert result[ours] == pytest.approx(expected[name], abs=1e-9), name
    for name in ("HOTA", "DetA", "AssA"):
        ours = result[name.lower()]
        assert ours == pytest.approx(expected[name], abs=1e-9), name


def write_rows(path, frames, rest="1,-1,-1,-1"):
    lines = [
        ",".join([str(int(t)), str(int(row[0])), *map(repr, row[1:].tolist())])
        + f",{rest}\n"
        for t, rows in frames.items()
        for row in rows
    ]
    path.write_text("".join(lines))
    return path


def write_points(path, frames, first=1):
    """Centres of boxes as our csv of points, frames from 0."""
    lines = ["frame,id,y,x\n"]
    for t, rows in frames.items():
        for number, left, top, width, height in rows.tolist():
            y, x = top - 1 + height / 2, left - 1 + width / 2
            lines.append(f"{int(t) - first},{int(number)},{y!r},{x!r}\n")
    path.write_text("".join(lines))
    return path


def scene(seed):
    """Truth that moves, and what a poor tracker finds, from frame 1."""
    rng = np.random.default_rng(seed)
    start, step = rng.uniform(0, 60, (6, 2)), rng.normal(0, 2, (6, 2))
    true, found = {}, {}
    swap = rng.permutation(6)
    for t in range(1, FRAMES + 1):
        corner = start + t * step
        there = rng.random(6) < 0.9
        sides = np.full((6, 2), SIDE)
        rows = np.column_stack([np.arange(6), corner, sides])
        true[t] = rows[there]
        shaken = rows.copy()
        shaken[:, 1:3] += rng.normal(0, 2.5, (6, 2))
        shaken[:, 0] = 40 + (swap if t > 15 else np.arange(6))
        found[t] = shaken[rng.random(6) < 0.8]
    return true, found


def score(tracks, truth, **options):
    return track_files.score(
        mot_files.read_prediction(tracks),
        mot_files.read(truth, is_truth=True),
        **options,
    )


@pytest.mark.parametrize("sequence", REAL)
def test_real_files_score_as_with_motmetrics_and_trackeval(sequence):
    truth, tracks = real(sequence)
    result = score(tracks, truth)
    expected = theirs(rows_of(truth), rows_of(tracks), box_distances)
    assert_same(result, expected)
    # Their MOTP is a distance, ours an overlap.
    assert result["motp"] == pytest.approx(1 - expected["motp"], abs=1e-9)
    assert result["id_switches"] > 0 and result["fragmentations"] > 0


@pytest.mark.parametrize("sequence", REAL)
@pytest.mark.parametrize("radius", [12.0, 40.0])
def test_real_boxes_are_scored_against_points(sequence, radius, tmp_path):
    truth, tracks = real(sequence)
    points = write_points(tmp_path / "points.csv", rows_of(truth))
    result = score(tracks, points, radius=radius)
    expected = theirs(rows_of(truth), rows_of(tracks), centre_distances(radius))
    assert_same(result, expected)
    assert result["distance"] == pytest.approx(expected["motp"], abs=1e-9)
    # Boxes in place of points are their centres.
    boxes = score(tracks, truth, radius=radius)
    for name in ("mota", "idf1", "hota", "distance"):
        assert boxes[name] == pytest.approx(result[name], abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_made_up_files_score_as_with_motmetrics_and_trackeval(seed, tmp_path):
    true, found = scene(seed)
    truth = write_rows(tmp_path / "gt.txt", true)
    tracks = write_rows(tmp_path / "mot.txt", found)
    assert_same(score(tracks, truth), theirs(true, found, box_distances))
    result = score(tracks, truth, radius=3.0)
    assert_same(result, theirs(true, found, centre_distances(3.0)))


def test_frames_without_truth_are_left_out_and_counted(tmp_path):
    true, found = scene(0)
    every_third = {t: rows for t, rows in true.items() if t % 3 == 1}
    truth = write_rows(tmp_path / "gt.txt", every_third)
    result = score(write_rows(tmp_path / "mot.txt", found), truth)
    assert_same(result, theirs(every_third, found, box_distances))
    left = sum(len(rows) for t, rows in found.items() if t % 3 != 1)
    assert result["boxes_left_out"] == left > 0
    assert result["num_frames"] == 10 and result["frames"] == [0, 27]


def test_frames_where_nothing_was_found_count(tmp_path):
    true, found = scene(0)
    found = {t: rows for t, rows in found.items() if t % 2}
    truth = write_rows(tmp_path / "gt.txt", true)
    result = score(write_rows(tmp_path / "mot.txt", found), truth)
    assert_same(result, theirs(true, found, box_distances))
    assert result["num_frames"] == FRAMES


def test_frames_that_a_prediction_did_not_read_are_left_out(tmp_path):
    true, found = scene(1)
    few = {t: rows for t, rows in found.items() if t % 3 == 1}
    truth = write_rows(tmp_path / "gt.txt", true)
    (tmp_path / "out").mkdir()
    write_rows(tmp_path / "out" / "mot.txt", few)
    np.savez(tmp_path / "out" / "latents.npz", frame=range(0, FRAMES, 3))
    result = score(tmp_path / "out", truth)
    kept = {t: rows for t, rows in true.items() if t % 3 == 1}
    assert_same(result, theirs(kept, few, box_distances))
    left = sum(len(rows) for t, rows in true.items() if t % 3 != 1)
    assert result["true_boxes_left_out"] == left > 0


def test_frames_that_nobody_tracked_are_said(tmp_path):
    true, found = scene(0)
    few = {t: rows for t, rows in found.items() if t <= 12}
    truth = write_rows(tmp_path / "gt.txt", true)
    tracks = write_rows(tmp_path / "mot.txt", few)
    result = score(tracks, truth)
    assert_same(result, theirs(true, few, box_distances))
    text = track_files.table(result)
    assert (
        "the truth has 30 frames, the tracks have rows in 12 of them; in the "
        "other 18 all that is true counts as missed (--frames=0:11 scores"
    ) in text
    part = score(tracks, truth, frames=(0, 11))
    begin = {t: rows for t, rows in true.items() if t <= 12}
    assert_same(part, theirs(begin, few, box_distances))
    assert part["num_frames"] == 12
    assert "the truth has" not in track_files.table(part)


def test_frames_that_a_prediction_did_not_come_to_are_said(tmp_path):
    true, found = scene(0)
    few = {t: rows for t, rows in found.items() if t <= 12}
    truth = write_rows(tmp_path / "gt.txt", true)
    (tmp_path / "out").mkdir()
    write_rows(tmp_path / "out" / "mot.txt", few)
    rows = [f"{n},{n},{n / 10},a.mp4\n" for n in range(12)]
    (tmp_path / "out" / "frames.csv").write_text(
        "frame,source_frame,time,source\n" + "".join(rows)
    )
    result = score(tmp_path / "out", truth)
    begin = {t: rows for t, rows in true.items() if t <= 12}
    assert_same(result, theirs(begin, few, box_distances))
    said = "the truth has 30 frames; 12 of them were looked at"
    assert said in track_files.table(result)


def test_a_part_without_truth_is_refused(tmp_path):
    true, found = scene(0)
    truth = write_rows(tmp_path / "gt.txt", true)
    tracks = write_rows(tmp_path / "mot.txt", found)
    with pytest.raises(ValueError, match="0 to 29 .*none from 50 to 60"):
        score(tracks, truth, frames=(50, 60))


def test_truth_of_no_confidence_is_not_scored_but_its_frames_are(tmp_path):
    true, found = scene(2)
    truth = write_rows(tmp_path / "gt.txt", true, "1,1,1")
    lines = truth.read_text().splitlines()
    # Frame 4 is empty, and one object is not to be scored anywhere.
    lines = [
        line.replace(",1,1,1", ",0,3,1")
        if line.startswith("4,") or line.split(",")[1] == "2"
        else line
        for line in lines
    ]
    truth.write_text("\n".join(lines))
    for t, rows in true.items():
        true[t] = rows[(rows[:, 0] != 2) & (t != 4)]
    result = score(write_rows(tmp_path / "mot.txt", found), truth)
    assert_same(result, theirs(true, found, box_distances))
    assert result["num_frames"] == FRAMES


def test_perfect_tracks_are_perfect_and_nothing_is_zero(tmp_path):
    true, _ = scene(3)
    truth = write_rows(tmp_path / "gt.txt", true)
    result = score(truth, truth)
    for name in ("mota", "motp", "idf1", "hota", "deta", "assa", "recall"):
        assert result[name] == pytest.approx(1.0), name
    nothing = tmp_path / "tracks.csv"
    nothing.write_text("frame,id,ymin,xmin,ymax,xmax\n")
    result = score(nothing, truth)
    assert result["mota"] == result["hota"] == result["recall"] == 0.0
    assert result["precision"] is None and result["motp"] is None
    assert "MOTP           -" in track_files.table(result)


def test_our_frames_begin_at_zero_and_theirs_at_one(tmp_path):
    truth = tmp_path / "gt.txt"
    truth.write_text("1,1,1,1,4,4\n2,1,11,11,4,4\n")
    tracks = tmp_path / "tracks.csv"
    tracks.write_text(
        "frame,id,ymin,xmin,ymax,xmax\n0,5,0,0,4,4\n1,5,10,10,14,14\n"
    )
    result = score(tracks, truth)
    assert result["mota"] == result["motp"] == 1.0
    assert result["first_frames"] == {"tracks": 0, "truth": 1}


@pytest.mark.parametrize(
    "text, options, words",
    [
        ("99,1,2,3,4,5\n", {}, "frames 98 to 98.*frames 0 to 29.*none in"),
        ("1,1,2,3,4,5,0\n", {}, "nothing to be found in the 1 frames"),
        ("frame,id,y,x\n0,1,2,3\n", {}, "has points.*--radius=PIXELS"),
        ("1,1,2,3,4,5\n", {"radius": 0.0}, "radius must be.*above 0, got 0"),
        ("1,1,2,3,4,5\n", {"radius": np.nan}, "above 0, got nan"),
    ],
)
def test_truth_that_does_not_fit_is_refused(tmp_path, text, options, words):
    _, found = scene(0)
    tracks = write_rows(tmp_path / "mot.txt", found)
    (tmp_path / "gt").write_text(text)
    with pytest.raises(ValueError, match=words):
        score(tracks, tmp_path / "gt", **options)


def test_too_many_tracks_are_refused(tmp_path):
    rows = np.column_stack([np.arange(3000), np.ones((3000, 4))])
    truth = write_rows(tmp_path / "gt.txt", {1: rows})
    with pytest.raises(ValueError, match="3000 true and 3000 found.*too many"):
        score(truth, truth)


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tfdecomp.evaluate", *arguments],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.slow
def test_the_command_prints_a_table_and_writes_json(tmp_path):
    truth, tracks = real("TUD-Campus")
    output = tmp_path / "scores.json"
    done = run(f"--tracks={tracks}", f"--truth={truth}", f"--output={output}")
    assert done.returncode == 0, done.stderr
    assert "71 frames from 0 to 70" in done.stdout
    assert "  MOTA           0.5265\n" in done.stdout
    assert json.loads(output.read_text()) == score(tracks, truth)


@pytest.mark.slow
def test_the_command_takes_points_and_another_first_frame(tmp_path):
    true, found = scene(0)
    tracks = write_rows(tmp_path / "mot.txt", found)
    points = write_points(tmp_path / "points.csv", true, first=-99)
    done = run(
        f"--tracks={tracks}",
        f"--truth={points}",
        "--radius=4",
        "--first_frame=100",
    )
    assert done.returncode == 0, done.stderr
    assert "30 frames from 0 to 29" in done.stdout


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--tracks=a.txt"], "give --tracks=OUT_OR_FILE and --truth=FILE"),
        (["--truth=a", "--tracks=a", "--model=m"], "without --workdir"),
        (["--truth={0}", "--tracks={0}"], "line 2: expected an id once"),
        (["--truth={0}", "--tracks={0}", "--frames=9"], "expected FIRST:LAST"),
        (["--truth={0}", "--tracks={0}", "--frames=3:2"], "not smaller"),
    ],
)
def test_the_command_says_what_is_wrong_in_one_line(tmp_path, arguments, words):
    (tmp_path / "a.txt").write_text("1,1,2,3,4,5\n1,1,2,3,4,5\n")
    done = run(*(text.format(tmp_path / "a.txt") for text in arguments))
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and words in done.stderr
    assert done.stderr.count("\n") == 1
