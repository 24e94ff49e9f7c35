"""Imports the weights that a paper's authors published.

    python -m tfdecomp.import_weights --from=provide \\
        --input=trained_models/bb_color/latest_net.pth --output=~/models/balls
    python -m tfdecomp.import_weights --from=iodine \\
        --input=checkpoints/clevr6 --output=~/models/clevr6
    python -m tfdecomp.import_weights --from=silot \\
        --input=weights/best.ckpt --output=~/models/digits

Reads PROVIDE's state dictionaries of PyTorch, which is not needed for it, and
IODINE's and SILOT's checkpoints of TensorFlow 1. The folder holds the model of
gin/papers/*/*_reference.gin with these weights; `tfdecomp.load` and all
commands with --model take it. No code of a file is run: one that asks for it is
refused, as is anything else than a whole checkpoint of that system.

The weights keep their authors' licence, which the folder's README.md states:
CC BY-NC-SA 4.0 (PROVIDE), Apache-2.0 (IODINE), MIT (SILOT).
"""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

from tfdecomp.console import commands

_LONGEST_NAME = 200  # characters; `tfdecomp.load` refuses longer ones

_FROM = flags.DEFINE_enum(
    "from",
    None,
    ["provide", "iodine", "silot"],
    "Whose weights they are.",
    required=True,
)
_INPUT = flags.DEFINE_string(
    "input",
    None,
    "The checkpoint: a .pth file (provide), or a prefix or folder (iodine, "
    "silot).",
    required=True,
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder to write; must be new or empty.", required=True
)
_NAME = flags.DEFINE_string(
    "name", None, "Name of the model. By default the folder's."
)
_PRESET = flags.DEFINE_string(
    "preset",
    None,
    "Config of the model, such as "
    "gin/papers/provide/provide_clevrer_reference.gin. "
    "By default the one that fits the checkpoint.",
)


def main(argv):
    commands.refuse_words(argv)
    return commands.finish(_import)


def _output():
    """`(folder to write, name of the model)`, before anything is read."""
    given = pathlib.Path(os.path.expanduser(_OUTPUT.value)).absolute()
    name = given.name if _NAME.value is None else _NAME.value
    if not name or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise ValueError(
            f"a model's name is one line of at most {_LONGEST_NAME} "
            f"characters, got {name!r}; set --name"
        )
    output = given.resolve()  # a link stays one
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise ValueError(
            f"{output} exists and is not an empty folder; choose another "
            "--output"
        )
    above = next(folder for folder in output.parents if folder.exists())
    if not above.is_dir():
        raise ValueError(
            f"{above} is a file, so {output} cannot be made; choose another "
            "--output"
        )
    return output, name


def _import():
    output, name = _output()

    import tempfile

    from tfdecomp.importing import folders
    from tfdecomp.sharing import hub

    imported = folders.read(
        _FROM.value, os.path.expanduser(_INPUT.value), _PRESET.value
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        made = pathlib.Path(scratch) / output.name
        made.mkdir()
        info = folders.write(imported, made, name)
        hub.load(made)  # believed only after a reload
        if output.exists():
            output.rmdir()
        os.rename(made, output)
    print(
        f"wrote {info['name']}, {info['parameters']:,} weights of "
        f"{info['model']} in {info['imported']['preset']}, to {output}; "
        f"licence: {info['licence']}"
    )
    return 0


def run():
    """Entry point of the console command."""
    app.run(main)


if __name__ == "__main__":
    run()
