"""Describes the attention outputs of a file, for programs that draw them."""

from __future__ import annotations

from collections.abc import Sequence

from picanet_tf.models.context_modules import AttachPoint, global_positions


def describe_attention(point: AttachPoint, shape: Sequence[int]) -> dict:
    """Describes where the attention of a module looks (Sec. 3.1 and 3.2 of the paper).

    Args:
        point: the module's attach point.
        shape: shape of its attention, [N, h, w, K*K].

    Returns:
        The description as JSON: `output`, its `shape`, `dtype` and `content`, `label`
        and `kind` of the module, `map` [h, w], and `kernel_size` K. The K positions
        along each side of the map, row-major in the output, are those in `positions`
        for GAP, the same for all pixels. For LAP and AC they are `dilation_rate` apart
        and centred on the pixel; some may lie outside the map.
    """
    height, width, positions = shape[1:]
    kernel_size = round(positions**0.5)
    where = {"dilation_rate": point.dilation_rate}
    content = "each cell's weights of the K x K positions, row-major; their sum is 1"
    if point.kind == "AC":
        content = "each cell's gates of the K x K positions, row-major, in 0..1"
    if point.kind == "GAP":  # on square maps only
        where = {"positions": [*range(height)[global_positions(height, kernel_size)]]}
    return {
        "output": f"attention{point.key}",
        "shape": [1, height, width, positions],
        "dtype": "float32",
        "content": content,
        "label": point.label,
        "kind": point.kind,
        "map": [height, width],
        "kernel_size": kernel_size,
        **where,
    }
