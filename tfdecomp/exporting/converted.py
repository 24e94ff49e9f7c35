"""Writes the straight parts of a model in formats of other runtimes.

    from tfdecomp.exporting import converted

    converted.export(model, "~/models/lavae", "onnx")

makes `encode.onnx`, `decode.onnx` and `signatures.json`. As with a
SavedModel, the files get their place only when their own runtime has given
the numbers that the model itself gives.
"""

from tfdecomp.exporting import (
    check,
    feed_forward,
    folders,
    litert,
    onnx,
    saved_model,
)
from tfdecomp.exporting.check import ExportError

FORMATS = {"onnx": onnx, "litert": litert}
TOLERANCE = 1e-4  # relative to max(1, |value|)


def export(
    model, output, target, *, parts=None, overwrite=False, info=None
) -> dict:
    """Converts the parts of a model and checks what was written.

    Args:
        model: A built `DecompositionModel`.
        output: Folder for a file per part and `signatures.json`.
        target: `"onnx"` or `"litert"`.
        parts: Which of `feed_forward.PARTS`; by default all that the format
            can hold.
        overwrite: Whether an earlier export may be replaced.
        info: JSON-able facts about the weights, kept in `signatures.json`.

    Returns:
        The content of `signatures.json`. `refused` there says which parts are
        missing, and why.

    Raises:
        ExportError: If a package is missing, `output` is in use, no part (or
            one of `parts`) can be converted, or the answers differ. What was
            there before stays.
    """
    output = folders.check(output, overwrite)
    saved_model.check_model(model)
    form = FORMATS[target]
    form.require()
    made, refused = feed_forward.make_parts(model, form.NAME, parts)
    content = {
        "format": target,
        **saved_model.facts(model, info),
        "signatures": {},
        "refused": refused,
        "largest_difference": {},
    }
    with folders.replaced(output) as folder:
        for name, part in made.items():
            file, difference = _converted(form, model, part)
            (folder / f"{name}{form.SUFFIX}").write_bytes(file)
            content["signatures"][name] = part.signature.describe()
            content["largest_difference"][name] = difference
        folders.write_json(folder, content)
    return content


def _converted(form, model, part):
    """`(content of the file, largest difference from the model)`."""
    name = part.signature.name
    what = f"{name} of {type(model).__name__}"
    expected = {n: v.numpy() for n, v in part.function(part.example).items()}
    try:
        file = form.convert(part.signature)
        found = form.run(file, part.example)
    except ExportError:
        raise
    # Whatever converters and runtimes raise, it is about this graph.
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ExportError(
            f"{what} cannot become {form.NAME}: {lines[0][:300]}. Leave it out "
            "(--parts names the others), or export a SavedModel: "
            "--format=savedmodel"
        ) from error
    return file, check.largest_difference(
        f"{what} in {form.NAME}", found, expected, TOLERANCE
    )
