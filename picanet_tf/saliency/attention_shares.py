"""Measures which side of the object the attention of a network falls on."""

from __future__ import annotations

from collections.abc import Iterable

from picanet_tf.saliency.contrast import ContrastStatistics
from picanet_tf.saliency.own_side import OwnSideStatistics
from picanet_tf.saliency.targets import resize_mask

NAMES = (
    *("foreground_on_background", "background_on_foreground"),
    *("foreground_on_foreground", "background_on_background"),
)


def measure_attention(model, batches: Iterable) -> dict[str, dict]:
    """Computes the shares of all attentive modules on a data set (Sec. 4.3 and 5.4).

    Args:
        model: an `inference.attention.AttentionModel`.
        batches: (images float32 [N, S, S, 3] of 0..255, masks [N, S, S, 1] of 0..1).

    Returns:
        {"D<decoding stage>": result of `ContrastStatistics` for GAP, of
        `OwnSideStatistics` for LAP and AC}, coarse to fine.

    Raises:
        PicanetError: if there is GAP, and no image has foreground and background.
    """
    statistics = {}
    for images, masks in batches:
        for key, attention in model.attention(images).items():
            if key not in statistics:
                statistics[key] = _statistics(model.points[key], attention.shape[-1])
            resized = resize_mask(masks, *attention.shape[1:3]).numpy()
            statistics[key].update(attention, resized)
    return {f"D{key}": found.result() for key, found in statistics.items()}


def _statistics(point, positions: int) -> ContrastStatistics | OwnSideStatistics:
    if point.kind == "GAP":
        return ContrastStatistics()
    return OwnSideStatistics(round(positions**0.5), point.dilation_rate)


def shares_table(results: dict[str, dict]) -> str:
    """Formats the result of `measure_attention` as a table."""
    lines = []
    for stage, result in results.items():
        lines.append(
            f"{stage}, {result['images']} images   attention   uniform   ratio"
        )
        for name in filter(result.__contains__, NAMES):
            share = result[name]
            ratio = share["attention"] / share["uniform"]
            lines.append(
                f"  {name.replace('_', ' '):<26} {share['attention']:7.1%} "
                f"{share['uniform']:9.1%} {ratio:7.2f}"
            )
        if left_out := result.get("images_left_out"):
            lines.append(
                f"  {left_out} of {result['images'] + left_out} images excluded: no "
                "foreground or no background on the map or the grid"
            )
    return "".join(f"{line}\n" for line in lines)
