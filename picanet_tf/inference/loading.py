"""Loads a model by name and picks its engine. Imports no TensorFlow itself."""

from __future__ import annotations

import numbers
import os
import reprlib
from pathlib import Path
from typing import TYPE_CHECKING

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.keras_config import check_keras
from picanet_tf.inference.forks import check_not_forked
from picanet_tf.inference.locate import Located, locate
from picanet_tf.presets import Preset
from picanet_tf.tasks.registry import get_task

if TYPE_CHECKING:
    import keras

    from picanet_tf.inference.base import Model

ENGINES = ("litert", "keras")
# {`precision`: dtype policy of Keras}
POLICIES = {"auto": "auto", "float32": "float32", "bfloat16": "mixed_bfloat16"}
MOST_THREADS = 1024


def load_model(
    model: str | os.PathLike | Preset | Located | None = None,
    weights: str | None = None,
    *,
    engine: str | None = None,
    threads: int | None = None,
    precision: str = "auto",
) -> Model:
    """Loads a trained model.

    Args:
        model: a preset name (see `list_presets`), a run directory, a `.keras` or
            `.tflite` file, or the result of `locate`. None: `runs/latest` if it holds a
            finished saliency network, else the default preset.
        weights: weights of a run, `"model"` (last checkpoint) or `"best"`.
        engine: `"litert"`, which imports neither TensorFlow nor Keras, or `"keras"`.
            Defaults to `"litert"` if the model has a LiteRT file.
        threads: engine threads; defaults to one per core.
        precision: what the Keras engine computes in, whatever the network was trained
            in: `"float32"`; `"bfloat16"`; or `"auto"`, bfloat16 where the processor
            or GPU computes it faster, which is logged. The LiteRT engine computes as
            its file says. To train `model.network` further or save it, choose the
            precision that it should then compute in, as a rule `"float32"`.

    Returns:
        A `LiteRTModel` or `KerasModel`. Both can be pickled, for example for the
        workers of a spawned pool; the copy is loaded from the same file on first use.

    Raises:
        PicanetError: if the model does not exist or the engine cannot run it.

    Example:
        >>> saliency = load_model().predict("photo.jpg")
        >>> saliency.shape, saliency.dtype
        ((480, 640), dtype('float32'))
    """
    if engine not in (None, *ENGINES):
        raise PicanetError(
            f"`engine` must be one of {', '.join(ENGINES)}. Received: {engine!r}"
        )
    if threads is not None and not (
        isinstance(threads, numbers.Integral) and 1 <= threads <= MOST_THREADS
    ):
        raise PicanetError(
            f"`threads` must be a whole number, 1 to {MOST_THREADS}. Received: "
            f"{threads!r}"
        )
    threads = None if threads is None else int(threads)
    if precision not in tuple(POLICIES):  # It may be of any type.
        raise PicanetError(
            f"`precision` must be one of {', '.join(POLICIES)}. Received: {precision!r}"
        )
    if isinstance(model, Preset):
        model = model.name
    if not isinstance(model, str | os.PathLike | Located | None):
        raise PicanetError(
            "`model` must be a preset's name, a path, or None. Received: "
            f"{reprlib.repr(model)}"
        )
    if isinstance(model, Located):
        if weights is not None:
            raise PicanetError(
                "`weights` must be passed to `locate` if `model` is its result"
            )
        found = model
    else:
        found = locate(model, weights)
    if engine is None:
        engine = "litert" if found.has_litert else "keras"
    if engine == "litert":
        if not found.has_litert:
            raise PicanetError(
                f"`engine` litert: {found} has no LiteRT file. Create one with "
                "picanet export --formats tflite --quantize dynamic, use the engine "
                "keras, or give a preset as `model` (see picanet models)"
            )
        if precision != "auto":
            remedy = "`engine` keras" if found.has_network else "a run or .keras file"
            raise PicanetError(
                f"`precision` {precision} is for the engine keras: {found} would run "
                f"on LiteRT, which computes as its file says. Give {remedy}, or leave "
                "out `precision`"
            )
        from picanet_tf.inference.litert import LiteRTModel

        path = found.preset.path("litert") if found.preset else found.litert
        return LiteRTModel(path, threads)
    check_keras()
    from picanet_tf.inference.keras_engine import KerasModel
    from picanet_tf.layers.precision import resolve_precision

    if threads is not None:
        _set_threads(threads)
    found.require_network()
    check_not_forked()  # Before TensorFlow is asked for GPUs.
    network = load_network(found, resolve_precision(POLICIES[precision], found.name))
    source = found.preset.name if found.preset else str(Path(found.keras).absolute())
    try:
        return KerasModel(network, source, threads)
    except PicanetError as error:
        raise PicanetError(f"{found.keras or found}: {error}") from error


def load_network(found: Located, dtype: str | None = None) -> keras.Model:
    """Loads the Keras network of a run, a `.keras` file or a preset.

    Args:
        found: the model.
        dtype: dtype policy of the layers; None: the one that it was trained with, or
            for a preset the global policy. The weights are the same.

    Raises:
        PicanetError: if there is only a LiteRT file, the file cannot be read, or this
            process was forked from one that has used TensorFlow.
    """
    found.require_network()
    check_not_forked()
    if found.preset:
        task = get_task(found.preset.task)
        return task.build_model(weights=found.preset.name, dropout=0.0, dtype=dtype)
    from picanet_tf.models.weights import load_keras

    return load_keras(found.keras, dtype)


def _set_threads(threads: int) -> None:
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:  # TensorFlow is already initialized.
        raise PicanetError(
            "`threads` of the Keras engine must be set before TensorFlow is first used"
        ) from error
