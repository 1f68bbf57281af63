"""Class maps, the class of each pixel, as PASCAL VOC and SBD store them.

A class map is uint8 `(height, width)`: 0 is the background, 1 to 20 are the classes of
`VOC_CLASSES`, 255 is a pixel without a class. Imports no TensorFlow.
"""

import os
from pathlib import Path

import numpy as np

from picanet_tf.core import images
from picanet_tf.core.opening import is_lossy
from picanet_tf.core.voc import CLASSES, IGNORE


def read_class_map(
    path: str | os.PathLike, *, max_pixels: int = images.MAX_PIXELS
) -> np.ndarray:
    """Reads a class map.

    Args:
        path: a palette or 8-bit grey PNG whose pixel values are the classes, as in
            VOC's `SegmentationClass` and `SegmentationClassAug`; or a `.mat` file from
            SBD's `cls`.
        max_pixels: largest width x height of a PNG, checked before decoding.

    Returns:
        uint8 `(height, width)`.

    Raises:
        ImageError: if the file is unreadable, in colour, grey of 2 or 4 bits, or
            compressed with loss, or has a value that is not a class.
    """
    with images.errors_named(str(path)):
        mat = Path(path).suffix == ".mat"
        class_map = _read_mat(path) if mat else _read_png(path, max_pixels)
        wrong = find_invalid(class_map)
        if wrong is not None:
            raise ValueError(
                f"a class map has the values 0..{CLASSES - 1} and {IGNORE}, "
                f"but this one has {wrong}"
            )
    return class_map


def find_invalid(class_map: np.ndarray) -> int | None:
    """Returns the smallest value that is neither a class nor 255; None if all are."""
    values = np.unique(class_map)
    wrong = values[(values >= CLASSES) & (values != IGNORE)]
    return int(wrong[0]) if wrong.size else None


def _read_png(path: str | os.PathLike, max_pixels: int) -> np.ndarray:
    # Not `images.read_mask`, which turns palette indices into the grey of their colour.
    image = images.load(Path(path).read_bytes(), max_pixels=max_pixels)
    rule = "a class map is a palette or 8-bit grey PNG whose values are classes; "
    if is_lossy(image):
        raise ValueError(
            f"{rule}{image.format} with lossy compression changes them. Save the "
            "original class map as PNG"
        )
    if image.mode not in ("P", "L", "1"):
        raise ValueError(f"{rule}this one is in mode {image.mode}")
    if (white := image.info.get("stored_white", 255)) != 255:  # Pillow scales them.
        raise ValueError(
            f"{rule}the values of this one are grey, of which {white} is white. Save "
            "it with a palette or 8 bits, and the same values"
        )
    return np.array(image, np.uint8)


def _read_mat(path: str | os.PathLike) -> np.ndarray:
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ValueError("SBD's .mat files need scipy: pip install scipy") from error
    record = loadmat(path, squeeze_me=True, struct_as_record=False)
    return np.asarray(record["GTcls"].Segmentation, np.uint8)
