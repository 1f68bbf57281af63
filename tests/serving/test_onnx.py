"""ONNX by Keras' exporter, run by onnxruntime."""

import importlib.util

import keras
import numpy as np
import pytest

from picanet_tf.errors import PicanetError
from picanet_tf.serving import onnx
from picanet_tf.serving.network import serving_network
from tests.serving.networks import pixels, trained_like


@pytest.mark.parametrize("variant", ["6GAP_5AC", "4LAP_6ReNet"])
def test_equals_keras(variant, tmp_path):
    for package in ("tf2onnx", "onnxruntime"):
        pytest.importorskip(package)
    network = trained_like(variant)
    path = tmp_path / onnx.FILE_NAME
    onnx.write_onnx(serving_network(network, attention=False), path)
    run = onnx.runner(path)
    for count in (1, 3):
        images = pixels(count, seed=6)
        wanted = keras.ops.sigmoid(network(images, training=False)["stage1"])
        assert np.std(wanted) > 0.05
        np.testing.assert_allclose(run(images), wanted, atol=1e-5)


def test_missing_packages_are_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "tf2onnx" else find(name) or True,
    )
    with pytest.raises(PicanetError, match="needs tf2onnx: pip install tf2onnx$"):
        onnx.check_packages()
