"""Results -> Markdown tables with mean, standard deviation and seeds."""

import dataclasses
import fnmatch
import pathlib
import statistics

from tfdecomp.data import naming
from tfdecomp.evaluation import published
from tfdecomp.evaluation.protocol import Protocol

SCORES = {"ari": "ARI", "f_ari": "F-ARI", "mse": "MSE"}
OTHER_SCORES = {
    **SCORES,
    "mse_copied": "MSE, copied",
    "apart": "clips apart",
    "velocity_cosine": "velocity cosine",
    "count_accuracy": "count accuracy",
    "count_error": "count error",
    "location_accuracy": "location accuracy",
    "box_miou": "box mIoU",
    "mota": "MOTA",
    "motp": "MOTP",
    "id_switches": "ID switches",
    "idf1": "IDF1",
    "hota": "HOTA",
    "ap": "AP",
    "nll_bound": "-log p(x) ≤ (nats)",
    "mi_same": "same-factor MI (bits)",
    "mi_cross": "cross-factor MI (bits)",
    "elbo": "ELBO (nats per frame)",
}
# Factor, digits and unit of a number as it is printed.
STYLES = {
    "number": (1, 4, ""),
    "nats": (1, 2, ""),
    "bits": (1, 2, ""),
    "percent": (100, 2, " %"),
}


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
        return _plain(name, rows, _protocol_line(chosen))
    ours = {row["data"] for row in rows}
    shown = [data for data in _all_data(table, rows) if data in ours]
    title = f"{table.title} ({name}; {_protocol_line(chosen)})"
    return f"{title}\n\n{_beside(table, rows, shown)}"


def published_markdown(name, results=()) -> str:
    """A paper's whole table, with our results of its protocol among the rows.

    Args:
        name: The protocol, a name in `published.TABLES`.
        results: What `results.read` returned, of any number of files; those
            of other protocols are left out.

    Raises:
        TableError: If no paper has such a table; and see `select`.
    """
    table = published.TABLES.get(name)
    if table is None:
        raise TableError(
            f"no paper has a table for the protocol {name!r}; there are "
            f"{', '.join(published.TABLES)}"
        )
    own = [r for r in results if r["protocol"]["name"] == name]
    rows = _own_rows(select(own, name), table) if own else []
    text = _beside(table, rows, _all_data(table, rows))
    return f"{table.title} ({name})\n\n{text}"


def _all_data(table, rows):
    """Names of the paper's data, then of ours that it does not have."""
    ours = {row["data"] for row in rows}
    return dict.fromkeys([r.data for r in table.rows] + sorted(ours))


def _beside(table, rows, names):
    """The paper's rows and ours on these data, as Markdown."""
    headings = table.headings or _headings(SCORES, table.columns)
    lines = [
        line
        for data in names
        for line in _lines_of(data, table, rows, headings)
    ]
    return _render_scores(headings, lines)


def differences(setups) -> str:
    """In what models differ that is not their method, as Markdown.

    Args:
        setups: Name of a model -> its settings as texts, by their names.

    Returns:
        A sentence, and a table of the settings that are not the same for all.
    """
    names = dict.fromkeys(name for own in setups.values() for name in own)
    lines = []
    for name in names:
        values = [own.get(name, "–") for own in setups.values()]
        if len(set(values)) > 1:
            lines.append([name, *values])
    if len(setups) < 2:
        return ""
    if not lines:
        return "The models have the same latents, decoders and trainings.\n"
    head = "The models differ in more than their method:"
    return f"{head}\n\n{render(['', *setups], lines)}"


def _lines_of(data, table, rows, headings):
    """A dataset's published rows, each with ours of the same model below it.

    Models of ours that the paper does not have come last.
    """
    lines, left = [], [r for r in rows if r["data"] == data]
    for paper in table.rows:
        if paper.data != data:
            continue
        lines.append(_published_cells(paper, table.columns, headings))
        same = [r for r in left if _is_of(r, paper.model, table)]
        left = [r for r in left if r not in same]
        lines += [_own_cells(r, headings) for r in same]
    return lines + [_own_cells(r, headings) for r in left]


def _is_of(row, model, table):
    """Whether a row of ours is of a paper's model."""
    for pattern, name in table.model_of.items():
        if fnmatch.fnmatch(row["gin_file"] or "", pattern):
            return name == model
    return _kind(row) == published.OURS.get(model, model)


def _headings(scores, columns):
    """Every score in every column."""
    return [
        published.Heading(score, column, f"{title} {column}".strip())
        for score, title in scores.items()
        for column in columns
    ]


def _render_scores(headings, lines):
    titles = [heading.title for heading in headings]
    return render(["data", "model", *titles, "clips", "seeds"], lines)


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
            split = member["protocol"]["split"]
            for condition in member.get("conditions") or [member]:
                data = _data_name(condition["dataset"], table)
                column = _column(condition, table, split)
                cell = per_data.setdefault(data, {})
                cell.setdefault(column, []).append(condition)
        rows += [
            {
                "data": data,
                "model": model,
                "class": members[0].get("class", model),
                "config": config,
                "gin_file": (members[0].get("run") or {}).get("gin_file"),
                "seeds": len(members),
                "cells": cells,
            }
            for data, cells in per_data.items()
        ]
    labels = [_label(row) for row in rows]
    for row, label in zip(rows, labels):
        row["label"] = label
        if labels.count(label) > 1 and row["config"]:
            row["label"] += f", config {config_name(row['config'])}"
    return rows


def config_name(config) -> str:
    """What tells configs apart: a file's name, or the start of a checksum.

    Args:
        config: Path of the file, or checksum of its text.
    """
    is_file = str(config).endswith(".gin")
    return pathlib.PurePosixPath(config).stem if is_file else config[:8]


def _label(row):
    """Names our model and, since sizes may differ, the very clips."""
    condition = next(iter(row["cells"].values()))[0]
    height, width = condition["image_size"]
    data = condition["dataset"].removeprefix(naming.PREFIX)
    latents = ""
    if "mi_shape" in condition:  # the estimate depends on it
        count, size = condition["mi_shape"]
        latents = f", {count} x {size} latents"
    is_class = row["model"] == row["class"]  # a published model has a name
    model = _kind(row) if is_class else row["model"]
    return f"**{model}, ours**{latents}, on {data} at {height}x{width}"


def _kind(row):
    """Our model's class, told apart from one without factors."""
    condition = next(iter(row["cells"].values()))[0]
    return row["class"] + " entangled" * ("mi_partitions" in condition)


def _column(condition, table, split):
    """What tells a condition's column apart; `split` is the protocol's."""
    if table is None:
        column = str(condition["num_frames"])
        if condition.get("num_predicted"):
            column += f" + {condition['num_predicted']}"
        other = condition.get("split", split)
        return f"{column} frames" + (f" of {other}" if other != split else "")
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
    shown = {score: f"{title}," for score, title in shown.items()}
    headings = _headings(shown, columns)
    lines = [_own_cells(row, headings) for row in rows]
    table = _render_scores(headings, lines)
    return f"Protocol {name} ({protocol_line})\n\n{table}"


def _published_cells(row, columns, headings):
    cells = [row.data, f"{row.model}, published"]
    for heading in headings:
        # One number for all lengths stands in the first column.
        values = dict(zip(columns, row.scores.get(heading.score, ())))
        value = values.get(heading.column, "")
        is_text = isinstance(value, str)
        cells.append(value if is_text else mean([value], heading.style))
    return [*cells, "", ""]


def _own_cells(row, headings):
    cells = [row["data"], row["label"]]
    clips = set()
    for heading in headings:
        conditions = row["cells"].get(heading.column, [])
        clips |= {c["num_clips"] for c in conditions}
        values = [c.get(heading.score) for c in conditions]
        cells.append(mean(values, heading.style))
    return [*cells, "/".join(map(str, sorted(clips))), str(row["seeds"])]


def mean(values, style="number") -> str:
    """Mean and, of several, standard deviation, as it is printed.

    Args:
        values: Numbers; None is left out.
        style: One of `STYLES`.
    """
    values = [v for v in values if v is not None]
    if not values:
        return "–"
    factor, digits, unit = STYLES[style]
    text = f"{factor * statistics.fmean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ± {factor * statistics.stdev(values):.{digits}f}"
    return text + unit


def render(head, lines) -> str:
    """A Markdown table of texts."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _run_of(result):
    """What tells two runs apart; a run evaluated twice counts once."""
    run = result.get("run") or {}
    return run.get("workdir"), result["model"], result.get("trained_on")


def _check_same(first, other):
    # Results from before a field was there had what is now its default.
    fields = {f.name: f.default for f in dataclasses.fields(Protocol)}
    first, other = fields | first, fields | other
    different = [
        f"{key}: {first.get(key)!r} and {other.get(key)!r}"
        for key in sorted({*first, *other} - {"rules"})
        if first.get(key) != other.get(key)
    ]
    # Rules that an older result does not know are of scores it has not.
    rules, others = first.get("rules", {}), other.get("rules", {})
    different += [
        f"rule of {key}: {rules[key]!r} and {others[key]!r}"
        for key in sorted({*rules} & {*others})
        if rules[key] != others[key]
    ]
    if different:
        raise TableError(
            "two numbers without the same protocol do not go into one table; "
            f"these results of {first['name']!r} differ in "
            f"{'; '.join(different)}. Evaluate again under one protocol"
        )


def _protocol_line(results):
    protocol = results[0]["protocol"]
    splits = [protocol["split"]]
    splits += [c.get("split") or splits[0] for c in protocol["conditions"]]
    splits = list(dict.fromkeys(splits))
    parts = [" and ".join(splits) + " split" + "s" * (len(splits) > 1)]
    if protocol.get("fresh_seed") is not None:
        parts = [f"newly generated clips of seed {protocol['fresh_seed']}"]
    if protocol.get("num_slots"):
        parts.append(f"K = {protocol['num_slots']}")
    if protocol.get("bound_samples"):
        parts.append(f"{protocol['bound_samples']} samples for the bound")
    conditions = [c for r in results for c in r.get("conditions") or [r]]
    pairs = {c["mi_pairs"] for c in conditions if "mi_pairs" in c}
    if pairs:
        numbers = " and ".join(map(str, sorted(pairs)))
        parts.append(f"mutual information from {numbers} pairs of frames")
    return ", ".join(parts)
