"""U-2-Net and U-2-Netp as ONNX files with random weights, to measure their time.

Qin et al., U2-Net: Going deeper with nested U-structure for salient object detection,
Pattern Recognition 106, 2020: Fig. 2 (residual U-blocks), Fig. 5 and Table 1 (the
network). Time does not depend on the weights. The graph is channels-first, as preferred
by onnxruntime's kernels, with each batch norm folded into its convolution, as exporters
do.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 320  # to which rembg, like the paper, resizes photos
# Supported by onnxruntime 1.8 and later.
_OPSET, _IR_VERSION = 13, 7


class Plan(NamedTuple):
    """One of the two networks.

    Attributes:
        encoder: (channels within the block, output channels) of stages 1 to 6.
        decoder: the same for stages 5 to 1.
        million_parameters: published number of trainable parameters, in millions.
        megabytes: published size of the weight file, which also includes the batch
            norms' moving averages.
    """

    encoder: tuple[tuple[int, int], ...]
    decoder: tuple[tuple[int, int], ...]
    million_parameters: float
    megabytes: float


PLANS = {
    "u2net": Plan(
        ((32, 64), (32, 128), (64, 256), (128, 512), (256, 512), (256, 512)),
        ((256, 512), (128, 256), (64, 128), (32, 64), (16, 64)),
        44.0,
        176.3,
    ),
    "u2netp": Plan(((16, 64),) * 6, ((16, 64),) * 5, 1.13, 4.7),
}
# Height of the U in stages 1 to 6; None: RSU-4F, which dilates instead of pooling.
_HEIGHTS = (7, 6, 5, 4, None, None)


def write_u2net(name: str, path: Path, side: int = SIDE) -> None:
    """Writes a network of `PLANS`.

    Args:
        name: key of `PLANS`.
        path: the file; its input is `image` float32 [1, 3, S, S], its outputs are the
            fused map and the six side outputs, float32 [1, 1, S, S] in 0..1.
        side: side of the input in pixels, a multiple of 32.

    Raises:
        ValueError: if the number of parameters differs from the published one.
    """
    plan, graph = PLANS[name], _Graph()
    x, features = _Tensor("image", 3, side), []
    for height, (within, out) in zip(_HEIGHTS, plan.encoder, strict=True):
        if features:
            x = graph.pool(x)
        x = _residual_u(graph, x, height, within, out)
        features.append(x)
    sides = [x]
    for stage, (within, out) in zip((4, 3, 2, 1, 0), plan.decoder, strict=True):
        x = graph.concat(graph.resize(x, features[stage].side), features[stage])
        x = _residual_u(graph, x, _HEIGHTS[stage], within, out)
        sides.insert(0, x)
    maps = [graph.resize(graph.convolve(x, 1), side) for x in sides]
    maps.insert(0, graph.convolve(graph.concat(*maps), 1, kernel=1))
    _check_size(name, graph)
    graph.write(path, name, [graph.sigmoid(x) for x in maps], side)


def _residual_u(graph, x, height, within, out):
    """Adds a residual U-block: RSU-7 to RSU-4, or RSU-4F if `height` is None."""
    dilated = height is None
    height = height or 4
    start = x = graph.normed(x, out)
    levels = []
    for level in range(1, height):
        if level > 1 and not dilated:
            x = graph.pool(x)
        x = graph.normed(x, within, 2 ** (level - 1) if dilated else 1)
        levels.append(x)
    x = graph.normed(x, within, 2 ** (height - 1) if dilated else 2)
    for level in range(height - 1, 0, -1):
        before = levels[level - 1]
        x = graph.concat(graph.resize(x, before.side), before)
        x = graph.normed(
            x, within if level > 1 else out, 2 ** (level - 1) if dilated else 1
        )
    return graph.add(x, start)


def _check_size(name, graph):
    """Raises `ValueError` unless the graph has the published number of parameters."""
    plan = PLANS[name]
    million = graph.trained_parameters / 1e6
    megabytes = 4 * (graph.trained_parameters + graph.moving_averages) / 1e6
    # The published file also contains the names of the weights.
    if not (
        abs(million / plan.million_parameters - 1) < 0.002
        and 0 <= plan.megabytes - megabytes < 0.2
    ):
        raise ValueError(
            f"{name} should have {plan.million_parameters} million parameters in "
            f"{plan.megabytes} MB, as published. It has {million:.3f} in "
            f"{megabytes:.2f} MB"
        )


class _Tensor(NamedTuple):
    name: str
    channels: int
    side: int


class _Graph:
    """Builds an ONNX graph of float32, channels-first operations, in call order.

    Attributes:
        trained_parameters: number of parameters before folding the batch norms.
        moving_averages: number of moving averages of the batch norms.
    """

    def __init__(self):
        self.trained_parameters = 0
        self.moving_averages = 0
        self._nodes = []
        self._constants = []
        self._random = np.random.default_rng(0)

    def normed(self, x, filters, dilation_rate=1):
        """Adds convolution, folded batch norm and ReLU."""
        self.trained_parameters += 2 * filters
        self.moving_averages += 2 * filters
        x = self.convolve(x, filters, dilation_rate=dilation_rate)
        return self._node("Relu", [x], filters, x.side)

    def convolve(self, x, filters, kernel=3, dilation_rate=1):
        """Adds a convolution with bias and "same" padding."""
        shape = (filters, x.channels, kernel, kernel)
        # He initialization keeps the values out of the slow range of denormal numbers.
        deviation = np.sqrt(2 / (kernel * kernel * x.channels))
        weights = self._constant(deviation * self._random.standard_normal(shape))
        bias = self._constant(np.zeros(filters))
        self.trained_parameters += int(np.prod(shape)) + filters
        return self._node(
            "Conv",
            [x, weights, bias],
            filters,
            x.side,
            kernel_shape=[kernel] * 2,
            dilations=[dilation_rate] * 2,
            pads=[dilation_rate * (kernel // 2)] * 4,
        )

    def pool(self, x):
        return self._node(
            "MaxPool",
            [x],
            x.channels,
            -(-x.side // 2),
            kernel_shape=[2, 2],
            strides=[2, 2],
            ceil_mode=1,
        )

    def resize(self, x, side):
        """Adds a bilinear resize with half-pixel centres, unless the size is equal."""
        if side == x.side:
            return x
        scales = self._constant([1, 1, side / x.side, side / x.side])
        return self._node(
            "Resize",
            [x, "", scales],
            x.channels,
            side,
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def concat(self, *inputs):
        channels = sum(x.channels for x in inputs)
        return self._node("Concat", inputs, channels, inputs[0].side, axis=1)

    def add(self, x, y):
        return self._node("Add", [x, y], x.channels, x.side)

    def sigmoid(self, x):
        return self._node("Sigmoid", [x], x.channels, x.side)

    def write(self, path, name, outputs, side):
        def described(x):
            return helper.make_tensor_value_info(
                x.name, TensorProto.FLOAT, [1, x.channels, x.side, x.side]
            )

        graph = helper.make_graph(
            self._nodes,
            name,
            [described(_Tensor("image", 3, side))],
            [described(x) for x in outputs],
            self._constants,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
        )
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(path))

    def _constant(self, values):
        name = f"constant{len(self._constants)}"
        array = np.asarray(values, np.float32)
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def _node(self, kind, inputs, channels, side, **attributes):
        name = f"{kind.lower()}{len(self._nodes)}"
        names = [x.name if isinstance(x, _Tensor) else x for x in inputs]
        self._nodes.append(helper.make_node(kind, names, [name], name, **attributes))
        return _Tensor(name, channels, side)
