"""Decodes untrusted images to upright RGB inside a TensorFlow graph.

Equals `core.images.read_image` for JPEG, PNG, BMP and GIF in sRGB, up to one grey level
of rounding: EXIF orientation is applied, transparent PNGs are composited over white,
GIFs give their first frame (transparent pixels black). Colour profiles are ignored.
Images whose header declares too many pixels are rejected before decoding. Uses only
built-in TensorFlow operations, so that any server can run it.
"""

from __future__ import annotations

import tensorflow as tf

from picanet_tf.serving.headers import (
    first_frame,
    jpeg_exif,
    number,
    orientation_at,
    png_chunks,
    read_bytes,
)

# 64 megapixels; 192 MB decoded.
MAX_PIXELS = 64_000_000

_FORMATS = ("JPEG", "PNG", "GIF", "BMP")
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM")


def decode_image(encoded, index, max_pixels: int = MAX_PIXELS):
    """Decodes one image.

    Args:
        encoded: string [], the file's bytes.
        index: int32 [], the image's index in its batch, for error messages.
        max_pixels: largest width x height accepted.

    Returns:
        uint8 [H, W, 3], RGB, upright.

    Raises:
        tf.errors.InvalidArgumentError: when run, if the image is corrupt, larger than
            `max_pixels` or of another format.
    """
    known = [_starts_with(encoded, magic) for magic in _MAGIC]
    kind = tf.argmax(tf.stack([*known, True]), output_type=tf.int32)
    picture = _Picture(encoded, index, max_pixels)
    return tf.switch_case(
        kind,
        [picture.jpeg, picture.png, picture.gif, picture.bmp, picture.unknown],
    )


class _Picture:
    """The branches of `decode_image`, each uint8 [None, None, 3]."""

    def __init__(self, encoded, index, max_pixels):
        self._encoded = encoded
        self._index = index
        self._max_pixels = max_pixels

    def jpeg(self):
        height, width, _ = tf.unstack(tf.io.extract_jpeg_shape(self._encoded))
        with tf.control_dependencies([self._fits(width, height, "JPEG")]):
            image = tf.io.decode_jpeg(
                self._encoded, channels=3, dct_method="INTEGER_ACCURATE"
            )
        return _upright(image, orientation_at(self._encoded, jpeg_exif(self._encoded)))

    def png(self):
        header = read_bytes(self._encoded, 0, 26)
        width, height = number(header[16:20], True), number(header[20:24], True)
        transparent, exif = png_chunks(self._encoded)
        # Colour types 4 and 6 have alpha. For images without alpha and less than 8
        # bits, the decoder would add an alpha channel that is not opaque.
        transparent |= tf.reduce_any(tf.equal(header[25], [4, 6]))
        with tf.control_dependencies([self._fits(width, height, "PNG")]):
            encoded = tf.identity(self._encoded)
        image = tf.cond(
            transparent,
            lambda: _rgb(_over_white(tf.io.decode_png(encoded, channels=4))),
            lambda: _rgb(tf.io.decode_png(encoded, channels=3)),
        )
        return _upright(image, orientation_at(encoded, exif))

    def gif(self):
        first, width, height = first_frame(self._encoded)
        with tf.control_dependencies([self._fits(width, height, "GIF")]):
            return _rgb(tf.io.decode_gif(first)[0])

    def bmp(self):
        header = read_bytes(self._encoded, 0, 54)
        size, width, height, compression = (
            number(header[i : i + 4]) for i in (14, 18, 22, 30)
        )
        depth = number(header[28:30])
        height = tf.minimum(height, 2**32 - height)  # negative: stored top-down
        readable = [
            size >= 40,
            tf.reduce_any(tf.equal(depth, [8, 24, 32])),
            tf.reduce_any(tf.equal(compression, [0, 3])),
            (depth > 8) | _grey_palette(self._encoded, size),
        ]
        checks = [
            self._fits(width, height, "BMP"),
            self._check(
                tf.reduce_all(readable),
                "unsupported BMP; only uncompressed grey, 24-bit and 32-bit BMPs are "
                "accepted",
            ),
        ]
        with tf.control_dependencies(checks):
            encoded = tf.identity(self._encoded)
        # 8, 24, 32 bits: 0, 1, 2. Grey BMPs do not support the channels argument.
        return tf.switch_case(
            tf.cast(depth // 8, tf.int32) // 2,
            [
                lambda: _rgb(tf.tile(tf.io.decode_bmp(encoded), [1, 1, 3])),
                lambda: _rgb(tf.io.decode_bmp(encoded, 3)),
                lambda: _rgb(tf.io.decode_bmp(encoded, 4)[..., :3]),
            ],
        )

    def unknown(self):
        wrong = self._check(False, f"none of {', '.join(_FORMATS)}")
        with tf.control_dependencies([wrong]):
            return _rgb(tf.zeros([1, 1, 3], tf.uint8))

    def _fits(self, width, height, form):
        width, height = tf.cast(width, tf.int64), tf.cast(height, tf.int64)
        # Check each side first: their product may overflow 64 bits.
        sides = (1 <= width) & (width < 2**31) & (1 <= height) & (height < 2**31)
        return self._check(
            sides & (width * height <= self._max_pixels),
            f"a {form} must have 1 to {self._max_pixels} pixels, its header declares "
            "(width, height)",
            width,
            height,
        )

    def _check(self, condition, message, *values):
        return tf.debugging.Assert(
            condition, [f"Cannot decode image_bytes: {message}", *values,
                        "in image number", self._index],
        )  # fmt: skip


def _rgb(image):
    return tf.ensure_shape(image, [None, None, 3])


def _over_white(image):
    # Results of up to 255 * 255 + 127 fit in uint16.
    image = tf.cast(image, tf.uint16)
    colours, alpha = image[..., :3], image[..., 3:]
    blended = colours * alpha + 255 * (255 - alpha) + 127
    return tf.cast(blended // 255, tf.uint8)


def _upright(image, orientation):
    """Undoes an EXIF orientation, 1..8."""

    def turned(transpose, flip_rows, flip_columns):
        def turn():
            result = tf.transpose(image, [1, 0, 2]) if transpose else image
            axes = [axis for axis, flip in enumerate((flip_rows, flip_columns)) if flip]
            return _rgb(tf.reverse(result, axes) if axes else result)

        return turn

    # (transpose, flip rows, flip columns) for orientations 1, 2, ... 8
    moves = ("000", "001", "011", "010", "100", "101", "111", "110")
    branches = [turned(*(digit == "1" for digit in move)) for move in moves]
    return tf.switch_case(orientation - 1, branches)


def _grey_palette(encoded, header_size):
    """Whether the palette of an 8-bit BMP maps each index to that grey level."""
    palette = read_bytes(encoded, 14 + header_size, 4 * 256)
    colours = tf.reshape(palette, [256, 4])[:, :3]
    greys = tf.range(256, dtype=tf.int64)[:, tf.newaxis]
    return tf.reduce_all(tf.equal(colours, greys))


def _starts_with(encoded, magic: bytes):
    return tf.equal(tf.strings.substr(encoded, 0, len(magic)), magic)
