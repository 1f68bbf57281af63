"""The base class of all inference engines. Imports no TensorFlow."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

import numpy as np
from PIL import Image

from picanet_tf.core.images import over_white
from picanet_tf.drawing.cutouts import DEFAULT_CUTOUT, CutoutOptions
from picanet_tf.inference.sources import Source, is_image, to_array, to_arrays
from picanet_tf.tasks.spec import TaskSpec


class Model:
    """Base class of the engines; predicts saliency maps, class maps or boxes.

    An unpickled model is loaded on first use: an error while unpickling would end a
    pool's worker and leave the pool waiting, instead of being raised by the pool.

    Args:
        spec: pre- and postprocessing of the task.
        image_size: side of the network's input in pixels.

    Attributes:
        spec, image_size: as given.
        takes_batches: whether batching is faster than one image at a time.
        precision: what the network computes in, "float32" or "bfloat16"; None: as its
            file says.
    """

    takes_batches: ClassVar[bool] = False
    precision: str | None = None
    _unloaded = False

    def __init__(self, spec: TaskSpec, image_size: int):
        self.spec = spec
        self.image_size = image_size

    def predict(self, images: Source | Iterable[Source], batch_size: int = 8):
        """Predicts one or more images.

        Args:
            images: a path; an encoded image as bytes or as a file open in binary mode;
                a PIL image; or a uint8 array [H, W, 3], [H, W, 4] with alpha (the
                network sees it over white), [H, W] or [H, W, 1]. Or an iterable of
                these, of any sizes, or a uint8 array [N, H, W, C].
            batch_size: images per network call.

        Returns:
            The result at the image's size, with EXIF orientation applied: saliency in
            [0, 1], float32 [H, W]; the class of each pixel, uint8 [H, W]; or
            `detection.results.Detections`. A list of results for several images.

        Raises:
            PicanetError: if an image cannot be read, or an array is of another type or
                shape.
            TypeError: if an input is of another type.
        """
        if is_image(images):
            return next(self.predict_arrays([to_array(images)], 1))
        return list(self.predict_arrays(to_arrays(images), batch_size))

    def predict_arrays(
        self, images: Iterable[np.ndarray], batch_size: int = 8
    ) -> Iterator[np.ndarray]:
        """Like `predict`, for an iterable of uint8 arrays [H, W, 3]; yields results.

        Holds at most one batch of images in memory.

        Raises:
            ValueError: if `batch_size` is below 1.
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
        """Like `predict_arrays`: takes (name, image), yields (name, image, result)."""
        waiting: deque[tuple[object, np.ndarray]] = deque()

        def images():
            for pair in named:
                waiting.append(pair)
                yield pair[1]

        for result in self.predict_arrays(images(), batch_size):
            yield (*waiting.popleft(), result)

    def resize(self, image: np.ndarray) -> np.ndarray:
        """Resizes uint8 [H, W, 3], or [H, W, 4] over white, to the network's input.

        Returns:
            float32 [S, S, 3], RGB 0..255, as in training.
        """
        return self.spec.resize(over_white(image), self.image_size)

    def infer(self, batch: np.ndarray) -> Iterable[np.ndarray]:
        """Runs the network.

        Args:
            batch: float32 [N, S, S, 3], RGB 0..255, from `resize`.

        Returns:
            N arrays to pass to `postprocess`; for saliency float32 [S, S, 1] in [0, 1].
        """
        raise NotImplementedError

    def postprocess(self, values: np.ndarray, size: tuple[int, int]):
        """Converts an output of `infer` to a result of the image's (height, width)."""
        return self.spec.postprocess(values, size, self.image_size)

    def frame(self, image: np.ndarray) -> np.ndarray:
        """Returns the area covered by the maps, uint8 [H, W, 3].

        This is the image over white; for segmentation, padded to a square.
        """
        return self.spec.frame(over_white(image), self.image_size)

    def render(
        self,
        form: str,
        image: np.ndarray,
        result: np.ndarray,
        threshold: float = 0.5,
        cutout: CutoutOptions = DEFAULT_CUTOUT,
    ) -> Image.Image:
        """Draws a result of `predict` in one of `spec.formats`: `TaskSpec.render`."""
        return self.spec.render(form, image, result, threshold, cutout)

    def _reload(self) -> Model:
        """Loads the model again from its `_source`, with its `_options`."""
        raise NotImplementedError

    def __getattr__(self, name: str):
        if self._unloaded and not name.startswith("__"):
            vars(self).update(vars(self._reload()), _unloaded=False)
        return object.__getattribute__(self, name)

    def __reduce__(self):
        return _unloaded, (type(self), self._source, self._options)

    def _results(self, batch, sizes) -> Iterator[np.ndarray]:
        for small, size in zip(self.infer(np.stack(batch)), sizes, strict=True):
            yield self.postprocess(small, size)


def _unloaded(engine: type[Model], source: str | bytes, options: Mapping) -> Model:
    """Returns an unpickled model, to be loaded on first use."""
    model = engine.__new__(engine)
    vars(model).update(_source=source, _options=options, _unloaded=True)
    return model
