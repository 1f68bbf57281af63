"""The options of cut-outs on the command line."""

import io

import numpy as np
import pytest
from PIL import Image

import picanet_tf
from picanet_tf.core.images import over_white
from picanet_tf.drawing.cutouts import CutoutOptions, cut_out
from tests.commands import picanet
from tests.inference.networks import photo


def read(path):
    return np.asarray(Image.open(path))


def test_a_transparent_png_has_no_white_halo(tiny, tmp_path, predict):
    """Its alpha is the map's share of what it had; its colours are its own."""
    pixels = np.dstack([photo((30, 45)), np.full((30, 45), 255, np.uint8)])
    pixels[:10, :, 3], pixels[10:20, :, 3] = 0, 128
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    predict("clear.png")
    cut = read(tmp_path / "clear.cutout.png")
    saliency = tiny[1].predict(over_white(pixels))
    np.testing.assert_array_equal(cut, cut_out(pixels, saliency))
    assert (cut[:10, :, 3] == 0).all()
    assert 0 < cut[10:20, :, 3].max() <= 128 and cut[20:, :, 3].max() > 200


@pytest.mark.parametrize("mode", ["LA", "P"])
def test_other_kinds_of_transparency_are_kept(tmp_path, predict, mode):
    pixels = np.zeros((30, 45, 4), np.uint8)
    pixels[:, 20:] = (90, 90, 90, 255)
    image = Image.fromarray(pixels)
    image = image.convert("LA") if mode == "LA" else image.quantize(4)
    image.save(tmp_path / "clear.png")
    predict("clear.png", "--edges", "plain")
    cut = read(tmp_path / "clear.cutout.png")
    assert (cut[:, :20, 3] == 0).all() and cut[:, 20:, 3].max() > 0


@pytest.mark.parametrize(
    ("words", "name", "options"),
    [
        (["--background", "white"], "a.cutout.png", {"background": "white"}),
        (
            ["--background", "b.png", "--output", "out"],
            "out/a.png",
            {"background": "b.png"},
        ),
        (
            ["--crop", "--invert", "--edges", "plain"],
            "a.cutout.png",
            {"crop": True, "invert": True, "edges": "plain"},
        ),
        (
            ["--largest_only", "--output_format", "tiff"],
            "a.cutout.tiff",
            {"largest_only": True},
        ),
    ],
)
def test_options_are_applied(
    tiny, tmp_path, predict, monkeypatch, words, name, options
):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo((30, 45))).save("a.png")
    Image.fromarray(photo((60, 60), 1)).save("b.png")
    predict("a.png", *words)
    image = photo((30, 45))
    expected = cut_out(image, tiny[1].predict(image), CutoutOptions(**options))
    np.testing.assert_array_equal(read(name), expected)


def test_an_opaque_background_as_jpeg(tmp_path, predict):
    Image.fromarray(photo((30, 45))).save(tmp_path / "a.png")
    predict("a.png", "--background", "blur", "--output_format", "jpg")
    picture = Image.open(tmp_path / "a.cutout.jpg")
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (45, 30))


def test_from_standard_input(tiny, tmp_path):
    image, buffer = photo((30, 45)), io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    line = ("predict", "--model", tiny[0], "-", "--background", "#ff0000")
    run = picanet(*line, cwd=tmp_path, input=buffer.getvalue())
    assert run.returncode == 0, run.stderr
    expected = cut_out(
        image, tiny[1].predict(image), CutoutOptions(background="#ff0000")
    )
    np.testing.assert_array_equal(read(io.BytesIO(run.stdout)), expected)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--background pnik", "--background must be transparent, blur, a colour such"),
        ("--background notes.txt", "notes.txt: not an image"),
        ("--crop --format map", "--crop goes with --format cutout. Received: map"),
        ("--matting --format json --output o", "--matting goes with --format cutout"),
        ("--output_format jpg", "--output_format jpg has no transparency. Give --back"),
    ],
)
def test_invalid_options_are_reported(tmp_path, predict, words, message):
    Image.fromarray(photo((30, 45))).save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("a")
    before = sorted(tmp_path.iterdir())
    assert message in predict("a.png", *words.split(), code=1)
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_to_crop_to_fails_one_file_only(tmp_path, predict):
    Image.fromarray(photo((30, 45))).save(tmp_path / "a.png")
    clear = np.zeros((30, 45, 4), np.uint8)
    Image.fromarray(clear).save(tmp_path / "b.png")
    said = predict("a.png", "b.png", "--crop", code=1)
    assert "failed: b.png: nothing to crop to: no visible pixel of the map" in said
    assert (tmp_path / "a.cutout.png").exists()
    assert not (tmp_path / "b.cutout.png").exists()


def test_options_work_from_python(tiny, tmp_path):
    Image.fromarray(photo((30, 45))).save(tmp_path / "a.png")
    report = picanet_tf.predict(
        tmp_path / "a.png", model=tiny[0], background="black", edges="plain"
    )
    (path,) = report.written
    assert path.name == "a.cutout.png" and Image.open(path).mode == "RGB"
