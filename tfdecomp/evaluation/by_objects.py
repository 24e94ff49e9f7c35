"""Scores of tracks against the number of objects, for each system."""

import fnmatch
import os
import pathlib
import statistics

import numpy as np

from tfdecomp.data import naming
from tfdecomp.evaluation import published, tables, tracking

_COLUMNS = 4  # panels in a row of the plot


def systems(results, protocol=None) -> dict:
    """Results of one protocol, gathered by system.

    Args:
        results: What `results.read` returned, of any number of files.
        protocol: Name of the protocol; by default the only one there is.

    Returns:
        Label to a list of `by_objects`, see `tracking.Tracking.result`, one
        for each seed. Conditions are put together; of two that have clips
        with the same number of objects the later one counts. Results without
        tracks are left out.

    Raises:
        TableError: See `tables.select`.
    """
    groups = {}
    for result in tables.select(results, protocol):
        if _by_objects(result):
            run = result.get("run") or {}
            key = result["model"], result.get("trained_on"), run.get("config")
            groups.setdefault(key, []).append(result)
    labels = [_label(members[0]) for members in groups.values()]
    found = {}
    for label, (key, members) in zip(labels, groups.items()):
        is_file = str(key[2]).endswith(".gin")  # as lines of runs have it
        if labels.count(label) > 1 or is_file:
            label += f", config {tables.config_name(str(key[2]))}"
        found.setdefault(label, []).extend(map(_by_objects, members))
    return found


def markdown(results, protocol=None) -> str:
    """A table with a row for each system and score; "" without tracks.

    What is known of baselines of the papers on such data stands below.

    Args:
        results: See `systems`.
        protocol: See `systems`.
    """
    found = systems(results, protocol)
    if not found:
        return ""
    return _table(found | published_systems(tables.select(results, protocol)))


def published_markdown(name, results=()) -> str:
    """All baselines of a protocol by number of objects, and our systems.

    Args:
        name: Name of the protocol.
        results: See `systems`; those of other protocols are left out.
    """
    own = [r for r in results if r["protocol"]["name"] == name]
    found = systems(own, name) if own else {}
    return f"{name}\n{_table(found | _baselines(name))}"


def published_systems(results) -> dict:
    """Baselines on the data of results, as `systems` has them.

    Args:
        results: Of one protocol, see `tables.select`.
    """
    names = [naming.full_name(result["dataset"]) for result in results]
    return _baselines(results[0]["protocol"]["name"], names)


def _baselines(protocol, names=None):
    """Those of a protocol; with names of datasets those on one of them."""
    return {
        found.model: [
            {
                str(number): {name: v[i] for name, v in found.scores.items()}
                for i, number in enumerate(found.numbers)
            }
        ]
        for found in published.BY_OBJECTS
        if found.protocol == protocol
        and (names is None or fnmatch.filter(names, found.data))
    }


def _table(found):
    numbers = _numbers(found)
    lines = [
        [label, tables.OTHER_SCORES[score]]
        + [tables.mean(_values(seeds, number, score)) for number in numbers]
        for label, seeds in found.items()
        for score in tracking.SCORES
        if any(score in scores for s in seeds for scores in s.values())
    ]
    table = tables.render(["model", "number of objects", *numbers], lines)
    return f"\nBy number of objects\n\n{table}"


def plot(results, protocol=None) -> np.ndarray:
    """A panel for each score, a line for each system.

    Lines are means over seeds, bands standard deviations.

    Args:
        results: See `systems`.
        protocol: See `systems`.

    Returns:
        `[h, w, 3]` uint8.

    Raises:
        TableError: If no result has scores by number of objects.
    """
    from tfdecomp.visualization import plots

    found = systems(results, protocol)
    if not found:
        raise tables.TableError(
            "none of the results has scores by number of objects; evaluate "
            "with a protocol that scores tracks, such as --protocol=silot"
        )
    numbers = _numbers(found)
    panels = {
        tables.OTHER_SCORES[score]: {
            label: np.transpose(
                [_band(_values(seeds, number, score)) for number in numbers]
            )
            for label, seeds in found.items()
        }
        for score in tracking.SCORES
    }
    x = [int(number) for number in numbers]
    return plots.curves(panels, x, "number of objects", columns=_COLUMNS)


def write_plot(path, results, protocol=None) -> pathlib.Path:
    """Writes `plot` as a PNG; the folder is made if missing.

    Args:
        path: The file.
        results: See `systems`.
        protocol: See `systems`.

    Raises:
        TableError: See `plot`; or if the file is to be no PNG.
    """
    from tfdecomp.data.video import video_io

    path = pathlib.Path(os.path.expanduser(path))
    if path.suffix != ".png":
        raise tables.TableError(f"plots are PNG files; name it {path.stem}.png")
    picture = plot(results, protocol)
    path.parent.mkdir(parents=True, exist_ok=True)
    video_io.write_png(path, picture)
    return path


def _by_objects(result):
    found = {}
    for condition in result.get("conditions") or [result]:
        found |= condition.get("by_objects", {})
    return found


def _label(result):
    trained_on = result.get("trained_on") or result["dataset"]
    short = naming.full_name(trained_on).removeprefix(naming.PREFIX)
    return f"{result['model']}, {short}"


def _numbers(found):
    """All numbers of objects, as texts in the order of their values."""
    seeds = [seed for members in found.values() for seed in members]
    return sorted({number for seed in seeds for number in seed}, key=int)


def _values(seeds, number, score):
    values = [seed.get(number, {}).get(score) for seed in seeds]
    return [value for value in values if value is not None]


def _band(values):
    """Mean less and plus a standard deviation, and the mean between them."""
    if not values:
        return [np.nan] * 3
    middle = statistics.fmean(values)
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return [middle - spread, middle, middle + spread]
