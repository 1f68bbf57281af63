"""Export options, validated before any work is done. Imports no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from picanet_tf.core.errors import PicanetError
from picanet_tf.serving.onnx import check_packages
from picanet_tf.serving.versions import check_version

FORMATS = ("saved_model", "tflite", "onnx")
QUANTIZATIONS = ("none", "float16", "dynamic", "int8")


@dataclass(frozen=True)
class ExportRequest:
    """What to export, and where to.

    Attributes:
        output: folder that holds the numbered versions.
        version: version number; None: the next one.
        formats: subset of `FORMATS`.
        quantize: subset of `QUANTIZATIONS`, for TFLite.
        image_size: side of the input in pixels; None: the trained network's.
        overwrite: whether to replace `version` if it is an export.
        attention: whether to also write TFLite files with the attention as outputs.

    Raises:
        PicanetError: if a format or quantization is unknown, repeated or missing, or
            the version is not positive, or `overwrite` is given without it.
    """

    output: Path
    version: int | None = None
    formats: tuple[str, ...] = ("saved_model",)
    quantize: tuple[str, ...] = ("none",)
    image_size: int | None = None
    overwrite: bool = False
    attention: bool = False

    def __post_init__(self):
        object.__setattr__(self, "output", Path(self.output))
        _check_words("formats", self.formats, FORMATS)
        _check_words("quantize", self.quantize, QUANTIZATIONS)
        if "tflite" not in self.formats and tuple(self.quantize) != ("none",):
            raise PicanetError(
                "`quantize` goes with `formats` tflite only. Received: "
                f"{','.join(self.quantize)} and {','.join(self.formats)}"
            )
        if self.version is not None and self.version < 1:
            raise PicanetError(
                f"`version` must be 1 or more. Received: version={self.version}"
            )
        if self.overwrite and self.version is None:
            raise PicanetError(
                "`overwrite` goes with `version`: without it, the export is the next "
                "version, which replaces none"
            )

    def check(self, calibrated: bool) -> None:
        """Raises `PicanetError` if the export is bound to fail.

        Args:
            calibrated: whether calibration images are given.
        """
        if "int8" in self.quantize and not calibrated:
            raise PicanetError(
                "`quantize` int8 needs real images to calibrate on: give "
                "`calibration_tfrecords`"
            )
        if self.attention and ("tflite" not in self.formats or "int8" in self.quantize):
            raise PicanetError(
                "`attention` goes with `formats` tflite and `quantize` none, float16 "
                f"or dynamic. Received: {','.join(self.formats)} and "
                f"{','.join(self.quantize)}"
            )
        check_version(self.output, self.version, self.overwrite)
        if "onnx" in self.formats:
            check_packages()
        served = sorted(self.output.glob("[0-9]*/saved_model.pb"))
        if served and "saved_model" not in self.formats:
            raise PicanetError(
                f"`formats`: {self.output} holds versions for TF Serving, which would "
                "try to load this one too: add saved_model, or give another `output`"
            )


def _check_words(argument: str, words: tuple[str, ...], known: tuple[str, ...]) -> None:
    if not words or len(set(words)) < len(words) or not set(words) <= set(known):
        raise PicanetError(
            f"`{argument}` must be some of {','.join(known)}, each once. "
            f"Received: {','.join(words)}"
        )
