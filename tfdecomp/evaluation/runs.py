"""Runs as data: `results/*.jsonl`, a line of JSON for each run and protocol.

A line says what was run (`config`, `params`, `seed`, `commit`), what it was
scored on and how (`data`, `split`, `protocol`: what differs from the defaults
of `Protocol`), what came out (`scores`; `conditions` where there are several)
and what it took (`minutes` with all restarts, `restarts`, `machine`). What was
not run from a config has a `command` in its place. `results/README.md`
describes all fields.
"""

import dataclasses
import json
import os
import pathlib

from tfdecomp.data import naming
from tfdecomp.evaluation import results as results_lib
from tfdecomp.evaluation.protocol import Protocol

# Fields in the order in which a line has them; the first ones are required.
REQUIRED = (
    "config",
    "seed",
    "commit",
    "data",
    "protocol",
    "scores",
    "minutes",
    "restarts",
    "machine",
)
# What is known of the clips of a condition beside its scores.
ABOUT = (
    "split",
    "num_clips",
    "num_frames",
    "num_predicted",
    "image_size",
    "num_slots",
    "num_refinements",
    "bound_samples",
    "mi_pairs",
    "mi_shape",
    "mi_partitions",
    "by_objects",
)
_ORDER = (
    "config",
    "command",
    "params",
    "seed",
    "commit",
    "model",
    "weights",
    "trained_on",
    "step",
    "data",
    *ABOUT,
    "protocol",
    "scores",
    "conditions",
    "minutes",
    "restarts",
    "machine",
    "created",
    "scored_at",
    "digits",
    "source",
    "note",
)
_DIGITS = 6
_COSTS = ("commit", "minutes", "machine", "note")
_LEFT_OUT = ("seconds", "velocity_pairs")


class RunsError(ValueError):
    """A file of runs that cannot be used; says what to do."""


def root() -> pathlib.Path:
    """The folder `results/` of the checkout.

    Raises:
        RunsError: If this is no checkout, as in an installed package.
    """
    top = pathlib.Path(__file__).resolve().parents[2]
    if not ((top / "setup.cfg").is_file() and (top / "results").is_dir()):
        raise RunsError(
            f"there is no folder of results beside the package, at {top}; "
            "what was measured is in the repository: work in a checkout, or "
            "name your own results with --results"
        )
    return top / "results"


def read(path=None) -> list[dict]:
    """All lines of a file, or of a folder's files in order of their names.

    Args:
        path: A `.jsonl` file or a folder; by default `root()`.

    Raises:
        RunsError: If a line is not that of a run.
    """
    path = root() if path is None else pathlib.Path(os.path.expanduser(path))
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    return [line for file in files for line in _read_file(file)]


def record(path, line) -> pathlib.Path:
    """Writes a run's line into a file; that of the same run is replaced.

    The file is either as before or complete, and of two processes that record
    at once neither is lost.

    Args:
        path: The `.jsonl` file; made if missing.
        line: From `line_of`, or made by hand.

    Raises:
        RunsError: If the line or the file is not as described above.
    """
    path = pathlib.Path(os.path.expanduser(path))
    check(line, "the new line")
    check_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with results_lib.locked(path.parent):
        lines = _read_file(path) if path.exists() else []
        same = [identity(other) == identity(line) for other in lines]
        if any(same):
            place = same.index(True)
            lines[place] = _with_costs(line, lines[place])
        else:
            lines.append(line)
        text = "".join(as_text(line) + "\n" for line in lines)
        return results_lib.write_text(path, text)


def check_file(path):
    """Raises an error if no line can be written into a file.

    Args:
        path: The file; it need not exist.
    """
    path = pathlib.Path(os.path.expanduser(path))
    if path.suffix != ".jsonl":
        raise RunsError(
            f"runs are recorded in files of lines of JSON; name {path} "
            f"{path.stem}.jsonl"
        )
    if path.exists():
        _read_file(path)


def identity(line) -> tuple:
    """What two lines of the same run have in common.

    The commit and the weights' step are not in it: a run that is repeated on
    newer code takes the place of the old one, which the history keeps.
    """
    protocol = line["protocol"]
    return (
        line["config"] or line.get("command"),
        tuple(line.get("params", ())),
        line["seed"],
        line["data"],
        line.get("split", Protocol.split),
        protocol["name"],
        protocol.get("fresh_seed"),
        protocol.get("num_clips"),
    )


def line_of(result, **about) -> dict:
    """The line of a result.

    Args:
        result: What `runner.evaluate` returned.
        **about: Further fields, see `results/README.md`: at least `config` (or
            `command`), `seed`, `commit`, `minutes`, `restarts` and `machine`.
    """
    whole = _condition(result)
    parts = [_condition(part) for part in result.get("conditions", ())]
    line = {
        "model": result.get("class", result["model"]),
        "trained_on": result.get("trained_on"),
        "created": result.get("created"),
        "protocol": _changed(result["protocol"]),
        **whole,
        **({"conditions": parts} if len(parts) > 1 else {}),
        **about,
    }
    return {name: line[name] for name in _ORDER if name in line}


def as_result(line) -> dict:
    """A line in the form of `runner.evaluate`, for tables beside papers."""
    parts = [_scored(part) for part in line.get("conditions", ())]
    kind = line.get("model") or "?"
    return {
        "model": kind,
        "class": kind,
        "trained_on": line.get("trained_on"),
        "protocol": {"rules": {}, **_defaults(), **line["protocol"]},
        **_scored(line),
        **({"conditions": parts} if parts else {}),
        "run": {
            "workdir": json.dumps(identity(line)),
            "seed": line["seed"],
            "config": line["config"],
            "gin_file": line["config"],
        },
    }


def conditions(line) -> list[dict]:
    """The scored conditions of a line, each with `data` and `scores`."""
    return line.get("conditions") or [line]


def is_fresh(line) -> bool:
    """Whether a line's clips were generated anew, not read from a set."""
    return line["protocol"].get("fresh_seed") is not None


def check(line, where):
    """Raises an error unless a line has the fields of a run.

    Args:
        line: What JSON gave.
        where: What to call it in the message.
    """
    if not isinstance(line, dict):
        raise RunsError(f"{where} is no JSON object; expected that of a run")
    missing = [name for name in REQUIRED if name not in line]
    unknown = sorted({*line} - {*_ORDER})
    if missing or unknown:
        problem = f"lacks {', '.join(missing)}" if missing else ""
        problem += " and " * bool(missing and unknown)
        problem += f"has unknown {', '.join(unknown)}" if unknown else ""
        raise RunsError(
            f"{where} {problem}; results/README.md lists the fields of a run"
        )
    if not (line["config"] or line.get("command")):
        raise RunsError(
            f"{where} has neither a config nor a command; say what was run"
        )
    if not isinstance(line["protocol"], dict) or "name" not in line["protocol"]:
        raise RunsError(
            f"{where} has the protocol {line['protocol']!r}; expected an "
            'object with its name, such as {"name": "default"}'
        )
    unknown = sorted({*line["protocol"]} - {*_defaults()})
    if unknown:
        raise RunsError(
            f"{where}: a protocol has no {', '.join(unknown)}; it has "
            f"{', '.join(_defaults())}"
        )


def as_text(line) -> str:
    """A line as it stands in a file, without its end."""
    ordered = {name: line[name] for name in _ORDER if name in line}
    return json.dumps(ordered, ensure_ascii=False, allow_nan=False)


def _with_costs(line, old):
    """A new line with what the old one of the same weights knew of the run.

    Weights that ship do not say what they cost.
    """
    names = ("weights", "step")
    if any(line.get(name) != old.get(name) for name in names):
        return line
    known = {name: old[name] for name in _COSTS if name in old}
    return line | {n: v for n, v in known.items() if line.get(n) is None}


def _read_file(path):
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise RunsError(
            f"there are no runs at {path}; record one with 'python -m "
            f"tfdecomp.evaluate --workdir=DIR --record={path}'"
        ) from None
    lines = []
    for number, text in enumerate(texts, 1):
        where = f"line {number} of {path}"
        try:
            lines.append(json.loads(text))
        except ValueError as error:
            raise RunsError(
                f"{where} is not JSON ({error}); restore it, or take it out"
            ) from error
        check(lines[-1], where)
    return lines


def _condition(result):
    """The scores of a result or a condition, and what they are of."""
    found = {
        name: value
        for name, value in result.items()
        if name in ABOUT and name != "by_objects"
    }
    found["data"] = result["dataset"]
    found["scores"] = {
        name: _rounded(value)
        for name, value in result.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and name not in (*ABOUT, *_LEFT_OUT)
    }
    if "by_objects" in result:
        found["by_objects"] = {
            number: {
                name: _rounded(value)
                for name, value in scores.items()
                if isinstance(value, int | float)
            }
            for number, scores in result["by_objects"].items()
        }
    order = ("data", *ABOUT, "scores")
    return {name: found[name] for name in order if name in found}


def _scored(condition):
    """A condition of a line as an evaluation has it."""
    found = {name: condition[name] for name in ABOUT if name in condition}
    defaults = {
        "split": Protocol.split,
        "num_predicted": Protocol.num_predicted,
        "num_frames": 1,
    }
    data = naming.full_name(condition["data"])
    return {**defaults, **found, "dataset": data, **condition["scores"]}


def _changed(protocol):
    """What of a described protocol is not the default, its name first."""
    defaults = _defaults()
    changed = {
        name: value
        for name, value in protocol.items()
        if name in defaults and value != defaults[name]
    }
    return {"name": protocol["name"], **changed}


def _defaults():
    return dataclasses.asdict(Protocol()) | {"conditions": []}


def _rounded(value):
    return value if isinstance(value, int) else round(value, _DIGITS)
