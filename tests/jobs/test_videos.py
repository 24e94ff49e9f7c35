"""Many videos: one folder each, and none twice."""

import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import av
import numpy as np
import pytest

from tfdecomp.data import errors
from tfdecomp.jobs import videos


def write(path, num_frames=12):
    """Two squares that cross on black, as MPEG-4."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        for t in range(num_frames):
            frame = np.zeros((64, 64, 3), np.uint8)
            frame[10:24, 4 + 2 * t : 18 + 2 * t] = 200, 50, 60
            frame[40:54, 46 - 2 * t : 60 - 2 * t] = 50, 200, 60
            frame = av.VideoFrame.from_ndarray(frame)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def command(folder, *flags):
    return [
        *(sys.executable, "-m", "tfdecomp.predict"),
        "--model=background_subtraction",
        f"--input={folder}/in/*.mp4",
        f"--output={folder}/out",
        *flags,
    ]


def predict(folder, *flags):
    return subprocess.run(
        command(folder, *flags), capture_output=True, text=True, cwd=folder
    )


def test_a_pattern_and_a_folder_of_videos_are_many(tmp_path):
    one = write(tmp_path / "in" / "a.mp4")
    assert videos.is_many(f"{tmp_path}/in/*.mp4")
    assert videos.is_many(f"{tmp_path}/in")
    assert not videos.is_many(str(one))
    assert not videos.is_many(f"{tmp_path}/nothing.mp4")
    assert videos.is_many(f"{tmp_path}/no/*.mp4"), "find says that none is"
    (tmp_path / "in" / "000.png").touch()
    assert not videos.is_many(f"{tmp_path}/in"), "a folder of frames"


def test_a_file_whose_name_looks_like_a_pattern_is_one_video(tmp_path):
    path = tmp_path / "fish[1].mp4"
    path.touch()
    assert not videos.is_many(str(path))


def test_a_pattern_of_single_pictures_names_no_video(tmp_path):
    (tmp_path / "000.png").touch()
    assert not videos.is_many(f"{tmp_path}/*.png")


def test_a_pattern_may_name_folders_of_frames(tmp_path):
    (tmp_path / "in" / "a").mkdir(parents=True)
    assert videos.find(f"{tmp_path}/in/*") == [tmp_path / "in" / "a"]


def test_what_matches_nothing_is_said(tmp_path):
    with pytest.raises(errors.MissingFileError, match="matches no video"):
        videos.find(f"{tmp_path}/*.mp4")


def test_videos_of_one_stem_keep_their_suffix(tmp_path):
    given = [tmp_path / name for name in ("a.mp4", "a.avi", "b.mp4")]
    found = videos.outputs(given, tmp_path / "out")
    assert [f.name for f in found.values()] == ["a.mp4", "a.avi", "b"]


def test_two_videos_of_one_name_are_refused_before_any_work(tmp_path):
    given = [tmp_path / "x" / "a.mp4", tmp_path / "y" / "a.mp4"]
    with pytest.raises(ValueError, match=r"x/a.mp4 and .*y/a.mp4 have one"):
        videos.outputs(given, tmp_path / "out")


def done(folder, **options):
    """A whole prediction, as far as its record says."""
    folder.mkdir(parents=True)
    record = {
        "state": "finished",
        "num_frames": 12,
        "model": {"name": "background_subtraction"},
        "options": {"fps": None, "size": None, "link": "offline"} | options,
        "trust": {"level": "good"},
    }
    (folder / "prediction.json").write_text(json.dumps(record))


def test_what_is_done_is_left_alone_and_told(tmp_path):
    write(tmp_path / "in" / "a.mp4")
    done(tmp_path / "out" / "a")
    source, output = f"{tmp_path}/in", tmp_path / "out"
    (row,) = videos.predict("background_subtraction", source, output)
    assert (row["state"], row["frames"]) == ("done before", 12)
    (read,) = csv.DictReader((output / "summary.csv").open())
    assert read == {name: str(value) for name, value in row.items()}


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("background_subtraction", {"fps": 5.0}, "fps None, now 5.0"),
        ("background_subtraction", {"size": (8, 9)}, r"now \[8, 9\]"),
        ("silot_motion", {}, "background_subtraction, now silot_motion"),
    ],
)
def test_what_was_done_otherwise_is_not_passed_off(
    model, options, said, tmp_path
):
    write(tmp_path / "in" / "a.mp4")
    done(tmp_path / "out" / "a")
    with pytest.raises(ValueError, match=said):
        videos.predict(
            model, f"{tmp_path}/in", tmp_path / "out", options=options
        )


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    write(tmp_path / "in" / "a.mp4")
    (tmp_path / "out" / "a").mkdir(parents=True)
    (tmp_path / "out" / "a" / "thesis.tex").touch()
    with pytest.raises(ValueError, match="holds no prediction|not empty"):
        videos.predict(
            "background_subtraction", f"{tmp_path}/in", tmp_path / "out"
        )


@pytest.mark.slow
def test_one_bad_video_does_not_keep_the_others_from_being_done(tmp_path):
    for name in "ab":
        write(tmp_path / "in" / f"{name}.mp4")
    (tmp_path / "in" / "c.mp4").write_bytes(b"no video")
    process = predict(tmp_path, "--workers=2")
    assert process.returncode == 1, process.stderr
    assert process.stderr == "error: 1 of 3 videos failed\n"
    rows = list(csv.DictReader((tmp_path / "out" / "summary.csv").open()))
    assert [r["state"] for r in rows] == ["finished", "finished", "failed"]
    assert "c.mp4" in rows[2]["error"]
    again = predict(tmp_path)
    assert again.stdout.count("done before") == 2


@pytest.mark.slow
def test_the_files_are_those_of_one_video_alone(tmp_path):
    write(tmp_path / "in" / "a.mp4")
    write(tmp_path / "in" / "b.mp4", 9)
    assert predict(tmp_path, "--workers=2").returncode == 0
    subprocess.run(
        [*command(tmp_path)[:4], f"--input={tmp_path}/in/b.mp4"]
        + [f"--output={tmp_path}/alone"],
        check=True,
        capture_output=True,
    )
    for name in ("tracks.csv", "frames.csv", "mot.txt"):
        alone = (tmp_path / "alone" / name).read_bytes()
        assert (tmp_path / "out" / "b" / name).read_bytes() == alone, name


@pytest.mark.slow
def test_a_killed_process_costs_no_video(tmp_path):
    for number in range(6):
        write(tmp_path / "in" / f"{number}.mp4", 60)
    with subprocess.Popen(
        command(tmp_path, "--workers=2"), stdout=subprocess.PIPE, text=True
    ) as process:
        kill(process, signal.SIGKILL)
        printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert printed.count("finished") == 6
    assert len(list((tmp_path / "out").glob("*/tracks.csv"))) == 6
    assert not list((tmp_path / "out").glob("*.new"))


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(tmp_path):
    for number in range(4):
        write(tmp_path / "in" / f"{number}.mp4", 60)
    with subprocess.Popen(
        command(tmp_path), stdout=subprocess.PIPE, text=True
    ) as process:
        wait(lambda: any((tmp_path / "out").glob("1/prediction.json")))
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in printed
    again = predict(tmp_path)
    assert again.returncode == 0, again.stderr
    assert "done before" in again.stdout


def kill(process, number):
    """Sends a signal to a process of the pool that is at work."""

    def workers():
        tasks = pathlib.Path(f"/proc/{process.pid}/task").iterdir()
        return " ".join((t / "children").read_text() for t in tasks).split()

    wait(workers)
    time.sleep(8)  # past its imports, in a video
    os.kill(int(workers()[0]), number)


def wait(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_signal_to_the_whole_group_leaves_a_summary(tmp_path):
    # `timeout` sends it to the command, and to its processes with it.
    for number in range(6):
        write(tmp_path / "in" / f"{number}.mp4", 60)
    with subprocess.Popen(
        command(tmp_path, "--workers=2"),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        wait(lambda: any((tmp_path / "out").glob("*/prediction.json")))
        process.send_signal(signal.SIGTERM)
        os.killpg(process.pid, signal.SIGTERM)
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in printed
    rows = list(csv.DictReader((tmp_path / "out" / "summary.csv").open()))
    assert len(rows) == 6
