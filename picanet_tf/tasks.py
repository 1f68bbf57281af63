"""The tasks: what the network may learn, each as a record of its own pieces.

Shared code takes a record and never asks for a task's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from picanet_tf import saliency
from picanet_tf.saliency import losses as saliency_losses
from picanet_tf.saliency import model as saliency_model
from picanet_tf.saliency import targets as saliency_targets
from picanet_tf.saliency import validation as saliency_validation


@dataclass(frozen=True)
class Task:
    """What shared code needs to know of a task.

    Attributes:
        build_model: (variant, image_size, weights, width, implementation, *, dropout,
            seed, return_attention, use_cudnn, unroll) -> a functional model from RGB
            0..255 to a dict of outputs.
        encode_targets: (ground truth batch, {name: output}) -> {name: target}.
        losses: names of outputs -> {name: `keras.losses.Loss`}.
        loss_weights: (names of outputs, attention loss weight) -> {name: weight}.
        validation: makes an object with `update(outputs, ground truth)`, `result() ->
            {name: score}`, and the name of the score that is `best` when highest.
        panel: (image, ground truth, outputs) of one example -> uint8 picture.
        variants: the names that the paper reports.
    """

    build_model: Callable
    encode_targets: Callable
    losses: Callable
    loss_weights: Callable
    validation: Callable
    panel: Callable
    variants: tuple[str, ...]


TASKS = {
    "saliency": Task(
        build_model=saliency_model.build_model,
        encode_targets=saliency_targets.encode_targets,
        losses=saliency_losses.losses,
        loss_weights=saliency_losses.loss_weights,
        validation=saliency_validation.Validation,
        panel=saliency_validation.panel,
        variants=saliency.VARIANTS,
    ),
}
