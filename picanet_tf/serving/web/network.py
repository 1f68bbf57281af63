"""Reads LiteRT files for the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.inference.litert import LiteRTFile


class Network(NamedTuple):
    """A file that the page runs.

    Attributes:
        content: the LiteRT file, for a single image.
        image_size: side of its input, in pixels.
        webgpu: whether browsers may try to run it on WebGPU, where LiteRT supports
            tensors of at most four dimensions; LAP's products have five.
        attention: descriptions of its attention outputs, as in the JSON beside the file
            (`describe_attention`).
    """

    content: bytes
    image_size: int
    webgpu: bool
    attention: tuple[dict, ...] = ()


def read_network(path: Path) -> Network:
    """Reads a LiteRT file of a saliency network.

    Args:
        path: a file from `picanet export` or a preset; the attention is described by
            the JSON beside it.

    Raises:
        PicanetError: if the file is not of a saliency network, takes integers, or its
            attention is not described.
    """
    file = LiteRTFile(path, threads=1)
    if file.output != "saliency":
        raise PicanetError(
            f"{path} outputs {file.output!r}: the page shows saliency networks only"
        )
    if file.input_dtype != np.float32:
        raise PicanetError(
            f"{path} takes {file.input_dtype.name} images, but the page passes "
            "float32: export with --quantize dynamic, float16 or none"
        )
    attention = _described(path, file) if len(file.outputs) > 1 else ()
    content = bytearray(path.read_bytes())
    webgpu = max(tensor.ShapeLength() for tensor in _tensors(content)) <= 4
    fix_batch(content)
    return Network(bytes(content), file.image_size, webgpu, attention)


def attention_name(path: Path) -> str:
    """Returns the name of the file with attention that `picanet export` writes."""
    return f"{path.stem}_attention.tflite"


def read_attention(path: Path, network: Network) -> Network | None:
    """Returns the network with its attention as outputs; None if there is no such file.

    Args:
        path: the LiteRT file; the one with the attention is in the same folder.
        network: the file's contents, which may have the attention already.

    Raises:
        PicanetError: see `read_network`.
    """
    if network.attention:
        return network
    beside = path.with_name(attention_name(path))
    return read_network(beside) if beside.is_file() else None


def _described(path: Path, file: LiteRTFile) -> tuple[dict, ...]:
    """Returns the descriptions of the attention from the JSON beside the file."""
    described = path.with_suffix(".json")
    try:
        modules = json.loads(described.read_text("utf-8"))["attention"]
        outputs = {module["output"] for module in modules}
    except (OSError, ValueError, KeyError, TypeError):
        outputs = set()
    if outputs != set(file.outputs) - {file.output}:
        raise PicanetError(
            f"{path} outputs attention, which {described.name} beside it must "
            "describe: copy both from one export"
        )
    return tuple(modules)


def fix_batch(content: bytearray) -> None:
    """Fixes the batch size of a LiteRT file at one image, in place.

    LiteRT.js does not accept tensors of unknown size. Without them, the sizes that the
    file gives for one image apply; nothing else changes.
    """
    for tensor in _tensors(content):
        if tensor.ShapeSignatureLength():
            sizes = tensor.ShapeSignatureAsNumpy()  # a view of the content
            sizes[:] = tensor.ShapeAsNumpy()


def _tensors(content: bytearray) -> Iterator:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
        yield from map(graph.Tensors, range(graph.TensorsLength()))
