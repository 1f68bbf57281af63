"""PASCAL VOC's boxes: lists, XML, records, refused input, and reading back."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_pipeline import annotations, readers, schema
from data_pipeline.annotations import (
    MAX_OBJECTS,
    AnnotationError,
    Box,
    read_annotation,
)
from data_pipeline.encoding import encode_pair
from data_pipeline.kinds import BOXES
from data_pipeline.pairs import Pair
from data_pipeline.verify import verify
from data_pipeline.voc import pair_boxes
from picanet_tf.core.errors import DatasetError, PicanetError
from picanet_tf.core.voc import VOC_CLASSES
from tests import commands
from tests.data_pipeline.conftest import write_dataset

DOG = ("dog", (8, 12, 40, 30), 0)
PERSON = ("person", (1, 1, 1, 24), 1)


def xml(*found, width=40, height=30, extra=""):
    parts = [
        f"<object><name>{name}</name>{extra}<difficult>{difficult}</difficult><bndbox>"
        f"<xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
        f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for name, box, difficult in found
    ]
    return (
        f"<annotation><size><width>{width}</width><height>{height}</height>"
        f"<depth>3</depth></size>{''.join(parts)}</annotation>"
    )


@pytest.fixture
def devkit(tmp_path):
    """2007: b, a train, c val, d test; 2012: e and f trainval."""
    rng = np.random.default_rng(0)
    lists = {
        "2007": {"train": "ba", "val": "c", "test": "d"},
        "2012": {"trainval": "ef"},
    }
    for year, splits in lists.items():
        root = tmp_path / "VOCdevkit" / f"VOC{year}"
        for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
            (root / folder).mkdir(parents=True)
        for split, names in splits.items():
            (root / f"ImageSets/Main/{split}.txt").write_text("\n".join(names))
            for name in names:
                photo = rng.integers(0, 256, (30, 40, 3), np.uint8)
                Image.fromarray(photo).save(root / f"JPEGImages/{name}.jpg")
                text = xml(DOG, PERSON) if name != "a" else xml()
                (root / f"Annotations/{name}.xml").write_text(text)
    return tmp_path


def annotation_of(devkit, name, text=None):
    path = devkit / f"VOCdevkit/VOC2007/Annotations/{name}.xml"
    if text is not None:
        path.write_text(text)
    return path


def convert(devkit, dataset="voc2007", *more):
    words = ("--dataset", dataset, "--source", devkit, "--output", devkit / "records")
    return commands.call("-m", "data_pipeline.convert", *words, *more)


def keys_of(found):
    pairs, bad = found
    assert bad == []
    return [pair.key for pair in pairs]


@pytest.mark.parametrize("below", ["", "VOCdevkit", "VOCdevkit/VOC2007"])
def test_split_lists_of_2007_are_read(devkit, below):
    for split, wanted in {"train": "ba", "val": "c", "trainval": "abc"}.items():
        assert keys_of(pair_boxes("voc2007", devkit / below, split)) == list(wanted)
    assert keys_of(pair_boxes("voc2007", devkit / below, "test")) == ["d"]


def test_split_lists_of_2012_and_of_both_years_are_read(devkit):
    assert keys_of(pair_boxes("voc2012-objects", devkit)) == ["e", "f"]
    assert keys_of(pair_boxes("voc0712", devkit)) == list("abcef")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("voc2007", "", "all"), "`split` of voc2007 must be trainval, train, val, te"),
        (("voc2012-objects", "", "test"), "must be trainval, train, val. Received: 't"),
        (("voc0712", "", "test"), "must be trainval, train, val"),
        (("voc2012-objects", "", "train"), "train.txt: missing, the list"),
        (("voc2007", "VOCdevkit/VOC2012", "train"), "no PASCAL VOC 2007 here"),
        (("voc2007", "nowhere", "train"), "Looked for ImageSets/Main in it and in VOC"),
    ],
)
def test_invalid_arguments_are_named(devkit, arguments, message):
    dataset, below, split = arguments
    with pytest.raises(PicanetError, match=message):
        pair_boxes(dataset, devkit / below, split)


def test_files_that_are_listed_but_missing_are_named(devkit):
    annotation_of(devkit, "a").unlink()
    (devkit / "VOCdevkit/VOC2007/JPEGImages/b.jpg").unlink()
    pairs, bad = pair_boxes("voc2007", devkit)
    assert [pair.key for pair in pairs] == ["c"]
    assert [str(file).split("VOC2007/")[1] for file in bad] == [
        "Annotations/a.xml: missing, but listed",
        "JPEGImages/b.jpg: missing, but listed",
    ]


def test_annotation_is_read(devkit):
    found = read_annotation(annotation_of(devkit, "b"))
    assert (found.height, found.width) == (30, 40)
    assert found.objects == (Box(12, 8, 12, 40, 30, 0), Box(15, 1, 1, 1, 24, 1))


def test_parts_are_ignored_and_fractions_are_kept(devkit):
    head = "<part><name>head</name><bndbox><xmin>3</xmin></bndbox></part>"
    text = xml(("person", (2.5, 3, 20.25, 9), 0), extra=head)
    text = text.replace("<difficult>0</difficult>", "")
    found = read_annotation(annotation_of(devkit, "b", text))
    assert found.objects == (Box(15, 2.5, 3.0, 20.25, 9.0, 0),)


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    "<annotation>&b;</annotation>"
)
FILE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotati'
NO_ENTITIES = f"<!DOCTYPE annotation>{xml(DOG)}"


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "not readable as XML: no element found"),
        ("<annotation><size>", "not readable as XML: no element found: line 1"),
        ("no xml", "not readable as XML: syntax error"),
        ("<a>&b;</a>", "not readable as XML: undefined entity"),
        (
            '<?xml version="1.0" encoding="nope"?><a/>',
            "not readable as XML: unknown",
        ),
        (
            '<?xml version="1.0" encoding="utf-7"?><a/>',
            "not readable as XML: multi-",
        ),
        (BOMB, "^XML with a document type is refused; VOC's files have none$"),
        (FILE, "XML with a document type is refused"),
        (NO_ENTITIES, "XML with a document type is refused"),
        ("<html/>", "the root must be <annotation>. Received: <html>"),
        ("<annotation/>", "no <size> in <annotation>"),
        (xml(DOG, width="wide"), "<width> is not a number: 'wide'"),
        (xml(DOG, width=0), "size must be whole pixels"),
        (xml(DOG, height=30.5), "size must be whole pixels. Received: 40.0 x 30.5"),
        (xml(DOG, ("unicorn", (1, 1, 5, 5), 0)), "object 2: 'unicorn' is not a class"),
        (xml(("background", (1, 1, 5, 5), 0)), "object 1: 'background' is not a class"),
        (xml(("dog", (9, 1, 5, 5), 0)), r"object 1 \(dog\): an empty box, xmin 9"),
        (xml(("dog", (5, 6, 5, 5), 0)), "an empty box, xmin 5, ymin 6"),
        (xml(("dog", (0, 1, 5, 5), 0)), "a box outside the image, whose pixels are"),
        (xml(("dog", (1, 1, 41, 5), 0)), r"pixels are 1..40 and 1..30: xmin 1, .* 41"),
        (xml(("dog", (1, 1, 5, 31), 0)), "a box outside the image"),
        (xml(("dog", ("nan", 1, 5, 5), 0)), "<xmin> is not a number: 'nan'"),
        (xml(("dog", ("inf", 1, 5, 5), 0)), "<xmin> is not a number: 'inf'"),
        (xml(("dog", ("", 1, 5, 5), 0)), "<xmin> is not a number: ''"),
        (xml(("dog", (1, 1, 5, 5), 2)), "<difficult> must be 0 or 1. Received: 2"),
        (xml(DOG).replace("bndbox", "box"), r"object 1 \(dog\): no <bndbox> in <obj"),
        (xml(DOG, extra="<name>cat</name>"), "object 1: 2 times <name> in <object>"),
        (xml(*[DOG] * (MAX_OBJECTS + 1)), "at most 128 objects are accepted. Received"),
    ],
)
def test_invalid_annotations_are_rejected(devkit, text, message):
    with pytest.raises(AnnotationError, match=message):
        read_annotation(annotation_of(devkit, "b", text))


def test_oversized_annotation_is_not_read(devkit):
    path = annotation_of(devkit, "b", " " * (annotations._MAX_BYTES + 1))
    with pytest.raises(AnnotationError, match=r"larger than 4,194,304 bytes"):
        read_annotation(path)
    with pytest.raises(AnnotationError, match="No such file"):
        read_annotation(path.with_name("none.xml"))


def encode(devkit, name="b"):
    root = devkit / "VOCdevkit/VOC2007"
    image = root / f"JPEGImages/{name}.jpg"
    return encode_pair(Pair(name, image, annotation_of(devkit, name)), BOXES)


def test_boxes_go_from_edge_to_edge(devkit):
    encoded = encode(devkit)
    boxes, labels, difficult = encoded.truth.values()
    np.testing.assert_allclose(
        boxes, [[11 / 30, 7 / 40, 1, 1], [0, 0, 24 / 30, 1 / 40]], rtol=1e-6
    )
    assert list(encoded.truth) == ["boxes", "labels", "difficult"]
    assert boxes.dtype == np.float32
    assert labels.tolist() == [12, 15] and difficult.tolist() == [0, 1]
    assert encoded.warning == ""


def test_image_without_objects_is_kept_with_a_warning(devkit):
    encoded = encode(devkit, "a")
    assert encoded.truth["boxes"].shape == (0, 4)
    assert encoded.warning == "it has no object"


def test_size_that_differs_from_the_image_is_reported(devkit):
    annotation_of(devkit, "b", xml(("dog", (1, 1, 9, 9), 0), width=30, height=40))
    (bad,) = encode(devkit)
    assert "b.xml: 30 x 40, but its image" in str(bad)
    assert str(bad).endswith("is 40 x 30 (width x height)")


def test_exif_rotation_that_the_boxes_lack_is_explained(devkit):
    path = devkit / "VOCdevkit/VOC2007/JPEGImages/b.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).save(path, exif=exif)
    (bad,) = encode(devkit)
    assert str(bad).endswith("after its EXIF rotation, which this file lacks")


def test_convert_verify_and_read_back(devkit):
    done = convert(devkit, "voc2007")
    assert done.returncode == 0, done.stderr
    assert "VOC2007 trainval, boxes, 3 records in 1 shard" in done.stdout
    assert (
        "VOC2007 trainval has 5011 pairs when complete, but 3 were converted"
        in done.stderr
    )
    assert "a: it has no object" in done.stderr
    folder = devkit / "records"
    manifest, problems = verify(folder)
    assert (manifest.kind, manifest.count, problems) == ("boxes", 3, [])
    records = list(readers.read_originals(folder, "boxes").as_numpy_iterator())
    assert [r["key"] for r in records] == [b"a", b"b", b"c"]
    assert records[0]["objects"].shape == (0, 6)
    np.testing.assert_allclose(
        records[1]["objects"],
        [[11 / 30, 7 / 40, 1, 1, 12, 0], [0, 0, 24 / 30, 1 / 40, 15, 1]],
        rtol=1e-6,
    )
    assert records[1]["image"].shape == (30, 40, 3) and "mask" not in records[1]
    with pytest.raises(DatasetError, match="holds boxes, but class maps are required"):
        readers.read_class_maps(folder, batch_size=1, training=False)


def test_bad_files_stop_the_conversion_or_are_left_out_by_name(devkit):
    annotation_of(devkit, "b", xml(("unicorn", (1, 1, 5, 5), 0)))
    done = convert(devkit)
    assert done.returncode == 1 and not (devkit / "records").exists()
    assert "1 bad file, nothing is written without --skip_bad" in done.stderr
    assert "b.xml: object 1: 'unicorn' is not a class of VOC" in done.stderr
    assert "Traceback" not in done.stderr
    done = convert(devkit, "voc2007", "--skip_bad")
    assert done.returncode == 0 and "1 bad file, left out" in done.stdout
    assert list(readers.read_keys(devkit / "records")) == ["a", "c"]


def test_flags_of_other_data_sets_are_refused(devkit):
    done = convert(devkit, "voc2007", "--sbd", "x")
    assert done.returncode == 1 and "--dataset voc2007 takes no --sbd" in done.stderr


RECORD = dict(
    key="k", image=tf.io.encode_jpeg(np.zeros((3, 4, 3), np.uint8)).numpy(),
    boxes=[[0, 0, 0.5, 1]], labels=[20], difficult=[1], height=3, width=4,
)  # fmt: skip


def test_record_has_the_expected_features():
    example = tf.train.Example.FromString(schema.encode_boxes_record(**RECORD))
    feature = example.features.feature
    assert set(feature) == {
        "key", "image/encoded", "image/height", "image/width",
        "objects/box", "objects/label", "objects/difficult",
    }  # fmt: skip
    assert list(feature["objects/box"].float_list.value) == [0, 0, 0.5, 1]
    assert list(feature["objects/label"].int64_list.value) == [20]
    assert list(feature["objects/difficult"].int64_list.value) == [1]


@pytest.mark.parametrize(
    "fields, problem",
    [
        (dict(boxes=[[0, 0, 0, 1]]), "k: object 1 is not a box in the image"),
        (dict(boxes=[[0, 0.5, 1, 0.25]]), "ymin 0, xmin 0.5, ymax 1, xmax 0.25"),
        (dict(boxes=[[0, 0, 1, 1.01]]), "object 1 is not a box in the image"),
        (dict(boxes=[[-0.01, 0, 1, 1]]), "object 1 is not a box in the image"),
        (dict(boxes=[[0, 0, float("nan"), 1]]), "object 1 is not a box in the image"),
        (dict(labels=[0]), "k: object 1: 0 is not a class of objects"),
        (dict(labels=[21]), "21 is not a class of objects; these are 1..20"),
        (dict(difficult=[2]), "difficult must be 0 or 1. Received: 2"),
        (dict(boxes=[0, 0, 1]), "offset 0"),
        (dict(boxes=[], labels=[1], difficult=[0]), "offset 0"),
        (dict(labels=[1, 2]), "offset 0"),
        (dict(height=4), "the image is 4 x 3, the record says 4 x 4"),
    ],
)
def test_verify_reports_invalid_objects(tmp_path, fields, problem):
    """What the converter would have refused."""
    record = schema.encode_boxes_record(**{**RECORD, **fields})
    _, (found,) = verify(write_dataset(tmp_path / "r", BOXES, [record]))
    assert problem in found


def test_verify_names_too_many_objects(tmp_path):
    for count in (MAX_OBJECTS, MAX_OBJECTS + 1):
        objects = dict(boxes=[[0, 0, 1, 1]] * count, labels=[1] * count)
        record = {**RECORD, **objects, "difficult": [0] * count}
        folder = write_dataset(
            tmp_path / str(count), BOXES, [schema.encode_boxes_record(**record)]
        )
        _, problems = verify(folder)
        assert len(problems) == (count > MAX_OBJECTS)
    assert problems[0].endswith("k: 129 objects, at most 128 fit")


def test_evaluation_batches_hold_padded_boxes(devkit):
    assert convert(devkit).returncode == 0
    (image, found, keys), *rest = readers.read_boxes(
        devkit / "records", batch_size=2, training=False, with_keys=True, image_size=60
    )
    assert image.shape == (2, 60, 60, 3) and found.shape == (2, MAX_OBJECTS, 6)
    assert keys.numpy().tolist() == [b"a", b"b"] and len(rest) == 1
    assert (found[0].numpy() == 0).all() and (found[1, 2:].numpy() == 0).all()
    # Relative boxes are those of the record, whatever the image is resized to.
    np.testing.assert_allclose(found[1, 0], [11 / 30, 7 / 40, 1, 1, 12, 0], rtol=1e-6)


def test_batches_resume_at_any_step(devkit):
    assert convert(devkit).returncode == 0
    options = dict(batch_size=2, training=True, image_size=33, seed=5)
    folder = devkit / "records"
    whole = list(readers.read_boxes(folder, **options).take(4))
    rest = list(readers.read_boxes(folder, start_step=2, **options).take(2))
    for (image, found), (image2, found2) in zip(whole[2:], rest, strict=True):
        np.testing.assert_array_equal(image, image2)
        np.testing.assert_array_equal(found, found2)
    assert image.shape == (2, 33, 33, 3) and found.shape == (2, MAX_OBJECTS, 6)


def test_every_class_has_its_number(devkit):
    text = xml(*[(name, (1, 1, 5, 5), 0) for name in VOC_CLASSES[1:]])
    found = read_annotation(annotation_of(devkit, "b", text))
    assert [box.label for box in found.objects] == list(range(1, 21))
