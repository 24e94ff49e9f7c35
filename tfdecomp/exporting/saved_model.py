"""Writes a SavedModel, and believes in it only after a reload.

    from tfdecomp.exporting import saved_model

    saved_model.export(model, "~/models/provide")

The model is written to a temporary folder beside the output, loaded by a
fresh process that knows only TensorFlow, and asked the same questions as the
model in memory, for other batches, lengths, slots and refinements than it was
traced with. Only when all answers agree does the folder get its name.
"""

import tensorflow as tf

from tfdecomp.exporting import check, folders
from tfdecomp.exporting.check import ExportError
from tfdecomp.exporting.signatures import (
    OPTIONS,
    accepted_options,
    make_signatures,
)
from tfdecomp.version import __version__


def export(
    model,
    output,
    *,
    overwrite=False,
    info=None,
    signatures=None,
    names=None,
    before_naming=None,
) -> dict:
    """Exports a model and checks what was written.

    Args:
        model: A built `DecompositionModel`.
        output: Folder of the SavedModel. Beside its own files it holds
            `signatures.json`.
        overwrite: Whether an earlier export may be replaced.
        info: JSON-able facts about the weights, kept in `signatures.json`.
        signatures: What `make_signatures` returns, if that was called before.
        names: Which of them are written; by default all.
        before_naming: Called with the whole folder before it gets its name,
            to add files that must be there from the beginning.

    Returns:
        The content of `signatures.json`.

    Raises:
        ExportError: If the model cannot be exported, if `output` is in use or
            cannot be written, or if the reloaded model differs. What was
            there before stays.
    """
    output = folders.check(output, overwrite)
    check_model(model)
    signatures = signatures or make_signatures(model)
    with tf.device("CPU:0"):  # as the fresh process
        inputs, answers = check.compare_with_model(model, signatures)
    if names is not None:
        signatures = {n: signatures[n] for n in names}
        inputs = {n: inputs[n] for n in names}
        answers = {n: answers[n] for n in names}
    with folders.replaced(output) as folder:
        write(folder, signatures)
        content = _describe(model, signatures, info)
        content["largest_difference"] = check.compare_with_reloaded(
            folder, inputs, answers
        )
        folders.write_json(folder, content)
        if before_naming is not None:
            before_naming(folder)
    return content


def check_model(model):
    """Raises `ExportError` if a model cannot be exported as it is."""
    if model.cannot_export:
        raise ExportError(model.cannot_export)
    if not model.built:
        raise ExportError(
            "the model has no weights yet; build it, or load a trained one "
            "with tfdecomp.load"
        )


def write(folder, signatures):
    """Writes a SavedModel, unchecked.

    The traced graphs are written as they are; `keras.export.ExportArchive`
    would trace them again, in twice the time, and store all weights twice.

    Args:
        folder: Where to.
        signatures: Name -> `Signature`.
    """
    module = tf.Module()
    functions = {
        name: signature.function.get_concrete_function()
        for name, signature in signatures.items()
    }
    for name, function in functions.items():
        setattr(module, name, function)
    variables = [v for f in functions.values() for v in f.graph.variables]
    module.weights = list({id(v): v for v in variables}.values())
    # The gradients inside are part of the graph; those of the graph, which
    # only training needs, are left out.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(folder), functions, options)


def facts(model, info) -> dict:
    """What every export says of its model, as JSON can hold it."""
    return {
        "model": type(model).__name__,
        "image_size": list(model.image_size),
        "channels": model.channels,
        "parameters": model.count_params(),
        "tfdecomp": __version__,
        "tensorflow": tf.__version__,
        "info": info or {},
    }


def _describe(model, signatures, info):
    defaults = {
        name: getattr(model, name)
        for name in OPTIONS
        if name in accepted_options(model.call)
    }
    described = {n: s.describe() for n, s in signatures.items()}
    return {
        "format": 1,
        **facts(model, info),
        **defaults,
        "signatures": described,
    }
