"""The warm-up file of an export, replayed as TF Serving does at its start."""

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2, prediction_service_pb2_grpc

from picanet_tf.serving.warmup import PATH


def test_each_warmup_request_is_answered(base, serve):
    server = serve()
    with grpc.insecure_channel(server.grpc) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        shapes = {}
        for record in tf.data.TFRecordDataset(str(base / "1" / PATH)):
            log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
            assert log.WhichOneof("log_type") == "predict_log"
            request = log.predict_log.request
            response = stub.Predict(request, timeout=30)
            outputs = {k: tf.make_ndarray(v) for k, v in response.outputs.items()}
            assert np.isfinite(outputs["saliency"]).all()
            signature = request.model_spec.signature_name
            shapes[signature] = {name: v.shape for name, v in outputs.items()}
    assert list(shapes) == ["serving_default", "image_bytes", "attention"]
    assert shapes["serving_default"] == {"saliency": (1, 32, 32, 1)}
    assert shapes["image_bytes"]["saliency_png_bytes"] == (1,)
    assert set(shapes["attention"]) == {"saliency", "attention6", "attention5"}
    assert server.model.served == [2, 2, 2]
