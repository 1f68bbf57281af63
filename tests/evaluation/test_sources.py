"""Methods and data sets, whatever they come from."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picanet_tf.core.errors import PicanetError
from picanet_tf.evaluation import sources
from picanet_tf.evaluation.samples import Sample
from tests.evaluation.methods import ALL, MASK, PERFECT, data_set, method


def test_maps_on_disk_are_matched_to_the_data_set(tmp_path, caplog):
    lists = {tmp_path: ["a.png", "b.png", "more.png"]}
    read = {"a.png": PERFECT, "b.png": ALL}
    maps = sources.maps_on_disk(
        f"DSS={tmp_path}",
        lambda folder: [Path(folder, name) for name in lists[folder]],
        lambda path: read[path.name],
    )
    assert maps.name == "DSS"
    maps.check(data_set())
    assert caplog.messages == [
        f"{tmp_path}: left out 1 maps that ECSSD does not have, such as more.png"
    ]
    found = list(maps.predict(data_set()))
    assert [sample.name for sample, _ in found] == ["a", "b"]
    assert found[1][1] is ALL

    # A folder of the data set's name, in any case, goes ahead.
    (tmp_path / "ecssd").mkdir()
    lists[tmp_path / "ecssd"] = ["b.png"]
    with pytest.raises(PicanetError, match="ecssd: 1 of 2 maps for ECSSD are.* a. F"):
        maps.check(data_set())
    lists[tmp_path / "ecssd"] = ["b.png", "b.jpg"]
    with pytest.raises(PicanetError, match="b.jpg has the same name as b.png"):
        maps.check(data_set())


def test_maps_in_subfolders_and_with_the_mask_suffix_are_found(tmp_path):
    files = [tmp_path / "x" / "a.png", tmp_path / "b_mask.png"]
    data = data_set()._replace(keys=lambda: ["x/a", "b"], file_suffix="_mask")
    samples = [Sample("x/a", MASK), Sample("b", MASK)]
    data = data._replace(samples=lambda: iter(samples))
    read = dict(zip(files, (PERFECT, ALL), strict=True)).get
    maps = sources.maps_on_disk(f"X={tmp_path}", lambda _: files, read)
    maps.check(data)
    found = [(sample.name, predicted) for sample, predicted in maps.predict(data)]
    assert found[0] == ("x/a", PERFECT) and found[1] == ("b", ALL)
    with pytest.raises(PicanetError, match="`predictions` nowhere: no such folder"):
        sources.maps_on_disk("X=nowhere", lambda _: files, None).check(data)


@pytest.fixture
def folders(tmp_path):
    """Photos of 8 x 6 pixels, and masks of the indices 0 and 1 in a sub-folder."""
    for number in range(2):
        mask = np.zeros((6, 8), np.uint8)
        mask[2:4, 2 : 4 + number] = 1
        for name, array in (
            (f"images/s/{number}.jpg", np.zeros((6, 8, 3), np.uint8)),
            (f"masks/s/{number}_mask.png", mask),
        ):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("images", ["images", None])
def test_folders_are_read_as_convert_reads_them(folders, images, caplog):
    images = images and str(folders / images)
    data = sources.folder_data_set(
        "set", images, str(folders / "masks"), mask_suffix="_mask"
    )
    assert (data.count, list(data.keys())) == (2, ["s/0", "s/1"])
    with caplog.at_level(logging.INFO, "absl"):
        for _ in range(2):
            truths = [sample.truth for sample in data.samples()]
    assert [truth.sum() // 255 for truth in truths] == [4, 6]
    told = "2 masks: indices up to 1, non-zero is foreground"
    assert caplog.messages == [told]  # once
    inverted = sources.folder_data_set(
        "set", images, str(folders / "masks"), mask_suffix="_mask", invert=True
    )
    assert next(iter(inverted.samples())).truth.sum() == 255 * (48 - 4)


def test_folders_without_foreground_are_refused(folders):
    for path in (folders / "masks" / "s").iterdir():
        Image.fromarray(np.zeros((6, 8), np.uint8)).save(path)
    data = sources.folder_data_set("set", None, str(folders / "masks"))
    with pytest.raises(PicanetError, match="masks: 2 of 2 masks without foreground"):
        list(data.samples())


def test_methods_are_named_by_flag_or_folder(tmp_path):
    named = tmp_path / "a=b"
    named.mkdir()
    assert sources.maps_on_disk(str(named), list, list).name == "a=b"
    assert sources.maps_on_disk("maps/dss", list, list).name == "dss"
    for flag in ("=maps", "DSS="):
        with pytest.raises(PicanetError, match="`predictions` must be NAME=DIR"):
            sources.maps_on_disk(flag, list, list)


def test_methods_of_one_name_get_distinct_names():
    first, second = method("UNet"), method("UNet")
    second = second._replace(facts={"model": "runs/other"})
    named = sources.name_uniquely([first, second, method("center")])
    assert [each.name for each in named] == [
        "UNet (runs/UNet)",
        "UNet (runs/other)",
        "center",
    ]
    with pytest.raises(PicanetError, match="Two methods are named DSS"):
        sources.name_uniquely([method("DSS")._replace(facts={})] * 2)
    # Their files would be in the same folder.
    with pytest.raises(PicanetError, match=r"named A/B and A_B \(folder A_B\)"):
        sources.name_uniquely([method("A/B"), method("A_B")])


def test_networks_need_images():
    network = sources.network("ours", None, {}, None)
    with pytest.raises(PicanetError, match="ours needs images.*give `images`"):
        network.check(data_set())


def test_networks_are_loaded_when_checked():
    def load():
        raise PicanetError("a detection network")

    data = data_set()
    image = np.zeros((*MASK.shape, 3), np.uint8)
    data = data._replace(samples=lambda: [Sample("a", MASK, image)])
    with pytest.raises(PicanetError, match="a detection network"):
        sources.network("ours", load, {}, None).check(data)


def test_image_and_mask_sizes_must_agree():
    files = {"a": (Path("a.jpg"), Path("a.png"))}
    image = np.zeros((3, 5, 3), np.uint8)
    samples = sources.read_files(files, lambda _: image, lambda _: MASK)
    with pytest.raises(PicanetError, match="a.png: 4 x 1, but.*a.jpg is 5 x 3"):
        next(samples)


def test_picked_images_are_spread_evenly():
    assert sources.spread_evenly(100, 3) == {0, 49, 99}
    assert sources.spread_evenly(2, 6) == {0, 1}
    assert sources.spread_evenly(5, 0) == set()
