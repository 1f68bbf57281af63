"""Exact simplifications of a network that will train no more.

* A batch norm behind a convolution that feeds nothing else goes into its kernel and
  bias, also inside the attentive layers. The norms of the encoder's features stay: the
  convolutions before them feed the next block as well, through its ReLU.
* A 1x1 convolution of a concatenation is the sum of 1x1 convolutions of its parts.
* A 1x1 convolution and a bilinear upsampling commute, since the weights of the
  upsampling sum to 1: the convolution is done on a quarter of the positions.
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
    """What to simplify.

    Attributes:
        norms: fold batch norms into convolutions.
        splits: 1x1 convolutions of concatenations as sums, ahead of the upsampling.
    """

    norms: bool = True
    splits: bool = True


def fold(inputs, outputs: dict, options: FoldingOptions) -> tuple[object, dict]:
    """Rewrites a functional graph.

    Args:
        inputs: its input, a Keras tensor.
        outputs: {name: Keras tensor}; what they do not need is left out.
        options: what to simplify.

    Returns:
        (input, {name: Keras tensor}) of the new graph. Layers that stay as they are
        belong to both graphs.
    """
    model = keras.Model(inputs, outputs)  # Only what the outputs need.
    rewriter = _Rewriter(model, options)
    image = rewriter.value(model.input)
    return image, {name: rewriter.value(tensor) for name, tensor in outputs.items()}


class _Rewriter:
    def __init__(self, model: keras.Model, options: FoldingOptions):
        self._options = options
        self._done: dict[str, list] = {}
        self._consumers = collections.Counter(
            id(tensor)
            for layer in model.operations  # `keras.ops` as well
            if not isinstance(layer, keras.layers.InputLayer)
            for tensor in keras.tree.flatten(layer.input)
        )
        self._consumers.update(id(t) for t in keras.tree.flatten(model.output))
        # {layer: the norm behind it, which will be folded into it}
        self._norms = {}
        if options.norms:
            for layer in model.layers:
                if isinstance(layer, BatchNormalization):
                    source = self._only_source(layer.input)
                    if isinstance(source, _CONVOLVING) and _linear(source):
                        self._norms[source.name] = layer

    def value(self, tensor):
        """The new graph's tensor for one of the old graph."""
        layer, _, index = tensor._keras_history
        if layer.name not in self._done:
            self._done[layer.name] = keras.tree.flatten(self._rewritten(layer))
        return self._done[layer.name][index]

    def _only_source(self, tensor):
        """The layer that makes the tensor, if nobody else reads it."""
        return tensor._keras_history[0] if self._consumers[id(tensor)] == 1 else None

    def _rewritten(self, layer):
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
        """What a 1x1 convolution reads, if that is a concatenation for it alone."""
        if not (
            self._options.splits
            and isinstance(layer, keras.layers.Conv2D)
            and layer.kernel_size == (1, 1)
        ):
            return None
        source = self._only_source(layer.input)
        return source.input if isinstance(source, keras.layers.Concatenate) else None

    def _sum(self, layer, parts, kernel, bias):
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
    if isinstance(layer, AttentionConvolution):  # It has no activation.
        return True
    return layer.activation is keras.activations.linear


def _kernel_and_bias(layer, norm) -> tuple[np.ndarray, np.ndarray]:
    """Of a convolution with the norm behind it, if there is one, as float32."""
    kernel, bias = (np.float64(weight) for weight in (layer.kernel, layer.bias))
    if norm is not None:
        scale = np.float64(norm.gamma) / np.sqrt(
            np.float64(norm.moving_variance) + norm.epsilon
        )
        kernel = kernel * scale
        bias = (bias - np.float64(norm.moving_mean)) * scale + np.float64(norm.beta)
    return np.float32(kernel), np.float32(bias)


def _convolution(like, name, kernel, bias):
    """A convolution of the same kind with these weights; no bias if that is None."""
    config = {**like.get_config(), "name": name}
    if bias is None:
        config["use_bias"] = False
    layer = type(like).from_config(config)
    layer.build((None, None, None, kernel.shape[2]))
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    return layer


def _without_norms(layer, norm_behind):
    """An attentive layer whose attention's norm, and the one behind it, are folded."""
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
