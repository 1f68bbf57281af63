"""The site of the network that ships, and a browser."""

import pytest
from PIL import Image

from picanet_tf.presets import default_preset
from picanet_tf.presets.samples import sample_photos
from picanet_tf.serving import web
from tests.web import browser


@pytest.fixture(scope="session")
def runtime():
    found = web.find_runtime()
    if found is None:
        pytest.skip("no runtime of the page: run make web-runtime")
    return found


@pytest.fixture(scope="session")
def preset_site(runtime, tmp_path_factory):
    """The folder of the network that ships, without attention."""
    folder = tmp_path_factory.mktemp("preset-site")
    preset = default_preset()
    network = web.read_network(preset.path("litert"))
    web.write_site(folder, runtime, preset.name, network)
    return folder


@pytest.fixture(scope="session")
def url(preset_site):
    with browser.served(preset_site) as address:
        yield address


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Five files, the third of them no picture; the first is turned by its EXIF."""
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / name for name in ("turned.jpg", "b.png", "broken.jpg", "d.webp")]
    astronaut, rocket = (Image.open(path).convert("RGB") for path in sample_photos())
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    astronaut.crop((0, 0, 512, 384)).rotate(90, expand=True).save(paths[0], exif=exif)
    astronaut.save(paths[1])
    paths[2].write_bytes(b"\xff\xd8\xff not a picture")
    rocket.save(paths[3])
    clear = Image.new("RGBA", (60, 40), (255, 0, 0, 0))
    clear.paste((200, 30, 30, 255), (10, 5, 50, 35))
    paths.append(folder / "clear.png")
    clear.save(paths[4])
    return paths


@pytest.fixture(scope="session")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api")
    if browser.CHROMIUM is None:
        pytest.skip("no Chromium: install Debian's package chromium")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(
            executable_path=browser.CHROMIUM, args=[*browser.FLAGS]
        )
        yield launched
        launched.close()


@pytest.fixture
def new_page(chromium):
    """A function that opens a page in a profile of its own.

    Its `faults` are what must be empty in the end: exceptions, and requests to another
    origin.
    """
    contexts = []

    def open_page(url, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))

        scheme, _, host = url.split("/")[:3]
        origin = f"{scheme}//{host}/"

        def request(sent):
            if not sent.url.startswith((origin, f"blob:{origin}", "data:")):
                page.faults.append(sent.url)

        context.on("request", request)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            if hasattr(page, "faults"):
                assert page.faults == []
        context.close()
