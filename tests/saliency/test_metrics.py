import subprocess
import sys
import warnings

import numpy as np
import pytest

from picanet_tf.saliency.measures import f_measure, precision_recall
from picanet_tf.saliency.metrics import SCORES, SaliencyMetrics


def pairs(count=4, seed=0):
    """Blurry, noisy maps of rectangles, as uint8 0..255, of several sizes."""
    rng = np.random.default_rng(seed)
    made = []
    for index in range(count):
        height, width = 30 + 7 * index, 45 - 5 * index
        mask = np.zeros((height, width), np.uint8)
        mask[5:20, 8 : 20 + index] = 255
        saliency = 0.6 * mask + rng.uniform(0, 90, mask.shape)
        made.append((saliency.astype(np.uint8), mask))
    return made


def scores(images, **kwargs):
    metrics = SaliencyMetrics(**kwargs)
    for prediction, mask in images:
        metrics.update(prediction, mask)
    return metrics.result()


class TestByHand:
    # One row of pixels; the mask is its right half.
    mask = np.array([[0, 0, 255, 255]], np.uint8)

    def test_perfect(self):
        result = scores([(self.mask, self.mask)])
        for name in ("max_f", "max_mean_f", "adaptive_f", "s_measure", "weighted_f"):
            assert result.scores[name] == pytest.approx(1), name
        assert result.scores["mae"] == 0
        # At threshold 0 everything is predicted: P = 1/2, R = 1, F = 0.65 / 1.15.
        expected = (255 + 0.65 / 1.15) / 256
        assert result.scores["mean_f"] == pytest.approx(expected)

    def test_precision_and_recall(self):
        prediction = np.array([[0.0, 0.4, 0.2, 1.0]])
        precision, recall = precision_recall(prediction, self.mask > 128)
        # 0.4 * 255 = 102, 0.2 * 255 = 51.
        np.testing.assert_allclose(precision[[0, 1, 51, 52, 102, 103, 255]], [
            2 / 4, 2 / 3, 2 / 3, 1 / 2, 1 / 2, 1, 1,
        ])  # fmt: skip
        np.testing.assert_allclose(recall[[0, 51, 52, 255]], [1, 1, 0.5, 0.5])

    def test_f_measure(self):
        assert f_measure(0.5, 1.0) == pytest.approx(1.3 * 0.5 / (0.3 * 0.5 + 1))
        np.testing.assert_array_equal(f_measure(np.zeros(2), np.zeros(2)), [0, 0])

    def test_max_f_is_of_the_mean_curve(self):
        # A finds half of the object at all thresholds above 0, surely; B finds it all,
        # with as much beside it. Mean P = 3/4, mean R = 3/4: F = 3/4.
        a = np.array([[0, 0, 0, 255]], np.uint8)
        b = np.array([[255, 255, 255, 255]], np.uint8)
        result = scores([(a, self.mask), (b, self.mask)])
        assert result.precision[255] == pytest.approx(0.75)
        assert result.recall[255] == pytest.approx(0.75)
        assert result.scores["max_f"] == pytest.approx(0.75)
        # A: 1.3 * 0.5 / (0.3 + 0.5) = 0.8125; B: 0.65 / 1.15 = 0.5652.
        assert result.rows[0].max_f == pytest.approx(0.8125)
        assert result.rows[1].max_f == pytest.approx(0.65 / 1.15)
        mean_of_f = (0.8125 + 0.65 / 1.15) / 2
        assert result.scores["max_mean_f"] == pytest.approx(mean_of_f)

    def test_mae(self):
        prediction = np.array([[0.0, 0.4, 0.2, 1.0]])
        result = scores([(prediction, self.mask)], which=["mae"])
        assert result.scores == {"mae": pytest.approx((0.4 + 0.8) / 4)}

    def test_adaptive_f(self):
        # Twice the mean is 0.8: one pixel, a hit. P = 1, R = 1/2.
        prediction = np.array([[0.0, 0.4, 0.2, 1.0]])
        result = scores([(prediction, self.mask)], which=["adaptive_f"])
        assert result.scores["adaptive_f"] == pytest.approx(1.3 * 0.5 / 0.8)


class TestAgainstPySODMetrics:
    """PySODMetrics 1.6.2, called as its README does."""

    @pytest.mark.parametrize("normalize", [True, False])
    def test_all_scores(self, normalize):
        sod = pytest.importorskip("py_sod_metrics")
        images = pairs()
        images.append((np.full((9, 9), 77, np.uint8), np.eye(9, dtype=np.uint8) * 255))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Fmeasure is going to be removed
            theirs = [
                sod.Fmeasure(), sod.MAE(), sod.Smeasure(), sod.Emeasure(),
                sod.WeightedFmeasure(),
            ]  # fmt: skip
        for prediction, mask in images:
            if not normalize:
                prediction, mask = prediction / 255, mask > 128
            for measure in theirs:
                measure.step(prediction, mask, normalize=normalize)
        results = {}
        for measure in theirs:
            results |= measure.get_results()
        result = scores(images, normalize=normalize)
        assert result.scores == pytest.approx(
            {
                "max_f": f_measure(results["pr"]["p"], results["pr"]["r"]).max(),
                "max_mean_f": results["fm"]["curve"].max(),
                "mean_f": results["fm"]["curve"].mean(),
                "adaptive_f": results["fm"]["adp"],
                "mae": results["mae"],
                "s_measure": results["sm"],
                "max_e": results["em"]["curve"].max(),
                "mean_e": results["em"]["curve"].mean(),
                "adaptive_e": results["em"]["adp"],
                "weighted_f": results["wfm"],
            },
            rel=1e-12,
        )
        # PySODMetrics' curves begin at threshold 255.
        np.testing.assert_allclose(result.precision, results["pr"]["p"][::-1])
        np.testing.assert_allclose(result.recall, results["pr"]["r"][::-1])

    def test_empty_masks_differ_by_their_share(self):
        sod = pytest.importorskip("py_sod_metrics")
        images = pairs()
        images.append((images[0][0], np.zeros_like(images[0][1])))
        measure = sod.FmeasureV2(
            {"f": sod.FmeasureHandler(with_dynamic=True, with_adaptive=True)}
        )
        for prediction, mask in images:
            measure.step(prediction, mask)
        theirs = measure.get_results()["f"]
        ours = scores(images)
        share = (ours.images - ours.empty) / ours.images
        assert share == 4 / 5
        assert ours.scores["max_mean_f"] * share == pytest.approx(
            theirs["dynamic"].max()
        )
        assert ours.scores["adaptive_f"] * share == pytest.approx(theirs["adaptive"])


class TestConventions:
    def test_threshold_of_the_mask(self):
        mask = np.array([[128, 129]], np.uint8)
        for ground_truth in (mask, mask / 255, (mask / 255).astype("float32")):
            result = scores([(np.array([[0.0, 1.0]]), ground_truth)], which=["mae"])
            assert result.scores["mae"] == 0

    def test_normalization(self):
        # Two greys, 10 and 60, are a perfect map once stretched.
        mask = np.array([[0, 255]], np.uint8)
        grey = np.array([[10, 60]], np.uint8)
        which = ["max_f", "mae"]
        stretched = scores([(grey, mask)], which=which)
        assert stretched.scores == {"max_f": 1.0, "mae": 0.0}
        raw = scores([(grey, mask)], normalize=False, which=which)
        assert raw.scores["mae"] == pytest.approx((10 + 195) / 255 / 2)
        assert raw.precision[60] == 1
        assert raw.precision[61] == 0  # nothing predicted
        assert (stretched.normalize, raw.normalize) == (True, False)

    def test_input_types_give_equal_scores(self):
        (prediction, mask) = pairs(1)[0]
        expected = scores([(prediction, mask)]).scores
        for saliency in (prediction / 255, (prediction / 255).astype("float32")):
            for ground_truth in (mask > 128, mask / 255):
                got = scores([(saliency, ground_truth)]).scores
                assert got == pytest.approx(expected, rel=1e-3)

    def test_constant_map(self):
        mask = np.array([[0, 255]], np.uint8)
        result = scores([(np.full((1, 2), 0.5), mask)], which=["max_f", "mae"])
        assert result.scores["mae"] == 0.5
        assert result.precision[127] == 0.5
        assert result.precision[128] == 0

    def test_empty_mask(self):
        mask = np.zeros((8, 8), np.uint8)
        prediction = np.zeros((8, 8))
        prediction[2, 2] = 1
        (good, good_mask) = pairs(1)[0]
        alone = scores([(good, good_mask)])
        both = scores([(good, good_mask), (prediction, mask)])
        assert (both.images, both.empty) == (2, 1)
        for name in ("max_f", "max_mean_f", "mean_f", "adaptive_f", "weighted_f"):
            assert both.scores[name] == alone.scores[name]
        assert both.rows[1].empty
        assert both.rows[1].max_f is None
        assert both.rows[1].mae == pytest.approx(1 / 64)
        assert both.rows[1].s_measure == pytest.approx(63 / 64)
        assert both.scores["mae"] == pytest.approx((alone.scores["mae"] + 1 / 64) / 2)

    def test_only_empty_masks(self):
        result = scores([(np.zeros((4, 4)), np.zeros((4, 4)))])
        assert np.isnan(result.scores["max_f"])
        assert result.scores["mae"] == 0

    def test_no_image(self):
        result = SaliencyMetrics().result()
        assert (result.images, result.rows) == (0, ())
        assert all(np.isnan(value) for value in result.scores.values())

    def test_full_mask(self):
        result = scores([(np.ones((4, 4)), np.ones((4, 4)))])
        for name in ("max_f", "mean_f", "adaptive_f", "s_measure", "weighted_f"):
            assert result.scores[name] == pytest.approx(1), name

    @pytest.mark.parametrize("where", [np.s_[:, -1:], np.s_[-1:, :], np.s_[-1:, -1:]])
    def test_object_at_the_last_row_or_column(self, where):
        # PySODMetrics 1.6.2 returns NaN for the S-measure here.
        mask = np.zeros((6, 6), bool)
        mask[where] = True
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = scores([(mask.astype(float), mask)])
        assert result.scores["s_measure"] == pytest.approx(1)


class TestSelection:
    def test_only_what_is_asked_for(self):
        result = scores(pairs(), which=("mae", "max_f"))
        assert list(result.scores) == ["max_f", "mae"]
        assert result.rows[0].s_measure is None
        assert result.rows[0].mae is not None

    @pytest.mark.parametrize("name", SCORES)
    def test_each_alone_equals_all(self, name):
        images = pairs(2)
        alone = scores(images, which=[name])
        assert alone.scores == {name: scores(images).scores[name]}

    def test_no_curves_without_their_scores(self):
        assert scores(pairs(), which=["mae"]).precision is None

    def test_unknown_score(self):
        with pytest.raises(ValueError, match="`which` must name.*Received: 'iou'"):
            SaliencyMetrics(which=["mae", "iou"])

    def test_max_f_and_mae_need_neither_tensorflow_nor_opencv(self):
        code = """
import sys, numpy as np
from picanet_tf.saliency.metrics import SaliencyMetrics
metrics = SaliencyMetrics(which=("max_f", "mae"))
metrics.update(np.eye(3), np.eye(3))
assert metrics.result().scores == {"max_f": 1.0, "mae": 0.0}
assert not {"tensorflow", "keras", "cv2", "skimage"} & set(sys.modules)
"""
        subprocess.run([sys.executable, "-c", code], check=True)


class TestRows:
    def test_names_and_scores(self):
        metrics = SaliencyMetrics()
        for (prediction, mask), name in zip(pairs(2), ("cat", None), strict=True):
            row = metrics.update(prediction, mask, name=name)
        result = metrics.result()
        assert [row.name for row in result.rows] == ["cat", "1"]
        assert result.rows[1] == row
        for name in ("mae", "s_measure", "adaptive_f", "adaptive_e", "weighted_f"):
            mean = np.mean([getattr(row, name) for row in result.rows])
            assert result.scores[name] == pytest.approx(mean), name

    def test_results_can_be_taken_on_the_way(self):
        metrics = SaliencyMetrics()
        first, second = pairs(2)
        metrics.update(*first)
        before = metrics.result()
        curve = before.precision.copy()
        metrics.update(*second)
        np.testing.assert_array_equal(before.precision, curve)
        assert metrics.result().images == 2


@pytest.mark.parametrize(
    "prediction, ground_truth, match",
    [
        (np.zeros((4, 4)), np.zeros((4, 5)), r"size of.*\(4, 4\) and \(4, 5\)"),
        (np.zeros((4, 4, 1)), np.zeros((4, 4)), r"`prediction`.*\(4, 4, 1\)"),
        (np.zeros((4, 4)), np.zeros((4,)), r"`ground_truth`.*\(4,\)"),
        (np.zeros((0, 4)), np.zeros((0, 4)), r"`prediction`.*\(0, 4\)"),
        (np.full((4, 4), 255.0), np.zeros((4, 4)), r"in 0..1.*255"),
        (np.full((4, 4), -0.1), np.zeros((4, 4)), r"in 0..1.*-0.1"),
        (np.full((4, 4), np.nan), np.zeros((4, 4)), r"in 0..1.*nan"),
        (np.zeros((4, 4), int), np.zeros((4, 4)), r"dtype=int64"),
        (np.zeros((4, 4)), np.full((4, 4), 255.0), r"`ground_truth`.*255"),
        (np.zeros((4, 4)), np.ones((4, 4), np.uint8), r"pass 0 and 1 as bool"),
    ],
)
def test_bad_input_is_an_error_and_counts_nothing(prediction, ground_truth, match):
    metrics = SaliencyMetrics()
    with pytest.raises(ValueError, match=match):
        metrics.update(prediction, ground_truth)
    assert metrics.result().images == 0


def test_rounding_errors_of_resizing_pass():
    overshot = np.array([[0, 1 + 1e-6]], np.float32)
    result = scores([(overshot, np.array([[False, True]]))], which=["mae"])
    assert result.scores["mae"] == 0
