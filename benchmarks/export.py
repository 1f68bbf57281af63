"""Measures the speedup of the exporter's exact graph simplifications.

    python -m benchmarks.export RUN

Compares the network of a run as trained (with all outputs), pruned for inference, with
folded batch norms, with split 1x1 convolutions of concatenations, and with both: median
forward time of one image, interleaved within one process.
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.common import median_seconds, report

REPEATS = 15


def main(run: str) -> None:
    import tensorflow as tf

    from picanet_tf.inference import load_model
    from picanet_tf.serving.folding import FoldingOptions
    from picanet_tf.serving.network import serving_network

    trained = load_model(run, engine="keras", precision="float32").network
    image = tf.random.stateless_uniform([1, *trained.input.shape[1:]], [0, 0], 0, 255)
    networks = {
        "as trained": trained,
        "pruned": serving_network(trained, folding=FoldingOptions(False, False)),
        "norms folded": serving_network(trained, folding=FoldingOptions(True, False)),
        "convolutions split": serving_network(
            trained, folding=FoldingOptions(False, True)
        ),
        "both": serving_network(trained),
    }
    runs = {name: _function(network) for name, network in networks.items()}
    maps = {name: run(image).numpy() for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(REPEATS):
        for name, run in runs.items():
            times[name].append(median_seconds(lambda run=run: run(image), 1, 0))
    medians = {name: float(np.median(seconds)) for name, seconds in times.items()}
    report(
        "export",
        [
            {
                "network": name,
                "layers": len(networks[name].layers),
                "ms": 1000 * seconds,
                "time / pruned": seconds / medians["pruned"],
                "largest difference": float(np.abs(maps[name] - maps["pruned"]).max()),
            }
            for name, seconds in medians.items()
        ],
    )


def _function(network):
    import tensorflow as tf

    # The network as trained computes all side outputs, as `network(images)` would.
    @tf.function(autograph=False)
    def run(image):
        outputs = network(image, training=False)
        if "saliency" in outputs:
            return outputs["saliency"]
        with tf.control_dependencies(list(outputs.values())):
            return tf.sigmoid(outputs["stage1"])

    return run


if __name__ == "__main__":
    main(*sys.argv[1:])
