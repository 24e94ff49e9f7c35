"""Exports a trained model as a SavedModel.

    python -m tfdecomp.export --workdir=~/runs/a --output=~/models/balls
    python -m tfdecomp.export --model=provide_balls_quick --output=~/models/b

What it writes needs TensorFlow alone, in Python:

    model = tf.saved_model.load("/home/me/models/balls")
    parts = model.signatures["serving_default"](video=video)
    parts["masks"]  # [B, T, K, H, W, 1]

or behind a server. All signatures, with their inputs and outputs, are listed
by the command and kept in signatures.json beside the model. The folder
appears only after a fresh process has loaded it and given the same numbers.
"""

import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, flags, logging

_WORKDIR = flags.DEFINE_string("workdir", None, "Work directory of a run.")
_MODEL = flags.DEFINE_string(
    "model", None, "Name of a shipped model, or its folder."
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder of the SavedModel.", required=True
)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    "latest",
    'Checkpoint of the work directory: "latest", "best" or a step.',
)
_OVERWRITE = flags.DEFINE_boolean(
    "overwrite", False, "Whether to replace an earlier export."
)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # TensorFlow reports each file
    try:
        _export()
    except (ValueError, OSError, RuntimeError) as error:
        if flags.FLAGS.verbosity > 0:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _export():
    folder = _model_folder()
    import tensorflow as tf

    from tfdecomp import hub, saving
    from tfdecomp.exporting import saved_model

    # The graph runs anywhere; the check compares with a process on the CPU.
    tf.config.set_visible_devices([], "GPU")
    saved_model.check_output(_OUTPUT.value, _OVERWRITE.value)
    if _MODEL.value is not None:
        loaded = hub.load(_MODEL.value)
        model, info = loaded.model, loaded.info
    else:
        which = _CHECKPOINT.value
        which = int(which) if which.isdigit() else which
        model, info = saving.restore_model(folder, which)
    print(
        f"exporting {type(model).__name__}, then checking it in a fresh "
        "process: about a minute"
    )
    content = saved_model.export(
        model, _OUTPUT.value, overwrite=_OVERWRITE.value, info=info
    )
    _show(content)


def _model_folder():
    """The work directory, if the flags name one; checks them."""
    if (_WORKDIR.value is None) == (_MODEL.value is None):
        raise ValueError(
            "give either --workdir=DIR of a run or --model=NAME of a trained "
            "model"
        )
    if _MODEL.value is not None:
        if _CHECKPOINT.value != "latest":
            raise ValueError(
                "--checkpoint goes with --workdir, not with --model"
            )
        return None
    folder = pathlib.Path(os.path.expanduser(_WORKDIR.value))
    if not folder.is_dir():
        raise ValueError(
            f"there is no work directory {folder}; give the folder that was "
            "--workdir in training"
        )
    return folder


def _show(content):
    """Prints the signatures, one line for each."""
    for name, signature in content["signatures"].items():
        inputs, outputs = (
            ", ".join(signature[side]) for side in ("inputs", "outputs")
        )
        print(f"{name}({inputs}) -> {outputs}")
    worst = max(content["largest_difference"].values())
    print(
        f"wrote {_OUTPUT.value}; reloaded by a process with TensorFlow alone, "
        f"it differs by at most {worst:.1e}"
    )


def run():
    """Entry point of the console command."""
    app.run(main)


if __name__ == "__main__":
    run()
