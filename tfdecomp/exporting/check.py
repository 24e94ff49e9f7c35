"""Is the exported model the model? Asked before and after it is written.

Before: the traced signatures against the model, called directly and eagerly,
with Python numbers for K and R. After: the signatures loaded from the disk by
a fresh process that knows only TensorFlow, against those in memory. Both for
other batches, lengths, slots and refinements than a default.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf

from tfdecomp.exporting.signatures import flatten
from tfdecomp.models import base

# Relative to max(1, |value|). A reloaded graph is the same graph. An eager
# call rounds otherwise, and every refinement feeds on the one before.
RELOADED_TOLERANCE = 1e-5
EAGER_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.1}
_RELOAD = pathlib.Path(__file__).with_name("reload.py")


class ExportError(RuntimeError):
    """A model that cannot be exported so; says what to do."""


def compare_with_model(model, signatures, batch=2, num_frames=3):
    """Compares traced signatures with the model itself.

    Args:
        model: What the signatures were made of.
        signatures: Name -> `Signature`; has `decompose`.
        batch: Clips to compare; at least one.
        num_frames: Their frames; at least two.

    Returns:
        `(inputs, answers)` of the signatures: signature -> name -> array.

    Raises:
        ExportError: If they differ.
    """
    asked, expected = {}, {}
    probe = _probe(model, signatures["decompose"], batch, num_frames)
    for name, inputs, outputs in _questions(model, signatures, *probe):
        asked[name] = inputs
        expected[name] = _fetch(flatten(outputs))
    answers = {
        name: _fetch(signatures[name].function(_tensors(inputs)))
        for name, inputs in asked.items()
    }
    tolerance = EAGER_TOLERANCE.get(model.compute_dtype, 0.1)
    for name, answer in answers.items():
        largest_difference(f"traced {name}", answer, expected[name], tolerance)
    return asked, answers


def compare_with_reloaded(folder, inputs, answers) -> dict[str, float]:
    """Compares a SavedModel in a fresh process with earlier answers.

    Args:
        folder: The SavedModel.
        inputs: Signature -> name -> array.
        answers: Signature -> name -> array.

    Returns:
        Signature -> largest difference.

    Raises:
        ExportError: If the fresh process fails or its answers differ.
    """
    found = run_fresh(folder, inputs)
    return {
        name: largest_difference(
            f"reloaded {name}", found[name], answer, RELOADED_TOLERANCE
        )
        for name, answer in answers.items()
    }


def run_fresh(folder, requests) -> dict:
    """Calls signatures of a SavedModel in a process with TensorFlow alone.

    Args:
        folder: The SavedModel.
        requests: Signature -> name -> array.

    Returns:
        Signature -> name -> array.

    Raises:
        ExportError: If the process fails.
    """
    return run_all_fresh([(folder, requests)])[0]


def run_all_fresh(questions) -> list[dict]:
    """As `run_fresh`, for several models in one process.

    Args:
        questions: List of `(folder, requests)`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        command, files = [], []
        for number, (folder, requests) in enumerate(questions):
            asked, answered = (
                os.path.join(scratch, f"{number}_{name}.npz")
                for name in ("asked", "answered")
            )
            np.savez(asked, **_join(requests))
            command += [str(folder), asked, answered]
            files.append(answered)
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        done = subprocess.run(
            # -I: neither the current folder nor PYTHONPATH can help it.
            [sys.executable, "-I", str(_RELOAD), *command],
            env={**os.environ, **quiet},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ExportError(
                "a fresh process that imports only TensorFlow could not use "
                f"the SavedModel: {done.stderr[-2000:].strip()}"
            )
        return [_split(file) for file in files]


def _join(requests):
    return {
        f"{signature}/{name}": value
        for signature, values in requests.items()
        for name, value in values.items()
    }


def _split(file):
    """Inverse of `_join`, of a file."""
    answers = {}
    with np.load(file) as arrays:
        for path in arrays.files:
            signature, name = path.split("/")
            answers.setdefault(signature, {})[name] = arrays[path]
    return answers


def largest_difference(what, found, expected, tolerance) -> float:
    """Largest difference of two sets of arrays, relative to `max(1, |x|)`.

    Raises:
        ExportError: If names or shapes differ, or values by more than
            `tolerance`.
    """
    if found.keys() != expected.keys():
        raise ExportError(
            f"{what} returns {sorted(found)}, the model {sorted(expected)}"
        )
    largest = 0.0
    for name, value in expected.items():
        got, difference = found[name], np.inf
        if got.shape == value.shape:
            wide = np.asarray(value, np.float64)
            error = np.abs(np.asarray(got, np.float64) - wide)
            difference = np.max(error / np.maximum(1.0, np.abs(wide)))
        if not difference <= tolerance:  # so written for NaN
            raise ExportError(
                f"{what} is not the model: {name} {list(got.shape)} differs "
                f"by {difference:.3g} from {list(value.shape)}, where at most "
                f"{tolerance:g} is expected; nothing was exported. Are all "
                "weights finite?"
            )
        largest = max(largest, float(difference))
    return largest


def _questions(model, signatures, pixels, seed, options):
    """Yields (signature, its inputs, what the model itself answers)."""
    video = base.as_float(tf.constant(pixels)).numpy()
    scalars = {name: np.int32(value) for name, value in options.items()}

    def batch(video, **more):
        return {"video": video, "seed": seed[: len(video)], **more}

    def call(batch, **chosen):
        return model(_tensors(batch), training=False, **chosen)

    short = video[:1, :2]
    if "serving_default" in signatures:
        yield "serving_default", {"video": short}, call({"video": short})
    whole = call(batch(video), **options)
    yield "decompose", batch(video, **scalars), whole
    if "decompose_uint8" in signatures:
        yield "decompose_uint8", batch(pixels, **scalars), whole
    state = whole.get("state")
    named = {} if state is None else _fetch(flatten(state, "state"))
    if "decompose_next" in signatures:
        last = video[:, -1:]
        outputs = call(batch(last, state=state), **options)
        yield "decompose_next", batch(last, **named, **scalars), outputs
    if "predict_frames" in signatures:
        outputs = model.predict_frames(state, tf.constant(seed), 2)
        inputs = {**named, "seed": seed, "num_frames": np.int32(2)}
        yield "predict_frames", inputs, outputs
    if "encode" in signatures:
        wanted = signatures["encode"].inputs
        chosen = {n: v for n, v in options.items() if n in wanted}
        encoded = model.encode(_tensors(batch(short)), **chosen)
        inputs = batch(short, **scalars)
        yield "encode", {n: inputs[n] for n in wanted}, encoded
    if "decode" in signatures:
        frames = {n: v[0] for n, v in encoded.items()}  # of the one clip
        outputs = model.decode(**frames)
        inputs = _fetch(encoded)
        yield "decode", inputs, {n: v[None] for n, v in outputs.items()}


def _probe(model, decompose, batch, num_frames):
    """Pixels `[B, T, H, W, C]`, seeds, and K and R unlike the model's."""
    random = np.random.default_rng(0)
    shape = (batch, num_frames, *model.image_size, model.channels)
    pixels = random.integers(0, 256, shape, np.uint8)
    seed = random.integers(0, 2**31, (batch, 2)).astype(np.int32)
    options = {}
    if "num_slots" in decompose.inputs:
        options["num_slots"] = model.num_slots + 1
    if "num_refinements" in decompose.inputs:
        options["num_refinements"] = 3 if model.num_refinements == 2 else 2
    return pixels, seed, options


def _tensors(inputs):
    return tf.nest.map_structure(tf.convert_to_tensor, inputs)


def _fetch(outputs):
    return {name: tensor.numpy() for name, tensor in outputs.items()}
