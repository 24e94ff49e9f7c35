"""Parts of a model that are straight graphs: no gradient, loop or noise.

ONNX and LiteRT know these alone. Parts go by frames, not by clips:

| part | reads | returns |
|---|---|---|
| `encode` | `frames` | what `decode` reads |
| `filter_frame` | `frames`, their prediction | `slots`, the next prediction |
| `decode` | what `encode` returns | `recon`, `masks`, `components` |

Which of them a model has follows from its methods and from their graphs:
whatever an output needs is looked at, and what an output does not need, such
as noise for a loss, is left out.
"""

import contextlib
import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfdecomp.exporting import signatures as signatures_lib
from tfdecomp.exporting.check import ExportError
from tfdecomp.models.iterative import IterativeModel

PARTS = ("encode", "filter_frame", "decode")
# Signatures of a SavedModel that are parts of no model.
WHOLE = ("decompose", "decompose_next", "predict_frames")
_SAVED_MODEL = "A SavedModel holds it: --format=savedmodel"
# Operation -> why no straight graph has it.
_CROOKED = {
    "While": "loops over frames or objects (tf.while_loop)",
    "If": "branches (tf.cond)",
    "StatelessRandom": "draws noise",
    "PyFunc": "runs Python",
    "FFT": "takes Fourier transforms",
}


class NotFeedForwardError(ExportError):
    """A part that is no straight graph; says why, and what to use instead."""


@dataclasses.dataclass
class Part:
    """One straight graph of a model.

    Attributes:
        signature: The traced graph.
        function: The model itself: a dictionary of tensors to one.
        example: Name -> array, inputs such as the part meets.
    """

    signature: signatures_lib.Signature
    function: Callable
    example: dict


def make_parts(model, target, names=None) -> tuple[dict, dict]:
    """Traces the parts of a model that are straight graphs.

    Args:
        model: A built `DecompositionModel`.
        target: Name of the format, for messages: "ONNX" or "LiteRT".
        names: Which parts; by default all that there are.

    Returns:
        `(parts, refused)`: name -> `Part`, and name -> why it is not there.

    Raises:
        NotFeedForwardError: If there is none, or one of `names` is no
            straight graph.
        ExportError: If there is no part of such a name.
    """
    for name in names or ():
        if name not in PARTS + WHOLE:
            raise ExportError(
                f"there is no part {name!r}; --parts takes some of "
                f"{', '.join(PARTS)}"
            )
    maker = _Maker(model, target)
    found, refused = {}, {}
    for name in names or [n for n in PARTS if hasattr(model, n)]:
        try:
            found[name] = maker.make(name)
        except NotFeedForwardError as error:
            if names:
                raise
            refused[name] = str(error)
    if not found:
        why = " ".join(refused.values()) or (
            f"{type(model).__name__} has neither encode nor decode. "
            f"{_SAVED_MODEL}."
        )
        raise NotFeedForwardError(why)
    return found, refused


class _Maker:
    """Makes the parts of one model.

    Args:
        model: See `make_parts`.
        target: See `make_parts`.
    """

    def __init__(self, model, target):
        self.model, self.target = model, target
        random = np.random.default_rng(0)
        size = (*model.image_size, model.channels)
        self.frames = random.random((2, *size), np.float32)
        self.frame_spec = tf.TensorSpec([None, *size], tf.float32, "frames")

    def make(self, name):
        """Makes one part, or raises why there is none."""
        is_iterative = isinstance(self.model, IterativeModel)
        if name in WHOLE or (name == "encode" and is_iterative):
            raise self._refusal(name, self._why_not_whole())
        if not hasattr(self.model, name):
            raise NotFeedForwardError(
                f"{self._kind} has no {name}; it has "
                f"{', '.join(self._others(name)) or 'no parts'}"
            )
        function, specs, example = getattr(self, f"_{name}")()
        with _without_branches(self.model):
            signature = signatures_lib.trace(
                name, _MEANINGS[name], function, specs
            )
        for operation in _needed(signature):
            for crooked, why in _CROOKED.items():
                if crooked in operation:
                    raise self._refusal(name, f"it {why}")
        return Part(signature, function, example)

    def _encode(self):
        def encode(inputs):
            clips = tf.expand_dims(inputs["frames"], axis=1)
            encoded = self.model.encode({"video": clips})
            encoded = signatures_lib.flatten(encoded)
            return {n: tf.squeeze(v, axis=1) for n, v in encoded.items()}

        specs = {"frames": self.frame_spec}
        return encode, specs, {"frames": self.frames}

    def _filter_frame(self):
        def filter_frame(inputs):
            return self.model.filter_frame(**inputs)

        names = ("mean", "log_variance")
        shape = [None, self.model.latent_dim]
        specs = {n: tf.TensorSpec(shape, tf.float32, n) for n in names}
        random = np.random.default_rng(1)
        state = {
            n: random.normal(size=(2, shape[1])).astype(np.float32)
            for n in names
        }
        return (
            filter_frame,
            {"frames": self.frame_spec, **specs},
            {"frames": self.frames, **state},
        )

    def _decode(self):
        """The decoder, asked for latents that the encoder finds."""

        def decode(inputs):
            return signatures_lib.flatten(self.model.decode(**inputs))

        encode = signatures_lib.encode_signature(self.model)
        inputs = {
            "video": tf.constant(self.frames[None]),
            "seed": tf.zeros([1, 2], tf.int32),
        }
        for name in encode.inputs.keys() & set(signatures_lib.OPTIONS):
            value = getattr(self.model, name) + (name == "num_slots")
            inputs[name] = tf.constant(value)
        encoded = encode.function(inputs)
        specs = {
            # Without the axis of the clip.
            n: tf.TensorSpec(s.shape[1:], s.dtype, n)
            for n, s in encode.outputs.items()
        }
        return decode, specs, {n: v[0].numpy() for n, v in encoded.items()}

    def _why_not_whole(self):
        if isinstance(self.model, IterativeModel):
            return (
                "it infers by taking gradients through its decoder inside of "
                f"its call, and {self.target} has no counterpart for these "
                "operations"
            )
        return "it draws noise, and loops over clips and frames"

    def _refusal(self, name, why):
        others, instead = self._others(name), _SAVED_MODEL
        if isinstance(self.model, IterativeModel):
            pass
        elif name in WHOLE and others:
            instead = f"Use the parts {', '.join(others)}. {instead}"
        elif name == "encode" and "filter_frame" in others:
            instead = (
                "Use filter_frame, which does the same frame by frame with "
                f"posterior means. {instead}"
            )
        return NotFeedForwardError(
            f"{name} of {self._kind} cannot become {self.target}: {why}. "
            f"{instead}."
        )

    def _others(self, name):
        return [p for p in PARTS if p != name and hasattr(self.model, p)]

    @property
    def _kind(self):
        return type(self.model).__name__


_MEANINGS = {
    "encode": "the latents of frames",
    "filter_frame": "the latents of a frame, and those expected in the next",
    "decode": "draws the latents of frames",
}


@contextlib.contextmanager
def _without_branches(model):
    model.without_branches = True
    try:
        yield
    finally:
        model.without_branches = False


def _needed(signature):
    """Types of the operations that the outputs need."""
    graph = signature.function.get_concrete_function().graph
    todo, seen = [tensor.op for tensor in graph.outputs], set()
    while todo:
        operation = todo.pop()
        if operation.name in seen:
            continue
        seen.add(operation.name)
        todo += [tensor.op for tensor in operation.inputs]
        yield operation.type
