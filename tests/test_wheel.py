"""The sdist and the wheel: what is in them, and that they work far from here.

They are built without a network, the wheel from the sdist, as for a release.
The wheel is installed into an empty environment, which borrows the other
packages of the running interpreter; `.ci/wheel` installs those too.
"""

import csv
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile

import numpy as np
import pytest

from tfdecomp.data.video import video_io

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = ("tfdecomp", "gin", "datasets")
# What the tests read besides.
OTHERS = (".ci", ".github", "colab", "docs", "examples", "results", "tests")
PATTERNS = ("*.cff", "*.cfg", "*.md", "*.toml", "*.txt", "*.yml")
FILES = ("LICENSE", "MANIFEST.in", ".gitignore", ".pre-commit-config.yaml")
RUBBISH = ("__pycache__", "*.pyc", ".DS_Store", "*.egg-info")
# An index takes 100 MB; weights that do not fit in here are to be downloaded.
MOST_BYTES = 40e6

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
def sdist(tmp_path_factory):
    """An sdist, built from a copy: a build leaves files in its folder."""
    tree = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns(*RUBBISH)
    for name in SOURCES + OTHERS:
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for path in files_at_the_top():
        shutil.copy(path, tree)
    out = tmp_path_factory.mktemp("sdist")
    code = "import sys; from setuptools import build_meta as b; "
    code += "b.build_sdist(sys.argv[1])"
    run([sys.executable, "-c", code, out], cwd=tree)
    (path,) = out.glob("*.tar.gz")
    return path


@pytest.fixture(scope="module")
def unpacked(sdist, tmp_path_factory):
    """The folder of the unpacked sdist."""
    home = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(home, filter="data")
    (folder,) = home.iterdir()
    return folder


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """A wheel, built from the sdist."""
    out = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    run([sys.executable, "-m", "pip", *build, "-w", out, sdist], cwd=out)
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


def files_at_the_top():
    """Files of the repository that lie in no folder."""
    found = {path for pattern in PATTERNS for path in ROOT.glob(pattern)}
    return sorted(found | {ROOT / name for name in FILES})


def parts_of(name):
    """Of each file of a folder, its path inside as a tuple."""
    for path in (ROOT / name).rglob("*"):
        parts = path.relative_to(ROOT / name).parts
        hidden = any(p == "__pycache__" or p[0] == "." for p in parts)
        if path.is_file() and not hidden and path.suffix != ".pyc":
            yield parts


def expected_files():
    """Name inside the wheel of every file that belongs there."""
    places = {
        "gin": "tfdecomp/configs_data",
        "datasets": "tfdecomp/builders_data",
    }
    for name in SOURCES:
        for parts in parts_of(name):
            yield "/".join([places.get(name, name), *parts])


def test_the_sdist_holds_all_that_tests_read(unpacked):
    expected = {path.name for path in files_at_the_top()}
    for name in SOURCES + OTHERS:
        expected |= {"/".join([name, *parts]) for parts in parts_of(name)}
    found = {
        path.relative_to(unpacked).as_posix()
        for path in unpacked.rglob("*")
        if path.is_file() and path.parent.suffix != ".egg-info"
    }
    assert sorted(found - {"PKG-INFO"}) == sorted(expected)
    assert os.access(unpacked / ".ci" / "run", os.X_OK)


def test_the_tests_of_the_sdist_are_found_in_it(unpacked):
    collect = ["--collect-only", "-q", "-n", "0", "-m", ""]
    printed = run([sys.executable, "-m", "pytest", *collect], cwd=unpacked)
    assert "error" not in printed.splitlines()[-1]
    names = [line.partition("::")[0] for line in printed.splitlines()]
    for path in (ROOT / "tests").rglob("test_*.py"):
        if path.name != "test_case.py":
            assert path.relative_to(ROOT).as_posix() in names, path


@pytest.mark.parametrize("name", ["docs/test_contributing", "test_imports"])
def test_tests_that_read_other_files_pass_in_the_sdist(name, unpacked):
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-n", "0"]
    printed = run([*pytest_, f"tests/{name}.py"], cwd=unpacked)
    assert " passed" in printed.splitlines()[-1]


def test_the_wheel_and_the_sdist_are_small(wheel, sdist):
    for path in (wheel, sdist):
        assert path.stat().st_size < MOST_BYTES, path.name


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
        "import tfdecomp; from tfdecomp import builders; "
        "from tfdecomp.storage import configs; "
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


def test_the_installed_console_command_follows_what_moves(python, tmp_path):
    rows, columns = np.mgrid[:48, :64]
    video = np.full((40, 48, 64, 3), 30, np.uint8)
    for t, frame in enumerate(video):
        for y, x in ((14, 8 + t), (34, 54 - t)):
            frame[(rows - y) ** 2 + (columns - x) ** 2 <= 16] = 230
    video_io.write_video(tmp_path / "two.mp4", video)
    predict = [python.parent / "tfdecomp", "predict", "--input=two.mp4"]
    words = ["--model=background_subtraction", "--output=out"]
    run([*predict, *words], cwd=tmp_path)
    with open(tmp_path / "out" / "tracks.csv") as file:
        assert len({row["id"] for row in csv.DictReader(file)}) == 2


def test_the_installed_package_loads_a_model_that_ships(python, tmp_path):
    code = (
        "import numpy as np, tfdecomp; "
        "model = tfdecomp.load('provide_balls_quick'); "
        "video = np.zeros([2, 20, 20, 3], np.float32); "
        "print(*model.decompose(video)['masks'].shape)"
    )
    printed = run([python, "-c", code], cwd=tmp_path)
    frames, slots, *size = printed.split()
    assert frames == "2" and int(slots) > 1 and size == ["20", "20", "1"]
