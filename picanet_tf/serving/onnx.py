"""Exports to ONNX with Keras' exporter. Imports no TensorFlow itself."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from picanet_tf.core.errors import PicanetError

if TYPE_CHECKING:
    import keras
    import numpy as np
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
    _let_lstms_start_by_themselves(path)


def _let_lstms_start_by_themselves(path: Path) -> None:
    """Removes the LSTMs' zero initial states and the nodes that only compute them.

    They are expanded to the batch size through a shape cast to int32, for which
    OpenVINO infers a size of -1. ONNX LSTMs without an initial state start from zeros,
    which is what ReNet's LSTMs always do.
    """
    import onnx

    model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == "LSTM":
            del node.input[5:]  # initial_h, initial_c; Keras has no peepholes
    _drop_unused(model.graph)
    onnx.save(model, path)


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
