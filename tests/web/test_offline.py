"""The page's service worker: offline, on threads, and when the host changes."""

import os
import time
from contextlib import ExitStack

import pytest

from picanet_tf.inference.litert import LiteRTModel
from picanet_tf.presets import default_preset
from picanet_tf.serving import web
from picanet_tf.serving.service import Limits, create_app
from picanet_tf.serving.web import site as site_module
from picanet_tf.serving.web.sources import site_files
from tests.serving.service.conftest import running
from tests.web.browser import copy_of, served
from tests.web.visitor import PATIENCE, done, expect, kept, large_files, ready

pytestmark = pytest.mark.browser


def written(folder, runtime, path, name="tiny", card=None):
    folder.mkdir()
    web.write_site(folder, runtime, name, web.read_network(path), card=card)
    return folder


@pytest.fixture
def site_of_tiny(litert_file, runtime, tmp_path):
    return written(tmp_path / "tiny", runtime, litert_file)


@pytest.fixture
def live(tmp_path):
    """A function that puts a site, or another one, to the place that is served."""

    def put(site):
        (tmp_path / "live").unlink(missing_ok=True)
        (tmp_path / "live").symlink_to(site)
        return tmp_path / "live"

    return put


def test_offline_and_threads_after_the_first_visit(new_page, preset_site, files):
    """From a host that cannot send the headers."""
    with served(preset_site, isolated=False) as address:
        page = new_page(address)
        ready(page)
        expect(page.locator("#runs")).to_contain_text("one thread")
        kept(page)
    page.reload()  # The server is gone.
    ready(page)
    expect(page.locator("#runs")).to_contain_text("threads")
    page.set_input_files("#files", files[1])
    done(page, 1, 1)


def test_page_works_from_picanet_serve(new_page, preset_site, files):
    model = LiteRTModel(default_preset().path("litert"))
    with running(create_app(model, site=preset_site), Limits()) as client:
        page = new_page(f"http://localhost:{client.port}/")
        ready(page)
        expect(page.locator("#runs")).to_contain_text("threads")
        page.evaluate("navigator.serviceWorker.ready.then(() => 0)")
        page.reload()
        page.set_input_files("#files", files[1])
        done(page, 1, 1)


def test_a_new_version_comes_with_the_next_visit(
    new_page, preset_site, site_of_tiny, live
):
    """Another network in the same place; the host lets browsers keep files."""
    keep = {"Cache-Control": "max-age=600"}
    with served(live(preset_site), isolated=False, headers=keep) as address:
        page = new_page(address)
        ready(page)
        kept(page)
        live(site_of_tiny)
        for _ in range(3):
            page.reload()
            text = "tiny runs on"
            expect(page.locator("#runs")).to_contain_text(text, timeout=PATIENCE)
        page.evaluate("caches.open('somebody else')")
        names = page.evaluate("caches.keys()")
        assert "somebody else" in names and len(names) <= 4


@pytest.mark.parametrize("network", ["picanet_vgg16_duts", "tiny"])
def test_offline_after_a_new_version(
    new_page, preset_site, site_of_tiny, live, network, runtime, files, tmp_path
):
    """The next visit of all, be the new version's network the same or another."""
    second = site_of_tiny
    if network != "tiny":
        (tmp_path / "card.md").write_text("new")
        path = default_preset().path("litert")
        second = written(tmp_path / "new", runtime, path, network, tmp_path / "card.md")
    keep = {"Cache-Control": "no-store"}
    with served(live(preset_site), isolated=False, headers=keep) as address:
        page = new_page(address)
        ready(page)
        before = kept(page)
        live(second)
        page.reload()
        expect(page.locator("#runs")).to_contain_text(network, timeout=PATIENCE)
        after = kept(page, network)
        page.wait_for_function(
            "async () => (await navigator.serviceWorker.getRegistration()).waiting"
        )
        page.close()
    page = page.context.new_page()  # The server is gone.
    page.goto(address)
    expect(page.locator("#runs")).to_contain_text("threads", timeout=PATIENCE)
    expect(page.locator("#runs")).to_contain_text(network)
    page.set_input_files("#files", files[1])
    done(page, 1, 1)
    if network == "tiny":  # The older one goes.
        assert set(large_files(page)) == set(after) - set(before[-1:])
    else:
        assert large_files(page) == before
        told = page.evaluate("fetch('NETWORK.md').then((answer) => answer.text())")
        assert told == "new"


def test_threads_with_a_newer_runtime(
    new_page, site_of_tiny, litert_file, runtime, live, files, tmp_path, monkeypatch
):
    """The older service worker does not know its files."""
    with served(live(site_of_tiny), isolated=False) as address:
        page = new_page(address)
        ready(page)
        kept(page, "tiny")
        page.reload()
        expect(page.locator("#runs")).to_contain_text("threads", timeout=PATIENCE)
        now = site_files()
        renamed = tuple(
            each._replace(name=each.name.replace(now.runtime_folder, "litert-next"))
            for each in now.runtime
        )
        newer = now._replace(runtime=renamed, runtime_folder="litert-next")
        monkeypatch.setattr(site_module, "site_files", lambda: newer)
        live(written(tmp_path / "next", runtime, litert_file, "next"))
        page.reload()
        expect(page.locator("#runs")).to_contain_text("next runs", timeout=PATIENCE)
        expect(page.locator("#runs")).to_contain_text("threads")
        page.set_input_files("#files", files[1])
        done(page, 1, 1)


@pytest.mark.parametrize("isolated", [True, False])
def test_only_files_of_use_are_cached(
    new_page, runtime, litert_file, tmp_path, isolated
):
    """No WebAssembly that this browser has no use for; a network of any name."""
    site = written(tmp_path / "site", runtime, litert_file, "a_compat_b.attention.c")
    with served(site, isolated) as address:
        page = new_page(address)
        ready(page)
        network, *wasm = kept(page, "a_compat_b")
    assert network in {path.name for path in site.glob("*.tflite")}
    threaded = "litert_wasm_threaded_internal.wasm"
    assert wasm == ([] if isolated else ["litert_wasm_internal.wasm"]) + [threaded]


@pytest.mark.parametrize(
    ("late", "version"), [("/", None), ("/picanet.js", 2), ("/style.css", 2)]
)
def test_a_slow_host_mixes_no_versions(
    new_page, site_of_tiny, live, tmp_path, late, version
):
    second = copy_of(site_of_tiny, tmp_path / "second")
    for name, old, new in (
        ("index.html", "<title>", "<title>2 "),
        ("picanet.js", "export", "export const version = 2;\nexport"),
    ):
        text = (second / name).read_text()
        (second / name).unlink()
        (second / name).write_text(text.replace(old, new, 1))
        os.utime(second / name, (time.time() + 60,) * 2)  # Hosts count in seconds.
    slow = set()
    with served(live(site_of_tiny), isolated=False, late=slow) as address:
        page = new_page(address)
        ready(page)
        kept(page, "tiny")
        live(second)
        slow.add(late)
        page.reload()
        ready(page)
        assert page.title().startswith("2 ") == (version == 2)
        found = "import('./picanet.js').then(({version}) => version ?? null)"
        assert page.evaluate(found) == version


def test_a_host_that_fails_is_no_worse_than_none(new_page, site_of_tiny):
    broken = set()
    with served(site_of_tiny, isolated=False, broken=broken) as address:
        page = new_page(address)
        ready(page)
        kept(page, "tiny")
        broken |= {"/", "/picanet.js", "/style.css"}
        page.reload()
        ready(page)


@pytest.mark.parametrize("host", ["static", "picanet serve"])
def test_workers_cannot_request_other_origins(new_page, preset_site, host, tmp_path):
    """Their policy comes with their own code, not from the page that starts them."""
    open_to_all = {
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    with ExitStack() as stack:
        other = stack.enter_context(served(tmp_path, headers=open_to_all))
        if host == "static":
            address = stack.enter_context(served(preset_site, isolated=False))
        else:
            app = create_app(
                LiteRTModel(default_preset().path("litert")), site=preset_site
            )
            client = stack.enter_context(running(app, Limits()))
            address = f"http://localhost:{client.port}/"
        page = new_page(address)
        ready(page)
        if host == "static":
            kept(page)
            page.reload()
            ready(page)
        expect(page.locator("#runs")).to_contain_text("threads")
        # Those of its threads wait for work and answer nothing.
        (worker,) = (each for each in page.workers if each.url.endswith("worker.js"))
        code = "(url) => fetch(url).then(() => 'answered', () => 'refused')"
        assert worker.evaluate(code, address) == "answered"
        assert worker.evaluate(code, other) == "refused"


def test_another_site_in_the_same_place_takes_over(
    new_page, preset_site, tmp_path, live
):
    (tmp_path / "index.html").write_text("<title>Other</title>other")
    (tmp_path / "style.css").write_text("body { color: red }")
    (tmp_path / "below").mkdir()
    with served(live(preset_site), False, {"Cache-Control": "no-cache"}) as address:
        page = new_page(address)
        ready(page)
        kept(page)
        live(tmp_path)
        assert page.goto(f"{address}below").ok  # a redirection to below/
        page.goto(address)
        assert page.title() == "Other"
        assert page.goto(f"{address}style.css").text() == "body { color: red }"
        page.reload()
        assert page.evaluate("navigator.serviceWorker.getRegistrations()") == []
        assert page.evaluate("caches.keys()") == []


def test_a_damaged_copy_in_the_cache_is_fetched_again(new_page, url, files):
    page = new_page(url)
    ready(page)
    kept(page)
    spoilt = page.evaluate(
        """async () => {
            let count = 0;
            for (const name of await caches.keys()) {
                const cache = await caches.open(name);
                for (const each of await cache.keys()) {
                    if (!each.url.endsWith('.tflite')) continue;
                    await cache.put(each, new Response(new Uint8Array(10)));
                    count++;
                }
            }
            return count;
        }"""
    )
    assert spoilt == 1
    page.reload()
    ready(page)
    page.set_input_files("#files", files[1])
    done(page, 1, 1)
