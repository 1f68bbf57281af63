"""Computes what the Keras network must equal: outputs, losses, gradients in float64.

    python -m tools.torch_training.reference OUT.npz

The weights are random and drawn by variable path, so that OUT.npz needs only results:
{VARIANT/stage1: logits [2, 80, 80] of inference; VARIANT/loss: Eq. 9 in training
without dropout; VARIANT/paths, VARIANT/gradients [V, 2]: for each variable that is
trained, the norm of its gradient and its product with `direction`}.
"""

from __future__ import annotations

import sys
import tempfile
import zlib
from collections.abc import Mapping

import numpy as np

VARIANTS = ("UNet", "6GAP_5432AC", "65GAP_432LAP")
WIDTH, SIZE = 1 / 16, 80


def random_weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Draws {variable path: float32 array} of these shapes, the same on each call."""
    weights = {}
    for path, shape in shapes.items():
        rng = _generator(path)
        if len(shape) > 1:
            value = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))
            if path == "block1_conv1/kernel":
                value = value / 64  # The order of magnitude of the images.
        elif path.endswith(("gamma", "moving_variance")):
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = 0.1 * rng.normal(size=shape)
        weights[path] = value.astype(np.float32)
    return weights


def images_and_masks() -> tuple[np.ndarray, np.ndarray]:
    """Returns uint8 RGB [2, S, S, 3] and float32 [2, S, S, 1] in {0, 1}."""
    images = _generator("images").integers(0, 256, (2, SIZE, SIZE, 3)).astype(np.uint8)
    masks = np.zeros((2, SIZE, SIZE, 1), np.float32)
    masks[0, 16:56, 24:72] = 1
    masks[1, 30:70, 3:40] = 1
    return images, masks


def direction(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a random direction, an array of norm 1, for a variable's gradient."""
    drawn = _generator(f"direction {path}").normal(size=shape)
    return drawn / np.linalg.norm(drawn)


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def compute(variant: str) -> dict[str, np.ndarray]:
    """Computes the results of a variant with PyTorch."""
    import torch

    from .losses import total_loss
    from .network import BGR_MEANS, PiCANet
    from .weights import load, to_arrays, variable_paths

    network = PiCANet(variant, WIDTH, dropout=0.0)
    shapes = {path: a.shape for path, a in to_arrays(network.state_dict()).items()}
    network.double()
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file.name, **random_weights(shapes))
        load(network, file.name)
    images, masks = images_and_masks()
    bgr = images[..., ::-1] - np.array(BGR_MEANS)
    x, mask = (torch.from_numpy(a.transpose(0, 3, 1, 2).copy()) for a in (bgr, masks))
    network.eval()
    with torch.no_grad():
        stage1 = network(x)["stage1"][:, 0]
    network.train()
    loss, _ = total_loss(network(x), mask.double())
    loss.backward()
    paths = dict(variable_paths(network.state_dict()))
    gradients = {
        name: value.grad for name, value in network.named_parameters() if name in paths
    }
    by_path = to_arrays(gradients)
    products = [
        [np.linalg.norm(value), np.sum(value * direction(path, value.shape))]
        for path, value in by_path.items()
    ]
    return {
        "stage1": stage1.numpy().astype(np.float32),
        "loss": np.array(loss.item()),
        "paths": np.array(list(by_path)),
        "gradients": np.array(products),
    }


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    results = {
        f"{variant}/{name}": value
        for variant in VARIANTS
        for name, value in compute(variant).items()
    }
    np.savez_compressed(sys.argv[1], **results)


if __name__ == "__main__":
    main()
