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

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

from tfdecomp import commands

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
    commands.refuse_words(argv)
    return commands.finish(_export)


def _export():
    if _MODEL.value is not None and _CHECKPOINT.value != "latest":
        raise ValueError("--checkpoint goes with --workdir, not with --model")
    folder = commands.model_folder(_WORKDIR.value, _MODEL.value)

    import tensorflow as tf

    from tfdecomp import hub, saving
    from tfdecomp.exporting import saved_model

    # The graph runs anywhere; the check compares with a process on the CPU.
    tf.config.set_visible_devices([], "GPU")
    saved_model.check_output(_OUTPUT.value, _OVERWRITE.value)
    if _MODEL.value is not None:
        loaded = hub.load(folder)
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
