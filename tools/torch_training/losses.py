"""The loss of Section 4.3."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .attention import grid

STAGE_WEIGHTS = {6: 0.5, 5: 0.5, 4: 0.5, 3: 0.8, 2: 0.8, 1: 1.0}
ATTENTION_WEIGHT = 0.2


def total_loss(outputs: dict, mask: torch.Tensor):
    """Computes Eq. 9.

    Args:
        outputs: outputs of `PiCANet`.
        mask: float [N, 1, S, S] in 0..1.

    Returns:
        (the total, the loss of stage 1), scalars.
    """
    total, last = 0.0, None
    for stage, weight in STAGE_WEIGHTS.items():
        logits = outputs[f"stage{stage}"]
        resized = F.interpolate(
            mask, logits.shape[2:], mode="bilinear", align_corners=False
        )
        target = (resized > 0.5).to(logits.dtype)
        last = F.binary_cross_entropy_with_logits(logits, target)
        total = total + weight * last
        if stage == 6 and "attention_logits6" in outputs:
            attention = attention_target(target)
            log_attention = outputs["attention_logits6"].log_softmax(1)
            # Eq. 8; 0 log 0 = 0.
            log_target = attention.clamp_min(1e-12).log()
            divergence = (attention * (log_target - log_attention)).sum(1)
            total = total + ATTENTION_WEIGHT * divergence.mean()
    return total, last


def attention_target(mask: torch.Tensor) -> torch.Tensor:
    """Computes A of Eq. 7: [N, 1, H, W] in {0, 1} -> [N, 100, H, W]."""
    context = mask[:, 0, grid(mask.shape[2]), grid(mask.shape[3])].flatten(1)
    salient = context / context.sum(1, keepdim=True).clamp_min(1.0)
    other = (1 - context) / (1 - context).sum(1, keepdim=True).clamp_min(1.0)
    return mask * other[..., None, None] + (1 - mask) * salient[..., None, None]
