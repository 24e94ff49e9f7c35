"""Folders of models that a stranger made: one sentence, and nothing else.

Each case takes a good folder, changes one thing, signs it anew so that the
checksums agree, and opens it as the commands do.
"""

import io
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
import zipfile

import gin
import keras
import numpy as np
import pytest

import tfdecomp
from tests.untrusted import damaged_weights
from tests.untrusted.stored_models import sign, write_run
from tfdecomp.console import commands
from tfdecomp.sharing import hub
from tfdecomp.storage import catalogue, configs, saving
from tfdecomp.untrusted import model_files, shipped

MOST_SECONDS = 20
MOST_GROWTH = 512 * 2**10  # KiB of memory that a refusal may take
ONE_LINE = 700  # characters, with a path in them
CONFIG = """\
NUM_SLOTS = 3
UNITS = %WIDTH
WIDTH = 8

models.PROVIDE.num_slots = %NUM_SLOTS
training.run.dataset = 'tfdecomp_bouncing_balls/color3_quick'
training.run.model = @models.PROVIDE()
training.run.schedules = {'beta': @warm/schedules.Constant()}
warm/schedules.Constant.value = 0.5

# Defaults that were in force
evaluation.Protocol.conditions = ()
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A work directory as training leaves one."""
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, CONFIG)
    return folder


@pytest.fixture(scope="module")
def packed(run):
    hub.pack(run, run.parent / "packed", "small", storage="float32")
    return run.parent / "packed"


@pytest.fixture
def folder(packed, tmp_path):
    return shutil.copytree(packed, tmp_path / "model")


@pytest.fixture
def workdir(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


def open_folder(folder):
    """What `evaluate`, `study` and `compare` do first."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    try:
        with configs.isolated():
            return commands.open_model(folder)
    finally:
        assert time.monotonic() - start < MOST_SECONDS
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert after - before < MOST_GROWTH


def refusal(folder):
    """The one sentence with which a folder is refused."""
    # What a command turns into a line, see `commands.finish`.
    with pytest.raises((ValueError, OSError, RuntimeError)) as error:
        open_folder(folder)
    message = str(error.value)
    assert message.strip() and "\n" not in message
    assert len(message.replace(str(folder), "")) < ONE_LINE
    assert not isinstance(error.value, RecursionError)
    return message


def edit_json(name, change):
    def damage(folder):
        path = folder / name
        content = json.loads(path.read_text())
        path.write_text(json.dumps(change(content) or content))

    return damage


def model(change):
    return edit_json("model.json", lambda content: change(content["model"]))


def setting(**values):
    return model(lambda m: m["config"].update(values))


def info(**values):
    return edit_json("info.json", lambda content: content.update(values))


def config(text):
    return lambda folder: (folder / "config.gin").write_text(CONFIG + text)


def raw(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def link(name, target):
    def damage(folder):
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return damage


def pipe(name):
    def damage(folder):
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return damage


def directory(name):
    def damage(folder):
        (folder / name).unlink()
        (folder / name).mkdir()

    return damage


def sparse(name, size):
    def damage(folder):
        with open(folder / name, "wb") as file:
            file.truncate(size)

    return damage


def nested(depth, inner="1"):
    return "[" * depth + inner + "]" * depth


POPEN = """
from __gin__ import dynamic_registration
import subprocess
subprocess.Popen.args = ['touch', '{marker}']
evaluation.Protocol.num_frames = @subprocess.Popen()
"""
CASES = {
    # What gin would run, fetch or loop over.
    "import": (config("import os\n"), "imports 'os'"),
    "import from": (config("from os import system\n"), "imports 'os.system'"),
    "import as": (config("import antigravity as x\n"), "may import nothing"),
    "dynamic registration": (
        config("from __gin__ import dynamic_registration\n"),
        "may import nothing",
    ),
    "include": (config("include '/etc/passwd'\n"), "includes '/etc/passwd'"),
    "include of ours": (
        config("include 'models/provide.gin'\n"),
        "stands alone",
    ),
    "unknown name": (config("os.system.command = 'x'\n"), "does not exist"),
    "unknown reference": (config("A = @subprocess.Popen()\n"), "not exist"),
    "an action": (
        config("evaluation.Protocol.num_frames = @training.run()\n"),
        "does something when it is called",
    ),
    "an action in a scope": (
        config("A = [{'b': @x/y/training.set_precision()}]\n"),
        "does something",
    ),
    "gin's own": (config("A = @X/gin.constant()\n"), "only what tfdecomp"),
    "a call": (config("A = print(1)\n"), "cannot read the config"),
    "deep brackets": (config(f"A = {nested(5000)}\n"), "nested"),
    "open brackets": (config("A = [1, 2\n"), "config"),
    "a circle of macros": (config("A = %B\nB = %A\n"), "circle"),
    "doubling macros": (
        config(
            "X0 = 1\n"
            + "".join(f"X{n + 1} = (%X{n}, %X{n})\n" for n in range(40))
        ),
        "written out",
    ),
    "a long number": (config(f"A = {'9' * 5000}\n"), "digits"),
    "many settings": (
        config("".join(f"A{n} = 1\n" for n in range(9000))),
        "settings",
    ),
    "a large config": (config("# " + "x" * 2**21), "MiB"),
    "a config that is no text": (raw("config.gin", b"\xff\xfe\0"), "UTF-8"),
    "zero bytes": (raw("config.gin", b"A = 1\0\n"), "zero bytes"),
    # Where files are.
    "a linked config": (link("config.gin", "/etc/hostname"), "outside"),
    "a linked model": (link("model.json", "/etc/passwd"), "outside"),
    "linked weights": (link("weights.weights.h5", "/dev/zero"), "outside"),
    "a linked description": (link("info.json", "/dev/zero"), "outside"),
    "a broken link": (link("info.json", "nowhere"), "not there"),
    "a link to itself": (link("model.json", "model.json"), "not there"),
    "a pipe": (pipe("model.json"), "no ordinary file"),
    "a folder for a file": (directory("info.json"), "no ordinary file"),
    "a path out of the folder": (
        info(sha256={"../../etc/passwd": "0" * 64}),
        "lacks checksums",
    ),
    # What info.json says.
    "no checksums": (info(sha256={}), "lacks checksums"),
    "checksums of nothing": (info(sha256=None), "lacks checksums"),
    "a list of checksums": (info(sha256=[1, 2]), "lacks checksums"),
    "checksums of some": (info(sha256={"model.json": "0"}), "lacks"),
    "control characters": (info(name="a\x1b[2Jb"), "one line"),
    "a name that is a list": (info(name=["a"]), "one line"),
    "a large description": (raw("info.json", b" " * 2**23), "MiB"),
    "a description that is a list": (raw("info.json", b"[1]"), "JSON object"),
    "a deep description": (
        raw("info.json", nested(10**5).encode()),
        "nested too deep",
    ),
    # What model.json builds.
    "deep JSON": (
        raw("model.json", f'{{"model": {nested(10**5)}}}'.encode()),
        "nested too deep",
    ),
    "rather deep JSON": (
        raw("model.json", f'{{"model": {nested(400)}}}'.encode()),
        "deep",
    ),
    "wide JSON": (
        raw("model.json", f'{{"model": [{"1," * 10**6}1]}}'.encode()),
        "values",
    ),
    "a sparse file": (sparse("model.json", 2**40), "MiB"),
    "JSON that is no text": (raw("model.json", b'{"a": "\xff"}'), "UTF-8"),
    "half a file": (raw("model.json", b'{"model": {'), "cannot be read"),
    "sparse weights": (sparse("weights.weights.h5", 2**43), "MiB"),
    "empty JSON": (raw("model.json", b"{}"), "dtype_policy"),
    "a lambda": (
        setting(decoder={"class_name": "__lambda__", "config": {"value": "x"}}),
        "no layer or model of tfdecomp",
    ),
    "another package's class": (
        setting(
            decoder={
                "class_name": "Popen",
                "module": "subprocess",
                "config": {"args": "true"},
                "registered_name": None,
            }
        ),
        "subprocess.Popen",
    ),
    "a layer of Keras that reads files": (
        setting(
            decoder={
                "class_name": "TFSMLayer",
                "module": "keras.layers",
                "config": {"filepath": "/tmp"},
                "registered_name": None,
            }
        ),
        "TFSMLayer",
    ),
    "a module of commands": (
        model(lambda m: m.update(module="tfdecomp.cli")),
        "no model of tfdecomp",
    ),
    "a class of a module that is not there": (
        model(
            lambda m: m.update(
                module="tfdecomp.models.nothing",
                class_name="Nothing",
                registered_name="tfdecomp>Nothing",
            )
        ),
        "does not have",
    ),
    "a class that is not there": (
        model(
            lambda m: m.update(
                class_name="PROVIDER", registered_name="tfdecomp>PROVIDER"
            )
        ),
        "does not have",
    ),
    "two names of a class": (
        model(lambda m: m.update(class_name="SILOT")),
        "no layer or model",
    ),
    "a layer for a model": (
        model(lambda m: m.update(m["config"]["decoder"])),
        "no model of tfdecomp",
    ),
    "an unknown argument": (setting(__class__="x"), "no model that this"),
    "a word for a number": (setting(latent_dim="many"), "no model that this"),
    "a negative width": (setting(units=-8), "no model that this"),
    "none for a part": (setting(decoder=None, num_slots=None), "model.json"),
    "huge frames": (setting(image_size=[10**6, 10**6]), "image_size"),
    "frames of many pixels": (
        setting(image_size=[8192, 8193]),
        "image_size|pixels",
    ),
    "a huge width": (setting(units=10**7), "do not belong together"),
    "a huge latent": (setting(latent_dim=10**9), "do not belong together"),
    "many slots": (setting(num_slots=10**9), "num_slots"),
    "many passes": (setting(num_refinements=10**8), "num_refinements"),
    "no number": (setting(variance=float("nan")), "variance"),
    "numbers of another kind": (
        edit_json(
            "model.json", lambda c: c.update(dtype_policy="int8_from_float32")
        ),
        "dtype_policy",
    ),
    # What the weights file holds.
    "weights that are none": (raw("weights.weights.h5", b"x" * 99), "readable"),
    "no weights": (raw("weights.weights.h5", b""), "readable"),
    "claims of terabytes": (damaged_weights.huge_lazy, "claims to hold"),
    "packed zeros": (damaged_weights.bomb, "claims to hold"),
    "a link to another file": (damaged_weights.external_link, "elsewhere"),
    "data of another file": (damaged_weights.external_data, "another file"),
    "a link within": (damaged_weights.soft_link, "elsewhere"),
    "virtual data": (damaged_weights.virtual, "another file"),
    "a weight that is no number": (
        damaged_weights.not_finite,
        "no finite numbers",
    ),
    "words for weights": (damaged_weights.text, "else than numbers"),
    "a missing weight": (damaged_weights.missing, "does not hold the weights"),
    "a weight of another shape": (
        damaged_weights.another_shape,
        "does not hold",
    ),
    "a circle of groups": (damaged_weights.circle, "does not hold the weights"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_folder_is_refused_with_what_is_wrong(case, folder):
    damage, message = CASES[case]
    damage(folder)
    sign_before = case in ("a linked description", "a folder for a file")
    if not sign_before and "checksums" not in message and "pipe" not in case:
        _sign_readable(folder)
    assert re.search(message, refusal(folder))


def _sign_readable(folder):
    """`sign` where every file is one that can be read to its end."""
    paths = [*folder.iterdir()]
    if all(p.is_file() and p.stat().st_size < 2**26 for p in paths):
        sign(folder)


def test_the_good_folder_opens(folder, workdir):
    for path in (folder, workdir):
        opened = open_folder(path)
        assert opened.model.num_slots == 3
        assert opened.trained_on == "tfdecomp_bouncing_balls/color3_quick"


@pytest.mark.parametrize("kind", ["folder", "workdir"])
def test_no_program_is_started(kind, request, tmp_path):
    folder = request.getfixturevalue(kind)
    marker = tmp_path / "started"
    text = CONFIG + POPEN.format(marker=marker)
    (folder / "config.gin").write_text(text)
    if kind == "folder":
        sign(folder)
    assert "imports" in refusal(folder)
    time.sleep(0.1)
    assert not marker.exists()


def test_what_another_package_registered_is_refused(folder):
    with gin.unlock_config():
        gin.external_configurable(subprocess.Popen, module="strange")
    try:
        (folder / "config.gin").write_text("A = @strange.Popen()\n")
        sign(folder)
        assert "which subprocess registered" in refusal(folder)
    finally:
        gin.config._REGISTRY.pop("strange.Popen")


def archive(members, method=zipfile.ZIP_STORED):
    """Content of an .npz file, from name -> bytes."""
    scratch = io.BytesIO()
    with zipfile.ZipFile(scratch, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return scratch.getvalue()


def header(shape, descr="<f4"):
    """An .npy file of this shape without its data."""
    scratch = io.BytesIO()
    fields = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(scratch, fields)
    return scratch.getvalue()


def npy(array):
    scratch = io.BytesIO()
    np.save(scratch, array)
    return scratch.getvalue()


# Made when it is their turn: one of them packs much.
CHECKPOINTS = {
    "packed zeros": lambda: archive(
        {"model/0000.npy": npy(np.zeros(2**25, "f4"))}, zipfile.ZIP_DEFLATED
    ),
    "claims of terabytes": lambda: archive(
        {"model/0000.npy": header((10**12,))}
    ),
    "claims beyond all numbers": lambda: archive(
        {"model/0000.npy": header((10**18, 10**18))}
    ),
    "objects": lambda: archive(
        {"model/0000.npy": header((1,), "|O") + b"\x80\x04N."}
    ),
    "no archive": lambda: b"x" * 1000,
    "nothing": lambda: b"",
    "half an archive": lambda: archive({"a.npy": npy(np.zeros(99))})[:-30],
    "no arrays": lambda: archive({"readme.txt": b"hello"}),
    "no description": lambda: archive({"model/0000.npy": npy(np.zeros(3))}),
    "a description that is no text": lambda: archive(
        {"meta.npy": npy(np.full(9, 255, np.uint8))}
    ),
    "a path out of the folder": lambda: archive(
        {"../../x.npy": npy(np.zeros(3))}
    ),
}


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_a_hostile_checkpoint_is_refused(case, workdir):
    path = saving.checkpoint_path(workdir / "checkpoints", 7)
    path.write_bytes(CHECKPOINTS[case]())
    assert "checkpoint" in refusal(workdir)
    assert path.exists()


def test_a_work_directory_larger_than_its_checkpoint_is_refused(workdir):
    setting(units=10**6)(workdir)
    assert "do not belong together" in refusal(workdir)


def test_a_hub_snapshot_may_link_to_its_blobs(folder, tmp_path):
    home = tmp_path / "models--owner--name"
    snapshot = home / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (home / "blobs").mkdir()
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(home / "blobs" / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    assert open_folder(snapshot).name == "small"
    (snapshot / "config.gin").unlink()
    (snapshot / "config.gin").symlink_to("../../../secret")
    (tmp_path / "secret").write_text("A = 1\n")
    assert "outside" in refusal(snapshot)


def test_checksums_of_shipped_models_are_in_the_code():
    found = {
        name: {
            file: saving.sha256(hub.folder() / name / file)
            for file in hub.FILES
        }
        for name in tfdecomp.list_models()
    }
    # The lines to put into tfdecomp/untrusted/shipped.py, should they differ.
    assert found == shipped.SUMS, json.dumps(found, indent=4)


def test_a_shipped_model_is_what_the_code_says(folder, monkeypatch):
    monkeypatch.setattr(catalogue, "folder", lambda: folder.parent)
    sums = json.loads((folder / "info.json").read_text())["sha256"]
    monkeypatch.setitem(shipped.SUMS, "model", sums)
    assert tfdecomp.load("model").model.num_slots == 3
    setting(variance=0.7)(folder)
    sign(folder)  # whoever changes the weights can change the description
    with pytest.raises(hub.HubError, match="damaged"):
        tfdecomp.load("model")


def test_files_of_any_end_of_line_are_the_same(folder):
    text = (folder / "config.gin").read_bytes().replace(b"\n", b"\r\n")
    (folder / "config.gin").write_bytes(text)
    sign(folder)
    assert open_folder(folder).trained_on


def test_a_message_moves_no_cursor():
    assert model_files.printable("a\x1b[31m\nb" + "c" * 900).isprintable()


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "evaluate --model={0}",
        "compare --model={0}",
        "study refinements --model={0} --output={1}/out",
        "calibrate --model={0}",
        "predict --model={0} --input={1}/clip.npy --output={1}/out",
        "export --model={0} --output={1}/out",
        "fit --input={1}/clip.npy --model={0} --output={1}/out",
    ],
)
def test_a_command_prints_one_line_and_starts_nothing(
    command, folder, tmp_path
):
    marker = tmp_path / "started"
    (folder / "config.gin").write_text(CONFIG + POPEN.format(marker=marker))
    # So that what reads no config has a reason to refuse the folder, too.
    setting(units=10**7)(folder)
    sign(folder)
    np.save(tmp_path / "clip.npy", np.zeros((9, 16, 16, 3), np.uint8))
    words = command.format(folder, tmp_path).split()
    done = subprocess.run(
        [sys.executable, "-m", f"tfdecomp.{words[0]}", *words[1:]],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode != 0 and not marker.exists()
    assert "Traceback" not in done.stderr
    errors = [s for s in done.stderr.splitlines() if s.startswith("error")]
    assert errors and str(folder.name) in done.stderr


def test_a_model_that_a_notebook_registered_is_its_own_and_can_be_read():
    class Mine(keras.Model):
        pass

    Mine.__module__ = "__main__"
    keras.saving.register_keras_serializable(package="mine")(Mine)
    for module in (None, "__main__"):
        value = {"class_name": "Mine", "module": module}
        assert saving._is_known({**value, "registered_name": "mine>Mine"})
        assert not saving._is_known({**value, "registered_name": "os>Mine"})
    wrong = {"class_name": "Mine", "module": "other"}
    assert not saving._is_known({**wrong, "registered_name": "mine>Mine"})


def test_every_layer_and_model_of_ours_may_be_named_by_a_folder(tmp_path):
    classes = [
        cls
        for name, cls in keras.saving.get_custom_objects().items()
        if name.startswith("tfdecomp>")
        and cls.__module__.startswith(("tfdecomp.layers", "tfdecomp.models"))
    ]
    assert len({cls.__module__ for cls in classes}) > 40
    for cls in classes:
        value = {
            "class_name": cls.__name__,
            "module": cls.__module__,
            "registered_name": keras.saving.get_registered_name(cls),
        }
        model_files._check_class(tmp_path, value)
