"""A disk that is full: one sentence, and what is good stays."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from tfdecomp.data.video import video_io
from tfdecomp.fitting import run

# Files may grow to this size and no further, as on a disk that is full.
LIMITED = """
import resource, runpy, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
runpy.run_module("tfdecomp.predict", run_name="__main__")
"""


def _film(path, count=60):
    """A disk that crosses a noisy ground."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :128]
    frames = rng.integers(90, 130, (count, 96, 128, 3), dtype=np.uint8)
    for t, frame in enumerate(frames):
        frame[np.hypot(y - 48, x - 10 - 108 * t / count) < 9] = 20
    video_io.write_video(path, frames, fps=25)


@pytest.mark.slow
def test_a_prediction_says_so_and_what_is_whole_stays(tmp_path):
    _film(tmp_path / "a.mp4")
    command = [sys.executable, "-c", LIMITED, "60000"]
    command += ["--model=background_subtraction"]
    command += [f"--input={tmp_path / 'a.mp4'}", f"--output={tmp_path / 'out'}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith("error: the disk is full") and "Traceback" not in (
        done.stderr
    )
    assert "make room, or choose another folder" in said
    record = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert record["state"] == "failed" and record["num_frames"] > 0
    assert f"the first {record['num_frames']} of 60 frames are in" in said
    assert_whole(tmp_path / "out", record["num_frames"])


def assert_whole(folder, count):
    """Nothing half-written, and as many frames in every file."""
    names = {path.name for path in folder.rglob("*")}
    assert not [name for name in names if "partial" in name], names
    assert len(list((folder / "masks").iterdir())) == count
    with open(folder / "tracks.csv") as file:
        rows = list(csv.DictReader(file))
    assert rows and int(rows[-1]["frame"]) < count
    images = json.loads((folder / "tracks.json").read_text())["images"]
    assert [image["frame"] for image in images] == list(range(count))
    with np.load(folder / "latents.npz") as found:
        np.testing.assert_array_equal(found["frame"], range(count))
    with open(folder / "frames.csv") as file:
        assert len(list(csv.DictReader(file))) == count
    last = (folder / "mot.txt").read_text().splitlines()[-1]
    assert int(last.split(",")[0]) <= count


def test_a_fit_says_how_much_room_it_needs(tmp_path):
    _film(tmp_path / "a.mp4", 20)
    request = run.Request((str(tmp_path / "a.mp4"),))
    fit = run.Fit(request, tmp_path / "fit")
    with fit.folder.held():
        fit._check_room(0)
        with pytest.raises(run.FitError, match="fit is full: .* needs .* MiB"):
            fit._check_room(10**18)
    assert not (tmp_path / "fit").exists()
