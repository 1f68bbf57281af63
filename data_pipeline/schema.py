"""The features of a record, and how they are encoded and decoded.

A record is a serialized `tf.train.Example`. Every record has `key`, `image/encoded`,
`image/height` and `image/width`. Each kind of ground truth adds its own: masks
`mask/encoded`, class maps `classes/encoded`, boxes `objects/*`.
"""

import os
import re

import numpy as np
import tensorflow as tf

from data_pipeline.kinds import BOXES, CLASS_MAP, MASK

KEY = "key"
IMAGE = "image/encoded"
HEIGHT = "image/height"
WIDTH = "image/width"
MASK_PNG = "mask/encoded"
CLASS_MAP_PNG = "classes/encoded"
BOX = "objects/box"
LABEL = "objects/label"
DIFFICULT = "objects/difficult"
_MAX_LENGTH = 200  # of an error message, which may quote a whole record

_COMMON = {
    KEY: tf.io.FixedLenFeature([], tf.string),
    IMAGE: tf.io.FixedLenFeature([], tf.string),
    HEIGHT: tf.io.FixedLenFeature([], tf.int64),
    WIDTH: tf.io.FixedLenFeature([], tf.int64),
}
_WITH_MASK = {**_COMMON, MASK_PNG: tf.io.FixedLenFeature([], tf.string)}
_WITH_CLASS_MAP = {**_COMMON, CLASS_MAP_PNG: tf.io.FixedLenFeature([], tf.string)}
_WITH_BOXES = {
    **_COMMON,
    BOX: tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True),
    LABEL: tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True),
    DIFFICULT: tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True),
}


def encode_mask_record(
    *, key: str, image: bytes, mask: bytes, height: int, width: int
) -> bytes:
    """Encodes a record with a mask.

    Args:
        key: the example's name, unique in its data set.
        image: JPEG or PNG bytes, upright, RGB or grey.
        mask: PNG bytes, 8-bit grey, of the image's size.
        height, width: size of both, in pixels.
    """
    return _encode(key, image, height, width, {MASK_PNG: _bytes(mask)})


def encode_class_map_record(
    *, key: str, image: bytes, mask: bytes, height: int, width: int
) -> bytes:
    """Encodes a record with a class map.

    Args:
        mask: PNG bytes, 8-bit grey, the class of each pixel, 255 for none.
        key, image, height, width: see `encode_mask_record`.
    """
    return _encode(key, image, height, width, {CLASS_MAP_PNG: _bytes(mask)})


def encode_boxes_record(
    *,
    key: str,
    image: bytes,
    boxes: np.ndarray,
    labels: np.ndarray,
    difficult: np.ndarray,
    height: int,
    width: int,
) -> bytes:
    """Encodes a record with boxes.

    Args:
        boxes: float `(n, 4)`: ymin, xmin, ymax, xmax relative to the image, 0..1.
        labels: integers `(n,)`, 1..20.
        difficult: integers `(n,)`, 0 or 1.
        key, image, height, width: see `encode_mask_record`.
    """
    objects = {BOX: _floats(boxes), LABEL: _ints(labels), DIFFICULT: _ints(difficult)}
    return _encode(key, image, height, width, objects)


def decode_mask_record(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Decodes a record from `encode_mask_record`.

    Args:
        serialized: scalar string tensor, one record.

    Returns:
        `key`: scalar string; `height`, `width`: scalar int64, as recorded;
        `image`: uint8 `(height, width, 3)`, RGB, 0..255;
        `mask`: uint8 `(height, width, 1)`, 0..255.

    Raises:
        tf.errors.InvalidArgumentError: when run, if a feature is missing or of another
            type, image or mask is corrupt, or the mask is not an 8-bit grey PNG, for
            example because it was swapped with its image.
    """
    features = _parse(serialized, _WITH_MASK)
    return _decode(features, mask=decode_mask(features[MASK_PNG]))


def decode_class_map_record(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Decodes a record from `encode_class_map_record`.

    Like `decode_mask_record`, but the values of `mask` are classes, 255 for none.
    """
    features = _parse(serialized, _WITH_CLASS_MAP)
    return _decode(features, mask=decode_mask(features[CLASS_MAP_PNG]))


def decode_boxes_record(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Decodes a record from `encode_boxes_record`.

    Like `decode_mask_record`, with `objects` instead of `mask`: float32 `(n, 6)`, ymin,
    xmin, ymax, xmax (0..1), label, difficult.
    """
    features = _parse(serialized, _WITH_BOXES)
    numbers = tf.stack([features[LABEL], features[DIFFICULT]], axis=1)
    boxes = tf.reshape(features[BOX], [-1, 4])
    objects = tf.concat([boxes, tf.cast(numbers, tf.float32)], axis=1)
    return _decode(features, objects=objects)


def _decode(features: dict[str, tf.Tensor], **truth) -> dict[str, tf.Tensor]:
    return {
        "key": features[KEY],
        "height": features[HEIGHT],
        "width": features[WIDTH],
        "image": decode_image(features[IMAGE]),
        **truth,
    }


def check_sizes(record: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns a decoded record unchanged, if image and mask have the recorded size.

    A mask of another size belongs to another image, which resizing it would hide.

    Raises:
        tf.errors.InvalidArgumentError: when run, if a size differs.
    """
    recorded = tf.stack([record["height"], record["width"]])
    parts = [part for part in ("image", "mask") if part in record]
    sizes = [tf.shape(record[part], tf.int64)[:2] for part in parts]
    agree = tf.reduce_all(tf.equal(tf.stack(sizes), recorded))
    message = f"{', '.join(parts)} and record differ in (height, width)"
    with tf.control_dependencies([_require(agree, message, *sizes, recorded)]):
        return {name: tf.identity(value) for name, value in record.items()}


def decode_key(serialized: tf.Tensor) -> tf.Tensor:
    """Decodes only the key of a record of any kind, a scalar string."""
    return _parse(serialized, {KEY: _COMMON[KEY]})[KEY]


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes JPEG or PNG bytes to uint8 `(height, width, 3)`, RGB.

    `decode_jpeg` also reads PNG, and offers a choice of inverse DCTs. The accurate one
    gives exactly the pixels that `images.read_image` gets from Pillow, so that training
    and prediction see the same picture.
    """
    return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")


def raw_message(error: tf.errors.OpError | UnicodeDecodeError) -> str:
    """Returns TensorFlow's message about a record.

    The message quotes a record that cannot be parsed. If that is not UTF-8, Python
    cannot create the `OpError` and raises a `UnicodeDecodeError` instead.
    """
    if isinstance(error, tf.errors.OpError):
        return error.message
    text = bytes(error.object).decode("ascii", "replace")
    return re.sub("[\x00-\x1f\x7f\ufffd]+", "?", text)


def describe_error(error: tf.errors.OpError | UnicodeDecodeError) -> str:
    """Describes an error of a record in one line, without TensorFlow's internals.

    `{{function_node f}} corrupted record at 7 [Op:g]` -> `corrupted record at 7`
    """
    message = re.sub(r"\{\{.*?\}\}|\[\[.*|\[Op:.*", "", raw_message(error))
    message = re.sub(r"Error in user-defined function .* iterator: \S+: ", "", message)
    message = " ".join(message.split())
    return message if len(message) <= _MAX_LENGTH else f"{message[:_MAX_LENGTH]} ..."


def _parse(serialized: tf.Tensor, features: dict) -> dict[str, tf.Tensor]:
    """Applies `tf.io.parse_single_example` after checking that this is an Example.

    A length of more than 32 bits in a record makes TensorFlow 2.21 crash with a
    segmentation fault; protobuf's own parser, which `sanitize` selects, rejects it.
    """
    checked = tf.io.decode_proto(
        serialized, "tensorflow.Example", ["features"], [tf.string], sanitize=True
    )
    # A mere dependency on the sizes would be optimized away, along with the check.
    valid = tf.reduce_all(checked.sizes >= 0)
    with tf.control_dependencies([_require(valid, "not a tf.train.Example")]):
        return tf.io.parse_single_example(tf.identity(serialized), features)


def decode_mask(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes 8-bit grey PNG bytes to uint8 `(height, width, 1)`.

    Rejects everything else, since the decoder would also convert a photo to a mask.

    Raises:
        tf.errors.InvalidArgumentError: when run, for anything else.
    """
    magic, depth = (tf.strings.substr(encoded, *span) for span in ((0, 8), (24, 2)))
    grey = tf.equal(magic, b"\x89PNG\r\n\x1a\n") & tf.equal(depth, b"\x08\x00")
    message = "the mask is not an 8-bit grey PNG"
    with tf.control_dependencies([_require(grey, message)]):
        return tf.io.decode_png(tf.identity(encoded), channels=1)


def _require(condition: tf.Tensor, message: str, *values: tf.Tensor):
    # Not `tf.debugging.Assert`, which in a graph adds a `tf.cond` for every record.
    return tf.raw_ops.Assert(condition=condition, data=[message, *values])


def _encode(key: str, image: bytes, height: int, width: int, truth: dict) -> bytes:
    return _serialize(
        {
            # As the file system encodes it, even if that is not UTF-8.
            KEY: _bytes(os.fsencode(key)),
            IMAGE: _bytes(image),
            HEIGHT: _int(height),
            WIDTH: _int(width),
            **truth,
        }
    )


def _serialize(features: dict[str, tf.train.Feature]) -> bytes:
    example = tf.train.Example(features=tf.train.Features(feature=features))
    # Map fields are unordered; deterministically, the same input gives the same file.
    return example.SerializeToString(deterministic=True)


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def _ints(values: np.ndarray) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=np.ravel(values)))


def _floats(values: np.ndarray) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=np.ravel(values)))


# {kind of ground truth: function}
ENCODERS = {
    MASK: encode_mask_record,
    CLASS_MAP: encode_class_map_record,
    BOXES: encode_boxes_record,
}
DECODERS = {
    MASK: decode_mask_record,
    CLASS_MAP: decode_class_map_record,
    BOXES: decode_boxes_record,
}
