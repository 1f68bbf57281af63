"""Initializers of new layers."""

import keras


def gaussian():
    """Gaussian of standard deviation 0.01: new layers in the authors' release."""
    return keras.initializers.RandomNormal(stddev=0.01)


def xavier():
    """Caffe's Xavier filler, uniform within +-sqrt(3 / fan_in): SSD's own layers.

    Keras' `glorot_uniform` is scaled by the mean of `fan_in` and `fan_out` instead.
    """
    return keras.initializers.VarianceScaling(1.0, "fan_in", "uniform")
