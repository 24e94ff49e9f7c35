"""Folders that TensorFlow Serving takes as they are.

    from tfdecomp.exporting import tf_serving

    tf_serving.export(model, "~/serving", "balls", pixels)

| file | for |
|---|---|
| `NAME/VERSION/` | the SavedModel; the server loads the highest number |
| `NAME/VERSION/assets.extra/` | requests that it answers before any other |
| `models.config` | `--model_config_file`: all models of the folder |
| `batching.config` | `--batching_parameters_file` |
| `compose.yaml` | the server in a container, `docker compose up` |

A version appears when it is whole, warm-up and all, so that a server that
watches the folder never sees a part of it.
"""

import importlib.util
import os
import pathlib
import re

import numpy as np
import tensorflow as tf

from tfdecomp.exporting import folders, saved_model
from tfdecomp.exporting.check import ExportError
from tfdecomp.exporting.signatures import OPTIONS, make_signatures
from tfdecomp.models import base

WARMUP = pathlib.Path("assets.extra", "tf_serving_warmup_requests")
IMAGE = "tensorflow/serving:2.21"
_IN_CONTAINER = "/models"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
# Of a batch that is cut short by the clock as well; see batching.config.
_MOST_CLIPS, _WAIT_MICROSECONDS = 8, 5000


def check(folder, name) -> pathlib.Path:
    """The absolute path of `folder`, if a model may go there by that name.

    Raises:
        ExportError: If it may not, or if the protocols are not installed.
    """
    if not _NAME.fullmatch(name):
        raise ExportError(
            f"{name!r} is no name for a server; expected letters, digits, "
            "dots, dashes and underscores: give one with --name"
        )
    if importlib.util.find_spec("tensorflow_serving") is None:
        raise ExportError(
            "the warm-up of TensorFlow Serving needs its protocols: pip "
            "install 'tfdecomp[serving]'"
        )
    folder = pathlib.Path(os.path.expanduser(folder)).absolute()
    for path in (folder, folder / name):
        if path.exists() and not path.is_dir():
            raise ExportError(f"{path} is a file; --serving names a folder")
    return folder


def export(model, folder, name, pixels, *, info=None, batching=False) -> dict:
    """Writes the next version of a model, and the server's files anew.

    Args:
        model: A built `DecompositionModel`.
        folder: That of all models.
        name: Of the model, as clients ask for it.
        pixels: Frames `[T, H, W, C]` uint8 of the model's size, at least two;
            the requests of the warm-up are made of them.
        info: As for `saved_model.export`.
        batching: Whether to leave out what cannot be batched: signatures that
            take a number for all clips. The rest gives a clip the same answer
            whatever it is batched with.

    Returns:
        The content of `signatures.json`, and `version`.

    Raises:
        ExportError: As `check` and `saved_model.export`.
    """
    folder = check(folder, name)
    saved_model.check_model(model)
    signatures = make_signatures(model, same_seed=batching)
    asked = requests(model, signatures, pixels)
    if batching:
        kept = {n: s for n, s in signatures.items() if can_be_batched(s)}
    else:
        kept = signatures
    version = max([0, *versions(folder / name)]) + 1

    def warm(made):
        path = made / WARMUP
        path.parent.mkdir()
        write_warmup(path, name, {n: asked[n] for n in kept})

    content = saved_model.export(
        model,
        folder / name / str(version),
        info=info,
        signatures=signatures,
        names=list(kept),
        before_naming=warm,
    )
    write_server_files(folder)
    return content | {"version": version}


def versions(folder) -> list[int]:
    """The versions of a model, as its server finds them."""
    folder = pathlib.Path(folder)
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(path.name) for path in found if path.name.isdecimal())


def can_be_batched(signature) -> bool:
    """Whether all inputs and outputs of a `Signature` have a row per clip.

    The server joins requests along their first axis, and so has no place for
    a number that is told once.
    """
    specs = [*signature.inputs.values(), *signature.outputs.values()]
    return all(spec.shape.rank and spec.shape[0] is None for spec in specs)


def requests(model, signatures, pixels) -> dict[str, dict[str, np.ndarray]]:
    """Inputs of each signature, made of real frames.

    Those that go on from another's outputs, such as `decode`, get these.

    Args:
        model: What the signatures were made of.
        signatures: All of `make_signatures`.
        pixels: `[T, H, W, C]` uint8.

    Returns:
        Signature -> name -> array, one clip each.
    """
    pixels = np.asarray(pixels)[None]
    video = base.as_float(tf.constant(pixels)).numpy()
    known = {"video": video, "seed": np.zeros([1, 2], np.int32)}
    known["num_frames"] = np.int32(2)
    options = {n: getattr(model, n, None) for n in OPTIONS}
    known |= {n: np.int32(v) for n, v in options.items() if v is not None}
    asked = {}
    for name, signature in signatures.items():
        given = known | {"video": pixels} if "uint8" in name else known
        asked[name] = {n: given[n] for n in signature.inputs}
        if name not in ("decompose", "encode"):
            continue
        tensors = {n: tf.constant(v) for n, v in asked[name].items()}
        with tf.device("CPU:0"):
            outputs = signature.function(tensors)
        known |= {
            n: value.numpy()
            for n, value in outputs.items()
            if name == "encode" or n.startswith("state_")
        }
    return asked


def write_warmup(path, name, asked):
    """Writes requests that a server answers while it loads a model.

    Args:
        path: The file; records of `PredictionLog`.
        name: Of the model.
        asked: From `requests`.
    """
    from tensorflow_serving.apis import prediction_log_pb2

    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in asked.items():
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())


def write_server_files(folder):
    """Writes what a server is told of the models in a folder.

    Args:
        folder: That of all models.
    """
    models = sorted(p.name for p in folder.iterdir() if versions(p))
    batched = all(_is_batched(folder / name) for name in models)
    for name, text in (
        ("models.config", models_config(models)),
        ("batching.config", batching_config()),
        ("compose.yaml", compose(batched)),
    ):
        partial = folder / f".{name}.partial"
        partial.write_text(text)
        os.replace(partial, folder / name)


def models_config(names) -> str:
    """The text of a `ModelServerConfig`.

    Args:
        names: Of the models.
    """
    entries = "".join(
        f"""  config {{
    name: "{name}"
    base_path: "{_IN_CONTAINER}/{name}"
    model_platform: "tensorflow"
  }}
"""
        for name in names
    )
    return f"model_config_list {{\n{entries}}}\n"


def batching_config() -> str:
    """The text of `BatchingParameters`."""
    return f"""\
# Joins requests that come within milliseconds: of clips of one length, and of
# signatures without a number for all clips. Used once every model of the
# folder was exported with --batching.
max_batch_size {{ value: {_MOST_CLIPS} }}
batch_timeout_micros {{ value: {_WAIT_MICROSECONDS} }}
max_enqueued_batches {{ value: 100 }}
num_batch_threads {{ value: 1 }}
"""


def compose(batched) -> str:
    """The text of a Compose file that serves the folder it lies in.

    Args:
        batched: Whether to join requests.
    """
    command = [f"--model_config_file={_IN_CONTAINER}/models.config"]
    # New models appear without a restart, as new versions do anyway.
    command.append("--model_config_file_poll_wait_seconds=60")
    if batched:
        command.append("--enable_batching=true")
        path = f"{_IN_CONTAINER}/batching.config"
        command.append(f"--batching_parameters_file={path}")
    lines = "\n".join(f"      - {word}" for word in command)
    return f"""\
services:
  serving:
    image: {IMAGE}
    # gRPC and REST, for this machine alone: the server knows no passwords.
    ports:
      - "127.0.0.1:8500:8500"
      - "127.0.0.1:8501:8501"
    volumes:
      - .:{_IN_CONTAINER}:ro
    restart: unless-stopped
    command:
{lines}
"""


def _is_batched(folder):
    """Whether the latest version of a model has no number for all clips."""
    latest = folder / str(versions(folder)[-1])
    described = folders.read_json(latest)["signatures"].values()
    return all(
        entry["shape"] for s in described for entry in s["inputs"].values()
    )
