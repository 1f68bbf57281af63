"""From a mask to what each output shall learn (Sec. 4.3)."""

from __future__ import annotations

import tensorflow as tf

from picanet_tf.models.context_modules import global_positions


def encode_targets(mask, outputs: dict) -> dict:
    """The targets of the saliency network's outputs.

    Args:
        mask: float32 [N, S, S, 1], 1 where salient, 0 elsewhere, grey between.
        outputs: {output name: tensor or shape holder}, such as `model.output`: which
            outputs there are, and their sizes.

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
    """G_i: the mask, resized bilinearly, then > 0.5: float32 [N, height, width, 1]."""
    resized = tf.image.resize(mask, [height, width], method="bilinear")
    return tf.cast(resized > 0.5, tf.float32)


def attention_target(mask, kernel_size: int):
    """A of Eq. 7: where each pixel shall look.

    A background pixel shall look at the salient grid positions, all alike, a salient
    pixel at the background's.

    Args:
        mask: G6, float32 [N, H, W, 1] in {0, 1}.
        kernel_size: positions of the grid along each side.

    Returns:
        float32 [N, H, W, kernel_size**2], row-major, summing to 1 at each pixel; or to
        0, no target, where no grid position is of the other kind (an image all
        foreground or background, or an object between the positions).
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
