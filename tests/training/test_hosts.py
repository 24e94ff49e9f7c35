"""Several hosts with a set on the disk train as one process does."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import test_guards
import tiny_model

from tfdecomp.training import workdir


def train(config, folder, data_dir):
    return [
        sys.executable,
        "-m",
        "tfdecomp.train",
        f"--gin_file=smoke/{config}.gin",
        f"--workdir={folder}",
        f"--data_dir={data_dir}",
        "--gin_param=training.run.eval_every = 0",
        "--gin_param=training.run.pictures_every = 0",
    ]


def scalars(folder):
    rows = workdir.History(folder / "train" / "scalars.jsonl").read()
    return [[row["loss"], row["gradient_norm"]] for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("config", ["provide", "silot"])
def test_two_hosts_read_one_set_and_train_as_one_does(config, tmp_path):
    one, two, data = (tmp_path / name for name in ("one", "two", "data"))
    done = subprocess.run(
        train(config, one, data), env=os.environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    test_guards.run_on_two_hosts(train(config, two, data))
    assert len(scalars(one)) == 3
    np.testing.assert_allclose(scalars(two), scalars(one), rtol=1e-6)


@pytest.mark.slow
def test_ctrl_c_on_one_host_stops_all_at_one_step(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, tiny_model.__file__, folder]
    processes = test_guards.start_two_hosts(
        [*command, "training.run.num_steps = 1000000"]
    )
    while not (folder / "train" / "scalars.jsonl").is_file():
        assert all(process.poll() is None for process in processes)
        time.sleep(0.1)
    processes[1].send_signal(signal.SIGTERM)
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    run = json.loads((folder / "run.json").read_text())
    assert run["state"] == "interrupted" and run["step"] > 0


@pytest.mark.slow
def test_hosts_with_folders_of_their_own_are_refused(tmp_path):
    """Else one would go on from a checkpoint that the other does not have."""
    command = [sys.executable, tiny_model.__file__, tmp_path / "run"]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    path = tmp_path / "run" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"state": ""}))
    processes = test_guards.start_two_hosts(
        command, [sys.executable, tiny_model.__file__, tmp_path / "empty"]
    )
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert all("same --workdir" in output for output in outputs), outputs
