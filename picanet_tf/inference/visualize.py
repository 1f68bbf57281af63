"""`visualize`, which draws and measures a network's attention."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import logging
from tqdm import tqdm

from data_pipeline.manifest import load_manifest
from picanet_tf.core.cli import in_flags
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import write_json
from picanet_tf.core.images import read_image
from picanet_tf.core.inputs import Input, scan_inputs
from picanet_tf.core.outputs import assign_outputs
from picanet_tf.core.passed_over import describe
from picanet_tf.core.path_checks import check_folder, check_writable
from picanet_tf.drawing.pixels import Pixel, cell_of, pick_ranks
from picanet_tf.inference.loading import load_model
from picanet_tf.inference.locate import Located, locate
from picanet_tf.inference.results import check_name_length, check_not_searched

if TYPE_CHECKING:
    from picanet_tf.inference.attention import AttentionModel
    from picanet_tf.inference.base import Model

_ENDINGS = (".attention.png", ".features.png")


def visualize(
    inputs: str | Path | Sequence[str],
    output: str | Path,
    *,
    pixels: Sequence[Pixel] = (),
    boxes: Sequence[int] = (),
    tfrecords: str | os.PathLike = "",
    max_images: int = 0,
    batch_size: int = 8,
    model: str | None = None,
    weights: str | None = None,
    show: Callable[[str], object] = lambda text: None,
) -> list[PicanetError]:
    """Draws attention maps and features of images, as in the paper's Figures 4 and 5.

    Writes `NAME.attention.png` and `NAME.features.png` for each image, and, with
    `tfrecords`, measurements of what the attention falls on in `attention.json`. Images
    whose figures would have the same names keep their extension:
    `NAME.jpg.attention.png`. Images that are unreadable or whose names leave no room
    for the endings are reported and skipped.

    Args:
        inputs: files, folders or patterns, as for `picanet visualize`; may be empty.
        output: folder for the pictures; created if missing. None of its files is
            taken from a folder or by a pattern.
        pixels: query pixels, used for every image.
        boxes: ranks of detected objects (1: highest score) whose centres are used as
            query pixels. Without pixels or boxes, the task's default query pixels.
        tfrecords: a converted data set of the network's task to measure on; "": none.
        max_images: measure only the first N images; 0: all.
        batch_size: images per network call when measuring.
        model, weights: see `inference.locate`.
        show: called with the measurements as printable text.

    Returns:
        An error for each image that was skipped.

    Raises:
        PicanetError: if an input does not exist, `output` is a folder that inputs are
            searched in, a figure would overwrite an input, the model has no attention,
            it cannot be measured, or a pixel is outside an image.
    """
    words = [str(inputs)] if isinstance(inputs, str | Path) else list(map(str, inputs))
    folder, tfrecords = check_folder(output), os.fspath(tfrecords)
    found = scan_inputs(words, output)
    for item in found.inputs:
        if item.is_video:
            raise PicanetError(f"`input` must be images. Received: video {item.path}")
    check_not_searched(found.inputs, folder, advice="Give another folder")
    figures = [assign_outputs(found.inputs, folder, suffix=end) for end in _ENDINGS]
    jobs = [(item, a, b) for (item, a), (_, b) in zip(*figures, strict=True)]
    check_writable(folder)
    if tfrecords:
        load_manifest(tfrecords)
    located = locate(model, weights)
    attention = load_attention(located)
    if boxes and not attention.finds_objects:
        raise PicanetError(
            f"`box` requires a detection network. {located.name} has no boxes"
        )
    if tfrecords:
        results, text = _measure(attention, tfrecords, max_images, batch_size)
        facts = {"model": located.name, "tfrecords": tfrecords}
        write_json(folder / "attention.json", {**facts, **results})
        show(text)
    failed = _draw_all(attention, jobs, pixels, boxes, folder) if jobs else []
    if found.passed_over:
        logging.info("%s", describe(found.passed_over, advise=False))
    return failed


def _draw_all(
    attention: AttentionModel,
    jobs: Sequence[tuple[Input, Path, Path]],
    pixels: Sequence[Pixel],
    boxes: Sequence[int],
    folder: Path,
) -> list[PicanetError]:
    named = {f"pixel {number}": pixel for number, pixel in enumerate(pixels, 1)}
    failed: list[PicanetError] = []
    for item, *paths in tqdm(jobs, unit="image", disable=len(jobs) == 1):
        try:
            for path in paths:
                check_name_length(item, path)
            image = read_image(item.path)
        except PicanetError as error:
            tqdm.write(f"skipped: {in_flags(str(error))}", file=sys.stderr)
            failed.append(error)
            continue
        for pixel in pixels:
            cell_of(pixel, *[image.shape[:2]] * 2, image=item.path)  # raises if outside
        _draw(attention, image, named, boxes, item, *paths)
    drawn = len(jobs) - len(failed)
    logging.info("Drew %d image%s to %s", drawn, "s" * (drawn != 1), folder)
    if failed:
        logging.error("%d of %d were skipped", len(failed), len(jobs))
    return failed


def _draw(
    attention: AttentionModel, image, named, boxes, item, attention_path, features_path
) -> None:
    from picanet_tf.drawing.attention import save_attention, save_features

    maps, image = attention.predict(image), attention.frame(image)
    chosen = named | pick_ranks(maps.box_centers, boxes, item.path)
    title = str(item.place)
    save_attention(attention_path, image, maps, chosen, title)
    save_features(features_path, image, maps, title)


def _measure(
    attention: AttentionModel, tfrecords: str, max_images: int, batch_size: int
) -> tuple[dict, str]:
    """Returns measurements of the attention on a data set, and printable text."""
    from data_pipeline.readers import READERS, translate_errors

    batches = READERS[attention.task.spec.record_kind](
        tfrecords,
        batch_size=batch_size,
        training=False,
        image_size=attention.image_size,
    )
    if max_images:
        batches = batches.unbatch().take(max_images).batch(batch_size)
    with translate_errors(tfrecords):
        return attention.task.measure_attention(attention, tqdm(batches, unit="batch"))


def load_attention(found: Located, model: Model | None = None) -> AttentionModel:
    """Loads a network with its attention maps as outputs.

    Args:
        found: the model.
        model: the same model, if already loaded by any engine.

    Raises:
        PicanetError: if there is no Keras network, or it has no attention.
    """
    found.require_network()  # Before importing TensorFlow, which takes seconds.
    from picanet_tf.inference.attention import AttentionModel
    from picanet_tf.inference.keras_engine import KerasModel

    if not isinstance(model, KerasModel):
        model = load_model(found, engine="keras", precision="float32")
    return AttentionModel(model)
