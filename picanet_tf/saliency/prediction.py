"""From a photo to its saliency map, around the network: NumPy, no TensorFlow."""

from __future__ import annotations

import numpy as np
from PIL import Image

from picanet_tf.core.images import resize
from picanet_tf.saliency.rendering import FORMATS, render
from picanet_tf.seams import PhotoSpec


def _finish(small, size, side):
    return resize(np.asarray(small)[..., 0], size)


SPEC = PhotoSpec(
    frame=lambda image, side: image,
    resize=lambda image, side: resize(image, (side, side)),
    finish=_finish,
    formats=FORMATS,
    render=lambda *arguments: Image.fromarray(render(*arguments)),
)
