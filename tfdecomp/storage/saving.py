"""Models and checkpoints on disk: written whole or not at all.

A work directory holds `model.json` (what to build) and `checkpoints/` with
one file per saved step. Every file appears under its final name by a rename,
so a process killed at any instant leaves only complete files behind.
"""

import contextlib
import errno
import hashlib
import importlib
import inspect
import io
import json
import math
import os
import pathlib
import re
import shutil
import sys

import keras
import numpy as np
import tensorflow as tf

from tfdecomp.untrusted import model_files

MODEL_NAME = model_files.MODEL_NAME
CHECKPOINT_FOLDER = model_files.CHECKPOINT_FOLDER
_CHECKPOINT = re.compile(r"step_(\d{9})\.npz$")
_META = "meta"
# Numbers of a model whose weights are not there to compare it with: 1 GiB.
_MOST_NUMBERS = 2**28
# What a model may have beside its stored weights: states of its seeds.
_MORE_NUMBERS, _MORE_ARRAYS = 2**16, 256


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


def load_model(folder, held=None):
    """Builds the model that `save_model` described; its weights are fresh.

    Does not read or change the active gin config. The folder may be a
    stranger's: only layers and models of this package are built, and no more
    than the weights beside it fill.

    Args:
        folder: Where `model.json` is.
        held: How many numbers its weights have, and in how many arrays, where
            that is known: more are not built.

    Raises:
        CheckpointError: If there is no readable `model.json`.
    """
    path = pathlib.Path(folder) / MODEL_NAME
    try:
        content = model_files.read_json(path)
        model_files.check_model(path, content, _is_known)
    except FileNotFoundError:
        raise CheckpointError(
            f"there is no model in {folder}: expected {MODEL_NAME}; give the "
            "work directory of a run or a folder made by publishing one"
        ) from None
    except model_files.ModelFileError as error:
        raise CheckpointError(str(error)) from error
    policy, config = content["dtype_policy"], content["model"]
    try:
        _import_classes(path, config)
        with dtype_policy(policy), _bounded(path, held):
            return build(keras.saving.deserialize_keras_object(config))
    except CheckpointError:
        raise
    # Constructors meet values of any kind here, and say so in any way.
    except Exception as error:
        raise CheckpointError(
            f"{path} describes no model that this version can build: "
            f"{model_files.reason(error)}; install the version that wrote it, "
            "or train the model again"
        ) from error


def _is_known(value):
    """Whether the running program has registered this very class."""
    name = value.get("registered_name")
    if not isinstance(name, str):
        return False
    found = keras.saving.get_registered_object(name)
    return (
        isinstance(found, type)
        and issubclass(found, keras.layers.Layer)
        and found.__name__ == value.get("class_name")
        # Keras names no module for classes of a notebook or a script.
        and value.get("module") in (None, found.__module__)
    )


def load_packed(folder, weights_name):
    """The model of a folder of weights, with its weights.

    Args:
        folder: Where `model.json` is.
        weights_name: Name of its Keras weights file.

    Raises:
        CheckpointError: If either cannot be read or they do not belong
            together.
    """
    path = pathlib.Path(folder) / weights_name
    try:
        held = model_files.check_weights(path)
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder} lacks {weights_name}; copy the folder again, whole"
        ) from None
    except model_files.ModelFileError as error:
        raise CheckpointError(str(error)) from error
    model = load_model(folder, held)
    try:
        model.load_weights(path)
    except Exception as error:  # h5py's and Keras' are of many kinds
        raise CheckpointError(
            f"{path} does not hold the weights of {MODEL_NAME} beside it: "
            f"{model_files.reason(error)}; copy the folder again, whole"
        ) from error
    for variable in model.variables:
        if not np.isfinite(np.asarray(variable.numpy(), np.float64)).all():
            raise CheckpointError(
                f"{path} has weights that are no finite numbers, in "
                f"{variable.path}; copy the folder again, or take an earlier "
                "checkpoint of the training"
            )
    return model


def _import_classes(path, config):
    """Imports the modules of the classes, and checks that they have them.

    A class may have moved since the file was written: its registered name says
    which one it is.
    """
    for module, registered in sorted(_classes(config)):
        try:
            importlib.import_module(module)
            modules = {module}
        except ModuleNotFoundError:
            modules = _modules_with_classes()
        except ImportError as error:
            raise CheckpointError(
                f"{path} names the module {module!r}, which cannot be imported "
                f"({model_files.reason(error)})"
            ) from None
        found = keras.saving.get_registered_object(registered)
        if found is None or found.__module__ not in modules:
            raise CheckpointError(
                f"{path} names the class {registered!r} of {module}, which "
                "this version of tfdecomp does not have"
            )


def _modules_with_classes():
    """Names of the modules of all that a model is made of, imported."""
    from tfdecomp.storage import configs

    configs.register()
    return {name for name in sys.modules if name.startswith("tfdecomp.")}


def _classes(config):
    """`(module, registered name)` of our parts of a serialised object."""
    if isinstance(config, dict):
        module = config.get("module")
        if isinstance(module, str) and module.startswith("tfdecomp."):
            yield module, config["registered_name"]
        config = list(config.values())
    if isinstance(config, list):
        for value in config:
            yield from _classes(value)


@contextlib.contextmanager
def _bounded(path, held):
    """Refuses to create more weights than a model's files hold."""
    most, arrays = held or (_MOST_NUMBERS, model_files.MOST_ARRAYS)
    most, arrays = most + _MORE_NUMBERS, arrays + _MORE_ARRAYS
    created = [0, 0]

    def create(next_creator, **options):
        created[0] += _numbers_of(options.get("initial_value"))
        created[1] += 1
        if created[0] > most or created[1] > arrays:
            raise CheckpointError(
                f"{path} describes a model of at least {created[0]} weights in "
                f"{created[1]} arrays, and its files hold {most} in {arrays} "
                "at most: they do not belong together; copy the folder again"
            )
        return next_creator(**options)

    with tf.variable_creator_scope(create):
        yield


def _numbers_of(initial):
    """Size of a variable that Keras is about to create.

    The shape must be known before the values are drawn; Keras hands over a
    function that draws them for a variable with the shape.
    """
    shape = getattr(initial, "shape", None)
    if callable(initial):
        cells = inspect.getclosurevars(initial).nonlocals
        shape = getattr(cells.get("self"), "_shape", None)
    return math.prod(int(side) for side in shape or ())


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
        model_files.check_archive(path)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(arrays.pop(_META).tobytes())
    # Damaged archives raise what they like: EOFError, NotImplementedError, ...
    except Exception as error:
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
    held = sum(a.size for a in arrays.values()), len(arrays)
    model = load_model(workdir, held)
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
