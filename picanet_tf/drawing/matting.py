"""Refines a cut-out's alpha by closed-form matting. Requires pymatting."""

from __future__ import annotations

import contextlib
import io
import threading

import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.drawing.box_filters import box_mean, shrink, working_size
from picanet_tf.drawing.edges import fit_edges

# Larger photos are matted at this length of their longer side: time and memory grow
# with the pixels, about 10 s and 1.5 GB at 1024 x 768.
MATTING_SIDE = 1024
_BAND = 0.01  # around the edge, as a fraction of the longer side
_one_at_a_time = threading.Lock()


def refine_alpha(saliency: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Solves for the share of the object in each pixel near its edge.

    Pixels that the map is sure of are kept; the others, and a band around them, are
    unknown in the trimap of closed-form matting (A. Levin, D. Lischinski and Y. Weiss,
    "A Closed-Form Solution to Natural Image Matting", PAMI 2008).

    Args:
        saliency: float [H, W] in [0, 1], with the photo's edges (`guide_edges`).
        image: uint8 [H, W, 3].

    Returns:
        float32 [H, W] in [0, 1].

    Raises:
        PicanetError: if pymatting is not installed.
    """
    estimate_alpha = require_pymatting().estimate_alpha_cf
    size = working_size(saliency.shape, MATTING_SIDE)
    small, values = shrink(image, size), shrink(saliency, size)
    unknown = (values > 0.05) & (values < 0.95) | _edges(values >= 0.5)
    unknown = box_mean(unknown, max(1, round(_BAND * max(size)))) > 0
    known = values[~unknown] >= 0.5
    if known.all() or not known.any():  # Nothing to tell apart.
        return np.float32(saliency)
    trimap = np.float64(values >= 0.5)
    trimap[unknown] = 0.5
    # pymatting prints to standard output, which may be where the picture goes.
    with _one_at_a_time, contextlib.redirect_stdout(io.StringIO()):
        alpha = np.float32(estimate_alpha(np.float64(small), trimap))
    return alpha if size == saliency.shape else fit_edges(alpha, image)


def _edges(inside: np.ndarray) -> np.ndarray:
    around = box_mean(inside, 1)
    return (around > 0) & (around < 1)


def require_pymatting():
    """Returns the module pymatting.

    Raises:
        PicanetError: if it is not installed.
    """
    try:
        import pymatting
    except ImportError as error:
        raise PicanetError(
            f"`matting` requires the package pymatting, which cannot be imported "
            f"({error}): pip install pymatting"
        ) from error
    return pymatting
