"""The registry: what its entries may hold, and which file a name refers to."""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.presets import (
    default_preset,
    find_preset,
    list_presets,
    preset_for,
    registry,
)
from tests.presets.entries import CARD, entry, file, write
from tests.presets.file_server import Served, serving


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "FOLDER", tmp_path)
    return tmp_path


def test_default_preset_is_listed_first(folder):
    for name in ("a", "b", "c"):
        write(folder, entry(name, default=name == "b"))
    assert list(list_presets()) == ["b", "a", "c"]
    assert default_preset().name == "b"
    assert find_preset("c").card_path == folder / "c.md"
    assert str(find_preset("c")) == "the preset c"


def test_entry_is_read(folder):
    write(folder, entry(files={"litert": file("t.tflite", b"123", "http://x/t")}))
    preset = find_preset("tiny")
    assert (preset.task, preset.variant, preset.image_size) == ("saliency", "UNet", 32)
    assert (preset.width, preset.default, preset.folder) == (1 / 32, False, folder)
    assert preset.summary == "Finds nothing yet." and preset.card == CARD
    assert set(preset.files) == {"litert"}
    litert = preset.files["litert"]
    assert (litert.name, litert.bytes, litert.url) == ("t.tflite", 3, "http://x/t")
    assert litert.sha256.startswith("a665a45920422f9d417e4867efdc4fb8")


def test_unknown_names_are_reported(folder):
    with pytest.raises(PicanetError) as raised:
        find_preset("x")
    assert str(raised.value) == "There is no preset 'x'. There are: none"
    with pytest.raises(PicanetError, match="No presets in .*reinstall picanet-tf"):
        default_preset()
    write(folder, entry("a"))
    write(folder, entry("b"))
    with pytest.raises(PicanetError, match="preset 'x'. There are: a, b$"):
        find_preset("x")
    with pytest.raises(PicanetError, match="give a `model`"):
        default_preset()


WEIGHTS = file("w.npz", b"")


def without(name):
    return {key: value for key, value in entry().items() if key != name}


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ("{", "Expecting property name"),
        ("[]", "the entry must be an object"),
        ("[" * 100_000, "recursion"),
        *((without(name), f"missing: .'{name}'.") for name in entry()),
        (
            entry(colour="red"),
            r"the entry must have the fields name, .*; unknown: .'colour'.",
        ),
        (entry(image_size="224"), "'image_size' of the entry is of the wrong type"),
        (entry(image_size=True), "'image_size' .*Received: True"),
        (entry(width="1"), "'width' of the entry"),
        (entry(default="no"), "'default' of the entry .*Received: 'no'"),
        (entry(card={}), "card must have the fields summary; missing"),
        (entry(card={"summary": 3}), "'summary' of card is of the wrong type"),
        (entry(files={"weights": []}), r"files\['weights'\] must be an object"),
        (entry(files={"weights": {"name": "a"}}), "missing: .'bytes', 'sha256', 'url'"),
        (entry(files={"weights": {**WEIGHTS, "bytes": "3"}}), "'bytes' of files"),
        (entry(files={"onnx": WEIGHTS}), r"Received: 'tiny' and \['onnx'\]"),
        (entry("../tiny"), "Received: '../tiny' and"),
        (entry("other"), "its name must be 'tiny'.* Received: 'other' and"),
        *(
            (
                entry(files={"weights": {**WEIGHTS, "name": name}}),
                f"'{name}' is not the name of a file",
            )
            for name in ("../w.npz", "/etc/passwd", "a/b", "..", ".", "", "a/")
        ),
    ],
)
def test_invalid_entries_are_named(folder, values, rule):
    path = write(folder, values, "tiny")
    for ask in (list_presets, lambda: find_preset("other"), default_preset):
        with pytest.raises(PicanetError, match=rule) as raised:
            ask()
        assert str(raised.value).startswith(f"{path} is not the entry of a preset: ")
        assert "\n" not in str(raised.value)


def test_unreadable_entries_are_reported(folder, monkeypatch):
    path = folder / "tiny.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PicanetError, match=f"{path} is not the entry of a preset"):
        list_presets()

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(PicanetError) as raised:
        list_presets()
    assert str(raised.value) == f"Cannot read {path}: Permission denied"


def test_files_of_the_package_are_checked(folder):
    content = b"weights"
    write(folder, entry(files={"weights": file("w.npz", content)}))
    path = folder / "w.npz"
    with pytest.raises(PicanetError) as raised:
        find_preset("tiny").path("weights")
    assert str(raised.value) == (
        f"The file {path} of the preset tiny is missing: reinstall picanet-tf"
    )
    path.write_bytes(content)
    assert find_preset("tiny").path("weights") == path
    path.write_bytes(b"weightz")
    with pytest.raises(PicanetError, match=f"file {path} .* is damaged .*install pica"):
        find_preset("tiny").path("weights")


def test_preset_without_files_is_reported(folder):
    write(folder, entry())
    with pytest.raises(PicanetError) as raised:
        find_preset("tiny").path("litert")
    assert str(raised.value) == (
        "The preset tiny has no litert file: only its card and scores are published, "
        f"in {folder}/tiny.md"
    )


def test_a_remote_file_is_downloaded_once(folder, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(folder / "keras"))
    with serving(Served(b"far away" * 1000)) as served:
        remote = file("w.npz", served.content, served.url)
        write(folder, entry(files={"weights": remote}))
        path = find_preset("tiny").path("weights")
        assert path == folder / "keras" / "picanet_tf" / "w.npz"
        assert find_preset("tiny").path("weights").read_bytes() == served.content
        assert served.asked == [""]
    path.unlink()
    with pytest.raises(PicanetError, match=f"Cannot download {served.url}: "):
        find_preset("tiny").path("weights")


def test_a_remote_preset_gives_its_weights(folder, monkeypatch):
    from picanet_tf.saliency import build_model

    monkeypatch.setenv("KERAS_HOME", str(folder / "keras"))
    made = build_model("UNet", 32, width=1 / 32)
    np.savez(folder / "made.npz", **{v.path: v.numpy() for v in made.weights})
    with serving(Served((folder / "made.npz").read_bytes())) as served:
        remote = file("tiny.npz", served.content, served.url)
        write(folder, entry(files={"weights": remote}))
        network = build_model(weights="tiny")
    assert network.name == "picanet_UNet" and network.input.shape == (None, 32, 32, 3)
    for ours, theirs in zip(network.weights, made.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_preset_must_fit_the_requested_network(folder):
    write(folder, entry())
    for variant in (None, "UNet"):
        assert preset_for("tiny", "saliency", variant).name == "tiny"
    for weights in (None, "hed", "imagenet", "tiny.npz", Path("tiny"), 3):
        assert preset_for(weights, "saliency", "UNet") is None
    with pytest.raises(PicanetError) as raised:
        preset_for("tiny", "detection", None)
    assert str(raised.value) == (
        "The preset tiny is for saliency, the network for detection"
    )
    with pytest.raises(PicanetError, match="tiny is a UNet. Received: variant='6GAP'"):
        preset_for("tiny", "saliency", "6GAP")


def test_copy_of_the_shipped_entry_reports_missing_files(folder):
    """The files that it lacks are reported by name."""
    source = Path(registry.__file__).parent / "picanet_vgg16_duts.json"
    shutil.copy(source, folder)
    for kind, suffix in (("litert", "tflite"), ("weights", "npz")):
        with pytest.raises(PicanetError, match=f"vgg16_duts.{suffix} .*missing"):
            default_preset().path(kind)
    assert default_preset().card == json.loads(source.read_text())["card"]
