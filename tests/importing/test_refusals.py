"""What is no whole checkpoint of a system is refused, by name."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfdecomp
from tests.importing import checkpoint_writer, layouts, torch_writer
from tfdecomp.importing import folders, rules, tensorflow_files
from tfdecomp.importing.errors import ImportRefusedError

LSTM = "refine_net.lstm.W_x.weight"
GATES = "recurrent_net/lstm/lstm/w_gates"


@pytest.fixture(name="torch_arrays", scope="module")
def _fixture_torch_arrays():
    return {**layouts.fill(layouts.provide()), **layouts.provide_buffers()}


@pytest.fixture(name="sonnet_arrays", scope="module")
def _fixture_sonnet_arrays():
    return layouts.fill(layouts.iodine("multi_dsprites"))


def _lacking(arrays, name):
    return {key: value for key, value in arrays.items() if key != name}


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda a: _lacking(a, LSTM), f"lacks {LSTM}"),
        (lambda a: {**a, LSTM: a[LSTM].T}, r"W_x.* \(384, 640\).*\(640, 384\)"),
        (lambda a: {**a, LSTM: a[LSTM] * np.nan}, "W_x.*not finite"),
        (lambda a: {**a, LSTM: a[LSTM].astype("int64")}, "W_x.*int64"),
        (
            lambda a: {**a, "decoder.conv_layer.10.weight": a[LSTM]},
            "another network.*conv_layer.10",
        ),
        (
            lambda a: {"conv1.weight": a[LSTM], "bn1.running_mean": a[LSTM]},
            "no whole checkpoint of PROVIDE.*lmbda0.*bn1.running_mean",
        ),
    ],
    ids=["missing", "misshapen", "nan", "whole", "more", "another"],
)
@pytest.mark.slow
def test_state_dictionaries_that_do_not_fit(
    change, words, torch_arrays, tmp_path
):
    path = tmp_path / "latest_net.pth"
    torch_writer.write_zip(path, change(torch_arrays))
    with pytest.raises(ImportRefusedError, match=words):
        folders.read("provide", path)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda a: _lacking(a, GATES), f"lacks {GATES}"),
        (lambda a: {**a, GATES: a[GATES][1:]}, r"w_gates.*\(3\d\d, 512\)"),
        (
            lambda a: {**a, "encoder_net/cnn/mlp/linear_9/w": a[GATES]},
            "another network.*linear_9",
        ),
        (
            lambda a: {"resnet/conv/w": a[GATES]},
            "no checkpoint of IODINE.*initial_sample_distribution",
        ),
        (
            lambda a: {**a, f"twice/{GATES}": a[GATES]},
            "w_gates twice",
        ),
    ],
    ids=["missing", "misshapen", "more", "another", "two"],
)
def test_checkpoints_that_do_not_fit(change, words, sonnet_arrays, tmp_path):
    prefix = checkpoint_writer.write(tmp_path, change(sonnet_arrays))
    with pytest.raises(ImportRefusedError, match=words):
        folders.read("iodine", prefix)


def test_a_checkpoint_of_another_system(sonnet_arrays, tmp_path):
    prefix = checkpoint_writer.write(tmp_path / "iodine", sonnet_arrays)
    with pytest.raises(ImportRefusedError, match="no checkpoint of SILOT"):
        folders.read("silot", prefix)
    theirs = layouts.fill(layouts.silot())
    prefix = checkpoint_writer.write(tmp_path / "silot", theirs)
    with pytest.raises(ImportRefusedError, match="no checkpoint of IODINE"):
        folders.read("iodine", prefix)
    with pytest.raises(
        ImportRefusedError, match="no file of PyTorch|no pickle"
    ):
        folders.read("provide", f"{prefix}.index")


def test_truncated_and_missing_checkpoints(sonnet_arrays, tmp_path):
    prefix = checkpoint_writer.write(tmp_path, sonnet_arrays)
    data = pathlib.Path(f"{prefix}.data-00000-of-00001")
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImportRefusedError, match="model.ckpt-1000.*whole"):
        tensorflow_files.read(prefix)
    data.unlink()
    with pytest.raises(ImportRefusedError, match="model.ckpt-1000.*whole"):
        tensorflow_files.read(prefix)
    index = pathlib.Path(f"{prefix}.index")
    index.write_bytes(index.read_bytes()[:100])
    with pytest.raises(ImportRefusedError, match="model.ckpt-1000.*whole"):
        tensorflow_files.read(prefix)
    with pytest.raises(ImportRefusedError, match="expected the file"):
        tensorflow_files.read(tmp_path / "model.ckpt-7")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImportRefusedError, match="has no checkpoint"):
        tensorflow_files.read(tmp_path / "empty")


def test_a_few_bytes_that_promise_a_great_array_are_refused(tmp_path):
    """One value of a variable that is said to be split into 10^12."""
    prefix = str(tmp_path / "model.ckpt-1000")
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=["weight"],
        shape_and_slices=["1000000000000 0,1"],
        tensors=[np.ones(1, "float32")],
    )
    with pytest.raises(ImportRefusedError, match="1,000,000,000,000 numbers"):
        tensorflow_files.read(prefix)


def test_values_beyond_float32_are_not_finite():
    model = tfdecomp.load("iodine_balls_quick").model
    weight = next(w for w in model.weights if len(w.shape) == 1)
    arrays = {"x": np.full(weight.shape, 1e300)}
    with pytest.raises(ImportRefusedError, match="x has values.*not finite"):
        rules.values(arrays, [rules.same(weight, "x")], "IODINE")


def test_what_an_optimizer_keeps_is_left_out(sonnet_arrays, tmp_path):
    prefix = checkpoint_writer.write(tmp_path, sonnet_arrays)
    found = tensorflow_files.read(prefix)
    assert set(sonnet_arrays) < set(found)
    assert not [name for name in found if "Adam" in name]


def test_a_model_with_other_weights_is_no_target(sonnet_arrays, tmp_path):
    prefix = checkpoint_writer.write(tmp_path, sonnet_arrays)
    with pytest.raises(ImportRefusedError, match="reference preset"):
        folders.read("iodine", prefix, "smoke/iodine.gin")


def test_every_rule_must_have_a_weight_of_its_own():
    model = tfdecomp.load("iodine_balls_quick").model
    one = rules.same(model.weights[0], "x")
    with pytest.raises(ImportRefusedError, match="no published"):
        rules.check_covered(model, [one])


def _run(*flags):
    return subprocess.run(
        [sys.executable, "-m", "tfdecomp.import_weights", *flags],
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_the_command_writes_a_folder_that_loads(sonnet_arrays, tmp_path):
    prefix = checkpoint_writer.write(tmp_path / "theirs", sonnet_arrays)
    output = tmp_path / "deep" / "sprites"
    flags = ("--from=iodine", f"--input={prefix}", f"--output={output}")
    done = _run(*flags)
    assert done.returncode == 0, done.stderr
    assert "licence: Apache-2.0" in done.stdout
    assert {path.name for path in output.iterdir()} == {
        "README.md",
        "config.gin",
        "info.json",
        "model.json",
        "weights.weights.h5",
    }
    assert tfdecomp.load(output).info["name"] == "sprites"
    again = _run(*flags)
    assert again.returncode == 1 and "not an empty folder" in again.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, flags, words",
    [
        ("file", (), "not an empty folder"),
        ("file/deeper", (), "is a file"),
        ("new", ("--name=two\nlines",), "one line"),
    ],
)
def test_a_folder_that_cannot_be_made_is_refused_before_reading(
    name, flags, words, tmp_path
):
    (tmp_path / "file").write_text("kept")
    done = _run(
        "--from=iodine",
        f"--input={tmp_path / 'none'}",
        f"--output={tmp_path / name}",
        *flags,
    )
    assert done.returncode == 1 and words in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.slow
def test_a_link_to_an_empty_folder_stays_a_link(sonnet_arrays, tmp_path):
    prefix = checkpoint_writer.write(tmp_path / "theirs", sonnet_arrays)
    (tmp_path / "disk").mkdir()
    link = tmp_path / "sprites"
    link.symlink_to("disk")
    done = _run("--from=iodine", f"--input={prefix}", f"--output={link}")
    assert done.returncode == 0, done.stderr
    assert link.is_symlink()
    assert tfdecomp.load(link).info["name"] == "sprites"


@pytest.mark.slow
def test_the_command_refuses_in_a_line_and_writes_nothing(tmp_path):
    path = tmp_path / "latest_net.pth"
    trap = tmp_path / "harm"
    harm = torch_writer.name("os", "mkdir") + torch_writer.tuple_of(
        torch_writer.text(str(trap))
    )
    pickled = torch_writer.program(
        torch_writer.ordered_dict([("weight", harm + b"R")])
    )
    torch_writer.write_zip(path, {}, pickled)
    output = tmp_path / "deep" / "made"
    done = _run("--from=provide", f"--input={path}", f"--output={output}")
    assert done.returncode == 1
    (line,) = (
        ln for ln in done.stderr.splitlines() if ln.startswith("error: ")
    )
    assert "would call os.mkdir" in line
    assert [p.name for p in tmp_path.iterdir()] == ["latest_net.pth"]
