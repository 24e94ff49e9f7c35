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


def _archive_of(path, *codes, compression=zipfile.ZIP_STORED, data=bytes(16)):
    """An archive whose tensors are these instructions."""
    items = [(f"weight_{i}", code) for i, code in enumerate(codes)]
    with zipfile.ZipFile(path, "w", compression) as archive:
        pickled = torch.program(torch.ordered_dict(items))
        archive.writestr("net/data.pkl", pickled)
        archive.writestr("net/data/0", data)
    return path


def _huge(number):
    return b"\x8b" + struct.pack("<i", 5000) + number.to_bytes(5000, "little")


def _tensor_of(storage=None, offset=None, shape=None, strides=None):
    """A tensor of four numbers, with parts of its record replaced."""
    usual = [torch.text("storage"), torch.name("torch", "FloatStorage")]
    usual += [torch.text("0"), torch.text("cpu"), torch.integer(4)]
    record = (
        torch.tuple_of(*(usual if storage is None else storage(usual))) + b"Q",
        torch.integer(0) if offset is None else offset,
        torch.tuple_of(*(shape or [torch.integer(4)])),
        torch.tuple_of(*(strides or [torch.integer(1)])),
    )
    function = torch.name("torch._utils", "_rebuild_tensor_v2")
    return torch.call(function, torch.tuple_of(*record))


_FRACTION = b"G" + struct.pack(">d", 0.5)
_INFINITY = b"G" + struct.pack(">d", np.inf)
_DOUBLING = b"K\x01" + b"q\x00h\x00\x86" * 60  # pairs of pairs of pairs ...
_ABSURD = {
    "a fraction as offset": {"offset": _FRACTION},
    "an infinite size": {"shape": [_INFINITY]},
    "a size of 40000 bits": {"shape": [_huge(1 << 39990)]},
    "empty and beyond all memory": {
        "shape": [torch.integer(0), *[torch.integer(1 << 30)] * 3],
        "strides": [torch.integer(1)] * 4,
    },
    "a step of 40000 bits": {
        "shape": [torch.integer(1), torch.integer(4)],
        "strides": [_huge(1 << 39990), torch.integer(1)],
    },
    "a hundred axes": {
        "shape": [torch.integer(1)] * 100,
        "strides": [torch.integer(1)] * 100,
    },
    "half a storage": {"storage": lambda usual: usual[:3]},
    "an infinite storage": {"storage": lambda usual: [*usual[:4], _INFINITY]},
    "a negative storage": {
        "storage": lambda usual: [*usual[:4], torch.integer(-4)]
    },
    "pairs as name of a storage": {
        "storage": lambda usual: [*usual[:2], _DOUBLING, *usual[3:]]
    },
    "a full path as name of a storage": {
        "storage": lambda usual: [
            *usual[:2],
            torch.text("/etc/hostname"),
            *usual[3:],
        ]
    },
}


@pytest.mark.parametrize("change", _ABSURD.values(), ids=_ABSURD)
def test_absurd_records_of_a_tensor_are_refused(change, tmp_path):
    path = tmp_path / "net.pth"
    np.testing.assert_array_equal(
        torch_files.read(_archive_of(path, _tensor_of()))["weight_0"],
        np.zeros(4, "float32"),
    )
    with pytest.raises(ImportRefusedError, match=str(path)):
        torch_files.read(_archive_of(path, _tensor_of(**change)))


@pytest.mark.parametrize(
    "code",
    [
        b"}" + _DOUBLING + b"K\x01s",  # as a key, whose hash takes forever
        torch.call(_DOUBLING, b")"),  # as a function, whose name does
        b"K\x01" + b"\x85" * 300_000,  # a tuple in a tuple in a tuple ...
        torch.call(torch.name("torch._utils", "_rebuild_parameter"), b")"),
    ],
    ids=["key", "function", "depth", "parameter"],
)
def test_pickles_that_take_forever_are_refused_at_once(code, tmp_path):
    path = _archive_of(tmp_path / "net.pth", code)
    with pytest.raises(ImportRefusedError):
        torch_files.read(path)


def test_bombs_are_refused_before_they_unpack(tmp_path):
    path, deflated = tmp_path / "net.pth", zipfile.ZIP_DEFLATED
    million = _tensor_of(
        storage=lambda usual: [*usual[:4], torch.integer(1 << 20)]
    )
    for codes, data in (
        ([_tensor_of()], bytes(1 << 22)),  # more than was promised
        ([million] * 300, bytes(1 << 22)),  # the same values over and over
        ([torch.text("x" * (5 << 20))], bytes(16)),  # a pickle of one letter
    ):
        _archive_of(path, *codes, compression=deflated, data=data)
        assert path.stat().st_size < 1 << 16
        with pytest.raises(ImportRefusedError, match=str(path)):
            torch_files.read(path)


@pytest.mark.parametrize("at, value", [(6, 1), (8, 99)])
def test_locked_archives_and_unknown_compression_are_refused(
    at, value, tmp_path
):
    path = _archive_of(tmp_path / "net.pth", _tensor_of())
    data = bytearray(path.read_bytes())
    for head, shift in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
        start = data.find(head)
        while start >= 0:
            data[start + at + shift] = value
            start = data.find(head, start + 1)
    path.write_bytes(data)
    with pytest.raises(ImportRefusedError, match="is damaged"):
        torch_files.read(path)


def test_older_files_with_absurd_parts_are_refused(tmp_path):
    path = tmp_path / "net.pth"
    head = torch.program(torch.long_integer(torch.MAGIC))
    head += torch.program(torch.integer(1001)) + torch.program(b"}")
    tree = torch.program(torch.ordered_dict([("weight", _tensor_of())]))
    for rest in (
        tree + torch.program(torch.integer(5)),  # no list of names
        tree + torch.program(b"](" + _DOUBLING + b"e"),
        b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"x.",  # a long text
    ):
        path.write_bytes(head + rest)
        with pytest.raises(ImportRefusedError, match=str(path)):
            torch_files.read(path)


def test_what_a_terminal_would_obey_is_not_repeated(tmp_path):
    name = "weight\x1b[2J\nerror: fine"
    path = tmp_path / "net.pth"
    items = torch.ordered_dict([(name, torch.integer(1))])
    torch.write_zip(path, {}, torch.program(items))
    with pytest.raises(ImportRefusedError) as caught:
        torch_files.read(path)
    assert str(caught.value).isprintable()


def test_a_folder_is_called_one(arrays, tmp_path):
    with pytest.raises(ImportRefusedError, match="a folder.*none in it"):
        torch_files.read(tmp_path)
    torch.write_zip(tmp_path / "latest_net.pth", arrays)
    with pytest.raises(ImportRefusedError, match="a folder.*latest_net.pth"):
        torch_files.read(tmp_path)


@pytest.mark.parametrize(
    "code",
    [b"\x80\x02t.", b"\x80\x02(a.", b"\x80\x02((\x93N\x85R.", b"(lp0\n."],
)
def test_messages_name_no_object_of_the_machine(code, tmp_path):
    path = tmp_path / "net.pth"
    path.write_bytes(code * 3)
    with pytest.raises(ImportRefusedError) as caught:
        torch_files.read(path)
    assert " at 0x" not in str(caught.value)


def test_other_files_are_refused_with_what_they_lack(tmp_path):
    path = tmp_path / "net.pth"
    with pytest.raises(ImportRefusedError, match="there is no file"):
        torch_files.read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ImportRefusedError, match="0 data.pkl"):
        torch_files.read(path)
    for text in ("hello, these are\nnotes", "t"):
        path.write_text(text)
        with pytest.raises(ImportRefusedError, match="is a text, which begins"):
            torch_files.read(path)
    path.write_bytes(pickle.dumps({"weight": 1}, 2) * 3)
    with pytest.raises(ImportRefusedError, match="no file of PyTorch"):
        torch_files.read(path)
    path.write_bytes(struct.pack("<q", 5) * 100)
    with pytest.raises(ImportRefusedError, match=str(path)):
        torch_files.read(path)
