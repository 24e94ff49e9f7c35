"""Writes a SavedModel, and believes in it only after a reload.

    from tfdecomp.exporting import saved_model

    saved_model.export(model, "~/models/provide")

The model is written to a temporary folder beside the output, loaded by a
fresh process that knows only TensorFlow, and asked the same questions as the
model in memory, for other batches, lengths, slots and refinements than it was
traced with. Only when all answers agree does the folder get its name.
"""

import contextlib
import json
import os
import pathlib
import shutil
import tempfile

import keras
import tensorflow as tf

import tfdecomp
from tfdecomp.exporting import check
from tfdecomp.exporting.check import ExportError
from tfdecomp.exporting.signatures import OPTIONS, make_signatures

SIGNATURES_NAME = "signatures.json"


def export(model, output, *, overwrite=False, info=None) -> dict:
    """Exports a model and checks what was written.

    Args:
        model: A built `DecompositionModel`.
        output: Folder of the SavedModel. Beside its own files it holds
            `signatures.json`.
        overwrite: Whether an earlier export may be replaced.
        info: JSON-able facts about the weights, kept in `signatures.json`.

    Returns:
        The content of `signatures.json`.

    Raises:
        ExportError: If `output` is in use, cannot be written, or if the
            reloaded model differs. What was there before stays.
    """
    output = check_output(output, overwrite)
    if not model.built:
        raise ExportError(
            "the model has no weights yet; build it, or load a trained one "
            "with tfdecomp.load"
        )
    signatures = make_signatures(model)
    with tf.device("CPU:0"):  # as the fresh process
        inputs, answers = check.compare_with_model(model, signatures)
    with _folder_beside(output) as folder:
        try:
            _write(folder, model, signatures)
            content = _describe(model, signatures, info)
            content["largest_difference"] = check.compare_with_reloaded(
                folder, inputs, answers
            )
            text = json.dumps(content, indent=2) + "\n"
            (folder / SIGNATURES_NAME).write_text(text)
            _move(folder, output)
        except (OSError, tf.errors.OpError) as error:
            raise ExportError(
                f"{output} could not be written: {error}; nothing was "
                "replaced. Free some space or choose another --output"
            ) from error
    return content


def check_output(output, overwrite=False) -> pathlib.Path:
    """The absolute path of `output`, if `export` may write it.

    Raises:
        ExportError: If something is there that must stay.
    """
    output = pathlib.Path(os.path.expanduser(output)).absolute()
    if not output.exists():
        return output
    if not output.is_dir():
        raise ExportError(f"{output} is a file; --output names a folder")
    if not any(output.iterdir()):
        return output
    if not overwrite:
        raise ExportError(
            f"{output} is not empty; choose another --output, or replace an "
            "earlier export with --overwrite"
        )
    if not (output / "saved_model.pb").is_file():
        raise ExportError(
            f"{output} is not empty and holds no SavedModel, so --overwrite "
            "leaves it alone; choose another --output"
        )
    return output


def _write(folder, model, signatures):
    archive = keras.export.ExportArchive()
    archive.track(model)
    for name, signature in signatures.items():
        archive.add_endpoint(name, signature.function)
    # The gradients inside are part of the graph; those of the graph, which
    # only training needs, are left out.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    archive.write_out(str(folder), options=options, verbose=False)


def _describe(model, signatures, info):
    defaults = {
        name: getattr(model, name)
        for name in OPTIONS
        if name in signatures["decompose"].inputs
    }
    return {
        "format": 1,
        "model": type(model).__name__,
        "image_size": list(model.image_size),
        "channels": model.channels,
        **defaults,
        "parameters": model.count_params(),
        "tfdecomp": tfdecomp.__version__,
        "tensorflow": tf.__version__,
        "info": info or {},
        "signatures": {n: s.describe() for n, s in signatures.items()},
    }


@contextlib.contextmanager
def _folder_beside(output):
    """A temporary folder on the same disk, gone in the end."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent)
    except OSError as error:
        raise ExportError(
            f"{output.parent} cannot be written to: {error}; choose another "
            "--output"
        ) from error
    try:
        folder = pathlib.Path(scratch) / "new"
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _move(folder, output):
    """Gives the folder its name; an old one goes only once it has it."""
    old = folder.with_name("old")
    if output.exists():
        output.rename(old)
    try:
        folder.rename(output)
    except BaseException:  # Ctrl-C as well
        if old.exists():
            old.rename(output)
        raise
