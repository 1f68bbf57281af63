"""The page of `visualize.py --serve`: its answers, without a browser."""

import importlib.metadata
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import visualize
from picanet_tf.errors import PicanetError
from picanet_tf.inference import AttentionModel, SaliencyModel
from picanet_tf.page import Page, check
from picanet_tf.page.server import HOST
from picanet_tf.pixels import Pixel
from picanet_tf.saliency import build_model
from picanet_tf.saliency.rendering import resized
from picanet_tf.visualization import attention_rows
from tests.page_visitor import Visitor

ROOT = Path(__file__).parents[1]


def gradio_or_skip():
    return pytest.importorskip(
        "gradio", reason="the page wants gradio, optional: pip install 'gradio~=6.31'"
    )


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(3)
    model = build_model("6GAP_5AC", image_size=32, width=1 / 32)
    for variable in model.weights:
        if variable.path.endswith("kernel"):
            variable.assign(variable * 20)  # so that it draws more than one grey
    return SaliencyModel(model)


class Counting:
    """An `AttentionModel` that counts how often it looks."""

    def __init__(self, network):
        self._model = AttentionModel(network)
        self.looks = 0

    def __getattr__(self, name):
        return getattr(self._model, name)

    def look(self, image):
        self.looks += 1
        return self._model.look(image)


@pytest.fixture(scope="module")
def page(network):
    return Page(Counting(network), visualize.read_upload)


def photo(folder, name="photo.png", size=(30, 45), **options):
    noise = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)
    picture = Image.fromarray(noise).resize(size[::-1])
    picture.save(folder / name, **options)
    return folder / name, np.asarray(picture)


def test_a_photo_is_looked_at_once(page, network, tmp_path):
    path, pixels = photo(tmp_path)
    before = page._model.looks
    seen = page.drop(str(path))
    for x in range(3):
        page.attention(seen, Pixel(x, 0))
        page.cut(seen, x / 2)
        page.save_cutout(seen, x / 2, tmp_path / "out")
    assert page._model.looks == before + 1
    assert seen.name == "photo.png"
    np.testing.assert_array_equal(seen.image, pixels)
    np.testing.assert_allclose(seen.look.saliency, network.predict(pixels), atol=1e-6)
    # To click on, it is shown larger.
    assert seen.photo.shape == (597, 896, 3) and seen.saliency.shape == (597, 896)


def test_a_click_is_a_pixel_of_the_image(page, tmp_path):
    seen = page.drop(str(photo(tmp_path)[0]))
    assert page.clicked(seen, 0, 0) == Pixel(0, 0)
    assert page.clicked(seen, 895, 596) == Pixel(44, 29)
    # 19.9 of the photo's pixels are one of the image's.
    assert page.clicked(seen, 210, 105) == Pixel(10, 5)
    with pytest.raises(PicanetError, match="the click 896,0 is outside the image"):
        page.clicked(seen, 896, 0)


def test_the_pictures_are_those_of_figure_5(page, tmp_path):
    seen = page.drop(str(photo(tmp_path)[0]))
    assert page.titles == ["saliency", "D6 GAP", "D5 AC"]
    pixel = Pixel(40, 5)
    shown, *tiles = page.attention(seen, pixel)
    _, (row,) = attention_rows(
        seen.image,
        seen.look.saliency,
        seen.look.attention,
        {6: "GAP", 5: "AC"},
        {"pixel": pixel},
    )
    for tile, expected in zip(tiles, row.pictures[1:], strict=True):
        np.testing.assert_array_equal(tile, expected)
    # The photo is as it was, but for the dot on the pixel's middle, (806, 109).
    assert (shown[109, 806] == 255).all() and (shown[109, 800] == 255).all()
    changed = np.argwhere((shown != seen.photo).any(-1))
    assert changed.min(0).tolist() >= [98, 795]
    assert changed.max(0).tolist() <= [121, 818]


def test_the_first_pixel_is_in_the_foreground(page, tmp_path):
    seen = page.drop(str(photo(tmp_path)[0]))
    x, y = page.first_pixel(seen)
    saliency = seen.look.saliency
    assert saliency[y, x] > (saliency.min() + saliency.max()) / 2


def test_mask_and_cutout_follow_the_threshold(page, tmp_path):
    seen = page.drop(str(photo(tmp_path)[0]))
    low, high = np.quantile(seen.look.saliency, [0.3, 0.7])
    for threshold in (low, high):
        mask, cutout = page.cut(seen, threshold)
        kept = seen.saliency >= threshold
        assert 0 < kept.mean() < 1
        for channel in (*np.moveaxis(mask, -1, 0), cutout[..., 3]):
            np.testing.assert_array_equal(channel, np.where(kept, 255, 0))
        np.testing.assert_array_equal(cutout[..., :3], seen.photo)

        saved = Image.open(page.save_cutout(seen, threshold, tmp_path))
        assert (saved.mode, saved.size) == ("RGBA", (45, 30))
        saved, kept = np.asarray(saved), seen.look.saliency >= threshold
        np.testing.assert_array_equal(saved[..., :3], seen.image)
        np.testing.assert_array_equal(saved[..., 3], np.where(kept, 255, 0))
    assert page.cut(seen, 0)[0].min() == 255


def test_uploads_are_turned_upright_or_answered_by_name(tmp_path, monkeypatch):
    exif = Image.Exif()
    exif[274] = 6
    path, pixels = photo(tmp_path, "turned.png", exif=exif)
    upright = visualize.read_upload(str(path))
    np.testing.assert_array_equal(upright, np.rot90(pixels, -1))
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(PicanetError, match="^text.jpg: not an image of a known format"):
        visualize.read_upload(str(tmp_path / "text.jpg"))
    monkeypatch.setattr(visualize, "MAX_UPLOAD_PIXELS", 45 * 30 - 1)
    with pytest.raises(PicanetError, match="turned.png: at most 1,349 pixels are acc"):
        visualize.read_upload(str(path))


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (None, "gradio, which is not installed: pip install 'gradio~=6.31'"),
        ("5.49.1", "wants gradio~=6.31, found 5.49.1: pip install"),
        ("6.30.0", "found 6.30.0"),
        ("7.0.0", "found 7.0.0"),
        ("6.31.0", ""),
        ("6.40.1", ""),
    ],
)
def test_gradio_is_missing_or_another(version, message, monkeypatch):
    def found(name):
        assert name == "gradio"
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", found)
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port = taken.getsockname()[1]
        if message:
            with pytest.raises(PicanetError, match=re.escape(message)):
                check(port)
            return
        taken.listen()
        with pytest.raises(PicanetError, match=f"--port {port} of 127.0.0.1 cannot"):
            check(port)
    check(port)


def test_layout_is_built_of_the_networks_stages(page, tmp_path):
    gradio_or_skip()
    from picanet_tf.page.layout import build

    blocks = build(page, "a run", tmp_path)
    config = blocks.get_config_file()
    labels = [part["props"].get("label") for part in config["components"]]
    assert [name for name in labels if name and name[0] == "D" and name[1].isdigit()]
    assert {"saliency", "D6 GAP", "D5 AC", "mask", "cut-out"} <= set(labels)
    assert config["analytics_enabled"] is False
    assert all(dep["api_visibility"] == "private" for dep in config["dependencies"])


@pytest.fixture
def served(network, tmp_path):
    """A served page, as a process: (port, process, queue of what it says)."""
    gradio_or_skip()
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    network.network.save(tmp_path / "model.keras")
    (tmp_path / "temporary").mkdir()
    process = subprocess.Popen(
        [sys.executable, "visualize.py", "--serve", "--port", str(port)]
        + ["--run", tmp_path / "model.keras"],
        cwd=ROOT,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path),
            "TMPDIR": str(tmp_path / "temporary"),
            # A proxy that goes nowhere, as none is to be asked.
            "http_proxy": "http://127.0.0.1:9",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    said = queue.Queue()

    def listen():
        for line in process.stderr:
            said.put(line)
        said.put("")

    threading.Thread(target=listen, daemon=True).start()
    lines = []
    while not lines or "Ctrl-C ends it" not in lines[-1]:
        lines.append(said.get(timeout=120))
        assert lines[-1], "".join(lines)
    yield port, process, said
    process.kill()
    process.wait()


def test_a_visit(served, network, tmp_path):
    port, process, said = served

    def kept_by_the_page():
        folders = (tmp_path / "temporary").glob("picanet_page_*")
        return [path.name for folder in folders for path in folder.rglob("*")]

    visitor = Visitor(port)
    assert b"picanet_tf: " in visitor.get("/")
    path, pixels = photo(tmp_path)

    file = visitor.upload("<i>.png", b"hello")
    outputs, (message,) = visitor.trigger("A photo", "upload", [file, 0.5])
    assert message.endswith(".png: not an image of a known format")
    assert "<i>" not in message

    file = visitor.upload("photo.png", path.read_bytes())
    outputs, messages = visitor.trigger("A photo", "upload", [file, 0.5])
    assert not messages
    assert outputs["Click on it"]["label"] == "photo.png, 45 x 30: click on it"
    assert visitor.picture(outputs["Click on it"]).shape == (597, 896, 3)
    assert outputs["A photo"] is None
    first = visitor.picture(outputs["D6 GAP"])

    place = {"index": [806, 109], "value": None}
    outputs, messages = visitor.trigger("Click on it", "select", [], place)
    assert not messages
    assert "From pixel 40,5" in outputs.values()
    second = visitor.picture(outputs["D6 GAP"])
    assert second.shape == first.shape and (second != first).any()

    saliency = network.predict(pixels)
    threshold = float(np.median(saliency).round(2))
    outputs, _ = visitor.trigger("Threshold", "change", [None, threshold])
    kept = resized(saliency, (597, 896)) >= threshold
    mask = visitor.picture(outputs["mask"])[..., 0] > 127
    assert 0.2 < kept.mean() < 0.8 and (mask == kept).mean() > 0.99

    outputs, _ = visitor.trigger("Download the cut-out", "click", [None, threshold])
    (file,) = outputs.values()
    assert file["orig_name"] == "photo.cutout.png"
    expected = np.where(saliency >= threshold, 255, 0)
    assert (visitor.picture(file)[..., 3] == expected).mean() > 0.999

    with pytest.raises(AssertionError, match="40[34]"):
        visitor.get(f"/gradio_api/file={ROOT / 'README.md'}")
    stranger = Visitor(port, "stranger")  # of whom the server has no photo
    for label, event in (("Click on it", "select"), ("Download the cut-out", "click")):
        outputs, (message,) = stranger.trigger(label, event, [None, 0.5], place)
        assert message == "The photo is forgotten, please drop it again"
    assert "photo.png" in kept_by_the_page()

    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    lines = []
    while line := said.get(timeout=10):
        lines.append(line)
    assert "The page is closed" in "".join(lines)
    assert "Traceback" not in "".join(lines)
    assert not kept_by_the_page()
