"""`prepare` on a runner of Beam that the command line names."""

import hashlib
import json

import numpy as np
import pytest

from tfdecomp import builders, prepare

CONFIG = {
    "base": "color4_tiny",
    "stream": "few",
    "num_frames": 4,
    "height": 16,
    "width": 16,
    "num_train": 6,
    "num_validation": 2,
    "num_test": 2,
    "block_size": 2,
}


def build(folder, name, *flags, **fields):
    config = json.dumps({"name": name, **CONFIG, **fields})
    command = ["prepare", "bouncing_balls", f"--config={config}"]
    return prepare.main([*command, f"--data_dir={folder}", *flags])


def videos(folder, name):
    """Digests of all videos of the training split, in one order."""
    builder = builders.make(f"bouncing_balls/{name}", str(folder))
    found = builder.as_dataset("train").as_numpy_iterator()
    return sorted(
        hashlib.sha256(np.ascontiguousarray(e["video"])).hexdigest()
        for e in found
    )


@pytest.mark.slow
def test_a_runner_of_beam_makes_what_one_process_makes(tmp_path):
    pytest.importorskip("apache_beam", reason="needs tfdecomp[data]")
    assert build(tmp_path, "plain") == 0
    runner = "runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"
    flag = f"--beam_pipeline_options={runner}"
    assert build(tmp_path, "beam", flag, use_beam=True) == 0
    assert len(videos(tmp_path, "plain")) == 6
    assert videos(tmp_path, "beam") == videos(tmp_path, "plain")


@pytest.mark.slow
def test_the_runner_that_is_named_is_the_one_that_runs(tmp_path, capsys):
    pytest.importorskip("apache_beam", reason="needs tfdecomp[data]")
    flag = "--beam_pipeline_options=runner=no_such_runner"
    with pytest.raises(ValueError, match="no_such_runner"):
        code = build(tmp_path, "beam", flag, use_beam=True)
        if code:  # the command has told it
            raise ValueError(capsys.readouterr().err)
