"""The losses and loss weights of Sec. 4.3."""

from __future__ import annotations

import keras
from keras import ops

# gamma_6 ... gamma_1 of Eq. 9, and gamma_GA.
STAGE_WEIGHTS = {
    "stage6": 0.5,
    "stage5": 0.5,
    "stage4": 0.5,
    "stage3": 0.8,
    "stage2": 0.8,
    "stage1": 1.0,
}
ATTENTION_WEIGHT = 0.2


@keras.saving.register_keras_serializable(package="picanet_tf")
class AttentionLoss(keras.losses.Loss):
    """L_GA, Eq. 8: KL(A || alpha) of the global attention, averaged over the pixels.

    `y_true` is A, float [N, H, W, D], summing to 1 at each pixel, or to 0 where there
    is no target; `y_pred` is alpha, float [N, H, W, D], summing to 1. The loss per
    pixel is [N, H, W]; it is 0 without a target, and such pixels count in the mean.
    """

    def __init__(self, name="attention_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        tiny = 1e-12  # makes 0 log 0 = 0 and keeps the gradient finite
        log_ratio = ops.log(ops.maximum(y_true, tiny)) - ops.log(
            ops.maximum(y_pred, tiny)
        )
        return ops.sum(y_true * log_ratio, axis=-1)


def losses(outputs) -> dict[str, keras.losses.Loss]:
    """Returns {output name: loss} for the given outputs (L_S of Eq. 6, and L_GA)."""
    return {
        name: (
            AttentionLoss()
            if name.startswith("attention")
            else keras.losses.BinaryCrossentropy(from_logits=True)
        )
        for name in outputs
    }


def loss_weights(outputs, attention_weight: float = ATTENTION_WEIGHT):
    """Returns {output name: weight in Eq. 9} for the given outputs."""
    return {name: STAGE_WEIGHTS.get(name, attention_weight) for name in outputs}
