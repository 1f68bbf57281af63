"""Refines a cut-out's alpha by closed-form matting. Requires pymatting."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
import threading

import numpy as np
from absl import logging

from picanet_tf.core.errors import PicanetError
from picanet_tf.drawing.box_filters import box_mean, shrink, window_radius, working_size
from picanet_tf.drawing.edges import fit_edges

# Larger photos are matted with their longer side reduced to this, since time and memory
# grow with the number of pixels.
MATTING_SIDE = 1024
# Distances from the map's edge, as fractions of the longer side, up to which pixels are
# unknown: of pixels that the map is unsure of, and of those that it is sure of.
_UNSURE, _SURE = 0.03, 0.01
_one_at_a_time = threading.Lock()


def refine_alpha(saliency: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Solves for the share of the object in each pixel near its edge.

    The edge is where the map crosses 0.5. Pixels far from it are object or background
    as in the map; the others are the unknown part of the trimap of closed-form matting
    (A. Levin, D. Lischinski and Y. Weiss, "A Closed-Form Solution to Natural Image
    Matting", PAMI 2008). The solution is multiplied by the map's mean over the nearby
    part of the object.

    Args:
        saliency: float [H, W] in [0, 1], with the photo's edges (`guide_edges`).
        image: uint8 [H, W, 3].

    Returns:
        float32 [H, W] in [0, 1]; `saliency` itself, with a warning, if there is no
        solution.

    Raises:
        PicanetError: if pymatting is not installed.
    """
    estimate_alpha = require_pymatting().estimate_alpha_cf
    size = working_size(saliency.shape, MATTING_SIDE)
    small, values = shrink(image, size), shrink(saliency, size)
    inside = values >= 0.5
    unknown = _near_edge(inside, _UNSURE) & (values > 0.05) & (values < 0.95)
    unknown |= _near_edge(inside, _SURE)
    if not unknown.any():  # There is no edge.
        return np.float32(saliency)
    trimap = np.where(unknown, 0.5, inside)
    try:
        # pymatting prints to standard output, to which the picture may be written.
        with (
            _one_at_a_time,
            contextlib.redirect_stdout(io.StringIO()),
            np.errstate(all="ignore"),
        ):
            alpha = np.float32(estimate_alpha(np.float64(small), trimap))
    except ValueError as error:  # It did not converge, as in very thin photos.
        logging.warning("Matting fails (%s): the edges are not refined", error)
        return np.float32(saliency)
    # Where the map is unsure of the object, it stays half-transparent.
    alpha *= _level(values, inside)
    return alpha if size == saliency.shape else fit_edges(alpha, image)


def _level(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Returns the mean of the object's values around each pixel; 0 far from it."""
    radius = window_radius(_UNSURE, inside.shape)
    return box_mean(values * inside, radius) / (box_mean(inside, radius) + 1e-6)


def _near_edge(inside: np.ndarray, distance: float) -> np.ndarray:
    """Returns where the window around a pixel has both object and background."""
    around = box_mean(inside, window_radius(distance, inside.shape))
    return (around > 0) & (around < 1)


def require_pymatting():
    """Returns the module pymatting.

    Raises:
        PicanetError: if it is not installed.
    """
    if "pymatting" not in sys.modules and importlib.util.find_spec("pymatting"):
        logging.info("Loading pymatting, which compiles itself once: a minute or two")
    try:
        import pymatting
    except ImportError as error:
        raise PicanetError(
            f"`matting` requires the package pymatting, which cannot be imported "
            f"({error}): pip install pymatting"
        ) from error
    return pymatting
