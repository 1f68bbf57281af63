"""Warm-up requests, which TF Serving replays when it loads a version.

`assets.extra/tf_serving_warmup_requests` is a TFRecord of `PredictionLog` messages. The
required message types are redefined here, so that exporting does not need the package
`tensorflow-serving-api`. The wire format is identical: embedded messages are encoded
like `bytes`, so the TensorProto is declared as `bytes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PATH = Path("assets.extra") / "tf_serving_warmup_requests"

_PACKAGE = "picanet_tf.serving"
_FIELD = descriptor_pb2.FieldDescriptorProto
# {message: {field: (number, type)}}, from tensorflow_serving/apis/{model,predict,
# prediction_log}.proto; types in brackets are repeated.
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
        folder: the SavedModel's folder.
        requests: (signature, {input name: array}), replayed in this order.
        model: name under which the model is served.

    Returns:
        The path of the file.
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
            repeated = kind.startswith("[")
            kind = kind.strip("[]")
            values = {
                "name": field,
                "number": number,
                "label": _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL,
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
