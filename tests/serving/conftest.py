"""A small trained model, and a video that it has not seen."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from tests.untrusted.stored_models import write_run
from tfdecomp.data.video import video_io

_CONFIG = "training.run.dataset = 'tfdecomp_bouncing_balls/color3_quick'\n"


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """A work directory called `small`; its model reads 16x16 pixels."""
    folder = tmp_path_factory.mktemp("models") / "small"
    folder.mkdir()
    write_run(folder, _CONFIG)
    return folder


@pytest.fixture(scope="session")
def video_path(tmp_path_factory):
    """Two bright squares that cross a frame of 24x32 pixels."""
    video = np.zeros([5, 24, 32, 3], np.uint8)
    for t in range(5):
        video[t, 4:10, 2 + 4 * t : 8 + 4 * t] = 230, 40, 40
        video[t, 14:20, 24 - 4 * t : 30 - 4 * t] = 40, 60, 240
    path = tmp_path_factory.mktemp("videos") / "squares.mkv"
    video_io.write_video(path, video, fps=10)
    return path


@pytest.fixture
def serve(tmp_path):
    """Starts `tfdecomp serve`: `serve(*flags)` -> `(process, port)`."""
    started = []

    def start(*flags):
        process = subprocess.Popen(
            [sys.executable, "-m", "tfdecomp.serve", "--port=0", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        started.append(process)
        line = process.stdout.readline()
        found = re.search(r"at http://127.0.0.1:(\d+) ", line)
        assert found, line + process.stderr.read()
        return process, int(found[1])

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
