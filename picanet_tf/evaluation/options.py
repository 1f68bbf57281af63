"""The options of `evaluate`. Imports no TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.hardware import cores

# {name: scores to compute}; None computes all
METRICS = {
    "all": None,
    "fast": ("max_f", "max_mean_f", "mean_f", "adaptive_f", "mae"),
}


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Options of `evaluate`.

    A field that is a sequence may be given as a single string or path.

    Attributes:
        tfrecords: converted data sets.
        masks, images, names: folders of ground truth, of the corresponding images (if
            any), and names of these data sets (by default ECSSD for ECSSD/masks).
        mask_suffix, invert_masks: how `masks` are named and read, see
            `sources.folder_data_set`.
        models: models, see `inference.locate`. If there is no method at all, the
            default model is scored.
        predictions: `NAME=PATH` of predictions on disk.
        baseline: name of a baseline.
        output: folder for the report; None for no report.
        weights: weights of the `models` that are runs, see `inference.locate`.
        engine, threads, precision: see `inference.load_model`.
        normalize: whether to min-max normalize each map to 0..1.
        metrics: one of `METRICS`.
        batch_size: batch size of the network.
        workers: number of processes that score data sets of more than 50 images, for
            which the calling script needs `if __name__ == "__main__"`; 0 scores in this
            process.
        grid_images: number of images in the qualitative grid.
    """

    tfrecords: Sequence[str] = ()
    masks: Sequence[str] = ()
    images: Sequence[str] = ()
    names: Sequence[str] = ()
    mask_suffix: str = ""
    invert_masks: bool = False
    models: Sequence[str] = ()
    predictions: Sequence[str] = ()
    baseline: str | None = None
    output: str | None = None
    weights: str | None = None
    engine: str | None = None
    threads: int | None = None
    precision: str = "auto"
    normalize: bool = True
    metrics: str = "all"
    batch_size: int = 4
    workers: int = min(cores(), 8)
    grid_images: int = 6

    def __post_init__(self):
        for name in ("tfrecords", "masks", "images", "names", "models", "predictions"):
            value = getattr(self, name)
            one = isinstance(value, str | os.PathLike)
            values = tuple(os.fspath(each) for each in ([value] if one else value))
            object.__setattr__(self, name, values)
        if self.metrics not in METRICS:
            raise PicanetError(
                f"`metrics` must be one of {', '.join(METRICS)}. Received: "
                f"metrics={self.metrics!r}"
            )
