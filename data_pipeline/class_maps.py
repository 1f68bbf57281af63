"""Class maps: what class each pixel is of, as PASCAL VOC and SBD store it.

A class map is uint8 `(height, width)`: 0 is the background, 1 to 20 the classes of
`VOC_CLASSES`, 255 no class at all (borders, what annotators left open). Imports no
TensorFlow.
"""

import os
from pathlib import Path

import numpy as np

from data_pipeline import images
from data_pipeline.images import ImageError

# `picanet_tf.segmentation.classes` has the same names; a test compares them.
VOC_CLASSES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable "
    "dog horse motorbike person pottedplant sheep sofa train tvmonitor"
).split()
IGNORE = 255


def read_class_map(
    path: str | os.PathLike, *, max_pixels: int = images.MAX_PIXELS
) -> np.ndarray:
    """Reads a class map.

    Args:
        path: a palette or 8-bit grey PNG whose pixel values are the classes, as VOC's
            `SegmentationClass` and `SegmentationClassAug`; or a `.mat` of SBD's `cls`.
        max_pixels: the largest width x height of a PNG, checked before decoding.

    Returns:
        uint8 `(height, width)`.

    Raises:
        ImageError: unreadable, coloured, or with a value that is no class.
    """
    with images.errors_named(str(path)):
        mat = Path(path).suffix == ".mat"
        classes = _of_mat(path) if mat else _of_image(path, max_pixels)
        values = np.unique(classes)
        wrong = values[(values >= len(VOC_CLASSES)) & (values != IGNORE)]
        if wrong.size:
            raise ValueError(
                f"a class map has the values 0..{len(VOC_CLASSES) - 1} and {IGNORE}, "
                f"this one has {wrong[0]}"
            )
    return classes


def _of_image(path: str | os.PathLike, max_pixels: int) -> np.ndarray:
    # Not by `read_mask`: it turns a palette's numbers into the greys of its colours.
    image = images.load(Path(path).read_bytes(), max_pixels=max_pixels)
    if image.mode not in ("P", "L", "1"):
        raise ValueError(
            "a class map is a palette or 8-bit grey PNG, pixel values are classes; "
            f"this one is in mode {image.mode}"
        )
    return np.array(image, np.uint8)


def _of_mat(path: str | os.PathLike) -> np.ndarray:
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ImageError(
            str(path), "SBD's .mat files want scipy: pip install scipy"
        ) from error
    record = loadmat(path, squeeze_me=True, struct_as_record=False)
    return np.asarray(record["GTcls"].Segmentation, np.uint8)
