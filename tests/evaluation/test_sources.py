"""Methods and data sets, whatever they come from."""

from pathlib import Path

import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.evaluation import sources
from picanet_tf.evaluation.samples import Sample
from tests.evaluation.methods import ALL, MASK, PERFECT, data_set, method


def test_maps_on_disk(tmp_path):
    lists = {tmp_path: ["a.png", "b.png", "more.png"]}
    read = {"a.png": PERFECT, "b.png": ALL}
    maps = sources.maps_on_disk(
        f"DSS={tmp_path}",
        lambda folder: [Path(folder, name) for name in lists[folder]],
        lambda path: read[path.name],
    )
    assert maps.name == "DSS"
    maps.check(data_set())
    found = list(maps.predict(data_set()))
    assert [sample.name for sample, _ in found] == ["a", "b"]
    assert found[1][1] is ALL

    # A folder of the data set's name, in any case, goes ahead.
    (tmp_path / "ecssd").mkdir()
    lists[tmp_path / "ecssd"] = ["b.png"]
    with pytest.raises(PicanetError, match="ecssd: 1 of 2 maps for ECSSD are.* a$"):
        maps.check(data_set())
    lists[tmp_path / "ecssd"] = ["b.png", "b.jpg"]
    with pytest.raises(PicanetError, match="b.jpg has the same name as b.png"):
        maps.check(data_set())


def test_names(tmp_path):
    named = tmp_path / "a=b"
    named.mkdir()
    assert sources.maps_on_disk(str(named), list, list).name == "a=b"
    assert sources.maps_on_disk("maps/dss", list, list).name == "dss"
    for flag in ("=maps", "DSS="):
        with pytest.raises(PicanetError, match="`predictions` must be NAME=DIR"):
            sources.maps_on_disk(flag, list, list)


def test_equal_methods_are_told_apart():
    first, second = method("UNet"), method("UNet")
    second = second._replace(facts={"model": "runs/other"})
    named = sources.name_uniquely([first, second, method("center")])
    assert [each.name for each in named] == [
        "UNet (UNet)",
        "UNet (other)",
        "center",
    ]
    with pytest.raises(PicanetError, match="Two methods are named DSS"):
        sources.name_uniquely([method("DSS")._replace(facts={})] * 2)


def test_networks_want_images():
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


def test_sizes_must_agree():
    files = {"a": (Path("a.jpg"), Path("a.png"))}
    image = np.zeros((3, 5, 3), np.uint8)
    samples = sources.read_files(files, lambda _: image, lambda _: MASK)
    with pytest.raises(PicanetError, match="a.png: 4 x 1, but.*a.jpg is 5 x 3"):
        next(samples)


def test_evenly():
    assert sources.spread_evenly(100, 3) == {0, 49, 99}
    assert sources.spread_evenly(2, 6) == {0, 1}
    assert sources.spread_evenly(5, 0) == set()
