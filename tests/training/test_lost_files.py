"""What a run does about files of its own that it finds no more."""

import json
import os
import shutil

import pytest
import test_resume
import tiny_model

from tfdecomp import training
from tfdecomp.storage import saving
from tfdecomp.training import workdir


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A run that was stopped at step 20, with checkpoints of 0, 10 and 20."""
    folder = tmp_path_factory.mktemp("kept") / "run"
    tiny_model.parse("training.run.log_every = 10")
    training.run(folder, should_stop=lambda step: step >= 20)
    assert steps(folder) == [0, 10, 20]
    return folder


@pytest.fixture
def stopped(kept, tmp_path):
    """That run, the test's own to spoil."""
    return shutil.copytree(kept, tmp_path / "run")


def go_on(folder, *bindings, **options):
    tiny_model.parse("training.run.log_every = 10", *bindings)
    return training.run(folder, **options)


def steps(folder):
    return saving.checkpoint_steps(folder / "checkpoints")


def path(folder, step):
    return saving.checkpoint_path(folder / "checkpoints", step)


def content(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_a_checkpoint_that_the_system_does_not_hand_out_stops_the_run(stopped):
    path(stopped, 20).unlink()
    path(stopped, 20).symlink_to("/proc/self/mem")  # reading it is EIO
    with pytest.raises(saving.CheckpointError, match="Input/output error.*not"):
        go_on(stopped)
    assert steps(stopped) == [0, 10, 20]


def test_without_any_whole_checkpoint_the_run_stops_and_deletes_nothing(
    stopped,
):
    for step in steps(stopped):
        os.truncate(path(stopped, step), 100)
    before = content(stopped / "checkpoints")
    with pytest.raises(saving.CheckpointError, match="none of the 3.*Nothing"):
        go_on(stopped)
    assert content(stopped / "checkpoints") == before


def test_checkpoints_that_are_gone_are_no_new_beginning(stopped):
    for step in steps(stopped):
        path(stopped, step).unlink()
    with pytest.raises(saving.CheckpointError, match="at step 20.*no check"):
        go_on(stopped)


def test_a_damaged_checkpoint_is_said_and_kept_aside(stopped, tmp_path, capsys):
    go_on(tmp_path / "whole")
    damaged = path(stopped, 20).read_bytes()[:-500]
    path(stopped, 20).write_bytes(damaged)
    assert go_on(stopped)["state"] == "finished"
    assert "step_000000020.npz is damaged" in capsys.readouterr().out
    kept = path(stopped, 20).with_name("step_000000020.npz.damaged")
    assert kept.read_bytes() == damaged
    test_resume.assert_same(tmp_path / "whole", stopped)


def test_a_run_json_that_says_nothing_is_not_guessed(stopped):
    for text in (b"", b"{", b"[]", b"\xff\xfe", b'{"seed": ""}'):
        (stopped / "run.json").write_bytes(text)
        with pytest.raises(workdir.WorkDirError, match="run.json.*delete it"):
            go_on(stopped)
    (stopped / "run.json").unlink()
    assert go_on(stopped)["state"] == "finished"


def test_without_run_json_the_seed_is_that_of_the_checkpoints(stopped):
    (stopped / "run.json").unlink()
    with pytest.raises(saving.CheckpointError, match="--seed=0"):
        go_on(stopped, seed=1)


def test_without_its_config_a_run_does_not_go_on(stopped):
    config = stopped / "config.gin"
    text = config.read_text()
    for lost in (None, b"", b"\xff\xfe"):
        config.unlink(missing_ok=True)
        if lost is not None:
            config.write_bytes(lost)
        with pytest.raises(workdir.WorkDirError, match="config.gin.*copy"):
            go_on(stopped, "training.Adam.learning_rate = 0.1")
    config.write_text(text)
    assert go_on(stopped)["state"] == "finished"


def test_a_model_that_is_missing_is_written_again_and_said(stopped, capsys):
    (stopped / saving.MODEL_NAME).unlink()
    go_on(stopped)
    assert "model.json was missing" in capsys.readouterr().out
    assert (stopped / saving.MODEL_NAME).is_file()


def test_when_a_run_looks_at_itself_may_change(stopped):
    with pytest.raises(workdir.WorkDirError, match="learning_rate"):
        go_on(stopped, "training.Adam.learning_rate = 0.1")
    done = go_on(
        stopped,
        "training.run.log_every = 4",
        "training.run.checkpoint_every = 8",
        "CLIPS = 5",
        "evaluation.Protocol.num_clips = %CLIPS",
        "training.run.protocol = @evaluation.Protocol()",
    )
    assert done["state"] == "finished"
    text = (stopped / "config.gin").read_text()
    assert "training.run.checkpoint_every = 8" in text and "CLIPS = 5" in text


def test_a_finished_run_is_extended_as_if_it_had_been_longer(tmp_path):
    go_on(tmp_path / "whole", "training.run.num_steps = 60")
    longer = tmp_path / "longer"
    assert go_on(longer)["step"] == 40
    with pytest.raises(workdir.WorkDirError, match="--extend"):
        go_on(longer, "training.run.num_steps = 60")
    done = go_on(longer, "training.run.num_steps = 60", extend=True)
    assert (done["state"], done["step"]) == ("finished", 60)
    test_resume.assert_same(tmp_path / "whole", longer)
    with pytest.raises(workdir.WorkDirError, match="at step 60 already"):
        go_on(longer, "training.run.num_steps = 50", extend=True)


def test_state_files_are_whole_after_every_write(stopped):
    run = json.loads((stopped / "run.json").read_text())
    assert run["step"] == 20 and not list(stopped.glob(".*.tmp"))
