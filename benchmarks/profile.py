"""Shows where the time of a training step goes, by kind of operation and by layer.

    python -m benchmarks.profile --variant 6GAP_5432LAP --precision mixed_bfloat16

Runs the trainer's own step on random images, with random weights, under TensorFlow's
profiler. Operations run one after the other, each on all cores, so that their times add
up to about the duration of the step; in a training two run at a time. The profiler adds
some microseconds to each, which shows in ReNet's many small ones.
"""

from __future__ import annotations

import argparse
import collections
import re
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import report, training_step

# Kinds of operations: the first pattern that an operation's type matches.
KINDS = {
    "convolution": r"Conv2D",
    "matrix product": r"MatMul|Einsum",
    "norm": r"BatchNorm",
    "ReLU": r"Relu",
    "pooling": r"Pool",
    "upsampling": r"Resize",
    "cast": r"^_?(Mkl)?Cast$",
    "layout: transpose, concatenate, slice, pad, gather": (
        r"Transpose|Concat|Slice|Split|Pack|Pad|Gather|Tile|SpaceToBatch|BatchToSpace"
    ),
    "elementwise and sums": (
        r"^_?(Mkl|Fused)?(Mul|Add|Sub|Neg|Div|Real|Sum|Mean|Max|Min|Exp|Softmax|Sigmoid|"
        r"Tanh|Square|Sqrt|Rsqrt|Bias|Select|Greater|IsFinite|All|L2Loss|Fill|Zeros|Log)"
    ),
    "optimizer": r"^(Resource|Assign)",
    "random numbers": r"Random",
}
CONTROL_FLOW = (
    r"^(While|StatelessWhile|If|StatelessIf|PartitionedCall|StatefulPart|Case)"
)


class Operation(NamedTuple):
    """One execution of an operation.

    Attributes:
        path: name in the graph, such as "gradient_tape/picanet_UNet_1/d5_fuse_1/...".
        kind: its type, such as "Conv2D".
        seconds: wall time.
    """

    path: str
    kind: str
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--variant", default="6GAP_5432LAP")
    policies = ("float32", "mixed_bfloat16", "mixed_float16")
    parser.add_argument("--precision", choices=policies, default="float32")
    parser.add_argument("--size", type=int, default=160, help="side in pixels")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3, help="steps to profile")
    parser.add_argument("--top", type=int, default=12, help="rows of each table")
    parser.add_argument("--layer", help="print the operations of this layer only")
    flags = parser.parse_args()

    import tensorflow as tf

    from picanet_tf.tasks.registry import get_task

    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = get_task("saliency").build_model(
        flags.variant, flags.size, dtype=flags.precision, seed=0
    )
    run = training_step(model, flags.batch)
    layers = {layer.name for layer in model.layers}
    if flags.layer and flags.layer not in layers:
        parser.error(f"--layer {flags.layer} is none of {', '.join(sorted(layers))}")
    start = time.perf_counter()
    run()
    first = time.perf_counter() - start
    run()
    start = time.perf_counter()
    for _ in range(flags.steps):
        run()
    seconds = (time.perf_counter() - start) / flags.steps
    operations = profile(run, flags.steps)
    if flags.layer:
        operations = [o for o in operations if layer_of(o.path, layers) == flags.layer]
    total = sum(operation.seconds for operation in operations)
    setting = {"variant": flags.variant, "precision": flags.precision}
    report(
        "profile",
        [
            {
                **setting,
                "pixels": flags.size,
                "batch": flags.batch,
                "first step s": first,
                "step s": seconds,
                "operations s": total / flags.steps,
                "operations": len(operations) // flags.steps,
            }
        ],
    )
    tables = {
        "kind": lambda o: kind_of(o.kind),
        "layer": lambda o: layer_of(o.path, layers),
        "operation": lambda o: f"{layer_of(o.path, layers)}: {o.kind}",
    }
    for name, key in tables.items():
        rows = shares(operations, key)[: flags.top]
        print()
        report(
            f"profile_{name}",
            [{**setting, name: row[0], "share": row[1]} for row in rows],
        )


def shares(operations, key) -> list[tuple[str, float]]:
    """Returns [(key, share of the summed time)], the largest first."""
    sums = collections.Counter()
    for operation in operations:
        sums[key(operation)] += operation.seconds
    total = sum(sums.values())
    return [(name, seconds / total) for name, seconds in sums.most_common()]


def kind_of(kind: str) -> str:
    """Returns the group of `KINDS` that a type of operations belongs to."""
    return next((k for k, p in KINDS.items() if re.search(p, kind)), "other")


def layer_of(path: str, layers: set[str]) -> str:
    """Returns the layer that an operation, or its gradient, belongs to.

    TensorFlow appends a number to a name that it has used before, as to the layers of a
    model that runs a second time.
    """
    for part in path.split("/"):
        for name in (part, re.sub(r"_\d+$", "", part)):
            if name in layers:
                return name
    return "optimizer, losses and others"


def profile(run, steps: int) -> list[Operation]:
    """Runs the steps under TensorFlow's profiler; returns their operations."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            for _ in range(steps):
                run()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    operations = []
    for plane in space.planes:
        for line in plane.lines:
            if not line.name.startswith("tf_"):
                continue
            for event in line.events:
                path, colon, kind = plane.event_metadata[
                    event.metadata_id
                ].name.rpartition(":")
                # Operations are "path:type"; the executor's own events are "A::B". The
                # time of a loop is that of the operations inside it.
                if (
                    colon
                    and not path.endswith(":")
                    and not re.match(CONTROL_FLOW, kind)
                ):
                    seconds = event.duration_ps / 1e12
                    operations.append(Operation(path, kind, seconds))
    return operations


if __name__ == "__main__":
    main()
