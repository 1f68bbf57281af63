"""Small networks that behave as trained ones do, and photos for them."""

import io

import keras
import numpy as np
from PIL import Image

from picanet_tf.layers import BatchNormalization
from picanet_tf.saliency import build_model


def trained_like(variant="6GAP_5AC", image_size=64, width=1 / 16, seed=0, **more):
    """A network whose norms have random statistics, gammas and betas that fit it.

    Of untouched ones a wrong folding would not show; of statistics that have nothing
    to do with the features, rounding grows without bound through the gates.
    """
    keras.utils.set_random_seed(seed)
    network = build_model(variant, image_size, width=width, **more)
    rng = np.random.default_rng(seed)
    for weight in network.weights:
        decoding = weight.path.startswith(("d", "stage"))
        if decoding and weight.name in ("kernel", "bias"):
            fan_in = np.prod(weight.shape[:-1]) if weight.name == "kernel" else 25
            weight.assign(rng.normal(0, fan_in**-0.5, weight.shape))
        if weight.name == "gamma":
            weight.assign(rng.uniform(0.6, 1.4, weight.shape))
        if weight.name == "beta":
            weight.assign(rng.normal(0, 0.3, weight.shape))
    network(pixels(4, image_size, seed + 1), training=True)
    for weight in network.weights:
        if weight.name == "moving_variance":
            weight.assign(weight * rng.uniform(0.7, 1.4, weight.shape))
        if weight.name == "moving_mean":
            weight.assign(weight + rng.normal(0, 0.1, weight.shape))
    return network


def varied(network, seed=0):
    """A network of any task with kernels under which its outputs vary with the image.

    Of the first ones of a training the logits are so small that any error would pass.
    """
    rng = np.random.default_rng(seed)
    for weight in network.weights:
        if weight.name == "kernel":
            fan_in = np.prod(weight.shape[:-1])
            weight.assign(rng.normal(0, (2 / fan_in) ** 0.5, weight.shape))
    return network


def norms(network):
    return [
        layer.name for layer in network.layers if isinstance(layer, BatchNormalization)
    ]


def photo(size=(30, 45), seed=0):
    """uint8 [H, W, 3], smooth blobs."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 9, 3)).astype(np.uint8))
    return np.asarray(small.resize(size[::-1], Image.Resampling.BICUBIC))


def pixels(count, image_size=64, seed=0):
    """float32 [count, S, S, 3], RGB 0..255."""
    photos = [photo((image_size, image_size), seed + n) for n in range(count)]
    return np.float32(photos)


def encoded(image, form, **options):
    """The bytes of an image file."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()
