"""A task that a tiny network learns in a few steps: bright disks on dark ground."""

import tensorflow as tf

from picanet_tf.training.experiments import Experiment
from picanet_tf.training.trainer import Batches, Trainer


def experiment(**changes) -> Experiment:
    """A network of 1/32 of the channels at 32 pixels."""
    values = {
        "variant": "6GAP_5AC",
        "steps": 6,
        "batch_size": 4,
        "image_size": 32,
        "width": 1 / 32,
        "backbone_weights": "none",
        "learning_rate": 0.05,
        "checkpoint_interval": 3,
        "log_interval": 2,
        "validation_interval": 3,
    }
    return Experiment(**{**values, **changes})


def read(start_step: int = 0, batch_size: int = 4, size: int = 32, share=(0, 1)):
    """Endless (image, mask) batches; batch k is a function of k alone."""

    def batch(step):
        seed = tf.stack([step, 7])
        centre = tf.random.stateless_uniform([batch_size, 1, 1, 2], seed, 8, size - 8)
        noise = tf.random.stateless_uniform([batch_size, size, size, 3], seed, 0, 60)
        y, x = tf.meshgrid(tf.range(size), tf.range(size), indexing="ij")
        grid = tf.cast(tf.stack([y, x], axis=-1), tf.float32)[tf.newaxis]
        inside = tf.reduce_sum((grid - centre) ** 2, -1, keepdims=True) < 36
        mask = tf.cast(inside, tf.float32)
        return noise + 180 * mask, mask

    worker, workers = share
    part = batch_size // workers
    return (
        tf.data.Dataset.range(start_step, 10**9)
        .map(batch)
        .map(lambda *arrays: [a[worker * part :][:part] for a in arrays])
        .map(lambda image, mask: (image, mask))
    )


def read_validation():
    return read(10**6).take(2)


def train(
    experiment, run, *, read_training=read, read_validation=None, read_keys=None,
    fingerprint="", **options,
) -> None:  # fmt: skip
    """Trains on disks, or on other batches; `options` of `Trainer`."""
    keys = {"keys": read_keys} if read_keys else {}
    batches = Batches(read_training, read_validation, fingerprint=fingerprint, **keys)
    Trainer(experiment, run, batches, **options).train()
