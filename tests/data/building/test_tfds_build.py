"""`tfds build`, the command of TFDS, builds our datasets.

It needs Beam and Croissant whatever it builds: `pip install -e '.[test]'`.
"""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
CODE = "from tensorflow_datasets.scripts.cli import main; main.launch_cli()"
BY_FOLDER = ("datasets/bouncing_balls", "--config=color4_tiny")
BY_NAME = (
    "tfdecomp_bouncing_balls/color4_tiny",
    "--imports=tfdecomp.builders",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [BY_FOLDER, BY_NAME], ids=["folder", "name"]
)
def test_tfds_build_prepares_what_training_reads(arguments, tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", CODE, "build", *arguments],
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "TFDS_DATA_DIR": str(tmp_path)},
        text=True,
    )
    assert result.returncode == 0, result.stderr
    from tfdecomp import builders

    builder = builders.make("bouncing_balls/color4_tiny", str(tmp_path))
    assert builders.is_prepared(builder)
    assert builder.info.splits["train"].num_examples == 64
