"""Results -> Markdown tables with mean, standard deviation and seeds."""

import fnmatch
import statistics

from tfdecomp.data import naming
from tfdecomp.evaluation import published

SCORES = {"ari": "ARI", "f_ari": "F-ARI", "mse": "MSE"}
OTHER_SCORES = {**SCORES, "velocity_cosine": "velocity cosine"}


class TableError(ValueError):
    """Results that do not go into one table; says why."""


def select(results, protocol=None) -> list[dict]:
    """The results of one protocol, the newest of each run.

    Args:
        results: What `results.read` returned, of any number of files.
        protocol: Name of the protocol; by default the only one there is.

    Raises:
        TableError: If there is none, or results of different protocols would
            be mixed.
    """
    names = sorted({r["protocol"]["name"] for r in results})
    if protocol is None:
        if len(names) != 1:
            raise TableError(
                f"the results are of the protocols {', '.join(names) or 'none'}"
                ", and one table holds one; choose it with --protocol"
            )
        protocol = names[0]
    chosen = [r for r in results if r["protocol"]["name"] == protocol]
    if not chosen:
        raise TableError(
            f"there are no results of protocol {protocol!r}, only of "
            f"{', '.join(names) or 'none'}"
        )
    newest = {}
    for result in chosen:  # in order of their files, later ones are newer
        newest[_run_of(result)] = result
    chosen = list(newest.values())
    for result in chosen[1:]:
        _check_same(chosen[0]["protocol"], result["protocol"])
    return chosen


def markdown(results, protocol=None) -> str:
    """The table of one protocol, the paper's rows beside ours.

    Args:
        results: What `results.read` returned, of any number of files.
        protocol: Name of the protocol; by default the only one there is.

    Returns:
        A title and a Markdown table. Runs that differ in their seed alone
        share a row.

    Raises:
        TableError: See `select`.
    """
    chosen = select(results, protocol)
    name = chosen[0]["protocol"]["name"]
    table = published.TABLES.get(name)
    rows = _own_rows(chosen, table)
    if table is None:
        return _plain(name, rows, _protocol_line(chosen[0]))
    ours = {row["data"] for row in rows}
    lines = []
    for data in dict.fromkeys([r.data for r in table.rows] + sorted(ours)):
        if data in ours:
            lines += [
                _published_cells(r, table) for r in table.rows if r.data == data
            ]
            lines += [
                _own_cells(r, table.columns, SCORES)
                for r in rows
                if r["data"] == data
            ]
    columns = [
        f"{title} {column}".strip()
        for title in SCORES.values()
        for column in table.columns
    ]
    title = f"{table.title} ({name}; {_protocol_line(chosen[0])})"
    head = ["data", "model", *columns, "clips", "seeds"]
    return f"{title}\n\n{render(head, lines)}"


def _own_rows(results, table):
    """Groups results that differ in seed alone; a row per dataset."""
    groups = {}
    for result in results:
        run = result.get("run") or {}
        key = (result["model"], result.get("trained_on"), run.get("config"))
        groups.setdefault(key, []).append(result)
    rows = []
    for (model, _, config), members in groups.items():
        per_data = {}
        for member in members:
            for condition in member.get("conditions") or [member]:
                data = _data_name(condition["dataset"], table)
                column = _column(condition, table)
                cell = per_data.setdefault(data, {})
                cell.setdefault(column, []).append(condition)
        rows += [
            {
                "data": data,
                "model": model,
                "config": config,
                "seeds": len(members),
                "cells": cells,
            }
            for data, cells in per_data.items()
        ]
    labels = [_label(row) for row in rows]
    for row, label in zip(rows, labels):
        row["label"] = label
        if labels.count(label) > 1 and row["config"]:
            row["label"] += f", config {row['config'][:8]}"
    return rows


def _label(row):
    """Names our model and, since sizes may differ, the very clips."""
    condition = next(iter(row["cells"].values()))[0]
    height, width = condition["image_size"]
    data = condition["dataset"].removeprefix(naming.PREFIX)
    return f"**{row['model']}, ours**, on {data} at {height}x{width}"


def _column(condition, table):
    if table is None:
        length = str(condition["num_frames"])
        predicted = condition.get("num_predicted")
        return f"{length} + {predicted}" if predicted else length
    if table.column_key is None:
        return ""
    return condition[table.column_key]


def _data_name(dataset, table):
    for pattern, name in (table.data_of if table else {}).items():
        if fnmatch.fnmatch(dataset, pattern):
            return name
    return dataset


def _plain(name, rows, protocol_line):
    """A table of a protocol that no paper has a table for."""
    columns = list(
        dict.fromkeys(column for row in rows for column in row["cells"])
    )
    shown = {
        key: title
        for key, title in OTHER_SCORES.items()
        if any(
            condition.get(key) is not None
            for row in rows
            for cell in row["cells"].values()
            for condition in cell
        )
    }
    head = ["data", "model"]
    head += [f"{t}, {c} frames" for t in shown.values() for c in columns]
    lines = [_own_cells(row, columns, shown) for row in rows]
    table = render([*head, "clips", "seeds"], lines)
    return f"Protocol {name} ({protocol_line})\n\n{table}"


def _published_cells(row, table):
    cells = [row.data, f"{row.model}, published"]
    for score in SCORES:
        values = row.scores[score]
        cells += [f"{v:.4f}" for v in values]
        # One number for all lengths stands in the first column.
        cells += [""] * (len(table.columns) - len(values))
    return [*cells, "", ""]


def _own_cells(row, columns, scores):
    cells = [row["data"], row["label"]]
    clips = set()
    for score in scores:
        for column in columns:
            conditions = row["cells"].get(column, [])
            clips |= {c["num_clips"] for c in conditions}
            cells.append(_mean(c.get(score) for c in conditions))
    return [*cells, "/".join(map(str, sorted(clips))), str(row["seeds"])]


def _mean(values):
    values = [v for v in values if v is not None]
    if not values:
        return "–"
    mean = f"{statistics.fmean(values):.4f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values):.4f}"


def render(head, lines) -> str:
    """A Markdown table of texts."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _run_of(result):
    """What tells two runs apart; a run evaluated twice counts once."""
    run = result.get("run") or {}
    return run.get("workdir"), result["model"], result.get("trained_on")


def _check_same(first, other):
    different = [
        f"{key}: {first.get(key)!r} and {other.get(key)!r}"
        for key in sorted({*first, *other})
        if first.get(key) != other.get(key)
    ]
    if different:
        raise TableError(
            "two numbers without the same protocol do not go into one table; "
            f"these results of {first['name']!r} differ in "
            f"{'; '.join(different)}. Evaluate again under one protocol"
        )


def _protocol_line(result):
    protocol = result["protocol"]
    parts = [f"{protocol['split']} split"]
    if protocol.get("fresh_seed") is not None:
        parts = [f"newly generated clips of seed {protocol['fresh_seed']}"]
    if protocol.get("num_slots"):
        parts.append(f"K = {protocol['num_slots']}")
    return ", ".join(parts)
