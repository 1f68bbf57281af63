"""Where a pixel looks, against the layers' own window order; Figures 4 and 5."""

import numpy as np
import pytest
from PIL import Image

from picanet_tf.core.errors import PicanetError
from picanet_tf.drawing.attention import attention_rows, feature_rows, spread
from picanet_tf.drawing.panels import save_panel
from picanet_tf.drawing.pixels import Pixel
from picanet_tf.inference.attention import AttentionMaps, context_of
from picanet_tf.layers.attention_ops import (
    global_attention_pool,
    local_attention_pool,
    local_window,
)
from picanet_tf.models.context_modules import AttachPoint

RED = (255, 0, 0)
PIXEL = Pixel(112, 56)


def one_hot(size, positions, index):
    attention = np.zeros([size, size, positions], np.float32)
    attention[..., index] = 1
    return attention


def coordinates(size):
    """A map whose two channels are each position's row and column."""
    return np.stack(np.indices([size, size]), axis=-1).astype(np.float32)


def looked_at(context):
    row, column = np.unravel_index(np.argmax(context.weights), context.weights.shape)
    return context.rows[row], context.columns[column]


@pytest.mark.parametrize("index", [0, 7, 24, 31, 48])
def test_local_positions_are_those_that_the_layers_attend_to(index):
    attention = one_hot(28, 49, index)
    met = local_attention_pool(
        coordinates(28)[None], attention[None], kernel_size=7, dilation_rate=2
    )
    for cell in [(12, 15), (6, 21)]:
        context = context_of(attention, "AC", cell)
        assert looked_at(context) == tuple(met[0].numpy()[cell])


@pytest.mark.parametrize("index", [0, 9, 10, 57, 99])
@pytest.mark.parametrize("size", [28, 31, 12])
def test_global_positions_are_those_that_the_layers_attend_to(index, size):
    attention = one_hot(size, 100, index)
    step = (size - 1) // 9
    met = global_attention_pool(
        coordinates(size)[None], attention[None], kernel_size=10, dilation_rate=step
    )
    context = context_of(attention, "GAP", (3, 4))
    assert looked_at(context) == tuple(met[0].numpy()[3, 4])
    assert context.step == step


def test_a_local_window():
    assert list(local_window(5, 7, 2)) == [-1, 1, 3, 5, 7, 9, 11]


def test_region_of_a_context_ends_at_the_image_border():
    gates = np.ones([28, 28, 49], np.float32)
    box = context_of(gates, "LAP", (14, 14)).box
    assert box == (8 / 28, 8 / 28, 21 / 28, 21 / 28)  # 13 positions
    # At a corner it ends with the image.
    assert context_of(gates, "AC", (0, 27)).box == (21 / 28, 0, 1, 7 / 28)
    grid = np.ones([28, 28, 100], np.float32)
    assert context_of(grid, "GAP", (0, 27)).box == (0, 0, 1, 1)


def test_the_drawn_attention_peaks_where_it_should():
    # Window position 10 is row 1, column 3: (cell - 4, cell).
    context = context_of(one_hot(28, 49, 10), "AC", (14, 14))
    drawn = spread(context, (280, 560))
    y, x = np.unravel_index(np.nanargmax(drawn), drawn.shape)
    assert abs(y - 104.5) <= 1 and abs(x - 289.5) <= 1
    assert np.nanmax(drawn) == pytest.approx(1, abs=0.06)
    # Seen inside the region alone: rows 80..209, columns 160..419.
    seen = np.argwhere(~np.isnan(drawn))
    assert seen.min(axis=0).tolist() == [80, 160]
    assert seen.max(axis=0).tolist() == [209, 419]
    # Grid position 57 is row 5, column 7: (15, 21).
    drawn = spread(context_of(one_hot(28, 100, 57), "GAP", (0, 0)), (280, 280))
    y, x = np.unravel_index(np.argmax(drawn), drawn.shape)
    assert abs(y - 154.5) <= 1 and abs(x - 214.5) <= 1
    assert not np.isnan(drawn).any()


@pytest.fixture
def attention():
    """D6 looks at grid position 57, (15, 21); D5 opens gate 10, (row - 4, column)."""
    grid, gates = np.zeros([28, 28, 100]), np.zeros([28, 28, 49])
    grid[..., 57], gates[..., 10] = 1, 1
    return {6: grid, 5: gates}


def maps_of(image, attention, features=()):
    points = {6: AttachPoint(6, "D6", "GAP"), 5: AttachPoint(5, "D5", "AC")}
    foreground = np.zeros(image.shape[:2], np.float32)
    return AttentionMaps(foreground, attention, dict(features), points)


def rows_of(image, attention, pixel=PIXEL):
    return attention_rows(image, maps_of(image, attention), {"pixel": pixel})


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
    with pytest.raises(PicanetError, match="`pixel` 224,0 is outside the image"):
        rows_of(np.zeros([224, 224, 3], np.uint8), attention, Pixel(224, 0))


@pytest.mark.parametrize("size", [(1, 1), (10, 20_000), (5000, 3)])
def test_images_of_extreme_sizes_are_drawn(size, attention, tmp_path):
    image = np.zeros([*size, 3], np.uint8)
    titles, rows = rows_of(image, attention, Pixel(0, 0))
    save_panel(tmp_path / "panel.png", titles, rows)
    assert Image.open(tmp_path / "panel.png").size[0] > 500


def test_feature_rows_are_stretched_each_over_its_own_range():
    image = np.zeros([100, 200, 3], np.uint8)
    ramp = np.tile(np.linspace(-5, 7, 28, dtype=np.float32), (28, 1))
    flat = np.full([28, 28], 3.0, np.float32)
    titles, (into, out) = feature_rows(image, maps_of(image, {}, {6: (ramp, flat)}))
    assert titles == ["image, saliency", "D6"]
    assert into.pictures[1].shape == (224, 448, 3)
    left, right = into.pictures[1][112, [0, -1]].astype(int)
    assert left[2] > left[1] and right[1] > right[2]  # viridis: violet to yellow
    assert len(np.unique(out.pictures[1].reshape(-1, 3), axis=0)) == 1
