"""Query pixels for attention maps. Does not import TensorFlow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from picanet_tf.core.errors import PicanetError


class Pixel(NamedTuple):
    """A pixel of an image, relative to the top left corner."""

    x: int
    y: int


def parse_pixel(text: str) -> Pixel:
    """Parses `"120,80"` to `Pixel(x=120, y=80)`.

    Raises:
        PicanetError: if the format is invalid; the message names the argument.
    """
    x, comma, y = text.partition(",")
    if not (comma and x.strip().isdecimal() and y.strip().isdecimal()):
        raise PicanetError(
            "`pixel` must be x,y in pixels from the upper left corner, such as "
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
    """Returns the position on a map that contains a pixel of the image.

    Args:
        pixel: pixel of the image.
        image_size, map_size: (height, width).
        argument: name of the argument in error messages.
        image: name of the image in error messages, such as its path.

    Returns:
        (row, column).

    Raises:
        PicanetError: if the pixel is outside the image.
    """
    (height, width), (rows, columns) = image_size, map_size
    if not (0 <= pixel.x < width and 0 <= pixel.y < height):
        raise PicanetError(
            f"`{argument}` {pixel.x},{pixel.y} is outside {image}: x must be in "
            f"0..{width - 1} and y in 0..{height - 1}"
        )
    # From the pixel's centre, in integers to avoid rounding errors at the borders.
    return (
        (2 * pixel.y + 1) * rows // (2 * height),
        (2 * pixel.x + 1) * columns // (2 * width),
    )


def pick_ranks(
    centers: dict[str, Pixel], ranks: list[int], path: object
) -> dict[str, Pixel]:
    """Selects objects by rank, where 1 is the highest score.

    Args:
        centers: {label: centre} of all objects, by descending score.
        ranks: ranks of the objects to select.
        path: name of the image in error messages.

    Raises:
        PicanetError: if the image has no object with such a rank.
    """
    for rank in ranks:
        if not 1 <= rank <= len(centers):
            raise PicanetError(f"`box` {rank}: {path} has {len(centers)} boxes")
    found = list(centers.items())
    return dict(found[rank - 1] for rank in ranks)


def default_query_pixels(saliency: np.ndarray, cells: int = 28) -> dict[str, Pixel]:
    """Chooses a foreground and a background pixel as default query pixels.

    Each is the pixel of its region that is farthest from the other region and from the
    image border.

    Args:
        saliency: float [H, W], at the image's size.
        cells: maximum side of the grid on which pixels are searched.

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
        # If a region is missing (e.g. in a constant map), its most likely pixel.
        score = _depth(inside) if inside.any() else values
        best = np.argwhere(score == score.max())
        # Among several, the one closest to their centre.
        off = ((best - best.mean(axis=0)) ** 2).sum(axis=1)
        row, column = best[np.argmin(off)]
        found[name] = Pixel(int(centres_x[column]), int(centres_y[row]))
    return found


def _depth(inside: np.ndarray) -> np.ndarray:
    """Returns each cell's distance to the nearest cell that is not `inside`.

    Cells beyond the border of the map count as outside.
    """
    padded = np.pad(inside, 1)
    outside = np.argwhere(~padded)
    all_cells = np.argwhere(np.ones_like(padded))
    distance = np.empty(len(all_cells))
    for start in range(0, len(all_cells), 256):
        part = all_cells[start : start + 256, None] - outside[None]
        distance[start : start + 256] = (part**2).sum(-1).min(-1) ** 0.5
    return distance.reshape(padded.shape)[1:-1, 1:-1]
