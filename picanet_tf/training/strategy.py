"""Creates the `tf.distribute` strategy of a training."""

from __future__ import annotations

import tensorflow as tf
from absl import logging

from picanet_tf.core.errors import PicanetError
from picanet_tf.training.cluster import ALONE, Cluster


def make_strategy(
    replicas: int = 0, cluster: Cluster = ALONE
) -> tf.distribute.Strategy:
    """Creates the strategy for the devices of this machine or of a cluster.

    With multiple workers, this waits for all of them and must precede any other
    TensorFlow operation.

    Args:
        replicas: number of devices; 0 uses all visible GPUs, or one CPU device. Without
            any GPU, the CPU is split into that many logical devices.
        cluster: the workers; each of several uses all its visible GPUs, or one CPU.

    Raises:
        PicanetError: if there are fewer GPUs than replicas, if the CPU can no longer be
            split because TensorFlow has used it, or if `replicas` is given for several
            workers.
    """
    if cluster.size > 1:
        if replicas:
            raise PicanetError(
                "`replicas` is for one machine: with TF_CONFIG, each worker takes its "
                f"visible GPUs, or one CPU. Received: {replicas}"
            )
        logging.info("This is %s, %s", cluster, ", ".join(cluster.addresses))
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        count = replicas or len(gpus)
        if count > len(gpus):
            raise PicanetError(
                f"`replicas` is {replicas}, but {len(gpus)} GPUs are visible"
            )
        devices = [f"GPU:{i}" for i in range(count)]
        logging.info("Training on %s", ", ".join(devices))
        return (
            tf.distribute.OneDeviceStrategy(devices[0])
            if count == 1
            else tf.distribute.MirroredStrategy(devices)
        )
    count = replicas or 1
    logging.info("No GPU visible to TensorFlow: training on %d CPU device(s)", count)
    if count == 1:
        return tf.distribute.OneDeviceStrategy("CPU:0")
    _split_cpu(count)
    # The default all-reduce aborts on CPU devices with synchronized batch norms.
    return tf.distribute.MirroredStrategy(
        [f"CPU:{i}" for i in range(count)],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )


def _split_cpu(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError as error:  # TensorFlow has been initialized
        if len(tf.config.list_logical_devices("CPU")) < count:
            raise PicanetError(
                f"`replicas` {count} on the CPU must be set up before TensorFlow runs"
            ) from error
