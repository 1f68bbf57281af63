"""SGD as the paper's Caffe ran it: rates and decay by groups of variables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import keras

POLY_POWER = 0.9  # DeepLab's


@keras.saving.register_keras_serializable(package="picanet_tf")
class CaffeSGD(keras.optimizers.SGD):
    """SGD with momentum whose L2 term enters ahead of the momentum.

    Keras' `weight_decay` is decoupled: it shrinks the variable beside the update.
    Caffe adds `l2 * variable`, the gradient of l2 / 2 |variable|^2, to the gradient.

    Args:
        learning_rate: a float or a `LearningRateSchedule`.
        momentum: of the velocity.
        l2: weight of the L2 term; the paper's 0.0005.
        **kwargs: of `keras.optimizers.SGD`.
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
    """A rate that rises linearly to its own: `(step + 1) / steps` of it at first.

    Args:
        rate: a float or the schedule that holds afterwards.
        steps: of the rise, at least 1.

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


class Group(NamedTuple):
    """Variables that share a rate and a decay.

    Attributes:
        name: what the group is called in the log.
        pattern: regular expression, searched for in the variable's path.
        rate: relative to the base learning rate.
        l2: weight of the L2 term.
    """

    name: str
    pattern: str
    rate: float
    l2: float


def make_groups(
    pretrained: Sequence[str], encoder_lr_multiplier: float, weight_decay: float
):
    """The paper's groups, to be matched in this order.

    The pretrained layers train at a fraction of the decoder's rate; encoder layers
    that got no pretrained weights are not among them. Biases and betas train at twice
    the rate, without decay (authors' release); gammas decay.

    Args:
        pretrained: names of the layers that got pretrained weights and train.
        encoder_lr_multiplier: their rate, relative to the decoder's.
        weight_decay: of kernels and gammas.
    """
    bias = r"(bias|beta)$"
    result = []
    if pretrained:
        layers = rf"(^|/)({'|'.join(map(re.escape, pretrained))})/"
        multiplier = encoder_lr_multiplier
        result.append(Group("encoder biases", layers + bias, 2 * multiplier, 0.0))
        result.append(Group("encoder", layers, multiplier, weight_decay))
    result.append(Group("decoder biases", "/" + bias, 2.0, 0.0))
    result.append(Group("decoder", "", 1.0, weight_decay))
    return result


def assign(paths: Iterable[str], groups: Sequence[Group]) -> dict[str, Group]:
    """Gives each variable its group: the first whose pattern matches.

    Raises:
        ValueError: a variable that no pattern matches, or a pattern without variables,
            each of which would otherwise train at a rate that nobody chose.
    """
    assigned = {}
    for path in paths:
        group = next((g for g in groups if re.search(g.pattern, path)), None)
        if group is None:
            raise ValueError(f"No group of the optimizer matches the variable {path}")
        assigned[path] = group
    idle = [group.name for group in groups if group not in assigned.values()]
    if idle:
        raise ValueError(f"No variable is in the optimizer's groups {', '.join(idle)}")
    return assigned


def make_optimizer(
    assigned: dict[str, Group],
    *,
    learning_rate: float,
    boundaries: Sequence[int] = (),
    poly_steps: int = 0,
    warmup_steps: int = 0,
    momentum: float,
):
    """One `CaffeSGD` a group behind one `keras.optimizers.MultiOptimizer`.

    Args:
        assigned: {variable path: group}, of `assign`.
        learning_rate: base rate, of the decoder.
        boundaries: steps after which the rates fall to a tenth.
        poly_steps: steps of the training, of which the rates fall with
            (1 - step / steps) ** `POLY_POWER`; 0 for not.
        warmup_steps: see `Warmup`; 0 for none.
        momentum: of all groups.
    """
    optimizers = {}
    for group in dict.fromkeys(assigned.values()):
        rate = learning_rate * group.rate
        if poly_steps:
            rate = keras.optimizers.schedules.PolynomialDecay(
                rate, poly_steps, end_learning_rate=0.0, power=POLY_POWER
            )
        # Caffe divides from the boundary step on; Keras' schedule after it.
        if boundaries:
            rate = keras.optimizers.schedules.PiecewiseConstantDecay(
                [boundary - 1 for boundary in boundaries],
                [rate * 0.1**i for i in range(len(boundaries) + 1)],
            )
        if warmup_steps:
            rate = Warmup(rate, warmup_steps)
        optimizers[group] = CaffeSGD(
            rate, momentum, l2=group.l2, name=group.name.replace(" ", "_")
        )
    # Exact paths: OptimizerMap raises where two patterns match a variable, and lets
    # a pattern that matches nothing fall to the default in silence.
    by_path = {path: optimizers[group] for path, group in assigned.items()}
    default = next(iter(optimizers.values()))
    return keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(default, by_path)
    )
