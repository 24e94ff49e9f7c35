"""A run and its scores become a line of a file of runs."""

import datetime
import json
import os
import pathlib
import shlex
import subprocess
import sys

from tfdecomp.evaluation import runs, settings
from tfdecomp.storage import configs
from tfdecomp.storage.catalogue import INFO_NAME
from tfdecomp.training import workdir
from tfdecomp.untrusted import model_files


def record(path, folder, result) -> pathlib.Path:
    """Writes a result as the line of its run; that of the same run goes.

    Args:
        path: A file of runs (`.jsonl`); see `evaluation.runs`.
        folder: A work directory, or a folder of weights.
        result: What `evaluation.runner.evaluate` returned, with its `run`.

    Raises:
        RunsError: If the file is no file of runs.
    """
    run = run_file(folder)
    info = {} if run else model_files.read_json(folder / INFO_NAME)
    command = run.get("command") or info.get("command")
    config, params = asked(command)
    line = runs.line_of(
        result,
        config=config,
        command=None if config else command or "unknown",
        params=params,
        seed=result["run"]["seed"],
        commit=run.get("commit"),
        weights=info.get("name"),
        step=result["run"]["step"],
        minutes=minutes(folder, run),
        restarts=run.get("restarts", 0),
        machine=run.get("machine"),
        scored_at=workdir.commit(),
    )
    kept = {
        name: value
        for name, value in line.items()
        if name in runs.REQUIRED or value not in (None, [])
    }
    return runs.record(path, kept)


def score_and_record(path, folder, data_dir=None) -> int:
    """Scores a run in a process of its own, and writes its line.

    The protocol is the one that `results/settings.json` has for the config,
    or else "default".

    Args:
        path: A file of runs (`.jsonl`).
        folder: The work directory.
        data_dir: Where prepared sets are; None: as TFDS has it.

    Returns:
        The exit status; 0 on a host that is not the first, which writes.
    """
    folder, environment = pathlib.Path(folder), dict(os.environ)
    hosts = json.loads(environment.pop("TF_CONFIG", "").strip() or "{}")
    task, has_chief = hosts.get("task", {}), "chief" in hosts.get("cluster", {})
    if task.get("index", 0) or (has_chief and task.get("type") != "chief"):
        return 0
    config, _ = asked(run_file(folder).get("command"))
    command = [sys.executable, "-m", "tfdecomp.evaluate"]
    command += [f"--workdir={folder}", f"--record={path}"]
    command += [f"--protocol={protocol_of(config)}"]
    command += [f"--data_dir={data_dir}"] if data_dir else []
    return subprocess.run(command, env=environment).returncode


def protocol_of(config) -> str:
    """Name of the protocol by which runs of a config are judged."""
    try:
        return settings.read()[config].protocol
    except (runs.RunsError, KeyError):  # no checkout, or a config of one's own
        return "default"


def asked(command) -> tuple[str | None, list[str]]:
    """The config and the bindings of a command line of `tfdecomp.train`.

    Args:
        command: As `run.json` has it; anything but a text is no command.

    Returns:
        `("gin/quick/provide.gin", ["NUM_SLOTS = 8"])`; of several files, all,
        with " + " between them; None where there is none.
    """
    values, last = {"gin_file": [], "gin_param": []}, None
    text = command if isinstance(command, str) else ""
    for word in _words(text):
        name, _, value = word.removeprefix("--").partition("=")
        if word.startswith("--"):
            last = name if name in values else None
            if last:
                values[last].append(value)
        elif last:  # the value after its flag, or a part that lost its quotes
            values[last][-1] = f"{values[last][-1]} {word}".strip()
    files = " + ".join(map(_config_name, values["gin_file"]))
    return files or None, values["gin_param"]


def _words(command):
    """The words of a command line; older `run.json` have no quotes."""
    try:
        return shlex.split(command)
    except ValueError:  # an apostrophe of a binding
        return command.split()


def _config_name(path):
    """`/a/checkout/gin/quick/provide.gin -> "gin/quick/provide.gin"`."""
    root = configs.root().resolve()
    try:
        found = configs.find(path).resolve()
    except configs.ConfigError:  # gone since
        return path
    if not found.is_relative_to(root):
        return path
    return f"gin/{found.relative_to(root).as_posix()}"


def minutes(folder, run) -> float | None:
    """Minutes that a run took: by the clock, evaluations among them.

    Of a run that was interrupted and resumed only the steps are known.

    Args:
        folder: The work directory.
        run: Its `run.json`.
    """
    if run.get("attempts") == 1 and run.get("state") == "finished":
        begin, end = (
            datetime.datetime.fromisoformat(run[name])
            for name in ("started", "updated")
        )
        return round((end - begin).total_seconds() / 60, 1)
    rows = workdir.History(folder / "train" / "scalars.jsonl", False).read()
    if not rows:
        return None
    given_up = sum(row["seconds"] for row in run.get("given_up", ()))
    return round((rows[-1]["seconds"] + given_up) / 60, 1)


def run_file(folder) -> dict:
    """The content of `run.json`; nothing where there is none."""
    try:
        return model_files.read_json(folder / workdir.RUN_NAME)
    except FileNotFoundError:
        return {}
