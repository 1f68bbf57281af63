"""Saliency maps from TF Serving, over gRPC.

    python deploy/client_grpc.py --input photo.jpg --output out/
    python deploy/client_grpc.py --input photos/ --output out/ --label stable --resume
    python deploy/client_grpc.py --server host:8500 'photos/**/*.jpg' --output out/

Results are 8-bit PNGs of their image's own size, in the same sub-folders. What fails is
named; the exit code is then 1. Needs `pip install --no-deps tensorflow-serving-api`
beside TensorFlow, of whose packages only the messages are imported. The connection is
not encrypted.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_pipeline import cli
from data_pipeline.cli import UserError
from deploy import common
from deploy.common import INPUT, OUTPUT, Served
from deploy.pool import NoAnswer, Refused

# Photos and their maps may well be larger than gRPC's 4 MB.
_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # The pauses between tries are ours; gRPC's own, growing to 2 minutes, would let
    # a try fail without one.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 250),
)


def import_messages() -> None:
    """Makes `tensorflow_serving` importable without TensorFlow's own start of seconds.

    Its messages import `tensorflow.core....._pb2`, files of messages by themselves. So
    their package is put in place, and not run; unless TensorFlow is there already.

    Raises:
        UserError: a package is missing.
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
            raise UserError(f"client_grpc.py needs: pip install {package}")
        if name == "tensorflow":
            module = types.ModuleType(name)
            module.__path__ = list(spec.submodule_search_locations)
            sys.modules[name] = module


class GrpcClient:
    """One model of one server.

    Args:
        server: as `localhost:8500`.
        model: its name.
        version: its version; None for the highest one.
        label: instead of the version.
        signature: its name.
        timeout: seconds.
    """

    def __init__(
        self,
        server: str,
        model: str,
        version: int | None = None,
        label: str | None = None,
        signature: str = "image_bytes",
        timeout: float = 30,
    ):
        if "/" in server or ":" not in server:
            raise UserError(
                f"--server must be HOST:PORT. Received: {server or 'nothing'}"
            )
        import_messages()
        import grpc
        from tensorflow_serving.apis import model_pb2, prediction_service_pb2_grpc

        self.name = server
        self._spec = model_pb2.ModelSpec(name=model, signature_name=signature)
        if version is not None:
            self._spec.version.value = version
        elif label:
            self._spec.version_label = label
        self._timeout = timeout
        channel = grpc.insecure_channel(server, options=_OPTIONS)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def describe(self) -> Served:
        from tensorflow_serving.apis import get_model_metadata_pb2 as metadata

        request = metadata.GetModelMetadataRequest(
            model_spec=self._spec, metadata_field=["signature_def"]
        )
        answer = self._ask(self._stub.GetModelMetadata, request)
        signatures = metadata.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        return Served(
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
        answer = self._ask(self._stub.Predict, request)
        maps = answer.outputs[OUTPUT].string_val
        if len(maps) != 1:
            raise Refused(f"the answer has no {OUTPUT}")
        return maps[0]

    def _ask(self, method, request):
        import grpc

        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                message = f"no answer within {self._timeout:g} s"
                raise NoAnswer(message, again=False) from error
            message = common.first_line(error.details() or error.code().name)
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                raise NoAnswer(message, again=True) from error
            raise Refused(message) from error


def main(words: list[str]) -> int:
    return common.run(GrpcClient, words)


if __name__ == "__main__":
    common.define_flags("localhost:8500", "HOST:PORT, of the server's gRPC port.")
    cli.run(main, positional="[INPUT ...]")
