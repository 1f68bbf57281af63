"""Masks as people save them, each with the foreground that it means."""

import io
import logging
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import ImageError, read_mask
from picanet_tf.core.masks import MaskNote, describe, read_any_mask, report_masks
from tests.core.image_files import GREY, GREY_ALPHA, png

OBJECT = np.zeros((40, 60), np.uint8)
OBJECT[10:30, 20:50] = 1
SOFT = np.linspace(0, 255, 40 * 60).astype(np.uint8).reshape(40, 60)
RED, DARK_RED = (255, 0, 0), (64, 0, 0)  # the latter is VOC's cat


def saved(image, file_format="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def coloured(colour, mask=OBJECT):
    return mask[..., None] * np.uint8(colour)


def palette(colours, indices=OBJECT):
    image = Image.fromarray(indices).convert("P")
    image.putpalette(colours)
    return image


def with_alpha(colours, alpha):
    return np.dstack([colours, alpha])


def photo(height=40, width=60):
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(40, 256, (4, 5, 3), np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


WHITE = np.full((*OBJECT.shape, 3), 255, np.uint8)
BLACK = np.zeros_like(WHITE)
HARD = OBJECT * 255
INDICES = "indices up to {largest}, non-zero is foreground"
COLOUR = "colour, non-black is foreground"
EIGHT, SIXTEEN = "8-bit grey (soft)", "16-bit grey (soft)"


@pytest.mark.parametrize(
    "data, expected, kind, largest",
    [
        (saved(HARD > 0), HARD, "1-bit", 255),
        (saved(HARD), HARD, EIGHT, 255),
        (saved(SOFT), SOFT, EIGHT, 255),
        (saved(OBJECT), HARD, INDICES, 1),
        (saved(OBJECT * 20), HARD, INDICES, 20),
        (saved(OBJECT * 21), OBJECT * 21, EIGHT, 21),
        (saved(OBJECT.astype(np.uint16) * 3), HARD, INDICES, 3),
        (saved(OBJECT.astype(np.int32) * 3, "TIFF"), HARD, INDICES, 3),
        (saved(SOFT.astype(np.uint16) * 257), SOFT, SIXTEEN, 65535),
        (saved(OBJECT.astype(np.uint16) * 255), OBJECT, SIXTEEN, 255),
        (saved(np.zeros_like(OBJECT)), OBJECT * 0, "all black", 0),
        (saved(coloured(RED)), HARD, COLOUR, 255),
        (saved(coloured((1, 0, 0))), HARD, COLOUR, 1),
        (saved(np.dstack([SOFT] * 3)), SOFT, EIGHT, 255),
        (saved(np.dstack([OBJECT] * 3)), HARD, INDICES, 1),
        (saved(Image.fromarray(SOFT).convert("P")), SOFT, EIGHT, 255),
        (saved(palette([0, 0, 0, *DARK_RED])), HARD, COLOUR, 64),
        (saved(palette([0, 0, 0, 1, 1, 1])), HARD, INDICES, 1),
        (saved(palette([0] * 6)), HARD, INDICES, 1),
        (saved(with_alpha(WHITE, HARD)), HARD, "alpha channel (soft)", 255),
        (saved(with_alpha(BLACK, SOFT)), SOFT, "alpha channel (soft)", 255),
        (saved(np.dstack([BLACK[..., 0], HARD])), HARD, "alpha channel (soft)", 255),
        # What is under full transparency does not count.
        (saved(with_alpha(photo(), HARD * 0)), OBJECT * 0, "all black", 0),
        (saved(with_alpha(WHITE - coloured(RED), HARD)), HARD,
         "alpha channel (soft)", 255),
        (saved(with_alpha(coloured(RED), np.full_like(HARD, 255))), HARD, COLOUR, 255),
        (saved(with_alpha(coloured(RED), np.full_like(HARD, 7))), HARD, COLOUR, 255),
        (saved(np.dstack([SOFT, HARD])), SOFT * OBJECT, EIGHT, 190),
        (saved(HARD, "BMP"), HARD, EIGHT, 255),
        (saved(OBJECT, "GIF"), HARD, INDICES, 1),
        (saved(HARD.clip(15)), HARD.clip(15),
         "8-bit grey (soft), only 0 to 20 and 255: class numbers?", 255),
    ],
)  # fmt: skip
def test_masks_are_read_with_a_note_of_their_kind(data, expected, kind, largest):
    mask, note = read_any_mask(data, name="m.png")
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, expected)
    found = bool(expected.max() > 128)
    border = np.concatenate([expected[[0, -1]].ravel(), expected[:, [0, -1]].ravel()])
    bright = bool((border > 128).mean() > 0.5)
    assert note == MaskNote("m.png", kind, largest, found, bright)


def narrow_png(values, bits, chunks=None) -> bytes:
    return png(bits, GREY, values.shape[1], packed_rows(values, bits), chunks or {})


def packed_rows(values, bits) -> list[bytes]:
    spread = (values[..., None] >> np.arange(bits - 1, -1, -1, dtype=np.uint8)) & 1
    return [row.tobytes() for row in np.packbits(spread.reshape(len(values), -1), 1)]


def narrow_tiff(values, bits, photometric=1) -> bytes:
    data = b"".join(packed_rows(values, bits))
    height, width = values.shape
    entries = {256: width, 257: height, 258: bits, 259: 1, 262: photometric}
    entries |= {273: 8 + 2 + 12 * 9 + 4, 277: 1, 278: height, 279: len(data)}
    table = b"".join(struct.pack("<HHII", tag, 4, 1, entries[tag]) for tag in entries)
    return b"II*\0" + struct.pack("<IH", 8, 9) + table + bytes(4) + data


def portable(head, values) -> bytes:
    """PGM or PPM, binary."""
    kind, largest = head
    data = values.astype(">u2" if largest > 255 else "u1").tobytes()
    return f"{kind} {values.shape[1]} {len(values)} {largest}\n".encode() + data


def deep_png(values) -> bytes:
    """16 bits, uint16 [H, W, 3 or 4] in the order BGR(A), or [H, W, 2] in LA."""
    if values.shape[-1] == 2:
        rows = [row.astype(">u2").tobytes() for row in values]
        return png(16, GREY_ALPHA, values.shape[1], rows)
    return cv2.imencode(".png", values)[1].tobytes()


DEEP = OBJECT.astype(np.uint16)
LABELS = OBJECT + np.roll(OBJECT, 5, 1)  # 0, 1, 2
DEEP_LABELS = LABELS.astype(np.uint16)
OPAQUE, CLEAR = np.full_like(DEEP, 65535), DEEP * 65535
PLAIN = b"P2 60 40 20\n" + b" ".join(b"%d" % value for value in LABELS.ravel())


@pytest.mark.parametrize(
    "data, largest",
    [
        (narrow_png(LABELS.clip(0, 1), 2), 1),
        (narrow_png(LABELS + LABELS.clip(0, 1), 2), 3),
        (narrow_png(LABELS, 4), 2),
        (narrow_png(LABELS.clip(0, 1) * 15, 4), 15),  # white
        (narrow_tiff(LABELS, 2), 2),
        (narrow_tiff(LABELS * 7, 4), 14),
        (narrow_tiff(15 - LABELS, 4, photometric=0), 2),  # 0 is white
        (portable(("P5", 3), LABELS), 2),
        (portable(("P5", 100), LABELS * 10), 20),
        (portable(("P5", 1000), LABELS * 10), 20),
        (portable(("P6", 3), np.dstack([LABELS] * 3)), 2),
        (PLAIN, 2),
        (deep_png(np.dstack([DEEP_LABELS] * 3)), 2),
        (deep_png(np.dstack([DEEP_LABELS] * 3 + [OPAQUE])), 2),
        (deep_png(np.dstack([DEEP_LABELS * 10, OPAQUE])), 20),
    ],
)
def test_indices_are_recognized_by_the_values_in_the_file(data, largest):
    mask, note = read_any_mask(data)
    np.testing.assert_array_equal(mask, LABELS.clip(0, 1) * 255)
    assert (note.kind, note.largest) == (INDICES, largest)


@pytest.mark.parametrize(
    "data, expected, kind, largest",
    [
        (portable(("P5", 100), OBJECT * 50), OBJECT * 128, EIGHT, 128),
        (portable(("P5", 21), OBJECT * 21), HARD, EIGHT, 255),
        (deep_png(np.dstack([DEEP * 255] * 3)), OBJECT, SIXTEEN, 255),
        (deep_png(np.dstack([DEEP * 65535] * 3)), HARD, EIGHT, 255),
        # Bright enough to be read at 8 bits, which gives 18: no index.
        (deep_png(np.dstack([DEEP * 18 * 256] * 3)), OBJECT * 18, EIGHT, 18),
        (deep_png(np.dstack([DEEP, DEEP * 0, DEEP * 0])), HARD, COLOUR, 1),
        (deep_png(np.dstack([DEEP * 0] * 3 + [CLEAR])), HARD,
         "alpha channel (soft)", 255),
        (deep_png(np.dstack([np.roll(DEEP, 5, 1)] * 3 + [CLEAR])),
         np.uint8(np.roll(OBJECT, 5, 1) & OBJECT) * 255, INDICES, 1),
        (deep_png(np.dstack([DEEP * 0] * 3)), OBJECT * 0, "all black", 0),
    ],
)  # fmt: skip
def test_values_that_pillow_scales_are_not_taken_for_indices(
    data, expected, kind, largest
):
    mask, note = read_any_mask(data)
    np.testing.assert_array_equal(mask, expected)
    assert (note.kind, note.largest) == (kind, largest)


def test_masks_of_the_known_data_sets_stay_grey():
    for bits, step in ((2, 85), (4, 17)):
        grey = read_mask(narrow_png(OBJECT, bits))
        np.testing.assert_array_equal(grey, OBJECT * step)


def test_16_bit_colours_that_pillow_cannot_read_in_full_are_refused():
    data = portable(("P6", 65535), np.dstack([DEEP] * 3))
    with pytest.raises(ImageError, match="leaves no value above 0; save the mask as P"):
        read_any_mask(data)


@pytest.mark.parametrize("quality", [75, 85, 95])
@pytest.mark.parametrize("colour", [RED, DARK_RED, (0, 0, 128)])
def test_jpeg_noise_around_colours_is_background(quality, colour):
    mask, note = read_any_mask(saved(coloured(colour), "JPEG", quality=quality))
    assert note.kind == COLOUR
    assert mask[12:28, 22:48].all()  # All but few pixels along the outline are right.
    mask[5:35, 15:55] = 0
    assert not mask.any()


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_noisy_grey_masks_are_soft(file_format, mode):
    if (file_format, mode) == ("WEBP", "CMYK"):
        pytest.skip("there is none")
    image = Image.fromarray(HARD).convert(mode)
    mask, note = read_any_mask(saved(image, file_format, quality=60))
    assert note.kind == EIGHT
    np.testing.assert_allclose(mask.astype(int), HARD, atol=60)
    faint, note = read_any_mask(saved(np.uint8(SOFT // 16), "JPEG", quality=60))
    assert (note.kind, note.foreground) == (EIGHT, False)  # noise is no index
    assert faint.max() <= 20


def test_heic_noise_around_colours_is_background():
    pytest.importorskip("pillow_heif").register_heif_opener()
    mask, note = read_any_mask(saved(coloured(RED), "HEIF", quality=60))
    assert note.kind == COLOUR
    mask[5:35, 15:55] = 0
    assert not mask.any()


def test_inverted_masks_are_noticed_and_can_be_inverted():
    mask, note = read_any_mask(saved(255 - HARD))
    assert note.bright_border and mask[0, 0] == 255
    mask, note = read_any_mask(saved(255 - HARD), invert=True)
    np.testing.assert_array_equal(mask, HARD)
    assert note.inverted and not note.bright_border
    mask, _ = read_any_mask(saved(1 - OBJECT), invert=True)  # after reading
    np.testing.assert_array_equal(mask, HARD)


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    for array in (OBJECT, coloured(RED)):
        mask, _ = read_any_mask(saved(array, exif=exif))
        np.testing.assert_array_equal(mask, np.rot90(HARD, -1))


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF"])
def test_photos_are_refused(tmp_path, file_format):
    path = tmp_path / "photo.any"
    path.write_bytes(saved(photo(120, 160), file_format))
    with pytest.raises(ImageError, match=f"^{path}: a photo, not a .* swapped"):
        read_any_mask(path)


def test_cut_outs_are_refused_but_many_colours_are_not():
    cutout = with_alpha(photo(), HARD)
    with pytest.raises(ImageError, match="^mask: a photo, .* alpha channel alone"):
        read_any_mask(saved(cutout))
    objects = np.arange(24).repeat(100).reshape(40, 60).astype(np.uint8)
    colours = np.random.default_rng(0).integers(1, 256, (24, 3), np.uint8)
    mask, _ = read_any_mask(saved(colours[objects]))
    assert mask.all()


def test_floating_point_masks_are_refused():
    with pytest.raises(ImageError, match="floating-point pixels have no known range"):
        read_any_mask(saved(SOFT / np.float32(255), "TIFF"))


def note(kind=EIGHT, largest=255, foreground=True, bright=False, file="a.png"):
    return MaskNote(file, kind, largest, foreground, bright)


def test_description_has_a_line_for_each_kind():
    notes = [note(INDICES, 1), note(), note(INDICES, 3), note(COLOUR)]
    assert describe(notes) == [
        "2 masks: indices up to 3, non-zero is foreground",
        "1 mask: 8-bit grey (soft)",
        "1 mask: colour, non-black is foreground",
    ]
    assert describe([note()] * 1200) == ["1,200 masks: 8-bit grey (soft)"]


def test_masks_without_foreground_are_warned_about_or_refused(caplog):
    empty = [
        note("all black", 0, False, file="black.png"),
        note(SIXTEEN, 255, False, file="deep.png"),
    ]
    told = []
    with caplog.at_level(logging.WARNING):
        report_masks([*empty, note()], "masks", told.append)
    assert len(told) == 3
    assert caplog.messages == [
        "masks: 2 of 3 masks without foreground: no value above 128 of 255; the "
        "largest is 255 of 65,535, in deep.png"
    ]
    with pytest.raises(PicanetError, match="^masks: 2 of 2 masks without foreground"):
        report_masks(empty, "masks", told.append)
    jpeg = [note(EIGHT, 3, False)]
    with pytest.raises(PicanetError, match="indices need a lossless format, such as P"):
        report_masks(jpeg, "masks", told.append)


def test_probable_class_maps_are_warned_about(caplog):
    void = note("8-bit grey (soft), only 0 to 20 and 255: class numbers?", file="c.png")
    with caplog.at_level(logging.WARNING):
        report_masks([note(), void], "masks", list)
    assert caplog.messages == [
        "masks: 1 of 2 masks hold only 0 to 20 and 255, such as c.png: if these are "
        "classes, only the pixels of 255 become foreground. To have all classes as "
        "foreground, save the masks without a value above 20"
    ]


def test_probably_inverted_masks_are_warned_about(caplog):
    bright = note(bright=True, file="b.png")
    with caplog.at_level(logging.WARNING):
        report_masks([note(), bright], "masks", list)
        assert caplog.messages == []
        report_masks([note(), bright, bright], "masks", list)
    assert caplog.messages == [
        "masks: 2 of 3 masks bright along most of the border, such as b.png: if black "
        "is the object in them, --invert_masks inverts them"
    ]
    caplog.clear()
    report_masks([bright._replace(inverted=True)], "masks", list)
    assert caplog.messages == [
        "masks: 1 of 1 mask bright along most of the border, such as b.png: they were "
        "inverted; if white is the object in the files, leave --invert_masks out"
    ]
