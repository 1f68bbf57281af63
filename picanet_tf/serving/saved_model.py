"""Exports a SavedModel for TF Serving with these signatures:

| signature | inputs | outputs, saliency | outputs, segmentation |
|---|---|---|---|
| `serving_default` | `image` | `saliency` | `classes` |
| `classes`, `logits` | `image` | | `classes`; `logits` |
| `image_bytes` | `image_bytes` | `saliency`, `saliency_png_bytes` | `classes`, ... |
| `attention` | `image` | `saliency`, `attention6`, ... (if attentive) | the same |

For detection, `serving_default`, `detections` and `image_bytes` return `boxes` float32
[N, 200, 4], `scores` float32 [N, 200], `classes` int32 [N, 200] and `count` int32 [N],
see `detection.postprocess`; `raw` returns `raw` float32 [N, A, 25], see
`detection.decode`.

`image` is float32 [N, S, S, 3], RGB 0..255; `saliency` float32 [N, S, S, 1] in 0..1;
`logits` float32 [N, S, S, 21]; `classes` int32 [N, S, S]; `image_bytes` string [N],
encoded images of any size; `saliency_png_bytes` and `classes_png_bytes` string [N],
8-bit PNGs at the original image sizes. String names end in `_bytes`, which tells TF
Serving's REST API that they are base64-encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from picanet_tf.serving.decoding import MAX_PIXELS, decode_image
from picanet_tf.tasks.base import Task

DEFAULT, IMAGE_BYTES, ATTENTION = "serving_default", "image_bytes", "attention"
# Images decoded in parallel, each up to MAX_PIXELS.
_AT_ONCE = 4
_GRAPH = "saved_model.pb"


def write_saved_model(
    network: keras.Model,
    folder: Path,
    task: Task,
    *,
    max_pixels: int = MAX_PIXELS,
) -> tuple[str, ...]:
    """Writes a network of `serving_network` as a SavedModel.

    Args:
        network: the network, with its attention outputs.
        folder: folder for `saved_model.pb` and `variables/`; created if missing.
        task: task of the network.
        max_pixels: largest width x height of images passed as `image_bytes`.

    Returns:
        The signature names; `attention` only if the network has attention.
    """
    serving = task.serving
    side = network.input.shape[1]
    image = [tf.TensorSpec([None, side, side, 3], tf.float32, name="image")]
    encoded = [tf.TensorSpec([None], tf.string, name="image_bytes")]

    # Shared by all signatures, so that it is traced and saved only once.
    @tf.function(input_signature=image)
    def infer(image):
        # The convolutions that TensorFlow fuses refuse an empty batch.
        count = tf.shape(image)[0]
        spare = tf.zeros([tf.cast(count == 0, tf.int32), side, side, 3])
        outputs = network(tf.concat([image, spare], axis=0), training=False)
        return {name: value[:count] for name, value in outputs.items()}

    def only(names):
        def signature(image):
            outputs = infer(image)
            return {name: outputs[name] for name in names}

        return signature

    def of_bytes(image_bytes):
        images, sizes = _decode(image_bytes, side, max_pixels, task)
        outputs = infer(images)
        answer = {name: outputs[name] for name in serving.image_bytes_outputs}
        if serving.png_output:
            answer[serving.png_output] = _encode(outputs, sizes, side, task)
        return answer

    attention = [name for name in network.output if name.startswith("attention")]
    signatures = dict(serving.signatures)
    # Do not track the network: its variables are saved with the endpoints anyway.
    archive = keras.export.ExportArchive()
    archive.add_endpoint(DEFAULT, only(signatures.pop(DEFAULT)), image)
    archive.add_endpoint(IMAGE_BYTES, of_bytes, encoded)
    if attention:
        signatures[ATTENTION] = (*serving.signatures[DEFAULT], *attention)
    for name, outputs in signatures.items():
        archive.add_endpoint(name, only(outputs), image)
    write_out(archive, folder)
    return (DEFAULT, IMAGE_BYTES, *signatures)


def write_out(archive: keras.export.ExportArchive, folder: str | Path) -> None:
    """Writes an archive without references to its layers' custom gradients.

    Otherwise loading warns that they are missing. Without them, TensorFlow
    differentiates the operations itself.
    """
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    archive.write_out(str(folder), options=options, verbose=False)
    saved = _read(folder)
    for meta_graph in saved.meta_graphs:
        for function in meta_graph.graph_def.library.function:
            for node in function.node_def:
                node.attr.pop("_gradient_op_type", None)
    (Path(folder) / _GRAPH).write_bytes(saved.SerializeToString(deterministic=True))
    # Delete the checksum of the unmodified graph.
    (Path(folder) / "fingerprint.pb").unlink(missing_ok=True)


def _decode(encoded, side, max_pixels, task):
    """Decodes string [N] to images float32 [N, S, S, 3] and sizes int32 [N, 2]."""

    def decode(item):
        image = decode_image(*item, max_pixels)
        resized = task.resize(image, side)
        return tf.ensure_shape(resized, [side, side, 3]), tf.shape(image)[:2]

    return tf.map_fn(
        decode,
        (encoded, tf.range(tf.size(encoded))),
        fn_output_signature=(
            tf.TensorSpec([side, side, 3], tf.float32),
            tf.TensorSpec([2], tf.int32),
        ),
        parallel_iterations=_AT_ONCE,
    )


def _encode(outputs, sizes, side, task):
    """Encodes the network's outputs as 8-bit PNGs of the given sizes, string [N]."""
    heads = {
        name: value
        for name, value in outputs.items()
        if not name.startswith("attention")
    }

    def encode(item):
        return tf.io.encode_png(task.serving.draw(*item, side))

    return tf.map_fn(
        encode,
        (heads, sizes),
        fn_output_signature=tf.TensorSpec([], tf.string),
        parallel_iterations=_AT_ONCE,
    )


class Loaded:
    """A SavedModel loaded from disk, as a server would.

    Args:
        folder: the SavedModel's folder.

    Attributes:
        signatures: {name: function of named tensors}.
    """

    def __init__(self, folder: Path):
        self._model = tf.saved_model.load(str(folder))
        self.signatures = dict(self._model.signatures)

    def __call__(self, signature: str, **inputs) -> Mapping[str, np.ndarray]:
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        outputs = self.signatures[signature](**tensors)
        return {name: value.numpy() for name, value in outputs.items()}


def operations(folder: Path) -> set[str]:
    """Returns the names of all operations in a SavedModel, including its functions."""
    found = set()
    for meta_graph in _read(folder).meta_graphs:
        graph = meta_graph.graph_def
        found |= {node.op for node in graph.node}
        for function in graph.library.function:
            found |= {node.op for node in function.node_def}
    return found


def _read(folder: str | Path) -> saved_model_pb2.SavedModel:
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((Path(folder) / _GRAPH).read_bytes())
    return saved
