"""Weights of the PyTorch network by the Keras network's variable paths."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

_LSTM = {"weight_ih": "kernel", "weight_hh": "recurrent_kernel", "bias_ih": "bias"}
_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def variable_paths(names) -> Iterator[tuple[str, str]]:
    """Yields (name in `state_dict`, variable path) of all that Keras has, too.

    Keras has one bias where PyTorch's LSTM has two.
    """
    for name in names:
        *parts, last = name.removeprefix("layers.").split(".")
        layer = "/".join(parts)
        if last == "num_batches_tracked" or "bias_hh" in last:
            continue
        if "_l0" in last:
            kind, _, reverse = last.partition("_l0")
            way = "backward" if reverse else "forward"
            yield name, f"{layer}/{way}_lstm/lstm_cell/{_LSTM[kind]}"
        elif layer.endswith("norm"):
            yield name, f"{layer}/{_NORM[last]}"
        else:
            yield name, f"{layer}/{'kernel' if last == 'weight' else last}"


def to_arrays(state: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Returns {variable path: float32 array} of a network's `state_dict`."""
    arrays = {}
    for name, path in variable_paths(state):
        value = state[name].detach().float().cpu().numpy()
        if value.ndim == 4:  # [out, in, h, w] -> [h, w, in, out]
            value = value.transpose(2, 3, 1, 0)
        elif "lstm" in path:
            value = value.T
        elif value.ndim == 2:  # AC: [49 * in, out] -> [7, 7, in, out]
            value = value.reshape(7, 7, -1, value.shape[-1])
        arrays[path] = np.ascontiguousarray(value)
    return arrays


@torch.no_grad()
def assign(network, arrays: Mapping[str, np.ndarray], partial: bool = False) -> None:
    """Gives the network values by variable path.

    Args:
        network: a `PiCANet`.
        arrays: {variable path: array}.
        partial: whether the network may have more variables, such as a decoder.

    Raises:
        ValueError: if a variable has no value, unless `partial`; if a value has no
            variable, or another shape.
    """
    state, left = network.state_dict(), dict(arrays)
    for name, path in variable_paths(state):
        if path not in left:
            if not partial:
                raise ValueError(f"no value for {path}")
            continue
        value = np.asarray(left.pop(path))
        if value.ndim == 4 and state[name].ndim == 4:
            value = value.transpose(3, 2, 0, 1)
        elif "lstm" in path:
            value = value.T
        elif value.ndim == 4:
            value = value.reshape(-1, value.shape[-1])
        target = state[name]
        if value.shape != target.shape:
            raise ValueError(
                f"{path} has the shape {value.shape} and not {tuple(target.shape)}"
            )
        target.copy_(torch.from_numpy(value.astype(np.float64)))
    if left:
        raise ValueError(f"no variable for {', '.join(sorted(left)[:3])}")


def read(path: str | Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def save(state: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Writes an .npz for `presets.add`: kernels in float16, vectors in float32.

    Variances may be too large for float16.
    """
    arrays = to_arrays(state)
    part = Path(f"{path}.part.npz")
    stored = {
        name: value.astype(np.float16) if value.ndim > 1 else value
        for name, value in arrays.items()
    }
    np.savez(part, **stored)
    os.replace(part, path)
