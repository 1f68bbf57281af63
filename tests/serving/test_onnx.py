"""ONNX by Keras' exporter, run by onnxruntime and OpenVINO."""

import importlib.util

import keras
import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.serving import onnx
from picanet_tf.serving.network import serving_network
from tests.serving.networks import pixels, trained_like


@pytest.fixture(scope="module", params=["6GAP_5AC", "4LAP_6ReNet"])
def exported(request, tmp_path_factory):
    """(network, its ONNX file); both variants have a ReNet, one within GAP."""
    for package in ("tf2onnx", "onnx"):
        pytest.importorskip(package)
    network = trained_like(request.param)
    path = tmp_path_factory.mktemp("onnx") / onnx.FILE_NAME
    onnx.write_onnx(serving_network(network, attention=False), path)
    return network, path


def by_onnxruntime(path):
    pytest.importorskip("onnxruntime")
    return onnx.runner(path)


def by_openvino(path):
    openvino = pytest.importorskip("openvino")
    # On processors that have it, OpenVINO computes in bfloat16 if nothing is said.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", options)
    return lambda images: compiled([images])[0]


@pytest.mark.parametrize("load", [by_onnxruntime, by_openvino])
def test_equals_keras(exported, load):
    network, path = exported
    run = load(path)
    for count in (1, 3):
        images = pixels(count, seed=6)
        wanted = keras.ops.sigmoid(network(images, training=False)["stage1"])
        assert np.std(wanted) > 0.05
        found = run(images)
        assert found.shape == (count, 64, 64, 1) and found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_lstms_start_by_themselves_and_nothing_is_left_over(exported):
    import onnx as package

    model = package.load(exported[1])
    package.checker.check_model(model)
    graph = model.graph
    lstms = [node for node in graph.node if node.op_type == "LSTM"]
    assert len(lstms) == 2  # rows and columns, each in both directions
    assert all(len(node.input) == 5 for node in lstms)
    read = {name for node in graph.node for name in node.input}
    read |= {output.name for output in graph.output}
    assert all(read.intersection(node.output) for node in graph.node)
    assert {weight.name for weight in graph.initializer} <= read


def test_missing_packages_are_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "tf2onnx" else find(name) or True,
    )
    with pytest.raises(PicanetError, match="needs tf2onnx: pip install tf2onnx$"):
        onnx.check_packages()
