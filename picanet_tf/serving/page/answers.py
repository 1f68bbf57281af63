"""What the page answers to a dropped photo, a click and a threshold. No TensorFlow."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from absl import logging

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.resizing import save_image
from picanet_tf.drawing.attention import attention_rows, marked
from picanet_tf.drawing.maps import as_rgb, binary, grey, resized, scaled_to
from picanet_tf.drawing.pixels import Pixel, cell_of, default_query_pixels
from picanet_tf.serving.page.later import Later

if TYPE_CHECKING:
    from picanet_tf.inference.attention import AttentionMaps, AttentionModel
    from picanet_tf.inference.base import Model

MOST_LABELS = 5  # attentive modules of a network of any task, at most

_PHOTO_SIDE = 896  # the longer side of the picture to click on, in pixels
_DOT = 10  # the dot's radius there


@dataclass(eq=False)
class Seen:
    """An image, and what the networks did with it: each is run once.

    Attributes:
        name: the file's.
        image: uint8 [H, W, 3].
        map: float32 [H, W] in [0, 1], the saliency map.
        photo: uint8 [h, w, 3], the image as the page shows it.
        saliency: float32 [h, w], the map of the photo's size.
        pixel: the image's that looks, the one that was clicked last.
        attention: of the image; None before it was computed.
    """

    name: str
    image: np.ndarray
    map: np.ndarray
    photo: np.ndarray
    saliency: np.ndarray
    pixel: Pixel
    attention: AttentionMaps | None = None
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


class Page:
    """What the page answers. Knows no browser, and no gradio.

    A model that predicts saliency maps answers a photo at once, and its attention
    follows; of other tasks, whose map is made with the attention, both come together.

    Args:
        model: the network that predicts.
        load_attention: makes the network to look into, and may take long: it is called
            once, in a thread that `start` begins. None: a LiteRT file, which has none.
        read: a path -> uint8 [H, W, 3]; raises `PicanetError` for what is no image.

    Attributes:
        predicts_maps: whether the map comes of the model, not with the attention.
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
        self._attention = Later(self._loaded)
        self.predicts_maps = "cutout" in model.spec.formats

    def start(self) -> None:
        """Begins to load; waits where there is no map without the attention.

        Raises:
            PicanetError: it waited, and there is no attention.
        """
        self._attention.start()
        if not self.predicts_maps:
            self._attention.result()

    @property
    def is_loading(self) -> bool:
        """Whether it is not known yet what there is of attention."""
        return not self._attention.done

    @property
    def has_no_attention(self) -> bool:
        """Whether it is known that none can be shown; does not wait."""
        return not self.is_loading and bool(self.no_attention())

    def no_attention(self) -> str:
        """Why no attention can be shown, "" if it can; waits until that is known."""
        try:
            self._attention.result()
        except PicanetError as error:
            return str(error)
        return ""

    @property
    def map_title(self) -> str:
        """What the map is called."""
        if self.predicts_maps:
            return "saliency"
        return self._attention.result().task.foreground_title

    @property
    def labels(self) -> list[str]:
        """Of the pictures that `attention` draws, at most `MOST_LABELS`; waits."""
        return self._attention.result().labels

    def drop(self, path: str) -> Seen:
        """Reads an image and predicts its map; a pixel of the foreground looks.

        Raises:
            PicanetError: it is no image, or too large a one.
        """
        image = self._model.frame(self._read(path))
        if self.predicts_maps:
            maps, values = None, self._model.predict(image)
            pixels = default_query_pixels(values)
        else:
            maps = self._attention.result().predict(image)
            values, pixels = maps.foreground, maps.query_pixels
        photo = scaled_to(image, _PHOTO_SIDE)
        saliency = resized(values, photo.shape[:2])
        pixel = next(iter(pixels.values()))
        return Seen(Path(path).name, image, values, photo, saliency, pixel, maps)

    def click(self, seen: Seen, x: int, y: int) -> None:
        """The image's pixel under this position of the photo is the one that looks.

        Raises:
            PicanetError: the position is outside the photo.
        """
        sizes = seen.photo.shape[:2], seen.image.shape[:2]
        row, column = cell_of(Pixel(int(x), int(y)), *sizes, argument="click")
        seen.pixel = Pixel(column, row)

    def dotted(self, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        """The photo and its map, uint8 [h, w, 3] each, with the pixel's dot.

        Without one where it is known that there is no attention to see from it.
        """
        photo, saliency = seen.photo, as_rgb(grey(seen.saliency))
        if self.has_no_attention:
            return photo, saliency
        shape, pixel = seen.image.shape, seen.pixel
        return (
            marked(photo, shape, pixel, radius=_DOT),
            marked(saliency, shape, pixel, radius=_DOT),
        )

    def attention(self, seen: Seen) -> tuple[Pixel, list[np.ndarray]]:
        """From which pixel, and a picture for each of `labels`, uint8.

        Waits until the network is loaded, and runs it once for an image.

        Raises:
            PicanetError: there is no attention.
        """
        model = self._attention.result()
        with seen.lock:
            if seen.attention is None:
                seen.attention = model.predict(seen.image)
        # Not before: whoever clicks meanwhile gets the pictures of that pixel.
        pixel = seen.pixel
        _, (row,) = attention_rows(seen.image, seen.attention, {"": pixel})
        _, _, *pictures = row.pictures
        return pixel, pictures

    def cut(self, seen: Seen, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """Mask and cut-out of the photo: uint8 [h, w, 3] and [h, w, 4]."""
        mask = binary(seen.saliency, threshold)
        return as_rgb(mask), np.dstack([seen.photo, mask])

    def save_cutout(self, seen: Seen, threshold: float, folder: Path) -> Path:
        """Writes the cut-out at the image's own size: an RGBA PNG, and its path."""
        mask = binary(seen.map, threshold)
        path = Path(folder) / f"{Path(seen.name).stem}.cutout.png"
        save_image(path, np.dstack([seen.image, mask]))
        return path

    def _loaded(self) -> AttentionModel:
        """Called in a thread, whose errors nobody sees unless they are told."""
        # Each network's first run takes seconds longer, which no photo should wait.
        side = self._model.image_size
        blank = np.zeros((side, side, 3), np.uint8)
        try:
            if self.predicts_maps:
                self._model.predict(blank)
            if self._load_attention is None:
                raise PicanetError(
                    "The model is a LiteRT file, which does not give its attention: "
                    "name the run, the .keras file or the preset that it was made from"
                )
            model = self._load_attention()
            model.predict(blank)
        except PicanetError:
            raise
        except ImportError as error:
            raise PicanetError(
                f"It takes TensorFlow, which cannot be imported ({error}): pip install "
                "tensorflow keras"
            ) from error
        except Exception as error:
            logging.exception("The attention could not be loaded")
            raise PicanetError(
                f"It could not be loaded: {error} ({type(error).__name__})"
            ) from error
        return model
