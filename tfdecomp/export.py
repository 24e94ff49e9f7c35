"""Exports a trained model: SavedModel, ONNX or LiteRT.

    python -m tfdecomp.export --workdir=~/runs/a --output=~/models/balls
    python -m tfdecomp.export --model=provide_balls_quick --output=~/models/b
    python -m tfdecomp.export --model=lavae_digits_quick --format=onnx \\
        --output=~/models/digits
    python -m tfdecomp.export --model=provide_balls_quick --format=litert \\
        --parts=decode --output=~/models/decoder

A SavedModel holds the whole model and needs TensorFlow alone, in Python:

    model = tf.saved_model.load("/home/me/models/balls")
    parts = model.signatures["serving_default"](video=video)
    parts["masks"]  # [B, T, K, H, W, 1]

or behind a server. All signatures, with their inputs and outputs, are listed
by the command and kept in signatures.json beside the model.

ONNX and LiteRT (TensorFlow Lite) hold straight graphs alone, a file for each:

    encode        frames -> latents: LAVAE and the VAEs
    filter_frame  a frame and its prediction -> latents: DVIP
    decode        latents -> pictures and masks: all but SILOT

Whatever takes gradients, loops or draws noise is refused, with the reason and
with what to use instead. ONNX needs pip install 'tfdecomp[onnx]'.

For TensorFlow Serving:

    python -m tfdecomp.export --model=provide_balls_quick --serving=~/serving

writes the next version of the model, ~/serving/provide_balls_quick/1, with
requests of real frames that the server answers before it takes others, and
what the server is told: models.config, batching.config and compose.yaml.
It needs pip install 'tfdecomp[serving]'.

In any format the folder appears only after the runtime it is for has given the
numbers of the model.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

from tfdecomp.console import commands

_WORKDIR = flags.DEFINE_string("workdir", None, "Work directory of a run.")
_MODEL = flags.DEFINE_string(
    "model", None, "Name of a shipped model, or its folder."
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write.")
_SERVING = flags.DEFINE_string(
    "serving",
    None,
    "Folder of TensorFlow Serving, in place of --output: the next version of "
    "the model goes to NAME/VERSION in it.",
)
_NAME = flags.DEFINE_string(
    "name",
    None,
    "Of the model behind a server. By default that of its folder.",
)
_WARMUP = flags.DEFINE_string(
    "warmup",
    None,
    "Video whose first frames the server tries the model with. By default a "
    "new clip of the data that it was trained on.",
)
_BATCHING = flags.DEFINE_boolean(
    "batching",
    False,
    "Whether the server joins requests: what cannot be joined, signatures "
    "that take a number for all clips, is left out.",
)
_FORMAT = flags.DEFINE_enum(
    "format",
    "savedmodel",
    ["savedmodel", "onnx", "litert"],
    "What to write: the whole model for TensorFlow, or parts of it for ONNX "
    "Runtime or LiteRT.",
)
_PARTS = flags.DEFINE_list(
    "parts",
    None,
    "Which parts go to ONNX or LiteRT: some of encode, filter_frame, decode. "
    "By default all that can.",
)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    "latest",
    'Checkpoint of the work directory: "latest", "best" or a step.',
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    None,
    ["auto", "float32", "bfloat16"],
    "Numbers that the exported model computes with; as in predict. auto looks "
    "at this machine, and the export may run on another.",
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
    if _PARTS.value and _FORMAT.value == "savedmodel":
        raise ValueError(
            "--parts goes with --format=onnx or --format=litert; a SavedModel "
            "holds all of a model"
        )
    _check_serving()
    folder = commands.model_folder(_WORKDIR.value, _MODEL.value)
    name = _NAME.value or folder.resolve().name

    import tensorflow as tf

    from tfdecomp.exporting import folders, tf_serving
    from tfdecomp.sharing import hub
    from tfdecomp.storage import precision, saving

    # The graph runs anywhere; the check compares with a process on the CPU.
    tf.config.set_visible_devices([], "GPU")
    if _SERVING.value is None:
        folders.check(_OUTPUT.value, _OVERWRITE.value)
    else:
        tf_serving.check(_SERVING.value, name)
    if _MODEL.value is not None:
        loaded = hub.load(folder)
        model, info = loaded.model, loaded.info
    else:
        which = _CHECKPOINT.value
        which = int(which) if which.isdigit() else which
        model, info = saving.restore_model(folder, which)
    if _PRECISION.value is not None:
        chosen = precision.chosen(_PRECISION.value, info)
        model, info = precision.at(model, chosen), {**info, "precision": chosen}
    if _SERVING.value is not None:
        _serve(model, folder, name, info)
        return
    options = {"overwrite": _OVERWRITE.value, "info": info}
    if _FORMAT.value == "savedmodel":
        _save(model, options)
    else:
        _convert(model, options)


def _check_serving():
    """Raises if flags of one kind of output were given for the other."""
    if (_OUTPUT.value is None) == (_SERVING.value is None):
        raise ValueError(
            "give either --output=DIR, or --serving=DIR for TensorFlow Serving"
        )
    others = ("format", "overwrite", "parts")
    if _SERVING.value is None:
        others = ("name", "warmup", "batching")
    for name in others:
        if flags.FLAGS[name].present:
            goes = "--output" if _SERVING.value else "--serving"
            raise ValueError(f"--{name} goes with {goes}; leave it out")


def _serve(model, folder, name, info):
    from tfdecomp.console import real_clips
    from tfdecomp.exporting import tf_serving

    pixels = real_clips.first_frames(model, folder, _WARMUP.value)
    print(
        f"exporting {type(model).__name__}, then checking it in a fresh "
        "process: about a minute"
    )
    content = tf_serving.export(
        model,
        _SERVING.value,
        name,
        pixels,
        info=info,
        batching=_BATCHING.value,
    )
    _show(content, f"version {content['version']} of {name}, reloaded")


def _save(model, options):
    from tfdecomp.exporting import saved_model

    print(
        f"exporting {type(model).__name__}, then checking it in a fresh "
        "process: about a minute"
    )
    content = saved_model.export(model, _OUTPUT.value, **options)
    _show(content, "reloaded by a process with TensorFlow alone")


def _convert(model, options):
    from tfdecomp.exporting import converted

    content = converted.export(
        model, _OUTPUT.value, _FORMAT.value, parts=_PARTS.value, **options
    )
    for reason in content["refused"].values():
        print(f"left out: {reason}")
    _show(content, f"run by {converted.FORMATS[_FORMAT.value].NAME}")


def _show(content, how):
    """Prints the signatures, one line for each.

    Args:
        content: That of signatures.json.
        how: How they were checked.
    """
    for name, signature in content["signatures"].items():
        inputs, outputs = (
            ", ".join(signature[side]) for side in ("inputs", "outputs")
        )
        print(f"{name}({inputs}) -> {outputs}")
    worst = max(content["largest_difference"].values())
    where = _OUTPUT.value or _SERVING.value
    print(f"wrote {where}; {how}, it differs by at most {worst:.1e}")


def run():
    """Entry point of the console command."""
    app.run(main)


if __name__ == "__main__":
    run()
