"""Augmentation of an image together with its mask or class map.

Both always get the same geometry. Pure functions of tensors and a stateless seed (two
integers, shape `(2,)`): the same seed gives the same result, on any machine, in any
order. All resampling is that of `tf.image.resize`, with half-pixel centres and no
antialiasing: bilinear for the image, nearest for the ground truth, which thus takes no
values that it did not have.
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
    """The paper's augmentation (Sec. 5.3): resize, random crop, random mirror.

    Args:
        image: `(height, width, 3)`, uint8 or float32.
        mask: `(height, width, 1)`, any numeric type.
        image_size: side of the result; 224 is cut from 256, other sizes in
            proportion.
        seed: integer tensor `(2,)`.

    Returns:
        image: float32 `(image_size, image_size, 3)`, in its original range;
        mask: `(image_size, image_size, 1)`, with its original type and values.
    """
    # One call draws all: a call costs some 40 us, decoding image and mask 800.
    top, left, side = tf.unstack(tf.random.stateless_uniform([3], seed))
    image, mask = resize(image, mask, side_before_crop(image_size))
    # Mirroring after the crop gives the same distribution, on fewer pixels.
    image, mask = crop(image, mask, image_size, top, left)
    return mirror(image, mask, side < 0.5)


def side_before_crop(image_size: int) -> int:
    """The side that an image is resized to before `image_size` is cut from it."""
    return round(image_size * _RESIZED / _CROPPED)


def resize(image: tf.Tensor, mask: tf.Tensor, side: int) -> Pair:
    """Resizes both to a square: the image to float32, the mask in its own type."""
    image = tf.image.resize(image, (side, side), method="bilinear")
    return image, _resize_nearest(mask, side)


def _resize_nearest(mask: tf.Tensor, side: int) -> tf.Tensor:
    """`tf.image.resize(mask, (side, side), method="nearest")`, to the pixel.

    Copies whole rows, twice, where TensorFlow's kernel goes pixel by pixel. For a mask
    of 400 x 300 that is 75 us instead of 500, half of what decoding its image takes.
    """
    shape = tf.shape(mask)
    rows = tf.gather(mask[..., 0], _nearest_index(shape[0], side))
    columns = tf.gather(tf.transpose(rows), _nearest_index(shape[1], side))
    return tf.transpose(columns)[..., tf.newaxis]


def _nearest_index(length: tf.Tensor, side: int) -> tf.Tensor:
    scale = tf.cast(length, tf.float32) / side  # In float32, as the kernel does it.
    index = tf.cast((tf.range(side, dtype=tf.float32) + 0.5) * scale, tf.int32)
    return tf.minimum(index, length - 1)


def crop(
    image: tf.Tensor, mask: tf.Tensor, side: int, top: tf.Tensor, left: tf.Tensor
) -> Pair:
    """Cuts the same square out of both.

    Args:
        image, mask: of one height and width, at least `side`.
        side: of the square, in pixels.
        top, left: float scalars in [0, 1), the crop's place in the free room; uniform
            ones make every place equally likely.
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
    # `tf.reverse` takes axes; this takes a bool for each, which saves a `tf.cond`.
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
    """DeepLab's augmentation with VGG16: random crop, random mirror.

    With ResNet-101, DeepLab scales at random before, by 0.5 to 1.5, keeping the aspect
    ratio. Where the image is smaller than the crop, it is padded with the mean colour
    and with pixels without a class.

    Args:
        image: `(height, width, 3)`, uint8 or float32.
        class_map: uint8 `(height, width, 1)`, 255 where a pixel has no class.
        image_size: side of the crop.
        seed: integer tensor `(2,)`.
        random_scale: whether to scale at random.

    Returns:
        image: float32 `(image_size, image_size, 3)`;
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
    # Split at random, or the padding would always be at the lower right.
    before = tf.cast(tf.stack([top, left]) * tf.cast(missing + 1, tf.float32), tf.int32)
    image, class_map = _pad(image, class_map, before, missing - before)
    image, class_map = crop(image, class_map, image_size, top, left)
    return mirror(image, class_map, side < 0.5)


def fit_class_map(image: tf.Tensor, class_map: tf.Tensor, image_size: int) -> Pair:
    """Puts the whole image into the upper left of a square, the network's input.

    It keeps its size, unless it is larger than the square; then it is shrunk, keeping
    the aspect ratio.

    Args:
        image, class_map: as for `augment_class_map`.
        image_size: side of the square.

    Returns:
        As `augment_class_map`.
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
