"""Files on disk: whole or not at all, whatever happens."""

import os
import shutil

import numpy as np
import pytest
import tiny_model

from tfdecomp import training
from tfdecomp.storage import saving
from tfdecomp.training.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    tiny_model.parse("training.run.ema_decay = 0.9")
    training.run(folder)
    return folder


@pytest.fixture
def trained(finished, tmp_path):
    """A run that is the test's own to spoil."""
    return shutil.copytree(finished, tmp_path / "run")


def fill_disk_at(path):
    """The next write of `path` meets a full disk, as Linux plays it."""
    os.symlink("/dev/full", path.with_name(f".{path.name}.tmp"))


def test_a_full_disk_is_one_clear_error_and_the_old_file_stays(tmp_path):
    path = tmp_path / "file"
    saving.atomic_write(path, b"old")
    fill_disk_at(path)
    with pytest.raises(saving.CheckpointError, match="disk is full.*Free some"):
        saving.atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
    saving.atomic_write(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_full_disk_in_training_leaves_the_last_checkpoint(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    fill_disk_at(saving.checkpoint_path(folder, 20))
    tiny_model.parse(tiny_model.ONE_GRAPH)
    with pytest.raises(saving.CheckpointError, match="disk is full"):
        training.run(tmp_path)
    assert saving.checkpoint_steps(folder) == [0, 10]
    model, info = training.restore_model(tmp_path)
    assert info["step"] == 10 and model.built
    # With space again the same command goes on.
    tiny_model.parse(tiny_model.ONE_GRAPH)
    assert training.run(tmp_path)["state"] == "finished"


def test_newest_and_best_checkpoints_stay(tmp_path):
    class State:
        step = 0
        best = {"step": 2}

        def capture(self):
            return {"model/0000": np.zeros(1)}, {"step": self.step}

    state = State()
    checkpoints = Checkpoints(tmp_path, state, keep=2, seed=0)
    for state.step in range(6):
        checkpoints.save()
    assert saving.checkpoint_steps(tmp_path) == [2, 4, 5]


def test_a_restored_model_gives_what_the_run_had(trained):
    plain, info = training.restore_model(trained, weights="plain")
    averaged, info_averaged = training.restore_model(trained)
    assert info["step"] == info_averaged["step"] == 40
    assert info_averaged["weights"] == "ema"
    arrays, _, _ = saving.newest_checkpoint(trained / "checkpoints")
    for model, group in ((plain, "model"), (averaged, "ema")):
        for i, variable in enumerate(model.trainable_variables):
            np.testing.assert_array_equal(variable, arrays[f"{group}/{i:04d}"])
    assert np.any(arrays["model/0000"] != arrays["ema/0000"])


def test_an_older_step_can_be_restored(trained):
    _, info = training.restore_model(trained, which=30)
    assert info["step"] == 30
    with pytest.raises(saving.CheckpointError, match="only of"):
        training.restore_model(trained, which=33)


def test_best_needs_an_evaluation(trained):
    with pytest.raises(saving.CheckpointError, match="evaluated"):
        training.restore_model(trained, which="best")


def test_a_folder_without_a_run_says_what_it_lacks(tmp_path):
    with pytest.raises(saving.CheckpointError, match="--workdir"):
        training.restore_model(tmp_path)


def test_a_damaged_checkpoint_names_the_file(trained):
    path = saving.checkpoint_path(trained / "checkpoints", 40)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(saving.CheckpointError, match="step_000000040.npz"):
        training.restore_model(trained, which=40)


def test_a_checkpoint_of_another_model_is_refused(trained):
    arrays, _, _ = saving.newest_checkpoint(trained / "checkpoints")
    model, _ = training.restore_model(trained)
    wrong = {**arrays, "model/0000": np.zeros([2, 2])}
    with pytest.raises(saving.CheckpointError, match="shape"):
        saving.assign_arrays("model", model.variables, wrong)
    del wrong["model/0000"]
    with pytest.raises(saving.CheckpointError, match="another version"):
        saving.assign_arrays("model", model.variables, wrong)
