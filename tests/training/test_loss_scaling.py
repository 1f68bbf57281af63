"""mixed_float16 on several replicas: a step that overflows on one is skipped by all."""

import json

from tests import commands

TWO_DEVICES = """
import json

import keras
import tensorflow as tf

from picanet_tf.training.step import TrainingStep

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    variable = keras.Variable([1.0, 2.0], trainable=True)
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.5), initial_scale=8.0
    )
    optimizer.build([variable])
step = TrainingStep.__new__(TrainingStep)
step._strategy, step._optimizer, step._clip_norm = strategy, optimizer, 100.0


@tf.function
def run(values):
    def replica_step():
        context = tf.distribute.get_replica_context()
        gradient = tf.gather(values, context.replica_id_in_sync_group)
        clipped = step._clip(step._agree_on_overflow([gradient]))
        optimizer.apply_gradients(zip(clipped, [variable]))

    strategy.run(replica_step)


inf = float("inf")
rows = []
for values in (
    [[8.0, 0.0], [inf, 0.0]],  # on the second replica alone
    [[-inf, 0.0], [8.0, 0.0]],
    [[4.0, 0.0], [2.0, 4.0]],
):
    run(tf.constant(values))
    scale = optimizer.dynamic_scale.numpy()
    rows.append([variable.numpy().tolist(), float(scale)])
print(json.dumps(rows))
"""


def test_an_overflow_on_any_replica_skips_the_step():
    # Two CPU devices must be set up before TensorFlow runs: a process of its own.
    done = commands.call("-c", TWO_DEVICES)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == [
        [[1.0, 2.0], 4.0],
        [[1.0, 2.0], 2.0],
        [[1.0 - 0.5 * 6 / 2, 2.0 - 0.5 * 4 / 2], 2.0],
    ]
