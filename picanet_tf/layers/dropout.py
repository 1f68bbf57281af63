"""Dropout that draws a mask of its own on each replica."""

from __future__ import annotations

import keras
import tensorflow as tf

# Distance of two replicas' seeds. The layers of a network have consecutive seeds.
_DISTANCE = 1_000_003


class _ReplicaSeeds(keras.random.SeedGenerator):
    """A seed generator that differs between replicas; the first one has Keras' seeds.

    Keras' own advances on each replica in the same way.
    """

    def next(self, ordered: bool = True) -> tf.Tensor:
        seed = super().next(ordered)
        context = tf.distribute.get_replica_context()
        if context is None:  # The network is built outside of all replicas.
            return seed
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        return seed + tf.cast(tf.stack([_DISTANCE * replica, 0]), seed.dtype)


@keras.saving.register_keras_serializable(package="picanet_tf")
class Dropout(keras.layers.Layer):
    """Dropout whose masks differ between the replicas of a `tf.distribute` strategy.

    On a single device, the masks are those of `keras.layers.Dropout`.

    Args:
        rate: share of the inputs that are set to 0 in training; the others are
            multiplied by 1 / (1 - rate).
        seed: seed of the masks; None: random.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed
        if rate > 0:
            self.seed_generator = _ReplicaSeeds(seed, name="seed_generator")

    def call(self, inputs, training=False):
        if not training or not self.rate:
            return inputs
        return keras.random.dropout(inputs, self.rate, seed=self.seed_generator)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
