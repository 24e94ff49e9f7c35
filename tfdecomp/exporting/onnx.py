"""Straight graphs as ONNX models, for ONNX Runtime and its like."""

import importlib.util
import logging

from tfdecomp.exporting.check import ExportError

NAME = "ONNX"
SUFFIX = ".onnx"
OPSET = 17  # of 2022; runtimes since 1.12 read it


def require():
    """Raises `ExportError` if the converter or the runtime is missing."""
    missing = [
        name
        for name in ("tf2onnx", "onnxruntime")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise ExportError(
            f"ONNX needs {' and '.join(missing)}: pip install 'tfdecomp[onnx]'"
        )


def convert(signature) -> bytes:
    """Content of an ONNX file.

    Args:
        signature: `signatures.Signature`; inputs and outputs keep their names.
    """
    import tf2onnx

    # Its remarks are about operations that no output needs.
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    model, _ = tf2onnx.convert.from_function(
        signature.function, [signature.inputs], opset=OPSET
    )
    return model.SerializeToString()


def run(content, inputs) -> dict:
    """Answers of a converted model, in ONNX Runtime.

    Args:
        content: From `convert`.
        inputs: Name -> array.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(
        content, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    asked = {i.name: inputs[i.name] for i in session.get_inputs()}
    return dict(zip(names, session.run(names, asked)))
