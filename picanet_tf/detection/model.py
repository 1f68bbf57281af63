"""SSD300 on VGG16, and with PiCANets (Sec. 5.6, Table 4)."""

from __future__ import annotations

import keras

from picanet_tf.backbones.vgg16 import scale_channels, vgg16_features
from picanet_tf.core.voc import CLASSES
from picanet_tf.detection.default_boxes import BOXES, SOURCES, shrink_side
from picanet_tf.detection.variants import parse_variant
from picanet_tf.layers import BatchNormalization, L2Normalization
from picanet_tf.layers.initializers import xavier
from picanet_tf.models.base import NetworkConfig
from picanet_tf.models.context_modules import ATTENTIVE, CONVOLVING, context_layer

# Channels of conv8_1 and conv8_2, and so on. The last two blocks have no stride and no
# padding: 5, 3, 1 positions per side.
EXTRA = {8: (256, 512), 9: (128, 256), 10: (128, 256), 11: (128, 256)}
STRIDED = (8, 9)
# {attach point: the layer whose output is its module's input}
CONTEXT_INPUTS = {
    4: "conv4_3_norm",
    7: "fc7_relu",
    8: "conv8_1_relu",
    9: "conv9_1_relu",
    10: "conv10_1_relu",
}


def detection_outputs(image, config: NetworkConfig) -> dict:
    """Builds the functional graph of a detection network.

    Args:
        image: Keras tensor, float32 [N, S, S, 3], RGB 0..255. Below 257 pixels the
            coarsest maps have a single position. A network with GAP can only be resized
            to sizes at which its maps at conv9 and conv10 have the same size.
        config: variant, width and all other settings; 21 classes by default, background
            first.

    Returns:
        A dict of Keras tensors:

        * `locations` float32 [N, A, 4]: the offset of each default box to its object,
          see `default_boxes.encode`; A is 8,732 at 300 pixels.
        * `scores` float32 [N, A, classes]: logits.
        * with `return_attention`, `attention4` ... `attention10`, float32 [N, h, w,
          K*K], of every attentive module.

    Reference: Liu et al., SSD, ECCV 2016; PiCANet, Sec. 5.6.
    """
    context = _Context(
        parse_variant(config.variant),
        config.width,
        config.return_attention,
        renet_units=scale_channels(256, config.width),
        attention_filters=scale_channels(128, config.width),
        lstm_options=config.lstm_options,
    )
    sources = _sources(image, context, config)
    outputs = {
        "locations": _head("locations", sources, 4),
        "scores": _head("scores", sources, config.classes or CLASSES),
    }
    maps = {f"attention{key}": value for key, value in context.attention.items()}
    return {**outputs, **maps}


def _sources(image, context: _Context, config: NetworkConfig) -> list:
    """Returns the input maps of the heads, fine to coarse."""
    features = vgg16_features(
        image,
        dilated=False,
        pool5_stride=1,
        fc6_dilation_rate=6,
        width=config.width,
        dropout_rate=config.dropout,
        dropout_seed=config.seed,
    )
    conv4_3 = keras.layers.ReLU(name="conv4_3_relu")(features["conv4_3"])
    conv4_3 = L2Normalization(name="conv4_3_norm")(conv4_3)
    fc7 = keras.layers.ReLU(name="fc7_relu")(features["fc7"])
    sources = [context.on_top(4, conv4_3), context.on_top(7, fc7)]
    # This context is an input of the heads only (Sec. 5.6), not of later layers.
    below = fc7
    for number, channels in EXTRA.items():
        inner, outer = (scale_channels(channel, config.width) for channel in channels)
        below = _conv(inner, 1, f"conv{number}_1")(below)
        below = keras.layers.ReLU(name=f"conv{number}_1_relu")(below)
        below = context.instead(number, below, outer)
        sources.append(below)
    return sources


class _Context:
    """Applies the context modules of a plan and collects their attention."""

    def __init__(self, plan, width, return_attention, **options):
        self.attention = {}
        self._plan = plan
        self._width = width
        self._return_attention = return_attention
        self._options = options

    def on_top(self, key: int, inputs):
        """Returns a head's input for conv4_3 or fc7: AC's map, or map and context."""
        kind = self._plan.get(key)
        if kind is None:
            return inputs
        context = self._take(key, inputs, filters=inputs.shape[-1])
        return context if kind in CONVOLVING else self._beside(key, inputs, context)

    def instead(self, key: int, inputs, filters: int):
        """Applies AC instead of conv8_2 etc., or the convolution on map and context."""
        kind = self._plan.get(key)
        strides = 2 if key in STRIDED else 1
        if kind in CONVOLVING:
            return self._take(key, inputs, filters=filters, strides=strides)
        if kind is not None:
            context = self._take(key, inputs)
            inputs = self._beside(key, inputs, context)
        name = f"conv{key}_2"
        side = inputs.shape[1]
        # Caffe pads one position on all sides, while Keras' "same" pads maps with even
        # sides only at the end. Maps smaller than the kernel keep their size.
        if strides > 1 or shrink_side(side) == side:
            inputs = keras.layers.ZeroPadding2D(1, name=f"{name}_pad")(inputs)
        outputs = _conv(filters, 3, name, strides=strides)(inputs)
        return keras.layers.ReLU(name=f"{name}_relu")(outputs)

    def _take(self, key, inputs, **options):
        """Applies a context module, with normalization and ReLU if it convolves."""
        kind = self._plan[key]
        attends = self._return_attention and kind in ATTENTIVE
        size = inputs.shape[1]
        name = f"context{key}_{kind.lower()}"
        if kind == "GAP" and key in (9, 10):  # a kernel as large as the map
            options["global_kernel_size"] = size
        context = context_layer(
            kind,
            name=name,
            size=size,
            return_attention=attends,
            **options,
            **self._options,
        )(inputs)
        if attends:
            context, self.attention[key] = context
        if kind in CONVOLVING:
            context = BatchNormalization(name=f"{name}_norm")(context)
            context = keras.layers.ReLU(name=f"{name}_relu")(context)
        return context

    def _beside(self, key, inputs, context):
        return keras.layers.Concatenate(name=f"context{key}")([inputs, context])


def _head(name: str, sources, channels: int):
    """Applies a multibox head: float32 [N, A, channels]."""
    parts = []
    for source, boxes, inputs in zip(SOURCES, BOXES, sources, strict=True):
        part = _conv(
            boxes * channels, 3, f"{source}_{name}", padding="same", dtype="float32"
        )(inputs)
        positions = inputs.shape[1] * inputs.shape[2]
        parts.append(
            keras.layers.Reshape(
                [positions * boxes, channels],
                dtype="float32",
                name=f"{source}_{name}_boxes",
            )(part)
        )
    return keras.layers.Concatenate(axis=1, dtype="float32", name=name)(parts)


def _conv(filters, kernel_size, name, **options):
    return keras.layers.Conv2D(
        filters, kernel_size, kernel_initializer=xavier(), name=name, **options
    )
