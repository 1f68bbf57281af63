"""DeepLab's atrous spatial pyramid pooling with PiCANets in its branches (Sec. 5.6)."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from picanet_tf.backbones.vgg16 import FC_CHANNELS, scale_channels
from picanet_tf.layers import BatchNormalization, DilatedConv2D, Dropout
from picanet_tf.layers.initializers import gaussian
from picanet_tf.models.context_modules import ATTENTIVE, CONVOLVING, context_layer

CONTEXT_CHANNELS = 512  # output channels of AC and LC on pool5


def aspp(
    pool5,
    *,
    branches: Mapping[int, int],
    plan: Mapping[int, str],
    classes: int,
    width: float = 1.0,
    dropout: float = 0.5,
    seed: int | None = None,
    return_attention: bool = False,
    **context_options,
):
    """Applies branches of fc6, fc7 and fc8, and sums their scores.

    Context modules are applied to pool5; their output is concatenated with the branch's
    fc6 as the input of fc7. fc7 is computed as the sum of two layers, `fc7_6` of fc6,
    which may be pretrained, and `fc7_6_context` of the context, which never is, so that
    each trains at its own rate.

    Args:
        pool5: [N, h, w, C].
        branches: {dilation of fc6: dilation of the context module}.
        plan: {dilation of fc6: kind of context module}; other branches have none.
        classes: number of classes.
        width: factor on all channel counts.
        dropout, seed: rate and seed of the dropout after fc6 and fc7.
        return_attention: also return the attention of the modules that have one.
        **context_options: arguments of `context_modules.context_layer`.

    Returns:
        (scores, float32 [N, h, w, classes], named `logits`;
        {dilation of fc6: attention [N, h, w, K*K]}).
    """
    scores, attention = [], {}

    def apply_dropout(inputs, name, number):
        # Layers with the same shape and seed would share their dropout mask.
        own = None if seed is None else seed + number
        return Dropout(dropout, seed=own, name=name)(inputs)

    for number, (rate, context_rate) in enumerate(branches.items()):
        fc6 = DilatedConv2D(
            scale_channels(FC_CHANNELS, width),
            3,
            padding="same",
            dilation_rate=rate,
            kernel_initializer=gaussian(),
            name=f"fc6_{rate}",
        )(pool5)
        fc6 = keras.layers.ReLU(name=f"fc6_{rate}_relu")(fc6)
        fc6 = apply_dropout(fc6, f"fc6_{rate}_dropout", 2 * number)
        fc7 = _conv1x1(scale_channels(FC_CHANNELS, width), f"fc7_{rate}")(fc6)
        kind = plan.get(rate)
        if kind is not None:
            attends = return_attention and kind in ATTENTIVE
            name = f"aspp{rate}_{kind.lower()}"
            context = context_layer(
                kind,
                name=name,
                dilation_rate=context_rate,
                filters=scale_channels(CONTEXT_CHANNELS, width),
                return_attention=attends,
                **context_options,
            )(pool5)
            if attends:
                context, attention[rate] = context
            if kind in CONVOLVING:
                context = BatchNormalization(name=f"{name}_norm")(context)
                context = keras.layers.ReLU(name=f"{name}_relu")(context)
            context = _conv1x1(
                scale_channels(FC_CHANNELS, width),
                f"fc7_{rate}_context",
                use_bias=False,
            )(context)
            fc7 = keras.layers.Add(name=f"fc7_{rate}_sum")([fc7, context])
        fc7 = keras.layers.ReLU(name=f"fc7_{rate}_relu")(fc7)
        fc7 = apply_dropout(fc7, f"fc7_{rate}_dropout", 2 * number + 1)
        scores.append(_conv1x1(classes, f"fc8_{rate}", dtype="float32")(fc7))
    return keras.layers.Add(name="logits", dtype="float32")(scores), attention


def _conv1x1(filters, name, **options):
    return keras.layers.Conv2D(
        filters, 1, kernel_initializer=gaussian(), name=name, **options
    )
