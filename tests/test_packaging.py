"""What setup.cfg promises is what the pages say and what is tried."""

import configparser
import pathlib
import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).resolve().parent.parent
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
EXTRAS = SETUP["options.extras_require"]
JOBS = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def requirements(text):
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line]


def classified():
    """Versions of Python that the classifiers name, as numbers."""
    text = SETUP["metadata"]["classifiers"]
    return [int(n) for n in re.findall(r"Python :: 3\.(\d+)$", text, re.M)]


def commands(job):
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def table():
    """Rows of the table of extras: name -> cells."""
    text = (ROOT / "docs" / "index.md").read_text()
    section = re.search(r"^## Extras\n(.*?)(?=^## |\Z)", text, re.M | re.S)[1]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", section, re.M)
    assert len({name for name, *_ in rows}) == len(rows)
    return {name: cells for name, *cells in rows}


def test_every_extra_is_in_the_table_and_nothing_else():
    assert list(table()) == list(EXTRAS)


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_table_says_which_extras_an_extra_takes_in(extra):
    inside = {
        name
        for requirement in requirements(EXTRAS[extra])
        if requirement.name == "tfdecomp"
        for name in requirement.extras
    }
    brings, _ = table()[extra]
    assert set(re.findall(r"`(\w+)`", brings)) == inside


def test_extras_that_messages_name_exist():
    named = set()
    for path in (ROOT / "tfdecomp").rglob("*.py"):
        named |= set(re.findall(r"tfdecomp\[(\w+)\]", path.read_text()))
    assert named <= set(EXTRAS)
    assert {"data", "hub", "litert", "onnx", "tensorboard"} <= named


@pytest.mark.parametrize("job", ["run", "wheel"])
def test_every_version_of_python_that_is_named_is_tried(job):
    tried = JOBS[job]["strategy"]["matrix"]["python"]
    assert tried == [f"3.{minor}" for minor in classified()]


def test_the_versions_of_python_are_the_same_everywhere():
    oldest, *_, newest = classified()
    bounds = f">=3.{oldest},<3.{newest + 1}"
    assert SETUP["options"]["python_requires"] == bounds
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py3{oldest}"
    assert PROJECT["tool"]["mypy"]["python_version"] == f"3.{oldest}"
    for name in ("README.md", "docs/index.md"):
        said = f"Python 3.{oldest} to 3.{newest}"
        assert said in (ROOT / name).read_text(), name


def test_what_the_package_needs_has_a_lower_bound_that_is_tried():
    for requirement in requirements(SETUP["options"]["install_requires"]):
        (bound,) = requirement.specifier
        assert bound.operator == ">=", requirement
    # Extras need newer versions of some; alone the package has the oldest.
    matrix = JOBS["oldest"]["strategy"]["matrix"]["include"]
    installed = {case["install"].split()[0] for case in matrix}
    assert installed == {".", "'.[dev]'"}
    assert any("--resolution=lowest-direct" in c for c in commands("oldest"))


def test_the_wheel_is_tried_by_the_script():
    assert "bash .ci/wheel" in commands("wheel")
