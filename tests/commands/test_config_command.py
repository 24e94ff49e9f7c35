"""`tfdecomp config`, as people type it."""

import json
import subprocess
import sys

import pytest


def command(*arguments, folder=None):
    return subprocess.run(
        [sys.executable, "-m", "tfdecomp.config", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
    )


WRONG = {
    "bracket.gin": ("A = (1,\n", "a bracket or a quote is not closed"),
    "syntax.gin": ("models.SILOT.num_slots 3\n", "syntax.gin, line 1"),
    "code.gin": ("import os\n", "line 1: it imports 'os'"),
    "circle.gin": ("include 'circle.gin'\n", "is included by itself"),
    "include.gin": ("\ninclude 'prov.gin'\n", "did you mean provide.gin"),
    "latin.gin": (b"A = '\xe9'\n", "is no text in UTF-8"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_bad_file_is_one_sentence_before_tensorflow_is_loaded(name, tmp_path):
    content, message = WRONG[name]
    content = content if isinstance(content, bytes) else content.encode()
    (tmp_path / name).write_bytes(content)
    program = (
        "import sys\n"
        "from tfdecomp import config\n"
        "from absl import app\n"
        "def main(argv):\n"
        "    status = config.main(argv)\n"
        "    assert 'tensorflow' not in sys.modules\n"
        "    return status\n"
        "app.run(main)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, name],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 1 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and message in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a config, such as"),
        (["gin/provid.gin"], "did you mean provide.gin"),
        (["gin/provide.gin", "."], ". is a folder"),
        (["--parameters", "--gin_param=A = 1"], "leave out"),
    ],
)
def test_bad_words_are_one_sentence(arguments, message, tmp_path):
    done = command(*arguments, folder=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and message in line


@pytest.mark.slow
def test_a_config_is_explained_and_nothing_else_is_said(tmp_path):
    done = command("gin/quick/provide.gin", "--gin_param=NUM_SLOTS = 6")
    assert done.returncode == 0 and not done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    number = next(i for i, ln in enumerate(lines) if " num_slots " in ln)
    assert lines[number].split()[:2] == ["num_slots", "6"]
    assert (
        lines[number + 1].strip() == "from NUM_SLOTS (--gin_param); default 5"
    )


@pytest.mark.slow
def test_parameters_are_listed_for_people_and_for_machines():
    done = command("--parameters", "models.SILOT", "Discovery")
    assert done.returncode == 0 and not done.stderr
    assert "\nlayers.Discovery: " in done.stdout
    found = json.loads(command("--parameters", "--json").stdout)
    (silot,) = (entry for entry in found if entry["name"] == "models.SILOT")
    assert silot["parameters"][0] == {
        "name": "backbone",
        "default": "None",
        "doc": "What reads frames, a `layers.CellBackbone`.",
    }
    done = command("--parameters", "models.SILO")
    assert done.returncode == 1 and "did you mean models.SILOT" in done.stderr
