"""What the page answers to a dropped photo, a click and a threshold. No TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from picanet_tf.pixels import Pixel, cell_of
from picanet_tf.saliency.rendering import as_rgb, render, resized, scaled_to

if TYPE_CHECKING:
    from picanet_tf.inference import AttentionModel, Look

_PHOTO_SIDE = 896  # the longer side of the picture to click on, in pixels
_DOT = 10  # the dot's radius there


@dataclass(frozen=True, eq=False)
class Seen:
    """An image, and what the network did with it: it is run once for each.

    Attributes:
        name: the file's.
        image: uint8 [H, W, 3].
        look: of that image.
        photo: uint8 [h, w, 3], the image as the page shows it.
        saliency: float32 [h, w] in [0, 1], of the photo's size.
    """

    name: str
    image: np.ndarray
    look: Look
    photo: np.ndarray
    saliency: np.ndarray


class Page:
    """What the page answers. Knows no browser, and no gradio.

    Args:
        model: the network to look into.
        read: a path -> uint8 [H, W, 3]; raises `PicanetError` for what is no image.
    """

    def __init__(self, model: AttentionModel, read: Callable[[str], np.ndarray]):
        self._model = model
        self._read = read

    @property
    def titles(self) -> list[str]:
        """Of the pictures that `attention` draws beside the photo."""
        return [self._model.title, *self._model.labels]

    def drop(self, path: str) -> Seen:
        """Reads an image and runs the network on it.

        Raises:
            PicanetError: it is no image, or too large a one.
        """
        image = self._model.frame(self._read(path))
        look = self._model.look(image)
        photo = scaled_to(image, _PHOTO_SIDE)
        saliency = resized(look.saliency, photo.shape[:2])
        return Seen(Path(path).name, image, look, photo, saliency)

    def first_pixel(self, seen: Seen) -> Pixel:
        """The one to look from before anyone clicked: in the foreground."""
        return next(iter(seen.look.pixels.values()))

    def clicked(self, seen: Seen, x: int, y: int) -> Pixel:
        """The image's pixel under a position of the photo.

        Raises:
            PicanetError: the position is outside the photo.
        """
        sizes = seen.photo.shape[:2], seen.image.shape[:2]
        row, column = cell_of(Pixel(int(x), int(y)), *sizes, flag="the click")
        return Pixel(column, row)

    def attention(self, seen: Seen, pixel: Pixel) -> list[np.ndarray]:
        """The photo with its dot, and a picture for each of `titles`, uint8."""
        from picanet_tf.visualization import attention_rows, marked

        look = seen.look
        _, (row,) = attention_rows(
            seen.image,
            look.saliency,
            look.attention,
            self._model.kinds,
            {"": pixel},
            look.points,
        )
        photo = marked(seen.photo, seen.image.shape, pixel, radius=_DOT)
        return [photo, *row.pictures[1:]]

    def cut(self, seen: Seen, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """Mask and cut-out of the photo: uint8 [h, w, 3] and [h, w, 4]."""
        mask = render("mask", seen.photo, seen.saliency, threshold)
        return as_rgb(mask), np.dstack([seen.photo, mask])

    def save_cutout(self, seen: Seen, threshold: float, folder: Path) -> Path:
        """Writes the cut-out at the image's own size: an RGBA PNG, and its path."""
        from picanet_tf.visualization import save_image

        mask = render("mask", seen.image, seen.look.saliency, threshold)
        path = Path(folder) / f"{Path(seen.name).stem}.cutout.png"
        save_image(path, np.dstack([seen.image, mask]))
        return path
