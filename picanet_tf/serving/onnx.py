"""Exports to ONNX with Keras' exporter. Imports no TensorFlow itself."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from picanet_tf.core.errors import PicanetError

if TYPE_CHECKING:
    import keras
    import onnx

FILE_NAME = "picanet.onnx"
_PACKAGES = ("tf2onnx", "onnx", "onnxruntime")


def check_packages() -> None:
    """Raises `PicanetError`, with the pip command, if a package is missing."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise PicanetError(
            f"`formats` onnx needs {', '.join(missing)}: "
            f"pip install {' '.join(missing)}"
        )


def write_onnx(network: keras.Model, path: Path) -> None:
    """Writes a network as ONNX, for onnxruntime, OpenVINO and others.

    Args:
        network: a network from `serving_network`, pruned to one output.
        path: the file. Its input is `image` float32 [N, S, S, 3], RGB 0..255; its
            output for saliency is `saliency` float32 [N, S, S, 1].
    """
    from keras import InputSpec

    shape = (None, *network.input.shape[1:])
    image = InputSpec(shape=shape, dtype="float32", name="image")
    with warnings.catch_warnings():
        # Keras accesses names removed in NumPy 2, to support older versions of tf2onnx.
        warnings.simplefilter("ignore", FutureWarning)
        network.export(str(path), format="onnx", verbose=False, input_signature=[image])
    _simplify(path)


def _simplify(path: Path) -> None:
    """Rewrites what OpenVINO or OpenCV cannot read."""
    import onnx

    model = onnx.load(path)
    _fold_channel_order(model.graph)
    _pad_with_zeros(model)
    for node in model.graph.node:
        if node.op_type == "LSTM":
            _use_defaults(node)
    _drop_unused(model.graph)
    onnx.save(model, path)


def _use_defaults(lstm: onnx.NodeProto) -> None:
    """Removes an LSTM's inputs and attributes that only state the defaults of ONNX.

    These are the zero initial states, which are expanded to the batch size through a
    shape for which OpenVINO infers -1, and the activations, which OpenCV refuses for
    two directions. Keras has no peepholes.
    """
    del lstm.input[4:]
    for attribute in list(lstm.attribute):
        if attribute.name == "activations":
            lstm.attribute.remove(attribute)


def _fold_channel_order(graph: onnx.GraphProto) -> None:
    """Moves the reversal of the channels, RGB to BGR, into the first convolution.

    OpenCV cannot reverse an axis. The means stay, since the convolution's zero padding
    comes after them.
    """
    from onnx import numpy_helper

    chain, name = [], graph.input[0].name
    for kind in ("Slice", "Sub", "Transpose", "Conv"):
        readers = [node for node in graph.node if name in node.input]
        if [node.op_type for node in readers] != [kind]:
            return
        chain += readers
        (name,) = readers[0].output
    reverse, subtract, _, convolution = chain
    weights = {weight.name: weight for weight in graph.initializer}
    for weight, axis in ((subtract.input[1], -1), (convolution.input[1], 1)):
        array = np.flip(numpy_helper.to_array(weights[weight]), axis)
        weights[weight].CopyFrom(numpy_helper.from_array(array.copy(), weight))
    subtract.input[0] = reverse.input[0]
    graph.node.remove(reverse)


def _pad_with_zeros(model: onnx.ModelProto) -> None:
    """Replaces concatenations with zeros, as of `windows.pad_zeros`, by Pad operations.

    OpenCV cannot concatenate a constant twice.
    """
    from onnx import helper, numpy_helper, shape_inference

    graph = model.graph
    inferred = shape_inference.infer_shapes(model).graph.value_info
    ranks = {info.name: len(info.type.tensor_type.shape.dim) for info in inferred}
    weights = {weight.name: weight for weight in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}

    def length(zeros: str) -> int | None:
        """Returns the length of such zeros along their axis; None for other tensors."""
        for kind in ("ConstantOfShape", "Shape", "Gather"):
            node = makers.get(zeros)
            if node is None or node.op_type != kind:
                return None
            zeros = node.input[0]
        return weights[node.input[1]].dims[0]

    for index, node in enumerate(graph.node):
        if node.op_type != "Concat" or len(node.input) != 3:
            continue
        before, after = length(node.input[0]), length(node.input[2])
        if before is None or after is None:
            continue
        (axis,) = (attribute.i for attribute in node.attribute)
        pads = np.zeros([2, ranks[node.input[1]]], np.int64)
        pads[:, axis] = before, after
        name = f"{node.output[0]}_pads"
        graph.initializer.append(numpy_helper.from_array(pads.ravel(), name))
        pad = helper.make_node("Pad", [node.input[1], name], node.output, node.name)
        graph.node[index].CopyFrom(pad)


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Drops unused nodes and initializers of a graph without subgraphs."""
    used = {output.name for output in graph.output}
    for index in reversed(range(len(graph.node))):  # nodes are sorted topologically
        node = graph.node[index]
        if used.isdisjoint(node.output):
            del graph.node[index]
        else:
            used.update(node.input)
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in used:
            del graph.initializer[index]


def runner(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function that runs an ONNX file on images float32 [N, S, S, 3]."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )
    (image,), (saliency,) = session.get_inputs(), session.get_outputs()
    return lambda images: session.run([saliency.name], {image.name: images})[0]
