"""The figures' rows, and what a panel is made of."""

import numpy as np
import pytest
from PIL import Image

from picanet_tf.core.images import save_image
from picanet_tf.errors import PicanetError
from picanet_tf.pixels import Pixel
from picanet_tf.saliency.rendering import FORMATS
from picanet_tf.visualization import (
    Row,
    attention_rows,
    feature_rows,
    save_panel,
)

RED = (255, 0, 0)
PIXEL = Pixel(112, 56)


@pytest.fixture
def attention():
    """D6 looks at grid position 57, (15, 21); D5 opens gate 10, (row - 4, column)."""
    grid, gates = np.zeros([28, 28, 100]), np.zeros([28, 28, 49])
    grid[..., 57], gates[..., 10] = 1, 1
    return {6: grid, 5: gates}


def rows_of(image, attention, pixel=PIXEL):
    saliency = np.zeros(image.shape[:2], np.float32)
    kinds = {6: "GAP", 5: "AC"}
    return attention_rows(image, saliency, attention, kinds, {"pixel": pixel})


def test_a_row_has_dot_rectangle_and_heat(attention):
    titles, (row,) = rows_of(np.full([224, 224, 3], 90, np.uint8), attention)
    assert titles == ["image", "saliency", "D6  GAP", "D5  AC"]
    assert row.label == "pixel\n112,56"
    image, saliency, gap, ac = row.pictures
    # Tiles are 448 pixels, twice the image: the dot is at (225, 113).
    for tile in row.pictures:
        assert tile[113, 225].tolist() == [255, 255, 255]
    assert image[300, 300].tolist() == [90, 90, 90]
    assert saliency[300, 300].tolist() == [0, 0, 0]
    # The pixel's cell is (7, 14); its window has rows 1..13 and columns 8..20.
    assert [tuple(ac[y, 225]) for y in (16, 223)] == [RED, RED]
    assert [tuple(ac[113, x]) for x in (128, 335)] == [RED, RED]
    assert ac[300, 300].tolist() == [90, 90, 90], "painted outside the region"
    # Global: all of the image.
    assert tuple(gap[0, 0]) == tuple(gap[447, 447]) == RED

    def redness(tile):
        heat = tile[:448].astype(int)
        heat[(heat == RED).all(-1) | (heat == 255).all(-1)] = 0
        hottest = heat[..., 0] - heat[..., 2]
        return np.argwhere(hottest == hottest.max()).mean(axis=0) / 16 - 0.5

    np.testing.assert_allclose(redness(gap), [15, 21], atol=0.6)
    np.testing.assert_allclose(redness(ac), [7 - 4, 14], atol=0.6)


def test_a_pixel_outside_is_an_error(attention):
    with pytest.raises(PicanetError, match="--pixel 224,0 is outside the image"):
        rows_of(np.zeros([224, 224, 3], np.uint8), attention, Pixel(224, 0))


@pytest.mark.parametrize("size", [(1, 1), (10, 20_000), (5000, 3)])
def test_images_of_extreme_sizes(size, attention, tmp_path):
    image = np.zeros([*size, 3], np.uint8)
    titles, rows = rows_of(image, attention, Pixel(0, 0))
    save_panel(tmp_path / "panel.png", titles, rows)
    assert Image.open(tmp_path / "panel.png").size[0] > 500


def test_feature_rows_are_stretched_each_over_its_own_range():
    image = np.zeros([100, 200, 3], np.uint8)
    ramp = np.tile(np.linspace(-5, 7, 28, dtype=np.float32), (28, 1))
    flat = np.full([28, 28], 3.0, np.float32)
    titles, (into, out) = feature_rows(image, image[..., 0] / 255, {6: (ramp, flat)})
    assert titles == ["image, saliency", "D6"]
    assert into.pictures[1].shape == (224, 448, 3)
    left, right = into.pictures[1][112, [0, -1]].astype(int)
    assert left[2] > left[1] and right[1] > right[2]  # viridis: violet to yellow
    assert len(np.unique(out.pictures[1].reshape(-1, 3), axis=0)) == 1


def test_save_image_is_all_or_nothing(tmp_path):
    path = tmp_path / "deep" / "map.png"
    save_image(path, np.full([2, 3], 9, np.uint8))
    assert np.asarray(Image.open(path)).tolist() == [[9] * 3] * 2
    with pytest.raises(PicanetError, match="Cannot write .*map.xyz: unknown file ext"):
        save_image(tmp_path / "map.xyz", np.zeros([2, 2], np.uint8))
    (tmp_path / "file").write_text("")
    with pytest.raises(PicanetError, match="Cannot write .*file/map.png"):
        save_image(tmp_path / "file" / "map.png", np.zeros([2, 2], np.uint8))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "map.png").mkdir()  # In whose place no file can be put.
    with pytest.raises(PicanetError) as raised:
        save_image(tmp_path / "full" / "map.png", np.zeros([2, 2], np.uint8))
    assert str(raised.value) == (
        f"Cannot write {tmp_path}/full/map.png: Is a directory"
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "file", "full"]
    assert [p.name for p in path.parent.iterdir()] == ["map.png"]


def test_a_panel_with_gaps(tmp_path):
    grey = np.zeros([4, 4], np.float32)
    save_panel(tmp_path / "p.png", ["a", "b"], [Row("x", [grey, None])], "title")
    assert Image.open(tmp_path / "p.png").format == "PNG"


def test_the_formats_are_the_five():
    assert FORMATS == ("map", "mask", "cutout", "overlay", "panel")
