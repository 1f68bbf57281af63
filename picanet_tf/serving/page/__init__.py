"""A local page to look into a network with: drop a photo, click on it, cut it out.

Of gradio, an optional package, nothing is imported before `serve` is called; nor is
TensorFlow.
"""

from picanet_tf.serving.page.answers import Page
from picanet_tf.serving.page.server import check, serve

__all__ = ["Page", "check", "serve"]
