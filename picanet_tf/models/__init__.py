"""The `Network` class, and the modules that networks are built from.

Importing this package registers its classes with Keras, so that
`keras.saving.load_model` can load saved networks.
"""

from picanet_tf.models.base import Network, NetworkConfig

__all__ = ["Network", "NetworkConfig"]
