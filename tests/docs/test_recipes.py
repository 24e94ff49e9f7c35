"""Every command line that is written somewhere can be typed as it stands.

Read are the READMEs, the pages of docs/, the headers of the configs and the
docstrings. By default each line is parsed by its own command; the slow tests
run them, with tiny data in place of large ones and few steps in place of many.
"""

import ast
import dataclasses
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tfdecomp import builders, cli
from tfdecomp.data import naming
from tfdecomp.data.video import video_writer
from tfdecomp.sharing import hub
from tfdecomp.storage import configs

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = (
    *sorted(ROOT.glob("*.md")),
    ROOT / "gin" / "README.md",
    ROOT / "results" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "datasets").glob("*/README.md")),
)
GIN = tuple(sorted((ROOT / "gin").rglob("*.gin")))
CODE = tuple(
    sorted((ROOT / "tfdecomp").rglob("*.py"))
    + sorted((ROOT / "datasets").rglob("*.py"))
)
# What a sentence of a page says of a command need not be a whole one.
BEGIN = re.compile(r"(python -m tfdecomp\.|tfdecomp )(\w+)")
# Words that stand for others; a line with one is not one to paste.
STANDS_FOR = re.compile(r"[A-Z]*NAME|\.\.\.|COMMAND")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One command line and where it stands."""

    place: str
    command: str
    words: tuple

    def value(self, flag):
        """Values of a flag, in order."""
        head = f"--{flag}="
        return [w[len(head) :] for w in self.words if w.startswith(head)]


def joined(lines):
    """Lines of which those that end in a backslash go on."""
    return re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines()


def commands_of(line):
    """`(command, words)` of all commands in a line of a shell."""
    line = line.strip().removeprefix("$ ")
    for part in re.split(r" (?:&&|\|) ", line):
        found = BEGIN.match(part.strip())
        if found and not STANDS_FOR.search(part):
            words = shlex.split(part, comments=True)
            skip = 3 if words[0] == "python" else 2
            yield found[2], tuple(words[skip:])


def of_page(path):
    """Of a page: its blocks, and commands in the text, in back-ticks."""
    text = path.read_text()
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S):
        yield from joined(block.splitlines())
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    for span in re.findall(r"`([^`]+)`", text):
        yield " ".join(span.split())


def of_header(path):
    """Of a config: its comments."""
    lines = [line for line in path.read_text().splitlines() if line[:1] == "#"]
    return joined(line[1:] for line in lines)


def of_docstrings(path):
    """Of a module: the indented lines of all its docstrings."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    text = path.read_text()
    if not re.search(r"python -m|tfdecomp \w", text):
        return  # parsing every module takes a second
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, kinds):
            yield from joined((ast.get_docstring(node) or "").splitlines())


def recipes():
    """All recipes, each once."""
    found = {}
    for paths, read in (
        (PAGES, of_page),
        (GIN, of_header),
        (CODE, of_docstrings),
    ):
        for path in paths:
            for line in read(path):
                for command, words in commands_of(line):
                    place = str(path.relative_to(ROOT))
                    recipe = Recipe(place, command, words)
                    found.setdefault((command, words), recipe)
    return list(found.values())


RECIPES = recipes()
COMMANDS = sorted({recipe.command for recipe in RECIPES})
TRAININGS = [recipe for recipe in RECIPES if recipe.command == "train"]
_PARSE = """
import importlib, json, sys
from absl import flags
name, lines = json.loads(sys.stdin.read())
module = importlib.import_module(f"tfdecomp.{name}")
for words in lines:
    try:
        if name == "prepare":
            if words[0] not in ("list", "info", "clean"):
                module._parse([name, *words])
            continue
        for flag in flags.FLAGS:
            flags.FLAGS[flag].unparse()
        rest = flags.FLAGS([name, *words])[1:]
        if rest and name not in ("config", "study"):
            raise ValueError(f"unexpected arguments: {rest}")
    except (Exception, SystemExit) as error:
        print(words, repr(error))
"""


def ids(recipe):
    return f"{recipe.place}:{recipe.command}:{' '.join(recipe.words)[:60]}"


def test_all_kinds_of_places_have_recipes():
    places = {recipe.place for recipe in RECIPES}
    assert {"README.md", "gin/silot.gin", "tfdecomp/train.py"} <= places
    assert {"docs/train.md", "docs/systems/silot.md"} <= places
    assert "datasets/video_folder/README.md" in places
    # A continued line, a line after `&&`, and one in the text.
    assert any(
        "evaluation.Protocol.split = 'test'" in r.value("gin_param")
        for r in TRAININGS
    )
    assert any(r.value("workdir") == ["runs/provide"] for r in TRAININGS)
    assert any("video_folder/manual" in r.words for r in RECIPES)
    assert len(RECIPES) > 120


@pytest.mark.parametrize("command", COMMANDS)
def test_its_own_command_takes_every_line(command):
    if command == "models":
        return  # takes no words
    assert command in cli.COMMANDS
    lines = [r.words for r in RECIPES if r.command == command]
    lines = [words for words in lines if words and words != ("--help",)]
    done = subprocess.run(
        [sys.executable, "-c", _PARSE],
        input=json.dumps([command, lines]),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("recipe", TRAININGS, ids=ids)
def test_configs_take_what_is_written_after_them(recipe):
    if not recipe.words:
        return  # the command is named, not called
    with configs.isolated():
        configs.parse(recipe.value("gin_file"), recipe.value("gin_param"))
        assert configs.macro("NUM_STEPS") > 0


def test_names_in_recipes_are_those_of_something():
    for recipe in RECIPES:
        for name in recipe.value("protocol"):
            assert (ROOT / "gin" / "evaluation" / f"{name}.gin").is_file(), name
        for name in recipe.value("model"):
            if not name.startswith(("~", ".", "/")) and "/" not in name:
                assert name in hub.list_models(), name


# Names of one's own, and the set that CONTRIBUTING makes.
OWN = ("video_folder/street", "picture_folder/photos", "squares/small")


def datasets():
    """`(dataset, config)` of all that is prepared somewhere."""
    for recipe in RECIPES:
        if recipe.command != "prepare" or not recipe.words:
            continue
        if recipe.words[0] in ("list", "clean"):
            continue
        words = [w for w in recipe.words if not w.startswith("-")]
        name = words[-1] if words[0] == "info" else words[0]
        config = (recipe.value("config") or [None])[0]
        yield name, config


@pytest.mark.parametrize(("name", "config"), sorted(set(datasets()), key=str))
def test_prepared_sets_are_known(name, config, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    if name in OWN:
        return
    dataset, named, _ = naming.split_name(name)
    if config is None and named is None:
        assert dataset.removeprefix("tfdecomp_") in {
            known.removeprefix("tfdecomp_") for known in builders.names()
        }
        return
    if config is not None and "~/" in config:
        (tmp_path / "videos").mkdir()
    builders.make(name, tmp_path / "data", config)  # raises an error


# Running.

# Not the lengths of clips: whether the data have them is what fails.
SMALL = ("BATCH_SIZE = 2", "CLIP_LENGTH = 2", "NUM_STEPS = 2")
THIN = (
    "NUM_SLOTS = 2",
    "NUM_REFINEMENTS = 2",
    "layers.BroadcastDecoder.filters = (8, 8)",
    "layers.RefinementEncoder.filters = (8, 8)",
)


def film(path, frames=60, side=48):
    """A video of a square that moves."""
    writer = video_writer.VideoWriter(path, 10)
    for t in range(frames):
        picture = np.full((side, side, 3), 30, np.uint8)
        picture[10:20, (2 * t) % (side - 10) :][:, :10] = (250, 80, 40)
        writer.add(picture, t / 10)
    writer.close()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of one's own, where lines are typed."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tensorflow_datasets"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    shutil.copytree(ROOT / "gin", tmp_path / "gin")
    return tmp_path


def type_in(home, command, words, *more):
    """Runs a command as a shell would; its output if it went well."""
    words = [re.sub(r"^(--\w+=)?~/", rf"\1{home}/", word) for word in words]
    done = subprocess.run(
        [sys.executable, "-m", f"tfdecomp.{command}", *words, *more],
        cwd=home,
        env=os.environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (command, words, done.stderr[-2000:])
    return done.stdout


def settings(lines):
    return [f"--gin_param={line}" for line in lines]


def of_place(place, command):
    return [
        r.words for r in RECIPES if (r.place, r.command) == (place, command)
    ]


@pytest.mark.slow
def test_a_folder_of_videos_becomes_a_trained_model_as_its_page_says(home):
    (home / "videos").mkdir()
    for n in range(5):
        film(home / "videos" / f"{n}.mp4", frames=260)
    page = "datasets/video_folder/README.md"
    build, info = of_place(page, "prepare")[:2]
    type_in(home, "prepare", build)
    assert "train" in type_in(home, "prepare", info)
    (train,) = of_place(page, "train")
    type_in(home, "train", train, *settings(SMALL + THIN))
    run = json.loads((home / "runs" / "street" / "run.json").read_text())
    assert run["state"] == "finished"


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [r for r in TRAININGS if any("smoke" in f for f in r.value("gin_file"))],
    ids=ids,
)
def test_smoke_configs_run_as_their_headers_say(recipe, home):
    type_in(home, "train", recipe.words, *settings(["NUM_STEPS = 2"]))


@pytest.mark.slow
def test_own_footage_is_decomposed_as_the_page_says(home):
    film(home / "clip.mp4", frames=8)
    film(home / "fish.mp4")
    pages = ("README.md", "docs/decompose.md")
    predictions = [w for page in pages for w in of_place(page, "predict")]
    assert len(predictions) >= 2
    for words in predictions:
        # The same folder twice is a second prediction.
        type_in(home, "predict", words, "--overwrite")
        record = json.loads((home / "out" / "prediction.json").read_text())
        assert record["state"] == "finished"


@pytest.mark.slow
def test_many_videos_are_predicted_as_the_page_says(home):
    (home / "videos").mkdir()
    for name in "ab":
        film(home / "videos" / f"{name}.mp4")
    many = [
        words
        for words in of_place("docs/your_video.md", "predict")
        if any(word.startswith("--workers") for word in words)
    ]
    assert many
    for words in many:
        assert "wrote 2 videos" in type_in(home, "predict", words)
        assert (home / "tracks" / "b" / "tracks.csv").is_file()


@pytest.mark.slow
def test_train_evaluate_export_measure_as_the_page_says(home):
    block = next(
        block
        for block in re.findall(
            r"^```\w*\n(.*?)^```",
            (ROOT / "docs" / "train.md").read_text(),
            re.M | re.S,
        )
        if "tfdecomp.benchmark" in block
    )
    # The published setting takes days, its data an hour.
    block = block.replace("gin/provide.gin", "gin/smoke/provide.gin")
    block = block.replace("/color4\n", "/color4_tiny\n")
    more = {"evaluate": ["--num_clips=2"]}
    for line in joined(block.splitlines()):
        ((command, words),) = commands_of(line)
        type_in(home, command, words, *more.get(command, []))
    assert (home / "models" / "provide" / "saved_model.pb").is_file()
    assert json.loads((home / "speed.json").read_text())
