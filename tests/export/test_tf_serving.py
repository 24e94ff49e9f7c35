"""What TensorFlow Serving is given, read and asked by its own protocols.

The server is a container and not run here. Its files are parsed by its
protocols, its warm-up is replayed through the SavedModel, and a small server
that speaks the same protocols answers the client of examples/.
"""

import concurrent.futures
import http.server
import json
import pathlib
import subprocess
import sys
import threading

import export_models
import grpc
import numpy as np
import pytest
import tensorflow as tf
import yaml
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    json_format,
    message_factory,
    text_format,
    wrappers_pb2,
)
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2

from tfdecomp.exporting import tf_serving
from tfdecomp.exporting.check import ExportError

CLIENT = (
    pathlib.Path(__file__)
    .resolve()
    .parents[2]
    .joinpath("examples", "serving_client.py")
)
SIZE = 4


def real_frames(count=4):
    """A bright square that moves over a dark ground, `[T, H, W, 1]`."""
    pixels = np.full((count, SIZE, SIZE, 1), 20, np.uint8)
    for t in range(count):
        pixels[t, t % SIZE :, 1:3] = 200
    return pixels


def batching_parameters():
    """The message of `batching.config`, which the protocols leave out.

    Its fields as TensorFlow Serving documents them.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="batching.proto",
        package="documented",
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    message = file.message_type.add(name="BatchingParameters")
    for number, name in enumerate(
        (
            "max_batch_size",
            "batch_timeout_micros",
            "max_enqueued_batches",
            "num_batch_threads",
        ),
        start=1,
    ):
        message.field.add(
            name=name,
            number=number,
            type=descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE,
            label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
            type_name=".google.protobuf.Int64Value",
        )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    found = pool.FindMessageTypeByName("documented.BatchingParameters")
    return message_factory.GetMessageClass(found)


def test_the_list_of_models_is_what_the_server_parses():
    text = tf_serving.models_config(["a.b", "c"])
    parsed = text_format.Parse(
        text, model_server_config_pb2.ModelServerConfig()
    )
    found = [
        (config.name, config.base_path, config.model_platform)
        for config in parsed.model_config_list.config
    ]
    assert found == [
        ("a.b", "/models/a.b", "tensorflow"),
        ("c", "/models/c", "tensorflow"),
    ]


def test_the_batching_has_the_fields_that_are_documented():
    parsed = text_format.Parse(
        tf_serving.batching_config(), batching_parameters()()
    )
    assert parsed.max_batch_size.value == 8
    assert parsed.batch_timeout_micros.value == 5000
    assert parsed.num_batch_threads.value >= 1


@pytest.mark.parametrize("batched", [False, True])
def test_the_container_serves_its_own_folder_to_this_machine(batched):
    service = yaml.safe_load(tf_serving.compose(batched))["services"]["serving"]
    assert service["image"] == "tensorflow/serving:2.21"
    assert service["volumes"] == [".:/models:ro"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    flags = dict(word.split("=") for word in service["command"])
    assert flags["--model_config_file"] == "/models/models.config"
    assert ("--enable_batching" in flags) == batched
    assert ("--batching_parameters_file" in flags) == batched


def test_versions_are_numbers_and_nothing_else(tmp_path):
    for name in ("2", "10", ".3.abc", "old"):
        (tmp_path / name).mkdir()
    assert tf_serving.versions(tmp_path) == [2, 10]
    assert tf_serving.versions(tmp_path / "nowhere") == []


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", 'a"'])
def test_a_name_that_would_break_a_path_or_a_config_is_refused(name, tmp_path):
    with pytest.raises(ExportError, match="is no name for a server"):
        tf_serving.check(tmp_path, name)


def test_a_file_where_the_folder_belongs_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="is a file"):
        tf_serving.check(tmp_path / "file", "a")
    with pytest.raises(ExportError, match="is a file"):
        tf_serving.check(tmp_path, "file")


def test_without_the_protocols_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(
        tf_serving.importlib.util, "find_spec", lambda name: None
    )
    with pytest.raises(ExportError, match=r"tfdecomp\[serving\]"):
        tf_serving.check(tmp_path, "a")


def recorded(path):
    """The requests of a warm-up: `(model, signature, name -> array)`."""
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        spec = request.model_spec
        arrays = {n: tf.make_ndarray(v) for n, v in request.inputs.items()}
        yield spec.name, spec.signature_name, arrays


def test_a_warm_up_holds_what_was_asked(tmp_path):
    asked = {
        "decode": {"slots": np.ones([1, 2, 3], np.float32)},
        "decompose": {
            "video": np.arange(8, dtype=np.uint8).reshape(1, 8),
            "num_slots": np.int32(4),
        },
    }
    tf_serving.write_warmup(tmp_path / "log", "balls", asked)
    found = list(recorded(tmp_path / "log"))
    assert [(model, name) for model, name, _ in found] == [
        ("balls", "decode"),
        ("balls", "decompose"),
    ]
    for _, name, arrays in found:
        assert arrays.keys() == asked[name].keys()
        for key, value in arrays.items():
            assert value.dtype == asked[name][key].dtype
            np.testing.assert_array_equal(value, asked[name][key])


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder with a model of two versions, and an older one."""
    folder = tmp_path_factory.mktemp("serving")
    (folder / "silhouettes" / "1").mkdir(parents=True)
    (folder / "silhouettes" / "1" / "signatures.json").write_text(
        json.dumps({"signatures": {}})
    )
    model = export_models.Levels()
    for version in (1, 2):
        content = tf_serving.export(model, folder, "levels", real_frames())
        assert content["version"] == version
    return folder


def load(folder, name, version):
    return tf.saved_model.load(str(folder / name / str(version)))


@pytest.mark.slow
def test_each_export_is_the_next_version_beside_the_others(served):
    assert tf_serving.versions(served / "levels") == [1, 2]
    assert tf_serving.versions(served / "silhouettes") == [1]
    names = {path.name for path in served.iterdir()}
    files = {"models.config", "batching.config", "compose.yaml"}
    assert names == {"levels", "silhouettes"} | files
    text = (served / "models.config").read_text()
    assert text == tf_serving.models_config(["levels", "silhouettes"])
    compose = yaml.safe_load((served / "compose.yaml").read_text())
    flags = compose["services"]["serving"]["command"]
    assert not any("batching" in flag for flag in flags)


@pytest.mark.slow
def test_every_signature_answers_its_request_of_the_warm_up(served):
    loaded = load(served, "levels", 2)
    path = served / "levels" / "2" / tf_serving.WARMUP
    asked = set()
    for model, name, inputs in recorded(path):
        asked.add(name)
        assert model == "levels"
        tensors = {n: tf.constant(value) for n, value in inputs.items()}
        outputs = loaded.signatures[name](**tensors)
        for value in outputs.values():
            assert np.isfinite(value.numpy()).all(), name
    assert asked == set(loaded.signatures)


@pytest.mark.slow
def test_a_warm_up_is_made_of_the_frames_that_were_given(served):
    path = served / "levels" / "2" / tf_serving.WARMUP
    asked = {name: inputs for _, name, inputs in recorded(path)}
    pixels = real_frames()[None]
    np.testing.assert_array_equal(asked["decompose_uint8"]["video"], pixels)
    np.testing.assert_allclose(
        asked["serving_default"]["video"], pixels / 255, rtol=1e-6
    )
    np.testing.assert_array_equal(asked["decode"]["slots"].shape[:3], (1, 4, 3))


@pytest.mark.slow
def test_what_is_batched_gives_a_clip_one_answer(tmp_path):
    model = export_models.Levels()
    content = tf_serving.export(
        model, tmp_path, "levels", real_frames(), batching=True
    )
    loaded = load(tmp_path, "levels", 1)
    assert set(content["signatures"]) == set(loaded.signatures)
    assert "serving_default" in loaded.signatures
    assert "decompose" not in loaded.signatures, "it takes a number of slots"
    asked = [
        name
        for _, name, _ in recorded(
            tmp_path / "levels" / "1" / tf_serving.WARMUP
        )
    ]
    assert asked == list(content["signatures"])
    clip = tf.constant(real_frames()[None] / np.float32(255))
    alone = loaded.signatures["serving_default"](video=clip)
    twice = loaded.signatures["serving_default"](video=tf.repeat(clip, 2, 0))
    for name, value in alone.items():
        for place in range(2):
            np.testing.assert_array_equal(twice[name][place], value[0], name)
    flags = yaml.safe_load((tmp_path / "compose.yaml").read_text())
    flags = flags["services"]["serving"]["command"]
    assert "--enable_batching=true" in flags


class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers by the protocols of TensorFlow Serving, from a SavedModel."""

    def __init__(self, folder, name, version):
        self.name = name
        self.signatures = load(folder, name, version).signatures
        path = folder / name / str(version) / "saved_model.pb"
        saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        self.described = get_model_metadata_pb2.SignatureDefMap()
        for key, value in saved.meta_graphs[0].signature_def.items():
            self.described.signature_def[key].CopyFrom(value)

    def Predict(self, request, context):
        assert request.model_spec.name == self.name
        signature = request.model_spec.signature_name
        outputs = self.answer(
            signature,
            {n: tf.make_ndarray(v) for n, v in request.inputs.items()},
        )
        response = predict_pb2.PredictResponse()
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response

    def GetModelMetadata(self, request, context):
        assert list(request.metadata_field) == ["signature_def"]
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(self.described)
        return response

    def answer(self, signature, inputs):
        tensors = {
            n: tf.constant(
                value,
                self.signatures[signature]
                .structured_input_signature[1][n]
                .dtype,
            )
            for n, value in inputs.items()
        }
        outputs = self.signatures[signature](**tensors)
        return {n: value.numpy() for n, value in outputs.items()}


@pytest.fixture(scope="module")
def servicer(served):
    return Servicer(served, "levels", 2)


@pytest.fixture
def over_grpc(servicer):
    """The port of a gRPC server."""
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        server = grpc.server(
            threads, options=[("grpc.max_receive_message_length", -1)]
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            servicer, server
        )
        port = server.add_insecure_port("localhost:0")
        server.start()
        yield port
        server.stop(None)


@pytest.fixture
def over_rest(servicer):
    """The port of an HTTP server with the paths of the REST API."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.path == "/v1/models/levels/metadata"
            found = json_format.MessageToDict(
                servicer.described, preserving_proto_field_name=True
            )
            self._send({"metadata": {"signature_def": found}})

        def do_POST(self):
            assert self.path == "/v1/models/levels:predict"
            length = int(self.headers["Content-Length"])
            asked = json.loads(self.rfile.read(length))
            outputs = servicer.answer(asked["signature_name"], asked["inputs"])
            self._send({"outputs": {n: v.tolist() for n, v in outputs.items()}})

        def _send(self, content):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["grpc", "rest"])
def test_the_client_gets_what_the_model_says(kind, request, tmp_path):
    port = request.getfixturevalue(f"over_{kind}")
    clip = np.repeat(np.repeat(real_frames(), 2, 1), 2, 2)  # twice as large
    np.save(tmp_path / "clip.npy", np.repeat(clip, 3, -1))  # grey, as RGB
    words = [f"--input={tmp_path}/clip.npy", f"--output={tmp_path}/parts.npz"]
    words += ["--model=levels", f"--port={port}", "--frames=3"]
    words += ["--rest"] if kind == "rest" else []
    done = subprocess.run(
        [sys.executable, str(CLIENT), *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"masks [1, 3, 3, {SIZE}, {SIZE}, 1]" in done.stdout
    video = real_frames(3)[None] / np.float32(255)
    expected = export_models.Levels()({"video": tf.constant(video)})
    with np.load(tmp_path / "parts.npz") as found:
        np.testing.assert_allclose(found["video"], video, rtol=1e-6)
        np.testing.assert_allclose(
            found["masks"], expected["masks"], rtol=1e-3, atol=1e-4
        )
