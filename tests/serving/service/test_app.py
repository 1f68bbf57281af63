"""What the service answers, over a real connection."""

import io
import json
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from picanet_tf.core import images
from picanet_tf.core.opening import FORMATS
from picanet_tf.drawing.cutouts import CutoutOptions
from picanet_tf.serving.service import Limits, create_app
from tests import bad_images
from tests.serving import load
from tests.serving.load import encoded, form
from tests.serving.networks import photo
from tests.serving.service.conftest import running, wait_for

BLUR = {"background": "blur"}
LIMITS = Limits(max_bytes=load.MAX_BYTES, max_pixels=load.MAX_PIXELS)


@pytest.fixture(scope="module")
def client(model):
    with running(create_app(model, LIMITS), LIMITS) as client:
        yield client


def opened(content):
    picture = Image.open(io.BytesIO(content))
    assert picture.format == "PNG"
    return np.asarray(picture)


def error_of(content):
    (reason,) = json.loads(content).values()
    assert "\n" not in reason
    return reason


@pytest.mark.parametrize("shape", ["map", "mask", "cutout", "overlay", "panel"])
def test_each_format_is_what_the_model_draws(client, model, jpeg, shape):
    image = images.read_image(jpeg)
    result = model.predict(image)
    assert result.std() > 0.02
    status, headers, content = client.post(jpeg, f"/?format={shape}")
    assert status == 200 and headers["Content-Type"] == "image/png"
    assert int(headers["Content-Length"]) == len(content)
    found = opened(content)
    np.testing.assert_array_equal(found, model.render(shape, image, result))


def test_cutout_is_the_default_format(client, jpeg):
    content = client.post(jpeg)[2]
    assert content == client.post(jpeg, "/predict?format=cutout")[2]
    assert opened(content).shape == (30, 45, 4)


def test_threshold_applies_to_masks(client, model, jpeg):
    image = images.read_image(jpeg)
    result = model.predict(image)
    threshold = float(np.median(result))
    content = client.post(jpeg, f"/?format=mask&threshold={threshold}")[2]
    found = opened(content)
    np.testing.assert_array_equal(found, np.uint8(255 * (result >= threshold)))
    assert 0.3 < (found == 255).mean() < 0.7


def test_form_equals_raw_body(client, jpeg):
    raw, sent = client.post(jpeg), client.post(**form(jpeg, file="a b/Größe.x.JPG"))
    assert raw[2] == sent[2]
    assert raw[1]["Content-Disposition"] == 'inline; filename="image.cutout.png"'
    assert sent[1]["Content-Disposition"] == (
        "inline; filename*=UTF-8''Gr%C3%B6%C3%9Fe.x.cutout.png"
    )
    body = {
        "body": jpeg,
        "headers": {"Content-Type": "application/x-www-form-urlencoded"},
    }
    assert client.post(**body)[2] == raw[2]  # as curl --data-binary sends it


def test_names_in_an_odd_charset(client, jpeg):
    disposition = b'Content-Disposition: form-data; name="image"; filename="+2AA-.jpg"'
    body = b"--b\r\n" + disposition + b"\r\n\r\n" + jpeg + b"\r\n--b--\r\n"
    kind = "multipart/form-data; boundary=b; charset="
    status, headers, _ = client.post(body, headers={"Content-Type": f"{kind}utf-7"})
    assert status == 200
    assert headers["Content-Disposition"] == "inline; filename*=UTF-8''%3F.cutout.png"
    answer = client.post(body, headers={"Content-Type": f"{kind}undefined"})
    assert answer[0] == 400 and "a name cannot be decoded" in error_of(answer[2])


def test_options_of_cutouts_equal_those_of_the_command(client, model, jpeg):
    image, result = images.read_image(jpeg), model.predict(images.read_image(jpeg))
    for query, options in (
        (
            "background=%23ff8000&edges=plain",
            {"background": "#ff8000", "edges": "plain"},
        ),
        ("crop=true&invert=1", {"crop": True, "invert": True}),
        ("largest_only=true&background=blur", {"largest_only": True} | BLUR),
    ):
        found = opened(client.post(jpeg, f"/?{query}")[2])
        expected = model.render(
            "cutout", image, result, cutout=CutoutOptions(**options)
        )
        np.testing.assert_array_equal(found, expected)
    inverted = opened(client.post(jpeg, "/?format=map&invert=true")[2])
    np.testing.assert_array_equal(inverted, np.round(255 * (1 - result)))


@pytest.mark.parametrize(
    ("query", "kind", "media_type", "name"),
    [
        ("output_format=webp&quality=80", "WEBP", "image/webp", "image.cutout.webp"),
        (
            "output_format=jpg&background=white",
            "JPEG",
            "image/jpeg",
            "image.cutout.jpg",
        ),
        ("output_format=tiff&format=map", "TIFF", "image/tiff", "image.map.tiff"),
    ],
)
def test_output_formats(client, jpeg, query, kind, media_type, name):
    status, headers, content = client.post(jpeg, f"/?{query}")
    assert status == 200 and headers["Content-Type"] == media_type
    assert headers["Content-Disposition"] == f'inline; filename="{name}"'
    picture = Image.open(io.BytesIO(content))
    assert picture.format == kind and picture.size == (45, 30)


def test_a_transparent_photo_stays_transparent(client):
    pixels = np.dstack([photo((30, 45)), np.full((30, 45), 255, np.uint8)])
    pixels[:, :20, 3] = 0
    found = opened(client.post(encoded(Image.fromarray(pixels), "PNG"))[2])
    assert (found[:, :20, 3] == 0).all() and found[:, 20:, 3].max() > 0


def test_a_turned_photo_comes_out_upright(client, model):
    exif = Image.Exif()
    exif[274] = 6  # a quarter, clockwise
    content = encoded(Image.fromarray(photo((30, 45))), "JPEG", exif=exif)
    found = opened(client.post(content)[2])
    assert found.shape == (45, 30, 4)
    upright = images.read_image(content)
    expected = model.render("cutout", upright, model.predict(upright))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", bad_images.GOOD)
def test_unusual_but_valid_files_are_accepted(client, model, tmp_path, name):
    content = bad_images.write(tmp_path, name).read_bytes()
    found = opened(client.post(content)[2])
    assert found.shape[1::-1] == bad_images.CASES[name].size
    image = images.read_image(content, keep_alpha=True)
    result = model.predict(images.over_white(image))
    np.testing.assert_array_equal(found, model.render("cutout", image, result))


def test_common_image_formats_are_accepted(client):
    pillow_heif.register_heif_opener()
    for kind in (*FORMATS, "HEIF"):
        content = encoded(Image.fromarray(photo((8, 9))), kind)
        assert client.post(content)[0] == 200, kind


@pytest.mark.parametrize("call", load.broken(), ids=lambda call: call.name)
def test_broken_requests_get_their_status(client, call):
    status, _, content = client.post(call.body, call.path, call.headers, call.method)
    assert status == call.status
    assert error_of(content)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/?fromat=map", "unknown parameter 'fromat'; known are format, threshold, "),
        ("/?background=README.md", "background must be transparent, blur, a colour"),
        ("/?background=white&format=map", "background goes with format cutout"),
        ("/?crop=yes", "crop must be true or false. Received: 'yes'"),
        ("/?edges=sharp", "edges must be one of guided, plain. Received: sharp"),
        ("/?output_format=jpg", "output_format jpg has no transparency. Give backgro"),
        ("/?output_format=gif", "output_format must be one of png, webp, jpg, tiff"),
        ("/?output_format=webp&quality=0", "quality must be 1 to 100"),
        ("/?quality=high", "quality must be a whole number from 1 to 100. Received"),
        ("/?matting=true", "unknown parameter 'matting'"),
        (
            "/?format=jpg",
            "format must be one of map, mask, cutout, overlay, panel. Rec",
        ),
        ("/?format=", "Received: ''"),
        ("/?format=map&format=mask", "format is given twice"),
        ("/?threshold=0.5", "threshold goes with format=mask only"),
        (
            "/?format=mask&threshold=1.5",
            "threshold must be 0 to 1. Recei",
        ),
        ("/?format=mask&threshold=nan", "threshold must be 0 to 1"),
        ("/?format=mask&threshold=half", "Received: 'half'"),
    ],
)
def test_invalid_parameters_are_explained(client, jpeg, path, reason):
    status, _, content = client.post(jpeg, path)
    assert status == 400
    assert reason in error_of(content)


def test_refusals_state_their_reason(client, jpeg):
    def reason(status, *arguments, **more):
        answer = client.post(*arguments, **more)
        assert answer[0] == status
        return error_of(answer[2])

    assert reason(400, jpeg[:-100]).startswith("image: image file is truncated")
    assert reason(400, jpeg[:400]) == "not a readable image: Truncated File Read"
    assert reason(400, b"text").startswith("not an image of a known format (curl")
    assert reason(400, b"").startswith("the request has no image")
    assert "Received: 'photo' (a file)" in reason(400, **form(jpeg, "photo"))
    twice = form(jpeg)["body"].replace(b"--x--\r\n", b"") + form(jpeg)["body"]
    sent = {**form(jpeg), "body": twice}
    assert "Received: 'image' (a file), 'image' (a file)" in reason(400, **sent)
    cut = {**form(jpeg), "body": form(jpeg)["body"][:-20]}
    assert "Received: nothing" in reason(400, **cut)
    vast = encoded(Image.new("L", (4000, 3000)), "PNG")
    assert reason(413, vast) == (
        "at most 6,000,000 pixels are accepted, the image has 4000 x 3000"
    )
    zipped = {"headers": {"Content-Encoding": "gzip"}}
    assert "'gzip'" in reason(415, jpeg, **zipped)


def test_a_bomb_is_refused_by_its_header(client):
    """Of 60,000 x 60,000 pixels, more than Pillow itself opens."""
    content = bytearray(encoded(Image.new("L", (1, 1)), "PNG"))
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    status, _, answer = client.post(bytes(content))
    assert status == 413 and "the image has more" in error_of(answer)


@pytest.mark.parametrize("headers", [{}, {"Connection": "close"}])
@pytest.mark.parametrize("chunked", [False, True])
def test_oversized_body_gets_an_answer(client, headers, chunked):
    """Not a reset connection: the rest of it is read and dropped."""
    body = bytes(5 * load.MAX_BYTES)
    if chunked:
        body = iter([body[:100_000]] * 200)
    status, _, content = client.post(body, headers=headers)
    assert status == 413
    assert error_of(content) == "at most 4,000,000 bytes are accepted"


def test_a_refused_body_leaves_the_service_as_it_was(client, jpeg):
    for call in load.broken():
        client.post(call.body, call.path, call.headers, call.method)
    assert client.post(jpeg)[0] == 200
    assert json.loads(client.get("/health")[2])["waiting"] == 0


def test_health_and_usage(client):
    status, headers, content = client.get("/health")
    assert status == 200 and headers["Content-Type"] == "application/json"
    assert json.loads(content) == {"status": "ok", "model": "tiny", "waiting": 0}
    status, headers, content = client.get("/")
    assert status == 200 and headers["Content-Type"].startswith("text/plain")
    text = content.decode()
    assert f"curl --data-binary @photo.jpg http://127.0.0.1:{client.port}/ -o" in text
    assert "map, mask, cutout, overlay, panel" in text and "4,000,000 bytes" in text


def test_other_methods_are_refused(client):
    status, headers, _ = client.post(b"", "/", method="DELETE")
    assert status == 405 and set(headers["Allow"].split(", ")) == {
        "GET",
        "HEAD",
        "POST",
    }
    assert client.get("/predict")[0] == 405
    assert client.post(b"", "/predict/")[0] == 404  # no redirection


def test_internal_error_is_a_500_without_details(start, gated, jpeg, caplog):
    client = start(gated)
    gated.render = None
    status, _, content = client.post(jpeg)
    assert status == 500
    assert error_of(content) == "internal server error; see the service's log"
    wait_for(lambda: "'NoneType' object is not callable" in caplog.text)
    del gated.render
    assert client.post(jpeg)[0] == 200


def test_only_allowed_hosts_and_origins_are_answered(start, model, jpeg):
    client = start(
        model,
        allowed_hosts=["photos.example.com"],
        allowed_origins=["https://page.example.com"],
    )
    own = f"localhost:{client.port}"
    for host, status in {
        own: 200,
        f"LOCALHOST:{client.port}": 200,
        f"[::1]:{client.port}": 200,
        "photos.example.com": 200,
        "photos.example.com:1234": 200,
        "localhost:1": 421,
        "localhost:80": 421,
        "localhost": 200,
        "127.0.0.1": 200,
        "localhost.evil.com": 421,
        "evil.example.com": 421,
        f"localhost.evil.com:{client.port}": 421,
    }.items():
        assert client.post(jpeg, headers={"Host": host})[0] == status, host
        answer = client.get("/health", {"Host": host})
        assert answer[0] == status, host
        if status == 421:
            assert error_of(answer[2]).endswith(" add it to allowed_hosts")
    for origin, status in {
        f"http://{own}": 200,
        f"http://127.0.0.1:{client.port}": 200,
        "https://photos.example.com": 200,
        "https://page.example.com": 200,
        "http://page.example.com": 403,
        "http://localhost:1": 403,
        "http://localhost": 403,
        "https://example.com": 403,
        "null": 403,
    }.items():
        answer = client.post(jpeg, headers={"Origin": origin})
        assert answer[0] == status, origin
        permitted = answer[1]["Access-Control-Allow-Origin"]
        assert permitted == (origin if "page" in origin and status == 200 else None)


def test_allowed_origin_gets_cors_headers(start, model):
    client = start(model, allowed_origins=["https://page.example.com"])
    asked = {
        "Origin": "https://page.example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    status, headers, _ = client.post(b"", "/", asked, "OPTIONS")
    assert status == 200
    assert headers["Access-Control-Allow-Origin"] == "https://page.example.com"
    assert "POST" in headers["Access-Control-Allow-Methods"]
    other = {**asked, "Origin": "https://example.com"}
    assert client.post(b"", "/", other, "OPTIONS")[0] == 403
    refused = client.post(b"no photo", headers={"Origin": asked["Origin"]})
    assert refused[0] == 400
    assert refused[1]["Access-Control-Allow-Origin"] == "https://page.example.com"
