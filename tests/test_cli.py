"""The console command `tfdecomp`."""

import configparser
import importlib
import pathlib
import subprocess
import sys

import pytest

import tfdecomp
from tfdecomp import cli

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(*words):
    return subprocess.run(
        [sys.executable, "-m", "tfdecomp.cli", *words],
        capture_output=True,
        text=True,
    )


def test_the_console_command_is_this_one():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    line = parser["options.entry_points"]["console_scripts"].strip()
    name, _, target = line.partition(" = ")
    module, _, function = target.partition(":")
    assert name == "tfdecomp"
    assert getattr(importlib.import_module(module), function) is cli.main


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_command_with_one_line(words, capsys):
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("usage: tfdecomp COMMAND")
    for name in (*cli.COMMANDS, "models"):
        (line,) = (ln for ln in lines if ln.startswith(f"  {name} "))
        assert line.endswith(".") and len(line) < 88


def test_every_module_that_runs_is_a_command():
    found = {
        path.stem
        for path in (ROOT / "tfdecomp").glob("*.py")
        if 'if __name__ == "__main__":' in path.read_text()
    }
    assert found == {*cli.COMMANDS, "cli"}


def test_an_unknown_command_names_the_nearest(capsys):
    assert cli.main(["pedict"]) == 2
    assert "did you mean 'predict'" in capsys.readouterr().err


def test_the_version_is_printed(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"tfdecomp {tfdecomp.__version__}\n"


def test_help_of_a_command_is_its_own():
    done = run("tables", "--help")
    assert "--results" in done.stdout and "Prints a paper's table" in (
        done.stdout
    )


def test_a_command_runs_with_its_flags_and_its_exit_code():
    done = run("config", "--gin_param=A = 1", "gin/provid.gin")
    assert done.returncode == 1
    assert "did you mean provide.gin" in done.stderr


@pytest.mark.slow
def test_prepare_runs_with_its_words():
    done = run("prepare", "info", "bouncing_balls/color3_quick")
    assert done.returncode == 0 and "20" in done.stdout


def test_models_are_listed_with_what_matters(capsys):
    assert cli.main(["models"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "name",
        "system",
        "trained",
        "on",
        "score",
        "size",
        "licence",
    ]
    models = tfdecomp.list_models()
    assert [line.split()[0] for line in lines] == list(models)
    (line,) = (ln for ln in lines if ln.startswith("provide_balls_quick "))
    score = models["provide_balls_quick"]["score"]["f_ari"]
    for part in (
        "PROVIDE",
        "bouncing_balls/color3_quick",
        f"F-ARI {score:.3f}",
        "0.7 MiB",
        "Apache-2.0",
    ):
        assert part in line
    assert cli.main(["models", "all"]) == 2
