"""What a panel is made of."""

import numpy as np
from PIL import Image

from picanet_tf.drawing.panels import Row, save_panel


def test_panel_with_missing_pictures_is_saved(tmp_path):
    grey = np.zeros([4, 4], np.float32)
    save_panel(tmp_path / "p.png", ["a", "b"], [Row("x", [grey, None])], "title")
    assert Image.open(tmp_path / "p.png").format == "PNG"
