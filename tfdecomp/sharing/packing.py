"""Packs a run into a folder of weights, which `tfdecomp.load` opens.

The folder holds `model.json` (what to build), `weights.weights.h5`,
`config.gin` (how it was trained) and `info.json` (score, protocol, licence,
checksums).
"""

import io
import os
import pathlib
import tempfile

import h5py
import numpy as np

from tfdecomp.storage import configs, saving
from tfdecomp.storage.catalogue import FILES, INFO_NAME, WEIGHTS_NAME, HubError
from tfdecomp.untrusted import model_files
from tfdecomp.version import __version__

LICENCE = "Apache-2.0"
_SEEN = ("frames", "difference", "background")


def pack(
    workdir,
    output,
    name,
    *,
    which="latest",
    weights="auto",
    storage="float16",
    protocol=None,
    score=None,
    extra=None,
):
    """Makes a folder that `tfdecomp.load` takes out of a work directory.

    Args:
        workdir: Folder of a run.
        output: Folder to write; made if missing.
        name: Name of the model.
        which: Checkpoint; see `saving.restore_model`.
        weights: "ema", "plain" or "auto".
        storage: "float16" for files of half the size (the weights are
            float32 again once loaded, rounded to 11 bits), or "float32".
        protocol: Protocol of the score, in full.
        score: Scores such as `{"f_ari": 0.93}`.
        extra: JSON-able facts that go into `info.json` as well.

    Returns:
        The content of `info.json`.

    Raises:
        HubError: If `storage` is unknown.
    """
    if storage not in ("float16", "float32"):
        raise HubError(
            f"storage must be 'float16' or 'float32', got {storage!r}"
        )
    workdir = pathlib.Path(os.path.expanduser(workdir))
    output = pathlib.Path(os.path.expanduser(output))
    model, source = saving.restore_model(workdir, which, weights)
    output.mkdir(parents=True, exist_ok=True)
    for file in (saving.MODEL_NAME, configs.CONFIG_NAME):
        content = _content(workdir / file)
        saving.atomic_write(output / file, content)
    saving.atomic_write(output / WEIGHTS_NAME, _stored_weights(model, storage))
    run = _content_of_run(workdir)
    info = {
        "name": name,
        "licence": LICENCE,
        "model": type(model).__name__,
        "parameters": model.count_params(),
        "step": source["step"],
        "weights": source["weights"],
        "storage": storage,
        "seed": run.get("seed"),
        "command": run.get("command"),
        "version": __version__,
        "protocol": protocol,
        "score": score,
        **(extra or {}),
        "sha256": {file: saving.sha256(output / file) for file in FILES},
    }
    saving.write_json(output / INFO_NAME, info)
    return info


def _content(path):
    try:
        return model_files.read_bytes(path)
    except FileNotFoundError:
        raise HubError(
            f"there is no {path}; a folder of weights is made of a whole work "
            "directory: restore the file, or train again"
        ) from None
    except model_files.ModelFileError as error:
        raise HubError(str(error)) from error


def _content_of_run(workdir):
    try:
        return model_files.read_json(workdir / "run.json")
    except FileNotFoundError:
        return {}
    except model_files.ModelFileError as error:
        raise HubError(str(error)) from error


def read_info(folder) -> dict:
    """What `info.json` of a folder of weights says.

    Raises:
        HubError: If it cannot be read, or has no checksums.
    """
    path = pathlib.Path(folder) / INFO_NAME
    try:
        info = model_files.read_json(path)
    except (FileNotFoundError, model_files.ModelFileError) as error:
        raise HubError(str(error)) from error
    sums = info.get("sha256")
    if not isinstance(sums, dict) or not set(FILES) <= set(sums):
        raise HubError(
            f"{path} lacks checksums: expected 'sha256' to have one for each "
            f"of {', '.join(FILES)}; copy the folder again, whole, or publish "
            "the run again"
        )
    if info.get("sees") not in (None, *_SEEN):
        raise HubError(
            f"{path} says the model sees "
            f"{model_files.printable(repr(info['sees']), 60)}; expected one "
            f"of {', '.join(_SEEN)}; copy the folder again"
        )
    for name in ("name", "licence", "version", "model", "weights"):
        value = info.get(name)
        if value is not None and not _is_word(value):
            raise HubError(
                f"{path} says {name} = {model_files.printable(value, 80)!r}; "
                "expected one line of at most 200 characters; copy the folder "
                "again"
            )
    return info


def _is_word(value):
    """Whether a value may be shown in a table or on a terminal."""
    return isinstance(value, str) and len(value) <= 200 and value.isprintable()


def check_sums(folder, sums):
    """Compares the files of a folder of weights with their checksums.

    Args:
        folder: The folder.
        sums: File -> checksum. Each of `FILES` has one; no others are read.

    Raises:
        HubError: If a file or its checksum is missing, or they differ.
    """
    for file in FILES:
        path = pathlib.Path(folder) / file
        try:
            most = model_files.MOST_TEXT
            if file == WEIGHTS_NAME:
                most = model_files.MOST_WEIGHTS
            found = saving.sha256(model_files.check_file(path, most))
        except FileNotFoundError:
            raise HubError(
                f"{folder} lacks {file}; copy the folder again, whole"
            ) from None
        except model_files.ModelFileError as error:
            raise HubError(str(error)) from error
        expected = sums.get(file)
        if found != expected:
            raise HubError(
                f"{path} is damaged: its sha256 is {found}, expected "
                f"{model_files.printable(expected, 80)}; copy the folder again"
            )


def _stored_weights(model, storage) -> bytes:
    """Content of a Keras weights file whose arrays have this type."""
    scratch = io.BytesIO()
    with h5py.File(scratch, "w") as target:
        with _weights_file(model) as source:
            source.visititems(
                lambda name, item: _copy_item(name, item, target, storage)
            )
            _copy_attributes(source, target)
    return scratch.getvalue()


def _weights_file(model):
    """The model's weights as an open HDF5 file in a temporary folder."""
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / WEIGHTS_NAME
        model.save_weights(path)
        return h5py.File(io.BytesIO(path.read_bytes()), "r")


def _copy_item(name, item, target, storage):
    if isinstance(item, h5py.Group):
        copy = target.require_group(name)
    else:
        value = item[()]
        is_float = np.issubdtype(item.dtype, np.floating)
        options = {"compression": "gzip"} if np.ndim(value) else {}
        copy = target.create_dataset(
            name, data=value.astype(storage) if is_float else value, **options
        )
    _copy_attributes(item, copy)


def _copy_attributes(source, target):
    for key, value in source.attrs.items():
        target.attrs[key] = value
