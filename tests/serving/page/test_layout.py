"""The page's handlers, called as gradio calls them."""

import threading

import numpy as np

from picanet_tf.commands import visualize
from picanet_tf.core.errors import PicanetError
from picanet_tf.serving.page import Page
from picanet_tf.serving.page.answers import MOST_LABELS
from tests.serving.page.helpers import failing, gradio_or_skip, photo

gradio_or_skip()

from picanet_tf.serving.page.layout import Visit, build  # noqa: E402


def built(page, folder):
    """The page's parts by their first labels, and its handlers by their names."""
    blocks = build(page, "a run", folder)
    handlers = {handler.name: handler.fn for handler in blocks.fns.values()}
    return blocks, handlers, Visit()


def shown(results):
    """Of a handler's updates: labels of the visible pictures, and the texts."""
    updates = [
        value.constructor_args for value in results.values() if hasattr(value, "label")
    ]
    pictures = [values["label"] for values in updates if values.get("visible")]
    return pictures, [value for value in results.values() if isinstance(value, str)]


def test_layout_is_built_before_the_attention_is_loaded(network, tmp_path):
    page = Page(network, failing(AssertionError), visualize.read_upload)
    blocks, _, _ = built(page, tmp_path)
    config = blocks.get_config_file()
    labels = [part["props"].get("label") for part in config["components"]]
    assert {"saliency", "mask", "cut-out"} <= set(labels)
    assert labels.count("attention loading...") == MOST_LABELS
    assert config["analytics_enabled"] is False
    assert all(dep["api_visibility"] == "private" for dep in config["dependencies"])


def test_attention_follows_the_photo(network, attention, tmp_path):
    loads = threading.Event()

    def load_attention():
        assert loads.wait(60)
        return attention

    page = Page(network, load_attention, visualize.read_upload)
    page.start()
    _, handlers, visit = built(page, tmp_path)
    first, second = photo(tmp_path)[0], photo(tmp_path, "second.png", (40, 20))[0]

    results = handlers["on_drop"](str(first), 0.5, visit)
    loading = ["attention loading..."] * MOST_LABELS
    text = "Attention is loading. Map and cut-out are available already."
    assert shown(results) == (loading, [text])

    class Click:
        index = (210, 105)

    results = handlers["on_click"](visit, Click)
    assert shown(results) == ([], [text])  # It does not wait, and moves the dot.
    # A browser asks for the first photo's attention; meanwhile, the next is dropped.
    answers = []
    waiting = threading.Thread(
        target=lambda: answers.append(handlers["on_loaded"](visit)), daemon=True
    )
    waiting.start()
    handlers["on_drop"](str(second), 0.5, visit)
    handlers["on_click"](visit, Click)
    loads.set()
    waiting.join(60)
    assert visit.seen.name == "second.png"
    assert shown(answers[0]) == (["D6 GAP", "D5 AC"], ["From pixel 9,4"])
    assert visit.seen.attention is not None

    results = handlers["on_drop"](str(first), 0.5, visit)
    assert shown(results)[0] == ["D6 GAP loading...", "D5 AC loading..."]
    x, y = visit.seen.pixel
    assert shown(handlers["on_loaded"](visit)) == (
        ["D6 GAP", "D5 AC"],
        [f"From pixel {x},{y}"],
    )


def test_a_page_without_attention_says_why(network, tmp_path):
    error = PicanetError("The variant <b> has none")
    page = Page(network, failing(error), visualize.read_upload)
    page.start()
    _, handlers, visit = built(page, tmp_path)
    text = "No attention is shown. The variant &lt;b&gt; has none"
    assert shown(handlers["on_loaded"](visit)) == ([], [text])
    results = handlers["on_drop"](str(photo(tmp_path)[0]), 0.5, visit)
    assert shown(results) == ([], [text])
    labels = [value.label for value in results.values() if hasattr(value, "label")]
    assert "photo.png, 45 x 30" in labels  # There is nothing to click for.
    assert shown(handlers["on_loaded"](visit)) == ([], [text])
    mask, cutout = handlers["on_threshold"](visit, float(np.median(visit.seen.map)))
    assert 0 < mask.mean() < 255 and cutout.shape == (597, 896, 4)
