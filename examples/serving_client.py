"""Asks TensorFlow Serving for the objects of a clip, over gRPC or REST.

    python examples/serving_client.py --model=provide_balls_quick \\
        --input=clip.mp4 --output=parts.npz
    python examples/serving_client.py --model=provide_balls_quick \\
        --input=clip.npy --output=parts.npz --rest

Needs no tfdecomp: pip install tensorflow-serving-api pillow av, and for REST
alone numpy, pillow and av. The clip goes to the server as one request.
"""

import argparse
import json
import pathlib
import urllib.request

import numpy as np
from PIL import Image

SIGNATURE = "serving_default"
SECONDS = 300  # the first call of a clip's length may take long


def frames(path, count) -> list[np.ndarray]:
    """The first frames of a video or of an array `[T, H, W, 3]` uint8."""
    if pathlib.Path(path).suffix == ".npy":
        return list(np.load(path)[:count])
    import av

    with av.open(path) as container:
        decoded = zip(range(count), container.decode(video=0))
        return [frame.to_ndarray(format="rgb24") for _, frame in decoded]


def fitted(pictures, height, width, channels) -> np.ndarray:
    """The clip `[1, T, H, W, C]` in [0, 1] that a model of this size reads."""
    resized = [
        Image.fromarray(picture).resize((width, height), Image.Resampling.BOX)
        for picture in pictures
    ]
    mode = "L" if channels == 1 else "RGB"
    clip = np.stack([np.asarray(image.convert(mode)) for image in resized])
    clip = clip.reshape(1, len(pictures), height, width, channels)
    return clip.astype(np.float32) / 255


class Grpc:
    """A model behind gRPC.

    Args:
        address: Such as `localhost:8500`.
        model: Name of the model.
    """

    def __init__(self, address, model):
        import grpc
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        self.model = model
        # Masks of a clip are more than the four megabytes of a default.
        channel = grpc.insecure_channel(
            address, options=[("grpc.max_receive_message_length", -1)]
        )
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def size(self) -> list[int]:
        """`[H, W, C]` of the frames that the model reads."""
        from tensorflow_serving.apis import get_model_metadata_pb2 as pb2

        request = pb2.GetModelMetadataRequest()
        request.model_spec.name = self.model
        request.metadata_field.append("signature_def")
        answer = self.stub.GetModelMetadata(request, timeout=SECONDS)
        found = pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(found)
        video = found.signature_def[SIGNATURE].inputs["video"]
        return [axis.size for axis in video.tensor_shape.dim[2:]]

    def __call__(self, video) -> dict[str, np.ndarray]:
        """What the model says of a clip."""
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.model
        request.model_spec.signature_name = SIGNATURE
        request.inputs["video"].CopyFrom(tf.make_tensor_proto(video))
        answer = self.stub.Predict(request, timeout=SECONDS)
        return {n: tf.make_ndarray(v) for n, v in answer.outputs.items()}


class Rest:
    """A model behind REST: no packages needed, but much slower.

    Args:
        address: Such as `localhost:8501`.
        model: Name of the model.
    """

    def __init__(self, address, model):
        self.url = f"http://{address}/v1/models/{model}"

    def size(self) -> list[int]:
        """`[H, W, C]` of the frames that the model reads."""
        answer = self._ask("/metadata")["metadata"]["signature_def"]
        inputs = answer["signature_def"][SIGNATURE]["inputs"]
        axes = inputs["video"]["tensor_shape"]["dim"]
        return [int(axis["size"]) for axis in axes[2:]]

    def __call__(self, video) -> dict[str, np.ndarray]:
        """What the model says of a clip."""
        # By name, not by row: a state need not have one row for each clip.
        asked = {"signature_name": SIGNATURE, "inputs": {"video": video}}
        answer = self._ask(":predict", asked)["outputs"]
        return {n: np.asarray(v) for n, v in answer.items()}

    def _ask(self, path, content=None):
        data = content and json.dumps(content, default=np.ndarray.tolist)
        request = urllib.request.Request(
            self.url + path, data and data.encode()
        )
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return json.load(answer)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="its name there")
    parser.add_argument("--input", required=True, help="video, or .npy file")
    parser.add_argument("--output", required=True, help=".npz file to write")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, help="8500, or 8501 for REST")
    parser.add_argument("--frames", type=int, default=8, help="at most")
    parser.add_argument("--rest", action="store_true", help="in place of gRPC")
    flags = parser.parse_args()
    port = flags.port or (8501 if flags.rest else 8500)
    ask = (Rest if flags.rest else Grpc)(f"{flags.host}:{port}", flags.model)
    video = fitted(frames(flags.input, flags.frames), *ask.size())
    parts = ask(video)
    np.savez_compressed(flags.output, video=video, **parts)
    for name, value in sorted(parts.items()):
        print(name, list(value.shape))


if __name__ == "__main__":
    main()
