"""Local attention on the pixel's own side, against loops over all pixels."""

import re

import numpy as np
import pytest

from picanet_tf.layers.attention_ops import local_window
from picanet_tf.saliency.attention_shares import measure_attention, shares_table
from picanet_tf.saliency.own_side import OwnSideStatistics

SIDES = {"foreground_on_foreground": 1, "background_on_background": 0}


def naive(attention, mask, dilation):
    """{name: (mean share of attention, mean uniform share, images above)}."""
    height, width, positions = attention.shape[1:]
    size = round(positions**0.5)
    found = {name: [] for name in SIDES}
    for weights, salient in zip(attention, mask[..., 0], strict=True):
        rows = {name: [] for name in SIDES}
        for y in range(height):
            for x in range(width):
                own = total = same = inside = 0.0
                windows = (local_window(p, size, dilation) for p in (y, x))
                ys, xs = map(list, windows)
                for i, there_y in enumerate(ys):
                    for j, there_x in enumerate(xs):
                        if not (0 <= there_y < height and 0 <= there_x < width):
                            continue
                        weight = float(weights[y, x, i * size + j])
                        equal = salient[there_y, there_x] == salient[y, x]
                        total, inside = total + weight, inside + 1
                        own, same = own + weight * equal, same + equal
                if same < inside:
                    name = list(SIDES)[1 - int(salient[y, x])]
                    rows[name].append((own / total, same / inside))
        for name, shares in rows.items():
            if shares:
                found[name].append(np.mean(shares, axis=0))
    return {
        name: (*np.mean(shares, axis=0), np.mean([a > u for a, u in shares]))
        for name, shares in found.items()
    }


@pytest.mark.parametrize("size, dilation", [(3, 1), (5, 2), (7, 2)])
def test_shares_equal_naive_loops(size, dilation):
    rng = np.random.default_rng(size)
    attention = rng.random([3, 9, 11, size**2]).astype(np.float32)
    mask = np.zeros([3, 9, 11, 1])
    mask[0, 2:5, 3:8], mask[1, :, :4], mask[2, 6:, 9:] = 1, 1, 1
    statistics = OwnSideStatistics(size, dilation)
    statistics.update(attention[:2], mask[:2])
    statistics.update(attention[2:], mask[2:])
    result = statistics.result()
    assert result.pop("images") == 3
    expected = naive(attention, mask, dilation)
    assert result.keys() == expected.keys()
    for name, values in expected.items():
        found = result[name]
        shares = found["attention"], found["uniform"], found["images_above_uniform"]
        assert shares == pytest.approx(values, rel=1e-5), name


def test_attention_on_the_own_side_alone_and_uniform_attention():
    mask = np.zeros([1, 8, 8, 1])
    mask[:, :, :4] = 1
    uniform = np.full([1, 8, 8, 9], 0.3)  # gates need not add up to 1
    statistics = OwnSideStatistics(3, 1)
    statistics.update(uniform, mask)
    for name in SIDES:
        share = statistics.result()[name]
        # Only the two columns at the border see both: two of three positions are own.
        assert share["attention"] == pytest.approx(2 / 3)
        assert share["uniform"] == pytest.approx(2 / 3)
    own = np.zeros([1, 8, 8, 9])
    own[..., 4] = 1  # the pixel itself
    statistics = OwnSideStatistics(3, 1)
    statistics.update(own, mask)
    assert statistics.result()["foreground_on_foreground"]["attention"] == 1


def test_without_a_border_there_is_no_share():
    statistics = OwnSideStatistics(3, 1)
    statistics.update(np.ones([1, 4, 4, 9]), np.ones([1, 4, 4, 1]))
    assert statistics.result() == {"images": 1}
    assert len(shares_table({"D5": statistics.result()}).splitlines()) == 1


def test_each_module_has_its_own_measure(tiny_network):
    from picanet_tf.inference.attention import AttentionModel
    from picanet_tf.inference.keras_engine import KerasModel

    model = AttentionModel(KerasModel(tiny_network("6GAP_5AC_4LAP", image_size=64)))
    rng = np.random.default_rng(0)
    masks = np.zeros([4, 64, 64, 1], np.float32)
    masks[:, 10:40, 20:50] = 1
    images = rng.uniform(0, 255, [4, 64, 64, 3]).astype(np.float32)
    batches = [(images[:3], masks[:3]), (images[3:], masks[3:])]
    results = measure_attention(model, batches)
    assert list(results) == ["D6", "D5", "D4"]
    assert {result["images"] for result in results.values()} == {4}
    assert "foreground_on_background" in results["D6"]
    for stage in ("D5", "D4"):  # An untrained network attends about evenly.
        share = results[stage]["foreground_on_foreground"]
        assert share["attention"] == pytest.approx(share["uniform"], abs=0.05)
        assert 0 < share["uniform"] < 1
    table = shares_table(results)
    share = results["D4"]["background_on_background"]["attention"]
    assert re.search(rf"background on background +{share:.1%} ", table)
