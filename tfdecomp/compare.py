"""Scores several models under one protocol and prints them in one table.

    python -m tfdecomp.compare --model=provide_balls_quick \
        --model=iodine_balls_quick --model=seq_iodine_balls_quick
    python -m tfdecomp.compare --gin_file=gin/quick/provide.gin \
        --gin_file=gin/quick/iodine_balls.gin
    python -m tfdecomp.compare --workdir=~/runs/lavae --workdir=~/runs/vae \
        --protocol=lavae

Models are named, or trained first: the run of each config is in
~/runs/, where `python -m tfdecomp.train` leaves it, and goes on if it is not
finished. Each is trained and scored in a process of its own. Below the scores a
second table has what else differs between the models: latents, networks that
draw, length of training.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from absl import app, flags

from tfdecomp.console import commands

_MODEL = flags.DEFINE_multi_string(
    "model", [], "A shipped model or its folder; may be given often."
)
_WORKDIR = flags.DEFINE_multi_string(
    "workdir", [], "A work directory of a run; may be given often."
)
_GIN_FILE = flags.DEFINE_multi_string(
    "gin_file", [], "A config to train with first; may be given often."
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the trainings.")
_PROTOCOL = flags.DEFINE_string(
    "protocol",
    "table1_quick",
    "What is counted: a name in gin/evaluation/, or a .gin file.",
)
_NUM_CLIPS = flags.DEFINE_integer(
    "num_clips", None, "Clips to score. By default all.", lower_bound=1
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "File to write the table to; by default it is printed."
)
_TRUST_CONFIG = flags.DEFINE_boolean(
    "trust_config", False, commands.TRUST_CONFIG
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where prepared datasets are. By default, as TFDS."
)


def main(argv):
    commands.refuse_words(argv)
    return commands.finish(_compare)


def _compare():
    from tfdecomp.evaluation import results, tables

    subjects = [f"--model={name}" for name in _MODEL.value]
    subjects += [f"--workdir={folder}" for folder in _WORKDIR.value]
    if not subjects and not _GIN_FILE.value:
        raise ValueError(
            "there is nothing to compare: give --model, --workdir or "
            "--gin_file, each as often as you like"
        )
    subjects += [f"--workdir={_train(path)}" for path in _GIN_FILE.value]
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for number, subject in enumerate(subjects):
            path = pathlib.Path(folder) / f"{number}.json"
            found.append(_evaluate(subject, path))
    text = tables.markdown(found, found[0]["protocol"]["name"])
    text += "\n" + tables.differences(dict(map(_setup, subjects, found)))
    if _OUTPUT.value:
        results.write_text(_OUTPUT.value, text)
    else:
        print(text, end="")


def _setup(subject, result):
    """The name of a model in the table, and what else it is made of."""
    from tfdecomp.storage import configs, model_info, saving
    from tfdecomp.untrusted import model_files

    kind, _, name = subject.partition("=")
    is_run = kind == "--workdir"
    folder = commands.model_folder(*((name, None) if is_run else (None, name)))
    content = model_files.read_json(folder / saving.MODEL_NAME)
    model_files.check_model(folder / saving.MODEL_NAME, content)
    config = configs.saved(folder) or ""
    label = result["model"]
    if is_run:
        label += f" ({folder.name})"
    return label, model_info.setup(content["model"], config)


def _train(gin_file):
    """The work directory of the finished run of a config."""
    workdir = commands.default_workdir(gin_file, _SEED.value)
    workdir = os.path.expanduser(workdir)
    flags_ = [f"--gin_file={gin_file}", f"--workdir={workdir}"]
    _run("train", [*flags_, f"--seed={_SEED.value}"])
    return workdir


def _evaluate(subject, path):
    """The result of one model as `evaluate` writes it."""
    options = [subject, f"--protocol={_PROTOCOL.value}", f"--output={path}"]
    if _TRUST_CONFIG.value:
        options.append("--trust_config")
    if _NUM_CLIPS.value:
        options.append(f"--num_clips={_NUM_CLIPS.value}")
    _run("evaluate", options)
    return json.loads(path.read_text())


def _run(command, options):
    """Runs one of our commands; its error becomes ours."""
    if _DATA_DIR.value:
        options = [*options, f"--data_dir={_DATA_DIR.value}"]
    program = [sys.executable, "-m", f"tfdecomp.{command}", *options]
    done = subprocess.run(program, check=False)
    if done.returncode:
        raise RuntimeError(
            f"{command} {' '.join(options)} ended with exit code "
            f"{done.returncode}; what it printed says why"
        )


def run():
    """Entry point of the console command."""
    app.run(main)


if __name__ == "__main__":
    run()
