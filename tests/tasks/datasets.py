"""A small converted data set of each kind of ground truth."""

from pathlib import Path

import numpy as np
from PIL import Image

from data_pipeline.convert import convert_dataset, convert_folders
from data_pipeline.kinds import BOXES, CLASS_MAP, MASK
from data_pipeline.sources import find_source

SIZES = ((40, 53), (61, 37), (48, 48), (33, 70))  # (height, width) of its photos
BOX = (8, 9, 28, 30)  # ymin, xmin, ymax, xmax of the dog in each photo
DOG = 12


def make_dataset(kind: str, folder: Path) -> Path:
    """Converts four photos of a bright rectangle, in one of the kinds."""
    if kind == BOXES:
        _write_voc(folder)
        convert_dataset(find_source("voc2007", source=str(folder)), folder / "records")
    else:
        _write_pairs(folder, kind)
        convert_folders(
            folder / "images", folder / "masks", folder / "records", kind=kind
        )
    return folder / "records"


def _photos():
    rng = np.random.default_rng(0)
    top, left, bottom, right = BOX
    for size in SIZES:
        photo = rng.integers(0, 80, (*size, 3)).astype(np.uint8)
        photo[top:bottom, left:right] += 150
        yield photo


def _write_pairs(folder: Path, kind: str) -> None:
    top, left, bottom, right = BOX
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number, photo in enumerate(_photos()):
        truth = np.zeros(photo.shape[:2], np.uint8)
        truth[top:bottom, left:right] = {MASK: 255, CLASS_MAP: DOG}[kind]
        Image.fromarray(photo).save(folder / "images" / f"{number}.png")
        Image.fromarray(truth).save(folder / "masks" / f"{number}.png")


def _write_voc(folder: Path) -> None:
    root = folder / "VOCdevkit" / "VOC2007"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    top, left, bottom, right = BOX
    for number, photo in enumerate(_photos()):
        height, width = photo.shape[:2]
        Image.fromarray(photo).save(root / f"JPEGImages/{number}.jpg")
        # VOC counts pixels from 1, both ends included.
        (root / f"Annotations/{number}.xml").write_text(
            f"<annotation><size><width>{width}</width><height>{height}</height>"
            "<depth>3</depth></size><object><name>dog</name><difficult>0</difficult>"
            f"<bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax>"
            f"<ymax>{bottom}</ymax></bndbox></object></annotation>"
        )
    names = "\n".join(map(str, range(len(SIZES))))
    (root / "ImageSets/Main/trainval.txt").write_text(names)
