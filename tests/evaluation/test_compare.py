"""`compare` as a user runs it."""

import re

import pytest

from tests.evaluation.test_commands import _error, _run


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "nothing to compare: give --model, --workdir or --gin_file"),
        (["--workdir=/no/such/folder"], "evaluate .* ended with exit code 1"),
        (["--gin_file=gin/no_such.gin"], "no config 'gin/no_such.gin'"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, message):
    assert re.search(message, _error("compare", *arguments))


@pytest.mark.slow
def test_models_trained_alike_stand_in_one_table(tmp_path):
    folders = []
    for name in ("provide", "seq_iodine"):
        folders.append(tmp_path / name)
        done = _run(
            "train",
            f"--gin_file=smoke/{name}.gin",
            f"--workdir={folders[-1]}",
            data_dir=tmp_path,
        )
        assert done.returncode == 0, done.stderr
    done = _run(
        "compare",
        *(f"--workdir={folder}" for folder in folders),
        "--num_clips=4",
        data_dir=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if "ours" in line]
    assert len(rows) == 2
    assert "PROVIDE" in rows[0] and "SequentialIODINE" in rows[1]
    assert "F-ARI, 12 frames" in done.stdout
