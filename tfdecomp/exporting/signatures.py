"""What an exported model can be asked: named functions of tensors.

A signature is made for everything that the model can do, and for nothing
else: `decode` where there is `model.decode`, `decompose_next` where outputs
carry a `state`. Only the contract of `tfdecomp.types` is used.

| signature | reads | returns |
|---|---|---|
| `serving_default` | `video` | the decomposition, by the model's defaults |
| `decompose` | and `seed`, `num_slots`, `num_refinements` | the same |
| `decompose_uint8` | as `decompose`, `video` in 0...255 | the same |
| `decompose_next` | as `decompose`, and the state | the next chunk |
| `encode` | as `decompose` | `slots`, and what `decode` reads beside |
| `decode` | what `encode` returns | `recon`, `masks`, `components` |
| `predict_frames` | the state, `seed`, `num_frames` | predicted frames |

Nested outputs are joined with underscores: `state_h` is `state["h"]`. Batch,
frames, slots and refinements are open in all of them.
"""

import dataclasses
import inspect
from collections.abc import Callable

import tensorflow as tf

from tfdecomp.models import base

OPTIONS = ("num_slots", "num_refinements")

# Name -> axes (see `tfdecomp.types`; None if the model's own) and meaning.
_MEANINGS = {
    "video": ("BTHWC", "the video, in [0, 1]"),
    "frames": ("BTHWC", "frames, in [0, 1]"),
    "mean": ("BTD", "of what was predicted; zeros before the first frame"),
    "log_variance": ("BTD", "of what was predicted; zeros likewise"),
    "next_mean": ("BTD", "the mean to pass with the next frame"),
    "next_log_variance": ("BTD", "the log_variance to pass with it"),
    "seed": ("B2", "one seed per clip; the same seed, the same result"),
    "num_slots": ("", "K, number of slots"),
    "num_refinements": ("", "R, number of cells of a frame"),
    "num_frames": ("", "T, number of frames to predict"),
    "recon": ("BTHWC", "reconstruction"),
    "masks": ("BTKHW1", "share of each slot in each pixel; sums to 1 over K"),
    "components": ("BTKHWC", "picture of each slot alone"),
    "slots": ("BTKD", "posterior means of the latents"),
    "context": ("BTKD", "what the decoder is told beside the latents"),
    "samples": ("BTKD", "posterior samples of the latents"),
    "latent_kl": ("BTKD", "divergence of each latent from its prior, nats"),
    "presence": ("BTK", "probability that the slot is in use"),
    "boxes": ("BTK4", "(ymin, xmin, ymax, xmax) in pixels"),
    "locations": ("BTK2", "(y, x) of the object, in pixels"),
    "track_ids": ("BTK", "number of the track, from 1; 0 for none"),
    "loss": ("B", "training loss, nats"),
    "nll": ("B", "negative log-likelihood, nats per clip"),
    "nll_unnormalised": ("B", "the same without its constant"),
    "nll_last_frame": ("B", "that of the last frame"),
    "kl": ("B", "divergence from the prior, nats per clip"),
    "kl_locations": ("B", "that of the locations"),
    "kl_appearances": ("B", "that of the appearances"),
    "kl_count": ("B", "that of the number of objects"),
    "elbo": ("B", "bound of log p(x), nats per frame"),
    "entropy": ("B", "entropy of the masks, nats per clip"),
}
_STATE = "part of the state; pass it on as it is"
_OTHER = "particular to this model; decode reads what encode returns"


@dataclasses.dataclass
class Signature:
    """One named function of an exported model.

    Attributes:
        name: As in the SavedModel.
        meaning: One line about what it does.
        function: Traced `tf.function` from a dictionary of tensors to one.
        inputs: Name -> `tf.TensorSpec`.
        outputs: Name -> `tf.TensorSpec`.
    """

    name: str
    meaning: str
    function: Callable
    inputs: dict
    outputs: dict

    def describe(self) -> dict:
        """All names, shapes, types and meanings, as JSON can hold them."""
        return {
            "meaning": self.meaning,
            "inputs": {n: _describe(n, s) for n, s in self.inputs.items()},
            "outputs": {n: _describe(n, s) for n, s in self.outputs.items()},
        }


def make_signatures(model, names=None, same_seed=False) -> dict[str, Signature]:
    """Traces the signatures that a model has.

    Args:
        model: A built `DecompositionModel`.
        names: Which of them; `decompose` is made in any case. By default all.
        same_seed: Whether `serving_default` gives all clips of a batch one
            seed, so that a clip's place in the batch means nothing.

    Returns:
        Name -> `Signature`, `serving_default` first.
    """
    maker = _Maker(model)
    decompose = maker.decompose()

    def wants(name, *methods):
        chosen = names is None or name in names
        return chosen and all(hasattr(model, method) for method in methods)

    made = [decompose]
    if wants("serving_default"):
        made.insert(0, maker.serving_default(decompose, same_seed))
    if wants("decompose_uint8"):
        made.append(maker.decompose_uint8(decompose))
    if maker.state is not None and wants("decompose_next"):
        made.append(maker.decompose_next())
    if wants("encode", "encode"):
        encode = maker.encode()
        made.append(encode)
        if wants("decode", "decode"):
            made.append(maker.decode(encode.outputs))
    if maker.state is not None and wants("predict_frames", "predict_frames"):
        made.append(maker.predict_frames())
    return {signature.name: signature for signature in made}


def encode_signature(model) -> Signature:
    """The signature `encode` alone."""
    return _Maker(model).encode()


def accepted_options(function) -> list[str]:
    """Which of `OPTIONS` a method of a model takes."""
    return [n for n in OPTIONS if n in inspect.signature(function).parameters]


def flatten(value, name="") -> dict:
    """Nested dictionaries and sequences -> one; names joined by `_`."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        return {name: value}
    flat = {}
    for key, item in items:
        flat |= flatten(item, f"{name}_{key}" if name else str(key))
    return flat


def unflatten(structure, flat, name=""):
    """Inverse of `flatten`: values of `flat` in the shape of `structure`."""
    if isinstance(structure, dict):
        items = structure.items()
    elif isinstance(structure, (list, tuple)):
        items = enumerate(structure)
    else:
        return flat[name]
    made = {
        key: unflatten(item, flat, f"{name}_{key}" if name else str(key))
        for key, item in items
    }
    if isinstance(structure, dict):
        return made
    return type(structure)(made.values())


def trace(name, meaning, function, specs) -> Signature:
    """Traces a function of a dictionary of tensors.

    Args:
        name: Name of the signature.
        meaning: See `Signature`.
        function: `{name: tensor} -> {name: tensor}`.
        specs: Name -> `tf.TensorSpec`.
    """
    compiled = tf.function(function, input_signature=[specs], autograph=False)
    outputs = compiled.get_concrete_function().structured_outputs
    outputs = {n: _spec(tensor) for n, tensor in outputs.items()}
    return Signature(name, meaning, compiled, specs, outputs)


class _Maker:
    """Makes the signatures of one model.

    Attributes:
        state: Nested `tf.TensorSpec` of the model's state, or None; known
            once `decompose` is traced.
    """

    def __init__(self, model):
        self.model = model
        self.state = None
        self.options = accepted_options(model.call)

    def specs(self, *names, options=(), dtype=tf.float32):
        """Specs of common inputs."""
        height, width = self.model.image_size
        video = [None, None, height, width, self.model.channels]
        known = {
            "video": tf.TensorSpec(video, dtype, "video"),
            "seed": tf.TensorSpec([None, 2], tf.int32, "seed"),
        }
        scalars = {n: tf.TensorSpec([], tf.int32, n) for n in options}
        return {n: known[n] for n in names} | scalars

    def decompose(self):
        def decompose(inputs):
            outputs = self._call(inputs)
            state = outputs.get("state")
            if state is not None:
                self.state = tf.nest.map_structure(_spec, state)
            return flatten(outputs)

        specs = self.specs("video", "seed", options=self.options)
        meaning = "decomposes a video; everything is given"
        return trace("decompose", meaning, decompose, specs)

    def decompose_uint8(self, decompose):
        def decompose_uint8(inputs):
            video = base.as_float(inputs["video"])
            return decompose.function({**inputs, "video": video})

        return trace(
            "decompose_uint8",
            "as decompose, for frames in 0...255",
            decompose_uint8,
            self.specs("video", "seed", options=self.options, dtype=tf.uint8),
        )

    def serving_default(self, decompose, same_seed=False):
        """The traced `decompose` with the model's own K, R and seeds."""

        def serving_default(inputs):
            seed = base.clip_seeds(inputs)
            chosen = {"seed": tf.zeros_like(seed) if same_seed else seed}
            for name in self.options:
                chosen[name] = tf.constant(getattr(self.model, name))
            return decompose.function({**inputs, **chosen})

        seeds = "seed (0, 0)" if same_seed else "seeds (0, 0), (0, 1), ..."
        return trace(
            "serving_default",
            "decomposes a video with the model's number of slots and "
            f"refinements; the clips of a batch have {seeds}",
            serving_default,
            self.specs("video"),
        )

    def decompose_next(self):
        state = _named(self.state)

        def decompose_next(inputs):
            return flatten(
                self._call(inputs, state=unflatten(self.state, inputs, "state"))
            )

        specs = self.specs("video", "seed", options=self.options)
        return trace(
            "decompose_next",
            "goes on with a long video: the frames after those that returned "
            "this state; same seed and num_slots as there",
            decompose_next,
            {**specs, **state},
        )

    def encode(self):
        options = accepted_options(self.model.encode)

        def encode(inputs):
            _check_video(inputs)
            chosen = {n: inputs[n] for n in options}
            video = {n: inputs[n] for n in ("video", "seed")}
            return flatten(self.model.encode(video, **chosen))

        return trace(
            "encode",
            "the latents of a video",
            encode,
            self.specs("video", "seed", options=options),
        )

    def decode(self, encoded):
        """`model.decode` draws frames `[N, K, D]`; here they have a clip."""

        def decode(inputs):
            shape = tf.shape(inputs["slots"])
            outputs = self.model.decode(
                **{n: _merge_frames(v) for n, v in inputs.items()}
            )
            return {
                n: _split_frames(v, shape) for n, v in flatten(outputs).items()
            }

        specs = {
            n: tf.TensorSpec(s.shape, s.dtype, n) for n, s in encoded.items()
        }
        return trace("decode", "draws latents", decode, specs)

    def predict_frames(self):
        def predict_frames(inputs):
            tf.debugging.assert_positive(
                inputs["num_frames"], "num_frames must be at least 1"
            )
            state = unflatten(self.state, inputs, "state")
            return flatten(
                self.model.predict_frames(
                    state, inputs["seed"], inputs["num_frames"]
                )
            )

        specs = {**_named(self.state), **self.specs("seed")}
        specs["num_frames"] = tf.TensorSpec([], tf.int32, "num_frames")
        return trace(
            "predict_frames",
            "predicts the frames after those that returned this state",
            predict_frames,
            specs,
        )

    def _call(self, inputs, **more):
        _check_video(inputs)
        chosen = {name: inputs[name] for name in self.options}
        batch = {"video": inputs["video"], "seed": inputs["seed"], **more}
        return self.model(batch, training=False, **chosen)


def _check_video(inputs):
    """Adds checks that run with the exported graph."""
    video, seed = inputs["video"], inputs["seed"]
    shape = tf.shape(video)
    tf.debugging.assert_positive(
        shape[:2], "video must hold at least one clip of one frame"
    )
    tf.debugging.assert_equal(
        tf.shape(seed)[0],
        shape[0],
        "seed must be [B, 2] with one row per clip of the video",
    )
    if video.dtype.is_floating:
        range_error = (
            "a floating-point video is in [0, 1]; divide by 255, or use the "
            "signature decompose_uint8"
        )
        tf.debugging.assert_non_negative(video, range_error)
        tf.debugging.assert_less_equal(video, 1.0, range_error)


def _spec(tensor):
    return tf.TensorSpec(tensor.shape, tensor.dtype)


def _named(state):
    """Specs of the state's parts, by their flat names."""
    return {
        n: tf.TensorSpec(s.shape, s.dtype, n)
        for n, s in flatten(state, "state").items()
    }


def _merge_frames(values):
    """`[B, T, ...]` -> `[B * T, ...]`."""
    shape = tf.concat([[-1], tf.shape(values)[2:]], axis=0)
    merged = tf.reshape(values, shape)
    return tf.ensure_shape(merged, [None, *values.shape[2:]])


def _split_frames(values, shape):
    """`[B * T, ...]` -> `[B, T, ...]`."""
    split = tf.reshape(
        values, tf.concat([shape[:2], tf.shape(values)[1:]], axis=0)
    )
    return tf.ensure_shape(split, [None, None, *values.shape[1:]])


def _describe(name, spec):
    axes, meaning = _MEANINGS.get(name, (None, ""))
    if name.startswith("state_"):
        meaning = _STATE
    elif name == "video" and spec.dtype == tf.uint8:
        meaning = "the video, in 0...255"
    elif axes is None:
        meaning = _OTHER
    sizes = spec.shape.as_list()
    if axes is not None and len(axes) == len(sizes) + 1:
        axes = axes.replace("BT", "N")  # by frame
    if axes is not None and len(axes) == len(sizes):
        sizes = [a if n is None else n for a, n in zip(axes, sizes)]
    return {"shape": sizes, "dtype": spec.dtype.name, "meaning": meaning}
