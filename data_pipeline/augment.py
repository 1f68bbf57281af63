"""Paired transforms: image and mask always get the same geometry.

Pure functions of tensors and a stateless seed (two integers, shape `(2,)`): the same
seed gives the same result, on any machine, in any order.  All resampling is
`tf.image.resize` with half-pixel centres and no antialias; bilinear for the image,
nearest for the mask, which so keeps the grey levels that it has.
"""

import tensorflow as tf

# The paper trains on crops of 224 out of 256 pixels.
_RESIZED, _CROPPED = 256, 224

Pair = tuple[tf.Tensor, tf.Tensor]


def train_pair(
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
        image: float32 `(image_size, image_size, 3)`, in the values that came;
        mask: `(image_size, image_size, 1)`, in the type and values that came.
    """
    # One draw for all: each costs some 40 us, decoding image and mask 800.
    top, left, side = tf.unstack(tf.random.stateless_uniform([3], seed))
    image, mask = resize(image, mask, resized_side(image_size))
    # Mirroring after the crop is as likely to give any view, on fewer pixels.
    image, mask = crop(image, mask, image_size, top, left)
    return mirror(image, mask, side < 0.5)


def resized_side(image_size: int) -> int:
    """The side that an image is resized to before `image_size` is cut from it."""
    return round(image_size * _RESIZED / _CROPPED)


def resize(image: tf.Tensor, mask: tf.Tensor, side: int) -> Pair:
    """Resizes both to a square: image float32 bilinear, mask nearest, its own type."""
    image = tf.image.resize(image, (side, side), method="bilinear")
    return image, _nearest(mask, side)


def _nearest(mask: tf.Tensor, side: int) -> tf.Tensor:
    """`tf.image.resize(mask, (side, side), method="nearest")`, to the pixel.

    Copies whole rows, twice, where TensorFlow's kernel walks over pixels: 75 against
    500 us for a mask of 400 x 300, which is half of what decoding its image costs.
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
        top, left: float scalars in [0, 1), where in the room that there is; uniform
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
    """Mirrors both left to right where the bool scalar `mirrored` says so."""
    # `tf.reverse` takes axes, this a bool for each: no `tf.cond` for every image.
    dims = tf.stack([False, mirrored, False])
    return tuple(tf.raw_ops.Reverse(tensor=array, dims=dims) for array in (image, mask))


# What surrounds an image: the means that VGG16 subtracts, so that it sees zeros.
MEAN_RGB = (123.68, 116.779, 103.939)
IGNORE = 255
# DeepLab's random scales.
_SCALES = (0.5, 1.5)


def train_classes(
    image: tf.Tensor, classes: tf.Tensor, *, image_size: int, seed: tf.Tensor
) -> Pair:
    """DeepLab's augmentation: random scale, random crop, random mirror.

    Scaled by 0.5 to 1.5 at its own aspect; what is then smaller than the crop is
    surrounded by the mean colour and by pixels of no class.

    Args:
        image: `(height, width, 3)`, uint8 or float32.
        classes: uint8 `(height, width, 1)`, 255 where a pixel has none.
        image_size: side of the crop.
        seed: integer tensor `(2,)`.

    Returns:
        image: float32 `(image_size, image_size, 3)`;
        classes: uint8 `(image_size, image_size, 1)`, values that came, or 255.
    """
    top, left, side, scale = tf.unstack(tf.random.stateless_uniform([4], seed))
    scale = _SCALES[0] + scale * (_SCALES[1] - _SCALES[0])
    size = tf.cast(tf.shape(image)[:2], tf.float32) * scale
    size = tf.maximum(1, tf.cast(tf.round(size), tf.int32))
    image = tf.image.resize(image, size, method="bilinear")
    classes = tf.image.resize(classes, size, method="nearest")
    missing = tf.maximum(image_size - size, 0)
    # On either side at random, or the frame would always be at the lower right.
    before = tf.cast(tf.stack([top, left]) * tf.cast(missing + 1, tf.float32), tf.int32)
    image, classes = _surround(image, classes, before, missing - before)
    image, classes = crop(image, classes, image_size, top, left)
    return mirror(image, classes, side < 0.5)


def fit_classes(image: tf.Tensor, classes: tf.Tensor, image_size: int) -> Pair:
    """The whole image, in the upper left of a square of the network's input size.

    It keeps its size and aspect, unless it is larger than the square.

    Args:
        image, classes: as of `train_classes`.
        image_size: side of the square.

    Returns:
        As `train_classes`.
    """
    shape = tf.shape(image)[:2]
    side = tf.maximum(image_size, tf.reduce_max(shape))
    image = tf.cast(image, tf.float32)
    image, classes = _surround(image, classes, tf.zeros([2], tf.int32), side - shape)
    return resize(image, classes, image_size)


def _surround(image, classes, before, after) -> Pair:
    rows_columns = tf.stack([before, after], axis=1)
    paddings = tf.concat([rows_columns, [[0, 0]]], axis=0)
    means = tf.constant(MEAN_RGB)
    image = tf.pad(image - means, paddings) + means
    return image, tf.pad(classes, paddings, constant_values=IGNORE)
