"""The interactive page: shows attention maps and cut-outs of a dropped photo.

gradio, an optional package, and TensorFlow are imported when `serve` is called.
"""

from picanet_tf.serving.page.answers import Page
from picanet_tf.serving.page.server import check, serve

__all__ = ["Page", "check", "serve"]
