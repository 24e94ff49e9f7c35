"""Prints a paper's table beside our results.

    python -m tfdecomp.tables --results=~/runs/a --results=~/runs/b
    python -m tfdecomp.tables --results=~/runs/* --protocol=table1
    python -m tfdecomp.tables --results=~/runs/lavae* --protocol=lavae
    python -m tfdecomp.tables --results=~/runs/silot* --plot=silot.png
    python -m tfdecomp.tables --results=results/quick.jsonl --protocol=lavae
    python -m tfdecomp.tables
    python -m tfdecomp.tables --update

Results are what `python -m tfdecomp.evaluate` wrote, with --record or without.
Alone, the command prints all the papers' tables with what `results/` has for
them. --update makes the tables of README.md and docs/, or of the files named
after it, from `results/`. Runs that differ in their seed alone share a row,
with mean and standard deviation. Scores of tracks are tabulated by the number
of objects, too, and --plot draws them, a line for each system.
"""

import sys

from absl import app, flags

from tfdecomp.console import quiet

_RESULTS = flags.DEFINE_multi_string(
    "results",
    None,
    "A work directory or a file of results; may be given often, and further "
    "ones may follow without the flag's name. By default results/ of the "
    "repository.",
)
_UPDATE = flags.DEFINE_boolean(
    "update",
    False,
    "Make the tables between marks in texts anew: in the files that are named "
    "without a flag, or else in README.md and docs/.",
)
_PROTOCOL = flags.DEFINE_string(
    "protocol", None, "Protocol whose results to print, such as table1."
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "File to write the table to; by default it is printed."
)
_PLOT = flags.DEFINE_string(
    "plot", None, "File (.png) for a plot of scores by number of objects."
)


def main(argv):
    quiet.tensorflow()
    try:
        if _UPDATE.value:
            return _update(argv[1:])
        # A shell expands --results=runs/* only after a space: the rest of
        # the list then arrives without the flag.
        return _print([*(_RESULTS.value or ()), *argv[1:]])
    except (ValueError, OSError) as error:
        if flags.FLAGS.verbosity > 0:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1


def _update(paths):
    from tfdecomp.evaluation import generated

    for path in generated.update(paths or None):
        print(f"wrote {path}")
    return 0


def _print(paths):
    from tfdecomp.evaluation import by_objects, results, tables

    found = [entry for path in paths for entry in _read(path)]
    if not paths:
        text = _all_papers()
    else:
        text = tables.markdown(found, _PROTOCOL.value)
        text += by_objects.markdown(found, _PROTOCOL.value)
    if _PLOT.value:
        by_objects.write_plot(_PLOT.value, found, _PROTOCOL.value)
    if _OUTPUT.value:
        results.write_text(_OUTPUT.value, text)
    else:
        print(text, end="")
    return 0


def _read(path):
    """Results of a work directory, a file of results or a file of runs."""
    from tfdecomp.evaluation import results, runs

    if str(path).endswith(".jsonl"):
        return [runs.as_result(line) for line in runs.read(path)]
    return results.read(path)


def _all_papers():
    """The papers' tables, with what the repository has for them."""
    from tfdecomp.evaluation import by_objects, published, runs, tables

    try:
        lines = runs.read()
    except runs.RunsError:  # an installed package
        lines = []
    found = [
        runs.as_result(line)
        for line in lines
        if line.get("trained_on") and not runs.is_fresh(line)
    ]
    curves = [baseline.protocol for baseline in published.BY_OBJECTS]
    wanted = _PROTOCOL.value
    names = [wanted] if wanted else [*published.TABLES, *dict.fromkeys(curves)]
    return "\n".join(
        by_objects.published_markdown(name, found)
        if name in curves
        else tables.published_markdown(name, found)
        for name in names
    )


def run():
    """Entry point of the console command."""
    app.run(main)


if __name__ == "__main__":
    run()
