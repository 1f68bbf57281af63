"""The page that runs a network in the visitor's browser. Does not import TensorFlow."""

from picanet_tf.serving.web.network import (
    Network,
    attention_name,
    read_attention,
    read_network,
)
from picanet_tf.serving.web.runtime import fetch_runtime, find_runtime
from picanet_tf.serving.web.site import check_output, name_of, policy_of, write_site
from picanet_tf.serving.web.temporary import temporary_site

__all__ = [
    "Network",
    "attention_name",
    "check_output",
    "fetch_runtime",
    "find_runtime",
    "name_of",
    "policy_of",
    "read_attention",
    "read_network",
    "temporary_site",
    "write_site",
]
