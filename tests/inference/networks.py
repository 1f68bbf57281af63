"""A tiny network as both engines load it."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from PIL import Image

from picanet_tf.saliency import build_model


def network(variant: str = "UNet", gain: float = 8) -> keras.Model:
    """At 32 pixels and 1/32 of the channels; its maps are not 0.5 everywhere."""
    keras.utils.set_random_seed(3)
    model = build_model(variant, image_size=32, width=1 / 32)
    for variable in model.weights:
        if variable.path.endswith("kernel"):
            variable.assign(variable * gain)
    return model


def write(model: keras.Model, folder: Path, quantization: str = "none") -> Path:
    """Writes its LiteRT file and `model.keras` into the folder."""
    from picanet_tf.serving.tflite import write_tflite

    calibration = [photo((32, 32), seed) for seed in range(8)]
    path = folder / f"{quantization}.tflite"
    write_tflite(model, path, quantization, calibration=calibration)
    model.save(folder / "model.keras")
    return path


def photo(size: tuple[int, int] = (30, 45), seed: int = 0) -> np.ndarray:
    """uint8 [H, W, 3]: soft blotches."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 9, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(small).resize(size[::-1]))


def save(path: Path, seed: int = 0, size: tuple[int, int] = (30, 45)) -> np.ndarray:
    """Saves a `photo`, creating folders; returns its pixels as read back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without loss, so that it is read as it was made.
    options = {"lossless": True} if path.suffix == ".webp" else {}
    Image.fromarray(photo(size, seed)).save(path, **options)
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))
