"""Weights between the PyTorch network and Keras: needs the project and TensorFlow.

python -m tools.torch_training.keras_models encoder OUT.npz [--source hed]
python -m tools.torch_training.keras_models network WEIGHTS.npz VARIANT OUT.keras
"""

from __future__ import annotations

import argparse

import numpy as np


def write_encoder(output: str, source: str) -> None:
    """Writes VGG16's five blocks in float16 (29 MB).

    Args:
        output: path of an .npz.
        source: `weights` of `build_model`: imagenet, hed, or a path.
    """
    from picanet_tf.saliency import build_model

    network = build_model("UNet", weights=source)
    arrays = {
        variable.path: variable.numpy()
        for variable in network.variables
        if variable.path.startswith("block")
    }
    np.savez(output, **{k: v.astype(np.float16) for k, v in arrays.items()})


def write_network(weights: str, variant: str, output: str) -> None:
    """Writes a network of the project, with the weights of the .npz."""
    from picanet_tf.presets.add import network_of_arrays

    network_of_arrays(weights, variant).save(output)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("encoder")
    add.add_argument("output")
    add.add_argument("--source", default="hed")
    add = commands.add_parser("network")
    add.add_argument("weights")
    add.add_argument("variant")
    add.add_argument("output")
    options = parser.parse_args()
    if options.command == "encoder":
        write_encoder(options.output, options.source)
    else:
        write_network(options.weights, options.variant, options.output)


if __name__ == "__main__":
    main()
