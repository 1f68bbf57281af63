"""Apache Beam is optional: without it, only its error is tested."""

import importlib.util
import json
import re
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image

from data_pipeline import convert_beam
from data_pipeline.bad_files import Findings
from data_pipeline.convert import Options, convert_dataset
from data_pipeline.convert_beam import convert_on_beam
from data_pipeline.kinds import CLASS_MAP, MASK
from data_pipeline.manifest import Shard
from data_pipeline.sources import folder_source
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.masks import describe
from tests import commands
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
def test_beam_writes_the_same_records(folder):
    ours, _ = converted(convert_on_beam, folder)
    theirs, _ = converted(convert_dataset, folder)
    assert ours.fingerprint == theirs.fingerprint
    assert read_payloads(ours.folder) == read_payloads(theirs.folder)
    names = sorted(path.name for path in ours.folder.iterdir())
    assert names == [*(f"0000{i}.tfrecord" for i in range(3)), "manifest.json"]


@WANTS_BEAM
def test_bad_files_are_left_out_or_reported(folder):
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
def test_class_maps_are_converted(folder):
    for path in (folder / "masks").iterdir():
        save(path, np.asarray(Image.open(path)) // 13)
    ours, _ = converted(convert_on_beam, folder, kind=CLASS_MAP)
    theirs, _ = converted(convert_dataset, folder, kind=CLASS_MAP)
    assert ours.kind == CLASS_MAP and ours.fingerprint == theirs.fingerprint


def test_workers_report_bad_files_and_notes(folder):
    """Without Beam, which only calls these two functions."""
    save(folder / "masks" / "im1.png", np.ones((24, 32), np.uint8))
    (folder / "images" / "im2.png").write_bytes(b"no picture")
    source = folder_source(folder / "images", folder / "masks", invert_masks=True)
    pairs, _ = source.find_pairs()
    for number in range(2):
        convert_beam._write_shard(
            *(folder / f"0000{number}.tfrecord", pairs[4 * number : 4 * number + 4]),
            kind=source.kind,
            encode=source.encoder(1000),
        )
    found = Findings()
    shards = list(convert_beam._collect_shards(folder, found))
    assert [shard.count for shard in shards] == [3, 3]
    assert [file.file for file in found.bad] == [str(folder / "images" / "im2.png")]
    assert describe(found.notes) == [
        "5 masks: 8-bit grey (soft)",
        "1 mask: indices up to 1, non-zero is foreground",
    ]
    assert found.notes[1].file == str(folder / "masks" / "im1.png")
    assert not found.notes[1].foreground


def test_more_than_100000_shards_keep_their_order(tmp_path):
    for number in (99_998, 99_999, 100_000):
        shard = Shard(f"{number:05d}.tfrecord", 1, 10, "")
        note = {"shard": asdict(shard), "bad": [], "notes": []}
        (tmp_path / f"{number:05d}.json").write_text(json.dumps(note))
    found = convert_beam._collect_shards(tmp_path, Findings())
    assert [int(shard.file[:-9]) for shard in found] == [99_998, 99_999, 100_000]


def test_help_lists_exactly_the_supported_flags(folder):
    told = commands.call("-m", "data_pipeline.convert_beam", "--help").stdout
    listed = set(re.findall(r"^  --(?:\[no\])?(\w+)", told, re.M))
    assert listed == {
        *("beam", "dataset", "images", "invert_masks", "mask_suffix", "masks"),
        *("max_pixels", "name", "output", "overwrite", "sbd", "shard_size"),
        *("skip_bad", "source", "split"),
    }


@pytest.mark.skipif(HAS_BEAM, reason="Apache Beam is installed")
def test_missing_beam_is_reported(folder):
    with pytest.raises(PicanetError, match="pip install apache-beam"):
        converted(convert_on_beam, folder)
    assert not (folder / "convert_on_beam").exists()
