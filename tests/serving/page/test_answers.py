"""What the page answers, without gradio and without a browser."""

import re
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from picanet_tf.commands import visualize
from picanet_tf.core.errors import PicanetError
from picanet_tf.drawing.attention import attention_rows
from picanet_tf.drawing.cutouts import cut_out
from picanet_tf.drawing.pixels import Pixel
from picanet_tf.inference import AttentionModel, KerasModel
from picanet_tf.serving.page import Page
from picanet_tf.serving.page.answers import MOST_LABELS
from tests.serving.page.helpers import ROOT, failing, photo


class Counting:
    """A model that counts how often one of its methods is called."""

    def __init__(self, model, name):
        self._model = model
        self._name = name
        self.calls = 0

    def __getattr__(self, name):
        if name != self._name:
            return getattr(self._model, name)
        self.calls += 1
        return getattr(self._model, name)


@pytest.fixture(scope="module")
def page(network, attention):
    page = Page(network, lambda: attention, visualize.read_upload)
    page.start()
    return page


def test_each_network_runs_once_for_a_photo(network, attention, tmp_path):
    predicting, looking = (Counting(model, "predict") for model in (network, attention))
    page = Page(predicting, lambda: looking, visualize.read_upload)
    page.start()
    assert page.no_attention() == ""
    assert (predicting.calls, looking.calls) == (1, 1)  # to be warm when one comes
    path, pixels = photo(tmp_path)
    seen = page.drop(str(path))
    for x in range(3):
        page.click(seen, x * 100, 0)
        page.attention(seen)
        page.cut(seen, x / 2)
        page.save_cutout(seen, x / 2, tmp_path / "out")
    assert (predicting.calls, looking.calls) == (2, 2)
    assert seen.name == "photo.png"
    np.testing.assert_array_equal(seen.image, pixels)
    np.testing.assert_allclose(seen.map, network.predict(pixels), atol=1e-6)
    np.testing.assert_allclose(seen.map, seen.attention.foreground, atol=1e-5)
    # To click on, it is shown larger.
    assert seen.photo.shape == (597, 896, 3) and seen.saliency.shape == (597, 896)


def test_a_click_is_a_pixel_of_the_image(page, tmp_path):
    seen = page.drop(str(photo(tmp_path)[0]))
    page.click(seen, 0, 0)
    assert seen.pixel == Pixel(0, 0)
    page.click(seen, 895, 596)
    assert seen.pixel == Pixel(44, 29)
    # 19.9 of the photo's pixels are one of the image's.
    page.click(seen, 210, 105)
    assert seen.pixel == Pixel(10, 5)
    with pytest.raises(PicanetError, match="`click` 896,0 is outside the image"):
        page.click(seen, 896, 0)
    assert seen.pixel == Pixel(10, 5)


def test_the_pictures_are_those_of_figure_5(page, tmp_path):
    seen = page.drop(str(photo(tmp_path)[0]))
    assert (page.map_title, page.labels) == ("saliency", ["D6 GAP", "D5 AC"])
    seen.pixel = pixel = Pixel(40, 5)
    looking, tiles = page.attention(seen)
    assert looking == pixel
    _, (row,) = attention_rows(seen.image, seen.attention, {"pixel": pixel})
    for tile, expected in zip(tiles, row.pictures[2:], strict=True):
        np.testing.assert_array_equal(tile, expected)


def test_photo_and_map_show_a_dot_at_the_pixel(page, tmp_path):
    seen = page.drop(str(photo(tmp_path)[0]))
    seen.pixel = Pixel(40, 5)
    greys = np.round(seen.saliency * 255)[..., np.newaxis].repeat(3, -1)
    assert page.no_attention() == ""
    for shown, plain in zip(page.dotted(seen), (seen.photo, greys), strict=True):
        # As it was, but for the dot on the pixel's middle, (806, 109).
        assert (shown[109, 806] == 255).all() and (shown[109, 800] == 255).all()
        changed = np.argwhere((shown != plain).any(-1))
        assert changed.min(0).tolist() >= [98, 795]
        assert changed.max(0).tolist() <= [121, 818]


def test_the_first_pixel_is_in_the_foreground(page, tmp_path):
    seen = page.drop(str(photo(tmp_path)[0]))
    x, y = seen.pixel
    assert seen.map[y, x] > (seen.map.min() + seen.map.max()) / 2


def test_no_photo_waits_for_the_attention(network, attention, tmp_path):
    loads, told = threading.Event(), threading.Event()

    def load_attention():
        told.set()
        assert loads.wait(60)
        return attention

    page = Page(network, load_attention, visualize.read_upload)
    assert not told.is_set()  # Not before the page is there.
    page.start()
    assert told.wait(60)
    seen = page.drop(str(photo(tmp_path)[0]))
    mask, _ = page.cut(seen, float(np.median(seen.map)))
    assert page.is_loading and 0 < mask.mean() < 255
    pixels = []
    waiting = threading.Thread(
        target=lambda: pixels.append(page.attention(seen)[0]), daemon=True
    )
    waiting.start()
    page.click(seen, 210, 105)
    loads.set()
    waiting.join(60)
    # The last click counts, not the one at which the waiting began.
    assert pixels == [Pixel(10, 5)] and not page.is_loading


@pytest.mark.parametrize(
    ("load_attention", "reason"),
    [
        (None, "The model is a LiteRT file, which has no attention outputs: give"),
        (failing(PicanetError("The variant UNet has none")), "The variant UNet has no"),
        (failing(ImportError("No module named 'x'")), "(No module named 'x'): pip ins"),
        (failing(MemoryError("x")), "It could not be loaded: x (MemoryError)"),
    ],
)
def test_without_attention_there_are_map_and_cutout(
    load_attention, reason, network, tmp_path
):
    page = Page(network, load_attention, visualize.read_upload)
    page.start()
    assert reason in page.no_attention()
    path, pixels = photo(tmp_path)
    seen = page.drop(str(path))
    np.testing.assert_allclose(seen.map, network.predict(pixels), atol=1e-6)
    np.testing.assert_array_equal(page.dotted(seen)[0], seen.photo)
    with pytest.raises(PicanetError, match=re.escape(reason)):
        page.attention(seen)


def test_another_tasks_map_comes_with_its_attention(tmp_path):
    from picanet_tf.segmentation import build_model as build_other

    network = KerasModel(build_other("6GAP_5LAP", image_size=32, width=1 / 32))
    looking = Counting(AttentionModel(network), "predict")
    page = Page(network, lambda: looking, visualize.read_upload)
    page.start()
    assert not page.is_loading  # As there is no page before.
    assert (page.map_title, page.labels) == ("foreground", ["D6 GAP", "D5 LAP"])
    path, pixels = photo(tmp_path)
    seen = page.drop(str(path))
    page.attention(seen)
    assert looking.calls == 2  # one to be warm
    np.testing.assert_allclose(seen.map, looking.predict(pixels).foreground, atol=1e-6)
    assert seen.pixel == seen.attention.query_pixels["foreground"]

    page = Page(network, failing(PicanetError("no attention")), visualize.read_upload)
    with pytest.raises(PicanetError, match="^no attention$"):
        page.start()


def test_no_network_has_more_attention_than_the_page_has_tiles():
    from picanet_tf.detection import variants as detection
    from picanet_tf.saliency import variants as saliency
    from picanet_tf.segmentation import variants as segmentation

    most = max(
        *(len(saliency.STAGES), len(segmentation.STAGES), len(segmentation.BRANCHES)),
        len(detection.KINDS),
    )
    assert most == MOST_LABELS


def test_the_preset_answers_without_tensorflow():
    code = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
from picanet_tf.commands.visualize import read_upload
from picanet_tf.inference import load_model
from picanet_tf.serving.page import Page

def load_attention():
    import tensorflow

page = Page(load_model("picanet_vgg16_duts"), load_attention, read_upload)
page.start()
seen = page.drop("samples/images/astronaut.png")
mask, _ = page.cut(seen, 0.5)
print(*seen.pixel, mask.mean() / 255, page.no_attention())
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    x, y, kept, reason = run.stdout.split(maxsplit=3)
    # The astronaut fills half of the photo, 512 x 512, and is looked from.
    assert 0.4 < float(kept) < 0.65 and 100 < int(x) < 350 and int(y) > 50
    assert reason.startswith("It requires TensorFlow, which cannot be imported")


def test_mask_and_cutout_follow_the_threshold(page, tmp_path):
    seen = page.drop(str(photo(tmp_path)[0]))
    low = np.quantile(seen.map, 0.3)
    high = (low + 1) / 2
    areas = []
    for threshold in (low, high):
        mask, cutout = page.cut(seen, threshold)
        kept = seen.saliency >= threshold
        assert 0 < kept.mean() < 1
        for channel in np.moveaxis(mask, -1, 0):
            np.testing.assert_array_equal(channel, np.where(kept, 255, 0))
        assert cutout.shape == (*mask.shape[:2], 4)
        areas.append(cutout[..., 3].mean())

        saved = Image.open(page.save_cutout(seen, threshold, tmp_path))
        assert (saved.mode, saved.size) == ("RGBA", (45, 30))
        odds = np.float64(seen.map) / np.maximum(1 - seen.map, 1e-9)
        odds *= (1 - threshold) / threshold
        expected = cut_out(seen.image, odds / (1 + odds))
        assert np.abs(np.int16(saved) - expected).max() <= 1
    assert areas[0] > areas[1] > 0
    assert page.cut(seen, 0)[0].min() == 255


def test_cutout_at_one_half_equals_that_of_the_command(page, network, tmp_path):
    path, _ = photo(tmp_path)
    seen = page.drop(str(path))
    saved = Image.open(page.save_cutout(seen, 0.5, tmp_path))
    command = network.render("cutout", seen.image, network.predict(path))
    np.testing.assert_array_equal(np.asarray(saved), np.asarray(command))


def test_a_transparent_photo_stays_transparent(page, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 45, 4)).astype(np.uint8)
    pixels[:, :20, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    seen = page.drop(str(tmp_path / "clear.png"))
    assert (seen.image[:, :20] == 255).all()  # seen over white
    saved = np.asarray(Image.open(page.save_cutout(seen, 0, tmp_path)))
    np.testing.assert_array_equal(saved[..., 3], pixels[..., 3])
    np.testing.assert_array_equal(saved[..., :3], pixels[..., :3])


def test_uploads_are_turned_upright_or_reported_by_name(tmp_path, monkeypatch):
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
