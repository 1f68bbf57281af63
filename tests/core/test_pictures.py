"""Pictures: in which format, and whole or not at all."""

import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import DiskFullError
from picanet_tf.core.pictures import (
    OUTPUT_FORMATS,
    PictureFormatError,
    encode_picture,
    save_picture,
)


def noise(*shape, dtype=np.uint8):
    values = np.random.default_rng(sum(shape)).integers(0, 256, shape)
    return values.astype(dtype)


@pytest.mark.parametrize(
    ("shape", "mode"), [((5, 7), "L"), ((5, 7, 3), "RGB"), ((5, 7, 4), "RGBA")]
)
def test_arrays_are_written_unchanged(shape, mode, tmp_path):
    path = tmp_path / "new" / "folder" / "picture.png"
    save_picture(path, noise(*shape))
    image = Image.open(path)
    assert (image.format, image.mode, image.size) == ("PNG", mode, (7, 5))
    np.testing.assert_array_equal(np.asarray(image), noise(*shape))


def test_a_palette_is_kept(tmp_path):
    picture = Image.fromarray(noise(5, 7) % 4)
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    save_picture(tmp_path / "classes.png", picture)
    read = Image.open(tmp_path / "classes.png")
    assert read.mode == "P"
    np.testing.assert_array_equal(np.asarray(read), noise(5, 7) % 4)
    assert read.getpalette()[3:6] == [255, 0, 0]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, ""), KeyboardInterrupt()])
def test_a_picture_appears_whole_or_not_at_all(error, tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    save_picture(path, noise(5, 7))

    def fail(file, _):
        with open(file, "wb") as begun:
            begun.write(b"half")
        raise error

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises((PicanetError, KeyboardInterrupt)) as raised:
        save_picture(path, noise(9, 9))
    monkeypatch.undo()
    assert names(tmp_path) == ["picture.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(path)), noise(5, 7))
    if isinstance(error, OSError):
        reason = os.strerror(errno.ENOSPC)
        assert str(raised.value) == f"Cannot write {path}: {reason}"


@pytest.mark.parametrize(
    ("make", "path", "reason"),
    [
        (lambda folder: (folder / "a").write_text(""), "a/b.png", "exists|directory"),
        (lambda folder: (folder / "b.png").mkdir(), "b.png", "Is a directory"),
        (lambda folder: None, "picture.xyz", "unknown file extension: .xyz"),
    ],
)
def test_unwritable_paths_are_reported(make, path, reason, tmp_path):
    make(tmp_path)
    before = names(tmp_path)
    with pytest.raises(PicanetError, match=f"^Cannot write {tmp_path}/{path}: .*") as e:
        save_picture(tmp_path / path, noise(5, 7))
    assert any(word in str(e.value) for word in reason.split("|"))
    assert names(tmp_path) == before


def test_folders_are_made_and_errors_name_the_picture(tmp_path):
    path = tmp_path / "deep" / "map.png"
    save_picture(path, np.full([2, 3], 9, np.uint8))
    assert np.asarray(Image.open(path)).tolist() == [[9] * 3] * 2
    with pytest.raises(PicanetError, match="Cannot write .*map.xyz: unknown file ext"):
        save_picture(tmp_path / "map.xyz", np.zeros([2, 2], np.uint8))
    (tmp_path / "file").write_text("")
    with pytest.raises(PicanetError, match="Cannot write .*file/map.png"):
        save_picture(tmp_path / "file" / "map.png", np.zeros([2, 2], np.uint8))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "map.png").mkdir()  # In whose place no file can be put.
    with pytest.raises(PicanetError) as raised:
        save_picture(tmp_path / "full" / "map.png", np.zeros([2, 2], np.uint8))
    assert str(raised.value) == (
        f"Cannot write {tmp_path}/full/map.png: Is a directory"
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "file", "full"]
    assert [p.name for p in path.parent.iterdir()] == ["map.png"]


def decoded(*args):
    image = Image.open(io.BytesIO(encode_picture(*args)))
    image.load()
    return image


def smooth(channels=3):
    ramp = np.linspace(20, 230, 64)
    return np.stack([np.add.outer(ramp, ramp) / 2] * channels, -1).astype(np.uint8)


@pytest.mark.parametrize("name", ["png", "tiff"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_lossless_formats_keep_all_pixels(name, shape):
    image = decoded(noise(*shape), name)
    assert image.format == OUTPUT_FORMATS[name].pillow
    np.testing.assert_array_equal(np.asarray(image), noise(*shape))


@pytest.mark.parametrize("name", ["webp", "jpg"])
def test_lossy_formats_have_a_quality(name):
    sizes = [len(encode_picture(noise(64, 64, 3), name, q)) for q in (10, None, 100)]
    assert sizes == sorted(set(sizes))
    assert len(encode_picture(smooth(), name)) == len(
        encode_picture(smooth(), name, 90)
    )
    image = decoded(smooth(), name)
    assert image.format == OUTPUT_FORMATS[name].pillow and image.mode == "RGB"
    assert np.abs(np.asarray(image).astype(int) - smooth()).max() <= 4


def test_webp_keeps_transparency():
    picture = np.dstack([smooth(), smooth(1)])
    image = decoded(picture, "webp")
    assert image.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(image)[..., 3], picture[..., 3])


def test_jpg_takes_opaque_pictures_only():
    opaque = np.dstack([smooth(), np.full((64, 64), 255, np.uint8)])
    assert decoded(opaque, "jpg").mode == "RGB"
    opaque[3, 4, 3] = 254
    with pytest.raises(PictureFormatError, match="^`output_format` jpg has no transp"):
        encode_picture(opaque, "jpg")


@pytest.mark.parametrize("name", ["webp", "jpg"])
def test_palette_needs_a_lossless_format(name):
    picture = Image.fromarray(noise(5, 7) % 4)
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    with pytest.raises(PictureFormatError, match="class numbers .* Use png or tiff"):
        encode_picture(picture, name)
    assert decoded(picture, "tiff").mode == "P"


@pytest.mark.parametrize(("name", "longest"), [("webp", 16383), ("jpg", 65500)])
def test_longest_side_of_a_format_is_enforced(name, longest):
    assert decoded(np.zeros((2, longest), np.uint8), name).size == (longest, 2)
    message = f"holds at most {longest:,} pixels a side, and the picture has "
    with pytest.raises(PicanetError, match=message) as raised:
        encode_picture(np.zeros((longest + 1, 2), np.uint8), name)
    assert not isinstance(raised.value, PictureFormatError)  # Others may be smaller.
    assert decoded(np.zeros((2, longest + 1), np.uint8)).size == (longest + 1, 2)


def test_extension_chooses_the_format(tmp_path):
    for name, chosen in OUTPUT_FORMATS.items():
        path = tmp_path / f"a{chosen.extension}"
        save_picture(path, smooth())
        assert Image.open(path).format == chosen.pillow, name
    with pytest.raises(PicanetError, match="^Cannot write .*a.webp: `output_format`"):
        save_picture(tmp_path / "a.webp", np.zeros((1, 16384), np.uint8))


def test_full_disk_raises_an_error_of_its_own(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFullError, match="Cannot write .*a.png: No space left on"):
        save_picture(tmp_path / "a.png", noise(5, 7))


def test_no_metadata_is_written(tmp_path):
    picture = Image.fromarray(smooth())
    for name in OUTPUT_FORMATS:
        image = decoded(picture, name)
        assert not image.info.get("icc_profile") and not image.info.get("exif")
