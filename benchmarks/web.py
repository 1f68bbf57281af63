"""Benchmarks the page of `picanet web` in headless Chromium against Python's LiteRT.

    python -m benchmarks.web [--photos N] [--rounds N] [--chromium PATH]

Serves the page with the default preset on localhost, with and without the headers that
allow threads, and measures it in rounds that alternate with Python's engine: the load
of runtime and network (cold; and from the service worker's cache), the first map, each
further map, and each further cut-out of a photo of `--megapixels`. Requires Chromium,
the package playwright and `make web-runtime`.
"""

from __future__ import annotations

import argparse
import base64
import io
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.common import report
from picanet_tf.inference.litert import LiteRTModel
from picanet_tf.presets import default_preset
from picanet_tf.presets.samples import sample_photos
from picanet_tf.saliency.rendering import render
from picanet_tf.serving import web
from tests.web.browser import CHROMIUM, FLAGS, served

TARGET_MAP, TARGET_FIRST = 3.0, 2.0
# Runs in the page: returns the seconds of each step, with the network loaded anew.
_MEASURE = """async ({photo, count}) => {
    const {compose, decode, load, saliency} = await import('./picanet.js');
    const bytes = Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0));
    const blob = new Blob([bytes]);
    const timed = async (work) => {
        const began = performance.now();
        const result = await work();
        return [(performance.now() - began) / 1000, result];
    };
    const times = {maps: [], cutouts: []};
    let arrived;
    const onProgress = (done, total) => {
        if (done === total) arrived = performance.now();
    };
    [times.load] = await timed(() => load({onProgress}));
    const pixels = await decode(blob);
    let map;
    [times.first, map] = await timed(() => saliency(pixels));
    await compose(pixels, map);
    times.fromArrival = (performance.now() - arrived) / 1000;
    for (let i = 0; i < count; i++) {
        const [seconds, result] = await timed(() => saliency(pixels));
        times.maps.push(seconds);
        times.cutouts.push(seconds + (await timed(() => compose(pixels, result)))[0]);
    }
    return times;
}"""


def main(photos: int, rounds: int, chromium: str, megapixels: float) -> None:
    from playwright.sync_api import sync_playwright

    runtime = web.find_runtime()
    if runtime is None:
        raise SystemExit("The page's runtime is missing: make web-runtime")
    image = photo_of(megapixels)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    given = {"photo": base64.b64encode(file.getvalue()).decode(), "count": photos}
    preset = default_preset()
    model = LiteRTModel(preset.path("litert"))
    runs = {"Python": [], "threads": [], "threads, cached": [], "one thread": []}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        network = web.read_network(preset.path("litert"))
        web.write_site(Path(folder), runtime, preset.name, network)
        browser = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS])
        for _ in range(rounds):
            runs["Python"].append(of_python(model, image, photos))
            with served(Path(folder)) as url:
                cold, cached = of_browser(browser, url, given)
            runs["threads"].append(cold)
            runs["threads, cached"].append(cached)
            with served(Path(folder), isolated=False) as url:
                runs["one thread"].append(of_browser(browser, url, given, 1)[0])
        version = browser.version
        browser.close()
    print(f"Chromium {version}, a photo of {image.shape[1]} x {image.shape[0]}")
    report("web", rows(runs))


def photo_of(megapixels: float) -> np.ndarray:
    with Image.open(sample_photos()[0]) as picture:
        side = round((megapixels * 1e6) ** 0.5)
        return np.asarray(picture.convert("RGB").resize((side, side)))


def of_python(model: LiteRTModel, image: np.ndarray, count: int) -> dict:
    def timed(work):
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    def infer():
        return [*model.infer(model.resize(image)[np.newaxis])]

    def cut():
        return render("cutout", image, model.predict(image))

    infer()
    return {
        "maps": [timed(infer) for _ in range(count)],
        "cutouts": [timed(cut) for _ in range(count)],
    }


def of_browser(browser, url: str, given: dict, visits: int = 2) -> list[dict]:
    """Visits the page in a new profile; later visits find all files in its cache."""
    context = browser.new_context(service_workers="allow" if visits > 1 else "block")
    page = context.new_page()
    times = []
    for _ in range(visits):
        page.goto(f"{url}LICENSES.txt")  # It does not load the network by itself.
        times.append(page.evaluate(_MEASURE, given))
        if visits > 1:
            page.goto(url)
            page.evaluate("navigator.serviceWorker.ready.then(() => 0)")
            page.reload()
            page.locator("#runs", has_text="runs on").wait_for()
    context.close()
    return times


def rows(runs: dict[str, list[dict]]) -> list[dict]:
    def median(name, key):
        values = [run.get(key) for run in runs[name]]
        if values[0] is None:
            return None
        flat = np.concatenate([np.atleast_1d(value) for value in values])
        return float(statistics.median(flat))

    found = []
    for name in runs:
        row = {"engine": "LiteRT" if name == "Python" else f"LiteRT.js, {name}"}
        for key, title in (
            ("load", "load s"),
            ("first", "first map s"),
            ("fromArrival", "arrival to cut-out s"),
            ("maps", "map s"),
            ("cutouts", "cut-out s"),
        ):
            value = median(name, key)
            row[title] = "" if value is None else f"{value:.3g}"
            if key in ("maps", "cutouts"):
                row[f"{title[:-2]} / Python"] = f"{value / median('Python', key):.3g}"
        found.append(row)
    ratio = median("threads", "maps") / median("Python", "maps")
    first = median("threads", "fromArrival")
    print(
        f"A further map: {ratio:.2f} times Python's (target {TARGET_MAP}); first "
        f"cut-out {first:.2f} s after the network's arrival (target {TARGET_FIRST})"
    )
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chromium", default=CHROMIUM)
    parser.add_argument("--megapixels", type=float, default=1)
    arguments = parser.parse_args()
    main(arguments.photos, arguments.rounds, arguments.chromium, arguments.megapixels)
