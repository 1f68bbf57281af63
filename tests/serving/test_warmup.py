"""The warm-up file, read by TF Serving's own messages."""

import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.serving.warmup import PATH, write_warmup

IMAGE = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3)).astype(np.float32)
REQUESTS = [
    ("serving_default", {"image": IMAGE}),
    ("image_bytes", {"image_bytes": np.array([b"\xff\xd8\x00bytes"], object)}),
]


def test_official_messages_read_it(tmp_path):
    prediction_log = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2",
        reason="pip install --no-deps tensorflow-serving-api",
    )
    path = write_warmup(tmp_path, REQUESTS, model="photos")
    assert path == tmp_path / "assets.extra" / "tf_serving_warmup_requests"
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    assert len(records) == 2
    for record, (signature, inputs) in zip(records, REQUESTS, strict=True):
        log = prediction_log.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == "photos"
        assert request.model_spec.signature_name == signature
        assert set(request.inputs) == set(inputs)
        for name, value in inputs.items():
            tensor = tf.make_ndarray(request.inputs[name])
            np.testing.assert_array_equal(tensor, value)
            assert request.inputs[name].dtype == tf.as_dtype(value.dtype)
        assert not log.log_metadata.sampling_config.sampling_rate
        # Nothing that the official messages do not know.
        assert prediction_log.PredictionLog.FromString(
            log.SerializeToString(deterministic=True)
        ).ByteSize() == len(record)


def test_path_is_the_one_of_tf_serving():
    assert PATH.as_posix() == "assets.extra/tf_serving_warmup_requests"
