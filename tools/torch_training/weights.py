"""Converts weights of the PyTorch network to and from the Keras network's paths."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from .attention import MOMENTUM
from .files import replacing
from .network import is_encoder

_LSTM = {"weight_ih": "kernel", "weight_hh": "recurrent_kernel", "bias_ih": "bias"}
_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}

_COUNT = "num_batches_tracked"
_COMPLETE = 10_000  # Batches after which nothing is left of the initial values.


def corrected(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns a `state_dict` whose norms' averages are over the batches seen only.

    After n batches, the averages still contain 0.99**n of their initial values, 0 and
    1. The counts of batches are set so high that a second correction changes nothing.
    """
    result = dict(state)
    for name, count in state.items():
        norm, _, last = name.rpartition(".")
        if last != _COUNT or not count:
            continue
        left = (1 - MOMENTUM) ** count.double()
        for kind, first in (("running_mean", 0), ("running_var", 1)):
            value = state[f"{norm}.{kind}"]
            seen = (value.double() - left * first) / (1 - left)
            result[f"{norm}.{kind}"] = seen.to(value.dtype)
        result[name] = torch.full_like(count, _COMPLETE)
    return result


def variable_paths(names) -> Iterator[tuple[str, str]]:
    """Yields (name in `state_dict`, variable path) of variables that Keras has, too.

    Keras has one bias where PyTorch's LSTM has two.

    Args:
        names: names in a `state_dict`.
    """
    for name in names:
        *parts, last = name.removeprefix("layers.").split(".")
        layer = "/".join(parts)
        if last == _COUNT or "bias_hh" in last:
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
def load(network, path: str | Path, encoder: bool = False) -> None:
    """Loads the weights of an .npz into a network, by variable path.

    Args:
        network: a `PiCANet`.
        path: an .npz from `save` or `keras_models`.
        encoder: whether it contains only VGG16's five blocks.

    Raises:
        ValueError: if the file cannot be read, a variable has no value, or a value has
            no variable, has another shape, or is not finite.
    """
    left, state = read(path), network.state_dict()
    for name, value in state.items():
        if name.endswith(_COUNT) and not encoder:
            value.fill_(_COMPLETE)
    for name, variable in variable_paths(state):
        if encoder and not is_encoder(variable):
            continue
        if variable not in left:
            raise ValueError(f"{path} has no value for {variable}")
        value = left.pop(variable).astype(np.float64)
        (expected,) = to_arrays({name: state[name]}).values()
        if value.shape != expected.shape:
            raise ValueError(
                f"{path}: {variable} has the shape {value.shape} and not "
                f"{expected.shape}. Is it of another width or variant?"
            )
        if not np.isfinite(value).all():
            raise ValueError(f"{path}: {variable} has values that are not finite")
        target = state[name]
        if value.ndim == 4 and target.ndim == 4:
            value = value.transpose(3, 2, 0, 1)
        elif "lstm" in variable:
            value = value.T
        target.copy_(torch.from_numpy(value.copy()).reshape(target.shape))
    if left:
        raise ValueError(f"{path}: no variable for {', '.join(sorted(left)[:3])}")


def read(path: str | Path) -> dict[str, np.ndarray]:
    """Reads an .npz as {name: array}.

    Raises:
        ValueError: if it is missing, not an .npz, or damaged.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is missing or not an .npz")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # from zipfile, zlib or NumPy
        raise ValueError(f"{path} is damaged: {error}") from error


def finite_arrays(
    state: Mapping[str, torch.Tensor], path: str | Path
) -> dict[str, np.ndarray]:
    """Returns a network's `state_dict` as {variable: array}, its averages corrected.

    Raises:
        ValueError: if a value is not finite, so that it is not written to `path`.
    """
    arrays = to_arrays(corrected(state))
    wrong = [name for name, value in arrays.items() if not np.isfinite(value).all()]
    if wrong:
        raise ValueError(f"{wrong[0]} is not finite: {path} is left unchanged")
    return arrays


def save(state: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Writes an .npz for `presets.add`: kernels in float16, vectors in float32.

    Variances may be too large for float16.

    Args:
        state: a network's `state_dict`; its norms' averages are corrected.
        path: the file.

    Raises:
        ValueError: if a value is not finite; the file is unchanged.
        OSError: if it cannot be written; the file is unchanged.
    """
    stored = {
        name: value.astype(np.float16) if value.ndim > 1 else value
        for name, value in finite_arrays(state, path).items()
    }
    with replacing(path) as part:
        np.savez(part, **stored)
