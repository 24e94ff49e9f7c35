"""PyTorch's files, read without PyTorch and without running them."""

import pickle
import pickletools
import struct
import zipfile

import numpy as np
import pytest

from tests.importing import torch_writer as torch
from tfdecomp.importing import torch_files
from tfdecomp.importing.errors import ImportRefusedError

WRITERS = {"archive": torch.write_zip, "stream": torch.write_stream}


@pytest.fixture(name="arrays")
def _fixture_arrays():
    rng = np.random.default_rng(0)
    return {
        "module.first.weight": rng.normal(size=(3, 2, 4)).astype("float32"),
        "module.first.bias": rng.normal(size=3).astype("float64"),
        "module.half": rng.normal(size=(2, 2)).astype("float16"),
        "module.count": np.array(7),
        "module.empty": np.zeros((0, 3), "float32"),
        "module.mask": np.array([True, False]),
    }


@pytest.mark.parametrize("kind", WRITERS)
def test_tensors_come_back_with_names_shapes_and_types(kind, arrays, tmp_path):
    path = WRITERS[kind](tmp_path / "net.pth", arrays)
    found = torch_files.read(path)
    assert list(found) == [k.removeprefix("module.") for k in arrays]
    for key, array in arrays.items():
        other = found[key.removeprefix("module.")]
        assert other.dtype == array.dtype
        np.testing.assert_array_equal(other, array)


def test_the_written_pickles_are_well_formed(arrays, capsys):
    pickletools.dis(torch.tree(arrays))
    assert "highest protocol among opcodes = 2" in capsys.readouterr().out


def test_a_transposed_view_of_a_part_is_followed(tmp_path):
    values = np.arange(20, dtype="float32")
    pickled = torch.program(
        torch.ordered_dict(
            [
                (
                    "view",
                    torch.tensor(
                        values[2:], "0", offset=2, shape=(3, 4), strides=(1, 3)
                    ),
                )
            ]
        )
    )
    path = torch.write_zip(tmp_path / "net.pth", {"x": values}, pickled)
    wanted = values[2:14].reshape(4, 3).T
    np.testing.assert_array_equal(torch_files.read(path)["view"], wanted)


class _Harm:
    """What would create a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["archive", "stream"])
def test_a_pickle_that_would_run_code_is_refused_and_not_run(
    kind, protocol, tmp_path
):
    trap = tmp_path / "harm"
    pickled = pickle.dumps({"weight": _Harm(trap)}, protocol)
    path = tmp_path / "net.pth"
    if kind == "archive":
        torch.write_zip(path, {}, pickled)
    else:
        path.write_bytes(pickled)
    with pytest.raises(ImportRefusedError) as caught:
        torch_files.read(path)
    text = str(caught.value)
    assert str(path) in text
    assert ".mkdir" in text or "instruction" in text
    assert not trap.exists()


def test_a_call_in_disguise_is_refused(tmp_path):
    """Instructions that make objects without a plain call."""
    system = torch.name("os", "system")
    for code in (
        b"(" + torch.text("true") + b"ios\nsystem\n",  # INST
        b"(" + system + torch.text("true") + b"o",  # OBJ
        system + b")" + b"\x81",  # NEWOBJ
        torch.text("os\nsystem") + torch.text("x") + b"\x93",  # STACK_GLOBAL
        system + torch.tuple_of(torch.text("true")) + b"R",
    ):
        pickled = torch.program(torch.ordered_dict([("weight", code)]))
        path = torch.write_zip(tmp_path / "net.pth", {}, pickled)
        with pytest.raises(ImportRefusedError):
            torch_files.read(path)


def test_calls_of_known_names_make_nothing_but_tensors(tmp_path):
    """A known function on top, or with arguments that are no tensor's."""
    for code in (
        torch.call(torch.name("collections", "OrderedDict"), b")"),
        torch.call(torch.name("torch._utils", "_rebuild_tensor_v2"), b")"),
        torch.call(
            torch.name("torch._utils", "_rebuild_parameter"),
            torch.tuple_of(torch.integer(1)),
        ),
        torch.integer(3),
    ):
        pickled = torch.program(torch.ordered_dict([("weight", code)]))
        path = torch.write_zip(tmp_path / "net.pth", {}, pickled)
        with pytest.raises(ImportRefusedError, match="weight"):
            torch_files.read(path)


@pytest.mark.parametrize("kind", WRITERS)
def test_truncated_files_are_refused(kind, arrays, tmp_path):
    path = WRITERS[kind](tmp_path / "net.pth", arrays)
    whole = path.read_bytes()
    for share in (0.02, 0.3, 0.6, 0.95):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ImportRefusedError, match=str(path)):
            torch_files.read(path)
    path.write_bytes(b"")
    with pytest.raises(ImportRefusedError, match=str(path)):
        torch_files.read(path)


def test_an_archive_without_a_tensors_values_names_the_tensor(arrays, tmp_path):
    path = torch.write_zip(tmp_path / "net.pth", arrays, leave_out=(1,))
    with pytest.raises(ImportRefusedError, match="data/1.*first.bias"):
        torch_files.read(path)


def test_a_tensor_larger_than_its_values_is_refused(tmp_path):
    values = np.zeros(4, "float32")
    for bad in (
        {"shape": (3, 3), "strides": (3, 1)},
        {"shape": (4,), "strides": (2,)},
        {"shape": (2,), "strides": (-1,)},
        {"shape": (1 << 30, 1 << 20), "strides": (0, 0)},
        {"shape": (4,), "strides": (1, 1)},
    ):
        code = torch.tensor(values, "0", **bad)
        pickled = torch.program(torch.ordered_dict([("weight", code)]))
        path = torch.write_zip(tmp_path / "net.pth", {"x": values}, pickled)
        with pytest.raises(ImportRefusedError, match="weight"):
            torch_files.read(path)


def test_other_files_are_refused_with_what_they_lack(tmp_path):
    path = tmp_path / "net.pth"
    with pytest.raises(ImportRefusedError, match="there is no file"):
        torch_files.read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ImportRefusedError, match="0 data.pkl"):
        torch_files.read(path)
    path.write_bytes(pickle.dumps({"weight": 1}, 2) * 3)
    with pytest.raises(ImportRefusedError, match="no file of PyTorch"):
        torch_files.read(path)
    path.write_bytes(struct.pack("<q", 5) * 100)
    with pytest.raises(ImportRefusedError, match=str(path)):
        torch_files.read(path)
