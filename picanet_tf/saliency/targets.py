"""Training targets of the saliency network (Sec. 4.3)."""

from __future__ import annotations

import tensorflow as tf

from picanet_tf.models.context_modules import global_positions


def encode_targets(mask, outputs: dict) -> dict:
    """Encodes masks as targets of the saliency network's outputs.

    Args:
        mask: float32 [N, S, S, 1], 1 where salient and 0 elsewhere; values in between
            are allowed.
        outputs: {output name: tensor or other object with a shape}, such as
            `model.output`; determines the targets and their sizes.

    Returns:
        {output name: float32 tensor}: `stage*` [N, s, s, 1] in {0, 1}, `attention6`
        [N, H, W, D].
    """
    targets = {}
    for name, output in outputs.items():
        height, width = output.shape[1:3]
        resized = resize_mask(mask, height, width)
        if name.startswith("stage"):
            targets[name] = resized
        elif name == "attention6":
            targets[name] = attention_target(resized, int(output.shape[-1] ** 0.5))
    return targets


def resize_mask(mask, height: int, width: int):
    """Computes G_i: the mask resized bilinearly and thresholded at 0.5.

    Returns:
        float32 [N, height, width, 1] in {0, 1}.
    """
    resized = tf.image.resize(mask, [height, width], method="bilinear")
    return tf.cast(resized > 0.5, tf.float32)


def attention_target(mask, kernel_size: int):
    """Computes A of Eq. 7, the target of the global attention.

    The target of a background pixel is uniform over the salient grid positions; that of
    a salient pixel is uniform over the background positions of the grid.

    Args:
        mask: G6, float32 [N, H, W, 1] in {0, 1}.
        kernel_size: number of grid positions along each side.

    Returns:
        float32 [N, H, W, kernel_size**2], row-major. It sums to 1 at each pixel, or to
        0 (no target) where no grid position belongs to the opposite class, because the
        image is all foreground or background, or an object lies between the positions.
    """
    _, height, width, _ = mask.shape
    rows = global_positions(height, kernel_size)
    columns = global_positions(width, kernel_size)
    context = tf.reshape(mask[:, rows, columns], [-1, 1, 1, kernel_size**2])
    salient = tf.math.divide_no_nan(
        context, tf.reduce_sum(context, axis=-1, keepdims=True)
    )
    other = tf.math.divide_no_nan(
        1.0 - context, tf.reduce_sum(1.0 - context, axis=-1, keepdims=True)
    )
    return mask * other + (1.0 - mask) * salient
