"""The saliency network of Section 4, under the layer names of the Keras version."""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F
from torch import nn

from .attention import AC, GAP, LAP, Norm

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
BGR_MEANS = (103.939, 116.779, 123.68)
STAGES = (6, 5, 4, 3, 2, 1)
TAPS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3", "fc7")
CHANNELS = (64, 128, 256, 512, 512, 1024)


def parse_variant(variant: str) -> dict[int, str]:
    """Reads the name of a variant: `6GAP_54AC` -> {6: "GAP", 5: "AC", 4: "AC"}.

    Raises:
        ValueError: if it has kinds other than GAP, LAP and AC, or stages other than 6
            to 2 in this order.
    """
    parts = [] if variant == "UNet" else variant.split("_")
    matches = [re.fullmatch(r"([2-6]+)(GAP|LAP|AC)", part) for part in parts]
    plan = {int(stage): m[2] for m in matches if m for stage in m[1]}
    named = "".join(match[1] for match in matches if match)
    if not all(matches) or named != "".join(map(str, sorted(plan, reverse=True))):
        raise ValueError(
            "`variant` must be UNet, or stages 6 to 2 in this order with GAP, LAP or "
            f"AC, such as 6GAP_5432LAP. Received: {variant!r}"
        )
    return plan


class PiCANet(nn.Module):
    """U-Net with attention: images to side outputs.

    Args:
        variant: see `parse_variant`.
        width: factor on all channel counts.
        dropout: dropout rate after fc6.

    Input: float [N, 3, S, S], BGR minus `BGR_MEANS`, S a multiple of 8, at least 80.
    Output: {name: tensor}: logits `stage6` ... `stage1`, float32 [N, 1, s, s], and with
        GAP in D6 `attention6` and its logits `attention_logits6`, [N, 100, s, s].
    """

    def __init__(
        self, variant: str = "6GAP_5432LAP", width: float = 1.0, dropout: float = 0.5
    ):
        super().__init__()
        self.plan, self.dropout = parse_variant(variant), dropout

        def scaled(channels):
            return max(1, round(channels * width))

        layers, before = {}, 3
        for block, (filters, depth) in enumerate(BLOCKS, 1):
            for conv in range(1, depth + 1):
                rate = 2 if block == 5 else 1
                layers[f"block{block}_conv{conv}"] = nn.Conv2d(
                    before, scaled(filters), 3, padding=rate, dilation=rate
                )
                before = scaled(filters)
        fc = scaled(CHANNELS[5])
        layers["fc6"] = nn.Conv2d(before, fc, 3, padding=12, dilation=12)
        layers["fc7"] = nn.Conv2d(fc, fc, 1)
        for i in STAGES:
            channels = scaled(CHANNELS[i - 1])
            filters = scaled(CHANNELS[max(i - 2, 0)])
            kind = self.plan.get(i)
            layers[f"d{i}_encoder_norm"] = Norm(channels)
            if 1 < i < 6:
                layers[f"d{i}_fuse"] = nn.Conv2d(2 * channels, channels, 1)
            if kind == "AC":
                layers[f"d{i}_ac"] = AC(channels, filters, scaled(128))
            else:
                both = 2 * channels if kind or i == 1 else channels
                layers[f"d{i}_decode"] = nn.Conv2d(both, filters, 1)
                if kind == "GAP":
                    layers[f"d{i}_gap"] = GAP(channels, scaled(256))
                elif kind == "LAP":
                    layers[f"d{i}_lap"] = LAP(channels, scaled(128))
            layers[f"d{i}_decode_norm"] = Norm(filters)
            layers[f"stage{i}"] = nn.Conv2d(filters, 1, 1)
        self.layers = nn.ModuleDict(layers)
        for name, module in self.layers.named_modules():
            if isinstance(module, nn.Conv2d) and not is_encoder(name):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def _encode(self, x):
        taps = {}
        for block, (_, depth) in enumerate(BLOCKS, 1):
            for conv in range(1, depth + 1):
                x = self.layers[f"block{block}_conv{conv}"](x)
                taps[f"conv{block}_{conv}"] = x
                x = F.relu(x)
            x = F.max_pool2d(x, 2) if block < 4 else F.max_pool2d(x, 3, 1, 1)
        x = F.relu(self.layers["fc6"](x))
        x = F.dropout(x, self.dropout, self.training)
        return {**taps, "fc7": self.layers["fc7"](x)}

    def forward(self, x):
        taps, out, decoded, layers = self._encode(x), {}, None, self.layers
        for i in STAGES:
            fused = F.relu(layers[f"d{i}_encoder_norm"](taps[TAPS[i - 1]]))
            if decoded is not None:
                if decoded.shape[2] != fused.shape[2]:
                    decoded = F.interpolate(
                        decoded, scale_factor=2, mode="bilinear", align_corners=False
                    )
                fused = torch.cat([fused, decoded], 1)
                if i > 1:
                    fused = F.relu(layers[f"d{i}_fuse"](fused))
            kind = self.plan.get(i)
            if kind == "AC":
                decoded = layers[f"d{i}_ac"](fused)
            else:
                if kind == "GAP":
                    attended, attention, logits = layers[f"d{i}_gap"](fused)
                    if i == 6:
                        out["attention6"] = attention
                        out["attention_logits6"] = logits
                    fused = torch.cat([fused, attended], 1)
                elif kind == "LAP":
                    fused = torch.cat([fused, layers[f"d{i}_lap"](fused)], 1)
                decoded = layers[f"d{i}_decode"](fused)
            decoded = F.relu(layers[f"d{i}_decode_norm"](decoded))
            out[f"stage{i}"] = self._side_output(i, decoded)
        return out

    def _side_output(self, stage, decoded):
        with torch.autocast(decoded.device.type, enabled=False):
            layer = self.layers[f"stage{stage}"]
            return layer(decoded.to(layer.weight.dtype))


def is_encoder(name: str) -> bool:
    """Whether a layer, by its name, is a convolution of VGG16's five blocks."""
    return name.startswith("block")
