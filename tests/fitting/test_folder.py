"""The folder of a fit: moved, renamed, and written to by one at a time."""

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from tfdecomp.data import errors
from tfdecomp.data.video import video_io
from tfdecomp.fitting import folder as folder_lib
from tfdecomp.fitting import inputs, run
from tfdecomp.fitting.folder import FitError, FitFolder
from tfdecomp.prediction import runner
from tfdecomp.simulation.fixed_camera import dish

HOLDS = """
import sys, time
from tfdecomp.fitting.folder import FitFolder
with FitFolder(sys.argv[1]).held():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(name="video")
def _fixture_video(tmp_path):
    look = dish.Dish(num_frames=30, size=(64, 80), num_animals=2, length=16)
    path = tmp_path / "fish.mp4"
    video_io.write_video(path, dish.film(look, seed=1)["video"], fps=25)
    return path


@pytest.fixture(name="holder")
def _fixture_holder(tmp_path):
    """Another process that writes to `fit`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path / "fit")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_fit_in_the_folder_is_told_who_writes_there(
    holder, video, tmp_path
):
    before = sorted((tmp_path / "fit").iterdir())
    fit = run.Fit(run.Request((str(video),)), tmp_path / "fit")
    words = rf"another process \(pid {holder.pid}\) writes to .*/fit; wait"
    with pytest.raises(FitError, match=words):
        fit.run()
    assert sorted((tmp_path / "fit").iterdir()) == before


def test_a_process_that_was_killed_keeps_nobody_out(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "fit" / folder_lib.LOCK_NAME).exists()
    folder = FitFolder(tmp_path / "fit")
    assert folder.read({}) == {}  # what it left is no reason to refuse
    with folder.held():
        pid = (folder.path / folder_lib.LOCK_NAME).read_text()
        assert int(pid) == os.getpid()
        with pytest.raises(FitError, match=str(os.getpid())):
            with FitFolder(tmp_path / "fit").held():
                pass


def test_a_folder_that_stays_empty_is_not_left_behind(tmp_path):
    with FitFolder(tmp_path / "a" / "b").held():
        assert (tmp_path / "a" / "b").is_dir()
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    with FitFolder(tmp_path / "mine").held():
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
    with FitFolder(tmp_path / "c" / "d").held():
        (tmp_path / "c" / "d" / "fit.json").write_text("{}")
    assert (tmp_path / "c" / "d" / "fit.json").exists()


def test_where_nobody_can_write_that_is_said():
    with pytest.raises(FitError, match="/proc/fit cannot be written to"):
        with FitFolder("/proc/fit").held():
            pass


def test_a_video_is_known_by_what_it_holds(video, tmp_path):
    known = inputs.fingerprint(video)
    (tmp_path / "other").mkdir()
    moved = shutil.move(video, tmp_path / "other" / "b.mp4")
    assert inputs.fingerprint(moved) == known
    with open(moved, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read()
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    assert inputs.fingerprint(moved) != known
    frames = tmp_path / "frames"
    frames.mkdir()
    for n in range(3):
        video_io.write_png(frames / f"{n}.png", np.full((8, 8, 3), n, np.uint8))
    known = inputs.fingerprint(frames)
    assert known["files"] == 3
    (frames / ".thumbs").write_text("of a file manager")
    assert inputs.fingerprint(frames) == known
    (frames / "2.png").unlink()
    assert inputs.fingerprint(frames) != known


def test_a_fit_goes_on_where_folder_and_video_were_moved_to(video, tmp_path):
    region = tmp_path / "region.png"
    video_io.write_png(region, np.full((64, 80), 255, np.uint8))
    options = runner.Options(region=str(region))
    fit = run.Fit(run.Request((str(video),), options=options), tmp_path / "a")
    with fit.folder.held():
        fit._write_state(stage="planned")
    (tmp_path / "b").mkdir()
    moved = shutil.move(tmp_path / "a", tmp_path / "b" / "fit")
    renamed = shutil.move(video, tmp_path / "b" / "renamed.mp4")
    copied = shutil.move(region, tmp_path / "b" / "same.png")
    options = runner.Options(region=str(copied))
    again = run.Fit(run.Request((str(renamed),), options=options), moved)
    assert again.state["stage"] == "planned"
    other = runner.Options(region="0,0,20,20")
    with pytest.raises(FitError, match="other videos or options"):
        run.Fit(run.Request((str(renamed),), options=other), moved)


def test_the_state_knows_no_path(video, tmp_path):
    fit = run.Fit(run.Request((str(video),)), tmp_path / "fit")
    with fit.folder.held():
        fit._write_state(stage="planned")
    text = (tmp_path / "fit" / run.STATE_NAME).read_text()
    assert str(tmp_path) not in text and json.loads(text)


def test_paths_in_gin_files_are_those_of_where_the_folder_is(tmp_path):
    folder = FitFolder(tmp_path / "it's here")
    (folder.path / "run").mkdir(parents=True)
    lines = "NUM_STEPS = 9\ndata.moving_clips.folder = '/old/footage'\nA = 1\n"
    for name in ("fit.gin", "run/config.gin"):
        (folder.path / name).write_text(lines)
    folder.settle()
    own = str(folder.path / "footage")
    for name in ("fit.gin", "run/config.gin"):
        expected = lines.replace("'/old/footage'", repr(own))
        assert (folder.path / name).read_text() == expected


def test_a_video_that_is_gone_is_said_beside_what_is_left(video, tmp_path):
    gone = tmp_path / "gone.mp4"
    with pytest.raises(errors.MissingFileError, match="does not exist"):
        inputs.check([gone], tmp_path / "fit")
    (tmp_path / "fit").mkdir()
    (tmp_path / "fit" / "fit.json").write_text("{}")
    with pytest.raises(errors.MissingFileError) as caught:
        inputs.check([gone], tmp_path / "fit")
    text = str(caught.value)
    assert f"{gone} is gone" in text and "give --input as it is" in text
    assert inputs.check([video], tmp_path / "fit") == [str(video)]


def test_identities_of_a_fit_are_not_left_to_the_model(video):
    options = runner.Options(link="model")
    with pytest.raises(ValueError, match="link='model' has no place in a fit"):
        run.Request((str(video),), options=options)


@pytest.mark.parametrize("asked", [{"objects": 3}, {"size": 0.5, "objects": 3}])
def test_the_model_alone_does_not_know_what_is_asked(asked):
    words = "no size and no objects" if len(asked) > 1 else "knows no objects"
    with pytest.raises(ValueError, match=words):
        runner.Options(link="model", **asked)
    assert runner.Options(link="online", **asked).asks_for_tracks
    assert not runner.Options(link="model").asks_for_tracks
