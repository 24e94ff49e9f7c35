"""Trainings of one config with several seeds and values, and their table."""

import ast
import dataclasses
import itertools
import json
import os
import pathlib
import re
import sys
import time
from typing import Any

from tfdecomp.jobs import cluster, leash, pool
from tfdecomp.prediction.files import folder as folder_lib

RECORD_NAME = "sweep.json"
SCORES_NAME = "scores.json"
_MOST_RUNS = 10_000
# Exit status of what was asked to stop: a training, and what ended at once.
_STOPPED, _TERMINATED = 130, 128 + 15


@dataclasses.dataclass(frozen=True)
class Run:
    """One training of a sweep.

    Attributes:
        setting: Name of its values, such as `NUM_SLOTS=4`; "" without a grid.
        seed: Its seed.
        bindings: What the grid binds, as `--gin_param` takes it.
    """

    setting: str
    seed: int
    bindings: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Path of its work directory in that of the sweep."""
        name = re.sub(r"[^\w.=,-]+", "_", self.setting)
        return os.path.join(name, f"seed_{self.seed}")


def parse_seeds(text: str) -> list[int]:
    """`"0:5"` -> 0 to 4; `"1,3"` -> 1 and 3.

    Args:
        text: A range without its end, or numbers.

    Raises:
        ValueError: If it is neither, or names a seed twice.
    """
    try:
        if ":" in text:
            first, end = (int(part) for part in text.split(":"))
            found = list(range(first, end))
        else:
            found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 0 or len(set(found)) < len(found):
        raise ValueError(
            f"--seeds is a range such as 0:5 or numbers such as 1,3,7, got "
            f"{text!r}"
        )
    return found


def parse_grid(text: str) -> tuple[str, list[Any]]:
    """`"NUM_SLOTS = 4, 5"` -> `("NUM_SLOTS", [4, 5])`.

    Args:
        text: A name of the config and its values, which are literals.

    Raises:
        ValueError: If it is not that.
    """
    name, equals, values = text.partition("=")
    try:
        found = list(ast.literal_eval(f"[{values}]"))
    except (ValueError, SyntaxError):
        found = []
    if not equals or not name.strip() or not found:
        raise ValueError(
            "--grid is a name and its values, such as 'NUM_SLOTS = 4, 5' or "
            f'\'DATASET = "a", "b"\', got {text!r}'
        )
    return name.strip(), found


def runs(seeds, grid) -> list[Run]:
    """All runs: each combination of values with each seed.

    Args:
        seeds: Integers.
        grid: Pairs of a name and its values.

    Raises:
        ValueError: If a name is given twice, or there are too many runs.
    """
    names = [name for name, _ in grid]
    if len(set(names)) < len(names):
        raise ValueError(f"--grid names something twice: {', '.join(names)}")
    found = []
    for values in itertools.product(*(values for _, values in grid)):
        bound = list(zip(names, values, strict=True))
        setting = ",".join(f"{n.rpartition('.')[2]}={v}" for n, v in bound)
        bindings = tuple(f"{name} = {value!r}" for name, value in bound)
        found += [Run(setting, seed, bindings) for seed in seeds]
        if len(found) > _MOST_RUNS:
            raise ValueError(f"these are more than {_MOST_RUNS} runs")
    if len({run.folder for run in found}) < len(found):
        raise ValueError(
            "two runs of the grid would have one work directory; give values "
            "whose names differ"
        )
    return found


def sweep(
    planned,
    train_flags,
    evaluate_flags,
    output,
    num_workers=1,
    on_run=None,
    should_stop=None,
    scheduler=None,
) -> list[dict[str, Any]]:
    """Trains and scores all runs; those that are done already stay.

    Args:
        planned: `Run`s.
        train_flags: What all give to `tfdecomp.train`.
        evaluate_flags: What all give to `tfdecomp.evaluate`.
        output: Folder of the work directories and of `sweep.json`.
        num_workers: Runs at the same time.
        on_run: Called with the numbers of runs done and of all.
        should_stop: Asked often; true stops the trainings, which save first.
        scheduler: Address of a Dask scheduler whose workers do it in place of
            processes of this machine; they share all folders.

    Returns:
        For each run `setting`, `seed`, `workdir`, `state` (`finished`,
        `stopped` or `failed`), `scores`, `minutes` and `error`.

    Raises:
        ValueError: If there is not at least one worker.
        OSError: If the scheduler is not there.
    """
    output = pathlib.Path(os.path.expanduser(output)).absolute()
    output.mkdir(parents=True, exist_ok=True)
    found = {run: _row(run, output, {"state": "stopped"}) for run in planned}
    tasks = [(run, output, train_flags, evaluate_flags) for run in planned]
    work = "tfdecomp.jobs.seeds:train_one"
    if scheduler is None:
        jobs = pool.Pool(work, num_workers)
    else:
        jobs = cluster.Cluster(work, scheduler, output)
    for done, outcome in enumerate(jobs.run(tasks, should_stop), start=1):
        run = outcome.argument[0]
        failed = {"state": "failed", "error": outcome.error}
        found[run] = _row(run, output, outcome.value or failed)
        if on_run:
            on_run(done, len(planned))
    rows = list(found.values())
    folder_lib.write_text(output / RECORD_NAME, json.dumps(rows, indent=2))
    return rows


def train_one(argument, should_stop) -> dict[str, Any]:
    """Trains and scores one run, each in a process of its own.

    Args:
        argument: `(run, output, train_flags, evaluate_flags)`.
        should_stop: Says whether to leave.

    Raises:
        RuntimeError: If the training or the evaluation fails, with the last
            line that it printed; all of them are in `log.txt`.
    """
    run, output, train_flags, evaluate_flags = argument
    workdir = output / run.folder
    workdir.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    bindings = [f"--gin_param={binding}" for binding in run.bindings]
    flags = [*train_flags, *bindings, f"--seed={run.seed}"]
    if not _call(
        "train", [*flags, f"--workdir={workdir}"], workdir, should_stop
    ):
        return {"state": "stopped"}
    minutes = (time.monotonic() - start) / 60
    scores = workdir / SCORES_NAME
    if not scores.is_file():
        given = [*evaluate_flags, f"--workdir={workdir}", f"--output={scores}"]
        if not _call("evaluate", given, workdir, should_stop):
            return {"state": "stopped"}
    read = json.loads(scores.read_text(encoding="utf-8"))
    return {
        "state": "finished",
        "scores": {k: v for k, v in read.items() if isinstance(v, float)},
        "minutes": round(minutes, 2),
    }


def table(rows, metric, least=None) -> str:
    """Mean, deviation and success of each setting, in Markdown.

    Args:
        rows: From `sweep`.
        metric: Which score, such as `f_ari`.
        least: A run with at least so much has learned; None: no such column.

    Raises:
        ValueError: If no run has that score.
    """
    known = sorted({name for row in rows for name in row["scores"]})
    if known and metric not in known:
        raise ValueError(
            f"no run has a score {metric!r}; there are {', '.join(known)}"
        )
    from tfdecomp.evaluation import tables  # loads TensorFlow

    head = ["setting", "runs", metric]
    head += [f"{metric} ≥ {least:g}"] if least is not None else []
    lines = []
    for setting, group in _settings(rows).items():
        values = [row["scores"].get(metric) for row in group]
        cells = [setting or "as it is", str(len(group)), tables.mean(values)]
        if least is not None:
            learned = sum(v is not None and v >= least for v in values)
            cells.append(f"{learned} of {len(group)}")
        lost = [row for row in group if row["state"] == "failed"]
        cells.append(", ".join(f"seed {r['seed']}" for r in lost) or "none")
        lines.append(cells)
    return tables.render([*head, "failed"], lines)


def _settings(rows):
    groups = {}
    for row in rows:
        groups.setdefault(row["setting"], []).append(row)
    return groups


def _row(run, output, value):
    return {
        "setting": run.setting,
        "seed": run.seed,
        "workdir": str(output / run.folder),
        "state": value["state"],
        "scores": value.get("scores", {}),
        "minutes": value.get("minutes"),
        "error": value.get("error"),
    }


def _call(command, flags, workdir, should_stop):
    """Whether one of our commands came to its end, and was not stopped."""
    program = [sys.executable, "-m", f"tfdecomp.{command}", *flags]
    log = workdir / "log.txt"
    with open(log, "a", encoding="utf-8") as file:
        begin = file.tell()
        # On a leash: whoever is given the run next must find nobody at work.
        with leash.start(program, stdout=file, stderr=file) as process:
            while process.poll() is None:
                if should_stop():
                    process.terminate()
                    process.wait()
                    break
                time.sleep(0.2)
    if process.returncode == 0:
        return True
    if process.returncode in (_STOPPED, _TERMINATED) and should_stop():
        return False
    with open(log, "rb") as file:
        file.seek(begin)
        said = file.read().decode("utf-8", "replace").splitlines()
    said = [line for line in said if line.strip()] or ["it said nothing"]
    errors = [line for line in said if line.startswith("error: ")] or said
    last = errors[-1].removeprefix("error: ")
    raise RuntimeError(f"{command}: {last} (all of it: {log})")
