"""Creates the network, its initial weights and its optimizer."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
from absl import logging

from picanet_tf.backbones.vgg16_weights import is_vgg16_layer, load_vgg16_weights
from picanet_tf.core.errors import PicanetError, naming_argument
from picanet_tf.models.base import Network
from picanet_tf.models.weights import (
    NothingFits,
    WeightTransfer,
    copy_weights,
    load_keras,
    load_preset_weights,
)
from picanet_tf.presets import Preset
from picanet_tf.tasks.base import Task
from picanet_tf.training import optimizer as optimizers
from picanet_tf.training.experiments import Experiment


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Context manager that seeds all random generators.

    Those of Python and NumPy are restored on exit; TensorFlow's cannot be.
    """
    before = random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


def build(task: Task, experiment: Experiment, image_size: int | None = None) -> Network:
    """Builds the experiment's network with random weights, for a size of the input."""
    return task.build_model(
        experiment.variant,
        image_size or experiment.image_size,
        width=experiment.width,
        dropout=experiment.dropout,
        seed=experiment.seed,
    )


def build_first_phase(task: Task, experiment: Experiment) -> Network:
    """Builds the network of the first phase, whose weights must fit all other phases.

    Raises:
        PicanetError: if they do not, because GAP's grid has more positions there.
    """
    first, *others = dict.fromkeys(phase.image_size for phase in experiment.phases)
    network = build(task, experiment, first)
    shapes = [tuple(variable.shape) for variable in network.variables]
    for size in others:
        other = build(task, experiment, size)
        if [tuple(variable.shape) for variable in other.variables] != shapes:
            raise PicanetError(
                f"`image_sizes`: {experiment.variant} has other weights at {first} "
                f"pixels than at {size}, where GAP's grid has more positions. Give "
                "larger sizes (for saliency, of at least 80)"
            )
    return network


def load_initial_weights(
    model: keras.Model, experiment: Experiment, init_from: Path | Preset | None
) -> tuple[str, ...]:
    """Loads the initial weights of an experiment.

    Args:
        model: the experiment's network.
        experiment: the settings.
        init_from: a `.keras` file or preset to start from; None for
            `experiment.backbone_weights`.

    Returns:
        The names of the pretrained encoder layers.

    Raises:
        PicanetError: if the weights are not available or fit no layer, or if layers
            are to be frozen but none of them has pretrained weights.
    """
    if init_from is None:
        # Checked before 550 MB are downloaded.
        if experiment.width != 1 and experiment.backbone_weights == "imagenet":
            raise PicanetError(
                "Pretrained VGG16 weights fit `width` 1 only: give `backbone_weights` "
                f"none, or leave `width` out. Received: width={experiment.width:g}"
            )
        with naming_argument("backbone_weights"):
            pretrained = load_vgg16_weights(model, experiment.backbone_weights).loaded
    else:
        transfer = _take_weights(model, experiment, init_from)
        if transfer.complete:
            logging.info("Weights from %s: %s", init_from, transfer)
        else:
            logging.warning("Weights from %s: %s\nVariables that it does not fill "
                            "start at random", init_from, transfer)  # fmt: skip
        loaded = dict.fromkeys(path.split("/")[0] for path in transfer.loaded)
        pretrained = tuple(filter(is_vgg16_layer, loaded))
    for name, part in (
        ("freeze_encoder", "the encoder"),
        ("freeze_blocks", f"the encoder's blocks 1 to {experiment.freeze_blocks}"),
    ):
        if getattr(experiment, name) and not _frozen(experiment, pretrained):
            raise PicanetError(
                f"`{name}` needs trained weights, but "
                f"{init_from or experiment.backbone_weights} fits no layer of {part}"
            )
    return pretrained


def _frozen(experiment: Experiment, pretrained: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the pretrained layers that the experiment freezes."""
    if experiment.freeze_encoder:
        return pretrained
    blocks = tuple(f"block{k + 1}_" for k in range(experiment.freeze_blocks))
    return tuple(name for name in pretrained if name.startswith(blocks))


def _take_weights(
    model: keras.Model, experiment: Experiment, init_from: Path | Preset
) -> WeightTransfer:
    """Loads the layers that fit from a preset or `.keras` file."""
    if not isinstance(init_from, Preset):
        with naming_argument("init_from"):
            source = load_keras(init_from)
    try:
        if isinstance(init_from, Preset):
            return load_preset_weights(model, init_from, partial=True)
        return copy_weights(source, model, partial=True)
    except NothingFits as error:
        raise PicanetError(
            f"`init_from` {experiment.init_from}: {error}. This network has `width` "
            f"{experiment.width:g} and `variant` {experiment.variant}"
        ) from error


def make_optimizer(
    model: keras.Model, experiment: Experiment, pretrained: tuple[str, ...]
) -> keras.optimizers.Optimizer:
    """Freezes layers, and creates the optimizer, built for the trainable variables.

    Args:
        model: the experiment's network; its frozen layers become untrainable.
        experiment: the settings.
        pretrained: names of the pretrained encoder layers.
    """
    frozen = _frozen(experiment, pretrained)
    for name in frozen:
        model.get_layer(name).trainable = False
    groups = optimizers.make_groups(
        tuple(name for name in pretrained if name not in frozen),
        experiment.encoder_lr_multiplier,
        experiment.weight_decay,
    )
    variables = model.trainable_variables
    optimizer = optimizers.make_optimizer(
        optimizers.assign([variable.path for variable in variables], groups),
        learning_rate=experiment.base_rate,
        schedule=optimizers.Schedule(
            kind=experiment.rate_schedule,
            steps=experiment.steps,
            boundaries=experiment.boundaries,
            linear_share=experiment.linear_share,
            warmup_steps=experiment.warmup_steps,
        ),
        kind=experiment.optimizer,
        momentum=float(experiment.momentum),  # Keras' SGD refuses integers.
        beta_2=experiment.beta_2,
    )
    if experiment.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(variables)
    return optimizer
