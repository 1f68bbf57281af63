"""Which files are pairs, and what is reported about the others."""

import logging
import unicodedata

import pytest

from data_pipeline.listing import list_files, match_to_keys
from data_pipeline.pairs import key_masks, pair_by_name
from picanet_tf.core.errors import PicanetError

NFC = unicodedata.normalize("NFC", "café")
NFD = unicodedata.normalize("NFD", "café")


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def paired(tmp_path, images, masks, **options):
    """{key: (image, mask)}, and {file: reason} of the others."""
    image_folder = touch(tmp_path / "images", *images)
    mask_folder = touch(tmp_path / "masks", *masks)
    pairs, bad = pair_by_name(image_folder, mask_folder, **options)
    return (
        {
            pair.key: (
                pair.image.relative_to(image_folder).as_posix(),
                pair.truth.relative_to(mask_folder).as_posix(),
            )
            for pair in pairs
        },
        {file.file.removeprefix(f"{tmp_path}/"): file.reason for file in bad},
    )


@pytest.mark.parametrize(
    "images, masks, suffix, expected",
    [
        (["2.jpg", "10.jpg"], ["10.png", "2.png"], "",
         {"2": ("2.jpg", "2.png"), "10": ("10.jpg", "10.png")}),
        (["a/1.jpg", "b/1.jpg"], ["b/1.png", "a/1.png"], "",
         {"a/1": ("a/1.jpg", "a/1.png"), "b/1": ("b/1.jpg", "b/1.png")}),
        ([f"{NFC}.jpg"], [f"{NFD}.png"], "", {NFC: (f"{NFC}.jpg", f"{NFD}.png")}),
        ([f"{NFD}/a.jpg"], [f"{NFC}/a.png"], "",
         {f"{NFD}/a": (f"{NFD}/a.jpg", f"{NFC}/a.png")}),
        (["cat.jpg"], ["cat_mask.png"], "_mask", {"cat": ("cat.jpg", "cat_mask.png")}),
        (["cat.JPG"], ["cat.jpg_mask.PNG"], "_mask",
         {"cat": ("cat.JPG", "cat.jpg_mask.PNG")}),
        (["a.JPEG"], ["a.PNG"], "", {"a": ("a.JPEG", "a.PNG")}),
        (["a.JPG", "b.png"], ["a.jpg.png", "b.png.png"], "",
         {"a": ("a.JPG", "a.jpg.png"), "b": ("b.png", "b.png.png")}),
        # As predict names the maps of photos that differ only in their extension.
        (["a.jpg", "a.png"], ["a.jpg.png", "a.png.png"], "",
         {"a.jpg": ("a.jpg", "a.jpg.png"), "a.png": ("a.png", "a.png.png")}),
        (["a.jpg.jpg"], ["a.jpg.png"], "", {"a.jpg": ("a.jpg.jpg", "a.jpg.png")}),
        (["v1.2.jpg"], ["v1.2.png"], "", {"v1.2": ("v1.2.jpg", "v1.2.png")}),
    ],
)  # fmt: skip
def test_images_are_paired_with_masks_by_name(
    tmp_path, images, masks, suffix, expected
):
    found, bad = paired(tmp_path, images, masks, mask_suffix=suffix)
    assert (found, bad) == (expected, {}) and list(found) == list(expected)


def test_every_file_without_exactly_one_partner_is_reported(tmp_path):
    found, bad = paired(
        tmp_path,
        ["good.jpg", "alone.jpg", "two.jpg", "twin.jpg", "twin.bmp", "x/good.jpg"],
        ["good.png", "lost.png", "two.png", "two.jpg.png", "twin.png"],
    )
    assert list(found) == ["good"]
    assert bad == {
        "images/alone.jpg": f"no mask of this name in {tmp_path}/masks",
        "images/x/good.jpg": f"no mask of this name in {tmp_path}/masks",
        "masks/lost.png": f"no image of this name in {tmp_path}/images",
        "images/two.jpg": "has two masks, two.jpg.png and two.png",
        "masks/two.png": "not the only mask or image named two",
        "masks/two.jpg.png": "not the only mask or image named two",
        "images/twin.bmp": "has the same name as twin.jpg",
        "images/twin.jpg": "has the same name as twin.bmp",
        "masks/twin.png": "not the only mask or image named twin",
    }


def test_masks_without_the_suffix_are_reported(tmp_path):
    names = ["cat_mask.png", "dog.png"]
    found, bad = paired(tmp_path, ["cat.jpg", "dog.jpg"], names, mask_suffix="_mask")
    assert list(found) == ["cat"]
    assert bad["masks/dog.png"] == "its name does not end in `mask_suffix` _mask"
    assert bad["images/dog.jpg"].startswith("no mask of this name")


def test_pairs_in_one_folder_are_split_by_format(tmp_path, caplog):
    folder = touch(tmp_path / "all", "a.jpg", "a.png", "b.bmp", "c.png", "notes.txt")
    pairs, bad = pair_by_name(folder, folder)
    assert [(pair.key, pair.truth.name) for pair in pairs] == [("a", "a.png")]
    assert [str(file) for file in bad] == [
        f"{folder}/c.png: no image of this name in {folder}"
    ]
    assert caplog.messages == [
        f"{folder}: left out 1, not images by their extension: notes.txt",
        f"{folder}: left out 1, neither a photo (JPEG, HEIC, AVIF, WebP) nor a mask "
        "(PNG): b.bmp",
    ]
    photos = ["1.HEIC", "2.heif", "3.avif", "4.webp", "5.hif", "6.jpeg"]
    masks = [f"{number}.png" for number in range(1, 7)]
    folder = touch(tmp_path / "photos", *photos, *masks)
    pairs, bad = pair_by_name(folder, folder)
    assert [pair.image.name for pair in pairs] == photos and bad == []
    folder = touch(tmp_path / "suffix", "a.webp", "a_m.png", "s/b.png", "s/b_m.jpg")
    pairs, bad = pair_by_name(folder, folder, mask_suffix="_m")
    assert [pair.key for pair in pairs] == ["a", "s/b"] and bad == []


def test_nested_folders_are_paired(tmp_path):
    touch(tmp_path, "1.jpg", "2.jpg", "masks/1.png", "masks/2.png")
    for folders in ((tmp_path, tmp_path / "masks"), (tmp_path / "masks", tmp_path)):
        pairs, bad = pair_by_name(*folders)
        assert [pair.key for pair in pairs] == ["1", "2"] and bad == []


@pytest.mark.parametrize(
    "images, masks, suffix, message",
    [
        (["cat.jpg", "dog.jpg", "emu.jpg"], ["cat_seg.png", "dog_seg.png"], "",
         "have the same name. Images: cat.jpg, dog.jpg; masks: cat_seg.png, "
         "dog_seg.png. Try `mask_suffix` _seg$"),
        (["cat.jpg"], ["cat_seg.png"], "_mask",
         "`mask_suffix` _mask. Images: cat.jpg; masks: cat_seg.png. Try `m.*` _seg$"),
        (["cat.jpg", "cat_mask.png"], ["1_mask.png"], "_mask",
         "masks: 1_mask.png. Compare the names without it$"),
        (["1.jpg"], ["10.png"], "", "masks: 10.png. `mask_suffix` says how the masks'"),
        (["1.jpg"], ["1.png"], "_mask", "masks: 1.png. Leave `mask_suffix` out$"),
        (["1.jpg"], [], "", "^`masks`: no images in .*/masks$"),
        ([], ["1.png"], "", "^`images`: no images in .*/images$"),
    ],
)  # fmt: skip
def test_error_suggests_a_remedy_when_nothing_pairs(
    tmp_path, images, masks, suffix, message
):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    with pytest.raises(PicanetError, match=message):
        paired(tmp_path, images, masks, mask_suffix=suffix)


def test_error_explains_the_one_folder_rule_when_nothing_pairs(tmp_path):
    touch(tmp_path, "cat.png", "cat_mask.png")
    rule = (
        "in one folder, JPEG, HEIC, AVIF and WebP files are the images and PNGs the "
        "masks, of the same name. Images: none; masks: cat.png, cat_mask.png. "
        "Try `mask_suffix` _mask$"
    )
    with pytest.raises(PicanetError, match=rule):
        pair_by_name(tmp_path, tmp_path)


def test_missing_folders_are_named_with_their_argument(tmp_path):
    touch(tmp_path, "file")
    with pytest.raises(PicanetError, match=f"`images` {tmp_path}/none: no such folder"):
        pair_by_name(tmp_path / "none", tmp_path)
    with pytest.raises(PicanetError, match=f"`masks` {tmp_path}/file: not a folder"):
        pair_by_name(tmp_path, tmp_path / "file")


def test_left_out_files_are_counted_in_the_log(tmp_path, caplog):
    touch(tmp_path, "2.jpg", "a/10.png", "a/9.webp", "x.psd", "a/b.txt", "._2.jpg",
          ".git/1.jpg", ".git/2.jpg")  # fmt: skip
    (tmp_path / "circle").symlink_to(tmp_path)
    (tmp_path / "broken.jpg").symlink_to("nowhere")
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    with caplog.at_level(logging.INFO, "absl"):
        names = [path.relative_to(tmp_path).as_posix() for path in list_files(tmp_path)]
    assert names == ["2.jpg", "a/9.webp", "a/10.png", "broken.jpg", "linked/9.webp",
                     "linked/10.png"]  # fmt: skip
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"{tmp_path}: left out 3, not images by their extension: a/b.txt, "
                    "..."),
        ("INFO", f"{tmp_path}: left out 2, hidden: ._2.jpg, ..."),
    ]  # fmt: skip


def test_files_are_matched_to_keys(tmp_path):
    names = ["a/1.png", f"{NFD}.png", "cat.jpg.png", "dog_mask.png", "more.png"]
    files = [tmp_path / name for name in names]
    found, rest = match_to_keys(files, tmp_path, ["a/1", NFC, "cat", "dog"], "_mask")
    assert found == dict(zip(["a/1", NFC, "cat", "dog"], files, strict=False))
    assert rest == [tmp_path / "more.png"]
    # The name itself goes ahead.
    both = [files[2], tmp_path / "cat.png"]
    for order in (both, both[::-1]):
        assert match_to_keys(order, tmp_path, ["cat"]) == ({"cat": both[1]}, both[:1])
    with pytest.raises(PicanetError, match="cat.bmp has the same name as cat.png"):
        match_to_keys([tmp_path / "cat.png", tmp_path / "cat.bmp"], tmp_path, ["cat"])


def test_mask_keys_ignore_unicode_normalization(tmp_path):
    composed, decomposed = "catégorie", unicodedata.normalize("NFD", "catégorie")
    for name in (composed, decomposed):
        folder = touch(tmp_path / str(len(name)), f"x/cat_{name}.png")
        files = list_files(folder)
        for suffix in (composed, decomposed):
            assert key_masks(files, folder, f"_{suffix}") == {"x/cat": files[0]}
    both = touch(tmp_path / "both", f"{composed}.png", f"{decomposed}.png")
    with pytest.raises(PicanetError, match="has the same name as"):
        key_masks(list_files(both), both)
