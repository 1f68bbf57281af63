"""Compares the whole network with its bare convolutions and matrix products.

    python -m benchmarks.model

The floor is the list of the network's convolutions and matrix products, run one after
the other on tensors of the same shapes by the same library. Also measures scaling:
batches of 1 to 8 at 224 pixels, sizes of 224 to 448 at batch 1.
"""

from __future__ import annotations

import json
import math
import sys

from benchmarks.common import (
    in_own_process,
    in_turn,
    median_seconds,
    peak_memory,
    report,
    reset_peak_memory,
)

VARIANT = "6GAP_5432AC"


def main() -> None:
    floor = in_own_process("benchmarks.model", "floor")
    report(
        "model",
        [
            {
                "variant": VARIANT,
                "inference / floor": floor["inference"] / floor["floor"],
                "training step / floor": floor["training"] / floor["floor"],
                "GFLOP": floor["flops"] / 1e9,
                "floor s": floor["floor"],
                "inference s": floor["inference"],
                "training s": floor["training"],
            }
        ],
    )
    cases = [("inference", n, 224) for n in (1, 2, 4, 8)]
    cases += [("inference", 1, size) for size in (320, 448)]
    cases += [("training", n, 224) for n in (1, 2, 4)]
    rows = [in_own_process("benchmarks.model", *case) for case in cases]
    print()
    report("model_growth", rows)
    print()
    report("model_exponents", exponents(rows))


def exponents(rows: list[dict]) -> list[dict]:
    """Fits e in seconds ~ work^e by least squares on logarithms; 1 is proportional."""
    result = []
    for mode, what, vary in [
        (
            "inference",
            "batch",
            lambda row: row["batch"] if row["size"] == 224 else None,
        ),
        (
            "inference",
            "pixels",
            lambda row: row["size"] ** 2 if row["batch"] == 1 else None,
        ),
        ("training", "batch", lambda row: row["batch"] if row["size"] == 224 else None),
    ]:
        points = [
            (math.log(vary(row)), math.log(row["seconds"]))
            for row in rows
            if row["mode"] == mode and vary(row)
        ]
        mean_x = sum(x for x, _ in points) / len(points)
        mean_y = sum(y for _, y in points) / len(points)
        slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum(
            (x - mean_x) ** 2 for x, _ in points
        )
        result.append({"mode": mode, "grows with": what, "exponent": slope})
    return result


def measure_growth(mode: str, batch: int, size: int) -> dict:
    import tensorflow as tf

    images = tf.random.uniform([batch, size, size, 3], maxval=255)
    run = _runners(size)[mode]
    run(images)
    before = reset_peak_memory()
    seconds = median_seconds(lambda: run(images), 3, warm_up=0)
    return {
        "mode": mode,
        "batch": batch,
        "size": size,
        "seconds": seconds,
        "peak growth GB": (peak_memory() - before) / 1e9,
        "peak GB": peak_memory() / 1e9,
    }


def measure_floor() -> dict:
    """Times inference, training step and floor, interleaved to share noise."""
    import tensorflow as tf

    images = tf.random.uniform([1, 224, 224, 3], maxval=255)
    runners = _runners(224)
    products = _products(runners["model"], images)
    runs = {
        "floor": _floor(products),
        "inference": lambda: runners["inference"](images),
        "training": lambda: runners["training"](images),
    }
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(7):
        for name, run in runs.items():
            times[name].append(median_seconds(run, 1, warm_up=0))
    result = {name: sorted(seconds)[3] for name, seconds in times.items()}
    return {**result, "flops": sum(flops for _, flops in products)}


def _runners(size: int) -> dict:
    import tensorflow as tf

    from picanet_tf.saliency import build_model, losses
    from picanet_tf.saliency.targets import encode_targets

    model = build_model(VARIANT, size)
    loss = losses.losses(model.output)
    weight = losses.loss_weights(model.output)
    mask = tf.cast(tf.random.uniform([1, size, size, 1]) > 0.5, tf.float32)
    from picanet_tf.training.optimizer import CaffeSGD

    optimizer = CaffeSGD(0.001, 0.9, l2=0.0005)
    optimizer.build(model.trainable_variables)
    finest = tf.function(lambda images: model(images, training=False)["stage1"])

    @tf.function
    def step(images):
        targets = encode_targets(
            tf.repeat(mask, tf.shape(images)[0], axis=0), model.output
        )
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            total = tf.add_n(
                [
                    weight[name] * loss[name](targets[name], outputs[name])
                    for name in loss
                ]
            )
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(total, variables), variables)
        return total

    return {"model": model, "inference": finest, "training": step}


def _products(model, images) -> list:
    """Returns [(function, flops)] of a forward pass's convolutions and matmuls."""
    import keras
    import tensorflow as tf

    from picanet_tf import layers

    products = []
    seen = []
    kinds = (
        keras.layers.Conv2D,
        keras.layers.LSTM,
        layers.AttentionConvolution,
        layers.GlobalAttentionPooling,
    )
    originals = {kind: kind.call for kind in kinds}

    def spy(kind):
        def call(self, inputs, *args, **kwargs):
            seen.append((self, tuple(inputs.shape)))
            return originals[kind](self, inputs, *args, **kwargs)

        return call

    for kind in kinds:
        kind.call = spy(kind)
    try:
        tf.function(
            lambda images: model(images, training=False)["stage1"]
        ).get_concrete_function(images)
    finally:
        for kind, original in originals.items():
            kind.call = original

    for layer, shape in seen:
        if isinstance(layer, keras.layers.Conv2D):
            products.append(_convolution(tf, layer, shape))
        elif isinstance(layer, keras.layers.LSTM):
            products += _lstm(tf, layer, shape)
        elif isinstance(layer, layers.AttentionConvolution):
            n, height, width, channels = shape
            row = layer.kernel_size * channels
            products += [
                _matmul(tf, n * height * width, row, layer.filters)
                for _ in range(layer.kernel_size)
            ]
        else:
            n, height, width, channels = shape
            products.append(
                _matmul(tf, n * height * width, layer.kernel_size**2, channels)
            )
    return products


def _convolution(tf, layer, shape):
    inputs = tf.random.normal(shape)
    kernel = tf.random.normal(layer.kernel.shape)
    dilations = layer.dilation_rate
    flops = 2 * math.prod(shape[:3]) * math.prod(layer.kernel.shape)
    return (lambda: tf.nn.conv2d(inputs, kernel, 1, "SAME", dilations=dilations)), flops


def _lstm(tf, layer, shape):
    lines, steps, channels = shape
    units = layer.units
    return [
        _matmul(tf, lines * steps, channels, 4 * units),
        *(_matmul(tf, lines, units, 4 * units) for _ in range(steps)),
    ]


def _matmul(tf, rows, inner, columns):
    left, right = tf.random.normal([rows, inner]), tf.random.normal([inner, columns])
    return (lambda: tf.matmul(left, right)), 2 * rows * inner * columns


def _floor(products):
    import tensorflow as tf

    return tf.function(lambda: in_turn([product for product, _ in products]))


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1] == "floor":
        print(json.dumps(measure_floor()))
    else:
        mode, batch, size = sys.argv[1:]
        print(json.dumps(measure_growth(mode, int(batch), int(size))))
