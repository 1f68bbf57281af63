"""Encoders that return named features, from which the heads choose."""

from picanet_tf.core.keras_config import check_keras

check_keras()  # Before the modules import Keras.
