"""Exchanges data and weights with the rest of the project; needs TensorFlow.

    python -m tools.torch_training.keras_models packs DATA OUT [--parts 2]
    python -m tools.torch_training.keras_models encoder OUT.npz [--source hed]
    python -m tools.torch_training.keras_models weights MODEL OUT.npz
    python -m tools.torch_training.keras_models network WEIGHTS.npz VARIANT OUT.keras

DATA is a data set of `picanet convert`, MODEL a preset, a run or a .keras file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np


def write_packs(data: str, output: str, parts: int) -> None:
    """Packs a converted data set, at 256 x 256 pixels."""
    from tqdm import tqdm

    from data_pipeline.kinds import MASK
    from data_pipeline.readers import read_originals
    from tools.torch_training import packs

    records = tqdm(read_originals(data, MASK).as_numpy_iterator(), unit="pair")
    pairs = ((record["image"], record["mask"][..., 0]) for record in records)
    for path in packs.write(pairs, output, parts):
        print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")


def write_encoder(output: str, source: str) -> None:
    """Writes VGG16's five blocks in float16 (29 MB).

    Args:
        output: path of an .npz.
        source: argument `weights` of `build_model`: imagenet, hed, or a path.
    """
    _check_output(output, ".npz")
    from picanet_tf.core.files import replacing
    from picanet_tf.saliency import build_model

    network = build_model("UNet", weights=source)
    arrays = {
        variable.path: variable.numpy()
        for variable in network.variables
        if variable.path.startswith("block")
    }
    with replacing(Path(output)) as temporary:
        np.savez(temporary, **{k: v.astype(np.float16) for k, v in arrays.items()})


def write_weights(model: str, output: str) -> None:
    """Writes a saliency network's weights, for `spare --weights`.

    Args:
        model: see `inference.locate`.
        output: path of an .npz.
    """
    _check_output(output, ".npz")
    from picanet_tf.core.errors import PicanetError
    from picanet_tf.core.files import replacing
    from picanet_tf.inference import load_model

    network = load_model(model, engine="keras", precision="float32").network
    task = network.task.spec.name
    if task != "saliency":
        raise PicanetError(f"{model} is for {task}; this training is for saliency")
    arrays = {
        variable.path: variable.numpy()
        for variable in network.weights
        if not variable.path.endswith("collected_weight")  # only Keras has it
    }
    with replacing(Path(output)) as temporary:
        np.savez(temporary, **arrays)


def write_network(weights: str, variant: str, output: str) -> None:
    """Writes a network of the project with the weights of an .npz.

    Args:
        weights: path of an .npz from `train` or `spare`.
        variant: variant of the network.
        output: path of a .keras file.
    """
    _check_output(output, ".keras")
    from picanet_tf.core.files import replacing
    from picanet_tf.presets.add import network_of_arrays

    network = network_of_arrays(weights, variant)
    with replacing(Path(output)) as temporary:
        network.save(temporary)


def _check_output(output: str, suffix: str) -> None:
    from picanet_tf.core.errors import PicanetError

    if Path(output).suffix != suffix or not Path(output).absolute().parent.is_dir():
        raise PicanetError(
            f"the output must be a {suffix} file in a folder that exists. Received: "
            f"{output}"
        )
    if Path(output).exists():
        raise PicanetError(f"{output} exists: give another name, or delete it first")


def main() -> None:
    from picanet_tf.core.errors import PicanetError

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("packs")
    add.add_argument("data")
    add.add_argument("output")
    add.add_argument("--parts", type=int, choices=range(1, 100), default=2)
    add = commands.add_parser("encoder")
    add.add_argument("output")
    add.add_argument("--source", default="hed")
    add = commands.add_parser("weights")
    add.add_argument("model")
    add.add_argument("output")
    add = commands.add_parser("network")
    add.add_argument("weights")
    add.add_argument("variant")
    add.add_argument("output")
    options = parser.parse_args()
    try:
        if options.command == "packs":
            write_packs(options.data, options.output, options.parts)
        elif options.command == "encoder":
            write_encoder(options.output, options.source)
        elif options.command == "weights":
            write_weights(options.model, options.output)
        else:
            write_network(options.weights, options.variant, options.output)
    except (PicanetError, ValueError, OSError) as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
