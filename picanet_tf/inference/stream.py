"""Predicts one image from standard input. Imports no TensorFlow itself."""

from __future__ import annotations

import dataclasses
import sys

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import read_image
from picanet_tf.core.pictures import encode_picture
from picanet_tf.inference.options import PredictOptions


def predict_stream(options: PredictOptions) -> None:
    """Reads an image from standard input, writes the result to standard output.

    The default format is the task's, not a cut-out.

    Raises:
        PicanetError: if an option is for files, the image cannot be read, or standard
            input or output is a terminal.
    """
    for name in ("resume", "video_format"):
        if getattr(options, name):
            raise PicanetError(f"`{name}` cannot be combined with `input` -")
    if options.is_collected:
        raise PicanetError(f"`format` {options.form} cannot be combined with `input` -")
    if sys.stdin.isatty() or sys.stdout.isatty():
        raise PicanetError(
            "`input` - requires a pipe: picanet predict - < in.jpg > out.png"
        )
    data = sys.stdin.buffer.read()
    image = read_image(
        data, max_pixels=options.max_pixels, name="standard input", keep_alpha=True
    )
    model = options.load()
    form = dataclasses.replace(options, output="-").photo_form(model.spec)
    result = model.predict(image)
    picture = model.render(form, image, result, options.threshold, options.cutout)
    encoded = encode_picture(picture, options.output_format, options.quality)
    sys.stdout.buffer.write(encoded)
    sys.stdout.buffer.flush()
