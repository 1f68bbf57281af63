"""PASCAL VOC's class maps: lists, palettes, SBD, records, batches."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_pipeline import augment, readers, schema
from data_pipeline.class_maps import read_class_map
from data_pipeline.convert import convert_folders
from data_pipeline.kinds import CLASS_MAP
from data_pipeline.verify import verify
from data_pipeline.voc import pair_class_maps
from picanet_tf.core.constants import MEAN_RGB
from picanet_tf.core.errors import DatasetError, PicanetError
from picanet_tf.core.images import ImageError
from picanet_tf.core.voc import CLASSES, IGNORE, VOC_CLASSES
from tests import commands
from tests.core.image_files import GREY, PALETTE, png
from tests.data_pipeline.conftest import picture, save, write_dataset


def save_palette(path, classes):
    image = Image.fromarray(classes)
    image = image.convert("L")
    picture = Image.new("P", image.size)
    picture.putdata(classes.ravel().tolist())
    # Colours whose luma is nothing like the classes.
    picture.putpalette([(37 * i + 11) % 256 for i in range(768)])
    picture.save(path)


def class_map(number, size=(30, 40)):
    classes = np.zeros(size, np.uint8)
    classes[5:20, 8:30] = number
    classes[5:20, 30:32] = IGNORE
    return classes


@pytest.fixture
def devkit(tmp_path):
    """Seven images: a, b train; c val; d to f of SBD's (c, too), g of nobody's."""
    root = tmp_path / "VOCdevkit" / "VOC2012"
    lists = root / "ImageSets" / "Segmentation"
    for folder in (root / "JPEGImages", root / "SegmentationClass", lists):
        folder.mkdir(parents=True)
    sbd = tmp_path / "sbd" / "cls"
    sbd.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number, name in enumerate("abcdefg", 1):
        photo = rng.integers(0, 256, (30, 40, 3), np.uint8)
        Image.fromarray(photo).save(root / "JPEGImages" / f"{name}.jpg")
        if name in "abc":
            path = root / "SegmentationClass" / f"{name}.png"
            save_palette(path, class_map(number))
        if name in "acdef":
            Image.fromarray(class_map(number + 10)).save(sbd / f"{name}.png")
    (lists / "train.txt").write_text("b\na\n")
    (lists / "val.txt").write_text("c\n")
    return tmp_path


def keys_of(found):
    pairs, bad = found
    assert bad == []
    return [pair.key for pair in pairs]


def test_the_names_of_the_classes():
    assert len(VOC_CLASSES) == CLASSES == 21 and VOC_CLASSES[15] == "person"
    assert sorted(VOC_CLASSES[1:]) == list(VOC_CLASSES[1:])  # VOC's own order


@pytest.mark.parametrize("below", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_split_lists_are_read(devkit, below):
    assert keys_of(pair_class_maps(devkit / below)) == ["b", "a"]
    assert keys_of(pair_class_maps(devkit / below, "val")) == ["c"]
    assert keys_of(pair_class_maps(devkit / below, "trainval")) == ["a", "b", "c"]


def test_sbd_adds_neither_validation_images_nor_known_ones(devkit):
    pairs, bad = pair_class_maps(devkit, "train", devkit / "sbd")
    assert [pair.key for pair in pairs] == ["b", "a", "d", "e", "f"] and not bad
    assert pairs[1].truth.parent.name == "SegmentationClass"  # a: VOC's own
    assert pairs[2].truth.parent.name == "cls"


def test_sbd_mat_files_are_read(devkit):
    io = pytest.importorskip("scipy.io", reason="pip install scipy")
    folder = devkit / "sbd"
    for path in folder.glob("cls/*"):
        path.unlink()
    wanted = class_map(7)
    record = {"GTcls": {"Segmentation": wanted, "Boundaries": np.zeros(3)}}
    io.savemat(folder / "cls" / "g.mat", record)
    pairs, _ = pair_class_maps(devkit, "train", folder)
    assert pairs[-1].key == "g"
    np.testing.assert_array_equal(read_class_map(pairs[-1].truth), wanted)


def test_sbd_class_maps_in_two_formats_are_refused(devkit):
    """Each image would be in the data set twice."""
    (devkit / "sbd" / "cls" / "d.mat").touch()
    with pytest.raises(PicanetError, match="the class map d is there twice"):
        pair_class_maps(devkit, "train", devkit / "sbd")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("test",), "`split` of voc2012 must be train, val, trainval"),
        (("val", "sbd"), "`split` val takes none"),
        (("train", "elsewhere"), "`sbd` elsewhere: no class maps here"),
    ],
)
def test_invalid_arguments_are_named(devkit, arguments, message):
    with pytest.raises(PicanetError, match=message):
        pair_class_maps(devkit, *arguments)


def test_no_voc_and_missing_files_are_named(devkit):
    with pytest.raises(PicanetError, match="no PASCAL VOC 2012 here"):
        pair_class_maps(devkit / "sbd")
    (devkit / "VOCdevkit/VOC2012/SegmentationClass/a.png").unlink()
    pairs, bad = pair_class_maps(devkit)
    assert [pair.key for pair in pairs] == ["b"]
    assert [file.file.endswith("SegmentationClass/a.png") for file in bad] == [True]


def test_list_with_a_byte_order_mark_is_read(devkit):
    """As Windows' editors write it."""
    path = devkit / "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt"
    path.write_bytes(b"\xef\xbb\xbfb\r\na\r\n")
    assert keys_of(pair_class_maps(devkit)) == ["b", "a"]


def test_non_utf8_list_is_reported(devkit):
    path = devkit / "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt"
    path.write_bytes("a\nb\n".encode("utf-16"))
    with pytest.raises(PicanetError) as raised:
        pair_class_maps(devkit)
    assert str(raised.value) == (
        f"{path}: a list of images must be UTF-8 text: 'utf-8' codec can't decode "
        "byte 0xff in position 0: invalid start byte"
    )


def test_palette_numbers_are_the_classes(devkit):
    path = devkit / "VOCdevkit/VOC2012/SegmentationClass/b.png"
    np.testing.assert_array_equal(read_class_map(path), class_map(2))


def test_invalid_class_maps_are_rejected(tmp_path):
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "rgb.png")
    with pytest.raises(ImageError, match="this one is in mode RGB"):
        read_class_map(tmp_path / "rgb.png")
    Image.fromarray(np.full((4, 4), 21, np.uint8)).save(tmp_path / "more.png")
    with pytest.raises(ImageError, match=r"0\.\.20 and 255, but this one has 21"):
        read_class_map(tmp_path / "more.png")


def test_class_maps_with_altered_values_are_rejected(tmp_path):
    rule = "a class map is a palette or 8-bit grey PNG whose values are classes; "
    classes = (np.indices((24, 24)).sum(0) % 2).astype(np.uint8)
    for name, form in (("map.jpg", "JPEG"), ("map.tif", "TIFF")):
        path = tmp_path / name
        Image.fromarray(classes).save(path, compression="jpeg")
        with pytest.raises(ImageError) as raised:
            read_class_map(path)
        assert str(raised.value) == (
            f"{path}: {rule}{form} with lossy compression changes them. Save the "
            "original class map as PNG"
        )
    Image.fromarray(classes).save(path, compression="tiff_lzw")
    np.testing.assert_array_equal(read_class_map(path), classes)
    for bits, white in ((2, 3), (4, 15)):
        path = tmp_path / f"{bits}.png"
        path.write_bytes(png(bits, GREY, 8 // bits, [b"\1"]))
        with pytest.raises(ImageError) as raised:
            read_class_map(path)
        assert str(raised.value) == (
            f"{path}: {rule}the values of this one are grey, of which {white} is "
            "white. Save it with a palette or 8 bits, and the same values"
        )
    path.write_bytes(b"P5 2 1 20\n\0\1")
    with pytest.raises(ImageError, match="of which 20 is white"):
        read_class_map(path)


def test_class_maps_of_few_bits_are_read(tmp_path):
    path, palette = tmp_path / "map.png", {b"PLTE": bytes(range(48))}
    path.write_bytes(png(4, PALETTE, 2, [b"\x1f"], palette))
    np.testing.assert_array_equal(read_class_map(path), [[1, 15]])
    path.write_bytes(png(1, GREY, 2, [b"\x40"]))
    np.testing.assert_array_equal(read_class_map(path), [[0, 1]])
    path.write_bytes(b"P5 2 1 255\n\0\1")
    np.testing.assert_array_equal(read_class_map(path), [[0, 1]])


def converted(devkit, split="train"):
    arguments = ("--dataset", "voc2012", "--source", devkit, "--split", split)
    words = (*arguments, "--output", devkit / "records")
    done = commands.call("-m", "data_pipeline.convert", *words)
    assert done.returncode == 0, done.stderr
    assert f"VOC2012 {split}, class maps, 2 records in 1 shard" in done.stdout
    return devkit / "records"


def test_convert_verify_and_read_back(devkit):
    folder = converted(devkit)
    manifest, problems = verify(folder)
    assert (manifest.kind, manifest.count, problems) == ("class_map", 2, [])
    first = next(readers.read_originals(folder, "class_map").as_numpy_iterator())
    assert first["key"] == b"b" and first["image"].shape == (30, 40, 3)
    np.testing.assert_array_equal(first["mask"][..., 0], class_map(2))
    assert list(readers.read_keys(folder)) == ["b", "a"]
    with pytest.raises(DatasetError, match="holds class maps, but masks are required"):
        readers.read_masks(folder, batch_size=1, training=False)


def test_folders_of_class_maps_are_converted(tmp_path):
    maps = {f"im{number}": picture(number)[..., 0] % 21 for number in range(2)}
    for number, (name, classes) in enumerate(maps.items()):
        save(tmp_path / "images" / f"{name}.jpg", picture(number))
        save(tmp_path / "classes" / f"{name}.png", classes)
    save(tmp_path / "images" / "wrong.jpg", picture(2))
    save(tmp_path / "classes" / "wrong.png", picture(2)[..., 0])
    folders = tmp_path / "images", tmp_path / "classes", tmp_path / "out"
    manifest, (bad,) = convert_folders(*folders, kind=CLASS_MAP, skip_bad=True)
    assert (manifest.name, manifest.kind, manifest.count) == ("out", CLASS_MAP, 2)
    assert "wrong.png: a class map has the values 0..20 and 255" in str(bad)
    for record in readers.read_originals(folders[2], CLASS_MAP).as_numpy_iterator():
        np.testing.assert_array_equal(
            record["mask"][..., 0], maps[record["key"].decode()]
        )


def test_verify_names_a_value_that_is_not_a_class(tmp_path):
    records = [
        schema.encode_class_map_record(
            key=f"k{value}",
            image=tf.io.encode_jpeg(picture(0)).numpy(),
            mask=tf.io.encode_png(np.full((24, 32, 1), value, np.uint8)).numpy(),
            height=24,
            width=32,
        )
        for value in (0, 20, 21, 77, 254, 255)
    ]
    _, problems = verify(write_dataset(tmp_path / "r", CLASS_MAP, records))
    assert [problem.split(": ", 2)[2] for problem in problems] == [
        f"k{value}: {value} is not a class; classes are 0..20, and 255 for none"
        for value in (21, 77, 254)
    ]


def test_record_has_the_expected_features():
    example = tf.train.Example.FromString(
        schema.encode_class_map_record(
            key="k", image=b"i", mask=b"m", height=2, width=3
        )
    )
    names = {"key", "image/encoded", "image/height", "image/width", "classes/encoded"}
    assert set(example.features.feature) == names
    value = example.features.feature["classes/encoded"].bytes_list.value
    assert list(value) == [b"m"]


def number_images(height, width):
    """An image whose red channel is its class map's value, no two rows alike."""
    classes = (np.arange(height) % 21).astype(np.uint8)[:, None].repeat(width, 1)
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = classes
    return tf.constant(image), tf.constant(classes[..., None])


@pytest.mark.parametrize("size", [(20, 31), (60, 50), (33, 90)])
def test_training_views_keep_image_and_classes_aligned(size):
    image, classes = number_images(*size)
    scales, ignored = set(), 0
    for draw in range(60):
        view, labels = augment.augment_class_map(
            image,
            classes,
            image_size=33,
            seed=tf.constant([3, draw]),
            random_scale=True,
        )
        assert view.shape == (33, 33, 3) and labels.shape == (33, 33, 1)
        assert labels.dtype == tf.uint8
        labels = labels.numpy()[..., 0]
        outside = labels == IGNORE
        # What is around the image is the mean colour, and only that is ignored.
        np.testing.assert_allclose(
            view.numpy()[outside], np.tile(MEAN_RGB, (outside.sum(), 1)),
            rtol=1e-5,
        )  # fmt: skip
        inside = view.numpy()[~outside]
        assert (inside[:, 1:] < 1e-3).all()
        # Nearest and bilinear agree up to a row, but where 20 is followed by 0.
        near = np.abs(inside[:, 0] - labels[~outside]) < 1.5
        assert near.mean() > 0.7
        scales.add(int((~outside).sum()))
        ignored += outside.any()
    assert len(scales) > 5 or size == (60, 50)
    assert ignored > 5


@pytest.mark.parametrize("size", [(20, 31), (60, 50)])
def test_without_random_scale_views_are_crops(size):
    image, classes = number_images(*size)
    tops, mirrored = set(), set()
    red = tf.cast(tf.range(size[1]), tf.uint8)[None, :, None]
    image = tf.concat([image[..., :1], tf.zeros_like(image[..., :1]) + red], -1)
    image = tf.concat([image, tf.zeros_like(image[..., :1])], -1)  # row, column, 0
    for draw in range(60):
        view, labels = augment.augment_class_map(
            image, classes, image_size=33, seed=tf.constant([3, draw])
        )
        labels = labels.numpy()[..., 0]
        inside = labels != IGNORE
        shape = min(size[0], 33), min(size[1], 33)
        assert inside.sum() == shape[0] * shape[1]
        rows, columns = np.where(inside)
        view = view.numpy()[inside].reshape(*shape, 3)
        np.testing.assert_allclose(
            view[..., 0], labels[inside].reshape(shape), atol=1e-3
        )
        steps = np.unique(np.round(np.diff(view[..., 1], axis=1)))
        assert steps.tolist() in ([1], [-1])
        mirrored.add(steps[0])
        tops.add((view[0, :, 1].min(), rows.min(), columns.min()))
    assert len(mirrored) == 2 and len(tops) > 5


def test_whole_images_keep_their_scale_unless_they_are_too_large():
    image, classes = number_images(20, 31)
    view, labels = augment.fit_class_map(image, classes, 33)
    np.testing.assert_allclose(view.numpy()[:20, :31], image.numpy(), atol=1e-4)
    np.testing.assert_array_equal(labels[:20, :31], classes)
    assert (labels.numpy()[20:] == IGNORE).all()
    assert (labels.numpy()[:, 31:] == IGNORE).all()

    image, classes = number_images(66, 40)
    view, labels = augment.fit_class_map(image, classes, 33)
    np.testing.assert_array_equal(labels[:, :20, 0], classes[1::2, 1::2, 0][:, :20])
    assert (labels.numpy()[:, 20:] == IGNORE).all()


def test_batches_resume_at_any_step(devkit):
    folder = converted(devkit)
    options = dict(batch_size=2, training=True, image_size=33, seed=5)
    whole = list(readers.read_class_maps(folder, **options).take(4))
    rest = list(readers.read_class_maps(folder, start_step=2, **options).take(2))
    for (image, labels), (image2, labels2) in zip(whole[2:], rest, strict=True):
        np.testing.assert_array_equal(image, image2)
        np.testing.assert_array_equal(labels, labels2)
    assert image.shape == (2, 33, 33, 3) and labels.shape == (2, 33, 33, 1)
    assert len(readers.read_class_maps(folder, batch_size=2, training=False)) == 1
