"""How new layers start."""

import keras


def gaussian():
    """Gaussian of deviation 0.01: new 1x1 and 7x7 convolutions (authors' release)."""
    return keras.initializers.RandomNormal(stddev=0.01)


def xavier():
    """Caffe's Xavier filler, uniform within sqrt(3 / fan_in): SSD's own layers.

    Keras' `glorot_uniform` takes the mean of both fans instead.
    """
    return keras.initializers.VarianceScaling(1.0, "fan_in", "uniform")
