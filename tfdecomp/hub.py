"""Trained models by name, ready to use.

    import tfdecomp

    model = tfdecomp.load("provide_balls_quick")
    parts = model.decompose(video)  # [T, H, W, C], uint8 or float
    parts["masks"]                  # [T, K, H, W, 1]

A folder of weights holds `model.json` (what to build), `weights.weights.h5`,
`config.gin` (how it was trained) and `info.json` (score, protocol, licence,
checksums). Those below `tfdecomp/weights/` ship with the package. Nothing
here reads or changes the active gin config.
"""

import dataclasses
import difflib
import io
import json
import os
import pathlib

import h5py
import keras
import numpy as np
import tensorflow as tf

import tfdecomp
from tfdecomp import configs, saving

WEIGHTS_NAME = "weights.weights.h5"
INFO_NAME = "info.json"
LICENCE = "Apache-2.0"
_FILES = (saving.MODEL_NAME, WEIGHTS_NAME, configs.CONFIG_NAME)


class HubError(ValueError):
    """A model that cannot be loaded or used so; says what to do."""


@dataclasses.dataclass
class Loaded:
    """A trained model.

    Attributes:
        model: The `DecompositionModel`, with its weights.
        info: Where it comes from: the content of `info.json`, or for a work
            directory the step and the checkpoint.
    """

    model: keras.Model
    info: dict

    def __post_init__(self):
        self._compiled = tf.function(self._call, autograph=False)

    def decompose(self, video, num_slots=None, num_refinements=None, seed=0):
        """Takes a video apart.

        Args:
            video: `[T, H, W, C]` or `[B, T, H, W, C]`; uint8, or floating
                point in `[0, 1]`.
            num_slots: `K`; by default the model's.
            num_refinements: `R`; by default the model's.
            seed: Seed of the samples; each clip of a batch has its own.

        Returns:
            A `tfdecomp.types.Decomposition` of NumPy arrays; without the
            axis `B` if the video has none.

        Raises:
            HubError: If the video does not fit the model.
        """
        video = np.asarray(video)
        has_batch = video.ndim == 5
        clips = self._checked(video if has_batch else video[None])
        count = len(clips)
        seeds = np.stack([np.full(count, seed), np.arange(count)], axis=-1)
        inputs = {
            "video": tf.constant(clips),
            "seed": tf.constant(seeds, tf.int32),
        }
        changed = {"num_slots": num_slots, "num_refinements": num_refinements}
        changed = {k: v for k, v in changed.items() if v is not None}
        outputs = self._compiled(inputs, **changed)
        outputs = tf.nest.map_structure(lambda t: t.numpy(), outputs)
        if has_batch:
            return outputs
        return tf.nest.map_structure(
            lambda a: a[0] if np.ndim(a) else a, outputs
        )

    def _call(self, inputs, **changed):
        return self.model(inputs, training=False, **changed)

    def _checked(self, clips):
        """The clips `[B, T, H, W, C]`, if the model can read them."""
        height, width = self.model.image_size
        expected = (height, width, self.model.channels)
        if clips.ndim != 5 or clips.shape[2:] != expected:
            shape = clips.shape[1:] if len(clips) == 1 else clips.shape
            raise HubError(
                f"the model reads videos [T, {height}, {width}, {expected[2]}] "
                f"or [B, T, {height}, {width}, {expected[2]}], got "
                f"{list(shape)}; resize the frames, or repeat a grey channel"
            )
        if not all(clips.shape[:2]):
            raise HubError(
                f"the video is empty: {clips.shape[0]} clips of "
                f"{clips.shape[1]} frames"
            )
        if clips.dtype == np.uint8:
            return clips
        if not np.issubdtype(clips.dtype, np.floating):
            raise HubError(
                f"a video is uint8, or floating point in [0, 1]; got "
                f"{clips.dtype}; cast it with .astype('uint8')"
            )
        low, high = float(np.min(clips)), float(np.max(clips))
        if not (low >= 0.0 and high <= 1.0):
            raise HubError(
                f"a floating point video is in [0, 1]; got values from {low:g} "
                f"to {high:g}; divide by 255 or pass uint8"
            )
        return clips.astype(np.float32)


def folder() -> pathlib.Path:
    """Where the shipped weights are."""
    return pathlib.Path(__file__).resolve().parent / "weights"


def list_models() -> dict[str, dict]:
    """Name -> `info.json` of the models that `load` knows by name."""
    found = sorted(folder().glob(f"*/{INFO_NAME}"))
    return {path.parent.name: json.loads(path.read_text()) for path in found}


def load(name_or_dir) -> Loaded:
    """Loads a trained model.

    Args:
        name_or_dir: Name of a shipped model (see `list_models`), a folder
            made by `pack`, or the work directory of a run, of which the
            newest checkpoint is taken.

    Raises:
        HubError: If there is no such model, or its files are damaged.
        CheckpointError: If a work directory has nothing to restore.
    """
    path = resolve(name_or_dir)
    if not (path / INFO_NAME).is_file():
        return Loaded(*saving.restore_model(path))
    info = json.loads((path / INFO_NAME).read_text())
    _check_sums(path, info)
    model = saving.load_model(path)
    model.load_weights(path / WEIGHTS_NAME)
    return Loaded(model, info)


def resolve(name_or_dir) -> pathlib.Path:
    """Folder of a model: a path as given, else the shipped one of that name.

    Raises:
        HubError: If there is neither.
    """
    path = pathlib.Path(os.path.expanduser(name_or_dir))
    if path.is_dir():
        return path
    shipped = list_models()
    if str(name_or_dir) in shipped:
        return folder() / str(name_or_dir)
    near = difflib.get_close_matches(str(name_or_dir), shipped, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    known = ", ".join(shipped) or "none in this installation"
    raise HubError(
        f"there is no model {str(name_or_dir)!r}: neither a folder nor a "
        f"shipped model. {hint}Shipped models: {known}"
    )


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
):
    """Makes a folder that `load` takes out of a work directory.

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
        saving.atomic_write(output / file, (workdir / file).read_bytes())
    saving.atomic_write(output / WEIGHTS_NAME, _stored_weights(model, storage))
    run = workdir / "run.json"
    run = json.loads(run.read_text()) if run.is_file() else {}
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
        "version": tfdecomp.__version__,
        "protocol": protocol,
        "score": score,
        "sha256": {file: saving.sha256(output / file) for file in _FILES},
    }
    saving.write_json(output / INFO_NAME, info)
    return info


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
    import tempfile

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


def _check_sums(path, info):
    for file, expected in info["sha256"].items():
        if not (path / file).is_file():
            raise HubError(f"{path} lacks {file}; copy the folder again, whole")
        found = saving.sha256(path / file)
        if found != expected:
            raise HubError(
                f"{path / file} is damaged: its sha256 is {found}, "
                f"{INFO_NAME} says {expected}; copy the folder again"
            )
