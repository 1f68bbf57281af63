"""Apache Beam is optional: without it, only its error is tested."""

import importlib.util

import numpy as np
import pytest
from PIL import Image

from data_pipeline.convert import Options, convert_dataset
from data_pipeline.convert_beam import convert_on_beam
from data_pipeline.kinds import CLASS_MAP, MASK
from data_pipeline.sources import folder_source
from picanet_tf.core.errors import PicanetError
from tests.data_pipeline.conftest import make_pairs, read_payloads, save

HAS_BEAM = importlib.util.find_spec("apache_beam") is not None
WANTS_BEAM = pytest.mark.skipif(not HAS_BEAM, reason="Apache Beam is not installed")


@pytest.fixture
def folder(tmp_path):
    return make_pairs(tmp_path, 7)


def converted(convert, folder, kind=MASK, **options):
    source = folder_source(folder / "images", folder / "masks", kind=kind)
    options = Options(name="seven", shard_size=3, **options)
    return convert(source, folder / convert.__name__, options)


@WANTS_BEAM
def test_the_same_records(folder):
    ours, _ = converted(convert_on_beam, folder)
    theirs, _ = converted(convert_dataset, folder)
    assert ours.fingerprint == theirs.fingerprint
    assert read_payloads(ours.folder) == read_payloads(theirs.folder)
    names = sorted(path.name for path in ours.folder.iterdir())
    assert names == [*(f"0000{i}.tfrecord" for i in range(3)), "manifest.json"]


@WANTS_BEAM
def test_bad_files_are_left_out_or_told(folder):
    for number in (3, 4, 5, 6):
        (folder / "images" / f"im{number}.png").write_bytes(b"no picture")
    with pytest.raises(PicanetError, match=r"4 bad files.*\n.*im3.png"):
        converted(convert_on_beam, folder)
    assert not (folder / "convert_on_beam").exists()
    ours, bad = converted(convert_on_beam, folder, skip_bad=True)
    assert len(bad) == 4
    theirs, _ = converted(convert_dataset, folder, skip_bad=True)
    assert read_payloads(ours.folder) == read_payloads(theirs.folder)


@WANTS_BEAM
def test_class_maps(folder):
    for path in (folder / "masks").iterdir():
        save(path, np.asarray(Image.open(path)) // 13)
    ours, _ = converted(convert_on_beam, folder, kind=CLASS_MAP)
    theirs, _ = converted(convert_dataset, folder, kind=CLASS_MAP)
    assert ours.kind == CLASS_MAP and ours.fingerprint == theirs.fingerprint


@pytest.mark.skipif(HAS_BEAM, reason="Apache Beam is installed")
def test_without_beam(folder):
    with pytest.raises(PicanetError, match="pip install apache-beam"):
        converted(convert_on_beam, folder)
    assert not (folder / "convert_on_beam").exists()
