"""A stand-in for TF Serving on loopback, with what its clients need.

It loads a SavedModel in Python and speaks `PredictionService` (Predict,
GetModelMetadata) with the official stubs, and the REST API's predict (rows), status and
metadata. Answers, errors and their codes are those of TF Serving's source and manual;
it was never compared with the real server. For tests only.

    python -m tests.deploy.server BASE DELAY     as a process that can be killed
"""

from __future__ import annotations

import base64
import http.server
import json
import re
import sys
import threading
from concurrent import futures
from pathlib import Path
from urllib.parse import unquote

import grpc
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.deploy.models import Code, Model, Status, load_versions

# tensorflow_serving/model_servers/http_rest_api_util.cc
_HTTP = {
    Code.INVALID_ARGUMENT: 400,
    Code.NOT_FOUND: 404,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, model: Model):
        self._model = model

    def Predict(self, request, context):
        return self._answer(self._predict, request, context)

    def GetModelMetadata(self, request, context):
        return self._answer(
            lambda request: metadata(self._model, self._version(request)),
            request,
            context,
        )

    def _answer(self, answer, request, context):
        try:
            return answer(request)
        except Status as status:
            context.abort(status.code, status.message)

    def _version(self, request):
        spec = request.model_spec
        given = spec.version.value if spec.HasField("version") else None
        return self._model.find(spec.name, given, spec.version_label)

    def _predict(self, request):
        version = self._version(request)
        signature = request.model_spec.signature_name or "serving_default"
        inputs = {
            name: tf.constant(tf.make_ndarray(value))
            for name, value in request.inputs.items()
        }
        outputs = self._model.predict(
            version, signature, inputs, list(request.output_filter)
        )
        response = predict_pb2.PredictResponse()
        response.model_spec.name = self._model.name
        response.model_spec.version.value = version
        response.model_spec.signature_name = signature
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response


def metadata(model: Model, version: int):
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = model.name
    response.model_spec.version.value = version
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in model.versions[version].signatures.items():
        signatures.signature_def[name].CopyFrom(signature)
    response.metadata["signature_def"].Pack(signatures)
    return response


_URL = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
    r"(?P<verb>:predict|/metadata|)"
)


class _Rest(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: Model

    def do_GET(self):
        self._answer(("", "/metadata"))

    def do_POST(self):
        self._answer((":predict",))

    def log_message(self, *_):
        pass

    def _answer(self, verbs):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match = _URL.fullmatch(self.path)
        try:
            if not match or match["verb"] not in verbs:
                raise Status(
                    Code.INVALID_ARGUMENT,
                    f"Malformed request: {self.command} {self.path}",
                )
            version = match["version"] and int(match["version"])
            found = self.model.find(unquote(match["name"]), version, match["label"])
            if match["verb"] == ":predict":
                answer = self._predict(found, body)
            elif match["verb"]:
                answer = self._metadata(found)
            else:
                only = version or match["label"]
                answer = self._status([found] if only else self.model.versions)
            self._send(200, answer)
        except Status as status:
            self._send(_HTTP[status.code], {"error": status.message})

    def _send(self, code, answer):
        content = json.dumps(answer, indent=1).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _status(self, versions):
        ok = {"error_code": "OK", "error_message": ""}
        return {
            "model_version_status": [
                {"version": str(version), "state": "AVAILABLE", "status": ok}
                for version in sorted(versions, reverse=True)
            ]
        }

    def _metadata(self, version):
        response = json_format.MessageToDict(
            metadata(self.model, version), preserving_proto_field_name=True
        )
        return {
            "model_spec": {
                "name": self.model.name,
                "signature_name": "",
                "version": str(version),
            },
            "metadata": response["metadata"],
        }

    def _predict(self, version, body):
        try:
            request = json.loads(body)
            rows = request["instances"]
        except (ValueError, KeyError, TypeError) as error:
            raise Status(
                Code.INVALID_ARGUMENT, "Missing 'inputs' or 'instances' key"
            ) from error
        name = request.get("signature_name", "serving_default")
        signature = self.model.signature(version, name)
        inputs = _columns(rows, signature)
        outputs = self.model.predict(version, name, inputs)
        columns = {name: _as_json(name, value) for name, value in outputs.items()}
        if len(columns) == 1:
            return {"predictions": next(iter(columns.values()))}
        names = list(columns)
        return {
            "predictions": [
                dict(zip(names, row, strict=True))
                for row in zip(*columns.values(), strict=True)
            ]
        }


def _columns(rows, signature) -> dict:
    """Rows of JSON as tensors. The name of a single input may be left out."""
    names = list(signature.inputs)
    if len(names) == 1 and not (isinstance(rows[0], dict) and names[0] in rows[0]):
        rows = [{names[0]: row} for row in rows]
    inputs = {}
    for name in names:
        dtype = tf.as_dtype(signature.inputs[name].dtype)
        try:
            values = [
                _as_bytes(row[name]) if dtype == tf.string else row[name]
                for row in rows
            ]
            inputs[name] = tf.constant(values, dtype)
        except (KeyError, TypeError, ValueError) as error:
            raise Status(
                Code.INVALID_ARGUMENT,
                "Failed to process element: 0 of 'instances' list. JSON object: does "
                f"not have named input: {name}",
            ) from error
    return inputs


def _as_bytes(value):
    if isinstance(value, dict):
        return base64.b64decode(value["b64"], validate=True)
    return value.encode()


def _as_json(name, value):
    if value.dtype == object:
        if name.endswith("_bytes"):
            return [{"b64": base64.b64encode(item).decode()} for item in value]
        return [item.decode() for item in value]
    return value.tolist()


class Server:
    """Both ports of a model, on loopback; a context manager.

    Attributes:
        grpc: HOST:PORT.
        rest: URL.
    """

    def __init__(self, model: Model):
        self.model = model
        self._grpc = grpc.server(
            futures.ThreadPoolExecutor(16),
            options=[("grpc.max_receive_message_length", -1)],
        )
        service = _Service(model)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            service, self._grpc
        )
        self.grpc = f"127.0.0.1:{self._grpc.add_insecure_port('127.0.0.1:0')}"
        handler = type("Rest", (_Rest,), {"model": model})
        self._rest = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._rest.daemon_threads = True
        self.rest = f"http://127.0.0.1:{self._rest.server_port}"

    def __enter__(self) -> Server:
        self._grpc.start()
        threading.Thread(target=self._rest.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._rest.shutdown()
        self._rest.server_close()
        self._grpc.stop(None)


if __name__ == "__main__":
    model = Model("picanet", load_versions(Path(sys.argv[1])))
    model.delay = float(sys.argv[2])
    with Server(model) as started:
        print(started.grpc, started.rest, flush=True)
        threading.Event().wait()
