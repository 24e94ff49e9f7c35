"""Damaged checkpoints: the one before, with a line, or a sentence and a stop.

What a file holds is compared with what was written: no damage may pass as
weights.
"""

import io
import pathlib
import random
import resource
import sys
import zipfile

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "training"))

from tests.fuzz import limits
from tfdecomp.storage import saving
from tfdecomp.training.checkpoints import Checkpoints

COUNT, QUICK_COUNT = 5000, 150
LONGEST = 20.0  # seconds of the processor for one file
MOST_MEMORY = 2**30  # bytes more than before the first file


class Weights:
    """A state of two arrays, as `training.checkpoints.State` is one."""

    def __init__(self):
        self.step, self.best = 0, None
        self.arrays = {}

    def capture(self):
        return self.arrays, {"step": self.step, "best": self.best}

    def restore(self, arrays, meta):
        names = ("model/0000", "model/0001", "carry/beta")
        self.arrays = {name: arrays[name] for name in names}
        self.step, self.best = meta["step"], meta["best"]


def weights(step):
    """What is in the checkpoint of a step."""
    rng = np.random.default_rng(step)
    return {
        "model/0000": rng.standard_normal([7, 5]).astype(np.float32),
        "model/0001": rng.standard_normal([40]).astype(np.float32),
        "carry/beta": np.float32(step),
    }


def write_two(folder):
    """Checkpoints of steps 10 and 20; the bytes of the newer one."""
    state = Weights()
    checkpoints = Checkpoints(folder, state, keep=3, seed=0)
    for state.step in (10, 20):
        state.arrays = weights(state.step)
        checkpoints.save()
    return saving.checkpoint_path(folder, 20).read_bytes()


def damaged(whole, rng):
    """A file with damage of a kind that is drawn."""
    data = bytearray(whole)
    kind = rng.choice((flip, cut, zero, insert, swap, overwrite, other_member))
    return bytes(kind(data, rng))


def flip(data, rng):
    for _ in range(rng.choice((1, 1, 2, 20))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def cut(data, rng):
    return data[: rng.randrange(len(data))]


def zero(data, rng):
    begin = rng.randrange(len(data))
    size = min(rng.choice((1, 16, 512)), len(data) - begin)
    data[begin : begin + size] = bytes(size)
    return data


def insert(data, rng):
    place = rng.randrange(len(data))
    return data[:place] + rng.randbytes(rng.choice((1, 4, 64))) + data[place:]


def swap(data, rng):
    half = rng.randrange(1, len(data))
    return data[half:] + data[:half]


def overwrite(data, rng):
    """Fields of the archive's directories take extreme values."""
    marks = [i for i in range(len(data) - 4) if data[i : i + 2] == b"PK"]
    begin = rng.choice(marks) + rng.randrange(4, 40)
    value = rng.choice(
        (b"\xff" * 4, b"\0" * 4, b"\xff\xff", b"\x63\0", b"\x09")
    )
    data[begin : begin + len(value)] = value
    return data


def other_member(data, rng):
    """A whole archive in which one array is not what it should be."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(members))
    members[name] = rng.choice(
        (
            b"",
            b"\x93NUMPY\x01\x00\x76\x00" + b"{" * 118,
            header("(10**9, 10**6)"),
            header("(1000000000, 1000000)"),
            header("(-1,)"),
            header("(3,)", "|O") + b"cos\nsystem\n(S'true'\ntR.",
            header("(2,)") + bytes(8),
            b"{}",
        )
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for key, value in members.items():
            archive.writestr(key, value)
    return out.getvalue()


def header(shape, dtype="<f4"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust(117) + "\n"
    return (
        b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
    )


def is_same(arrays, step):
    return all(np.array_equal(arrays[k], v) for k, v in weights(step).items())


def run_fuzz(folder, count, seed=0):
    """Damages the newer checkpoint again and again; what came of it."""
    rng, whole = random.Random(seed), write_two(folder)
    path = saving.checkpoint_path(folder, 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    came = {10: 0, 20: 0}
    for number in range(count):
        data = damaged(whole, rng)
        path.write_bytes(data)
        state, lines = Weights(), []
        with limits.clock(LONGEST) as seconds:
            assert Checkpoints(folder, state, 3, 0).restore_latest(lines.append)
        assert seconds() < LONGEST, number
        assert path.read_bytes() == data, "nothing may be deleted"
        # Damage that changes no array (a date, slack) may pass.
        shape_only = state.step == 20 and not is_same(state.arrays, 20)
        assert not shape_only or is_other_array(data), number
        assert state.step == 20 or is_same(state.arrays, 10), number
        assert len(lines) == (state.step == 10), lines
        came[state.step] += 1
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert 1024 * (after - before) < MOST_MEMORY
    return came


def is_other_array(data):
    """Whether a valid archive holds other arrays, which a model refuses."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.testzip() is None


def test_some_damaged_checkpoints_cost_only_their_steps(tmp_path):
    came = run_fuzz(tmp_path, QUICK_COUNT, seed=1)
    assert came[10] > QUICK_COUNT // 2


@pytest.mark.slow
def test_damaged_checkpoints_cost_only_their_steps(tmp_path):
    came = run_fuzz(tmp_path, COUNT)
    assert came[10] > COUNT // 2


@pytest.mark.slow
def test_two_damaged_checkpoints_are_one_sentence(tmp_path):
    rng, whole = random.Random(2), write_two(tmp_path)
    for _ in range(COUNT // 50):
        files = {
            step: damaged(whole, rng)[: len(whole) // 2] for step in (10, 20)
        }
        for step, data in files.items():
            saving.checkpoint_path(tmp_path, step).write_bytes(data)
        with pytest.raises(saving.CheckpointError, match="Nothing was deleted"):
            Checkpoints(tmp_path, Weights(), 3, 0).restore_latest(list)
        for step, data in files.items():
            assert saving.checkpoint_path(tmp_path, step).read_bytes() == data
