"""Trains a config with several seeds and values, and tabulates the scores.

    python -m tfdecomp.sweep --gin_file=gin/quick/provide.gin --seeds=0:5 \\
        --output=~/runs/provide_seeds --workers=2 --success=0.9
    python -m tfdecomp.sweep --gin_file=gin/quick/provide.gin --seeds=0:3 \\
        --grid='NUM_SLOTS = 4, 5, 6' --output=~/runs/provide_slots

Each run is an ordinary work directory below the output, scored on held-out
clips, with what it printed in log.txt. One that fails does not stop the
others. The same command goes on after an interruption; sweep.json holds all
scores. With --scheduler=ADDRESS the workers of a Dask cluster do the runs.
"""

import sys

from absl import app, flags

from tfdecomp.console import commands

_GIN_FILE = flags.DEFINE_multi_string(
    "gin_file",
    None,
    "Config: a path, or a name in the gin/ folder. Later files override.",
    required=True,
)
_GIN_PARAM = flags.DEFINE_multi_string(
    "gin_param", [], "A binding of all runs: 'NUM_STEPS = 500'."
)
_SEEDS = flags.DEFINE_string(
    "seeds", "0:3", "Seeds: a range without its end, or numbers: 1,3,7."
)
_GRID = flags.DEFINE_multi_string(
    "grid",
    [],
    "A name of the config and its values: 'NUM_SLOTS = 4, 5, 6'. Several of "
    "them: every combination.",
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder of the work directories.", required=True
)
_WORKERS = flags.DEFINE_integer(
    "workers",
    1,
    "Runs at the same time; they share the cores.",
    lower_bound=1,
)
_SCHEDULER = flags.DEFINE_string(
    "scheduler",
    None,
    "Address of a Dask scheduler whose workers do the runs, in place of "
    "--workers: tcp://10.0.0.1:8786. They see the same folders.",
)
_METRIC = flags.DEFINE_string("metric", "f_ari", "The score of the table.")
_SUCCESS = flags.DEFINE_float(
    "success", None, "A run with at least this score has learned."
)
_PROTOCOL = flags.DEFINE_string(
    "protocol", None, "How to score; by default as the config evaluates."
)
_NUM_CLIPS = flags.DEFINE_integer(
    "num_clips", None, "Clips to score on; by default the protocol's."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where prepared datasets are. By default, as TFDS."
)


def main(argv):
    commands.refuse_words(argv)
    return commands.finish(_sweep)


def _sweep():
    from tfdecomp.jobs import cluster, seeds
    from tfdecomp.storage import configs

    if _SCHEDULER.value is not None and flags.FLAGS["workers"].present:
        raise ValueError(cluster.NOT_BOTH)
    grid = [seeds.parse_grid(text) for text in _GRID.value]
    planned = seeds.runs(seeds.parse_seeds(_SEEDS.value), grid)
    for path in _GIN_FILE.value:  # says which there are
        configs.find(path)
    from tfdecomp.signals import StopOnSignal

    with (
        commands.Bar("runs", len(planned)) as bar,
        StopOnSignal("saving, then stopping ...", patience=600) as stop,
    ):
        rows = seeds.sweep(
            planned,
            _flags("gin_file", "gin_param", "data_dir"),
            _flags("protocol", "num_clips", "data_dir"),
            _OUTPUT.value,
            num_workers=_WORKERS.value,
            on_run=lambda done, total: bar.update(done, total),
            should_stop=lambda: stop.requested,
            scheduler=_SCHEDULER.value,
        )
    print(seeds.table(rows, _METRIC.value, _SUCCESS.value), end="")
    states = [row["state"] for row in rows]
    for row in rows:
        if row["error"]:
            name = f"{row['setting']} seed {row['seed']}".strip()
            print(f"error: {name}: {row['error']}", file=sys.stderr)
    if "stopped" in states:
        print(
            f"stopped: {states.count('stopped')} of {len(rows)} runs are not "
            "done; the same command goes on"
        )
        return 130
    return 1 if "failed" in states else 0


def _flags(*names):
    """Our flags as another command takes them."""
    given = []
    for name in names:
        value = flags.FLAGS[name].value
        values = value if isinstance(value, list) else [value]
        given += [f"--{name}={_told(name, v)}" for v in values if v is not None]
    return given


def _told(name, value):
    """A flag's value as a worker with another working directory takes it."""
    from tfdecomp.jobs import cluster
    from tfdecomp.storage import configs

    if _SCHEDULER.value is None:
        return value
    if name == "gin_file":
        path, root = configs.find(value), configs.root().absolute()
        # Each worker has what ships, maybe elsewhere.
        return path.relative_to(root) if path.is_relative_to(root) else path
    is_path = name == "data_dir" or str(value).endswith(".gin")
    return cluster.portable(value) if is_path else value


def run():
    """Entry point of the console command."""
    app.run(main)


if __name__ == "__main__":
    run()
