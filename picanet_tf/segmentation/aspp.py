"""DeepLab's atrous spatial pyramid pooling, PiCANets in its branches (Sec. 5.6)."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from picanet_tf.backbones.vgg16 import FC_CHANNELS, scaled
from picanet_tf.layers import BatchNormalization, DilatedConv2D
from picanet_tf.layers.initializers import gaussian
from picanet_tf.models.context_modules import ATTENTIVE, CONVOLVING, context_layer

CONTEXT_CHANNELS = 512  # of what AC and LC make of pool5


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
    """Four branches of fc6, fc7 and fc8, whose scores are summed.

    A context module sees pool5; what it gives is concatenated with its branch's fc6, as
    the input of fc7.

    Args:
        pool5: [N, h, w, C].
        branches: {dilation of fc6: dilation of the context module}.
        plan: {dilation of fc6: kind of context module}, a missing one has none.
        classes: channels of the scores.
        width: scales all channels.
        dropout, seed: after fc6 and after fc7.
        return_attention: also return the attention of the modules that have one.
        **context_options: of `context.context_layer`.

    Returns:
        (scores, float32 [N, h, w, classes], named `logits`;
        {dilation of fc6: attention [N, h, w, K*K]}).
    """
    scores, attention = [], {}

    def dropped(inputs, name, number):
        # One mask for two layers of one shape would be no dropout of its own.
        own = None if seed is None else seed + number
        return keras.layers.Dropout(dropout, seed=own, name=name)(inputs)

    for number, (rate, context_rate) in enumerate(branches.items()):
        fc6 = DilatedConv2D(
            scaled(FC_CHANNELS, width),
            3,
            padding="same",
            dilation_rate=rate,
            kernel_initializer=gaussian(),
            name=f"fc6_{rate}",
        )(pool5)
        fc6 = keras.layers.ReLU(name=f"fc6_{rate}_relu")(fc6)
        fc6 = dropped(fc6, f"fc6_{rate}_dropout", 2 * number)
        kind = plan.get(rate)
        if kind is not None:
            attends = return_attention and kind in ATTENTIVE
            name = f"aspp{rate}_{kind.lower()}"
            context = context_layer(
                kind,
                name=name,
                dilation_rate=context_rate,
                filters=scaled(CONTEXT_CHANNELS, width),
                return_attention=attends,
                **context_options,
            )(pool5)
            if attends:
                context, attention[rate] = context
            if kind in CONVOLVING:
                context = BatchNormalization(name=f"{name}_norm")(context)
                context = keras.layers.ReLU(name=f"{name}_relu")(context)
            fc6 = keras.layers.Concatenate(name=f"aspp{rate}_context")([fc6, context])
        fc7 = _conv1x1(scaled(FC_CHANNELS, width), f"fc7_{rate}")(fc6)
        fc7 = keras.layers.ReLU(name=f"fc7_{rate}_relu")(fc7)
        fc7 = dropped(fc7, f"fc7_{rate}_dropout", 2 * number + 1)
        scores.append(_conv1x1(classes, f"fc8_{rate}", dtype="float32")(fc7))
    return keras.layers.Add(name="logits", dtype="float32")(scores), attention


def _conv1x1(filters, name, **options):
    return keras.layers.Conv2D(
        filters, 1, kernel_initializer=gaussian(), name=name, **options
    )
