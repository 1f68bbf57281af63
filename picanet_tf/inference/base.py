"""What all engines share: images in, results at their own sizes out. No TensorFlow."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import ClassVar

import numpy as np
from PIL import Image

from picanet_tf.inference.sources import Source, no_image, to_array
from picanet_tf.tasks.spec import TaskSpec


class Model:
    """Predicts what a network learned: saliency maps, class maps, boxes.

    Args:
        spec: how photos go in and results come out.
        image_size: side of the network's input, in pixels.

    Attributes:
        spec, image_size: as given.
        takes_batches: whether several images at once are quicker than one by one.
    """

    takes_batches: ClassVar[bool] = False

    def __init__(self, spec: TaskSpec, image_size: int):
        self.spec = spec
        self.image_size = image_size

    def predict(self, images: Source | Iterable[Source], batch_size: int = 8):
        """Saliency maps, class maps or boxes.

        Args:
            images: a path, encoded bytes, a PIL image or a uint8 array [H, W, 3], RGB;
                or several of them, of any sizes; or a uint8 array [N, H, W, 3].
            batch_size: images that go through the network at once.

        Returns:
            At the image's own size, after its EXIF orientation: float32 [H, W],
            saliency in [0, 1]; or uint8 [H, W], the class of each pixel; or
            `detection.results.Detections`. A list of them for several images.

        Raises:
            PicanetError: an image that cannot be read, by name.
            ValueError: an array that is not uint8 [H, W, 3].
            TypeError: what is none of these.
        """
        several = isinstance(images, np.ndarray) and images.ndim == 4
        if isinstance(images, Source) and not several:
            return next(self.predict_arrays([to_array(images)], 1))
        if not isinstance(images, Iterable):
            raise no_image(images)
        return list(self.predict_arrays(map(to_array, images), batch_size))

    def predict_arrays(
        self, images: Iterable[np.ndarray], batch_size: int = 8
    ) -> Iterator[np.ndarray]:
        """As `predict` for uint8 arrays [H, W, 3], one result after the other.

        Holds no more than a batch of images.
        """
        if batch_size < 1:
            raise ValueError(
                f"`batch_size` must be at least 1. Received: batch_size={batch_size}"
            )
        batch: list[np.ndarray] = []
        sizes: list[tuple[int, int]] = []
        for image in images:
            batch.append(self.resize(image))
            sizes.append(image.shape[:2])
            if len(batch) == batch_size:
                yield from self._results(batch, sizes)
                batch, sizes = [], []
        if batch:
            yield from self._results(batch, sizes)

    def predict_named(
        self, named: Iterable[tuple[object, np.ndarray]], batch_size: int = 8
    ) -> Iterator[tuple[object, np.ndarray, np.ndarray]]:
        """As `predict_arrays`: (name, image) in, (name, image, result) out."""
        waiting: deque[tuple[object, np.ndarray]] = deque()

        def images():
            for pair in named:
                waiting.append(pair)
                yield pair[1]

        for result in self.predict_arrays(images(), batch_size):
            yield (*waiting.popleft(), result)

    def resize(self, image: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] -> float32 at the network's input size, as in training."""
        return self.spec.resize(image, self.image_size)

    def infer(self, batch: np.ndarray) -> Iterable[np.ndarray]:
        """Runs the network.

        Args:
            batch: float32 [N, S, S, 3], RGB 0..255, of `resize`.

        Returns:
            N arrays, what `postprocess` takes: of saliency float32 [S, S, 1] in [0, 1].
        """
        raise NotImplementedError

    def postprocess(self, values: np.ndarray, size: tuple[int, int]):
        """From one array of `infer` to the result at the image's (height, width)."""
        return self.spec.postprocess(values, size, self.image_size)

    def frame(self, image: np.ndarray) -> np.ndarray:
        """What the network's maps lie over: the image, or a square around it."""
        return self.spec.frame(image, self.image_size)

    def render(
        self, form: str, image: np.ndarray, result: np.ndarray, threshold: float = 0.5
    ) -> Image.Image:
        """Draws a result of `predict` in one of `spec.formats`."""
        return self.spec.render(form, image, result, threshold)

    def _results(self, batch, sizes) -> Iterator[np.ndarray]:
        for small, size in zip(self.infer(np.stack(batch)), sizes, strict=True):
            yield self.postprocess(small, size)
