"""Compares the cost of the fused attention with that of its arithmetic.

    python -m benchmarks.attention

For AC and LAP with the shapes of D2 ... D5: forward and forward + backward time, and
growth of peak memory, of "fused" vs. "patches" and vs. the bare matrix products of AC.
Each case runs in its own process, so that its memory can be measured. GAP is compared
with one `tf.matmul` of the same size.
"""

from __future__ import annotations

import json
import sys

from benchmarks.common import (
    in_own_process,
    in_turn,
    median_seconds,
    peak_memory,
    report,
    reset_peak_memory,
)

# height = width, channels, filters
SHAPES = {
    "D2": (112, 128, 64),
    "D3": (56, 256, 128),
    "D4": (28, 512, 256),
    "D5": (28, 512, 512),
}
K, RATE = 7, 2
REPEATS = {1: 7, 4: 3}


def main() -> None:
    rows = []
    for kind in ("AC", "LAP"):
        for stage in SHAPES:
            for batch in REPEATS:
                rows.append(compare(kind, stage, batch))
    report("attention", rows)
    print()
    report("attention_gap", [in_own_process("benchmarks.attention", "GAP")])


def compare(kind: str, stage: str, batch: int) -> dict:
    case = {
        implementation: in_own_process(
            "benchmarks.attention", kind, stage, batch, implementation
        )
        for implementation in ("patches", "fused")
    }
    fused, patches = case["fused"], case["patches"]
    row = {
        "kind": kind,
        "stage": stage,
        "batch": batch,
        "forward, times faster": patches["forward"] / fused["forward"],
        "both, times faster": patches["both"] / fused["both"],
        "memory, share": fused["memory"] / patches["memory"],
        "forward / bare": None,
        "both / bare": None,
        "fused forward ms": fused["forward"] * 1e3,
        "fused both ms": fused["both"] * 1e3,
        "fused memory MB": fused["memory"] / 1e6,
    }
    if kind == "AC":
        row["forward / bare"] = fused["forward"] / fused["bare_forward"]
        row["both / bare"] = fused["both"] / fused["bare_both"]
    return row


def measure(kind: str, stage: str, batch: int, implementation: str) -> dict:
    import tensorflow as tf

    from picanet_tf.layers import attention_ops

    size, channels, filters = SHAPES[stage]
    features = tf.random.normal([batch, size, size, channels])
    weights = tf.random.uniform([batch, size, size, K * K])
    kernel = tf.random.normal([K, K, channels, filters], stddev=0.02)
    inputs = [features, weights] + ([kernel] if kind == "AC" else [])
    options = {"dilation_rate": RATE, "implementation": implementation}

    def forward(features, weights, *kernel):
        if kernel:
            return attention_ops.attention_conv(features, weights, *kernel, **options)
        return attention_ops.local_attention_pool(
            features, weights, kernel_size=K, **options
        )

    outputs = filters if kind == "AC" else channels
    upstream = tf.random.normal([batch, size, size, outputs])

    def both(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            result = forward(*inputs)
        return result, tape.gradient(result, inputs, upstream)

    traced_both = tf.function(both).get_concrete_function(*inputs)
    traced_forward = tf.function(forward).get_concrete_function(*inputs)
    before = reset_peak_memory()
    kept = traced_both(*inputs)
    result = {
        # Inputs were there before; the outputs are everybody's.
        "memory": peak_memory() - before - sum(_bytes(t) for t in _flat(kept)),
        "forward": median_seconds(lambda: traced_forward(*inputs), REPEATS[batch]),
        "both": median_seconds(lambda: traced_both(*inputs), REPEATS[batch]),
    }
    if kind == "AC":
        result.update(_bare_products(tf, batch * size * size, channels, filters, batch))
    return result


def _bare_products(tf, pixels: int, channels: int, filters: int, batch: int) -> dict:
    """Returns the matrix products of AC (one per window row) and its two gradients."""
    taps = tf.random.normal([pixels, K * channels])
    outputs = tf.random.normal([pixels, filters])
    # One matrix a row: equal products would be computed once.
    matrices = [tf.random.normal([K * channels, filters]) for _ in range(K)]

    @tf.function
    def forward():
        return in_turn([lambda m=m: tf.matmul(taps, m) for m in matrices])

    @tf.function
    def both():
        # The kernel's gradients have no matrix of their own: a scaled side each.
        products = []
        for row, matrix in enumerate(matrices):
            products += [
                lambda m=matrix: tf.matmul(taps, m),
                lambda m=matrix: tf.matmul(outputs, m, transpose_b=True),
                lambda scale=row + 1.0: tf.matmul(
                    taps, outputs * scale, transpose_a=True
                ),
            ]
        return in_turn(products)

    return {
        "bare_forward": median_seconds(forward, REPEATS[batch]),
        "bare_both": median_seconds(both, REPEATS[batch]),
    }


def measure_gap() -> dict:
    import tensorflow as tf

    from picanet_tf.layers import attention_ops

    features = tf.random.normal([1, 28, 28, 1024])
    attention = tf.random.uniform([1, 28, 28, 100])
    context = tf.random.normal([1, 100, 1024])
    flat = tf.reshape(attention, [1, 784, 100])
    pool = tf.function(
        lambda: attention_ops.global_attention_pool(
            features, attention, kernel_size=10, dilation_rate=3
        )
    )
    product = tf.function(lambda a, b: tf.matmul(a, b))
    ours = median_seconds(pool, 50, 5)
    bare = median_seconds(lambda: product(flat, context), 50, 5)
    return {"kind": "GAP", "batch": 1, "forward / bare": ours / bare, "ms": ours * 1e3}


def _flat(nest):
    import tensorflow as tf

    return tf.nest.flatten(nest)


def _bytes(tensor) -> int:
    return tensor.dtype.size * int(tensor.shape.num_elements())


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1] == "GAP":
        print(json.dumps(measure_gap()))
    else:
        kind, stage, batch, implementation = sys.argv[1:]
        print(json.dumps(measure(kind, stage, int(batch), implementation)))
