"""Compares the cost of the fused attention with that of its arithmetic.

    python -m benchmarks.attention

For AC and LAP with the shapes of D2 ... D5: forward and forward + backward time, and
growth of peak memory, of "fused" vs. "patches" and vs. the bare matrix products of AC;
then "fused" in bfloat16 vs. float32 and vs. the bare products in bfloat16. Each case
runs in its own process, so that its memory can be measured. GAP is compared with one
`tf.matmul` of the same size.
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
    rows, half = [], []
    for kind in ("AC", "LAP"):
        for stage in SHAPES:
            for batch in REPEATS:
                fused = run(kind, stage, batch, "fused")
                rows.append(compare(kind, stage, batch, fused))
                half.append(compare_half(kind, stage, batch, fused))
    report("attention", rows)
    print()
    report("attention_bfloat16", half)
    print()
    report("attention_gap", [in_own_process("benchmarks.attention", "GAP")])


def run(kind: str, stage: str, batch: int, implementation: str, dtype="float32"):
    return in_own_process(
        "benchmarks.attention", kind, stage, batch, implementation, dtype
    )


def compare(kind: str, stage: str, batch: int, fused: dict) -> dict:
    patches = run(kind, stage, batch, "patches")
    return {
        "kind": kind,
        "stage": stage,
        "batch": batch,
        "forward, times faster": patches["forward"] / fused["forward"],
        "both, times faster": patches["both"] / fused["both"],
        "memory, share": fused["memory"] / patches["memory"],
        **_to_bare(fused),
        "fused forward ms": fused["forward"] * 1e3,
        "fused both ms": fused["both"] * 1e3,
        "fused memory MB": fused["memory"] / 1e6,
    }


def compare_half(kind: str, stage: str, batch: int, single: dict) -> dict:
    half = run(kind, stage, batch, "fused", "bfloat16")
    return {
        "kind": kind,
        "stage": stage,
        "batch": batch,
        **{
            f"{name} / float32": half[name] / single[name]
            for name in ("forward", "both", "memory")
        },
        **_to_bare(half),
    }


def _to_bare(times: dict) -> dict:
    """Returns the ratios to the bare products, which only AC has."""
    return {
        f"{name} / bare": times[name] / times[f"bare_{name}"]
        if f"bare_{name}" in times
        else None
        for name in ("forward", "both")
    }


def measure(kind: str, stage: str, batch: int, implementation: str, dtype: str) -> dict:
    import tensorflow as tf

    from picanet_tf.layers import attention_ops

    size, channels, filters = SHAPES[stage]
    features = tf.random.normal([batch, size, size, channels])
    weights = tf.random.uniform([batch, size, size, K * K])
    kernel = tf.random.normal([K, K, channels, filters], stddev=0.02)
    inputs = [features, weights] + ([kernel] if kind == "AC" else [])
    inputs = [tf.cast(tensor, dtype) for tensor in inputs]
    options = {"dilation_rate": RATE, "implementation": implementation}

    def forward(features, weights, *kernel):
        if kernel:
            return attention_ops.attention_conv(features, weights, *kernel, **options)
        return attention_ops.local_attention_pool(
            features, weights, kernel_size=K, **options
        )

    outputs = filters if kind == "AC" else channels
    upstream = tf.cast(tf.random.normal([batch, size, size, outputs]), dtype)

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
        # The inputs existed before; every implementation has the outputs.
        "memory": peak_memory() - before - sum(_bytes(t) for t in _flat(kept)),
        "forward": median_seconds(lambda: traced_forward(*inputs), REPEATS[batch]),
        "both": median_seconds(lambda: traced_both(*inputs), REPEATS[batch]),
    }
    if kind == "AC":
        pixels = batch * size * size
        result.update(_bare_products(tf, pixels, channels, filters, batch, dtype))
    return result


def _bare_products(
    tf, pixels: int, channels: int, filters: int, batch: int, dtype: str
) -> dict:
    """Times the matrix products of AC (one per window row) and its two gradients."""

    def random(*shape):
        return tf.cast(tf.random.normal(shape), dtype)

    taps, outputs = random(pixels, K * channels), random(pixels, filters)
    # One matrix per row, since equal products would be computed only once.
    matrices = [random(K * channels, filters) for _ in range(K)]

    @tf.function
    def forward():
        return in_turn([lambda m=m: tf.matmul(taps, m) for m in matrices])

    @tf.function
    def both():
        # Products for the kernel's gradient have equal factors, so one is scaled.
        products = []
        for row, matrix in enumerate(matrices):
            scale = tf.cast(row + 1.0, dtype)
            products += [
                lambda m=matrix: tf.matmul(taps, m),
                lambda m=matrix: tf.matmul(outputs, m, transpose_b=True),
                lambda scale=scale: tf.matmul(taps, outputs * scale, transpose_a=True),
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
    match sys.argv[1:]:
        case []:
            main()
        case ["GAP"]:
            print(json.dumps(measure_gap()))
        case [kind, stage, batch, implementation, dtype]:
            print(json.dumps(measure(kind, stage, int(batch), implementation, dtype)))
        case _:
            sys.exit(__doc__)
