"""Exports a network: writes each artefact and verifies it against the Keras model."""

from __future__ import annotations

import contextlib
import itertools
import logging as python_logging
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import FULL
from picanet_tf.models.base import Network, dtype_policy
from picanet_tf.serving import model_card, onnx, saved_model, tflite, warmup
from picanet_tf.serving.comparison import (
    Artefact,
    check_difference,
    check_finite,
    difference_of,
    largest,
)
from picanet_tf.serving.network import serving_network, with_outputs
from picanet_tf.serving.photos import vary_brightness
from picanet_tf.serving.request import ExportRequest
from picanet_tf.serving.versions import publishing_version


def export(
    trained: Network,
    request: ExportRequest,
    images: Sequence[np.ndarray],
    *,
    calibration: Iterable[np.ndarray] | None = None,
    facts: Mapping | None = None,
) -> tuple[Path, list[Artefact]]:
    """Exports a trained network.

    Args:
        trained: a network built by `build_model`.
        request: what to export, and where to.
        images: real images, uint8 [H, W, 3], RGB, to compare the artefacts on; with
            `"int8"`, brighter and darker copies of them are used as well.
        calibration: other such images, for `"int8"`.
        facts: facts about the run, for the model card.

    Returns:
        (version folder, list of artefacts).

    Raises:
        PicanetError: if the export fails; nothing is written then.
    """
    calibration = list(calibration or ())
    request.check(calibrated=bool(calibration))
    try:
        with publishing_version(
            request.output, request.version, request.overwrite
        ) as staged:
            export_ = _Export(trained, request, images, calibration, staged.folder)
            artefacts = export_.run(facts or {})
        return staged.published, artefacts
    except (OSError, tf.errors.OpError) as error:
        if not _disk_is_full(error):
            raise
        raise PicanetError(
            f"`output`: no space left on the device of {request.output}, or in its "
            "quota; nothing was exported"
        ) from error


class _Export:
    """One export: the network, what to write, and the outputs to compare with."""

    def __init__(self, trained, request, images, calibration, folder):
        self.trained = trained
        self.task = trained.task
        self.serving = self.task.serving
        self.request = request
        self.folder = folder
        # The range of int8 is limited, and the photos alone may just fit it.
        int8 = "tflite" in request.formats and "int8" in request.quantize
        self.originals = vary_brightness(images) if int8 else images
        self.size = trained.image_size
        if request.image_size is not None:
            self.size = request.image_size
            self.task.spec.check_image_size(trained.variant, self.size)
        self.calibration = [self._resize(image) for image in calibration if int8]
        self.images = np.stack([self._resize(image) for image in self.originals])
        reference = trained
        facts = {"image_size": self.size, "dtype": "float32"}
        if request.attention:
            facts["return_attention"] = True
        if any(getattr(trained.config, name) != facts[name] for name in facts):
            reference = trained.rebuild(**facts)
        self.reference = [
            {name: value.numpy() for name, value in reference(batch).items()}
            for batch in self.images[:, np.newaxis]
        ]
        for outputs in self.reference:
            with dtype_policy("float32"):
                heads = self.serving.heads(self.task.logits(outputs), self.size)
            outputs |= {name: np.asarray(value) for name, value in heads.items()}

    def run(self, facts) -> list[Artefact]:
        variant = self.trained.variant
        makers = {
            "saved_model": self._saved_model,
            "tflite": self._tflite,
            "onnx": self._onnx,
        }
        if not self.trained.attentive_points:
            if self.request.attention:
                raise PicanetError(f"`attention`: {variant} has no attention to export")
            logging.info("No signature attention: %s has no attention", variant)
        artefacts = []
        for form in self.request.formats:
            logging.info("Exporting %s", form)
            with _silence():
                artefacts += makers[form]()
        model_card.write_card(
            self.folder,
            task=self.task.spec.name,
            variant=variant,
            image_size=self.size,
            **facts,
            artefacts=[artefact._asdict() for artefact in artefacts],
            compared_on=f"{len(self.images)} images",
        )
        return artefacts

    def _saved_model(self):
        network = serving_network(self.trained, self.request.image_size)
        signatures = saved_model.write_saved_model(network, self.folder, self.task)
        cudnn = [op for op in saved_model.operations(self.folder) if "Cudnn" in op]
        if cudnn:
            raise PicanetError(f"The graph contains cuDNN operations: {cudnn}")
        photo = tf.io.encode_jpeg(self.originals[0]).numpy()
        image = {"image": self.images[:1]}
        encoded = {"image_bytes": np.array([photo])}
        warmup.write_warmup(
            self.folder,
            [
                (name, encoded if name == saved_model.IMAGE_BYTES else image)
                for name in signatures
            ],
        )
        loaded = saved_model.Loaded(self.folder)
        difference = largest(self._difference(loaded, name) for name in signatures)
        check_difference("SavedModel", difference)
        yield Artefact(
            "saved_model.pb, variables/",
            _size(self.folder / "saved_model.pb") + _size(self.folder / "variables"),
            difference,
            ", ".join(signatures),
        )

    def _difference(self, loaded, signature) -> float:
        differences = []
        for original, image, wanted in zip(
            self.originals, self.images, self.reference, strict=True
        ):
            if signature == saved_model.IMAGE_BYTES:
                # PNG, because it is lossless.
                encoded = tf.io.encode_png(original).numpy()
                outputs = loaded(signature, image_bytes=np.array([encoded]))
                if self.serving.png_output:
                    png = outputs.pop(self.serving.png_output)[0]
                    off = self.serving.drawn_difference(
                        tf.io.decode_png(png).numpy(),
                        {name: wanted[name][0] for name in self._heads},
                        original.shape[:2],
                        self.size,
                    )
                    differences.append(off)
            else:
                outputs = loaded(signature, image=image[np.newaxis])
            for name, value in outputs.items():
                if not np.isfinite(value).all():
                    raise PicanetError(
                        f"The signature {signature} gives NaN or infinity as {name}; "
                        "nothing was exported. Give a `model` whose weights have not "
                        "diverged"
                    )
            differences.append(self._output_difference(outputs, wanted))
        return largest(differences)

    def _output_difference(self, outputs, wanted) -> float:
        """Returns the largest difference; the task may compare some outputs jointly."""
        differences = []
        separate = {name for name in outputs if name in wanted}
        joint = self.serving.image_bytes_outputs
        if separate.issuperset(joint):
            difference = self.serving.difference(
                *(
                    {name: values[name] for name in joint}
                    for values in (outputs, wanted)
                )
            )
            if difference is not None:
                separate.difference_update(joint)
                differences.append(difference)
        differences += [difference_of(outputs[name], wanted[name]) for name in separate]
        return largest(differences)

    def _tflite(self):
        folder = self.folder / "tflite"
        folder.mkdir()
        for quantization, attention in itertools.product(
            self.request.quantize, (False, True) if self.request.attention else (False,)
        ):
            path = folder / tflite.file_name(quantization, attention)
            try:
                difference = self._write_tflite(path, quantization, attention)
            except (RuntimeError, PicanetError) as error:
                refusal = error.__cause__ or error
                if not isinstance(refusal, RuntimeError):
                    raise
                reason = str(refusal).strip().splitlines()[-1:]
                raise PicanetError(
                    f"`quantize` {quantization}: TensorFlow Lite rejects this network: "
                    f"{' '.join(reason)}; nothing was exported"
                ) from error
            check = check_difference if quantization == "none" else check_finite
            check(path.name, difference)
            note = "with the attention as outputs" if attention else ""
            yield Artefact(f"tflite/{path.name}", _size(path), difference, note)
        self._copy_companions(folder)

    def _write_tflite(self, path: Path, quantization: str, attention: bool) -> float:
        """Writes and runs the file; returns its difference from the Keras model."""
        tflite.write_tflite(
            self.trained,
            path,
            quantization,
            image_size=self.request.image_size,
            attention=attention,
            calibration=self.calibration,
        )
        file = tflite.runner(path)
        return largest(
            difference_of(value, wanted[name][0])
            for image, wanted in zip(self.images, self.reference, strict=True)
            for name, value in file.run(image).items()
            if name in wanted
        )

    def _onnx(self):
        folder = self.folder / "onnx"
        folder.mkdir()
        path = folder / onnx.FILE_NAME
        network = serving_network(
            self.trained, self.request.image_size, attention=False
        )
        onnx.write_onnx(with_outputs(network, self.serving.output), path)
        run = onnx.runner(path)
        difference = largest(
            difference_of(run(image[np.newaxis]), wanted[self.serving.output])
            for image, wanted in zip(self.images, self.reference, strict=True)
        )
        check_difference(path.name, difference)
        yield Artefact(f"onnx/{path.name}", _size(path), difference)
        self._copy_companions(folder)

    def _copy_companions(self, folder: Path) -> None:
        for name, path in self.serving.companion_files.items():
            shutil.copyfile(path, folder / name)

    def _resize(self, image: np.ndarray) -> np.ndarray:
        return self.task.spec.resize(image, self.size)

    @property
    def _heads(self) -> list[str]:
        return [self.serving.output, *self.serving.image_bytes_outputs]


@contextlib.contextmanager
def _silence():
    """Suppresses log messages of TensorFlow and the converters."""
    before = python_logging.root.manager.disable
    python_logging.disable(max(before, python_logging.WARNING))
    try:
        yield
    finally:
        python_logging.disable(before)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _disk_is_full(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    return any(os.strerror(number) in str(error) for number in FULL)
