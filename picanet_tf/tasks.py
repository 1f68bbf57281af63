"""The tasks: what the network may learn, each as a record of its own pieces.

Shared code takes a record and never asks for a task's name. What may be known before
TensorFlow is imported is in `recipes`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from picanet_tf.detection import losses as detection_losses
from picanet_tf.detection import model as detection_model
from picanet_tf.detection import seams as detection_seams
from picanet_tf.detection import targets as detection_targets
from picanet_tf.detection import validation as detection_validation
from picanet_tf.saliency import losses as saliency_losses
from picanet_tf.saliency import model as saliency_model
from picanet_tf.saliency import seams as saliency_seams
from picanet_tf.saliency import targets as saliency_targets
from picanet_tf.saliency import validation as saliency_validation
from picanet_tf.seams import Prediction, Served
from picanet_tf.segmentation import losses as segmentation_losses
from picanet_tf.segmentation import model as segmentation_model
from picanet_tf.segmentation import seams as segmentation_seams
from picanet_tf.segmentation import targets as segmentation_targets
from picanet_tf.segmentation import validation as segmentation_validation


@dataclass(frozen=True)
class Task:
    """What shared code needs to know of a task.

    Attributes:
        build_model: (variant, image_size, weights, width, implementation, *, dropout,
            seed, return_attention, use_cudnn, unroll) -> a functional model from RGB
            0..255 to a dict of outputs.
        encode_targets: (ground truth batch, {name: output}, side of the input in
            pixels) -> {name: target}.
        losses: names of outputs -> {name: `keras.losses.Loss`}.
        loss_weights: (names of outputs, attention loss weight) -> {name: weight}.
        validation: side of the input -> an object with `update(outputs, ground
            truth)`, `result() -> {name: score}`, and the name of the score that is
            `best` when highest.
        panel: (image, ground truth, outputs) of one example -> uint8 picture.
        name: what stands in front of the variant in a network's name.
        attach_points: variant -> {key: `seams.AttachPoint`}, coarse to fine.
        prediction: from an image to a result of its size.
        served: what an export gives.
    """

    build_model: Callable
    encode_targets: Callable
    losses: Callable
    loss_weights: Callable
    validation: Callable
    panel: Callable
    name: str
    attach_points: Callable
    prediction: Prediction
    served: Served


TASKS = {
    "saliency": Task(
        build_model=saliency_model.build_model,
        encode_targets=lambda truth, outputs, side: saliency_targets.encode_targets(
            truth, outputs
        ),
        losses=saliency_losses.losses,
        loss_weights=saliency_losses.loss_weights,
        validation=saliency_validation.Validation,
        panel=saliency_validation.panel,
        name=saliency_model.NAME,
        attach_points=saliency_seams.attach_points,
        prediction=saliency_seams.PREDICTION,
        served=saliency_seams.SERVED,
    ),
    "segmentation": Task(
        build_model=segmentation_model.build_model,
        encode_targets=lambda truth, outputs, side: segmentation_targets.encode_targets(
            truth, outputs
        ),
        losses=segmentation_losses.losses,
        loss_weights=segmentation_losses.loss_weights,
        validation=segmentation_validation.Validation,
        panel=segmentation_validation.panel,
        name=segmentation_model.NAME,
        attach_points=segmentation_seams.attach_points,
        prediction=segmentation_seams.PREDICTION,
        served=segmentation_seams.SERVED,
    ),
    "detection": Task(
        build_model=detection_model.build_model,
        encode_targets=detection_targets.encode_targets,
        losses=detection_losses.losses,
        loss_weights=detection_losses.loss_weights,
        validation=detection_validation.Validation,
        panel=detection_validation.panel,
        name=detection_model.NAME,
        attach_points=detection_seams.attach_points,
        prediction=detection_seams.PREDICTION,
        served=detection_seams.SERVED,
    ),
}
