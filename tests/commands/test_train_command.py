"""`python -m tfdecomp.train`, as people type it."""

import json
import subprocess
import sys

import pytest

from tfdecomp.console import commands
from tfdecomp.storage import configs


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tfdecomp.train", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gin_file=gin/provid.gin"], "did you mean provide.gin"),
        (
            ["--gin_file=smoke/provide.gin", "--gin_param=NUM_SLOT = 3"],
            "did you mean NUM_SLOTS",
        ),
        (
            ["--gin_file=smoke/provide.gin", "--gin_param=NUM_SLOTS = 1"],
            "num_slots",
        ),
        (
            ["--gin_file=smoke/iodine.gin", "--gin_param=NUM_SLOTS = 2"],
            "have up to 3 objects; set NUM_SLOTS = 4",
        ),
        (
            ["--gin_file=smoke/provide.gin", "--gin_param=NUM_REFINEMENTS = 1"],
            "num_refinements",
        ),
        (
            ["--gin_file=smoke/provide.gin", "--gin_param=CLIP_LENGTH = 99"],
            "99",
        ),
        (
            [
                "--gin_file=smoke/provide.gin",
                "--gin_param=data.make_dataset.resize = None",
            ],
            "set IMAGE_SIZE",
        ),
    ],
)
@pytest.mark.slow
def test_bad_input_is_one_line_and_a_failure(arguments, message, tmp_path):
    data = tmp_path / "data"
    done = command(*arguments, f"--workdir={tmp_path}/r", f"--data_dir={data}")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (error,) = (
        line for line in done.stderr.splitlines() if line.startswith("error:")
    )
    assert message in error


@pytest.mark.slow
def test_the_smoke_config_trains_evaluates_and_draws(tmp_path):
    arguments = [
        "--gin_file=gin/smoke/provide.gin",
        f"--workdir={tmp_path / 'run'}",
        f"--data_dir={tmp_path / 'data'}",
    ]
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "run"
    run = json.loads((folder / "run.json").read_text())
    assert run["state"] == "finished" and run["step"] == 6
    assert "--gin_file=gin/smoke/provide.gin" in run["command"]
    assert list((folder / "pictures").glob("*.png"))
    assert list((folder / "pictures").glob("*.mp4"))
    rows = (folder / "eval" / "scalars.jsonl").read_text().splitlines()
    assert "f_ari" in json.loads(rows[-1])
    again = command(*arguments)
    assert again.returncode == 0 and "is finished" in again.stdout
    other = command(*arguments, "--gin_param=NUM_SLOTS = 5")
    assert other.returncode == 1
    assert "-NUM_SLOTS = 4" in other.stderr
    assert "+NUM_SLOTS = 5" in other.stderr


def test_the_default_work_directory_is_named_after_config_and_seed(tmp_path):
    named = commands.default_workdir("gin/smoke/provide.gin", 0)
    assert named == "~/runs/smoke_provide"
    assert commands.default_workdir("provide", 2) == "~/runs/provide_seed2"
    path = tmp_path / "mine.gin"
    path.write_text("")
    assert commands.default_workdir(path, 0) == "~/runs/mine"


def test_the_default_config_folder_is_the_checkouts():
    assert configs.root().name == "gin"
