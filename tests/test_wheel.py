"""The wheel: what is in it, and that it works far from the checkout.

It is built without a network and installed into an empty environment, which
borrows the other packages of the running interpreter.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = ("tfdecomp", "gin", "datasets")
RUBBISH = ("__pycache__", "*.pyc", ".*", "*.egg-info")

pytestmark = pytest.mark.slow


def run(command, cwd):
    """Runs a command; its output is shown when it fails."""
    hidden = ("PYTHONPATH", "PYTHONHOME")
    result = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if k not in hidden},
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel, built from a copy: a build leaves files in its folder."""
    tree = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns(*RUBBISH)
    for name in SOURCES:
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    out = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    run([sys.executable, "-m", "pip", *build, "-w", out, tree], cwd=out)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of an environment with nothing but the wheel in it."""
    home = tmp_path_factory.mktemp("env")
    run([sys.executable, "-m", "venv", "--without-pip", home], cwd=home)
    python = home / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = pathlib.Path(run([python, "-c", code], cwd=home).strip())
    # Of a folder that a .pth file names, Python ignores the .pth files in
    # turn: the checkout's editable installation is not seen.
    borrowed = {sysconfig.get_path(key) for key in ("purelib", "platlib")}
    (site / "borrowed.pth").write_text("\n".join(borrowed))
    pip = [sys.executable, "-m", "pip", "--python", python]
    run([*pip, "install", "--no-deps", "--no-index", wheel], cwd=home)
    return python


def expected_files():
    """Name inside the wheel of every file that belongs there."""
    places = {
        "gin": "tfdecomp/configs_data",
        "datasets": "tfdecomp/builders_data",
    }
    for name in SOURCES:
        for path in (ROOT / name).rglob("*"):
            parts = path.relative_to(ROOT / name).parts
            hidden = any(p == "__pycache__" or p[0] == "." for p in parts)
            if path.is_file() and not hidden and path.suffix != ".pyc":
                if not (name == "datasets" and path.stem.endswith("_test")):
                    yield "/".join([places.get(name, name), *parts])


def test_the_wheel_holds_every_file_and_no_other(wheel):
    with zipfile.ZipFile(wheel) as archive:
        found = [n for n in archive.namelist() if ".dist-info/" not in n]
    assert sorted(found) == sorted(expected_files())


def test_the_wheel_brings_its_licence_and_readme(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (info,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
        metadata = archive.read(info).decode()
        names = archive.namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "License-Expression: Apache-2.0" in metadata
    assert "# tfdecomp" in metadata


def test_the_installed_package_finds_its_own_configs_and_builders(
    python, tmp_path
):
    code = (
        "import tfdecomp; from tfdecomp import builders, configs; "
        "print(tfdecomp.__file__, configs.root(), builders.folder())"
    )
    found = [
        pathlib.Path(p) for p in run([python, "-c", code], tmp_path).split()
    ]
    package = found[0].parent
    assert package.is_relative_to(python.parent.parent)
    assert found[1:] == [package / "configs_data", package / "builders_data"]


def test_the_installed_package_trains_from_another_directory(python, tmp_path):
    train = [python, "-m", "tfdecomp.train", "--gin_file=gin/smoke/provide.gin"]
    run([*train, "--workdir=run", "--data_dir=data"], cwd=tmp_path)
    assert (tmp_path / "run" / "config.gin").is_file()
    assert any((tmp_path / "run" / "checkpoints").iterdir())
    assert (tmp_path / "data" / "tfdecomp_bouncing_balls").is_dir()


def test_the_installed_console_command_lists_models(python, tmp_path):
    printed = run([python.parent / "tfdecomp", "models"], cwd=tmp_path)
    assert "provide_balls_quick" in printed
    assert "  predict " in run([python.parent / "tfdecomp"], cwd=tmp_path)
