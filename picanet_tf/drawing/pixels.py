"""Pixels of an image to look from. No TensorFlow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from picanet_tf.core.errors import PicanetError


class Pixel(NamedTuple):
    """A pixel of an image, from its upper left corner."""

    x: int
    y: int


def parse_pixel(text: str, argument: str = "pixel") -> Pixel:
    """`"120,80"` -> `Pixel(x=120, y=80)`.

    Raises:
        PicanetError: names the argument and what it should be.
    """
    x, comma, y = text.partition(",")
    if not (comma and x.strip().isdecimal() and y.strip().isdecimal()):
        raise PicanetError(
            f"`{argument}` must be x,y in pixels from the upper left corner, such as "
            f"120,80. Received: {text}"
        )
    return Pixel(int(x), int(y))


def cell_of(
    pixel: Pixel,
    image_size: tuple[int, int],
    map_size: tuple[int, int],
    argument: str = "pixel",
    image: object = "the image",
) -> tuple[int, int]:
    """The position of a map under a pixel of the image.

    Args:
        pixel: of the image.
        image_size, map_size: (height, width).
        argument: what errors call it.
        image: what they call the image, such as its path.

    Returns:
        (row, column).

    Raises:
        PicanetError: the pixel is outside the image.
    """
    (height, width), (rows, columns) = image_size, map_size
    if not (0 <= pixel.x < width and 0 <= pixel.y < height):
        raise PicanetError(
            f"`{argument}` {pixel.x},{pixel.y} is outside {image}: x must be in "
            f"0..{width - 1} and y in 0..{height - 1}"
        )
    # Of the pixel's middle, in whole numbers: no rounding at the borders.
    return (
        (2 * pixel.y + 1) * rows // (2 * height),
        (2 * pixel.x + 1) * columns // (2 * width),
    )


def pick_ranks(
    centers: dict[str, Pixel], ranks: list[int], path: object, argument: str = "box"
) -> dict[str, Pixel]:
    """The centres of the objects that have these ranks, 1 being the highest score.

    Args:
        centers: {label: centre} of all objects, by falling score.
        ranks: of those wanted.
        path: what errors call the image.
        argument: what errors call it.

    Raises:
        PicanetError: the image, named by `path`, has no object of such a rank.
    """
    if ranks and max(ranks) > len(centers):
        raise PicanetError(
            f"`{argument}` {max(ranks)}: {path} has {len(centers)} boxes"
        )
    found = list(centers.items())
    return dict(found[rank - 1] for rank in ranks)


def default_query_pixels(saliency: np.ndarray, cells: int = 28) -> dict[str, Pixel]:
    """A foreground and a background pixel to look from.

    Each is deep inside its region: the one farthest from the other region and from
    the image's border.

    Args:
        saliency: float [H, W], of the image's own size.
        cells: the finest grid, a side, on which they are looked for.

    Returns:
        {"foreground": pixel, "background": pixel}.
    """
    height, width = saliency.shape
    rows, columns = min(cells, height), min(cells, width)
    centres_y = (2 * np.arange(rows) + 1) * height // (2 * rows)
    centres_x = (2 * np.arange(columns) + 1) * width // (2 * columns)
    coarse = saliency[np.ix_(centres_y, centres_x)]
    salient = coarse > (coarse.min() + coarse.max()) / 2
    found = {}
    for name, inside, values in (
        ("foreground", salient, coarse),
        ("background", ~salient, -coarse),
    ):
        # Where a region is missing (a map of one value), its likeliest pixel.
        score = _depth(inside) if inside.any() else values
        best = np.argwhere(score == score.max())
        # Of several, the one in their middle.
        off = ((best - best.mean(axis=0)) ** 2).sum(axis=1)
        row, column = best[np.argmin(off)]
        found[name] = Pixel(int(centres_x[column]), int(centres_y[row]))
    return found


def _depth(inside: np.ndarray) -> np.ndarray:
    """Distance of each cell from the nearest one that is not `inside`, 0 for those.

    What surrounds the map counts as outside.
    """
    padded = np.pad(inside, 1)
    outside = np.argwhere(~padded)
    all_cells = np.argwhere(np.ones_like(padded))
    distance = np.empty(len(all_cells))
    for start in range(0, len(all_cells), 256):
        part = all_cells[start : start + 256, None] - outside[None]
        distance[start : start + 256] = (part**2).sum(-1).min(-1) ** 0.5
    return distance.reshape(padded.shape)[1:-1, 1:-1]
