"""Variables of TensorFlow's checkpoints, by name."""

import math
import os
import pathlib

import tensorflow as tf

from tfdecomp.importing.errors import ImportRefusedError

_LARGEST = 1 << 28  # numbers in all; published weights have a few million
_SUFFIXES = (".index", ".meta")
# What optimizers and averages keep beside a variable, under its name.
_KEPT_BESIDE = (
    "Adam",
    "Adam_1",
    "RMSProp",
    "RMSProp_1",
    "Momentum",
    "ExponentialMovingAverage",
)


def read(path):
    """The variables of a checkpoint.

    Args:
        path: Its prefix (`model.ckpt-1000`), one of its files, or a folder,
            of which the newest checkpoint is taken.

    Returns:
        Name -> array, without what optimizers keep.

    Raises:
        ImportRefusedError: If there is no checkpoint, or it is damaged.
    """
    prefix = _prefix(pathlib.Path(path))
    name = "its index"
    arrays = {}
    try:
        reader = tf.train.load_checkpoint(prefix)
        shapes = reader.get_variable_to_shape_map()
        _check_total(shapes, prefix)
        for name in sorted(shapes):
            if name.split("/")[-1] not in _KEPT_BESIDE:
                arrays[name] = reader.get_tensor(name)
    except ImportRefusedError:
        raise
    # Which one is raised for a damaged file differs from variable to variable.
    except (
        tf.errors.OpError,
        ValueError,
        RuntimeError,
        LookupError,
    ) as error:
        raise ImportRefusedError(
            f"{prefix} cannot be read as a checkpoint of TensorFlow, at {name}"
            f": {str(error).splitlines()[0]}; expected PREFIX.index and "
            "PREFIX.data-00000-of-00001, both whole"
        ) from error
    return arrays


def _check_total(shapes, prefix):
    """Raises if a few bytes promise more than memory holds."""
    total = sum(math.prod(shape) for shape in shapes.values())
    if total > _LARGEST:
        raise ImportRefusedError(
            f"{prefix} has variables of {total:,} numbers; no checkpoint of "
            "these systems is as large"
        )


def files(path):
    """The files of a checkpoint, sorted."""
    prefix = pathlib.Path(_prefix(pathlib.Path(path)))
    return sorted(
        file
        for file in prefix.parent.iterdir()
        if file.name.startswith((f"{prefix.name}.index", f"{prefix.name}.data"))
    )


def _prefix(path):
    if path.is_dir():
        prefix = tf.train.latest_checkpoint(str(path))
        if prefix is None:
            raise ImportRefusedError(
                f"{path} has no checkpoint of TensorFlow that its file "
                "'checkpoint' names; give the prefix itself, such as "
                f"{path}/model.ckpt-1000"
            )
        return prefix
    text = os.fspath(path)
    for suffix in _SUFFIXES:
        text = text.removesuffix(suffix)
    text = text.split(".data-")[0]
    if not pathlib.Path(f"{text}.index").is_file():
        raise ImportRefusedError(
            f"there is no checkpoint {text}: expected the file {text}.index"
        )
    return text
