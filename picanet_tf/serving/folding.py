"""Exact graph simplifications for inference.

* A batch norm is folded into the kernel and bias of the preceding convolution if
  nothing else reads that convolution, also inside the attentive layers. The norms of
  the encoder features are kept: the convolutions before them also feed the next block.
* A 1x1 convolution of a concatenation is split into a sum of 1x1 convolutions.
* A 1x1 convolution is moved before a bilinear upsampling, which it commutes with since
  the upsampling weights sum to 1; it then runs on a quarter of the positions.
"""

from __future__ import annotations

import collections
from typing import NamedTuple

import keras
import numpy as np

from picanet_tf.layers import (
    AttentionConvolution,
    AttentiveLayer,
    BatchNormalization,
)

_CONVOLVING = (keras.layers.Conv2D, AttentionConvolution)


class FoldingOptions(NamedTuple):
    """Simplifications to apply.

    Attributes:
        norms: whether to fold batch norms into convolutions.
        splits: whether to split 1x1 convolutions of concatenations, and move them
            before upsampling.
    """

    norms: bool = True
    splits: bool = True


def fold(inputs, outputs: dict, options: FoldingOptions) -> tuple[object, dict]:
    """Rewrites a functional graph.

    Args:
        inputs: input of the graph, a Keras tensor.
        outputs: {name: Keras tensor}; layers that they do not need are pruned.
        options: simplifications to apply.

    Returns:
        (input, {name: Keras tensor}) of the new graph. Unchanged layers are shared with
        the old graph.
    """
    model = keras.Model(inputs, outputs)  # prunes unused layers
    rewriter = _Rewriter(model, options)
    image = rewriter.value(model.input)
    return image, {name: rewriter.value(tensor) for name, tensor in outputs.items()}


class _Rewriter:
    """Builds the new graph, from its outputs back to its input."""

    def __init__(self, model: keras.Model, options: FoldingOptions):
        self._options = options
        self._done: dict[str, list] = {}
        self._consumers = collections.Counter(
            id(tensor)
            for layer in model.operations  # includes `keras.ops`
            if not isinstance(layer, keras.layers.InputLayer)
            for tensor in keras.tree.flatten(layer.input)
        )
        self._consumers.update(id(t) for t in keras.tree.flatten(model.output))
        # {layer name: the following norm, to be folded into the layer}
        self._norms = {}
        if options.norms:
            for layer in model.layers:
                if isinstance(layer, BatchNormalization):
                    source = self._only_source(layer.input)
                    if isinstance(source, _CONVOLVING) and _linear(source):
                        self._norms[source.name] = layer

    def value(self, tensor):
        """Returns the new graph's tensor for a tensor of the old graph."""
        layer, _, index = tensor._keras_history
        if layer.name not in self._done:
            self._done[layer.name] = keras.tree.flatten(self._rewrite(layer))
        return self._done[layer.name][index]

    def _only_source(self, tensor):
        """Returns the layer that produces the tensor, if it has a single consumer."""
        return tensor._keras_history[0] if self._consumers[id(tensor)] == 1 else None

    def _rewrite(self, layer):
        if isinstance(layer, keras.layers.InputLayer):
            tensor = layer.output
            return keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=layer.name)
        if any(layer is norm for norm in self._norms.values()):
            return self.value(layer.input)
        norm = self._norms.get(layer.name)
        parts = self._parts(layer)
        if parts:
            return self._sum(layer, parts, *_kernel_and_bias(layer, norm))
        inputs = keras.tree.map_structure(self.value, layer.input)
        if self._options.norms and isinstance(layer, AttentiveLayer):
            layer = _without_norms(layer, norm)
        elif norm is not None:
            layer = _convolution(layer, layer.name, *_kernel_and_bias(layer, norm))
        return layer(inputs)

    def _parts(self, layer) -> list | None:
        """Returns the parts of a concatenation that only a 1x1 convolution reads."""
        if not (
            self._options.splits
            and isinstance(layer, keras.layers.Conv2D)
            and layer.kernel_size == (1, 1)
        ):
            return None
        source = self._only_source(layer.input)
        return source.input if isinstance(source, keras.layers.Concatenate) else None

    def _sum(self, layer, parts, kernel, bias):
        """Returns the sum of 1x1 convolutions of the parts of a concatenation."""
        channels = np.cumsum([part.shape[-1] for part in parts])[:-1]
        terms = []
        for number, part in enumerate(parts):
            share = np.split(kernel, channels, axis=2)[number]
            convolution = _convolution(
                layer, f"{layer.name}_{number}", share, None if number else bias
            )
            source = self._only_source(part)
            if isinstance(source, keras.layers.UpSampling2D):
                terms.append(source(convolution(self.value(source.input))))
            else:
                terms.append(convolution(self.value(part)))
        return keras.layers.Add(name=f"{layer.name}_sum")(terms)


def _linear(layer) -> bool:
    if isinstance(layer, AttentionConvolution):  # has no activation
        return True
    return layer.activation is keras.activations.linear


def _kernel_and_bias(layer, norm) -> tuple[np.ndarray, np.ndarray]:
    """Returns float32 kernel and bias of a convolution, with its norm folded in."""
    kernel = np.float64(layer.kernel)
    bias = np.zeros(kernel.shape[-1]) if layer.bias is None else np.float64(layer.bias)
    if norm is not None:
        scale = np.float64(norm.gamma) / np.sqrt(
            np.float64(norm.moving_variance) + norm.epsilon
        )
        kernel = kernel * scale
        bias = (bias - np.float64(norm.moving_mean)) * scale + np.float64(norm.beta)
    return np.float32(kernel), np.float32(bias)


def _convolution(like, name, kernel, bias):
    """Returns a convolution configured like `like` with these weights."""
    config = {**like.get_config(), "name": name}
    if "use_bias" in config:
        config["use_bias"] = bias is not None
    layer = type(like).from_config(config)
    layer.build((None, None, None, kernel.shape[2]))
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    return layer


def _without_norms(layer, norm_behind):
    """Returns an attentive layer with its inner and its following norm folded."""
    new = type(layer).from_config(layer.get_config())
    old_logits, new_logits = layer.get_logits_layer(), new.get_logits_layer()
    del new_logits.norm
    new_logits.norm = keras.layers.Identity(name="norm")
    new.build(layer.input.shape)
    values = {weight.path: weight for weight in layer.weights}
    for weight in new.weights:
        weight.assign(values[weight.path])
    new_logits.conv.set_weights(_kernel_and_bias(old_logits.conv, old_logits.norm))
    if isinstance(layer, AttentionConvolution):
        kernel, bias = _kernel_and_bias(layer, norm_behind)
        new.kernel.assign(kernel)
        new.bias.assign(bias)
    return new
