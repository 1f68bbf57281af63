"""Requests saliency maps from TF Serving over gRPC.

    python deploy/client_grpc.py --input photo.jpg --output out/
    python deploy/client_grpc.py --input photos/ --output out/ --label stable --resume
    python deploy/client_grpc.py --server host:8500 'photos/**/*.jpg' --output out/

Results are 8-bit PNGs at the original image sizes, in the same sub-folders. Failed
images are reported, and the exit code is then 1. Requires TensorFlow and `pip install
--no-deps tensorflow-serving-api`, but imports only their protobuf messages. The
connection is not encrypted.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deploy import common
from deploy.client import (
    INPUT,
    OUTPUT,
    Client,
    ModelInfo,
    NoAnswer,
    Refused,
    shorten_message,
)
from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError

# Photos and their maps may exceed gRPC's default limit of 4 MB.
_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # The client has its own retries. During gRPC's backoff, which grows to 2 minutes,
    # they would fail without sending anything.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 250),
)


def import_messages() -> None:
    """Makes `tensorflow_serving` importable without importing TensorFlow.

    Its messages import `tensorflow.core....._pb2` modules, which do not depend on the
    rest of TensorFlow. So an empty package is substituted for TensorFlow unless it has
    been imported already.

    Raises:
        PicanetError: if a package is missing.
    """
    for name, package in (
        ("grpc", "grpcio"),
        ("tensorflow", "tensorflow"),
        ("tensorflow_serving", "--no-deps tensorflow-serving-api"),
    ):
        if name in sys.modules:
            continue
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise PicanetError(f"client_grpc.py needs: pip install {package}")
        if name == "tensorflow":
            module = types.ModuleType(name)
            module.__path__ = list(spec.submodule_search_locations)
            sys.modules[name] = module


class GrpcClient(Client):
    """gRPC client; `server` is HOST:PORT, such as `localhost:8500`."""

    def _connect(self, model: str, version: int | None, label: str | None) -> None:
        if "/" in self.server or ":" not in self.server:
            raise PicanetError(
                f"`server` must be HOST:PORT. Received: {self.server or 'nothing'}"
            )
        import_messages()
        import grpc
        from tensorflow_serving.apis import model_pb2, prediction_service_pb2_grpc

        self._spec = model_pb2.ModelSpec(name=model, signature_name=self._signature)
        if version is not None:
            self._spec.version.value = version
        elif label:
            self._spec.version_label = label
        channel = grpc.insecure_channel(self.server, options=_OPTIONS)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def describe(self) -> ModelInfo:
        from tensorflow_serving.apis import get_model_metadata_pb2 as metadata

        request = metadata.GetModelMetadataRequest(
            model_spec=self._spec, metadata_field=["signature_def"]
        )
        answer = self._call(self._stub.GetModelMetadata, request)
        signatures = metadata.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        return ModelInfo(
            str(answer.model_spec.version.value),
            {
                name: (set(signature.inputs), set(signature.outputs))
                for name, signature in signatures.signature_def.items()
            },
        )

    def predict(self, image: bytes) -> bytes:
        from tensorflow.core.framework import types_pb2
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest(
            model_spec=self._spec, output_filter=[OUTPUT]
        )
        tensor = request.inputs[INPUT]
        tensor.dtype = types_pb2.DT_STRING
        tensor.tensor_shape.dim.add(size=1)
        tensor.string_val.append(image)
        answer = self._call(self._stub.Predict, request)
        maps = answer.outputs[OUTPUT].string_val
        if len(maps) != 1:
            raise Refused(f"the answer has no {OUTPUT}")
        return maps[0]

    def _call(self, method, request):
        import grpc

        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise self._timeout_error() from error
            message = shorten_message(error.details() or error.code().name)
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                raise NoAnswer(message, retry=True) from error
            raise Refused(message) from error


def main(words: list[str]) -> int:
    return common.run(GrpcClient, words)


if __name__ == "__main__":
    common.define_flags("localhost:8500", "HOST:PORT of the server's gRPC endpoint.")
    cli.run(main, positional="[INPUT ...]")
