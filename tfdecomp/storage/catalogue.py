"""The trained models that load by name: found and listed, not opened.

Imports neither TensorFlow nor a model, so that a list and a wrong name take
no time.
"""

import difflib
import os
import pathlib
import re

from tfdecomp.storage import configs, model_info
from tfdecomp.untrusted import model_files

WEIGHTS_NAME = "weights.weights.h5"
INFO_NAME = "info.json"
FILES = (model_files.MODEL_NAME, WEIGHTS_NAME, configs.CONFIG_NAME)
HUGGING_FACE = "hf://"
_REPOSITORY = re.compile(rf"({HUGGING_FACE})?[\w.-]+/[\w.-]+")


class HubError(ValueError):
    """A model that cannot be packed, loaded or used so; says what to do."""


def folder() -> pathlib.Path:
    """Where the shipped weights are."""
    return pathlib.Path(__file__).resolve().parents[1] / "weights"


def list_models() -> dict[str, dict]:
    """Name -> `info.json` of the models that `load` knows by name."""
    found = sorted(folder().glob(f"*/{INFO_NAME}"))
    return {path.parent.name: model_files.read_json(path) for path in found}


def table() -> str:
    """The shipped models as a table for a terminal."""
    rows = []
    for name, info in list_models().items():
        path = folder() / name
        rows.append(
            {
                "name": name,
                "system": info["model"],
                "trained on": model_info.trained_on(configs.saved(path) or ""),
                "score": model_info.main_score(info),
                "size": model_info.size(path / file for file in FILES),
                "licence": info["licence"],
            }
        )
    return model_info.aligned(rows)


def resolve(name_or_dir: str | os.PathLike[str]) -> pathlib.Path:
    """Folder of a model.

    Args:
        name_or_dir: As for `load`; a path that exists comes first, then a
            shipped model, then a repository, which is downloaded. A folder of
            a shipped model's name that holds no model, as that of its
            predictions may be called, does not hide it.

    Raises:
        HubError: If there is none of these.
    """
    name = str(name_or_dir)
    path = pathlib.Path(os.path.expanduser(name_or_dir))
    shipped = list_models()
    if path.is_dir() and (name not in shipped or _holds_model(path)):
        return path
    if name in shipped:
        return folder() / name
    # "runs/a" beside an existing "runs" is a slip of the pen, not a
    # repository.
    if _REPOSITORY.fullmatch(name) and not path.parent.is_dir():
        return _downloaded(name)
    near = difflib.get_close_matches(name, shipped, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    known = ", ".join(shipped) or "none in this installation"
    raise HubError(
        f"there is no model {name!r}: neither a folder nor a "
        f"shipped model. {hint}Shipped models: {known}"
    )


def _holds_model(path):
    names = (
        model_files.MODEL_NAME,
        INFO_NAME,
        model_files.CHECKPOINT_FOLDER,
    )
    return any(os.path.lexists(path / name) for name in names)


def _downloaded(name):
    """Folder of a Hugging Face repository, fetched if it is not there yet."""
    repository = name.removeprefix(HUGGING_FACE)
    try:
        import huggingface_hub
    except ImportError:
        raise HubError(
            f"there is no folder {name!r}; to load the Hugging Face "
            f"repository {repository!r}, pip install 'tfdecomp[hub]'"
        ) from None
    try:
        path = huggingface_hub.snapshot_download(
            repository, allow_patterns=[*FILES, INFO_NAME]
        )
    # What the client raises depends on its version and on the network's.
    except Exception as error:
        raise HubError(
            f"there is no folder {name!r}, and the Hugging Face repository "
            f"{repository!r} could not be fetched: "
            f"{str(error).strip().splitlines()[0]}"
        ) from error
    path = pathlib.Path(path)
    if not (path / INFO_NAME).is_file():
        raise HubError(
            f"the Hugging Face repository {repository!r} has no {INFO_NAME}; "
            "expected one made by 'python -m tfdecomp.publish'"
        )
    return path
