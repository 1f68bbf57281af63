"""The page's logic, independent of gradio. Imports no TensorFlow."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from absl import logging

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.pictures import save_picture
from picanet_tf.drawing.attention import attention_rows, mark_pixel
from picanet_tf.drawing.cutouts import cut_out
from picanet_tf.drawing.maps import as_rgb, binary, grey, resize_map, scale_to
from picanet_tf.drawing.pixels import Pixel, cell_of, default_query_pixels
from picanet_tf.serving.page.later import Later

if TYPE_CHECKING:
    from picanet_tf.inference.attention import AttentionMaps, AttentionModel
    from picanet_tf.inference.base import Model

MOST_LABELS = 5  # largest number of attentive modules of any network

_PHOTO_SIDE = 896  # longer side of the displayed photo, in pixels
_DOT = 10  # radius of the dot on it, in pixels


@dataclass(eq=False)
class Seen:
    """An image and its cached network outputs.

    Attributes:
        name: file name.
        original: uint8 [H, W, 3], or [H, W, 4] if the photo has transparency.
        image: uint8 [H, W, 3], the photo over white, as the network sees it.
        map: float32 [H, W] in [0, 1], the saliency map.
        photo: uint8 [h, w, 3], the image at its displayed size.
        saliency: float32 [h, w], the map at the displayed size.
        pixel: query pixel of the image, the last one clicked.
        attention: attention maps; None until computed.
    """

    name: str
    original: np.ndarray
    image: np.ndarray
    map: np.ndarray
    photo: np.ndarray
    saliency: np.ndarray
    pixel: Pixel
    attention: AttentionMaps | None = None
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


class Page:
    """The page's logic.

    For saliency models the map is shown at once and the attention later; for other
    tasks the map is computed together with the attention.

    Args:
        model: the model to predict with.
        load_attention: loads the network with its attention, which may take long;
            called once, in a thread, see `start`. None for LiteRT files, which have
            none.
        read: path -> uint8 [H, W, 3] or [H, W, 4]; raises `PicanetError` if it is not
            an image.

    Attributes:
        predicts_maps: whether `model` itself predicts the map.
    """

    def __init__(
        self,
        model: Model,
        load_attention: Callable[[], AttentionModel] | None,
        read: Callable[[str], np.ndarray],
    ):
        self._model = model
        self._load_attention = load_attention
        self._read = read
        self._attention = Later(self._load)
        self.predicts_maps = "cutout" in model.spec.formats

    def start(self) -> None:
        """Starts loading; waits for it if there is no map without the attention.

        Raises:
            PicanetError: if it waited and the attention could not be loaded.
        """
        self._attention.start()
        if not self.predicts_maps:
            self._attention.result()

    @property
    def is_loading(self) -> bool:
        """Whether the attention is still being loaded."""
        return not self._attention.done

    @property
    def has_no_attention(self) -> bool:
        """Whether loading the attention has failed; does not wait."""
        return not self.is_loading and bool(self.no_attention())

    def no_attention(self) -> str:
        """Waits until loading has ended; returns why it failed, or ""."""
        try:
            self._attention.result()
        except PicanetError as error:
            return str(error)
        return ""

    @property
    def map_title(self) -> str:
        """Title of the map."""
        if self.predicts_maps:
            return "saliency"
        return self._attention.result().task.foreground_title

    @property
    def labels(self) -> list[str]:
        """Labels of the pictures of `attention`, at most `MOST_LABELS`; waits."""
        return self._attention.result().labels

    def drop(self, path: str) -> Seen:
        """Reads an image and predicts its map; the query pixel is in the foreground.

        Raises:
            PicanetError: if it is not an image or too large.
        """
        original = self._read(path)
        image = self._model.frame(original)
        if original.shape[:2] != image.shape[:2]:  # Padded to a square.
            original = image
        if self.predicts_maps:
            maps, values = None, self._model.predict(image)
            pixels = default_query_pixels(values)
        else:
            maps = self._attention.result().predict(image)
            values, pixels = maps.foreground, maps.query_pixels
        photo = scale_to(image, _PHOTO_SIDE)
        saliency = resize_map(values, photo.shape[:2])
        pixel = next(iter(pixels.values()))
        return Seen(
            Path(path).name, original, image, values, photo, saliency, pixel, maps
        )

    def click(self, seen: Seen, x: int, y: int) -> None:
        """Sets the query pixel from a position on the displayed photo.

        Raises:
            PicanetError: if the position is outside the photo.
        """
        sizes = seen.photo.shape[:2], seen.image.shape[:2]
        row, column = cell_of(Pixel(int(x), int(y)), *sizes, argument="click")
        seen.pixel = Pixel(column, row)

    def dotted(self, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        """Returns photo and map, uint8 [h, w, 3] each, with a dot at the query pixel.

        The dot is omitted once it is known that there is no attention.
        """
        photo, saliency = seen.photo, as_rgb(grey(seen.saliency))
        if self.has_no_attention:
            return photo, saliency
        shape, pixel = seen.image.shape, seen.pixel
        return (
            mark_pixel(photo, shape, pixel, radius=_DOT),
            mark_pixel(saliency, shape, pixel, radius=_DOT),
        )

    def attention(self, seen: Seen) -> tuple[Pixel, list[np.ndarray]]:
        """Returns the query pixel and a uint8 picture for each of `labels`.

        Waits until the network is loaded, and runs it once per image.

        Raises:
            PicanetError: if there is no attention.
        """
        model = self._attention.result()
        with seen.lock:
            if seen.attention is None:
                seen.attention = model.predict(seen.image)
        # Read only now, so that a click in the meantime takes effect.
        pixel = seen.pixel
        _, (row,) = attention_rows(seen.image, seen.attention, {"": pixel})
        _, _, *pictures = row.pictures
        return pixel, pictures

    def cut(self, seen: Seen, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """Returns mask and cut-out of the photo: uint8 [h, w, 3] and [h, w, 4].

        At threshold 0.5, the cut-out is that of `picanet predict`.
        """
        mask = binary(seen.saliency, threshold)
        small = scale_to(seen.original, max(seen.photo.shape[:2]))
        return as_rgb(mask), cut_out(small, _center(seen.saliency, threshold))

    def save_cutout(self, seen: Seen, threshold: float, folder: Path) -> Path:
        """Writes the cut-out at the image's size as an RGBA PNG; returns its path."""
        cut = cut_out(seen.original, _center(seen.map, threshold))
        path = Path(folder) / f"{Path(seen.name).stem}.cutout.png"
        save_picture(path, cut)
        return path

    def _load(self) -> AttentionModel:
        """Loads the attention in a thread; converts all errors to `PicanetError`."""
        # Warm-up: the first run of each network takes seconds longer.
        side = self._model.image_size
        blank = np.zeros((side, side, 3), np.uint8)
        try:
            if self.predicts_maps:
                self._model.predict(blank)
            if self._load_attention is None:
                raise PicanetError(
                    "The model is a LiteRT file, which has no attention outputs: give "
                    "the run, .keras file or preset it was made from"
                )
            model = self._load_attention()
            model.predict(blank)
        except PicanetError:
            raise
        except ImportError as error:
            raise PicanetError(
                f"It requires TensorFlow, which cannot be imported ({error}): pip "
                "install tensorflow keras"
            ) from error
        except Exception as error:
            logging.exception("The attention could not be loaded")
            raise PicanetError(
                f"It could not be loaded: {error} ({type(error).__name__})"
            ) from error
        return model


def _center(saliency: np.ndarray, threshold: float) -> np.ndarray:
    """Scales the odds of a map so that `threshold` becomes 0.5."""
    if threshold in (0, 1):
        return np.float32(saliency >= threshold)
    inside, outside = saliency * (1 - threshold), (1 - saliency) * threshold
    return inside / (inside + outside)
