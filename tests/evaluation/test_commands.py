"""`evaluate` and `tables` as a user runs them."""

import json
import os
import subprocess
import sys

import pytest

from tfdecomp.console import commands
from tfdecomp.data.video import video_io
from tfdecomp.storage import configs

PROTOCOL = """
evaluation.Protocol.name = 'mine'
evaluation.Protocol.split = 'test'
evaluation.Protocol.num_slots = 4
evaluation.Protocol.num_frames = 3
evaluation.Protocol.num_clips = 5
evaluation.Protocol.conditions = [
    {'num_predicted': 1},
    {'num_predicted': 2, 'velocity': True},
    {'dataset': 'bouncing_balls/binary678_tiny'},
]
"""


def _run(command, *arguments, data_dir=None):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if data_dir is not None:
        environment["TFDS_DATA_DIR"] = str(data_dir)
    return subprocess.run(
        [sys.executable, "-m", f"tfdecomp.{command}", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


def _error(command, *arguments):
    """The one line of an error; the command must have failed."""
    done = _run(command, *arguments)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "either --workdir=DIR of a run or --model=NAME"),
        (["--workdir=/no/such/folder"], "no work directory /no/such/folder"),
        pytest.param(
            ["--model=no_such_model"],
            "no model 'no_such_model'",
            marks=pytest.mark.slow,
        ),
        (["--workdir=.", "--protocol=tabel1"], "no protocol 'tabel1'.*table1"),
        (["--workdir=.", "--protocol=no.gin"], "no config 'no.gin'"),
        (["--workdir=tests"], "has no config.gin"),
    ],
)
def test_evaluate_says_what_is_wrong_with_its_flags(arguments, message):
    import re

    assert re.search(message, _error("evaluate", *arguments))


@pytest.fixture(name="fitted")
def _fixture_fitted(tmp_path):
    # As a run writes it: whole, with nothing included.
    (tmp_path / "config.gin").write_text(
        "DATASET = @data.moving_clips\n"
        f"data.moving_clips.folder = '{tmp_path}'\n"
        "training.run.dataset = %DATASET\n"
    )
    (tmp_path / "info.json").write_text("{}")
    return tmp_path


def test_what_was_fitted_to_footage_is_scored_by_its_tracks(fitted):
    with configs.isolated(), pytest.raises(ValueError) as caught:
        commands.open_model(fitted)
    found = str(caught.value)
    assert "fitted to footage, which has no labels" in found
    assert "evaluate --tracks=OUT --truth=gt.txt" in found


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "--workdir"],
        ["evaluate", "--model"],
        ["study", "factors", "--output=none", "--workdir"],
    ],
)
def test_commands_say_so_of_what_was_fitted_to_footage(arguments, fitted):
    found = _error(*arguments[:-1], f"{arguments[-1]}={fitted}")
    assert "fitted to footage, which has no labels" in found


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--results=/no/such/folder"], "no results at /no/such/folder"),
        (["--results=setup.cfg"], "is not JSON"),
    ],
)
def test_tables_says_what_is_wrong_with_its_files(arguments, message):
    assert message in _error("tables", *arguments)


@pytest.mark.slow
def test_tables_plots_scores_by_number_of_objects(tmp_path):
    from tests.evaluation import test_by_objects

    results, plot = tmp_path / "results.json", tmp_path / "plot.png"
    result = {**test_by_objects.result(), "mota": 0.6}
    results.write_text(json.dumps([result]))
    done = _run("tables", f"--results={results}", f"--plot={plot}")
    assert done.returncode == 0, done.stderr
    assert "By number of objects" in done.stdout
    assert video_io.read_image(plot).ndim == 3
    del result["by_objects"]
    results.write_text(json.dumps([result]))
    message = _error("tables", f"--results={results}", f"--plot={plot}")
    assert "--protocol=silot" in message


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, data_dir):
    folder = tmp_path_factory.mktemp("runs") / "smoke"
    done = _run(
        "train",
        "--gin_file=gin/smoke/provide.gin",
        "--gin_param=NUM_STEPS = 2",
        f"--workdir={folder}",
        data_dir=data_dir,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_a_run_is_scored_and_drawn(workdir, data_dir, tmp_path):
    output, pictures = tmp_path / "e.json", tmp_path / "pictures"
    done = _run(
        "evaluate",
        f"--workdir={workdir}",
        "--num_clips=5",
        "--batch_size=3",
        f"--output={output}",
        f"--pictures={pictures}",
        data_dir=data_dir,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(output.read_text())
    for name in ("ari", "f_ari", "ari_clip", "f_ari_clip", "mse"):
        assert isinstance(result[name], float)
        assert len(result["per_clip"][name]) == 5
    assert result["model"] == "PROVIDE"
    assert result["dataset"] == "tfdecomp_bouncing_balls/color4_tiny"
    assert result["protocol"]["name"] == "default"
    assert result["protocol"]["num_clips"] == result["num_clips"] == 5
    assert result["run"]["step"] == 2
    assert json.loads((workdir / "results.json").read_text())[-1] == result
    for name in ("slot_grid", "rollout", "traversal"):
        assert video_io.read_image(pictures / f"default_{name}_0.png").ndim == 3
    for suffix in ("mp4", "gif"):
        assert (pictures / f"default_panels_3.{suffix}").stat().st_size > 0


@pytest.mark.slow
def test_batch_size_changes_no_score_and_fresh_clips_do(
    workdir, data_dir, tmp_path
):
    def scores(*flags):
        output = tmp_path / "e.json"
        done = _run(
            "evaluate",
            f"--workdir={workdir}",
            f"--output={output}",
            *flags,
            data_dir=data_dir,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(output.read_text())

    small = scores("--num_clips=4", "--batch_size=1")
    large = scores("--num_clips=4", "--batch_size=16")
    assert small["mse"] == pytest.approx(large["mse"], rel=1e-5)
    assert small["f_ari"] == pytest.approx(large["f_ari"], abs=1e-3)
    fresh = scores("--num_clips=4", "--fresh_seed=7")
    assert fresh["protocol"]["fresh_seed"] == 7
    assert fresh["mse"] != small["mse"]
    assert (
        fresh["per_clip"]["mse"]
        == scores("--num_clips=4", "--fresh_seed=7")["per_clip"]["mse"]
    )


@pytest.mark.slow
def test_a_protocol_of_one_s_own_predicts_and_changes_slots(
    workdir, data_dir, tmp_path
):
    protocol, output = tmp_path / "mine.gin", tmp_path / "e.json"
    protocol.write_text(PROTOCOL)
    done = _run(
        "evaluate",
        f"--workdir={workdir}",
        f"--protocol={protocol}",
        f"--output={output}",
        data_dir=data_dir,
    )
    assert done.returncode == 0, done.stderr
    first, second, third = json.loads(output.read_text())["conditions"]
    assert {c["num_slots"] for c in (first, second, third)} == {4}
    assert len(second["per_frame"]["f_ari"]) == 2
    assert first["observed"]["mse"] == second["observed"]["mse"]
    assert "velocity_cosine" in second
    assert third["dataset"].endswith("binary678_tiny")
    assert third["num_predicted"] == 0
    table = _run("tables", f"--results={output}")
    assert table.returncode == 0
    assert "binary678_tiny at 16x16" in table.stdout


@pytest.mark.slow
def test_clips_longer_than_the_videos_are_one_clear_error(
    workdir, data_dir, tmp_path
):
    protocol = tmp_path / "long.gin"
    protocol.write_text("evaluation.Protocol.num_frames = 60\n")
    done = _run(
        "evaluate",
        f"--workdir={workdir}",
        f"--protocol={protocol}",
        data_dir=data_dir,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "at most the 51 frames" in done.stderr


@pytest.mark.slow
def test_factors_are_scored_and_tabulated_beside_the_paper(data_dir, tmp_path):
    folder = tmp_path / "dvip"
    done = _run(
        "train",
        "--gin_file=gin/smoke/dvip.gin",
        "--gin_param=NUM_STEPS = 2",
        f"--workdir={folder}",
        data_dir=data_dir,
    )
    assert done.returncode == 0, done.stderr
    done = _run(
        "evaluate",
        f"--workdir={folder}",
        "--protocol=dvip",
        data_dir=data_dir,
    )
    assert done.returncode == 0, done.stderr
    (result,) = json.loads((folder / "results.json").read_text())
    pairs = result["num_clips"] * (result["num_frames"] - 1)
    assert result["mi_pairs"] == min(pairs, 1000)
    assert result["elbo"] == pytest.approx(-result["loss"])
    for name in ("elbo", "mi_same", "mi_cross"):
        assert f"{name} {result[name]:.4f}" in done.stdout
    assert f"collapsed_latents {result['collapsed_latents']}\n" in done.stdout
    table = _run("tables", f"--results={folder}")
    assert table.returncode == 0, table.stderr
    assert "DVIP, 2 factors, published | 4.61 | 0.75 | -2902" in table.stdout
    assert "**DVIP, ours**, 2 x 3 latents, on moving_digits" in table.stdout
