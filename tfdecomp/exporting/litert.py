"""Straight graphs as LiteRT (TensorFlow Lite) models, for phones and boards."""

import tempfile
import warnings

import tensorflow as tf

from tfdecomp.exporting import saved_model
from tfdecomp.exporting.check import ExportError

NAME = "LiteRT"
SUFFIX = ".tflite"


def require():
    """Raises `ExportError` if there is no interpreter."""
    _interpreter()


def convert(signature) -> bytes:
    """Content of a LiteRT file, with built-in operations alone.

    Args:
        signature: `signatures.Signature`; inputs and outputs keep their names,
            and the model has a signature of its name.
    """
    with tempfile.TemporaryDirectory() as folder:
        saved_model.write(folder, {signature.name: signature})
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=[signature.name]
        )
        return converter.convert()


def run(content, inputs) -> dict:
    """Answers of a converted model, in the LiteRT interpreter.

    Args:
        content: From `convert`.
        inputs: Name -> array.
    """
    with warnings.catch_warnings():
        # TensorFlow's own interpreter announces its end.
        warnings.simplefilter("ignore", UserWarning)
        interpreter = _interpreter()(model_content=content)
    (name,) = interpreter.get_signature_list()
    return interpreter.get_signature_runner(name)(**inputs)


def _interpreter():
    """LiteRT's interpreter, or TensorFlow's as long as there is one."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        Interpreter = getattr(tf.lite, "Interpreter", None)
    if Interpreter is None:
        raise ExportError(
            "LiteRT needs ai-edge-litert: pip install 'tfdecomp[litert]'"
        )
    return Interpreter
