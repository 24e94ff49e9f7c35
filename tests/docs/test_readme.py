"""What README.md and the pages of docs/ tell people to type exists."""

import ast
import configparser
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in PAGES}
SHELL = {"", "sh", "bash", "shell", "console"}
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.M | re.S)
BLOCKS = [block for text in TEXTS.values() for block in BLOCK.findall(text)]
# Flags of absl itself.
COMMON_FLAGS = {"help", "helpfull", "verbosity"}


def command_lines():
    """All lines of the shell blocks; continued lines are one."""
    for language, text in BLOCKS:
        if language in SHELL:
            for line in text.replace("\\\n", " ").splitlines():
                line = line.strip().removeprefix("$ ")
                if line and not line.startswith("#"):
                    yield line


def module_calls():
    """`(module, arguments)` of every `python -m tfdecomp.MODULE`."""
    for line in command_lines():
        for part in re.split(r"&&|\|\||[;|]", line):
            words = shlex.split(part, comments=True)
            for i, word in enumerate(words[:-1]):
                if word == "-m" and words[i + 1].startswith("tfdecomp."):
                    yield words[i + 1], tuple(words[i + 2 :])


CALLS = sorted(set(module_calls()))


def known_flags(module):
    """Names of a command's flags: from its source, else from its help."""
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    text = path.read_text()
    if "tracking_flags" in text:  # flags that commands share
        text += (ROOT / "tfdecomp/console/tracking_flags.py").read_text()
    flags = {
        node.args[0].value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr.startswith("DEFINE_")
    }
    if flags:
        return flags | COMMON_FLAGS
    text = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return set(re.findall(r"--(\w+)", text))


def test_the_first_block_is_the_two_lines_to_paste():
    lines = BLOCK.findall(README)[0][1].splitlines()
    assert len(lines) == 2
    assert "--gin_file=gin/quick/provide.gin" in lines[0]
    assert lines[1].endswith("python -m pytest")


def test_the_main_job_has_a_smoke_version():
    assert (ROOT / "gin" / "smoke" / "provide.gin").is_file()


@pytest.mark.parametrize("module", sorted({module for module, _ in CALLS}))
def test_commands_exist(module):
    assert ROOT.joinpath(*module.split(".")).with_suffix(".py").is_file()


@pytest.mark.parametrize("module", sorted({module for module, _ in CALLS}))
def test_flags_are_known(module):
    known = known_flags(module)
    for other, arguments in CALLS:
        if other == module:
            flags = [a for a in arguments if a.startswith("--")]
            for name in (re.match(r"--(\w*)", flag)[1] for flag in flags):
                assert name in known or name.removeprefix("no") in known, name


@pytest.mark.parametrize("page", TEXTS)
def test_gin_files_exist(page):
    for name in re.findall(r"\bgin/[\w/.-]+\.gin\b", TEXTS[page]):
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("page", TEXTS)
def test_dataset_folders_exist(page):
    for name in re.findall(r"\btfds build (datasets/\w+)", TEXTS[page]):
        assert (ROOT / name).is_dir(), name


def test_models_named_on_the_command_line_ship():
    for _, arguments in CALLS:
        for argument in arguments:
            name = argument.removeprefix("--model=")
            if name != argument and "/" not in name:  # else one's own
                assert (ROOT / "tfdecomp" / "weights" / name).is_dir(), name


def test_extras_are_defined():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    for text in re.findall(r"\[(\w+)\]['\"]", "\n".join(command_lines())):
        assert text in parser["options.extras_require"], text


def test_readme_is_one_screen_with_two_pictures():
    assert len(README) < 6000
    assert len(re.findall(r"!\[", README)) == 2


def test_python_blocks_are_python():
    for language, text in BLOCKS:
        if language == "python":
            ast.parse(text)


def test_continuous_integration_can_be_started():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)


def test_changelog_and_citation_are_about_this_version():
    import tfdecomp

    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## (\S+),", changelog, re.M)[1] == tfdecomp.__version__
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {tfdecomp.__version__}\n" in citation
