"""Trains a model.

    python -m tfdecomp.train --gin_file=gin/provide.gin --workdir=~/runs/a

The same command again goes on where the run stopped. Values of the config
are changed on the command line with, for example, `--gin_param="NUM_SLOTS=8"`.
The result is looked at with

    python -m tfdecomp.evaluate --workdir=~/runs/a
    tensorboard --logdir ~/runs/a

The second needs TensorBoard: `pip install 'tfdecomp[tensorboard]'`.
"""

import os
import shlex
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags, logging

from tfdecomp.console import commands

_GIN_FILE = flags.DEFINE_multi_string(
    "gin_file",
    None,
    "Config: a path, or a name in the gin/ folder. Later files override.",
    required=True,
)
_GIN_PARAM = flags.DEFINE_multi_string(
    "gin_param", [], "A binding that overrides the files: 'NUM_SLOTS = 8'."
)
_WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "Folder of the run. By default ~/runs/ and the config's name, such as "
    "~/runs/quick_provide; with a seed other than 0, also that.",
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Seed of weights, noise and the order of the data."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where prepared datasets are. By default, as TFDS."
)
_EXTEND = flags.DEFINE_bool(
    "extend",
    False,
    "Lets the config ask for more steps than a run had, finished or not: "
    "--extend --gin_param='NUM_STEPS = 20000'.",
)
_RECORD = flags.DEFINE_string(
    "record",
    None,
    "File of runs (.jsonl) that gets this run's line once it is finished, "
    "scored on held-out clips; see results/README.md.",
)


def main(argv):
    commands.refuse_words(argv)
    return commands.finish(_train, quiet=logging.ERROR)


def _train():
    from tfdecomp.storage import configs

    # Checks that the file exists before TensorFlow is loaded.
    workdir = _WORKDIR.value or commands.default_workdir(
        _GIN_FILE.value[-1], _SEED.value
    )
    configs.parse(_GIN_FILE.value, _GIN_PARAM.value)
    if _RECORD.value:
        from tfdecomp.evaluation import runs

        runs.check_file(_RECORD.value)
    from tfdecomp import training

    try:
        result = training.run(
            workdir,
            seed=_SEED.value,
            data_dir=_DATA_DIR.value,
            command=shlex.join(
                ["python", "-m", "tfdecomp.train", *sys.argv[1:]]
            ),
            extend=_EXTEND.value,
            may_exit=True,
        )
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from what is saved")
        return 130
    if result["state"] != "finished":
        return 130
    if _RECORD.value:
        from tfdecomp.sharing import recording

        return recording.score_and_record(
            _RECORD.value, os.path.expanduser(workdir), _DATA_DIR.value
        )
    return 0


def run():
    """Entry point of the console command."""
    app.run(main)


if __name__ == "__main__":
    run()
