"""Packs a run into a folder that loads by itself, with a model card.

    python -m tfdecomp.publish --workdir=~/runs/a --output=~/models/balls
    python -m tfdecomp.publish --workdir=~/runs/a --output=~/models/balls \\
        --name=balls --protocol=table1 --checkpoint=best

The folder holds model.json, weights.weights.h5, config.gin, info.json (score,
protocol, checksums) and README.md. `tfdecomp.load` takes it from there or, once
it was uploaded, from a Hugging Face repository:

    hf upload OWNER/balls ~/models/balls
    tfdecomp predict --model=OWNER/balls --input=clip.mp4 --output=out/
"""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

from tfdecomp.console import commands

CARD_NAME = "README.md"

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Work directory of the run.", required=True
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder to write; must be new or empty.", required=True
)
_NAME = flags.DEFINE_string(
    "name", None, "Name of the model. By default the folder's."
)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    "latest",
    'Checkpoint of the work directory: "latest", "best" or a step.',
)
_PROTOCOL = flags.DEFINE_string(
    "protocol",
    None,
    "Protocol of results.json whose newest score goes with the model. By "
    "default that of the newest result, if there is one.",
)
_STORAGE = flags.DEFINE_enum(
    "storage",
    "float32",
    ["float32", "float16"],
    "Type of the stored weights; float16 halves the size and rounds them.",
)


def main(argv):
    commands.refuse_words(argv)
    return commands.finish(_publish)


def _publish():
    folder = commands.model_folder(_WORKDIR.value, None)
    output = pathlib.Path(os.path.expanduser(_OUTPUT.value)).absolute()
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise ValueError(
            f"{output} exists and is not an empty folder; choose another "
            "--output"
        )
    which = _CHECKPOINT.value
    which = int(which) if which.isdigit() else which
    result = _result(folder, _PROTOCOL.value)

    import tempfile

    from tfdecomp.sharing import hub, packing
    from tfdecomp.storage import configs, model_info, saving

    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        made = pathlib.Path(scratch) / output.name
        info = packing.pack(
            folder,
            made,
            _NAME.value or output.name,
            which=which,
            storage=_STORAGE.value,
            protocol=result.get("protocol"),
            score=_score(result),
        )
        loaded = hub.load(made)  # believed only after a reload
        config = configs.saved(made)
        card = model_info.card(info, loaded.model, config)
        saving.atomic_write(made / CARD_NAME, card.encode())
        if output.exists():
            output.rmdir()
        os.rename(made, output)
    print(f"wrote {info['name']}, step {info['step']}, to {output}")
    return 0


def _result(folder, protocol):
    """The newest result of the run, or an empty one."""
    from tfdecomp.evaluation import results

    if protocol is None and not (folder / results.NAME).is_file():
        return {}
    found = results.read(folder)
    if protocol is not None:
        found = [r for r in found if r["protocol"]["name"] == protocol]
    if not found:
        raise ValueError(
            f"{folder} has no result of protocol {protocol!r}; run 'python -m "
            f"tfdecomp.evaluate --workdir={folder} --protocol={protocol}' first"
        )
    return found[-1]


def _score(result):
    """The scores of a result, without what describes the evaluation."""
    scores = {
        name: round(value, 4)
        for name, value in result.items()
        if isinstance(value, float) and name != "seconds"
    }
    if scores:
        scores["num_clips"] = result["num_clips"]
    return scores or None


def run():
    """Entry point of the console command."""
    app.run(main)


if __name__ == "__main__":
    run()
