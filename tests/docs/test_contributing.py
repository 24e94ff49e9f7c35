"""Pages and forms for contributors: what they name is there, and works."""

import configparser
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = next(
    folder
    for folder in pathlib.Path(__file__).resolve().parents
    if (folder / "setup.cfg").is_file()
)
PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
YAML = [
    *FORMS,
    *sorted((ROOT / ".github" / "workflows").glob("*.yml")),
    ROOT / ".pre-commit-config.yaml",
]
CONTRIBUTING = PAGES[0].read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", CONTRIBUTING, re.M | re.S)
KINDS = {"markdown", "textarea", "input", "dropdown", "checkboxes"}
FIRST_COMMIT = "aaabf0ae712442255823674a0d5305c67bcc2691"
TOY = {
    "tfdecomp/models/colours.py": BLOCKS[1][1],
    "gin/smoke/colours.gin": BLOCKS[2][1],
}

SQUARES = {
    f"datasets/squares/{name}": next(
        text for _, text in BLOCKS if text.startswith(begin)
    )
    for name, begin in (
        ("squares_dataset_builder.py", '"""Two squares'),
        ("README.md", "# Squares"),
    )
}
SQUARES_COMMANDS = next(
    text for _, text in BLOCKS if "tfds build datasets/squares" in text
)


def settings():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def requirements(text):
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line]


def steps(job):
    workflow = ROOT / ".github" / "workflows" / "ci.yml"
    jobs = yaml.safe_load(workflow.read_text())["jobs"]
    return [step.get("run", "") for step in jobs[job]["steps"]]


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_yaml_files_can_be_read(path):
    assert isinstance(yaml.safe_load(path.read_text()), dict)


@pytest.mark.parametrize(
    "path", [f for f in FORMS if f.stem != "config"], ids=lambda f: f.stem
)
def test_issue_forms_are_forms(path):
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= set(form)
    ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert len(set(ids)) == len(ids) > 3
    for part in form["body"]:
        assert part["type"] in KINDS
        assert part["attributes"].get("label") or part["attributes"]["value"]


def test_integration_runs_the_script_of_the_repository():
    assert "bash .ci/run" in steps("run")
    assert "bash .ci/run" in steps("newest")
    assert any("lowest-direct" in step for step in steps("oldest"))


def test_ruff_has_one_version():
    (pinned,) = (
        str(r)
        for r in requirements(settings()["options.extras_require"]["dev"])
        if r.name == "ruff"
    )
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    for hook in hooks["repos"][0]["hooks"]:
        assert hook["additional_dependencies"] == [pinned]


def test_constraints_pin_what_is_required_within_its_bounds():
    pinned = {
        canonicalize_name(r.name): next(iter(r.specifier)).version
        for r in requirements((ROOT / "constraints.txt").read_text())
    }
    options = settings()
    for requirement in [
        *requirements(options["options"]["install_requires"]),
        *requirements(options["options.extras_require"]["data"]),
        *requirements(options["options.extras_require"]["onnx"]),
    ]:
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement
    assert "tfdecomp" not in pinned


def test_the_package_says_that_it_has_types():
    assert (ROOT / "tfdecomp" / "py.typed").is_file()
    assert "py.typed" in settings()["options.package_data"]["tfdecomp"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_are_linked_or_named_exist(page):
    text = page.read_text()
    named = re.findall(r"\]\(([^)#\s]+)\)", text)
    named += re.findall(r"`((?:tests|tfdecomp|datasets|docs)/[\w/.]+)`", text)
    for name in named:
        is_example = re.search("NAME|colours|squares", name)
        assert is_example or (ROOT / name).exists(), name


def test_commits_that_are_named_are_in_the_history():
    listed = subprocess.run(
        ["git", "log", "--format=%H"], cwd=ROOT, capture_output=True, text=True
    )
    history = listed.stdout.split()
    # Continuous integration tests a copy without the history, and a shallow
    # clone has only the end of it. Whoever has all of it runs this.
    if FIRST_COMMIT not in history:
        pytest.skip("no whole history here: a copy, or a shallow clone")
    for name in re.findall(r"\b(?=\w*\d)[0-9a-f]{7}\b", CONTRIBUTING):
        assert any(commit.startswith(name) for commit in history), name


def test_the_toys_are_small_and_their_code_is_formatted():
    assert sum(text.count("\n") for text in TOY.values()) <= 60
    squares = [*SQUARES.values(), SQUARES_COMMANDS]
    assert sum(text.count("\n") for text in squares) < 80
    for name, text in {**TOY, **SQUARES}.items():
        if name.endswith(".py"):
            for check in (["check"], ["format", "--check"]):
                ruff = [sys.executable, "-m", "ruff", *check]
                place = [f"--stdin-filename={ROOT / name}", "-"]
                subprocess.run(
                    [*ruff, *place], check=True, cwd=ROOT, input=text, text=True
                )


def test_the_docstring_that_is_shown_is_one():
    (text,) = (t for kind, t in BLOCKS if "def gate" in t)
    scope = {}
    exec(text, scope)
    assert scope["gate"](1.0, 3.0, 0.25) == 1.5


def _copy_with(folder, files):
    """A copy of the tree, as a contributor would have it."""
    ignored = shutil.ignore_patterns("__pycache__", "*.mp4")
    for name in ("tfdecomp", "gin", "datasets"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "setup.cfg", folder)  # what tells a checkout
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


@pytest.mark.slow
def test_the_toy_system_trains_is_scored_predicts_and_is_exported(tmp_path):
    _copy_with(tmp_path, TOY)
    run, data = "--workdir=run", "--data_dir=data"
    for words in (
        ["train", "--gin_file=gin/smoke/colours.gin", run, data],
        ["evaluate", run, data, "--write_pictures"],
        ["predict", "--model=run", f"--input={ROOT}/docs/pictures/balls.gif"]
        + ["--output=out"],
        ["export", run, "--output=export"],
    ):
        command = [sys.executable, "-m", f"tfdecomp.{words[0]}", *words[1:]]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "run" / "results.json").is_file()
    assert (tmp_path / "out" / "tracks.csv").is_file()
    assert (tmp_path / "export" / "saved_model.pb").is_file()


@pytest.mark.slow
def test_the_toy_dataset_is_built_trained_on_and_scored(tmp_path):
    """By the commands as they stand, in a copy of the tree."""
    _copy_with(tmp_path, SQUARES)
    programs = tmp_path / "bin"
    programs.mkdir()
    # Programs that are installed would find the package that is installed.
    for name, words in (
        ("python", ""),
        ("tfds", " -m tensorflow_datasets.scripts.cli.main"),
    ):
        script = f'#!/bin/sh\nexec {sys.executable}{words} "$@"\n'
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    done = subprocess.run(
        ["sh", "-e", "-c", SQUARES_COMMANDS],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(tmp_path),
            "TFDS_DATA_DIR": str(tmp_path / "data"),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    data = tmp_path / "data" / "tfdecomp_squares"
    for name in ("small", "small_tiny"):
        assert (data / name / "1.0.0" / "dataset_info.json").is_file()
    (result,) = json.loads((tmp_path / "run" / "results.json").read_text())
    assert result["dataset"] == "tfdecomp_squares/small"
    assert result["num_clips"] == 99 and 0 <= result["f_ari"] <= 1
