"""The losses of Sec. 4.3."""

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

    Shapes: `y_true` A, float [N, H, W, D], summing to 1 or to 0 (no target) at each
    pixel; `y_pred` alpha, float [N, H, W, D], summing to 1. The loss of each pixel is
    [N, H, W]; a pixel without a target has 0 and counts in the mean.
    """

    def __init__(self, name="attention_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        tiny = 1e-12  # 0 log 0 = 0, and no infinite gradient
        log_ratio = ops.log(ops.maximum(y_true, tiny)) - ops.log(
            ops.maximum(y_pred, tiny)
        )
        return ops.sum(y_true * log_ratio, axis=-1)


def losses(outputs) -> dict[str, keras.losses.Loss]:
    """{output name: loss} of the named outputs (L_S of Eq. 6, and L_GA)."""
    return {
        name: (
            AttentionLoss()
            if name.startswith("attention")
            else keras.losses.BinaryCrossentropy(from_logits=True)
        )
        for name in outputs
    }


def loss_weights(outputs, attention_weight: float = ATTENTION_WEIGHT):
    """{output name: weight} of Eq. 9 for the named outputs."""
    return {name: STAGE_WEIGHTS.get(name, attention_weight) for name in outputs}
