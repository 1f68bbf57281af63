"""What a visitor of the page does, and waits for."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

expect = pytest.importorskip("playwright.sync_api").expect
PATIENCE = 60_000  # milliseconds, for a busy machine


def ready(page):
    expect(page.locator("#runs")).to_contain_text(" runs on ", timeout=PATIENCE)


def done(page, count, of):
    text = re.compile(f"^{count} of {of} done")
    expect(page.locator("#status")).to_have_text(text, timeout=PATIENCE)


def downloaded(page, press) -> tuple[str, bytes]:
    with page.expect_download(timeout=PATIENCE) as download:
        press()
    return download.value.suggested_filename, download.value.path().read_bytes()


def opened(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def large_files(page) -> list[str]:
    """Returns the names of the networks and WebAssembly that are kept, sorted."""
    urls = page.evaluate(
        """async () => {
            const urls = [];
            for (const name of await caches.keys()) {
                const requests = await (await caches.open(name)).keys();
                urls.push(...requests.map(({url}) => url));
            }
            return urls;
        }"""
    )
    names = (url.rpartition("/")[2] for url in urls)
    return sorted(name for name in names if name.endswith((".tflite", ".wasm")))


def kept(page, network: str = "picanet_vgg16_duts") -> list[str]:
    """Waits until the service worker has the network and the runtime for threads."""
    for _ in range(PATIENCE // 50):
        names = large_files(page)
        if "litert_wasm_threaded_internal.wasm" in names and any(
            name.startswith(f"{network}.") for name in names
        ):
            return names
        page.wait_for_timeout(50)
    pytest.fail(f"{network} is not kept, only {names}")


def drop(page, paths, event="drop"):
    """Drops files on the page, or pastes them, as a hand would."""
    contents = [(path.name, [*path.read_bytes()]) for path in paths]
    page.evaluate(
        """([event, files]) => {
            const data = new DataTransfer();
            for (const [name, bytes] of files) {
                data.items.add(new File([new Uint8Array(bytes)], name));
            }
            const options = {bubbles: true, cancelable: true};
            document.body.dispatchEvent(event === 'paste' ?
                new ClipboardEvent(event, {...options, clipboardData: data}) :
                new DragEvent(event, {...options, dataTransfer: data}));
        }""",
        [event, contents],
    )
