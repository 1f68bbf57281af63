"""picanet.js in other people's pages, and compared with the Python package."""

import base64
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picanet_tf.core.images import over_white
from picanet_tf.drawing.attention import spread
from picanet_tf.inference.attention import context_of
from picanet_tf.inference.litert import LiteRTFile, LiteRTModel
from picanet_tf.presets import default_preset
from picanet_tf.presets.samples import sample_photos
from picanet_tf.saliency.rendering import render
from picanet_tf.serving import tflite, web
from picanet_tf.serving.web.sources import SOURCES
from tests.inference import networks
from tests.web.browser import copy_of, served
from tests.web.npm import node_command, npm_command

pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

FUNCTIONS = Path(__file__).with_name("functions.js").read_text()


def call(page, name: str, *arguments):
    """Calls one of `functions.js` in the page."""
    code = f"([name, ...given]) => {FUNCTIONS.strip()}[name](...given)"
    return page.evaluate(code, [name, *arguments])


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def array(text: str, dtype=np.float32) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype)


def png(pixels: np.ndarray) -> str:
    """Without loss, so that both sides read the same."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return encoded(file.getvalue())


@pytest.fixture(scope="module")
def astronaut():
    return np.asarray(Image.open(sample_photos()[0]).convert("RGB"))


def assert_near(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Within 1/255 at all but 0.1% of the pixels."""
    assert ours.shape == theirs.shape
    far = np.abs(ours.astype(np.float64) - theirs) > (1 / 255 + 1e-6)
    assert far.mean() < 0.001, far.mean()


def test_map_and_cutout_equal_those_of_python(new_page, url, astronaut):
    """The fixture that holds JavaScript and Python together."""
    model = LiteRTModel(default_preset().path("litert"))
    (small,) = model.infer(model.resize(astronaut)[np.newaxis])
    page = new_page(url)
    assert_near(array(call(page, "saliency", png(astronaut))), small.ravel())

    wanted = render("cutout", astronaut, model.predict(astronaut))
    found = call(page, "removeBackground", png(astronaut), {})
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(found))))
    assert_near(found[..., 3] / 255, wanted[..., 3] / 255)
    # Colours as seen: a canvas keeps fewer bits of them the more transparent they are.
    assert_near(seen(found), seen(wanted))


def test_the_network_sees_a_transparent_photo_over_white(new_page, url, astronaut):
    photo = np.dstack([astronaut, np.full(astronaut.shape[:2], 255, np.uint8)])
    photo[:, :256, 3] = 40
    model = LiteRTModel(default_preset().path("litert"))
    (small,) = model.infer(model.resize(over_white(photo))[np.newaxis])
    found = array(call(new_page(url), "saliency", png(photo)))
    # A canvas keeps colours to 255 / 40 at that transparency.
    assert np.abs(found - small.ravel()).mean() < 0.005


def seen(picture: np.ndarray) -> np.ndarray:
    return picture[..., :3] / 255 * (picture[..., 3:] / 255)


def test_cutouts_of_a_given_map_equal_those_of_python(new_page, url):
    """On another size and shape, where the working size is the photo's own or less."""
    page = new_page(url)
    for seed, size in enumerate([(300, 200), (90, 700)]):
        photo = networks.photo(size, seed)
        saliency = np.float32(networks.photo((224, 224), 9 + seed)[..., 0] / 255)
        for edges in ("guided", "plain"):
            given = png(photo), encoded(saliency.tobytes()), 224, {"edges": edges}
            text = call(page, "compose", *given)
            found = array(text, np.uint8).reshape(*size, 4)
            full = LiteRTModel.postprocess(_Saliency(), saliency[..., None], size)
            wanted = render("cutout", photo, full, cutout=_options(edges))
            assert_near(found / 255, wanted / 255)


def _options(edges):
    from picanet_tf.drawing.cutouts import CutoutOptions

    return CutoutOptions(edges=edges)


class _Saliency:
    from picanet_tf.tasks.registry import get_spec

    spec = get_spec("saliency")
    image_size = 224


def test_invalid_arguments_are_reported(new_page, url, astronaut):
    page = new_page(url)
    photo = png(astronaut[:50, :50])
    for options, said in (
        ({"edges": "sharp"}, "edges must be guided"),
        ({"threshold": 1}, "threshold must be at least 0"),
        ({"background": "red"}, "background must be"),
        ({"background": "#12345"}, "background must be"),
        ({"treshold": 0.5}, "Unknown option treshold"),
        ({"type": "image/jpeg"}, "has no transparency: give a background"),
        ({"quality": 90}, "quality must be in 0..1, not 90"),
        ({"background": [0, 0, 256]}, "in 0..255"),
        ({"type": "image/gif"}, "cannot write image/gif"),
    ):
        assert said in call(page, "error", "removeBackground", photo, options), said
    text = call(page, "error", "removeBackground", encoded(b"text"), {})
    assert "cannot read it as a picture; if another program can, save it there" in text
    assert "no attention to show" in call(page, "error", "attention", photo, {})
    page = new_page(f"{url}LICENSES.txt")  # A page that has not loaded the network.
    text = call(page, "error", "load", "", {"base": "/nowhere/"})
    assert "/nowhere/model.json: the server answered 404. base must be" in text
    text = call(page, "error", "load", "", {"accelerator": "gpu"})
    assert "accelerator must be auto, webgpu or wasm, not gpu" in text
    assert call(page, "error", "load", "", {}) == "none"
    assert "base and accelerator only count in the first call" in call(
        page, "error", "load", "", {"accelerator": "wasm"}
    )
    text = call(page, "error", "load", "", {"base": "/nowhere/"})
    assert f"The network was loaded from {url} for accelerator auto" in text
    for name in ("removeBackground", "saliency", "decode"):
        text = call(page, "error", name, "", None)
        assert "An image must be a Blob, ImageData, ImageBitmap" in text, name


def test_photos_are_read_by_browsers_without_image_orientation(new_page, url, files):
    """As Safari 16.4 to 17.0: an unknown value of an option is an error."""
    page = new_page(url)
    page.evaluate(
        """() => {
            const original = self.createImageBitmap;
            self.createImageBitmap = async (image, options = {}) => {
                if (options.imageOrientation === 'from-image') throw new TypeError();
                return original(image, options);
            };
        }"""
    )
    assert call(page, "size", encoded(files[0].read_bytes())) == [512, 384]


def test_a_bitmap_that_no_canvas_takes_is_closed(new_page, url):
    page = new_page(url)
    page.evaluate(
        """() => {
            const close = ImageBitmap.prototype.close;
            self.closings = 0;
            ImageBitmap.prototype.close = function () {
                self.closings++;
                close.call(this);
            };
        }"""
    )
    text = call(page, "error", "decode", png(np.zeros((50, 70_000), np.uint8)), None)
    assert text == (
        "Error: 70000 x 50 pixels are too many for this browser: make the picture "
        "smaller"
    )
    assert page.evaluate("closings") == 1


def test_browser_without_offscreen_canvas_is_reported(new_page, url):
    page = new_page(f"{url}LICENSES.txt")
    page.add_init_script("delete self.OffscreenCanvas")
    page.goto(url)
    text = "This browser has no OffscreenCanvas: use Chrome 91, Firefox 114, Safari"
    assert text in call(page, "error", "load", "", {})
    assert text in call(page, "error", "decode", "", None)


def test_a_worker_that_fails_is_replaced(new_page, preset_site, astronaut):
    photo = png(astronaut[:50, :50])
    with served(preset_site, isolated=False) as address:
        page = new_page(address, service_workers="block")
        assert call(page, "error", "saliency", photo, {}) == "none"
        (worker,) = page.workers
        with worker.expect_event("close"):
            worker.evaluate("setTimeout(() => { throw new Error('spoilt'); })")
        assert call(page, "error", "saliency", photo, {}) == "none"
        (other,) = page.workers
        assert other is not worker


ABORT = """async (url) => {
    const {Engine} = await import(url);
    Engine.prototype.predict = async () => {
        throw new WebAssembly.RuntimeError('Aborted(OOM)');
    };
}"""


def test_a_worker_whose_runtime_aborted_is_replaced(new_page, preset_site, astronaut):
    photo = png(astronaut[:50, :50])
    with served(preset_site, isolated=False) as address:
        page = new_page(address, service_workers="block")
        assert call(page, "error", "load", "", {}) == "none"
        (worker,) = page.workers
        worker.evaluate(ABORT, f"{address}engine.js")
        with worker.expect_event("close"):
            assert "Aborted(OOM)" in call(page, "error", "saliency", photo, {})
        assert call(page, "error", "saliency", photo, {}) == "none"
        assert page.workers != [worker]


def test_its_replacement_loads_from_the_same_folder(
    new_page, preset_site, astronaut, tmp_path
):
    folder = copy_of(preset_site, tmp_path / "site")
    copy_of(preset_site, folder / "copy")
    with served(folder, isolated=False) as address:
        page = new_page(f"{address}LICENSES.txt", service_workers="block")
        assert call(page, "error", "load", "", {"base": "/copy/"}) == "none"
        (worker,) = page.workers
        with worker.expect_event("close"):
            worker.evaluate("setTimeout(() => { throw new Error('spoilt'); })")
        assert call(page, "error", "saliency", png(astronaut[:50, :50]), {}) == "none"
        (other,) = page.workers
        assert other is not worker and other.url == f"{address}copy/worker.js"


@pytest.fixture(scope="module")
def attentive(tmp_path_factory, runtime):
    """A tiny network with attention: its file and site."""
    folder = tmp_path_factory.mktemp("attentive")
    path = folder / "picanet_float32_attention.tflite"
    model = networks.network("6GAP_54LAP_3AC", gain=3)
    tflite.write_tflite(model, path, attention=True)
    network = web.read_network(path)
    site = folder / "site"
    site.mkdir()
    web.write_site(site, runtime, "tiny", network._replace(attention=()), network)
    return path, site


def test_attention_equals_that_of_python(new_page, attentive):
    path, site = attentive
    photo = networks.photo((60, 90), 4)
    file = LiteRTFile(path)
    resized = LiteRTModel(path).resize(photo)
    outputs = file.run(resized)
    with served(site) as address:
        page = new_page(address)
        found = call(page, "attention", png(photo), 0.42, 0.13, 90, 60)
    described = json.loads(path.with_suffix(".json").read_text())["attention"]
    assert [each["label"] for each in found] == ["D6", "D5", "D4", "D3"]
    for module, wanted in zip(found, described, strict=True):
        assert {key: module[key] for key in wanted} == wanted
        weights = outputs[wanted["output"]]
        np.testing.assert_allclose(
            array(module["weights"]), weights.ravel(), atol=1e-5, rtol=1e-4
        )
        height, width = wanted["map"]
        cell = int(0.13 * height), int(0.42 * width)
        context = context_of(
            weights, wanted["kind"], cell, wanted.get("dilation_rate", 2)
        )
        if wanted["kind"] == "GAP":
            assert wanted["positions"] == [*context.rows]
        np.testing.assert_allclose(
            array(module["drawn"]).reshape(60, 90), spread(context, (60, 90)), atol=1e-5
        )


def test_a_visitor_sees_where_the_network_looked(new_page, attentive, tmp_path):
    from playwright.sync_api import expect

    _, site = attentive
    networks.save(tmp_path / "a.png", 1, (80, 120))
    networks.save(tmp_path / "b.png", 2, (80, 120))
    with served(site) as address:
        page = new_page(address)
        loaded = []
        page.on("request", lambda request: loaded.append(request.url))
        page.set_input_files("#files", [tmp_path / "a.png", tmp_path / "b.png"])
        expect(page.locator("#status")).to_contain_text("2 of 2 done", timeout=60_000)
        assert not any(".attention." in each for each in loaded)
        page.locator("#look").click()
        captions = page.locator("#modules li span")
        expect(captions).to_have_text(
            [
                re.compile(f"^{name}: ")
                for name in ("D6 GAP", "D5 LAP", "D4 LAP", "D3 AC")
            ],
            timeout=60_000,
        )
        said = []
        for corner, place in (
            ({"x": 5, "y": 5}, "[01]"),
            ({"x": 300, "y": 200}, "[2-9]."),
        ):
            page.locator("#view").click(position=corner)
            label = re.compile(f": {place}% from the left, {place}% from the top")
            expect(page.locator("#pixel")).to_have_attribute("aria-label", label)
            said.append(captions.all_inner_texts())
        assert said[0] != said[1]
        page.locator("#pixel").focus()
        for _ in range(30):
            page.keyboard.press("ArrowRight")
        label = re.compile(": 100% from the left")
        expect(page.locator("#pixel")).to_have_attribute("aria-label", label)
        assert captions.all_inner_texts() != said[1]
        page.locator("#photos button").nth(1).click()
        expect(captions).to_have_count(4)
        page.locator("#look").click()
        expect(page.locator("#looked")).to_be_hidden()
        page.locator("#look").click()
        expect(page.locator("#looked")).to_be_visible()
        for left in (1, 0):
            page.locator("#remove").click()
            expect(page.locator("#photos button")).to_have_count(left)
            expect(captions).to_have_count(4 * left, timeout=60_000)
        expect(page.locator("#looked")).to_be_hidden()


def test_cancelled_look_leaves_no_message(new_page, attentive, tmp_path):
    from playwright.sync_api import expect

    _, site = attentive
    for name in ("a.png", "b.png"):
        networks.save(tmp_path / name, 1, (80, 120))
    with served(site) as address:
        page = new_page(address, service_workers="block")
        page.set_input_files("#files", [tmp_path / "a.png", tmp_path / "b.png"])
        status = page.locator("#status")
        expect(status).to_contain_text("2 of 2 done", timeout=60_000)
        held = []
        page.context.route("**/*.attention.*", lambda route: held.append(route))
        page.locator("#look").click()
        expect(status).to_have_text("Looking …")
        page.locator("#look").click()
        page.locator("#photos button").nth(1).click()
        expect(page.locator("#photos button").nth(1)).to_have_attribute(
            "aria-current", "true"
        )
        while not held:
            page.wait_for_timeout(50)
        held[0].continue_()
        expect(status).to_contain_text("2 of 2 done", timeout=60_000)
        expect(page.locator("#looked")).to_be_hidden()


def test_package_can_be_packed_and_bundled(new_page, attentive, tmp_path):
    """npm pack, npm install, esbuild; the folder's files lie below /picanet/."""
    _, site = attentive
    npm, node = npm_command(), node_command()
    subprocess.run([*npm, "pack", site, "--silent"], cwd=tmp_path, check=True)
    (package,) = tmp_path.glob("picanet-*.tgz")
    (tmp_path / "package.json").write_text('{"name": "theirs", "private": true}')
    quiet = ("--no-audit", "--no-fund", "--silent")
    subprocess.run([*npm, "install", *quiet, package], cwd=tmp_path, check=True)
    installed = tmp_path / "node_modules" / "picanet"
    (tmp_path / "main.ts").write_text(
        """import {load, removeBackground, type CutoutOptions} from 'picanet';
const options: CutoutOptions = {background: [255, 255, 255], type: 'image/webp'};
(globalThis as any).cut = async (size: [number, number]): Promise<unknown[]> => {
  await load({base: '/picanet/'});
  const blob = await removeBackground(new ImageData(...size), options);
  const {width, height} = await createImageBitmap(blob);
  return [blob.type, width, height];
};
"""
    )
    tools = SOURCES / "node_modules"
    strict = ("--strict", "--noEmit", "--module", "esnext", "--target", "es2023")
    subprocess.run(
        [*node, tools / "typescript/bin/tsc", *strict, "--moduleResolution", "bundler",
         "main.ts"], cwd=tmp_path, check=True,
    )  # fmt: skip
    public = tmp_path / "public"
    public.mkdir()
    (esbuild,) = tools.glob("@esbuild/*/bin/esbuild")
    bundle = ("--bundle", "--format=esm", "--minify", f"--outfile={public}/bundle.js")
    subprocess.run(
        [esbuild, "main.ts", *bundle],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    shutil.copytree(installed, public / "picanet")
    (public / "index.html").write_text(
        '<!doctype html><script type="module" src="bundle.js"></script>'
    )
    with served(public) as address:
        page = new_page(address)
        kind = page.evaluate("cut([60, 40])")
    assert kind == ["image/webp", 60, 40]
