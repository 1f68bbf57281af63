"""One export: every artefact made, read back, and compared with the Keras model."""

from __future__ import annotations

import contextlib
import errno
import logging as python_logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from picanet_tf.errors import PicanetError
from picanet_tf.networks import identify, rebuilt
from picanet_tf.recipes import RECIPES
from picanet_tf.serving import model_card, onnx, saved_model, tflite, warmup
from picanet_tf.serving.network import of_one_output, serving_network
from picanet_tf.serving.order import Order
from picanet_tf.serving.versions import publishing

# An artefact in float32 that differs by more than this from the Keras model is wrong.
TOLERANCE = 1e-3


class Artefact(NamedTuple):
    """A file, or the SavedModel's folder, within the version.

    Attributes:
        name: its path there.
        bytes: its size.
        difference: the largest from the Keras model, of saliency 0..1 or, where values
            are larger, relative to the largest; of classes the share that differs; of
            boxes what the task makes of it.
        note: what else there is to say.
    """

    name: str
    bytes: int
    difference: float
    note: str = ""


def export(
    trained: keras.Model,
    order: Order,
    images: Sequence[np.ndarray],
    *,
    calibration: Iterable[np.ndarray] | None = None,
    facts: Mapping | None = None,
) -> tuple[Path, list[Artefact]]:
    """Exports a trained network.

    Args:
        trained: a network of `build_model`.
        order: what and where to.
        images: real ones, uint8 [H, W, 3], RGB, to compare the artefacts on.
        calibration: of `"int8"`, more of them; can be iterated over again and again.
        facts: of the run, for the model card.

    Returns:
        (folder of the version, its artefacts).

    Raises:
        PicanetError: nothing was exported; says why.
    """
    order.check(calibrated=calibration is not None)
    try:
        with publishing(order.output, order.version, order.overwrite) as staged:
            export_ = _Export(trained, order, images, calibration, staged.folder)
            artefacts = export_.run(facts or {})
        return staged.published, artefacts
    except (OSError, tf.errors.OpError) as error:
        if not _disk_is_full(error):
            raise
        raise PicanetError(
            f"--output: no space left on the device of {order.output}; nothing was "
            "exported"
        ) from error


class _Export:
    def __init__(self, trained, order, images, calibration, folder):
        self.trained = trained
        self.identity = identify(trained)
        self.task = self.identity.task
        self.served = self.task.served
        self.order = order
        self.folder = folder
        self.calibration = calibration
        self.originals = images
        self.size = trained.input.shape[1]
        if order.image_size is not None:
            self.size = order.image_size
            recipe = RECIPES[self.identity.task_name]
            recipe.check_image_size_flag(self.identity.variant, self.size)
        self.images = np.stack([self._resized(image) for image in images])
        reference = trained
        if self.size != trained.input.shape[1]:
            reference = rebuilt(trained, self.size)
        self.reference = [
            {name: value.numpy() for name, value in reference(batch).items()}
            for batch in self.images[:, np.newaxis]
        ]
        for outputs in self.reference:
            finest = self.task.prediction.finest(outputs)
            heads = self.served.heads(finest, self.size)
            outputs |= {name: np.asarray(value) for name, value in heads.items()}

    def run(self, facts) -> list[Artefact]:
        variant = self.identity.variant
        makers = {
            "saved_model": self._saved_model,
            "tflite": self._tflite,
            "onnx": self._onnx,
        }
        if not self.identity.attentive:
            logging.info("No signature attention: %s has no attention", variant)
        artefacts = []
        for form in self.order.formats:
            logging.info("Exporting %s", form)
            with _quietly():
                artefacts += makers[form]()
        model_card.write_card(
            self.folder,
            task=self.identity.task_name,
            variant=variant,
            image_size=self.size,
            **facts,
            artefacts=[artefact._asdict() for artefact in artefacts],
            compared_on=f"{len(self.images)} images",
        )
        return artefacts

    def _saved_model(self):
        network = serving_network(self.trained, self.order.image_size)
        signatures = saved_model.write_saved_model(network, self.folder, task=self.task)
        cudnn = [op for op in saved_model.operations(self.folder) if "Cudnn" in op]
        if cudnn:
            raise PicanetError(f"The graph holds operations of cuDNN: {cudnn}")
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
        difference = max(self._difference(loaded, name) for name in signatures)
        _check_difference("SavedModel", difference)
        yield Artefact(
            "saved_model.pb, variables/",
            _size(self.folder / "saved_model.pb") + _size(self.folder / "variables"),
            difference,
            ", ".join(signatures),
        )

    def _difference(self, loaded, signature) -> float:
        worst = 0.0
        for original, image, wanted in zip(
            self.originals, self.images, self.reference, strict=True
        ):
            if signature == saved_model.IMAGE_BYTES:
                # PNG, so that decoding adds nothing.
                encoded = tf.io.encode_png(original).numpy()
                outputs = loaded(signature, image_bytes=np.array([encoded]))
                if self.served.encoded:
                    png = outputs.pop(self.served.encoded)[0]
                    off = self.served.drawn_difference(
                        tf.io.decode_png(png).numpy(),
                        {name: wanted[name][0] for name in self._heads},
                        original.shape[:2],
                        self.size,
                    )
                    worst = max(worst, off)
            else:
                outputs = loaded(signature, image=image[np.newaxis])
            for name, value in outputs.items():
                if not np.isfinite(value).all():
                    raise PicanetError(f"The signature {signature} gives {name} = NaN")
            worst = max(worst, self._outputs_off(outputs, wanted))
        return worst

    def _outputs_off(self, outputs, wanted) -> float:
        """The most that an output differs by; several together where that is asked."""
        worst = 0.0
        alone = {name for name in outputs if name in wanted}
        if self.served.difference and alone.issuperset(self.served.encoded_from):
            alone.difference_update(self.served.encoded_from)
            found, right = (
                {name: values[name] for name in self.served.encoded_from}
                for values in (outputs, wanted)
            )
            worst = float(self.served.difference(found, right))
        return max([worst, *(_off(outputs[name], wanted[name]) for name in alone)])

    def _tflite(self):
        folder = self.folder / "tflite"
        folder.mkdir()
        for quantization in self.order.quantize:
            path = folder / tflite.file_name(quantization)
            try:
                difference = self._write_tflite(path, quantization)
            except (RuntimeError, PicanetError) as error:
                refusal = error.__cause__ or error
                if not isinstance(refusal, RuntimeError):
                    raise
                reason = str(refusal).strip().splitlines()[-1:]
                raise PicanetError(
                    f"--quantize {quantization}: TensorFlow Lite refuses this network: "
                    f"{' '.join(reason)}; nothing was exported"
                ) from error
            if quantization == "none":
                _check_difference(path.name, difference)
            yield Artefact(f"tflite/{path.name}", _size(path), difference)
        self._put_beside(folder)

    def _write_tflite(self, path: Path, quantization: str) -> float:
        """Writes the file and runs it; returns how far it is from the network."""
        tflite.write_tflite(
            self.trained,
            path,
            quantization,
            image_size=self.order.image_size,
            calibration=map(self._resized, self.calibration or ()),
        )
        run = tflite.runner(path)
        return max(
            _off(run(image), wanted[self.served.output][0])
            for image, wanted in zip(self.images, self.reference, strict=True)
        )

    def _onnx(self):
        folder = self.folder / "onnx"
        folder.mkdir()
        path = folder / onnx.FILE_NAME
        network = serving_network(self.trained, self.order.image_size, attention=False)
        onnx.write_onnx(of_one_output(network, self.served.output), path)
        run = onnx.runner(path)
        difference = max(
            _off(run(image[np.newaxis]), wanted[self.served.output])
            for image, wanted in zip(self.images, self.reference, strict=True)
        )
        _check_difference(path.name, difference)
        yield Artefact(f"onnx/{path.name}", _size(path), difference)
        self._put_beside(folder)

    def _put_beside(self, folder: Path) -> None:
        for name, path in self.served.beside.items():
            shutil.copyfile(path, folder / name)

    def _resized(self, image: np.ndarray) -> np.ndarray:
        return self.task.prediction.resize(image, self.size)

    @property
    def _heads(self) -> list[str]:
        return [self.served.output, *self.served.encoded_from]


def _off(value: np.ndarray, wanted: np.ndarray) -> float:
    """How far an output is from what it should be; see `Artefact.difference`."""
    if np.issubdtype(wanted.dtype, np.integer):
        return float(np.mean(value != wanted))
    scale = max(1.0, float(np.abs(wanted).max()))
    return float(np.abs(value - wanted).max()) / scale


def _check_difference(name: str, difference: float) -> None:
    if not difference <= TOLERANCE:  # NaN, too
        raise PicanetError(
            f"{name} differs by {difference:.1e} from the Keras model, more than "
            f"{TOLERANCE:.0e}; nothing was exported"
        )


@contextlib.contextmanager
def _quietly():
    """Keeps back what TensorFlow and the converters say of their inner workings."""
    python_logging.disable(python_logging.WARNING)
    try:
        yield
    finally:
        python_logging.disable(python_logging.NOTSET)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _disk_is_full(error: Exception) -> bool:
    full = getattr(error, "errno", None) == errno.ENOSPC
    return full or "No space left on device" in str(error)
