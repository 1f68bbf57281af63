"""Initializers of new layers."""

import keras


def gaussian():
    """Returns a Gaussian with deviation 0.01, as the release has for new layers."""
    return keras.initializers.RandomNormal(stddev=0.01)


def xavier():
    """Returns Caffe's Xavier filler, uniform within +-sqrt(3 / fan_in), as in SSD.

    Keras' `glorot_uniform` is scaled by the mean of `fan_in` and `fan_out` instead.
    """
    return keras.initializers.VarianceScaling(1.0, "fan_in", "uniform")
