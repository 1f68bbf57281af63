"""Cuts an object out of its photo, given a saliency map. Does not import TensorFlow."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass

import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import over_white
from picanet_tf.drawing.backgrounds import (
    TRANSPARENT,
    Background,
    lay_over,
    parse_background,
)
from picanet_tf.drawing.edges import EDGES, guide_edges
from picanet_tf.drawing.foreground import estimate_foreground
from picanet_tf.drawing.maps import grey
from picanet_tf.drawing.matting import refine_alpha, require_pymatting
from picanet_tf.drawing.opencv import import_opencv

# `crop` keeps the object, whose alpha is at least 0.5, and pixels of at least this
# alpha within this distance of it, as a fraction of the longer side. Faint specks
# elsewhere do not count.
_VISIBLE = 0.1
_SOFT_EDGE = 0.02
_LARGEST_REQUIRES = "`largest_only` requires"


@dataclass(frozen=True, kw_only=True)
class CutoutOptions:
    """How an object is cut out.

    Attributes:
        edges: `"guided"`: the map gets the edges of the photo; `"plain"`: it is used as
            resized; None: guided for cut-outs, plain for maps and masks.
        matting: whether to refine alpha with pymatting.
        background: `"transparent"`, `"blur"`, a colour or the path of a photo, see
            `parse_background`.
        crop: whether to crop to the object.
        largest_only: whether to keep only the largest connected object.
        invert: whether to keep the background in place of the object.

    Raises:
        PicanetError: if a value is invalid, a background photo cannot be read, or a
            package is not installed: pymatting, or OpenCV for `largest_only`.
    """

    edges: str | None = None
    matting: bool = False
    background: str | os.PathLike = TRANSPARENT
    crop: bool = False
    largest_only: bool = False
    invert: bool = False

    def __post_init__(self):
        if self.edges not in (None, *EDGES):
            raise PicanetError(
                f"`edges` must be one of {', '.join(EDGES)}. Received: {self.edges}"
            )
        for name in ("matting", "crop", "largest_only", "invert"):
            if not isinstance(getattr(self, name), bool):
                raise PicanetError(
                    f"`{name}` must be True or False. Received: {getattr(self, name)!r}"
                )
        # Fail before the first photo if a value is invalid or a package is missing.
        self.draw_background  # noqa: B018
        if self.matting:
            require_pymatting()
        if self.largest_only:
            import_opencv(_LARGEST_REQUIRES)

    @functools.cached_property
    def draw_background(self) -> Background | None:
        """The parsed `background`; None for transparency."""
        return parse_background(self.background)

    @property
    def is_opaque(self) -> bool:
        """Whether the results have no alpha channel."""
        return self.draw_background is not None

    def only_for_cutouts(self) -> list[str]:
        """Returns the names of given options that do not apply to maps and masks."""
        names = ("matting", "background", "crop")
        return [n for n in names if getattr(self, n) != getattr(DEFAULT_CUTOUT, n)]


DEFAULT_CUTOUT = CutoutOptions()


def adjust_map(
    image: np.ndarray, saliency: np.ndarray, options: CutoutOptions = DEFAULT_CUTOUT
) -> np.ndarray:
    """Applies `edges`, `largest_only` and `invert` to a map.

    Args:
        image: uint8 [H, W, 3] or [H, W, 4].
        saliency: float [H, W] in [0, 1].
        options: the options; the others do not apply.

    Returns:
        float [H, W] in [0, 1].
    """
    saliency = _select(image, saliency, options, options.edges or "plain")
    return 1 - saliency if options.invert else saliency


def cut_out(
    image: np.ndarray, saliency: np.ndarray, options: CutoutOptions = DEFAULT_CUTOUT
) -> np.ndarray:
    """Cuts the object out.

    Args:
        image: uint8 [H, W, 3], or [H, W, 4] if the photo has transparency, whose alpha
            is multiplied with the map.
        saliency: float [H, W] in [0, 1].
        options: how to cut it out.

    Returns:
        uint8 [h, w, 4] with straight alpha, or [h, w, 3] with an opaque background; of
        the photo's size unless cropped.

    Raises:
        PicanetError: if there is no object to crop to.
    """
    alpha = _select(image, saliency, options, options.edges or "guided")
    if options.matting:
        alpha = refine_alpha(alpha, over_white(image))
    if options.invert:
        alpha = 1 - alpha
    opacity = np.float32(image[..., 3]) / 255 if image.shape[2] == 4 else None
    colours = estimate_foreground(image[..., :3], alpha, opacity)
    share = alpha if opacity is None else alpha * opacity
    frame = np.s_[:, :]
    if options.crop:
        frame = _frame(alpha if opacity is None else alpha * (opacity > 0))
    if options.draw_background is None:
        return np.dstack([colours[frame], grey(share[frame])])
    background = options.draw_background(image[..., :3], alpha, opacity, frame)
    return lay_over(colours[frame], share[frame], background)


def _select(image, saliency, options: CutoutOptions, edges: str) -> np.ndarray:
    if edges == "guided":
        saliency = guide_edges(saliency, over_white(image))
    if options.largest_only:
        # Transparent pixels belong to no object.
        visible = image[..., 3] > 0 if image.shape[2] == 4 else True
        saliency = keep_largest(np.where(visible, saliency, np.float32(0)))
    return saliency


def keep_largest(saliency: np.ndarray) -> np.ndarray:
    """Clears a map around all objects but the largest.

    Objects are connected regions of at least 0.5. A pixel below 0.5 belongs to the
    nearest of them.

    Args:
        saliency: float [H, W] in [0, 1].

    Returns:
        As `saliency`, 0 where a pixel belongs to another object.

    Raises:
        PicanetError: if OpenCV is not installed.
    """
    cv2 = import_opencv(_LARGEST_REQUIRES)
    salient = np.uint8(saliency >= 0.5)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(salient)
    if count <= 2:  # The background and one object.
        return saliency
    largest = labels == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])
    others = salient & ~largest

    def distance(objects):
        return cv2.distanceTransform(np.uint8(~objects), cv2.DIST_L2, 5)

    nearer = distance(largest) <= distance(others > 0)
    return np.where(nearer, saliency, np.float32(0))


def _frame(alpha: np.ndarray) -> tuple[slice, slice]:
    """Returns the rows and columns of the object, including its soft edge."""
    object_rows, object_columns = _bounds(alpha >= 0.5)
    margin = round(_SOFT_EDGE * max(alpha.shape))
    window = tuple(
        slice(max(0, part.start - margin), part.stop + margin)
        for part in (object_rows, object_columns)
    )
    inside = np.zeros(alpha.shape, bool)
    inside[window] = alpha[window] >= _VISIBLE
    return _bounds(inside)


def _bounds(inside: np.ndarray) -> tuple[slice, slice]:
    """Returns the rows and columns of the bounding box of True, if there is any."""
    if not inside.any():
        raise PicanetError(
            "nothing to crop to: no visible pixel of the map reaches 0.5"
        )
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
