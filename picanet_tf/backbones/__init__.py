"""Encoders that return named features, from which the tasks' networks choose."""

from picanet_tf.core.keras_config import check_keras

check_keras()  # Before the modules import Keras.
