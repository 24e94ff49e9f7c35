"""Prints a paper's table beside our results.

    python -m tfdecomp.tables --results=~/runs/a --results=~/runs/b
    python -m tfdecomp.tables --results=~/runs/* --protocol=table1
    python -m tfdecomp.tables --results=~/runs/lavae* --protocol=lavae
    python -m tfdecomp.tables --results=~/runs/silot* --plot=silot.png

Results are what `python -m tfdecomp.evaluate` wrote. Runs that differ in
their seed alone share a row, with mean and standard deviation. Scores of
tracks are tabulated by the number of objects, too, and --plot draws them, a
line for each system.
"""

import sys

from absl import app, flags

_RESULTS = flags.DEFINE_multi_string(
    "results",
    None,
    "A work directory or a file of results; may be given often, and further "
    "ones may follow without the flag's name.",
    required=True,
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
    try:
        from tfdecomp.evaluation import by_objects, results, tables

        # A shell expands --results=runs/* only after a space: the rest of
        # the list then arrives without the flag.
        paths = [*_RESULTS.value, *argv[1:]]
        found = [entry for path in paths for entry in results.read(path)]
        text = tables.markdown(found, _PROTOCOL.value)
        text += by_objects.markdown(found, _PROTOCOL.value)
        if _PLOT.value:
            by_objects.write_plot(_PLOT.value, found, _PROTOCOL.value)
        if _OUTPUT.value:
            results.write_text(_OUTPUT.value, text)
        else:
            print(text, end="")
    except (ValueError, OSError) as error:
        if flags.FLAGS.verbosity > 0:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def run():
    """Entry point of the console command."""
    app.run(main)


if __name__ == "__main__":
    run()
