"""Augmentation of an image together with its mask or class map.

Both always get the same geometry. Pure functions of tensors and a stateless seed (two
integers, shape `(2,)`): the same seed gives the same result, on any machine, in any
order. All resampling equals `tf.image.resize`, with half-pixel centres and no
antialiasing: bilinear for the image, nearest for the ground truth, so that it gets no
new values.
"""

import tensorflow as tf

from picanet_tf.core.constants import MEAN_RGB
from picanet_tf.core.voc import IGNORE

# The paper trains on crops of 224 pixels out of 256.
_RESIZED, _CROPPED = 256, 224
# DeepLab's random scales.
_SCALES = (0.5, 1.5)

Pair = tuple[tf.Tensor, tf.Tensor]


def augment_mask(
    image: tf.Tensor, mask: tf.Tensor, *, image_size: int, seed: tf.Tensor
) -> Pair:
    """Applies the paper's augmentation: resize, random crop, random mirror (Sec. 5.3).

    Args:
        image: `(height, width, 3)`, uint8 or float32.
        mask: `(height, width, 1)`, any numeric type.
        image_size: side of the result, in pixels; 224 is cropped from 256, and other
            sizes in proportion.
        seed: integer tensor `(2,)`.

    Returns:
        image: float32 `(image_size, image_size, 3)`, in its original range;
        mask: `(image_size, image_size, 1)`, with its original type and values.
    """
    # Drawn in one call, which takes about 40 us; decoding image and mask takes 800.
    top, left, side = tf.unstack(tf.random.stateless_uniform([3], seed))
    image, mask = resize(image, mask, side_before_crop(image_size))
    # Mirroring after the crop gives the same distribution, on fewer pixels.
    image, mask = crop(image, mask, image_size, top, left)
    return mirror(image, mask, side < 0.5)


def side_before_crop(image_size: int) -> int:
    """Returns the side that an image is resized to before it is cropped."""
    return round(image_size * _RESIZED / _CROPPED)


def resize(image: tf.Tensor, mask: tf.Tensor, side: int) -> Pair:
    """Resizes both to a square: the image as float32, the mask in its own type."""
    image = tf.image.resize(image, (side, side), method="bilinear")
    return image, _resize_nearest(mask, side)


def _resize_nearest(mask: tf.Tensor, side: int) -> tf.Tensor:
    """Equals `tf.image.resize(mask, (side, side), method="nearest")` exactly.

    Copies whole rows, twice, where TensorFlow's kernel copies single pixels. For a mask
    of 400 x 300 this takes 75 us instead of 500, half the time of decoding its image.
    """
    shape = tf.shape(mask)
    rows = tf.gather(mask[..., 0], _nearest_index(shape[0], side))
    columns = tf.gather(tf.transpose(rows), _nearest_index(shape[1], side))
    return tf.transpose(columns)[..., tf.newaxis]


def _nearest_index(length: tf.Tensor, side: int) -> tf.Tensor:
    scale = tf.cast(length, tf.float32) / side  # In float32, like the kernel.
    index = tf.cast((tf.range(side, dtype=tf.float32) + 0.5) * scale, tf.int32)
    return tf.minimum(index, length - 1)


def crop(
    image: tf.Tensor, mask: tf.Tensor, side: int, top: tf.Tensor, left: tf.Tensor
) -> Pair:
    """Crops the same square from both.

    Args:
        image, mask: of the same height and width, both at least `side`.
        side: side of the square, in pixels.
        top, left: float scalars in [0, 1), the position of the crop among all possible
            ones; if uniform, every position is equally likely.
    """
    room = tf.shape(image)[:2] - side
    corner = tf.cast(tf.stack([top, left]) * tf.cast(room + 1, tf.float32), tf.int32)
    begin = tf.concat([corner, [0]], axis=0)
    return tuple(
        tf.ensure_shape(
            tf.slice(array, begin, [side, side, -1]), [side, side, array.shape[-1]]
        )
        for array in (image, mask)
    )


def mirror(image: tf.Tensor, mask: tf.Tensor, mirrored: tf.Tensor) -> Pair:
    """Mirrors both left to right if the bool scalar `mirrored` is true."""
    # Unlike `tf.reverse`, this takes a bool for each axis, which saves a `tf.cond`.
    dims = tf.stack([False, mirrored, False])
    return tuple(tf.raw_ops.Reverse(tensor=array, dims=dims) for array in (image, mask))


def augment_class_map(
    image: tf.Tensor,
    class_map: tf.Tensor,
    *,
    image_size: int,
    seed: tf.Tensor,
    random_scale: bool = False,
) -> Pair:
    """Applies DeepLab's augmentation with VGG16: random crop, random mirror.

    With ResNet-101, DeepLab first scales by a random factor of 0.5 to 1.5, keeping the
    aspect ratio. An image smaller than the crop is padded with the mean colour, and its
    class map with pixels without a class.

    Args:
        image: `(height, width, 3)`, uint8 or float32.
        class_map: uint8 `(height, width, 1)`, 255 where a pixel has no class.
        image_size: side of the crop, in pixels.
        seed: integer tensor `(2,)`.
        random_scale: whether to scale at random.

    Returns:
        image: float32 `(image_size, image_size, 3)`, in its original range;
        class_map: uint8 `(image_size, image_size, 1)`, original values, or 255.
    """
    top, left, side, scale = tf.unstack(tf.random.stateless_uniform([4], seed))
    image, size = tf.cast(image, tf.float32), tf.shape(image)[:2]
    if random_scale:
        scale = _SCALES[0] + scale * (_SCALES[1] - _SCALES[0])
        size = tf.cast(tf.round(tf.cast(size, tf.float32) * scale), tf.int32)
        size = tf.maximum(1, size)
        image = tf.image.resize(image, size, method="bilinear")
        class_map = tf.image.resize(class_map, size, method="nearest")
    missing = tf.maximum(image_size - size, 0)
    # Split at random; otherwise all padding would be at the bottom right.
    before = tf.cast(tf.stack([top, left]) * tf.cast(missing + 1, tf.float32), tf.int32)
    image, class_map = _pad(image, class_map, before, missing - before)
    image, class_map = crop(image, class_map, image_size, top, left)
    return mirror(image, class_map, side < 0.5)


def fit_class_map(image: tf.Tensor, class_map: tf.Tensor, image_size: int) -> Pair:
    """Places the whole image in the top left corner of a square, the network's input.

    The image keeps its size, unless it is larger than the square; then it is reduced,
    keeping the aspect ratio.

    Args:
        image, class_map: see `augment_class_map`.
        image_size: side of the square, in pixels.

    Returns:
        See `augment_class_map`.
    """
    shape = tf.shape(image)[:2]
    side = tf.maximum(image_size, tf.reduce_max(shape))
    image = tf.cast(image, tf.float32)
    image, class_map = _pad(image, class_map, tf.zeros([2], tf.int32), side - shape)
    return resize(image, class_map, image_size)


def _pad(
    image: tf.Tensor, class_map: tf.Tensor, before: tf.Tensor, after: tf.Tensor
) -> Pair:
    rows_columns = tf.stack([before, after], axis=1)
    paddings = tf.concat([rows_columns, [[0, 0]]], axis=0)
    means = tf.constant(MEAN_RGB)
    image = tf.pad(image - means, paddings) + means
    return image, tf.pad(class_map, paddings, constant_values=IGNORE)
