"""The LiteRT (TFLite) engine for saliency. Needs neither TensorFlow nor Keras."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.hardware import cores
from picanet_tf.inference.base import Model
from picanet_tf.tasks.registry import get_spec

SIGNATURE = "serving_default"

# In a forked process, the destructor of an inherited interpreter would wait forever for
# threads that only the parent has: such interpreters are kept.
_files: weakref.WeakSet[LiteRTFile] = weakref.WeakSet()
_inherited: list[LiteRTFile] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _inherited.extend(_files))


class LiteRTFile:
    """A LiteRT file as a callable on images.

    Args:
        path: the file.
        threads: interpreter threads; defaults to one per core.
        interpreter_class: defaults to `ai_edge_litert`'s; `tf.lite.Interpreter` works
            too.

    Attributes:
        image_size: side of the input in pixels.
        output: name of the output that is not attention.
        outputs: names of all outputs.
        input_dtype: dtype of the input as stored in the file.
        output_shape: shape of the output as stored in the file.

    Raises:
        PicanetError: if the file is not a LiteRT model whose only input is a square RGB
            image, or ai-edge-litert is not installed.
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
                    str(path), num_threads=threads or cores()
                )
                interpreter.allocate_tensors()
                self._run = interpreter.get_signature_runner(SIGNATURE)
            ((self._image, image),) = self._run.get_input_details().items()
            self._results = self._run.get_output_details()
            # A file may output the attention as well.
            names = [name for name in self._results if "attention" not in name]
            (self.output,) = names
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
        self.outputs = [*self._results]
        self.input_dtype = np.dtype(image["dtype"])
        self.output_shape = list(map(int, self._results[self.output]["shape"]))
        self._input = image
        _files.add(self)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Runs the model.

        Args:
            images: float32 [S, S, 3], RGB 0..255; also [N, S, S, 3] for files whose
                JSON has `"batch": "any"`.

        Returns:
            float32 [S, S, 1] in 0..1 for saliency, or [N, S, S, 1]. Integer inputs and
            outputs of the file are quantized and dequantized.
        """
        return self.run(images)[self.output]

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the model as `__call__`; returns all outputs by name, attention too."""
        images = np.asarray(images, np.float32)
        values = images if images.ndim == 4 else images[np.newaxis]
        results = self._run(**{self._image: _quantize(values, self._input)})
        for name, result in results.items():
            result = _dequantize(result, self._results[name])
            results[name] = result if images.ndim == 4 else result[0]
        return results


class _Loaded(NamedTuple):
    file: LiteRTFile
    lock: threading.Lock
    process: int


class LiteRTModel(Model):
    """Predicts saliency maps, float32 [H, W] in [0, 1], with a LiteRT file.

    Thread-safe; the network runs for one thread at a time. Can be pickled and copied,
    and used in a forked process: each copy loads the file again, on first use.

    Args:
        path: a file from `picanet export` or a preset.
        threads: interpreter threads; defaults to one per core.

    Raises:
        PicanetError: see `LiteRTFile`; also if the file is of another task.
    """

    def __init__(self, path: str | os.PathLike, threads: int | None = None):
        self.path = Path(path)
        self._options = {"threads": threads}
        self._source = str(self.path.absolute())
        self._loaded = self._load(path)
        file = self._loaded.file
        if file.output != "saliency":
            raise PicanetError(
                f"{path} outputs {file.output!r}; the LiteRT engine predicts "
                "saliency only. Use the Keras network (a run or a .keras file)"
            )
        side = file.image_size
        if file.output_shape[1:] != [side, side, 1] or side < 2:
            raise PicanetError(
                f"{path} is not an export of a saliency network: its output must be "
                f"[N, S, S, 1]. Received: {file.output_shape} with S = {side}"
            )
        super().__init__(get_spec("saliency"), side)

    def infer(self, batch: np.ndarray) -> Iterator[np.ndarray]:
        loaded = self._loaded
        if loaded.process != os.getpid():  # The parent may have been in a run.
            loaded = self._loaded = self._load(self._source)
        for image in batch:
            with loaded.lock:
                small = loaded.file(image)
            yield small

    def _load(self, path: str | os.PathLike) -> _Loaded:
        file = LiteRTFile(path, **self._options)
        return _Loaded(file, threading.Lock(), os.getpid())

    def _reload(self) -> LiteRTModel:
        return LiteRTModel(self._source, **self._options)


@contextlib.contextmanager
def _quiet_stderr():
    """Suppresses what the C++ runtime prints about its delegate when loading a file.

    The runtime has no option for that; errors are raised as exceptions regardless. Only
    in the main thread, because the file descriptor is shared by the whole process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
        saved = os.dup(2)
    except OSError:  # stderr is closed, as in a daemon.
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
            "The LiteRT engine requires the package ai-edge-litert, which cannot be "
            f"imported ({error}): pip install ai-edge-litert"
        ) from error
    return Interpreter


def _quantize(values, details):
    scale, zero_point = details["quantization"]
    if not scale:
        return values
    limits = np.iinfo(details["dtype"])
    stored = np.round(values / scale + zero_point)
    return stored.clip(limits.min, limits.max).astype(details["dtype"])


def _dequantize(stored, details):
    scale, zero_point = details["quantization"]
    if not scale:
        return stored
    return np.float32(scale) * (np.float32(stored) - zero_point)
