"""Optimizers, with learning rates and weight decay by groups of variables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import keras

POLY_POWER = 0.9  # DeepLab's


@keras.saving.register_keras_serializable(package="picanet_tf")
class CaffeSGD(keras.optimizers.SGD):
    """SGD with momentum and L2 regularization added to the gradient.

    Keras' `weight_decay` is decoupled: it shrinks the variable outside the update.
    Caffe adds `l2 * variable`, the gradient of l2 / 2 |variable|^2, to the gradient.

    Args:
        learning_rate: a float or a `LearningRateSchedule`.
        momentum: momentum of the velocity.
        l2: weight of the L2 term; 0.0005 in the paper.
        **kwargs: arguments of `keras.optimizers.SGD`.
    """

    def __init__(self, learning_rate=0.01, momentum=0.9, l2=0.0, **kwargs):
        super().__init__(learning_rate=learning_rate, momentum=momentum, **kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        if self.l2:
            gradient = gradient + self.l2 * variable
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}


@keras.saving.register_keras_serializable(package="picanet_tf")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up: scales a learning rate by `(step + 1) / steps` at first.

    Args:
        rate: a float, or the schedule to warm up to.
        steps: number of warm-up steps, at least 1.

    Reference: Goyal et al., Accurate, Large Minibatch SGD, 2017, Sec. 2.2.
    """

    def __init__(self, rate, steps: int):
        super().__init__()
        self.rate = rate
        self.steps = steps

    def __call__(self, step):
        rate = self.rate(step) if callable(self.rate) else self.rate
        part = (keras.ops.cast(step, "float32") + 1) / self.steps
        return rate * keras.ops.minimum(part, 1.0)

    def get_config(self):
        rate = keras.saving.serialize_keras_object(self.rate)
        return {"rate": rate, "steps": self.steps}

    @classmethod
    def from_config(cls, config):
        rate = keras.saving.deserialize_keras_object(config["rate"])
        return cls(rate, config["steps"])


@keras.saving.register_keras_serializable(package="picanet_tf")
class ConstantThenLinear(keras.optimizers.schedules.LearningRateSchedule):
    """A constant rate that falls linearly to 0 at the end of the training.

    Args:
        rate: the constant rate.
        steps: number of training steps.
        share: share of the steps in which the rate falls, above 0 and at most 1.
    """

    def __init__(self, rate: float, steps: int, share: float):
        super().__init__()
        self.rate = rate
        self.steps = steps
        self.share = share

    def __call__(self, step):
        left = 1.0 - keras.ops.cast(step, "float32") / self.steps
        return self.rate * keras.ops.clip(left / self.share, 0.0, 1.0)

    def get_config(self):
        return {"rate": self.rate, "steps": self.steps, "share": self.share}


class Schedule(NamedTuple):
    """How the learning rates change during a training.

    Attributes:
        kind: "steps": divided by ten after each boundary; "poly": (1 - step / steps) **
            `POLY_POWER`; "cosine": half a cosine to 0; "linear": `ConstantThenLinear`;
            "constant".
        steps: number of training steps.
        boundaries: steps after which the rates are divided by ten.
        linear_share: share of the steps in which "linear" falls.
        warmup_steps: see `Warmup`; 0 disables it.
    """

    kind: str = "steps"
    steps: int = 1
    boundaries: Sequence[int] = ()
    linear_share: float = 1.0
    warmup_steps: int = 0

    def of(self, rate: float):
        """Returns the schedule of a group, a rate or `LearningRateSchedule`."""
        schedules = keras.optimizers.schedules
        if self.kind == "poly":
            rate = schedules.PolynomialDecay(
                rate, self.steps, end_learning_rate=0.0, power=POLY_POWER
            )
        elif self.kind == "cosine":
            rate = schedules.CosineDecay(rate, self.steps)
        elif self.kind == "linear":
            rate = ConstantThenLinear(rate, self.steps, self.linear_share)
        elif self.boundaries:
            # Caffe divides from the boundary step on, Keras' schedule only after it.
            rate = schedules.PiecewiseConstantDecay(
                [boundary - 1 for boundary in self.boundaries],
                [rate * 0.1**i for i in range(len(self.boundaries) + 1)],
            )
        return Warmup(rate, self.warmup_steps) if self.warmup_steps else rate


_CONSTANT = Schedule()


class Group(NamedTuple):
    """Variables that share a learning rate and weight decay.

    Attributes:
        name: name of the group in the log.
        pattern: regular expression to search for in a variable's path.
        rate: learning rate relative to the base rate.
        decay: weight decay.
        optional: whether the group may be empty.
    """

    name: str
    pattern: str
    rate: float
    decay: float
    optional: bool = False


def make_groups(
    pretrained: Sequence[str], encoder_lr_multiplier: float, weight_decay: float
):
    """Returns the paper's groups in matching order.

    Pretrained layers train at a fraction of the decoder's rate; encoder layers without
    pretrained weights train at the decoder's. Biases and betas train at twice the rate
    and without weight decay (authors' release); gammas have weight decay. This includes
    the biases of the LSTMs, which in the release train at the rate of the weights and
    with decay; there, only the forward LSTM's W_c has other factors.

    Args:
        pretrained: names of the trainable layers with pretrained weights.
        encoder_lr_multiplier: their learning rate relative to the decoder's.
        weight_decay: weight decay of kernels and gammas.
    """
    bias = r"(bias|beta)$"
    result = []
    if pretrained:
        layers = rf"(^|/)({'|'.join(map(re.escape, pretrained))})/"
        multiplier = encoder_lr_multiplier
        result.append(Group("encoder biases", layers + bias, 2 * multiplier, 0.0))
        result.append(Group("encoder", layers, multiplier, weight_decay))
    result.append(Group("decoder biases", "/" + bias, 2.0, 0.0, optional=True))
    result.append(Group("decoder", "", 1.0, weight_decay))
    return result


def assign(paths: Iterable[str], groups: Sequence[Group]) -> dict[str, Group]:
    """Assigns each variable to the first group whose pattern matches.

    Raises:
        ValueError: if a variable matches no group, or a required group is empty. Some
            variables would otherwise silently train at an unintended rate.
    """
    assigned = {}
    for path in paths:
        group = next((g for g in groups if re.search(g.pattern, path)), None)
        if group is None:
            raise ValueError(f"No optimizer group matches the variable {path}")
        assigned[path] = group
    found = set(assigned.values())
    idle = [g.name for g in groups if not g.optional and g not in found]
    if idle:
        raise ValueError(f"No variable matches the optimizer groups {', '.join(idle)}")
    return assigned


def make_optimizer(
    assigned: dict[str, Group],
    *,
    learning_rate: float,
    schedule: Schedule = _CONSTANT,
    kind: str = "sgd",
    momentum: float = 0.9,
    beta_2: float = 0.999,
):
    """Creates a `keras.optimizers.MultiOptimizer` with one optimizer per group.

    Args:
        assigned: {variable path: group}, from `assign`.
        learning_rate: base learning rate, that of the decoder.
        schedule: how the rates change.
        kind: "sgd", `CaffeSGD`; or "adamw", whose weight decay is not part of the
            gradient: each step subtracts rate * decay times the variable.
        momentum: momentum of SGD, beta_1 of AdamW.
        beta_2: beta_2 of AdamW.
    """
    optimizers = {}
    for group in dict.fromkeys(assigned.values()):
        rate = schedule.of(learning_rate * group.rate)
        name = group.name.replace(" ", "_")
        if kind == "adamw":
            optimizers[group] = keras.optimizers.AdamW(
                rate, group.decay, beta_1=momentum, beta_2=beta_2, name=name
            )
        else:
            optimizers[group] = CaffeSGD(rate, momentum, l2=group.decay, name=name)
    # Exact paths, because OptimizerMap raises if two patterns match a variable, and
    # silently uses the default if none does.
    by_path = {path: optimizers[group] for path, group in assigned.items()}
    default = next(iter(optimizers.values()))
    return keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(default, by_path)
    )
