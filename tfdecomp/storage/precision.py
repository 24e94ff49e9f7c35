"""The same model in other numbers: float32, or bfloat16 where that is safe.

Weights, likelihoods and recurrent state stay float32; what takes the time,
convolutions and dense layers, is computed in bfloat16.
"""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from tfdecomp.storage import saving
from tfdecomp.untrusted import shipped

AUTO, FLOAT32, BFLOAT16 = "auto", "float32", "bfloat16"
POLICIES = {FLOAT32: "float32", BFLOAT16: "mixed_bfloat16"}
# Share of the pixels whose slot must be the same in both.
LEAST_AGREEMENT = 0.995
# What was measured of shipped models, on newly generated clips of their own
# sets (`benchmarks.measure_precision`). "auto" leaves all others as they are.
AGREEMENT = {
    "iodine_balls_quick": 0.9959,
    "iodine_multi_dsprites_quick": 0.9935,
    "iodine_tetrominoes": 0.9996,
    "iodine_tetrominoes_quick": 0.9996,
    "lavae_digits_quick": 0.9999,
    "provide_balls": 0.8345,
    "provide_balls_quick": 0.9662,
    "seq_iodine_balls_quick": 0.9968,
    "silot_motion": 0.9999,
}
_FLAGS = {"avx512_bf16", "amx_bf16"}  # of processors, as Linux names them
_CPUINFO = pathlib.Path("/proc/cpuinfo")
_CAPABILITY = 8, 0  # of GPUs


def chosen(precision, info=None) -> str:
    """What to compute in.

    Args:
        precision: One of `"auto"`, `"float32"` and `"bfloat16"`. `"auto"` is
            bfloat16 for shipped models of which `AGREEMENT` says that it is
            safe, on machines that compute in it natively.
        info: Content of the model's `info.json`.

    Returns:
        `"float32"` or `"bfloat16"`.

    Raises:
        ValueError: If the word is unknown.
    """
    if precision in POLICIES:
        return precision
    if precision != AUTO:
        raise ValueError(
            f"precision must be one of {AUTO}, {', '.join(POLICIES)}, got "
            f"{precision!r:.60}"
        )
    is_safe = _agreement(info or {}) >= LEAST_AGREEMENT
    return BFLOAT16 if is_safe and is_native() else FLOAT32


def _agreement(info):
    """What was measured of these very weights; 0 if nothing was."""
    name = info.get("name")
    if not isinstance(name, str) or name not in AGREEMENT:
        return 0.0
    is_own = info.get("sha256") == shipped.SUMS.get(name)
    return AGREEMENT[name] if is_own else 0.0


def is_native(cpuinfo=_CPUINFO) -> bool:
    """Whether the device that models run on multiplies bfloat16 itself.

    Args:
        cpuinfo: Where Linux says what the processor can.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = map(tf.config.experimental.get_device_details, gpus)
        return all(
            (found.get("compute_capability") or (0, 0)) >= _CAPABILITY
            for found in details
        )
    try:
        text = cpuinfo.read_text(encoding="utf-8")
    except OSError:  # another system, which does not say
        return False
    lines = text.splitlines()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not _FLAGS.isdisjoint(flags.split())


def at(model, precision):
    """A model with the same weights that computes in a precision.

    Args:
        model: A built `DecompositionModel`.
        precision: `"float32"` or `"bfloat16"`.

    Returns:
        The model itself if it does already, else a new one.

    Raises:
        ValueError: If it cannot be built from its config.
    """
    if model.compute_dtype == precision:
        return model
    policy = POLICIES[precision]
    content = keras.saving.serialize_keras_object(model)
    content.pop("build_config", None)  # weights are created by `build`
    content.pop("compile_config", None)
    with saving.dtype_policy(policy):
        other = keras.saving.deserialize_keras_object(_in(content, policy))
        saving.build(other)
    shapes = [tuple(v.shape) for v in model.variables]
    if [tuple(v.shape) for v in other.variables] != shapes:
        raise ValueError(
            f"{type(model).__name__} is not built again from its config with "
            f"the same weights, so it stays {model.compute_dtype}; leave "
            "precision out"
        )
    for variable, own in zip(other.variables, model.variables):
        variable.assign(np.asarray(own.numpy()))
    return other


def _in(content, policy):
    """A serialised object with another dtype policy wherever one stands.

    What is float32 in any precision says so in its code, not in a config.
    """
    if isinstance(content, list):
        return [_in(value, policy) for value in content]
    if not isinstance(content, dict):
        return content
    if content.get("class_name") == "DTypePolicy":
        return {**content, "config": {"name": policy}}
    return {name: _in(value, policy) for name, value in content.items()}
