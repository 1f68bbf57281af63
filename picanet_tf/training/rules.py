"""Rules of an experiment on several settings at once. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping

from picanet_tf.core.errors import PicanetError
from picanet_tf.tasks.registry import get_spec, task_names


def check_given(experiment, given: Mapping) -> None:
    """Refuses settings that were given, but have no effect.

    Raises:
        PicanetError: naming the setting.
    """
    validation = "has an effect only with `validation_tfrecords`"
    for name, useless, rule in (
        (
            "backbone_weights",
            experiment.init_from and experiment.backbone_weights != "none",
            "is not used with `init_from`, which has the encoder's weights",
        ),
        (
            "beta_2",
            experiment.optimizer != "adamw",
            "has an effect only with `optimizer` adamw",
        ),
        (
            "encoder_lr_multiplier",
            experiment.freeze_encoder,
            "has no effect with `freeze_encoder`",
        ),
        (
            "encoder_lr_multiplier",
            not _has_trained_weights(experiment),
            "has an effect only on trained weights, of `backbone_weights` or "
            "`init_from`",
        ),
        (
            "rate_boundaries",
            max(experiment.rate_boundaries, default=0) >= experiment.steps,
            f"has no effect after the last of {experiment.steps} `steps` (for a "
            "constant rate, give `rate_schedule` constant)",
        ),
        (
            "warmup_steps",
            experiment.warmup_steps >= experiment.steps,
            f"must be less than `steps`, {experiment.steps}, or the learning rate is "
            "never reached",
        ),
        ("validation_interval", not experiment.validation_tfrecords, validation),
        ("validation_images", not experiment.validation_tfrecords, validation),
    ):
        if name in given and useless:
            raise PicanetError(
                f"`{name}` {rule}: leave it out. Received: {given[name]}"
            )
    if "linear_share" in given and experiment.rate_schedule != "linear":
        raise PicanetError(
            "`linear_share` requires `rate_schedule` linear. Received: "
            f"{experiment.rate_schedule}"
        )
    if "attention_loss_weight" in given:
        spec, variant = get_spec(experiment.task), experiment.variant
        if not spec.has_attention_loss(variant):
            raise PicanetError(
                "`attention_loss_weight` is for saliency networks with GAP in D6, and "
                f"{variant} of task {experiment.task} has no such loss: leave it out. "
                f"Received: {given['attention_loss_weight']}"
            )


def check_together(experiment) -> None:
    """Checks the settings of an `Experiment` against each other.

    Raises:
        PicanetError: with the rule and the values.
    """
    if experiment.task not in task_names():
        raise PicanetError(
            f"`task` must be one of {', '.join(task_names())}. Received: "
            f"task={experiment.task!r}"
        )
    if experiment.patience and not experiment.validation_tfrecords:
        raise PicanetError(
            "`patience` counts validations: give `validation_tfrecords`. Received: "
            f"patience={experiment.patience}"
        )
    batch, replicas = experiment.batch_size, experiment.replicas
    if replicas > 1 and batch % replicas:
        raise PicanetError(
            "`batch_size` is the images over all replicas and must be a multiple "
            f"of `replicas`. Received: {batch} and {replicas}"
        )
    if experiment.freeze_encoder and experiment.freeze_blocks:
        raise PicanetError(
            "`freeze_encoder` freezes all blocks: leave `freeze_blocks` out. Received: "
            f"freeze_blocks={experiment.freeze_blocks}"
        )
    for name in ("freeze_encoder", "freeze_blocks"):
        value = getattr(experiment, name)
        if value and not _has_trained_weights(experiment):
            raise PicanetError(
                f"`{name}` needs trained weights: give `init_from` or "
                f"`backbone_weights`. Received: {name}={value}, and neither of them"
            )
    spec = get_spec(experiment.task)
    try:
        spec.parse_variant(experiment.variant)
    except PicanetError as error:
        others = "".join(
            f" It is a variant of task {task}."
            for task in task_names()
            if experiment.variant in get_spec(task).variants
        )
        raise PicanetError(f"`variant`: {error}{others}") from error
    for phase in experiment.phases if experiment.image_sizes else ():
        try:
            spec.check_image_size(experiment.variant, phase.image_size)
        except PicanetError as error:
            raise PicanetError(
                f"`image_sizes` {experiment.image_sizes}: {str(error).replace('`', '')}"
            ) from error
    spec.check_image_size(experiment.variant, experiment.image_size)
    if experiment.phases[-1].image_size != experiment.image_size:
        raise PicanetError(
            "`image_sizes` must end with `image_size`. Received: "
            f"{experiment.image_sizes} and {experiment.image_size}"
        )
    if experiment.rate_boundaries and experiment.rate_schedule != "steps":
        raise PicanetError(
            "`rate_boundaries` requires `rate_schedule` steps. Received: "
            f"{experiment.rate_schedule}"
        )
    if experiment.random_scale and experiment.task != "segmentation":
        raise PicanetError(
            "`random_scale` is for task segmentation. Received: "
            f"task={experiment.task!r}"
        )


def _has_trained_weights(experiment) -> bool:
    return bool(experiment.init_from) or experiment.backbone_weights != "none"
