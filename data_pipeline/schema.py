"""What a record holds: its keys, how it is written and how it is read.

A record is a serialized `tf.train.Example`.  Every task has `key`, `image/encoded`,
`image/height` and `image/width`, and adds its ground truth under names of its own;
saliency adds `mask/encoded`, segmentation `classes/encoded`, detection `objects/*`.
"""

import os
import re

import numpy as np
import tensorflow as tf

KEY = "key"
IMAGE = "image/encoded"
HEIGHT = "image/height"
WIDTH = "image/width"
MASK = "mask/encoded"
CLASSES = "classes/encoded"
BOX = "objects/box"
LABEL = "objects/label"
DIFFICULT = "objects/difficult"
_LONGEST = 200  # of a reason, which may quote a whole record

_COMMON = {
    KEY: tf.io.FixedLenFeature([], tf.string),
    IMAGE: tf.io.FixedLenFeature([], tf.string),
    HEIGHT: tf.io.FixedLenFeature([], tf.int64),
    WIDTH: tf.io.FixedLenFeature([], tf.int64),
}
_SALIENCY = {**_COMMON, MASK: tf.io.FixedLenFeature([], tf.string)}
_SEGMENTATION = {**_COMMON, CLASSES: tf.io.FixedLenFeature([], tf.string)}
_DETECTION = {
    **_COMMON,
    BOX: tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True),
    LABEL: tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True),
    DIFFICULT: tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True),
}


def encode_saliency(
    *, key: str, image: bytes, mask: bytes, height: int, width: int
) -> bytes:
    """One saliency record.

    Args:
        key: name of the example, unique in its data set.
        image: JPEG or PNG bytes, upright, RGB or grey.
        mask: PNG bytes, 8-bit grey, of the image's size.
        height, width: the size of both, in pixels.
    """
    return _encode_picture(key, image, height, width, {MASK: _bytes(mask)})


def encode_segmentation(
    *, key: str, image: bytes, mask: bytes, height: int, width: int
) -> bytes:
    """One segmentation record.

    Args:
        mask: PNG bytes, 8-bit grey, the class of each pixel, 255 for none.
        key, image, height, width: as of `encode_saliency`.
    """
    return _encode_picture(key, image, height, width, {CLASSES: _bytes(mask)})


def encode_detection(
    *,
    key: str,
    image: bytes,
    boxes: np.ndarray,
    labels: np.ndarray,
    difficult: np.ndarray,
    height: int,
    width: int,
) -> bytes:
    """One detection record.

    Args:
        boxes: float `(n, 4)`: ymin, xmin, ymax, xmax, relative to the image, 0..1.
        labels: integers `(n,)`, 1..20.
        difficult: integers `(n,)`, 0 or 1.
        key, image, height, width: as of `encode_saliency`.
    """
    objects = {BOX: _floats(boxes), LABEL: _ints(labels), DIFFICULT: _ints(difficult)}
    return _encode_picture(key, image, height, width, objects)


def decode_saliency(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Reads what `encode_saliency` wrote.

    Args:
        serialized: scalar string tensor, one record.

    Returns:
        `key`: scalar string; `height`, `width`: scalar int64, as recorded;
        `image`: uint8 `(height, width, 3)`, RGB, 0..255;
        `mask`: uint8 `(height, width, 1)`, 0..255.

    Raises (when it runs):
        tf.errors.InvalidArgumentError: a field is missing or of another type, image or
            mask is corrupt, or the mask is no 8-bit grey PNG, such as one that changed
            places with its image.
    """
    fields = _parse(serialized, _SALIENCY)
    return _decoded(fields, mask=decode_mask(fields[MASK]))


def decode_segmentation(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Reads what `encode_segmentation` wrote: as `decode_saliency`, where

    `mask`: uint8 `(height, width, 1)`, the class of each pixel, 255 for none.
    """
    fields = _parse(serialized, _SEGMENTATION)
    return _decoded(fields, mask=decode_mask(fields[CLASSES]))


def decode_detection(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Reads what `encode_detection` wrote: as `decode_saliency`, but for the mask

    `objects`: float32 `(n, 6)`: ymin, xmin, ymax, xmax (0..1), label, difficult.
    """
    fields = _parse(serialized, _DETECTION)
    numbers = tf.stack([fields[LABEL], fields[DIFFICULT]], axis=1)
    boxes = tf.reshape(fields[BOX], [-1, 4])
    objects = tf.concat([boxes, tf.cast(numbers, tf.float32)], axis=1)
    return _decoded(fields, objects=objects)


def _decoded(fields: dict[str, tf.Tensor], **ground_truth) -> dict[str, tf.Tensor]:
    return {
        "key": fields[KEY],
        "height": fields[HEIGHT],
        "width": fields[WIDTH],
        "image": decode_image(fields[IMAGE]),
        **ground_truth,
    }


def of_one_size(fields: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """What `decode_saliency` gave, once image and mask have the size recorded.

    A mask of another size belongs to another image; resizing it would hide that.
    """
    recorded = tf.stack([fields["height"], fields["width"]])
    parts = [part for part in ("image", "mask") if part in fields]
    sizes = [tf.shape(fields[part], tf.int64)[:2] for part in parts]
    agree = tf.reduce_all(tf.equal(tf.stack(sizes), recorded))
    told = f"{', '.join(parts)} and record are not of one (height, width)"
    with tf.control_dependencies([_require(agree, told, *sizes, recorded)]):
        return {name: tf.identity(field) for name, field in fields.items()}


def decode_key(serialized: tf.Tensor) -> tf.Tensor:
    """The key alone of any task's record, a scalar string."""
    return _parse(serialized, {KEY: _COMMON[KEY]})[KEY]


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """JPEG or PNG bytes -> uint8 `(height, width, 3)`, RGB.

    `decode_jpeg` also reads PNG, and is the one with a choice of the inverse DCT:
    the accurate one gives the very pixels that Pillow gives to `images.read_image`,
    so that training and prediction see the same picture of one file.
    """
    return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")


def message_of(error: tf.errors.OpError | UnicodeDecodeError) -> str:
    """What TensorFlow says of a record.

    It quotes one that it cannot parse, and where that is no UTF-8, Python can make no
    `OpError` of it and raises a `UnicodeDecodeError` instead.
    """
    if isinstance(error, tf.errors.OpError):
        return error.message
    text = bytes(error.object).decode("ascii", "replace")
    return re.sub("[\x00-\x1f\x7f\ufffd]+", "?", text)


def reason_of(message: str) -> str:
    """`{{function_node f}} corrupted record at 7 [Op:g]` -> `corrupted record at 7`."""
    message = re.sub(r"\{\{.*?\}\}|\[\[.*|\[Op:.*", "", message)
    message = re.sub(r"Error in user-defined function .* iterator: \S+: ", "", message)
    message = " ".join(message.split())
    return message if len(message) <= _LONGEST else f"{message[:_LONGEST]} ..."


def _parse(serialized: tf.Tensor, features: dict) -> dict[str, tf.Tensor]:
    """`tf.io.parse_single_example` of what is a `tf.train.Example` for certain.

    A length in it that passes 32 bits ends TensorFlow 2.21 in a segmentation fault;
    protobuf's own parser, which `sanitize` asks for, refuses such a record.
    """
    checked = tf.io.decode_proto(
        serialized, "tensorflow.Example", ["features"], [tf.string], sanitize=True
    )
    # A dependency on the sizes alone would be optimized away, and the check with it.
    sound = tf.reduce_all(checked.sizes >= 0)
    with tf.control_dependencies([_require(sound, "no tf.train.Example")]):
        return tf.io.parse_single_example(tf.identity(serialized), features)


def decode_mask(encoded: tf.Tensor) -> tf.Tensor:
    """8-bit grey PNG bytes -> uint8 `(height, width, 1)`.

    Nothing else was written.  The decoder would make a mask of a photo, too.
    """
    magic, kind = (tf.strings.substr(encoded, *span) for span in ((0, 8), (24, 2)))
    grey = tf.equal(magic, b"\x89PNG\r\n\x1a\n") & tf.equal(kind, b"\x08\x00")
    with tf.control_dependencies([_require(grey, "the mask is no 8-bit grey PNG")]):
        return tf.io.decode_png(tf.identity(encoded), channels=1)


def _require(condition: tf.Tensor, told: str, *values: tf.Tensor):
    # Not `tf.debugging.Assert`: in a graph it is a `tf.cond` for every record.
    return tf.raw_ops.Assert(condition=condition, data=[told, *values])


def _encode_picture(
    key: str, image: bytes, height: int, width: int, ground_truth: dict
) -> bytes:
    return _serialize(
        {
            # As the file system spells it, even where that is no UTF-8.
            KEY: _bytes(os.fsencode(key)),
            IMAGE: _bytes(image),
            HEIGHT: _int(height),
            WIDTH: _int(width),
            **ground_truth,
        }
    )


def _serialize(features: dict[str, tf.train.Feature]) -> bytes:
    example = tf.train.Example(features=tf.train.Features(feature=features))
    # Map fields have no order of their own; the same input gives the same file.
    return example.SerializeToString(deterministic=True)


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def _ints(values: np.ndarray) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=np.ravel(values)))


def _floats(values: np.ndarray) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=np.ravel(values)))


# {task of the manifest: how its records are written}, and read.
ENCODERS = {
    "saliency": encode_saliency,
    "segmentation": encode_segmentation,
    "detection": encode_detection,
}
DECODERS = {
    "saliency": decode_saliency,
    "segmentation": decode_segmentation,
    "detection": decode_detection,
}
