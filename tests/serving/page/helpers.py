"""What several of the page's tests are made of."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[3]


def gradio_or_skip():
    return pytest.importorskip(
        "gradio", reason="the page wants gradio, optional: pip install 'gradio~=6.31'"
    )


def failing(error):
    """What loads attention, and cannot."""

    def load_attention():
        raise error

    return load_attention


def photo(folder, name="photo.png", size=(30, 45), **options):
    noise = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)
    picture = Image.fromarray(noise).resize(size[::-1])
    picture.save(folder / name, **options)
    return folder / name, np.asarray(picture)
