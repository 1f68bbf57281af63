"""Photos with a known object, for the tests of cut-outs."""

import numpy as np

GREY, GREEN = (128, 128, 128), (28, 190, 28)


def disc(size=(120, 160), radius=0.3, softness=3.0):
    """Alpha of a centred disc, float32, with an edge of `softness` pixels."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)
    return np.clip((radius * min(size) - distance) / softness + 0.5, 0, 1).astype("f4")


def mix(alpha, foreground=GREY, background=GREEN):
    """The photo of an object of one colour on a background of another."""
    share = alpha[..., np.newaxis]
    photo = share * np.array(foreground) + (1 - share) * np.array(background)
    return np.uint8(np.round(photo))
