"""`python -m tfdecomp.export`, as typed."""

import json
import subprocess
import sys

import export_models
import numpy as np
import pytest

from tfdecomp.exporting import tf_serving
from tfdecomp.exporting.check import run_fresh
from tfdecomp.storage import saving


def _export(*flags, cwd=None):
    command = [sys.executable, "-m", "tfdecomp.export", *flags]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=cwd
    )


@pytest.fixture
def workdir(tmp_path):
    """A run with checkpoints of steps 1 and 2; the weights of 1 differ."""
    folder = tmp_path / "run"
    (folder / saving.CHECKPOINT_FOLDER).mkdir(parents=True)
    model = export_models.tiny_provide()
    saving.save_model(folder, model)
    for step, scale in ((1, 0.0), (2, 1.0)):
        arrays = saving.variable_arrays("model", model.variables)
        arrays = {name: scale * value for name, value in arrays.items()}
        saving.write_checkpoint(
            folder / saving.CHECKPOINT_FOLDER, step, arrays, {"step": step}
        )
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 2])
def test_a_work_directory_becomes_a_saved_model(step, workdir, tmp_path):
    flags = [] if step == 2 else [f"--checkpoint={step}"]
    output = tmp_path / "model"
    done = _export(f"--workdir={workdir}", f"--output={output}", *flags)
    assert done.returncode == 0, done.stderr
    assert "predict_frames(state_h, " in done.stdout
    content = json.loads((output / "signatures.json").read_text())
    assert content["info"]["step"] == step
    video = np.random.default_rng(0).random((1, 1, 16, 16, 3), np.float32)
    found = run_fresh(output, {"serving_default": {"video": video}})
    slots = found["serving_default"]["slots"]
    if step == 1:  # zero weights never move the zero posterior
        np.testing.assert_array_equal(slots, 0.0)
        return
    expected = export_models.tiny_provide()({"video": video})["slots"]
    np.testing.assert_allclose(slots, expected, 1e-4, 1e-5)


@pytest.mark.slow
def test_parts_of_a_work_directory_become_files(workdir, tmp_path):
    output = tmp_path / "parts"
    flags = [f"--workdir={workdir}", f"--output={output}", "--format=litert"]
    done = _export(*flags)
    assert done.returncode == 0, done.stderr
    assert "left out: encode of PROVIDE cannot become LiteRT" in done.stdout
    assert "decode(slots, context) -> " in done.stdout
    assert "run by LiteRT, it differs by at most " in done.stdout
    names = {path.name for path in output.iterdir()}
    assert names == {"decode.tflite", "signatures.json"}
    again = _export(*flags, "--overwrite", "--parts=encode")
    assert again.returncode == 1
    assert "error: encode of PROVIDE cannot become LiteRT" in again.stderr
    assert names == {path.name for path in output.iterdir()}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "either --workdir=DIR"),
        (["--workdir=a", "--model=b"], "either --workdir=DIR"),
        (["--workdir=nowhere"], "there is no work directory nowhere"),
        (["--model=b", "--checkpoint=3"], "--checkpoint goes with --workdir"),
        (["--model=b", "--parts=decode"], "--parts goes with --format=onnx"),
        (["--model=b", "--format=tflite"], "<savedmodel|onnx|litert>"),
    ],
)
def test_flags_that_make_no_sense_are_refused(flags, message, tmp_path):
    done = _export(f"--output={tmp_path / 'out'}", *flags)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "either --output=DIR, or --serving=DIR"),
        (["--output=a", "--serving=b"], "either --output=DIR, or --serving"),
        (["--serving=b", "--format=onnx"], "--format goes with --output"),
        (["--serving=b", "--overwrite"], "--overwrite goes with --output"),
        (["--output=a", "--batching"], "--batching goes with --serving"),
        (["--output=a", "--warmup=c.mp4"], "--warmup goes with --serving"),
    ],
)
def test_flags_of_a_folder_and_of_a_server_are_not_mixed(
    flags, message, tmp_path
):
    done = _export("--model=provide_balls_quick", *flags, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_a_work_directory_is_served_in_versions(workdir, tmp_path):
    pixels = np.zeros((5, 20, 30, 3), np.uint8)
    pixels[:, 5:12, 9:15] = 220
    np.save(tmp_path / "clip.npy", pixels)
    flags = [f"--workdir={workdir}", f"--serving={tmp_path}/serving"]
    done = _export(*flags, f"--warmup={tmp_path}/clip.npy", "--name=tiny")
    assert done.returncode == 0, done.stderr
    assert "version 1 of tiny, reloaded" in done.stdout
    version = tmp_path / "serving" / "tiny" / "1"
    assert (version / tf_serving.WARMUP).stat().st_size > 0
    assert (version / "saved_model.pb").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--workdir={tmp}"], "there is no checkpoint in"),
        (["--model=provde_balls"], "there is no model 'provde_balls'"),
        (["--workdir={tmp}", "--output={tmp}"], "is not empty"),
    ],
)
def test_a_model_that_cannot_be_exported_is_one_line(flags, message, tmp_path):
    (tmp_path / "file").write_text("mine")
    flags = [flag.format(tmp=tmp_path) for flag in flags]
    done = _export(f"--output={tmp_path / 'out'}", *flags)
    assert done.returncode == 1
    assert "error: " in done.stderr and message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
