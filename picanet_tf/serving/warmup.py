"""Requests that TF Serving replays when it loads a version, ahead of the first caller.

`assets.extra/tf_serving_warmup_requests` is a TFRecord of `PredictionLog`s. Their
messages are defined here once more, as far as they are written, so that exporting
does not need the package `tensorflow-serving-api`. What is on the wire is the same: a
message inside another is bytes with a length, so a TensorProto may stand as `bytes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PATH = Path("assets.extra") / "tf_serving_warmup_requests"

_PACKAGE = "picanet_tf.serving"
_FIELD = descriptor_pb2.FieldDescriptorProto
# {message: {field: (number, type)}}, of tensorflow_serving/apis/{model,predict,
# prediction_log}.proto
_MESSAGES = {
    "ModelSpec": {"name": (1, "string"), "signature_name": (3, "string")},
    "Input": {"key": (1, "string"), "value": (2, "bytes")},
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "[Input]")},
    "PredictLog": {"request": (1, "PredictRequest")},
    "PredictionLog": {"predict_log": (6, "PredictLog")},
}


def write_warmup(
    folder: Path, requests: Iterable[tuple[str, Mapping]], model: str = "picanet"
) -> Path:
    """Writes the warm-up file of a SavedModel.

    Args:
        folder: of the SavedModel.
        requests: (signature, {input name: array}), replayed in this order.
        model: the name under which it is served.

    Returns:
        The file.
    """
    path = Path(folder) / PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests:
            log = _PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = model
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                tensor = tf.make_tensor_proto(value).SerializeToString()
                request.inputs.add(key=name, value=tensor)
            writer.write(log.SerializeToString())
    return path


def _message_class(name: str):
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3"
    )
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for field, (number, kind) in fields.items():
            of_many = kind.startswith("[")
            kind = kind.strip("[]")
            values = {
                "name": field,
                "number": number,
                "label": _FIELD.LABEL_REPEATED if of_many else _FIELD.LABEL_OPTIONAL,
            }
            if kind in _MESSAGES:
                values["type"] = _FIELD.TYPE_MESSAGE
                values["type_name"] = f".{_PACKAGE}.{kind}"
            else:
                values["type"] = _FIELD.Type.Value(f"TYPE_{kind.upper()}")
            described.field.add(**values)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
    )


_PredictionLog = _message_class("PredictionLog")
