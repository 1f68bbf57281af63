"""Pairs whose masks are saved in every way that people save them."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from data_pipeline.convert import convert_folders
from data_pipeline.kinds import MASK
from tests.core.image_files import GREY, GREY_ALPHA, RGB, png
from tests.faults.outcomes import ERROR, READ, SKIP, Attempt, result_or_error, rule
from tests.faults.pictures import photo
from tests.faults.records import encoded

HEIGHT, WIDTH = 24, 31  # of `photo`
# {how a mask is saved: what it is made from}
HARD_WAYS = (
    *("index", "deep index", "32-bit index", "1-bit", "grey", "deep grey", "three"),
    *("colour", "palette", "index palette", "empty palette", "alpha", "black alpha"),
    *("grey alpha", "opaque", "cut out", "gif", "bmp", "turned", "2-bit index"),
    *("4-bit index", "pgm index", "deep three", "deep grey alpha", "deep colour"),
)
SOFT_WAYS = ("soft", "deep soft", "soft alpha", "soft three", "soft and alpha")
LOSSY_WAYS = ("jpeg", "rgb jpeg", "colour jpeg", "webp")
WRONG_WAYS = ("photo", "photo cut out", "float", "text", "faint")


def make_own_masks(folder: Path) -> Attempt:
    """A few pairs; what is written and what evaluate reads must be what was drawn."""

    def attempt(rng: random.Random) -> str:
        from data_pipeline import readers
        from picanet_tf.evaluation.sources import folder_data_set

        shutil.rmtree(folder, ignore_errors=True)
        images, masks, output = (folder / name for name in ("images", "masks", "out"))
        suffix, invert = rng.choice(("", "_mask")), rng.random() < 0.2
        expected, wrong = {}, {}
        for number in range(rng.randrange(1, 5)):
            place = rng.choice(("", "a/", "b/c/")) + str(number)
            for parent in (images, masks):
                (parent / place).parent.mkdir(parents=True, exist_ok=True)
            (images / f"{place}.png").write_bytes(encoded(photo(number)))
            how = rng.choice(HARD_WAYS + SOFT_WAYS + LOSSY_WAYS + WRONG_WAYS)
            drawn = draw(rng)
            extension, data, mask = save_as(how, drawn, rng)
            path = masks / f"{place}{suffix}{extension}"
            path.write_bytes(data)
            if mask is None:
                wrong[place] = path
            else:
                expected[place] = (how, 255 - mask if invert else mask)
        options = {"mask_suffix": suffix, "invert_masks": invert}
        skip_bad = rng.random() < 0.6
        result, error = result_or_error(
            lambda: convert_folders(
                images, masks, output, skip_bad=skip_bad, workers=1, **options
            ),
            images, masks,
        )  # fmt: skip
        sure = any(mask.max() > 200 for _, mask in expected.values())
        if error:
            rule(not output.exists(), "written in spite of", error)
            for path in wrong.values():
                rule(str(path) in error or not sure or skip_bad, "not named:", path)
            rule(bool(wrong) or not sure, "refused:", error)
            return ERROR
        rule(not wrong or skip_bad, "converted:", wrong)
        skipped = {bad.file for bad in result[1]}
        rule(skipped == set(map(str, wrong.values())), "left out:", skipped)
        rule(any(mask.max() > 128 for _, mask in expected.values()), "all are empty")
        stored = {
            record["key"].decode(): record["mask"][..., 0]
            for record in readers.read_originals(output, MASK).as_numpy_iterator()
        }
        rule(stored.keys() == expected.keys(), stored.keys(), expected.keys())
        for key, (how, mask) in expected.items():
            rule(_alike(stored[key], mask, how), how, "was read as another mask")
        if not wrong:
            data = folder_data_set(
                "x", str(images), str(masks), mask_suffix=suffix, invert=invert
            )
            for sample in data.samples():
                same = np.array_equal(sample.truth, stored[sample.name])
                rule(same, "evaluate reads another mask")
        return SKIP if wrong else READ

    return attempt


def draw(rng: random.Random) -> np.ndarray:
    """Labels of 0 (background) to 3, uint8; one time in five without an object."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    for label in range(1, rng.randrange(1, 5) if rng.random() < 0.8 else 1):
        top, left = rng.randrange(2, 10), rng.randrange(2, 12)
        labels[top : top + 12, left : left + 16] = label
    return labels


def save_as(
    how: str, labels: np.ndarray, rng: random.Random
) -> tuple[str, bytes, np.ndarray | None]:
    """Returns (extension, file, the mask that it is, or None if it must be refused)."""
    mask = np.uint8(labels > 0) * 255
    soft = np.uint8(mask // 2 + rng.randrange(30, 120) * (labels > 1))
    if not (soft > 20).any():
        soft[:] = 0
    white, black = np.full_like(mask, 255), np.zeros_like(mask)
    colours = np.array([(0, 0, 0), (128, 0, 0), (1, 0, 0), (64, 64, 192)], np.uint8)
    if how == "index":
        step = rng.randrange(1, 7)
        return ".png", encoded(labels * step), mask
    if how == "deep index":
        return ".png", encoded(labels.astype(np.uint16) * rng.randrange(1, 7)), mask
    if how == "32-bit index":
        return ".tif", encoded(labels.astype(np.int32), "TIFF"), mask
    if how in ("2-bit index", "4-bit index"):
        bits, step = (2, 1) if how[0] == "2" else (4, rng.randrange(1, 6))
        shifts = np.arange(bits - 1, -1, -1, dtype=np.uint8)
        spread = (labels * np.uint8(step))[..., None] >> shifts & 1
        rows = np.packbits(spread.reshape(HEIGHT, -1), axis=1)
        return ".png", _png(bits, GREY, rows), mask
    if how == "pgm index":
        head = f"P5 {WIDTH} {HEIGHT} {rng.randrange(3, 256)}\n"
        return ".pgm", head.encode() + labels.tobytes(), mask
    if how in ("deep three", "deep grey alpha", "deep colour"):
        deep = labels.astype(np.uint16) * rng.randrange(1, 7)
        if how == "deep three":
            return ".png", _png(16, RGB, np.dstack([deep] * 3)), mask
        if how == "deep colour":
            return ".png", _png(16, RGB, np.dstack([deep, deep * 0, deep])), mask
        full = np.full_like(deep, 65535)
        return ".png", _png(16, GREY_ALPHA, np.dstack([deep, full])), mask
    if how == "1-bit":
        return ".png", encoded(mask > 0), mask
    if how == "grey":
        return ".png", encoded(mask), mask
    if how == "deep grey":
        return ".png", encoded(mask.astype(np.uint16) * 257), mask
    if how == "three":
        return ".png", encoded(np.dstack([mask] * 3)), mask
    if how == "colour":
        return ".png", encoded(colours[labels]), mask
    if how in ("palette", "index palette", "empty palette"):
        image = Image.fromarray(labels).convert("P")
        grey = [value for label in range(4) for value in (label,) * 3]
        table = {"palette": colours.ravel().tolist(), "index palette": grey}
        image.putpalette(table.get(how, [0] * 12))
        return ".png", encoded(image), mask
    if how in ("alpha", "black alpha", "soft alpha"):
        base, alpha = (white if how == "alpha" else black), mask
        alpha = soft if how == "soft alpha" else mask
        return ".png", encoded(np.dstack([base, base, base, alpha])), alpha
    if how == "grey alpha":
        return ".png", encoded(np.dstack([white, mask])), mask
    if how == "opaque":
        return ".png", encoded(np.dstack([colours[labels], white])), mask
    if how == "cut out":  # flat colours; what is transparent does not count
        hidden = np.where(labels[..., None] > 0, colours[labels], 99).astype(np.uint8)
        return ".png", encoded(np.dstack([hidden, mask])), mask
    if how == "gif":
        return ".gif", encoded(Image.fromarray(labels), "GIF"), mask
    if how == "bmp":
        return ".bmp", encoded(Image.fromarray(mask), "BMP"), mask
    if how == "turned":
        exif = Image.Exif()
        exif[0x0112] = 3
        return ".png", encoded(labels, exif=exif), mask[::-1, ::-1]
    if how == "soft":
        return ".png", encoded(soft), soft
    if how == "deep soft":
        return ".png", encoded(soft.astype(np.uint16) * 257), soft
    if how == "soft and alpha":
        return ".png", encoded(np.dstack([np.maximum(soft, 30), mask])), (
            np.maximum(soft, 30) * (mask > 0) if len(np.unique(soft[mask > 0])) > 1
            else mask
        )  # fmt: skip
    if how == "soft three":
        return ".png", encoded(np.dstack([soft] * 3)), soft
    quality = rng.randrange(50, 100)
    if how == "jpeg":
        return ".jpg", encoded(Image.fromarray(mask), "JPEG", quality=quality), mask
    if how == "rgb jpeg":
        rgb = Image.fromarray(mask).convert("RGB")
        return ".JPG", encoded(rgb, "JPEG", quality=quality), mask
    if how == "colour jpeg":
        red = np.dstack([mask, black, black])
        return ".jpeg", encoded(red, "JPEG", quality=max(quality, 85)), mask
    if how == "webp":
        rgb = Image.fromarray(mask).convert("RGB")
        return ".webp", encoded(rgb, "WEBP", quality=quality), mask
    if how == "photo":
        return ".png", encoded(photo(9)), None
    if how == "photo cut out":
        alpha = mask if mask.any() else np.uint8(np.arange(WIDTH) > 9) * 255 + black
        return ".png", encoded(np.dstack([np.asarray(photo(9)), alpha])), None
    if how == "float":
        return ".tif", encoded(mask / np.float32(255), "TIFF"), None
    if how == "text":
        return ".png", b"no picture", None
    assert how == "faint"  # 0 and 255 in 16 bits, which is as good as black
    return ".png", encoded(mask.astype(np.uint16)), np.uint8(mask > 0)


def _png(bits: int, colour_type: int, rows: np.ndarray) -> bytes:
    rows = rows.astype(">u2") if bits == 16 else rows
    return png(bits, colour_type, WIDTH, [row.tobytes() for row in rows])


def _alike(found: np.ndarray, mask: np.ndarray, how: str) -> bool:
    """Whether masks are equal; JPEG and WebP may differ along the outline."""
    if how not in LOSSY_WAYS:
        return np.array_equal(found, mask)
    wrong = (found > 128) != (mask > 128)
    edge = np.zeros_like(wrong)
    for axis in (0, 1):
        for shift in range(-3, 4):
            edge |= (np.roll(mask, shift, axis) > 128) != (mask > 128)
    return (wrong & ~edge).mean() < 0.02


KINDS = {"own masks": make_own_masks}
