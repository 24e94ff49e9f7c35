"""Models and checkpoints on disk: written whole or not at all.

A work directory holds `model.json` (what to build) and `checkpoints/` with
one file per saved step. Every file appears under its final name by a rename,
so a process killed at any instant leaves only complete files behind.
"""

import contextlib
import errno
import hashlib
import importlib
import io
import json
import os
import pathlib
import re
import shutil
import zipfile

import keras
import numpy as np

MODEL_NAME = "model.json"
CHECKPOINT_FOLDER = "checkpoints"
_CHECKPOINT = re.compile(r"step_(\d{9})\.npz$")
_META = "meta"


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written or read; says what to do."""


def atomic_write(path, data: bytes, is_durable=True):
    """Writes a file so that `path` is either the old or the new content.

    Args:
        path: Where it goes; the folder must exist.
        data: The content.
        is_durable: Whether to wait for the disk, so that even a power cut
            leaves one of the two; a kill always does.

    Raises:
        CheckpointError: If the disk is full. What was there before stays.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            if is_durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        free = shutil.disk_usage(path.parent).free
        raise CheckpointError(
            f"the disk is full: {path.name} needs {len(data) / 2**20:.1f} MiB, "
            f"{free / 2**20:.1f} MiB are free in {path.parent}; nothing was "
            "overwritten. Free some space and run the same command again"
        ) from error


def write_json(path, content, is_durable=True):
    """`atomic_write` of readable JSON."""
    text = json.dumps(content, indent=2, sort_keys=True, default=str)
    atomic_write(path, (text + "\n").encode(), is_durable)


def sha256(path) -> str:
    """Checksum of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def dtype_policy(name):
    """Keras' global dtype policy for the length of a block."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def build(model):
    """Creates the weights of a model that has none yet; returns it."""
    if not model.built:
        height, width = model.image_size
        model.build({"video": (None, None, height, width, model.channels)})
    return model


def save_model(folder, model):
    """Writes `model.json`, from which `load_model` builds the model again."""
    content = keras.saving.serialize_keras_object(model)
    content.pop("build_config", None)  # weights are created by `build`
    content.pop("compile_config", None)
    policy = keras.config.dtype_policy().name
    write_json(
        pathlib.Path(folder) / MODEL_NAME,
        {"format": 1, "dtype_policy": policy, "model": content},
    )


def load_model(folder):
    """Builds the model that `save_model` described; its weights are fresh.

    Does not read or change the active gin config. Imports the modules of
    this package whose classes the file names.

    Args:
        folder: Where `model.json` is.

    Raises:
        CheckpointError: If there is no readable `model.json`.
    """
    path = pathlib.Path(folder) / MODEL_NAME
    try:
        content = json.loads(path.read_text())
        policy, config = content["dtype_policy"], content["model"]
    except FileNotFoundError:
        raise CheckpointError(
            f"there is no model in {folder}: expected {MODEL_NAME}; give the "
            "work directory of a run or a folder made by publishing one"
        ) from None
    except (ValueError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    for module in sorted(_modules(config)):
        importlib.import_module(module)
    with dtype_policy(policy):
        return build(keras.saving.deserialize_keras_object(config))


def _modules(config):
    """Modules of this package that a serialised object is made of."""
    if isinstance(config, dict):
        module = config.get("module")
        if isinstance(module, str) and module.startswith("tfdecomp."):
            yield module
        config = list(config.values())
    if isinstance(config, list):
        for value in config:
            yield from _modules(value)


def checkpoint_path(folder, step) -> pathlib.Path:
    """File of the checkpoint of `step` in a `checkpoints/` folder."""
    return pathlib.Path(folder) / f"step_{step:09d}.npz"


def checkpoint_steps(folder) -> list[int]:
    """Steps of the checkpoints in a folder, rising."""
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        return []
    matches = (_CHECKPOINT.match(p.name) for p in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def write_checkpoint(folder, step, arrays, meta):
    """Writes one checkpoint.

    Args:
        folder: The `checkpoints/` folder.
        step: Number of optimizer steps taken.
        arrays: Name -> array.
        meta: JSON-able dictionary.
    """
    text = np.frombuffer(json.dumps(meta, sort_keys=True).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **{_META: text}, **arrays)
    atomic_write(checkpoint_path(folder, step), buffer.getbuffer())


def read_checkpoint(path):
    """Returns `(arrays, meta)` of one checkpoint.

    Raises:
        CheckpointError: If the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(arrays.pop(_META).tobytes())
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"the checkpoint {path} is damaged ({error}); delete it to go on "
            "from the one before"
        ) from error
    return arrays, meta


def variable_arrays(prefix, variables):
    """Name -> array of a list of variables, in order."""
    return {
        f"{prefix}/{i:04d}": np.asarray(v.numpy())
        for i, v in enumerate(variables)
    }


def assign_arrays(prefix, variables, arrays):
    """Puts the arrays that `variable_arrays` named back.

    Raises:
        CheckpointError: If their number or shapes differ.
    """
    names = sorted(name for name in arrays if name.startswith(f"{prefix}/"))
    if len(names) != len(variables):
        raise CheckpointError(
            f"the checkpoint has {len(names)} arrays for {prefix}, the model "
            f"needs {len(variables)}; it was written by another version"
        )
    for name, variable in zip(names, variables):
        value = arrays[name]
        if tuple(value.shape) != tuple(variable.shape):
            raise CheckpointError(
                f"{name} has shape {tuple(value.shape)} in the checkpoint and "
                f"{tuple(variable.shape)} in the model; another config?"
            )
        variable.assign(value)


def restore_model(workdir, which="latest", weights="auto"):
    """Loads the trained model of a work directory.

    Args:
        workdir: Folder of a run.
        which: "latest", "best" (by the evaluations during training) or a
            step.
        weights: "ema", "plain", or "auto" for the averaged weights where the
            run kept some.

    Returns:
        `(model, info)`; `info` has `step`, `weights`, `checkpoint` and `best`.

    Raises:
        CheckpointError: If there is nothing to restore.
    """
    workdir = pathlib.Path(os.path.expanduser(workdir))
    arrays, meta, path = _choose(workdir / CHECKPOINT_FOLDER, which)
    model = load_model(workdir)
    has_ema = any(name.startswith("ema/") for name in arrays)
    if weights == "ema" and not has_ema:
        raise CheckpointError(
            f"{workdir} keeps no averaged weights; ask for weights='plain' "
            "or train with training.run.ema_decay"
        )
    assign_arrays("model", model.variables, arrays)
    use_ema = has_ema and weights in ("auto", "ema")
    if use_ema:
        assign_arrays("ema", model.trainable_variables, arrays)
    return model, {
        "step": meta["step"],
        "weights": "ema" if use_ema else "plain",
        "checkpoint": str(path),
        "best": meta.get("best"),
        "workdir": str(workdir),
    }


def newest_checkpoint(folder):
    """`(arrays, meta, path)` of the newest readable checkpoint, or `None`."""
    for step in reversed(checkpoint_steps(folder)):
        path = checkpoint_path(folder, step)
        with contextlib.suppress(CheckpointError):
            return (*read_checkpoint(path), path)
    return None


def _choose(folder, which):
    newest = newest_checkpoint(folder)
    if newest is None:
        raise CheckpointError(
            f"there is no checkpoint in {folder}; train first, or give the "
            "folder that was --workdir in training"
        )
    if which == "latest":
        return newest
    if which == "best":
        best = newest[1].get("best")
        if best is None:
            raise CheckpointError(
                f"no checkpoint of {folder} was evaluated during training; "
                "ask for the latest one"
            )
        which = best["step"]
    steps = checkpoint_steps(folder)
    if which not in steps:
        raise CheckpointError(
            f"{folder} has no checkpoint of step {which}, only of {steps}"
        )
    path = checkpoint_path(folder, which)
    return (*read_checkpoint(path), path)
