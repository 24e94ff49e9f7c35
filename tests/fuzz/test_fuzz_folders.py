"""Model folders with random damage: opened right, or refused in a sentence."""

import json
import resource
import shutil

import keras
import numpy as np
import pytest

from tests.fuzz import limits
from tests.untrusted.stored_models import sign, write_run
from tfdecomp.console import commands
from tfdecomp.sharing import hub
from tfdecomp.storage import configs

COUNT = 500
QUICK = 25
MOST_SECONDS = 20  # of the processor
MOST_GROWTH = 2**20  # KiB of memory over all folders
CONFIG = """\
NUM_SLOTS = 3
models.PROVIDE.num_slots = %NUM_SLOTS
training.run.dataset = 'tfdecomp_bouncing_balls/color3_quick'
training.run.model = @models.PROVIDE()
evaluation.Protocol.conditions = ({'num_slots': 4},)
"""
SCRAPS = (
    b"import os\n",
    b"include '/etc/passwd'\n",
    b"@training.run()",
    b"%NUM_SLOTS",
    b"{",
    b"[" * 99,
    b"-1e999",
    b"9" * 40,
    b"null",
    b'"__lambda__"',
    b"\xff\0\n",
    b"../..",
)
VALUES = (None, -1, 0, 2**40, 1e308, "x" * 50, [], {}, [[]], True, "../..")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A work directory and a folder of weights."""
    run = tmp_path_factory.mktemp("sources") / "run"
    run.mkdir()
    write_run(run, CONFIG)
    hub.pack(run, run.parent / "packed", "small", storage="float32")
    return run, run.parent / "packed"


def damage(folder, rng):
    """Changes a file or two, and signs the folder anew."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    for _ in range(rng.integers(1, 3)):
        path = paths[rng.integers(len(paths))]
        if path.suffix == ".json" and rng.random() < 0.6:
            _change_json(path, rng)
        else:
            path.write_bytes(_change_bytes(path.read_bytes(), rng))
    info = folder / "info.json"
    if info.is_file() and rng.random() < 0.9:
        sign(folder)


def _change_json(path, rng):
    """Puts a value where another one was."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError:  # damaged before
        return
    value = content
    while isinstance(value, (dict, list)) and len(value):
        keys = list(value) if isinstance(value, dict) else range(len(value))
        parent, key = value, keys[rng.integers(len(keys))]
        value = value[key]
        if rng.random() < 0.15:
            break
    else:
        if value is content:
            return
    if rng.random() < 0.1 and isinstance(parent, dict):
        del parent[key]
    else:
        parent[key] = VALUES[rng.integers(len(VALUES))]
    path.write_text(json.dumps(content))


def _change_bytes(data, rng):
    kind, where = rng.integers(5), int(rng.integers(len(data) + 1))
    if kind == 0:
        return data[:where]
    if kind == 1:
        return data[:where] + SCRAPS[rng.integers(len(SCRAPS))] + data[where:]
    if kind == 2:
        return data[:where] + data[where : where + 300] + data[where:]
    if kind == 3:
        return data[:where] + data[where + int(rng.integers(1, 50)) :]
    changed = bytearray(data)
    for n in rng.integers(len(data) or 1, size=rng.integers(1, 9)):
        changed[n : n + 1] = bytes([rng.integers(256)])
    return bytes(changed)


def check(sources, scratch, seeds):
    """Opens damaged folders as the commands do; returns how many opened."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    opened, failures = 0, []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        folder = scratch / str(seed)
        shutil.copytree(sources[seed % 2], folder)
        damage(folder, rng)
        try:
            with limits.clock(MOST_SECONDS) as seconds, configs.isolated():
                commands.open_model(folder)
            opened += 1
        # What `commands.finish` prints as one line.
        except (ValueError, OSError, RuntimeError) as error:
            message = str(error)
            is_raw = isinstance(error, (RecursionError, NotImplementedError))
            if is_raw or "\n" in message or len(message) < 15:
                failures.append((seed, repr(error)))
        except Exception as error:
            failures.append((seed, repr(error)))
        if seconds() > MOST_SECONDS:
            failures.append((seed, "took too long"))
        keras.backend.clear_session()
        shutil.rmtree(folder)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert not failures, "\n".join(map(str, failures[:20]))
    assert after - before < MOST_GROWTH
    return opened


@pytest.mark.slow
@pytest.mark.parametrize(
    "seeds",
    [range(QUICK), range(QUICK, COUNT)],
    ids=["quick", "all"],
)
def test_damaged_folders_open_or_are_refused(seeds, sources, tmp_path):
    # Some damage does not matter, such as that of another seed's number.
    assert 0 < check(sources, tmp_path, seeds) < len(seeds)
