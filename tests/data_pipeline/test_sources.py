"""Data sets by the names and folders that a command line gives."""

import pytest

from data_pipeline.convert import convert_dataset
from data_pipeline.sources import DATASETS, find_source
from picanet_tf.core.errors import PicanetError
from tests.data_pipeline.conftest import make_pairs


@pytest.mark.parametrize("name", ["ecssd", "ECSSD", "pascal-s", "Pascal_S"])
def test_known_sets_are_found_by_any_spelling(tmp_path, name):
    make_pairs(tmp_path, 2)
    source = find_source(name, source=str(tmp_path))
    title, complete = {"e": ("ECSSD", 1000), "p": ("PASCAL-S", 850)}[name[0].lower()]
    assert (source.kind, source.name, source.complete) == ("mask", title, complete)
    pairs, bad = source.find_pairs()
    assert [pair.key for pair in pairs] == ["im0", "im1"] and bad == []


@pytest.mark.parametrize("name, kind", [("pairs", "mask"), ("class-maps", "class_map")])
def test_folder_source_is_named_after_its_output(tmp_path, name, kind):
    make_pairs(tmp_path, 1)
    folders = {"images": str(tmp_path / "images"), "masks": str(tmp_path / "masks")}
    source = find_source(name, **folders)
    assert (source.kind, source.complete) == (kind, None)
    if kind == "mask":
        manifest, _ = convert_dataset(source, tmp_path / "mine")
        assert (manifest.name, manifest.kind, manifest.count) == ("mine", "mask", 1)


def test_known_sets_have_no_sub_folders(tmp_path):
    make_pairs(tmp_path, 1)
    make_pairs(tmp_path / "images", 1)  # images/images/im0.png, images/masks/...
    source = find_source("ecssd", source=str(tmp_path))
    assert [pair.key for pair in source.find_pairs()[0]] == ["im0"]
    assert source.read_mask is None


def test_voc_sources_have_their_names_and_counts():
    def name(dataset, **places):
        source = find_source(dataset, source="x", **places)
        return source.kind, source.name, source.complete

    assert name("voc2012") == ("class_map", "VOC2012 train", 1464)
    assert name("voc2012", split="val") == ("class_map", "VOC2012 val", 1449)
    assert name("voc2012", sbd="s") == ("class_map", "VOC2012 train + SBD", None)
    assert name("voc2007", split="test") == ("boxes", "VOC2007 test", 4952)
    assert name("VOC2012_objects") == ("boxes", "VOC2012 trainval", 11540)
    assert name("voc0712") == ("boxes", "VOC07+12 trainval", 16551)


@pytest.mark.parametrize(
    "dataset, places, message",
    [
        ("dutz", {}, f"must be one of {', '.join(DATASETS)}. Received: 'dutz'"),
        ("duts", {}, "`dataset` duts needs `source`"),
        ("duts", {"source": "x", "split": "val"}, "must be train or test. Received"),
        ("duts", {"source": "x", "masks": "m"}, "`dataset` duts takes no `masks`"),
        ("duts", {"source": "x", "sbd": "s"}, "`dataset` duts takes no `sbd`"),
        ("voc2012", {"source": "x", "sbd": ""}, "`sbd`: an empty name, perhaps of an"),
        ("Duts", {}, "`dataset` Duts needs `source`"),
        ("pairs", {"images": "i"}, "`dataset` pairs needs `masks`"),
        (
            "pairs",
            {"images": "i", "masks": "m", "split": "s"},
            "pairs takes no `split`",
        ),
        ("duts", {"source": "x", "mask_suffix": "_m"}, "takes no `mask_suffix`"),
        ("ecssd", {"source": "x", "invert_masks": True}, "takes no `invert_masks`"),
        (
            "class-maps",
            {"images": "i", "masks": "m", "invert_masks": True},
            "class-maps takes no `invert_masks`",
        ),
        ("class-maps", {"masks": "m"}, "`dataset` class-maps needs `images`"),
        ("voc2012", {"source": "x", "images": "i"}, "voc2012 takes no `images`"),
        ("voc0712", {"source": "x", "sbd": "s"}, "voc0712 takes no `sbd`"),
    ],
)
def test_invalid_arguments_are_named(dataset, places, message):
    with pytest.raises(PicanetError, match=message):
        find_source(dataset, **places)
