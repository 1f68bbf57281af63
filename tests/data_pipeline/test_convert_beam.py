"""Apache Beam is optional: without it, only its error is tested."""

import importlib.util

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_pipeline.convert import convert_saliency
from data_pipeline.convert_beam import convert_saliency_on_beam
from data_pipeline.errors import UserError

HAS_BEAM = importlib.util.find_spec("apache_beam") is not None
WANTS_BEAM = pytest.mark.skipif(not HAS_BEAM, reason="Apache Beam is not installed")


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(7):
        for kind, shape in (("images", (9, 12, 3)), ("masks", (9, 12))):
            (tmp_path / kind).mkdir(exist_ok=True)
            array = rng.integers(0, 256, shape, np.uint8)
            Image.fromarray(array).save(tmp_path / kind / f"{number}.png")
    return tmp_path


def records(folder):
    return [
        record
        for path in sorted(folder.glob("*.tfrecord"))
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    ]


def converted(convert, folder, **options):
    arguments = (folder / "images", folder / "masks", folder / convert.__name__)
    return convert(*arguments, name="seven", shard_size=3, **options)


@WANTS_BEAM
def test_the_same_records(folder):
    ours, _ = converted(convert_saliency_on_beam, folder)
    theirs, _ = converted(convert_saliency, folder)
    assert ours.fingerprint == theirs.fingerprint
    assert records(ours.folder) == records(theirs.folder)
    names = sorted(path.name for path in ours.folder.iterdir())
    assert names == [*(f"0000{i}.tfrecord" for i in range(3)), "manifest.json"]


@WANTS_BEAM
def test_bad_files_are_left_out_or_told(folder):
    for number in (3, 4, 5, 6):
        (folder / "images" / f"{number}.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"4 bad files.*\n.*3.png"):
        converted(convert_saliency_on_beam, folder)
    assert not (folder / "convert_saliency_on_beam").exists()
    ours, bad = converted(convert_saliency_on_beam, folder, skip_bad=True)
    assert len(bad) == 4
    theirs, _ = converted(convert_saliency, folder, skip_bad=True)
    assert records(ours.folder) == records(theirs.folder)


@pytest.mark.skipif(HAS_BEAM, reason="Apache Beam is installed")
def test_without_beam(folder):
    with pytest.raises(UserError, match="pip install apache-beam"):
        converted(convert_saliency_on_beam, folder)
