"""The `Network` class, and the modules that networks are built from.

Importing this package registers its classes with Keras, so that
`keras.saving.load_model` can load saved networks.
"""

# ruff: noqa: E402  Keras is checked before it is imported.

from picanet_tf.core.keras_config import check_keras

check_keras()

from picanet_tf.models.base import Network, NetworkConfig

__all__ = ["Network", "NetworkConfig"]
