"""Exponential moving averages of the weights."""

from __future__ import annotations

import contextlib

import keras
import tensorflow as tf


class Averages:
    """Exponential moving averages of a model's trainable weights.

    In step n the decay is min(`decay`, (1 + n) / (10 + n)), so that the first weights
    are soon forgotten. The statistics of batch norms are averages already.

    TensorFlow's `tf.train.ExponentialMovingAverage` fails on the variables of a
    `MirroredStrategy`, and Keras swaps those of `use_ema` only in `Model.fit`.

    Args:
        model: built model; create the averages under its distribution strategy.
        optimizer: its optimizer, which counts the steps.
        decay: share of the previous average in the next, below 1.

    Attributes:
        variables: the averages, in the order of the model's trainable weights.
    """

    def __init__(self, model: keras.Model, optimizer, decay: float):
        self._weights = [weight.value for weight in model.trainable_variables]
        self._decay, self._steps = decay, optimizer.iterations.value
        self._strategy = tf.distribute.get_strategy()
        self.variables = [
            tf.Variable(weight.read_value(), trainable=False)
            for weight in self._weights
        ]

    def update(self) -> None:
        """Averages over the weights after one more step, outside of replicas."""
        steps = tf.cast(self._steps.read_value(), tf.float32)
        decay = tf.minimum(self._decay, (1 + steps) / (10 + steps))
        for average, weight in zip(self.variables, self._weights, strict=True):
            self._strategy.extended.update(
                average,
                lambda average, weight: average.assign_sub(
                    (1 - decay) * (average - weight)
                ),
                args=(weight,),
            )

    @contextlib.contextmanager
    def swapped(self):
        """Context manager in which the averages are the model's weights."""
        weights = [weight.read_value() for weight in self._weights]
        for weight, average in zip(self._weights, self.variables, strict=True):
            weight.assign(average.read_value())
        try:
            yield
        finally:
            for weight, value in zip(self._weights, weights, strict=True):
                weight.assign(value)
