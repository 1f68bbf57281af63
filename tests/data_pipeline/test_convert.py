import dataclasses
import errno
import hashlib
import io
import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_pipeline import convert, sources
from data_pipeline.convert import convert_dataset, convert_folders
from data_pipeline.kinds import MASK
from data_pipeline.manifest import load_manifest
from data_pipeline.readers import read_originals
from data_pipeline.shards import write_shard
from data_pipeline.sources import find_source, folder_source
from data_pipeline.verify import verify
from picanet_tf.core.directories import publishing
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import DiskFullError
from picanet_tf.core.images import read_image
from tests import bad_images, commands
from tests.data_pipeline.conftest import make_pairs, picture, read_payloads, save

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"


def run(folder: Path, **options):
    arguments = {"name": "test", "workers": 1, **options}
    return convert_folders(
        folder / "images", folder / "masks", folder / "out", **arguments
    )


def records(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    return {
        record["key"].decode(): record
        for record in read_originals(folder, MASK).as_numpy_iterator()
    }


def examples(folder: Path) -> list[tf.train.Example]:
    return [tf.train.Example.FromString(payload) for payload in read_payloads(folder)]


@pytest.mark.parametrize(
    "options, said",
    [
        ({"kind": "classmap"}, "`kind` must be mask or class_map. Received: kind='cl"),
        ({"kind": "class_map", "invert_masks": True}, "`invert_masks` is for masks"),
    ],
)
def test_folders_of_other_kinds_are_refused(options, said):
    with pytest.raises(PicanetError, match=said):
        folder_source("images", "masks", **options)


def test_round_trip_in_natural_order(converted):
    found = records(converted)
    assert list(found) == [f"im{number}" for number in range(10)]
    for number, record in enumerate(found.values()):
        np.testing.assert_array_equal(record["image"], picture(number))
        np.testing.assert_array_equal(record["mask"][..., 0], picture(number)[..., 0])


def test_record_has_the_expected_features(converted):
    example = examples(converted)[3]
    features = example.features.feature
    assert set(features) == {
        "key",
        "image/encoded",
        "image/height",
        "image/width",
        "mask/encoded",
    }
    assert features["key"].bytes_list.value[0] == b"im3"
    assert features["image/height"].int64_list.value[0] == 24
    assert features["image/width"].int64_list.value[0] == 32
    mask = Image.open(io.BytesIO(features["mask/encoded"].bytes_list.value[0]))
    assert (mask.format, mask.mode, mask.size) == ("PNG", "L", (32, 24))


def test_manifest_describes_the_shards(converted):
    content = json.loads((converted / "manifest.json").read_text())
    assert content["format_version"] == 2
    assert content["name"] == "ten"
    assert content["kind"] == "mask"
    assert content["count"] == 10
    assert [shard["count"] for shard in content["shards"]] == [4, 4, 2]
    for shard in content["shards"]:
        data = (converted / shard["file"]).read_bytes()
        assert shard["bytes"] == len(data)
        assert shard["sha256"] == hashlib.sha256(data).hexdigest()
    assert load_manifest(converted).count == 10


def test_conversion_is_deterministic(tmp_path):
    make_pairs(tmp_path, 3)
    first, _ = run(tmp_path)
    again, _ = run(tmp_path, overwrite=True)
    assert first.fingerprint == again.fingerprint
    save(tmp_path / "masks" / "im1.png", np.zeros((24, 32), np.uint8))
    other, _ = run(tmp_path, overwrite=True)
    assert first.fingerprint != other.fingerprint


@pytest.mark.parametrize("orientation", [3, 6, 7])
def test_exif_rotation_is_applied_to_image_and_mask(tmp_path, orientation):
    array = picture(0)
    save(tmp_path / "images" / "a.png", array, orientation=orientation)
    save(tmp_path / "masks" / "a.png", array[..., 0], orientation=orientation)
    run(tmp_path)
    record = records(tmp_path / "out")["a"]
    upright = {
        3: array[::-1, ::-1],
        6: np.rot90(array, -1),
        7: np.rot90(array, 2).transpose(1, 0, 2),
    }[orientation]
    np.testing.assert_array_equal(record["image"], upright)
    np.testing.assert_array_equal(record["mask"][..., 0], upright[..., 0])
    assert (record["height"], record["width"]) == upright.shape[:2]


def test_a_mask_drawn_on_the_upright_photo_needs_no_exif(tmp_path):
    save(tmp_path / "images" / "a.jpg", picture(0), orientation=6)
    save(tmp_path / "masks" / "a.png", np.rot90(picture(0)[..., 0], -1))
    run(tmp_path)
    assert records(tmp_path / "out")["a"]["image"].shape == (32, 24, 3)


def test_a_mask_drawn_on_the_stored_photo_is_explained(tmp_path):
    save(tmp_path / "images" / "a.jpg", picture(0), orientation=6)
    save(tmp_path / "masks" / "a.png", picture(0)[..., 0])
    with pytest.raises(PicanetError, match="after its EXIF rotation, which this file"):
        run(tmp_path)


def test_jpeg_bytes_are_kept_where_they_need_no_change(tmp_path):
    smooth = np.broadcast_to(np.arange(32, dtype=np.uint8) * 8, (24, 32))
    colour = np.stack([smooth, smooth[:, ::-1], smooth], axis=-1)
    images = tmp_path / "images"
    kept = [
        save(images / "rgb.jpg", colour, quality=60),
        save(images / "grey.jpg", smooth),
        save(images / "progressive.jpg", colour, progressive=True),
    ]
    cmyk = images / "cmyk.jpg"
    Image.fromarray(colour).convert("CMYK").save(cmyk)
    changed = [save(images / "turned.jpg", colour, orientation=3), cmyk]
    for path in [*kept, *changed]:
        save(tmp_path / "masks" / f"{path.stem}.png", smooth)
    run(tmp_path)
    bytes_of = {
        example.features.feature["key"].bytes_list.value[0].decode(): (
            example.features.feature["image/encoded"].bytes_list.value[0]
        )
        for example in examples(tmp_path / "out")
    }
    for path in kept:
        assert bytes_of[path.stem] == path.read_bytes()
    for path in changed:
        assert Image.open(io.BytesIO(bytes_of[path.stem])).format == "JPEG"
    for path in [*kept, *changed]:
        found = records(tmp_path / "out")[path.stem]["image"].astype(int)
        # Kept files decode in TensorFlow to the very pixels that Pillow reads.
        tolerance = 0 if path in kept else 4
        np.testing.assert_allclose(found, read_image(path).astype(int), atol=tolerance)


def test_other_formats_are_stored_without_loss(tmp_path):
    images = tmp_path / "images"
    save(images / "bmp.bmp", picture(1))
    save(images / "deep.png", np.arange(768, dtype=np.uint16).reshape(24, 32) * 80)
    Image.fromarray(picture(2)).quantize(16).save(images / "palette.png")
    alpha = np.concatenate([picture(3), picture(4)[..., :1]], axis=-1)
    save(images / "alpha.png", alpha)
    keyed = Image.fromarray(picture(5))
    keyed.save(images / "keyed.png", transparency=keyed.getpixel((3, 3)))
    for path in list(images.iterdir()):
        save(tmp_path / "masks" / f"{path.stem}.png", picture(0)[..., 0])
    run(tmp_path)
    found = records(tmp_path / "out")
    for path in images.iterdir():
        np.testing.assert_array_equal(found[path.stem]["image"], read_image(path))


def test_mask_encodings_of_the_known_sets_are_read(tmp_path):
    grey = picture(0)[..., 0]
    binary = (grey > 127).astype(np.uint8) * 255
    masks = {
        "grey": Image.fromarray(grey),
        "rgb": Image.fromarray(np.stack([grey] * 3, axis=-1)),
        "bit": Image.fromarray(binary).convert("1"),
        "palette": Image.fromarray(binary).convert("P"),
    }
    for name, mask in masks.items():
        save(tmp_path / "images" / f"{name}.jpg", picture(1))
        (tmp_path / "masks").mkdir(exist_ok=True)
        mask.save(tmp_path / "masks" / f"{name}.png")
    run(tmp_path)
    found = records(tmp_path / "out")
    for name in masks:
        expected = grey if name in ("grey", "rgb") else binary
        np.testing.assert_array_equal(found[name]["mask"][..., 0], expected)


def test_repeated_images_under_two_names_are_two_records(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / "images" / f"{name}.png", picture(0))
        save(tmp_path / "masks" / f"{name}.png", picture(0)[..., 0])
    assert run(tmp_path)[0].count == 2


@pytest.mark.parametrize("missing", ["images/im1.png", "masks/im1.png"])
def test_pairs_are_made_by_name_when_one_is_missing(tmp_path, missing):
    make_pairs(tmp_path, 3)
    (tmp_path / missing).unlink()
    with pytest.raises(PicanetError, match=r"im1.png: no (mask|image) of this name"):
        run(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images", "masks"]

    manifest, bad = run(tmp_path, skip_bad=True)
    assert manifest.count == 2
    left = "masks" if missing.startswith("images") else "images"
    assert [file.file for file in bad] == [str(tmp_path / left / "im1.png")]
    for key, record in records(tmp_path / "out").items():
        np.testing.assert_array_equal(record["image"], picture(int(key[2:])))
        np.testing.assert_array_equal(record["mask"][..., 0], record["image"][..., 0])


def test_every_bad_file_is_listed_and_nothing_written(tmp_path):
    make_pairs(tmp_path, 6)
    (tmp_path / "images" / "im0.png").write_text("text")
    (tmp_path / "masks" / "im0.png").write_text("text")
    save(tmp_path / "masks" / "im1.png", np.zeros((32, 24), np.uint8))
    (tmp_path / "masks" / "stray.png").touch()
    save(tmp_path / "images" / "im2.jpg", picture(0))  # Beside im2.png.
    with pytest.raises(PicanetError) as raised:
        run(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images", "masks"]
    message = str(raised.value)
    assert message.startswith("7 bad files, nothing is written without `skip_bad`:")
    for line in (
        r"images/im0.png: not an image",
        r"masks/im0.png: not an image",
        r"masks/im1.png: 24 x 32, but its image .*images/im1.png is 32 x 24",
        r"masks/stray.png: no image of this name",
        r"images/im2.png: has the same name as im2.jpg",
        r"images/im2.jpg: has the same name as im2.png",
        r"masks/im2.png: not the only mask or image named im2",
    ):
        assert re.search(line, message)

    manifest, bad = run(tmp_path, skip_bad=True)
    assert len(bad) == 7
    assert list(records(tmp_path / "out")) == ["im3", "im4", "im5"]


@pytest.mark.parametrize("role", ["images", "masks"])
def test_bad_images_are_named(role, tmp_path):
    for name in bad_images.BAD:
        bad_images.write(tmp_path / role, name)
        other = tmp_path / ("masks" if role == "images" else "images")
        stem = Path(bad_images.CASES[name].file).stem
        save(other / f"{stem}.png", np.asarray(bad_images.half()))
    with pytest.raises(PicanetError) as raised:
        run(tmp_path)
    for name in bad_images.BAD:
        case = bad_images.CASES[name]
        assert f"  {tmp_path / role / case.file}: {case.reason}" in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_unusual_but_valid_images_are_converted(tmp_path):
    for role in ("images", "masks"):
        bad_images.write_all(tmp_path / role, bad_images.GOOD)
    run(tmp_path)
    assert verify(tmp_path / "out")[1] == []
    found = records(tmp_path / "out")
    assert len(found) == len(bad_images.GOOD)
    for name in bad_images.GOOD:
        case = bad_images.CASES[name]
        record = found[Path(case.file).stem]
        assert (record["width"], record["height"]) == case.size
        expected = np.asarray(bad_images.half())
        if name in ("pixel", "long"):
            expected = np.asarray(bad_images.half(*case.size))
        if name == "turned":
            expected = np.rot90(expected, -1)
        mask = record["mask"][..., 0].astype(int)
        # JPEG, and transparency: over black in masks, over white in images.
        np.testing.assert_allclose(mask, expected, atol=8, err_msg=name)
        image = record["image"][..., 1].astype(int)
        if name == "transparent":
            expected = np.full_like(expected, 255)
        np.testing.assert_allclose(image, expected, atol=8, err_msg=name)


def test_images_and_masks_in_one_folder(tmp_path):
    save(tmp_path / "Imgs" / "1.jpg", picture(0))
    save(tmp_path / "Imgs" / "1.png", picture(0)[..., 0])
    folder = tmp_path / "Imgs"
    manifest, _ = convert_folders(folder, folder, tmp_path / "out", name="sod")
    assert manifest.count == 1


def test_an_existing_output_stays_unless_overwritten(tmp_path):
    make_pairs(tmp_path, 2)
    run(tmp_path)
    with pytest.raises(PicanetError, match="exists; `overwrite`"):
        run(tmp_path)
    (tmp_path / "masks" / "im1.png").unlink()
    with pytest.raises(PicanetError, match="bad file"):
        run(tmp_path, overwrite=True)
    assert load_manifest(tmp_path / "out").count == 2  # A failure replaces nothing.
    run(tmp_path, overwrite=True, skip_bad=True)
    assert load_manifest(tmp_path / "out").count == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images", "masks", "out"]


def test_overwrite_does_not_touch_other_folders_and_files(tmp_path):
    make_pairs(tmp_path, 2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    for overwrite in (False, True):  # Neither promises what the other refuses.
        with pytest.raises(PicanetError, match="not a converted data set"):
            run(tmp_path, overwrite=overwrite)
    assert (tmp_path / "out" / "thesis.tex").exists()
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").touch()
    for overwrite in (False, True):
        with pytest.raises(PicanetError, match="out is a file: give a new folder"):
            run(tmp_path, overwrite=overwrite)


@pytest.mark.parametrize(
    "manifest, why",
    [
        ('{"manifest_version": 3}', "manifest.json: format version None, but only 2"),
        ("{", "manifest.json: cannot be read: Expecting property name"),
    ],
)
def test_overwrite_does_not_touch_another_programs_manifest(tmp_path, manifest, why):
    make_pairs(tmp_path, 1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text(manifest)
    (tmp_path / "out" / "background.js").touch()
    for overwrite in (False, True):
        with pytest.raises(PicanetError) as raised:
            run(tmp_path, overwrite=overwrite)
        told = str(raised.value)
        assert told.startswith(
            f"`output` {tmp_path}/out exists, and `overwrite` does not touch it: "
            f"{tmp_path}/out/{why}"
        )
        assert told.endswith("Give another folder, or delete this one first")
    assert (tmp_path / "out" / "background.js").exists()


def test_overwrite_does_not_touch_a_data_set_with_other_files(tmp_path):
    make_pairs(tmp_path, 1)
    run(tmp_path)
    folder = make_pairs(tmp_path / "out", 2)
    for name in ("notes.txt", ".hidden"):
        (folder / name).touch()
    for overwrite in (False, True):
        with pytest.raises(PicanetError) as raised:
            convert_folders(
                folder / "images", folder / "masks", folder, overwrite=overwrite
            )
        assert str(raised.value) == (
            f"`output` {folder} holds files that are not of its data set, so "
            "`overwrite` does not touch it: .hidden, images, masks, .... Move them "
            "away, or give another folder"
        )
    assert len(list(folder.rglob("*.png"))) == 4
    shutil.rmtree(folder / "images")
    shutil.rmtree(folder / "masks")
    (folder / ".hidden").unlink()
    with pytest.raises(PicanetError, match="does not touch it: notes.txt. Move"):
        run(tmp_path, overwrite=True)
    (folder / "notes.txt").unlink()
    (folder / "00000.tfrecord").unlink()
    (folder / "00000.tfrecord").mkdir()
    with pytest.raises(PicanetError, match="does not touch it: 00000.tfrecord. Move"):
        run(tmp_path, overwrite=True)


@pytest.mark.parametrize("existed", [False, True])
def test_files_created_during_the_conversion_are_kept(tmp_path, existed):
    make_pairs(tmp_path, 2)
    if existed:
        run(tmp_path)
    before = sorted((tmp_path / "out").glob("*"))

    def write(*args):
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / "thesis.txt").write_text("mine")
        return convert.write_shards(*args)

    source = folder_source(tmp_path / "images", tmp_path / "masks")
    rule = "does not touch it: thesis.txt" if existed else "not a converted data set"
    with pytest.raises(PicanetError, match=rule):
        convert_dataset(
            source, tmp_path / "out", convert.Options(overwrite=True), write=write
        )
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"
    assert sorted((tmp_path / "out").glob("*")) == [
        *before,
        tmp_path / "out" / "thesis.txt",
    ]


@pytest.mark.parametrize("output", [".", "..", "sub/..", "../out"])
def test_current_folder_is_rejected_as_output(tmp_path, monkeypatch, output):
    make_pairs(tmp_path, 1)
    run(tmp_path)
    (tmp_path / "out" / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    with pytest.raises(PicanetError) as raised:
        convert_folders("../images", "../masks", output, overwrite=True)
    assert str(raised.value) == (
        f"`output` {output} is the current folder, or holds it: give the name of "
        "another one, such as data/mine"
    )
    assert load_manifest(".").count == 1


def test_uncreatable_output_is_reported_as_it_was_given(tmp_path):
    make_pairs(tmp_path, 2)
    (tmp_path / "file").touch()
    told = r"^`output` \S+/file/out cannot be made: (Not a directory|File exists)$"
    with pytest.raises(PicanetError, match=told):
        convert_folders(
            tmp_path / "images", tmp_path / "masks", tmp_path / "file/out", name="x"
        )


@pytest.mark.parametrize("step", ["shards", "manifest"])
def test_full_disk_error_names_the_output(tmp_path, monkeypatch, step):
    def full(manifest):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    make_pairs(tmp_path, 2)
    if step == "shards":
        writer = tf.io.TFRecordWriter
        monkeypatch.setattr(tf.io, "TFRecordWriter", lambda _: writer("/dev/full"))
    else:
        monkeypatch.setattr(convert, "save_manifest", full)
    with pytest.raises(DiskFullError) as raised:
        run(tmp_path)
    assert str(raised.value) == f"Cannot write {tmp_path}/out: No space left on device"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images", "masks"]


def test_unwritable_shard_raises_an_os_error(tmp_path):
    path = tmp_path / "none" / "00000.tfrecord"
    with pytest.raises(FileNotFoundError) as raised:
        write_shard([b"record"], path)
    assert raised.value.filename == str(path)
    assert raised.value.strerror == "No such file or directory"

    def broken():
        yield b"record"
        raise tf.errors.DataLossError(None, None, "mine")

    with pytest.raises(tf.errors.DataLossError, match="mine"):
        write_shard(broken(), tmp_path / "00000.tfrecord")


def test_an_interruption_leaves_nothing_behind(tmp_path, monkeypatch):
    make_pairs(tmp_path, 4)
    encode = sources.encode_pair

    def interrupted(pair, **options):
        if pair.key == "im3":
            raise KeyboardInterrupt
        return encode(pair, **options)

    monkeypatch.setattr(sources, "encode_pair", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, shard_size=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images", "masks"]


def test_sigterm_swallowed_by_python_is_obeyed(tmp_path):
    class Called:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)  # "Exception ignored in"

    with pytest.raises(SystemExit), publishing(tmp_path / "out"):
        Called()
    assert list(tmp_path.iterdir()) == []


def test_second_sigterm_does_not_stop_the_cleanup(tmp_path, monkeypatch):
    def twice(*arguments, **options):
        signal.raise_signal(signal.SIGTERM)
        rmtree(*arguments, **options)

    rmtree = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", twice)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop, publishing(tmp_path / "new/out"):
        signal.raise_signal(signal.SIGTERM)
    assert stop.value.code == 143
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_folders_without_pairs_are_an_error(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    output = tmp_path / "new" / "deep" / "out"
    with pytest.raises(PicanetError, match="no pair in .*: no images"):
        convert_folders(tmp_path / "images", tmp_path / "masks", output, name="none")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "wrong", [{"shard_size": 0}, {"workers": -1}, {"max_pixels": 0}]
)
def test_invalid_arguments_are_rejected(tmp_path, wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(PicanetError, match=f"`{name}` must be .* {name}={value}"):
        run(tmp_path, **wrong)


def test_masks_of_zeros_and_ones_are_indices(tmp_path):
    indices = picture(0)[..., 0] // 128
    save(tmp_path / "images" / "a.png", picture(0))
    save(tmp_path / "masks" / "a.png", indices)
    told = []
    source = folder_source(tmp_path / "images", tmp_path / "masks")
    convert_dataset(source, tmp_path / "out", tell=told.append)
    assert told == ["1 mask: indices up to 1, non-zero is foreground"]
    mask = records(tmp_path / "out")["a"]["mask"][..., 0]
    np.testing.assert_array_equal(mask, indices * 255)

    # The known data sets are read as they are.
    source = dataclasses.replace(source, read_mask=None)
    convert_dataset(source, tmp_path / "known", tell=told.append)
    assert len(told) == 1
    mask = records(tmp_path / "known")["a"]["mask"][..., 0]
    np.testing.assert_array_equal(mask, indices)


def test_index_mask_in_a_known_set_is_warned_about(tmp_path, caplog):
    save(tmp_path / "images" / "a.png", picture(0))
    save(tmp_path / "masks" / "a.png", picture(0)[..., 0] // 128)
    convert_dataset(find_source("ecssd", source=str(tmp_path)), tmp_path / "out")
    assert "a: the mask's largest value is 1 of 255" in caplog.text


def test_masks_that_are_photos_are_refused_by_name(tmp_path):
    make_pairs(tmp_path, 3)
    save(tmp_path / "masks" / "im1.png", picture(1))
    told = rf"1 bad file, .*:\n  {tmp_path}/masks/im1.png: a photo, not a mask: "
    with pytest.raises(PicanetError, match=told):
        run(tmp_path)
    assert not (tmp_path / "out").exists()
    assert run(tmp_path, skip_bad=True)[0].count == 2


def test_a_set_without_foreground_is_refused(tmp_path, caplog):
    make_pairs(tmp_path, 3)
    for number in range(2):
        save(tmp_path / "masks" / f"im{number}.png", np.zeros((24, 32), np.uint8))
    assert run(tmp_path)[0].count == 3
    told = f"{tmp_path}/images and {tmp_path}/masks: 2 of 3 masks without foreground"
    assert told in caplog.text
    save(tmp_path / "masks" / "im2.png", picture(2)[..., 0].astype(np.uint16) // 2)
    with pytest.raises(PicanetError, match="3 of 3 masks without .* of 65,535, in .*2"):
        run(tmp_path, overwrite=True)
    assert load_manifest(tmp_path / "out").count == 3  # the old one


def test_inverted_masks_are_warned_about_and_can_be_inverted(tmp_path, caplog):
    make_pairs(tmp_path, 2)
    for number in range(2):
        save(tmp_path / "masks" / f"im{number}.png", np.full((24, 32), 255, np.uint8))
    save(tmp_path / "masks" / "im0.png", np.pad(np.zeros((4, 8), np.uint8),
                                               ((10, 10), (12, 12)),
                                               constant_values=255))  # fmt: skip
    run(tmp_path)
    assert "2 of 2 masks bright along most of the border" in caplog.text
    run(tmp_path, overwrite=True, invert_masks=True)
    found = records(tmp_path / "out")
    assert found["im0"]["mask"].sum() == 4 * 8 * 255 and not found["im1"]["mask"].any()


def test_subfolders_and_mask_suffixes_are_paired(tmp_path):
    for number, place in enumerate(("a/1", "b/1", "2")):
        save(tmp_path / "images" / f"{place}.JPG", picture(number), format="JPEG")
        save(tmp_path / "masks" / f"{place}_mask.PNG", picture(number)[..., 0])
    manifest, bad = run(tmp_path, mask_suffix="_mask")
    assert (manifest.count, bad) == (3, [])
    found = records(tmp_path / "out")
    assert list(found) == ["2", "a/1", "b/1"]
    for key, number in (("a/1", 0), ("b/1", 1), ("2", 2)):
        mask = found[key]["mask"][..., 0]
        np.testing.assert_array_equal(mask, picture(number)[..., 0])


def test_several_processes_make_the_same_data_set(tmp_path, monkeypatch):
    make_pairs(tmp_path, 9)
    monkeypatch.setattr(convert, "_WORTH_WORKERS", 0)
    (tmp_path / "images" / "im4.png").write_text("text")
    alone, bad_alone = run(tmp_path, skip_bad=True)
    together, bad = run(tmp_path, skip_bad=True, overwrite=True, workers=2)
    assert alone.fingerprint == together.fingerprint
    assert bad == bad_alone


@pytest.mark.shared_data
def test_real_pairs_of_ecssd_are_converted(tmp_path):
    source = SHARED / "ECSSD"
    if not source.is_dir():
        pytest.skip(f"no research data in {SHARED}")
    for path in sorted((source / "images").iterdir())[:5]:
        mask = source / "ground_truth_mask" / f"{path.stem}.png"
        for file, folder in ((path, "images"), (mask, "masks")):
            target = tmp_path / folder / file.name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(file.read_bytes())
    manifest, bad = run(tmp_path)
    assert (manifest.count, bad) == (5, [])
    for key, record in records(tmp_path / "out").items():
        expected = read_image(tmp_path / "images" / f"{key}.jpg")
        np.testing.assert_array_equal(record["image"], expected)
        assert set(np.unique(record["mask"])) == {0, 255}


def test_files_that_tensorflow_cannot_decode_are_bad(tmp_path):
    make_pairs(tmp_path, 2)
    for folder in ("images", "masks"):
        path = tmp_path / folder / "im1.png"
        path.write_bytes(path.read_bytes()[:-12])  # All but its end.
        assert read_image(path).shape == (24, 32, 3)
    manifest, bad = run(tmp_path, skip_bad=True)
    assert [file.file for file in bad] == [
        f"{tmp_path}/images/im1.png",
        f"{tmp_path}/masks/im1.png",
    ]
    assert bad[0].reason.startswith("TensorFlow cannot read it: Invalid PNG data")
    assert manifest.count == 1 and list(records(tmp_path / "out")) == ["im0"]


def test_the_command_may_be_called_again_in_one_process(tmp_path):
    make_pairs(tmp_path, 2)
    code = (
        "import sys; from absl import flags; from data_pipeline import convert\n"
        "convert.define_flags()\n"
        "for words in (['--name=one'], ['--name=two', '--overwrite']):\n"
        "    flags.FLAGS.unparse_flags()\n"
        "    flags.FLAGS([*sys.argv, *words])\n"
        "    convert.main([])\n"
    )
    words = ["--dataset=pairs", "--images=images", "--masks=masks", "--output=out"]
    run = commands.call("-c", code, *words, cwd=tmp_path)
    assert run.stdout.splitlines() == [
        "2 masks: 8-bit grey (soft)",
        "out: one, masks, 2 records in 1 shard",
        "2 masks: 8-bit grey (soft)",
        "out: two, masks, 2 records in 1 shard",
    ], run.stderr


def test_files_with_too_many_pixels_are_bad(tmp_path):
    make_pairs(tmp_path, 1)
    with pytest.raises(PicanetError, match="at most 767 pixels are accepted.* 32 x 24"):
        run(tmp_path, max_pixels=767)
    assert run(tmp_path, max_pixels=768)[0].count == 1


def test_non_utf8_names_are_converted(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    folder = make_pairs(tmp_path / name, 1)
    for kind in ("images", "masks"):
        (folder / kind / "im0.png").rename(folder / kind / f"{name}.png")
    assert run(folder)[0].count == 1
    (record,) = read_originals(folder / "out", MASK).as_numpy_iterator()
    assert record["key"] == b"caf\xe9"
