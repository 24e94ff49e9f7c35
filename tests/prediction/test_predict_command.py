"""`python -m tfdecomp.predict`, as typed."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.data import video_files as files
from tfdecomp.data.video import video_io

MODEL = "--model=provide_balls_quick"


def command(*flags):
    return [sys.executable, "-m", "tfdecomp.predict", *map(str, flags)]


def run(*flags):
    return subprocess.run(command(*flags), capture_output=True, text=True)


def error(*flags):
    """The one line of an error; the command must have failed."""
    done = run(*flags)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_errors_of_files_are_one_line(tmp_path):
    path = files.write_sound(tmp_path / "only sound, ü.mp4")
    message = error(MODEL, f"--input={path}", f"--output={tmp_path / 'out'}")
    assert message == (
        f"error: {path} has no video in it, only sound; give a video file"
    )
    message = error(MODEL, "--input=a.mp4", f"--output={tmp_path}")
    assert message.startswith(f"error: {tmp_path} is not empty")
    message = error(MODEL, "--input=nowhere.mp4", "--output=/dev/null/out")
    assert "nowhere.mp4 does not exist" in message or "/dev/null" in message
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--seed=4294967296", "seed must be a number from 0"),
        ("--num_slots=0", "num_slots must be a positive number"),
        ("--fps=nan", "fps must be a positive number"),
        ("--min_area=-1", "min_area must be a positive number"),
    ],
)
def test_flags_are_checked_as_options_are(flag, words, tmp_path):
    files.write(tmp_path / "a.mp4", 2)
    out = tmp_path / "out"
    message = error(
        MODEL, f"--input={tmp_path / 'a.mp4'}", f"--output={out}", flag
    )
    assert message.startswith(f"error: {words}")
    assert not out.exists()


@pytest.mark.slow
def test_an_unknown_model_is_one_line(tmp_path):
    files.write(tmp_path / "a.mp4", 2)
    message = error(
        "--model=provide_bals_quick",
        f"--input={tmp_path / 'a.mp4'}",
        f"--output={tmp_path / 'out'}",
    )
    assert "did you mean 'provide_balls_quick'" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_video_with_a_strange_name_is_decomposed(tmp_path):
    path = files.write(tmp_path / "größe {1} 100%.webm", 5, codec="libvpx-vp9")
    output = tmp_path / "日本 out"
    done = run(MODEL, f"--input={path}", f"--output={output}", "--future=2")
    assert done.returncode == 0, done.stderr
    wrote, trust = done.stdout.splitlines()
    assert wrote == f"wrote 5 frames to {output}"
    assert len(list((output / "masks").iterdir())) == 5
    record = json.loads((output / "prediction.json").read_text("utf-8"))
    assert record["source"]["name"] == path.name
    assert record["options"]["fit"] == "letterbox"
    verdict = record["trust"]
    assert trust == f"{verdict['level']}: {verdict['sentence']}"
    video_io.read_video(output / "overlay.mp4", 5)
    again = run(
        MODEL, f"--input={path}", f"--output={output}", "--overwrite", "--fps=5"
    )
    assert again.returncode == 0, again.stderr
    assert len(list((output / "masks").iterdir())) == 3


@pytest.mark.slow
def test_ctrl_c_keeps_the_frames_that_are_done(tmp_path):
    np.save(tmp_path / "long.npy", np.zeros((20_000, 20, 20, 3), np.uint8))
    output = tmp_path / "out"
    process = subprocess.Popen(
        command(
            MODEL, f"--input={tmp_path / 'long.npy'}", f"--output={output}"
        ),
        stdout=subprocess.PIPE,
        text=True,
    )
    begin = time.monotonic()
    while not (output / "masks" / "000040.png").exists():
        assert process.poll() is None and time.monotonic() - begin < 300
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    record = json.loads((output / "prediction.json").read_text())
    done = record["num_frames"]
    assert record["state"] == "interrupted" and 40 < done < 20_000
    assert f"stopped: the first {done} of 20000 frames are in {output}" in (
        printed
    )
    assert len(list((output / "masks").iterdir())) == done
    for name in ("overlay.mp4", "slots.mp4"):
        video_io.read_video(output / name, done)
    content = json.loads((output / "tracks.json").read_text())
    assert len(content["images"]) == done
    hidden = [p for p in pathlib.Path(output).rglob(".*")]
    assert not hidden
