"""What a panel is made of."""

import numpy as np
from PIL import Image

from picanet_tf.drawing.panels import Row, save_panel


def test_missing_picture_leaves_its_cell_blank(tmp_path):
    black = np.zeros([4, 4], np.float32)
    dark = []
    for number, pictures in enumerate([(black, None), (None, black), (black, black)]):
        path = tmp_path / f"{number}.png"
        save_panel(path, ["a", "b"], [Row("x", pictures)], "title")
        dark.append(np.asarray(Image.open(path).convert("L")) < 20)
    left, right, both = dark
    middle = both.shape[1] // 2
    for cell, other in ((left, right), (right, left)):
        assert 0.4 * both.sum() < cell.sum() < 0.6 * both.sum()
        assert (cell & other).sum() < 0.1 * cell.sum()
    assert left[:, :middle].sum() > left[:, middle:].sum()
