"""Parses headers of encoded images inside a graph.

Every loop is bounded independently of the file's contents.
"""

from __future__ import annotations

import tensorflow as tf

# Limits on what is parsed: segments or chunks before the image data, and extensions
# before the first frame of a GIF.
_MAX_SEGMENTS = 64
_MAX_EXTENSIONS = 16
_HOPS_PER_STEP = 32  # data blocks of a GIF that a loop iteration skips
_ORIENTATION_TAG = 0x0112
_SHORT = 3


def jpeg_exif(encoded):
    """Returns the offset of a JPEG's EXIF TIFF structure, int64 []; 0 if none."""

    def condition(position, count, exif):
        segment = read_bytes(encoded, position, 2)
        at_marker = tf.equal(segment[0], 0xFF)
        over = tf.reduce_any(tf.equal(segment[1], [0xD9, 0xDA])) | (exif > 0)
        return at_marker & ~over & (count < _MAX_SEGMENTS)

    def step(position, count, exif):
        segment = read_bytes(encoded, position, 10)
        wanted = [0xFF, 0xE1, *b"Exif\0\0"]
        found = tf.equal(tf.gather(segment, [0, 1, *range(4, 10)]), wanted)
        exif = tf.where(tf.reduce_all(found), position + 10, exif)
        fill = tf.equal(segment[1], 0xFF)  # a marker may have any number of fill bytes
        return (
            position + tf.where(fill, _int64(1), 2 + number(segment[2:4], True)),
            count + 1,
            exif,
        )

    return tf.while_loop(condition, step, [_int64(2), 0, _int64(0)])[2]


def png_chunks(encoded):
    """Parses the chunks before a PNG's pixels.

    Returns:
        (whether there is a tRNS chunk, bool []; offset of the EXIF TIFF structure,
        int64 [], 0 if none).
    """

    def condition(position, count, transparent, exif):
        over = _is_chunk(read_bytes(encoded, position, 8), b"IDAT")
        return ~over & (count < _MAX_SEGMENTS)

    def step(position, count, transparent, exif):
        chunk = read_bytes(encoded, position, 8)
        return (
            position + 12 + number(chunk[:4], True),
            count + 1,
            transparent | _is_chunk(chunk, b"tRNS"),
            tf.where(_is_chunk(chunk, b"eXIf"), position + 8, exif),
        )

    start = [_int64(8), 0, False, _int64(0)]
    return tf.while_loop(condition, step, start)[2:]


def _is_chunk(head, name: bytes):
    return tf.reduce_all(tf.equal(head[4:8], [*name]))


def orientation_at(encoded, exif):
    """Returns the orientation, int32 [], 1..8, at an EXIF offset; 1 if that is 0."""
    return tf.cond(
        exif > 0,
        lambda: _orientation_tag(read_bytes(encoded, exif, 2**16)),
        lambda: tf.constant(1),
    )


def _orientation_tag(tiff):
    """Returns the orientation, int32 [], 1..8, in a TIFF structure, int64 [size]."""
    size = tf.size(tiff, tf.int64)
    big = tf.equal(tiff[0], ord("M"))

    def values_at(position, count):
        places = position[..., tf.newaxis] + tf.range(count, dtype=tf.int64)
        values = tf.gather(tiff, tf.minimum(places, size - 1))
        values = tf.where(big, values, tf.reverse(values, [-1]))
        return number(values, True)

    directory = values_at(_int64(4), 4)
    entries = tf.minimum(values_at(directory, 2), 512)
    positions = directory + 2 + 12 * tf.range(entries)
    tags, types = values_at(positions, 2), values_at(positions + 2, 2)
    wanted = tf.equal(tags, _ORIENTATION_TAG) & tf.equal(types, _SHORT)
    values = tf.boolean_mask(values_at(positions + 8, 2), wanted)
    value = tf.concat([values, [1]], 0)[0]
    return tf.cast(tf.where((1 <= value) & (value <= 8), value, 1), tf.int32)


def first_frame(encoded):
    """Reduces a GIF to its first frame.

    TensorFlow's decoder would decode a whole animation, allocate each frame by its own
    header, and take quadratic time in the number of comment blocks.

    Returns:
        (the GIF with one frame, width, height), the larger of frame and screen size.
    """
    length = tf.strings.length(encoded)
    # Padding, because blocks of up to 256 bytes may extend beyond the end.
    values = tf.cast(tf.io.decode_raw(encoded, tf.uint8), tf.int32)
    values = tf.pad(values, [[0, 1024]])
    # Offset to the next data block; 0 at the terminating empty block.
    hops = tf.where(values > 0, values + 1, 0)
    max_hops = _MAX_SEGMENTS + length // 64  # A full block has 256 bytes.

    def at(position, count):
        return tf.ensure_shape(values[position : position + count], [count])

    def skip_blocks(position):
        def condition(position, count):
            unfinished = (position < length) & (count < max_hops)
            return unfinished & (tf.gather(hops, position) > 0)

        def step(position, count):
            for _ in range(_HOPS_PER_STEP):
                position = tf.minimum(position + tf.gather(hops, position), length)
            return position, count + _HOPS_PER_STEP

        start = [tf.minimum(position, length), 0]
        return tf.while_loop(condition, step, start)[0] + 1

    def condition(position, count, picture, control):
        return (picture < 0) & (position < length) & (count < _MAX_EXTENSIONS)

    def step(position, count, picture, control):
        kind, label = tf.unstack(at(position, 2))
        extension = tf.equal(kind, 0x21)
        return (
            tf.cond(extension, lambda: skip_blocks(position + 2), lambda: length),
            count + 1,
            tf.where(tf.equal(kind, 0x2C), position, picture),
            tf.where(extension & tf.equal(label, 0xF9), position, control),
        )

    header = at(0, 13)
    header_end = 13 + _colour_table(header[10])
    _, _, picture, control = tf.while_loop(condition, step, [header_end, 0, -1, length])
    # Without a frame only the header remains, which the decoder then rejects.
    picture = tf.where(picture < 0, length, picture)
    head = at(picture, 10)
    end = skip_blocks(picture + 11 + _colour_table(head[9]))
    first = tf.strings.join(
        [
            tf.strings.substr(encoded, 0, tf.minimum(header_end, length)),
            tf.strings.substr(encoded, control, 8),  # which colour is transparent
            tf.strings.substr(encoded, picture, end - picture),
            b";",
        ]
    )
    width = tf.maximum(number(header[6:8]), number(head[5:7]))
    height = tf.maximum(number(header[8:10]), number(head[7:9]))
    return first, width, height


def _colour_table(flags):
    """Returns the size in bytes of the colour table declared by a GIF's flags."""
    return tf.where(flags >= 128, 3 * 2 ** (flags % 8 + 1), tf.zeros_like(flags))


def read_bytes(encoded, position, count: int):
    """Reads bytes from a position, int64 [count]; zeros beyond the end."""
    length = tf.cast(tf.strings.length(encoded), tf.int64)
    position = tf.minimum(tf.cast(position, tf.int64), length)
    part = tf.strings.substr(encoded, position, tf.constant(count, tf.int64))
    values = tf.cast(tf.io.decode_raw(part, tf.uint8), tf.int64)
    missing = count - tf.size(values)
    return tf.ensure_shape(tf.pad(values, [[0, missing]]), [count])


def _int64(value: int):
    return tf.constant(value, tf.int64)


def number(values, big_endian: bool = False):
    """Combines bytes in the last axis to an unsigned number of the same dtype."""
    count = values.shape[-1]
    powers = [256**i for i in range(count)]
    return tf.reduce_sum(values * (powers[::-1] if big_endian else powers), -1)
