"""Networks that know themselves, and what they are built of.

Importing this package registers them with Keras: `keras.saving.load_model` then reads
any network that was saved.
"""

from picanet_tf.models.base import Network, NetworkConfig

__all__ = ["Network", "NetworkConfig"]
