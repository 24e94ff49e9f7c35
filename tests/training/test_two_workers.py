"""The script that starts two hosts of one run on this machine."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import test_hosts

SCRIPT = (
    pathlib.Path(__file__)
    .resolve()
    .parents[2]
    .joinpath("examples", "two_workers.sh")
)


def start(*flags):
    return subprocess.Popen(
        [str(SCRIPT), *map(str, flags)],
        env=os.environ | {"PYTHON": sys.executable},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # What a shell starts in the background ignores it, and so do those
        # that this starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.slow
def test_two_workers_train_as_one_process_does(tmp_path):
    one, two, data = (tmp_path / name for name in ("one", "two", "data"))
    subprocess.run(
        test_hosts.train("provide", one, data), check=True, capture_output=True
    )
    flags = test_hosts.train("provide", two, data)[3:]
    with start(*flags) as script:
        said, _ = script.communicate(timeout=1200)
    assert script.returncode == 0, said
    assert "0: finished" in said and "1: step" not in said
    assert len(test_hosts.scalars(one)) == 3
    np.testing.assert_allclose(
        test_hosts.scalars(two), test_hosts.scalars(one), rtol=1e-6
    )


def test_what_one_of_them_refuses_ends_both(tmp_path):
    with start("--gin_file=nowhere", f"--workdir={tmp_path}/run") as script:
        said, _ = script.communicate(timeout=120)
    assert script.returncode == 1
    # The other may be ended before it can say so, too.
    wanted = [f"{n}: error: there is no config 'nowhere'" for n in (0, 1)]
    assert any(line in said for line in wanted)


@pytest.mark.slow
def test_ctrl_c_reaches_both(tmp_path):
    flags = test_hosts.train("provide", tmp_path / "run", tmp_path / "data")[3:]
    with start(*flags, "--gin_param=NUM_STEPS = 100000") as script:
        rows = tmp_path / "run" / "train" / "scalars.jsonl"
        while not rows.is_file():
            assert script.poll() is None, script.stdout.read()
            time.sleep(0.2)
        script.send_signal(signal.SIGINT)
        said, _ = script.communicate(timeout=300)
    assert script.returncode in (0, 130), said
    assert '"interrupted"' in (tmp_path / "run" / "run.json").read_text()
