"""What a run says about itself, and when it stops."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
import tiny_model

from tfdecomp import signals, training
from tfdecomp.training import callbacks, workdir
from tfdecomp.training.watch import window_means


def lines(out):
    return [line for line in out.splitlines() if line.startswith("step ")]


SHORT = "training.run.num_steps = 10"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short run with a seed of its own."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    tiny_model.parse(SHORT)
    training.run(folder, seed=3, command="the command")
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    """That run, the test's own to spoil."""
    return shutil.copytree(finished, tmp_path / "run")


def test_in_a_pipe_there_is_one_line_per_log(tmp_path, capsys):
    tiny_model.parse(tiny_model.ONE_GRAPH)
    training.run(tmp_path)
    printed = lines(capsys.readouterr().out)
    assert len(printed) == 8
    for word in ("step 40/40", "loss", "memory", "steps/s", "left"):
        assert word in printed[-1]


def test_a_finished_run_says_so_and_does_nothing(folder, capsys):
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    tiny_model.parse(SHORT)
    assert training.run(folder, seed=3)["state"] == "finished"
    assert "is finished, at step 10" in capsys.readouterr().out
    after = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    before.pop(folder / ".lock"), after.pop(folder / ".lock")
    assert before == after


def test_the_work_directory_tells_what_ran(finished):
    run = json.loads((finished / "run.json").read_text())
    assert run["state"] == "finished" and run["step"] == 10
    assert run["seed"] == 3 and run["command"] == "the command"
    assert run["versions"]["tensorflow"] == tf.__version__
    assert "CPU:0" in run["devices"][0]
    config = (finished / "config.gin").read_text()
    assert SHORT in config
    assert "training.Adam.beta_2 = 0.999" in config
    assert list((finished / "train").glob("events.*"))


def test_scalars_can_be_read_by_tensorboard(finished):
    (path,) = (finished / "train").glob("events.*")
    found = {}
    for record in tf.data.TFRecordDataset(str(path)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            plugin = value.metadata.plugin_data.plugin_name
            found[event.step, value.tag] = (
                plugin,
                tf.make_ndarray(value.tensor),
            )
    rows = workdir.History(finished / "train" / "scalars.jsonl").read()
    assert len(rows) == 2
    for row in rows:
        plugin, value = found[row["step"], "loss"]
        assert plugin == "scalars"
        np.testing.assert_allclose(value, row["loss"], rtol=1e-6)
    assert found[0, "config"][0] == "text"
    assert b"batch_size" in found[0, "config"][1].item()


@pytest.mark.parametrize(
    ("changes", "seed", "shown"),
    [
        (["training.Adam.learning_rate = 0.02"], 3, "learning_rate = 0.02"),
        (["tests.TinySlots.num_slots = 3"], 3, "num_slots = 3"),
        ([], 1, r"\+seed = 1"),
    ],
)
def test_another_config_in_the_folder_is_refused(folder, changes, seed, shown):
    before = (folder / "config.gin").read_text()
    tiny_model.parse(SHORT, *changes)
    with pytest.raises(workdir.WorkDirError, match=shown) as error:
        training.run(folder, seed=seed)
    assert "another --workdir" in str(error.value)
    assert (folder / "config.gin").read_text() == before
    assert json.loads((folder / "run.json").read_text())["seed"] == 3


def test_changed_defaults_in_the_code_are_refused(folder):
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(run | {"state": "failed"}))
    config = (folder / "config.gin").read_text()
    config = config.replace("kl_weight = 0.1", "kl_weight = 0.2")
    (folder / "config.gin").write_text(config)
    tiny_model.parse(SHORT)
    with pytest.raises(workdir.WorkDirError, match="defaults in the code"):
        training.run(folder, seed=3)


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    first = workdir.WorkDir(tmp_path)
    with pytest.raises(workdir.WorkDirError, match="another process"):
        workdir.WorkDir(tmp_path)
    first.close()
    workdir.WorkDir(tmp_path).close()


def test_a_file_is_no_work_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(workdir.WorkDirError, match="is a file"):
        workdir.WorkDir(tmp_path / "file")


def test_skipped_steps_are_reported(tmp_path, capsys):
    # Clips 20 and 21 are in step 5 of batches of four.
    tiny_model.parse(
        "tests.tiny_dataset.bad_clips = (20, 21)", tiny_model.ONE_GRAPH
    )
    assert training.run(tmp_path)["state"] == "finished"
    assert "skipped 1 of the last 5 steps" in capsys.readouterr().out
    rows = workdir.History(tmp_path / "train" / "scalars.jsonl").read()
    assert [row["skipped"] for row in rows] == [0, 1, 0, 0, 0, 0, 0, 0]
    assert all(np.isfinite(row["loss"]) for row in rows)


def test_too_many_skipped_steps_stop_the_run(tmp_path):
    bad = tuple(range(48, 160))  # all from step 12 on
    tiny_model.parse(
        f"tests.tiny_dataset.bad_clips = {bad}",
        "training.run.max_nonfinite = 4",
        tiny_model.ONE_GRAPH,
    )
    with pytest.raises(callbacks.TrainingError) as error:
        training.run(tmp_path)
    assert "step_000000010.npz" in str(error.value)
    assert "learning rate" in str(error.value)
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["state"] == "failed"
    model, info = training.restore_model(tmp_path)
    assert info["step"] == 10
    assert all(np.all(np.isfinite(v)) for v in model.variables)


def watch(signs, action="warn"):
    """What a guard that waits 100 steps says to scalars every 50 steps."""
    said = []
    guard = callbacks.CollapseGuard(100, action, num_slots=5)
    for i, scalars in enumerate(signs):
        guard.check(50 * i, scalars, said.append)
    return said


HEALTHY = {"kl": 20.0, "largest_slot": 0.8, "slots_used": 5.0}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kl": 0.01}, "carry no information"),
        ({"largest_slot": 1.0, "slots_used": 1.0}, "one slot owns 100.0%"),
        ({"slots_used": 2.0}, "only 2.0 of 5 slots"),
    ],
)
def test_a_lasting_collapse_is_reported_once(change, words):
    said = watch([HEALTHY] + 6 * [HEALTHY | change])
    assert len(said) == 1 and words in said[0]
    with pytest.raises(callbacks.TrainingError, match=words):
        watch(6 * [HEALTHY | change], action="stop")


def test_a_passing_collapse_is_not_reported():
    bad = HEALTHY | {"kl": 0.0}
    assert watch([bad, bad, HEALTHY, bad, bad, HEALTHY]) == []


def test_means_of_a_window_leave_skipped_steps_out():
    window = {
        "loss": np.array([1.0, np.nan, 3.0], np.float32),
        "is_taken": np.array([1.0, 0.0, 1.0], np.float32),
    }
    assert window_means(window) == {"loss": 2.0, "skipped": 1}
    nothing = {k: v[1:2] for k, v in window.items()}
    assert window_means(nothing) == {"skipped": 1}


def test_history_survives_a_line_cut_short(tmp_path):
    history = workdir.History(tmp_path / "rows.jsonl")
    for step in (1, 2, 3):
        history.add({"step": step})
    with open(history.path, "a") as file:
        file.write('{"step": 4, "lo')
    assert [row["step"] for row in history.read()] == [1, 2, 3]
    history.forget_after(2)
    assert history.path.read_text() == '{"step": 1}\n{"step": 2}\n'


@pytest.mark.parametrize(
    ("seconds", "text"), [(9.6, "10s"), (61, "1m01s"), (7320, "2h02m")]
)
def test_durations_read_well(seconds, text):
    assert callbacks.duration(seconds) == text


@pytest.mark.slow
@pytest.mark.multi_device
def test_two_devices_train_as_one_does(tmp_path):
    # Two logical devices must exist before TensorFlow starts.
    losses = []
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        command = [sys.executable, tiny_model.__file__, folder]
        command += [f"--devices={devices}"]
        subprocess.run(command, check=True, capture_output=True)
        rows = workdir.History(folder / "train" / "scalars.jsonl").read()
        losses.append([row["loss"] for row in rows])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


@pytest.mark.slow
def test_two_hosts_train_as_one_does(tmp_path):
    command = [sys.executable, tiny_model.__file__]
    subprocess.run(
        [*command, tmp_path / "one"], check=True, capture_output=True
    )
    outputs = run_on_two_hosts([*command, tmp_path / "two"])
    assert "finished" in outputs[0] and "step" not in outputs[1]
    losses = []
    for name in ("one", "two"):
        path = tmp_path / name / "train" / "scalars.jsonl"
        losses.append([row["loss"] for row in workdir.History(path).read()])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


def run_on_two_hosts(command):
    """Runs a command twice, as two hosts of one run; what both printed."""
    processes = start_two_hosts(command)
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    return outputs


def start_two_hosts(command, other=None):
    """Processes of two hosts of one run; `other` is the second's command."""
    hosts = [f"localhost:{port}" for port in free_ports(2)]
    processes = []
    for index, asked in enumerate((command, other or command)):
        task = {"type": "worker", "index": index}
        cluster = {"cluster": {"worker": hosts}, "task": task}
        processes.append(
            subprocess.Popen(
                asked,
                env={**os.environ, "TF_CONFIG": json.dumps(cluster)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    return processes


def free_ports(count):
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def test_ctrl_c_inside_of_another_work_stops_both(capsys):
    with signals.StopOnSignal("the whole") as outer:
        with signals.StopOnSignal("a part of it") as inner:
            signal.raise_signal(signal.SIGINT)
            assert inner.requested and outer.requested
        time.sleep(0.15)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert "a part of it" in capsys.readouterr().out
    with signals.StopOnSignal() as later:
        assert not later.requested


def test_a_signal_that_comes_twice_at_once_is_one():
    # As from `timeout`, which sends it to a process and to its group.
    with signals.StopOnSignal() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stop.requested
        time.sleep(0.15)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
