"""The engine that runs a LiteRT (TFLite) file of saliency: no TensorFlow, no Keras."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.inference.base import Model
from picanet_tf.tasks.registry import get_spec

SIGNATURE = "serving_default"


class LiteRTFile:
    """A LiteRT file as a function of one image.

    Args:
        path: the file.
        threads: of the interpreter; by default one a core.
        interpreter_class: of `ai_edge_litert` by default; TensorFlow's is alike.

    Attributes:
        image_size: side of its input, in pixels.
        output: name of its output.
        output_shape: the sizes that the file tells for it.

    Raises:
        PicanetError: the file is no LiteRT model, or takes something else than one
            square RGB image; or ai-edge-litert is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        threads: int | None = None,
        interpreter_class: Callable | None = None,
    ):
        interpreter_class = interpreter_class or _interpreter_class()
        try:
            with _quiet_stderr():
                interpreter = interpreter_class(
                    str(path), num_threads=threads or os.cpu_count()
                )
                interpreter.allocate_tensors()
                self._run = interpreter.get_signature_runner(SIGNATURE)
            ((self._image, image),) = self._run.get_input_details().items()
            ((self.output, output),) = self._run.get_output_details().items()
            shape = list(map(int, image["shape"]))
            side = shape[1] if len(shape) == 4 else 0
            if shape[1:] != [side, side, 3]:
                raise ValueError(f"its input is {shape}")
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise PicanetError(
                f"Cannot load the model {path}: not a LiteRT file of one square RGB "
                f"image: {reason}"
            ) from error
        self.image_size = side
        self.output_shape = list(map(int, output["shape"]))
        self._input = image
        self._result = output

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Runs it.

        Args:
            images: float32 [S, S, 3], RGB 0..255; of files whose JSON says `"batch":
                "any"` also [N, S, S, 3].

        Returns:
            float32, of saliency [S, S, 1] in 0..1, or N of them; quantized and back
            where the file holds integers.
        """
        images = np.asarray(images, np.float32)
        values = images if images.ndim == 4 else images[np.newaxis]
        result = self._run(**{self._image: _quantized(values, self._input)})
        result = result[self.output]
        scale, zero_point = self._result["quantization"]
        if scale:
            result = np.float32(scale) * (np.float32(result) - zero_point)
        return result if images.ndim == 4 else result[0]


class LiteRTModel(Model):
    """Predicts saliency maps, float32 [H, W] in [0, 1], by a LiteRT file.

    May be called from several threads; the network runs for one at a time.

    Args:
        path: the file, of `export.py` or of a preset.
        threads: of the interpreter; by default one a core.

    Raises:
        PicanetError: as of `LiteRTFile`, or a file of another task.
    """

    def __init__(self, path: str | os.PathLike, threads: int | None = None):
        self._file = LiteRTFile(path, threads)
        if self._file.output != "saliency":
            raise PicanetError(
                f"{path} gives {self._file.output!r}; the LiteRT engine predicts "
                "saliency only. Take the network itself (a run, or a .keras file)"
            )
        side = self._file.image_size
        if self._file.output_shape[1:] != [side, side, 1] or side < 2:
            raise PicanetError(
                f"{path} is no export of a saliency network: it must give maps [N, S, "
                f"S, 1]. Received: {self._file.output_shape} with S = {side}"
            )
        super().__init__(get_spec("saliency"), self._file.image_size)
        self.path = Path(path)
        self._lock = threading.Lock()

    def infer(self, batch: np.ndarray) -> Iterator[np.ndarray]:
        for image in batch:
            with self._lock:
                small = self._file(image)
            yield small


@contextlib.contextmanager
def _quiet_stderr():
    """Keeps back what the runtime's C++ says of its delegate when it opens a file.

    It has no switch for that. Errors come as exceptions, and are not kept back. In the
    main thread only: the descriptor is the process', and two must not swap it at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
        saved = os.dup(2)
    except OSError:  # There is none, as of a daemon.
        yield
        return
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _interpreter_class():
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise PicanetError(
            "The LiteRT engine wants the package ai-edge-litert, which cannot be "
            f"imported ({error}): pip install ai-edge-litert"
        ) from error
    return Interpreter


def _quantized(values, details):
    scale, zero_point = details["quantization"]
    if not scale:
        return values
    limits = np.iinfo(details["dtype"])
    stored = np.round(values / scale + zero_point)
    return stored.clip(limits.min, limits.max).astype(details["dtype"])
