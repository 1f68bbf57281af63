"""The attentive decoding module (Sec. 4.2, Fig. 3b), shared by all U-Nets."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from picanet_tf.layers import BatchNormalization
from picanet_tf.layers.initializers import gaussian
from picanet_tf.models.context_modules import (
    ATTENTIVE,
    CONVOLVING,
    AttachPoint,
    context_layer,
)


def decoding_module(
    stage: int,
    encoder_feature,
    previous,
    *,
    kind: str | None,
    filters: int,
    return_attention: bool = False,
    **context_options,
):
    """Applies D_i: fuses encoder and decoding features, and a context module.

    Args:
        stage: i, for the names of the layers: `d6_fuse`, `d6_gap`, ...
        encoder_feature: En_i [N, H, W, C_i], before its ReLU.
        previous: Dec_{i+1} [N, H or H / 2, W or W / 2, C_i], or None in D6.
        kind: kind of the context module, see `context_modules.KINDS`; None for none.
        filters: C_{i-1}, the number of output channels.
        return_attention: also return the attention, if `kind` has one.
        **context_options: passed to `context_modules.context_layer`.

    Returns:
        (Dec_i [N, H, W, filters], attention [N, H, W, K*K] or None).
    """
    name = f"d{stage}"
    fused = _norm_relu(encoder_feature, f"{name}_encoder")
    if previous is not None:
        channels = encoder_feature.shape[-1]
        fused = _concat([fused, _upsample_to(previous, fused, name)], f"{name}_skip")
        fused = _conv1x1(channels, f"{name}_fuse")(fused)
        fused = keras.layers.ReLU(name=f"{name}_fuse_relu")(fused)
    if kind is None:
        decoded, attention = _conv1x1(filters, f"{name}_decode")(fused), None
    else:
        attends = return_attention and kind in ATTENTIVE
        context = context_layer(
            kind,
            name=f"{name}_{kind.lower()}",
            size=fused.shape[1],
            filters=filters,
            return_attention=attends,
            **context_options,
        )
        attended, attention = context(fused) if attends else (context(fused), None)
        if kind in CONVOLVING:
            decoded = attended
        else:
            decoded = _concat([fused, attended], f"{name}_context")
            decoded = _conv1x1(filters, f"{name}_decode")(decoded)
    return _norm_relu(decoded, f"{name}_decode"), attention


def plain_decoding_module(stage: int, encoder_feature, previous, *, filters: int):
    """Applies D_1, without attention: ReLU(BN(conv(concat(En_1, up(Dec_2)))))."""
    name = f"d{stage}"
    skip = _norm_relu(encoder_feature, f"{name}_encoder")
    decoded = _concat([skip, _upsample_to(previous, skip, name)], f"{name}_skip")
    decoded = _conv1x1(filters, f"{name}_decode")(decoded)
    return _norm_relu(decoded, f"{name}_decode")


def side_output(stage: int, decoded, channels: int = 1):
    """Returns S_i as logits, float32 [N, H, W, channels]."""
    return keras.layers.Conv2D(
        channels,
        1,
        kernel_initializer=gaussian(),
        dtype="float32",
        name=f"stage{stage}",
    )(decoded)


def attach_points_of_unet(plan: Mapping[int, str]) -> dict[int, AttachPoint]:
    """Returns {decoding stage: its `AttachPoint`} with the names of `decoding_module`.

    Args:
        plan: {decoding stage: kind of context module}, coarse to fine.
    """
    return {
        stage: AttachPoint(
            stage,
            f"D{stage}",
            kind,
            f"d{stage}_{'encoder_relu' if stage == 6 else 'fuse_relu'}",
            f"d{stage}_{kind.lower()}",
        )
        for stage, kind in plan.items()
    }


def _conv1x1(filters, name):
    return keras.layers.Conv2D(filters, 1, kernel_initializer=gaussian(), name=name)


def _norm_relu(inputs, name):
    outputs = BatchNormalization(name=f"{name}_norm")(inputs)
    return keras.layers.ReLU(name=f"{name}_relu")(outputs)


def _concat(inputs, name):
    return keras.layers.Concatenate(name=name)(inputs)


def _upsample_to(inputs, like, name):
    if inputs.shape[1] == like.shape[1]:
        return inputs
    return keras.layers.UpSampling2D(
        2, interpolation="bilinear", name=f"{name}_upsample"
    )(inputs)
